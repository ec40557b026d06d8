//go:build linux

package isotpnet

import (
	"errors"
	"os"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/mux"
	"golang.org/x/sys/unix"
)

// A kernelWrite is what a Write hands to tryWrite, and gets from it. Guarded by
// sendTurn, but for size, which mu guards.
type kernelWrite struct {
	p     []byte
	size  int // of the message being sent, or last sent
	err   error
	begun bool // the kernel has taken it
	full  bool // the interface's queue was

	owed time.Time // until when it is held back, see kernelConn.owed; zero if it is not
}

const (
	// fullPause is how long to wait for room in the interface's queue: poll
	// does not tell when there is some.
	fullPause = time.Millisecond
	// fullTimeout is N_As.
	fullTimeout = time.Second
)

func (k *kernelConn) send(p []byte, size int, functional bool) (n int, err error) {
	to := k
	if functional && !k.sendOnly {
		if to = k.functional; to == nil {
			return 0, ErrNoFunctional
		}
	}
	defer k.tell()
	to.sendTurn.Lock()
	defer to.sendTurn.Unlock()
	for n < len(p) && err == nil {
		if n > 0 && k.observer != nil {
			go k.tell() // of the message before; not under sendTurn
		}
		message := p[n:min(n+size, len(p))]
		var begun bool
		begun, err = to.transmit(message)
		k.sent(len(message), begun, err)
		if err == nil {
			n += len(message)
			to.wrote(len(message))
		}
	}
	return n, err
}

// transmit sends a message and waits for its end. begun: the kernel has taken it.
// Under sendTurn.
func (k *kernelConn) transmit(p []byte) (begun bool, err error) {
	if int64(len(p)) > k.limit {
		return false, &MessageTooLongError{int64(len(p)), k.limit, k.whoseLimit()}
	}
	k.mu.Lock()
	k.write = kernelWrite{p: p, size: k.write.size}
	k.mu.Unlock()
	err = k.sendWait()
	k.stopRetry()
	k.write.p = nil
	k.mu.Lock()
	k.sending = false
	k.mu.Unlock()
	return k.write.begun, err
}

// sendWait sends the message and waits for its end.
func (k *kernelConn) sendWait() error {
	var fullSince time.Time
	for {
		err := k.wait(k.raw.Write, k.tryWrite, &k.writeDeadline)
		switch {
		case err == os.ErrDeadlineExceeded && k.endedMeanwhile():
			return k.write.err
		case err == os.ErrDeadlineExceeded && !k.write.owed.IsZero():
			return &OwedError{Until: k.write.owed}
		case err != nil:
			return err
		case !k.write.full:
			return k.write.err
		case fullSince.IsZero():
			fullSince = time.Now()
		case time.Since(fullSince) > fullTimeout:
			return &ProtocolError{Code: CodeTimeoutA}
		}
		time.Sleep(fullPause)
	}
}

// endedMeanwhile reports whether the message has just ended by itself. If not,
// it is the kernel's from now on: it cannot be recalled.
func (k *kernelConn) endedMeanwhile() bool {
	ended := false
	if k.write.begun {
		k.raw.Control(func(fd uintptr) { ended = k.tryWriteOnce(fd) })
	}
	return ended
}

// tryWriteOnce hands the message over if it is not yet, and reports whether it
// has ended.
func (k *kernelConn) tryWriteOnce(fd uintptr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.write.full = false
	justBegun, began := !k.sending, time.Now()
	if justBegun && len(k.write.p) > k.single {
		if k.write.owed = k.owed(began); !k.write.owed.IsZero() {
			k.armRetry(min(k.write.owed.Sub(began), owedInterval))
			return false
		}
	}
	if justBegun {
		if err := k.handOver(int(fd)); err != nil {
			k.write.full = err == unix.ENOBUFS
			k.write.err = writeError(err, len(k.write.p), k.limit)
			if err == unix.EAGAIN {
				k.armRetry(retryInterval)
				return false
			}
			return true
		}
		k.sending, k.sendErr = true, nil
		k.write.begun, k.write.size = true, len(k.write.p)
	}
	ended, failed := pollSocket(int(fd))
	// The end comes after its error, perhaps when pollSocket had looked for one. But a
	// Single Frame's only error is its time-out.
	single := justBegun && len(k.write.p) <= k.single
	if failed || !single || time.Since(began) > kernelTimeout/2 {
		k.took(int(fd), socketError(int(fd)))
	}
	if !ended && k.sendErr == nil {
		k.armRetry(retryInterval)
		return false
	}
	k.sending = false
	if k.write.err = k.sendErr; k.sendErr == nil {
		k.told = false
	}
	return true
}

// owedInterval is how often we ask whether a flow control that is owed has come.
const owedInterval = 20 * time.Millisecond

// owed returns until when a First Frame has to wait, because the peer owes another
// connection of this pair, closed by now, a flow control; the zero Time: it need not.
// While a socket is open it looks after its own messages itself. Under mu.
func (k *kernelConn) owed(now time.Time) time.Time {
	if k.sendOnly || k.debtless {
		return time.Time{}
	}
	if until := mux.Owed(k.pair.bus, k.pair.send, k.pair.listenTo); until.After(now) {
		return until
	}
	k.debtless = true
	return time.Time{}
}

// owe is for Close: the peer may send a flow control for a message that is still being
// sent. When its First Frame, or its last flow control, was is not known.
func (k *kernelConn) owe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sendOnly || k.write.size <= k.single {
		return
	}
	k.raw.Control(func(fd uintptr) {
		if !idle(int(fd)) {
			mux.Owe(k.pair.bus, k.pair.send, k.pair.listenTo, time.Now().Add(kernelTimeout))
		}
	})
}

// handOver gives the message to the kernel. What the socket still has to say
// about other messages is not ours. Under mu.
func (k *kernelConn) handOver(fd int) error {
	// Each round takes an error, and there is one slot.
	for range 10 {
		_, err := unix.Write(fd, k.write.p)
		switch err {
		case unix.EINTR:
		case unix.ECOMM, unix.EMSGSIZE, unix.EBADMSG, unix.ETIMEDOUT, unix.EILSEQ:
			k.took(fd, err.(unix.Errno))
		case unix.ENETDOWN, unix.ENODEV, unix.EADDRNOTAVAIL, unix.ENXIO:
			// Perhaps we have taken away what is a reader's too.
			k.took(fd, socketError(fd))
			if !k.told {
				k.took(fd, err.(unix.Errno))
			}
			return err
		default:
			return err
		}
	}
	return unix.EAGAIN
}

// writeError is the error of a message that the kernel did not take.
func writeError(err error, size int, limit int64) error {
	errno, ok := err.(unix.Errno)
	switch {
	case !ok:
		return err
	case errno == unix.EINVAL:
		return &MessageTooLongError{int64(size), min(limit, int64(size)-1), limitKernel}
	}
	return deviceError("write", errno)
}

// armRetry has the caller asked again after a while.
func (k *kernelConn) armRetry(after time.Duration) {
	if k.retry == nil {
		k.retry = time.AfterFunc(after, k.writeDeadline.wake)
		return
	}
	k.retry.Reset(after)
}

func (k *kernelConn) stopRetry() {
	if k.retry != nil {
		k.retry.Stop()
	}
}

// sent counts a message, however it ended.
func (k *kernelConn) sent(size int, begun bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.counts.MessagesSent++
		k.counts.BytesSent += uint64(size)
		k.observe(engine.Observation{Kind: engine.MessageSent, Size: uint32(size)})
		return
	}
	code := CodeAborted
	if e, ok := errors.AsType[*ProtocolError](err); ok {
		code = e.Code
	} else if _, ok := err.(*OwedError); ok {
		code = CodeFlowControlOwed
	} else if !begun {
		return // nothing was sent
	}
	k.counts.SendsAborted++
	k.counts.Errors[code]++
	k.observe(engine.Observation{Kind: engine.SendAborted, Code: engine.Code(code)})
}
