package kernel

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// maxDowns is how often in a row reading may fail because the interface is down: the kernel
// says so once, and then waits for it to be up.
const maxDowns = 3

// Handle gives all messages to a Handler, and lets Start and Recall be called. None of the
// other methods that send or receive must be called then.
func (c *Conn) Handle(by Handler) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	c.handler = by
	go c.handleMessages()
	return nil
}

// Start sends a message. It does not wait: Handler.Sent is called when the message has
// ended, and not before may Start be called again. Until then p is used.
func (c *Conn) Start(p []byte) {
	c.SetWriteDeadline(time.Time{}) // the last one may have been taken back
	go func() {
		c.sendTurn.Lock()
		taken, err := c.transmit(p)
		c.sendTurn.Unlock()
		if _, owed := err.(*OwedError); !owed || c.givenUp.Load() {
			c.countSent(len(p), taken, err)
			c.tell()
		}
		c.handler.Sent(c.now(), taken, err)
	}()
}

// Recall takes back the message given to Start if the kernel has not taken it: soon
// Handler.Sent is called, with os.ErrDeadlineExceeded, or an *OwedError if the message has
// waited for what is owed. Else Recall reports that the message has left: it goes its way,
// even if the kernel waits with it for the end of another one. A message that the kernel
// takes just now goes its way too, but its end is not waited for: the peer will get it, or
// notice that it is missing.
//
// givenUp: the message will not be sent again, so that one that has waited for what is owed
// is counted as aborted.
func (c *Conn) Recall(givenUp bool) (left bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.send == sendTaken {
		return true
	}
	c.givenUp.Store(givenUp)
	c.SetWriteDeadline(longAgo)
	return false
}

// handleMessages is the goroutine that reads for the handler.
func (c *Conn) handleMessages() {
	for downs := 0; ; {
		err := c.handleMessage()
		if err == nil {
			downs = 0
			continue
		}
		_, goOn := err.(ResultError)
		if errors.Is(err, unix.ENETDOWN) && downs < maxDowns {
			downs++
			err, goOn = &DownError{err}, true
		}
		c.handler.Message(c.now(), nil, err)
		if !goOn {
			return
		}
	}
}

// handleMessage waits for a message and gives it to the handler.
func (c *Conn) handleMessage() error {
	defer c.tell()
	c.readTurn.Lock()
	defer c.readTurn.Unlock()
	if err := c.next(nil); err != nil {
		return err
	}
	c.handler.Message(c.now(), c.read.rest, nil)
	c.read.drop()
	return nil
}
