package kernel

import (
	"io"
	"os"
	"time"

	"example.com/isotp/internal/engine"
	"golang.org/x/sys/unix"
)

// A pendingWrite is what a Send hands to tryWriteOnce and gets from it. Guarded by
// sendTurn, but for size, which mu guards.
type pendingWrite struct {
	p     []byte
	size  int       // of the message being sent, or last sent
	taken bool      // the kernel has taken it; its end may have been seen since
	owed  time.Time // until when it is held back, in sendOwed
	err   error
}

const (
	// fullPause is how long to wait for room in the interface's queue: poll does not tell
	// when there is some.
	fullPause = time.Millisecond
	// fullTimeout is N_As.
	fullTimeout = time.Second
	// owedInterval is how often Owed is asked whether a flow control that is owed has come.
	owedInterval = 20 * time.Millisecond
)

// Send sends p as messages of at most size bytes, one after another. n are the bytes of
// those that were sent.
//
// Errors: a TooLongError, a ResultError, an OwedError, os.ErrDeadlineExceeded (the kernel
// may go on with the message), net.ErrClosed, a GoneError, an *os.SyscallError.
func (c *Conn) Send(p []byte, size int) (n int, err error) { return c.sendOn(c, p, size) }

// SendFunctional sends p as one message to Spec.Functional, or on a Conn that only sends to
// Spec.Tx. Errors are those of Send, and ErrNoFunctional.
func (c *Conn) SendFunctional(p []byte) (n int, err error) {
	switch {
	case c.sendOnly():
		return c.sendOn(c, p, len(p))
	case c.functional == nil:
		return 0, ErrNoFunctional
	}
	return c.sendOn(c.functional, p, len(p))
}

// SendFrom sends size bytes of r as one message. It reads all of it first, as a socket takes
// whole messages only. Errors are those of Send, and a SourceError.
func (c *Conn) SendFrom(r io.Reader, size int64) error {
	if err := c.checkSize(size); err != nil {
		return err
	}
	p := make([]byte, size)
	if _, err := io.ReadFull(r, p); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the message is not complete
		}
		return &SourceError{err}
	}
	_, err := c.Send(p, len(p))
	return err
}

// sendOn sends p by the socket of to, which is c or its functional Conn.
func (c *Conn) sendOn(to *Conn, p []byte, size int) (n int, err error) {
	defer c.tell()
	to.sendTurn.Lock()
	defer to.sendTurn.Unlock()
	for n < len(p) && err == nil {
		if n > 0 && c.Observer != nil {
			go c.tell() // of the message before; not under sendTurn
		}
		part := p[n:min(n+size, len(p))]
		var taken bool
		taken, err = to.transmit(part)
		c.countSent(len(part), taken, err)
		if err == nil {
			n += len(part)
			to.relievePeer(len(part))
		}
	}
	return n, err
}

func (c *Conn) checkSize(size int64) error {
	if size > c.limit {
		return &TooLongError{size, c.limit, c.spec.SingleOnly}
	}
	return nil
}

// transmit sends a message and waits for its end. taken: the kernel has taken it. Under
// sendTurn.
func (c *Conn) transmit(p []byte) (taken bool, err error) {
	if err := c.checkSize(int64(len(p))); err != nil {
		return false, err
	}
	c.beginSend(p)
	err = c.awaitSent()
	c.endSend()
	return c.write.taken, err
}

func (c *Conn) beginSend(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.send, c.sendErr = sendReady, nil
	c.write = pendingWrite{p: p, size: c.write.size}
}

func (c *Conn) endSend() {
	c.stopRetry()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.send = sendIdle
	c.write.p = nil
}

// awaitSent has the kernel take the message and waits for its end.
func (c *Conn) awaitSent() error {
	var fullSince time.Time
	for {
		err := c.wait(c.raw.Write, c.tryWrite, &c.writeDeadline)
		switch {
		case err == os.ErrDeadlineExceeded && c.endedMeanwhile():
			return c.write.err
		case err == os.ErrDeadlineExceeded && c.send == sendOwed:
			return &OwedError{c.write.owed}
		case err != nil:
			return err
		case c.send != sendFull:
			return c.write.err
		case fullSince.IsZero():
			fullSince = time.Now()
		case time.Since(fullSince) > fullTimeout:
			return ResultError(engine.TimeoutA)
		}
		time.Sleep(fullPause)
	}
}

// endedMeanwhile reports whether the message has just ended by itself. If not, the kernel
// goes on with it: it cannot be recalled.
func (c *Conn) endedMeanwhile() bool {
	ended := false
	if c.write.taken {
		c.raw.Control(func(fd uintptr) { ended = c.tryWriteOnce(fd) })
	}
	return ended
}

// tryWriteOnce has the kernel take the message if it has not yet, and reports whether the
// message has ended, or the interface's queue is full.
func (c *Conn) tryWriteOnce(fd uintptr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	began, justTaken := time.Now(), c.send != sendTaken
	if justTaken {
		if c.holdBack(began) {
			return false
		}
		if err := c.handOver(int(fd)); err != nil {
			return c.notTaken(err)
		}
		c.send = sendTaken
		c.write.taken, c.write.size = true, len(c.write.p)
		if c.sentAtOnce() {
			c.sendEnded()
			return true
		}
	}
	// A Single Frame's only error is its time-out.
	mayFail := !justTaken || len(c.write.p) > c.spec.Single || time.Since(began) > ReplyTimeout/2
	return c.checkSent(int(fd), mayFail)
}

// checkSent looks for the end of the message that the kernel has, and takes its error if it
// may have one. Under mu.
func (c *Conn) checkSent(fd int, mayFail bool) (ended bool) {
	ended, failed := pollSocket(fd)
	if failed || mayFail {
		// The error comes before the end, but pollSocket may have looked for one before that.
		c.dispatch(fd, socketError(fd))
	}
	if !ended && c.sendErr == nil {
		c.armRetry(retryInterval)
		return false
	}
	c.sendEnded()
	return true
}

// sentAtOnce reports whether the message that the kernel has just taken needs no asking
// whether it is sent. A vcan sends a frame while write(2) runs, and has no echoes of its own:
// the kernel makes them as soon as the interface has taken the frame. Under mu.
func (c *Conn) sentAtOnce() bool { return c.virtual && len(c.write.p) <= c.spec.Single }

// sendEnded follows the end of the message. Under mu.
func (c *Conn) sendEnded() {
	c.send = sendIdle
	if c.write.err = c.sendErr; c.sendErr == nil {
		c.linkWorks()
	}
}

// holdBack reports whether the message has to wait for a flow control that is owed for
// another one. Under mu.
func (c *Conn) holdBack(now time.Time) bool {
	if len(c.write.p) > c.spec.Single {
		if until := c.owed(now); !until.IsZero() {
			c.send, c.write.owed = sendOwed, until
			c.armRetry(min(until.Sub(now), owedInterval))
			return true
		}
	}
	c.send = sendReady
	return false
}

// owed returns until when a First Frame has to wait, because the peer owes another
// connection of this pair, closed by now, a flow control; the zero Time: it need not. While
// a socket is open it looks after its own messages itself. Under mu.
func (c *Conn) owed(now time.Time) time.Time {
	if c.sendOnly() || c.debtless {
		return time.Time{}
	}
	if until := c.spec.Owed(c.pair.bus); until.After(now) {
		return until
	}
	c.debtless = true
	return time.Time{}
}

// owe is for Close: the peer may send a flow control for a message that is still being
// sent. When its First Frame, or its last flow control, was is not known.
func (c *Conn) owe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sendOnly() || c.write.size <= c.spec.Single {
		return
	}
	c.raw.Control(func(fd uintptr) {
		if !idle(int(fd)) {
			c.spec.Owe(c.pair.bus, time.Now().Add(ReplyTimeout))
		}
	})
}

// handOver gives the message to the kernel. What the socket still has to say about other
// messages is dispatched. Under mu.
func (c *Conn) handOver(fd int) error {
	// Each round takes an error, and there is one slot.
	for range 10 {
		_, err := unix.Write(fd, c.write.p)
		switch err {
		case unix.EINTR:
		case unix.ECOMM, unix.EMSGSIZE, unix.EBADMSG, unix.ETIMEDOUT, unix.EILSEQ:
			c.dispatch(fd, err.(unix.Errno))
		case unix.ENETDOWN, unix.ENODEV, unix.EADDRNOTAVAIL, unix.ENXIO:
			// This may have taken away what a reader is to have, too.
			c.dispatch(fd, socketError(fd))
			if c.link == linkUp {
				c.dispatch(fd, err.(unix.Errno))
			}
			return err
		default:
			return err
		}
	}
	return unix.EAGAIN
}

// notTaken follows the error of a message that the kernel has not taken. It reports false
// if the socket still has a message given up: then it is asked again. Under mu.
func (c *Conn) notTaken(err error) (done bool) {
	switch err {
	case unix.EAGAIN:
		c.armRetry(retryInterval)
		return false
	case unix.ENOBUFS:
		c.send = sendFull
	case unix.EINVAL:
		size := int64(len(c.write.p))
		c.write.err = &TooLongError{size, min(c.limit, size-1), false}
	default:
		errno, _ := err.(unix.Errno)
		c.write.err = deviceError("write", errno)
	}
	return true
}

// armRetry has tryWriteOnce called again after a while.
func (c *Conn) armRetry(after time.Duration) {
	if c.retry == nil {
		c.retry = time.AfterFunc(after, c.writeDeadline.wake)
		return
	}
	c.retry.Reset(after)
}

func (c *Conn) stopRetry() {
	if c.retry != nil {
		c.retry.Stop()
	}
}

// countSent counts a message that was sent or aborted; one that was never started counts
// only if a flow control was owed.
func (c *Conn) countSent(size int, taken bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.counts.MessagesSent++
		c.counts.BytesSent += uint64(size)
		c.observe(engine.Observation{Kind: engine.MessageSent, Size: uint32(size)})
		return
	}
	code := engine.Aborted
	switch e := err.(type) {
	case ResultError:
		code = engine.Code(e)
	case *OwedError:
		code = engine.FlowControlOwed
	default:
		if !taken {
			return
		}
	}
	c.counts.SendsAborted++
	c.counts.Errors[code]++
	c.observe(engine.Observation{Kind: engine.SendAborted, Code: code})
}
