package isotpnet

import (
	"errors"
	"net"
	"syscall"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/mux"
)

var _ streamBackend = (*kernelConn)(nil)

// maxDowns is how often in a row reading may fail because the interface is down: the
// kernel says so once, and then waits for it to be up.
const maxDowns = 3

func (k *kernelConn) epoch() time.Time { return k.began }

func (k *kernelConn) now() engine.Time { return engine.Time(time.Since(k.began)) }

// handle gives all messages to a handler. None of receive, open, await, discard, send
// and sendFrom must be called then.
func (k *kernelConn) handle(by mux.Handler) error {
	if k.closed.Load() {
		return net.ErrClosed
	}
	k.handler = by
	go k.handleMessages()
	return nil
}

// start sends a message. It does not wait: Handler.Sent is called when the message has
// ended, and not before may start be called again. Until then m is used.
func (k *kernelConn) start(m []byte) {
	k.setWriteDeadline(time.Time{}) // the last one may have been taken back
	go func() {
		k.sendTurn.Lock()
		handed, err := k.transmit(m)
		k.sendTurn.Unlock()
		if _, owed := err.(*OwedError); !owed || k.givenUp.Load() {
			k.sent(len(m), handed, err)
			k.tell()
		}
		k.handler.Sent(k.now(), handed, err)
	}()
}

// recall takes back the message given to start if the kernel has not taken it: soon
// Handler.Sent is called, with os.ErrDeadlineExceeded or an *OwedError. Else it reports
// that the message has left: it goes its way, even if the kernel itself waits with it for
// the end of another message. One that the kernel takes just now goes its way too, but
// start does not wait for its end: the peer will get it, or notice that it is missing.
//
// givenUp: the message will not be sent again, and is counted if a flow control was owed.
func (k *kernelConn) recall(givenUp bool) (left bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sending {
		return true
	}
	k.givenUp.Store(givenUp)
	k.setWriteDeadline(past)
	return false
}

// handleMessages is the goroutine that reads the handler's messages.
func (k *kernelConn) handleMessages() {
	for downs := 0; ; {
		switch err := k.handleMessage(); {
		case err == nil:
			downs = 0
		case isLoss(err):
			k.handler.Message(k.now(), nil, err)
		case errors.Is(err, syscall.ENETDOWN) && downs < maxDowns:
			downs++
			k.handler.Message(k.now(), nil, &downError{err})
		default:
			k.handler.Message(k.now(), nil, err)
			return
		}
	}
}

// handleMessage waits for a message and gives it to the handler.
func (k *kernelConn) handleMessage() error {
	defer k.tell()
	k.readTurn.Lock()
	defer k.readTurn.Unlock()
	if err := k.next(nil); err != nil {
		return err
	}
	k.handler.Message(k.now(), k.read.rest, nil)
	k.read.drop()
	return nil
}
