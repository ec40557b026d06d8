package mux

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/engine"
)

// ErrClosedByPeer is what sending fails with when the other end has gone.
var ErrClosedByPeer = io.ErrClosedPipe

// A SourceError is what the reader of a streamed message failed with.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return "reading the message: " + e.Err.Error() }

// Unwrap returns Err.
func (e *SourceError) Unwrap() error { return e.Err }

// A ResultError is how the protocol ended a transmission or a reception.
type ResultError engine.Code

func (e ResultError) Error() string { return fmt.Sprintf("ISO-TP result %d", uint8(e)) }

// Send sends a message and waits until it is sent. It returns a ResultError,
// os.ErrDeadlineExceeded, net.ErrClosed, ErrClosedByPeer, or the bus's error.
func (ep *Endpoint) Send(p []byte) error {
	_, err := ep.SendSplit(p, len(p))
	return err
}

// SendSplit sends p as messages of at most size bytes, in one turn: those of other
// calls do not come between. n are the bytes of those that were sent.
func (ep *Endpoint) SendSplit(p []byte, size int) (n int, err error) {
	m := ep.m
	if err := ep.enter(&ep.sendTurn, ep.sendDeadline()); err != nil {
		return 0, err
	}
	for n < len(p) && err == nil {
		if n > 0 { // observers of the message before are told
			m.release()
			m.mu.Lock()
		}
		message := p[n:min(n+size, len(p))]
		if err = ep.sendWhole(message); err == nil {
			n += len(message)
		}
	}
	ep.sendTurn.Leave()
	m.release()
	return n, err
}

// sendWhole sends a message and waits until it is sent. Under mu, which it releases
// meanwhile.
func (ep *Endpoint) sendWhole(p []byte) error {
	now := ep.m.now()
	if err := ep.begin(now, uint32(len(p)), p); err != nil {
		return err
	}
	ep.m.settle(now)
	return ep.finish()
}

// begin starts a transmission. Under mu, whose release with Mux.unlock sends what
// can be sent at once.
func (ep *Endpoint) begin(now engine.Time, size uint32, p []byte) error {
	if err := ep.broken(); err != nil {
		return sendError(err)
	}
	if ep.sendDeadline().Exceeded() { // the turn or the source took too long
		return os.ErrDeadlineExceeded
	}
	ep.sendErr = nil
	ep.readySince = now // it may stand in line already, for nothing
	ep.engine.Send(now, size, p)
	ep.m.touch(ep)
	return nil
}

// finish waits for the end of a transmission, and returns how that was. Under mu, which it
// releases while it waits.
func (ep *Endpoint) finish() error {
	for {
		if done, err := ep.result(); done {
			return err
		}
		ep.m.release()
		err := ep.waitSent()
		ep.m.mu.Lock()
		if err != nil {
			return err
		}
	}
}

// result returns how the transmission has ended, if it has. If not, waitSent can
// wait for what comes after this call. Under mu.
func (ep *Endpoint) result() (done bool, err error) {
	switch {
	case ep.engine.Sending():
		ep.sent.Make()
		return false, nil
	case ep.engine.SendResult() == engine.OK:
		return true, nil
	case ep.sendErr != nil:
		return true, ep.sendErr
	case ep.broken() != nil:
		return true, sendError(ep.broken())
	}
	return true, resultError(ep.engine.SendResult(), ep.engine.SendDropped())
}

// sendError is what sending fails with where reading fails with err.
func sendError(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrClosedByPeer
	}
	return err
}

// waitSent waits for a change in the transmission. At the deadline it ends it.
func (ep *Endpoint) waitSent() error {
	if ep.sent.WaitAlone(ep.sendDeadline()) {
		return nil
	}
	return ep.expire()
}

// expire ends a transmission at its deadline.
func (ep *Endpoint) expire() error {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	defer m.unlock(now)
	switch {
	case ep.closed:
		return net.ErrClosed
	case !ep.engine.Sending():
		return nil // it has just ended by itself
	}
	debt := ep.engine.HeldBy(now)
	ep.giveUp(now, engine.Aborted)
	if debt != nil {
		return &OwedError{m.Time(debt.Until())}
	}
	return os.ErrDeadlineExceeded
}

// chunkSize is how much of a streamed message is read from its source at once.
const chunkSize = 16 << 10

var chunks = sync.Pool{New: func() any { return new([2][chunkSize]byte) }}

// SendFrom sends a message of that size read from r, in constant memory. Errors
// are those of Send, and a *SourceError for r's.
func (ep *Endpoint) SendFrom(r io.Reader, size uint32) error {
	m := ep.m
	if err := ep.enter(&ep.sendTurn, ep.sendDeadline()); err != nil {
		return err
	}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		ep.sendTurn.Leave()
	}()
	buffers := chunks.Get().(*[2][chunkSize]byte)
	defer chunks.Put(buffers)

	left := size
	for i := 0; left > 0; i ^= 1 {
		// Two buffers: one is read into while the other is being sent.
		p := buffers[i][:min(left, chunkSize)]
		// Until the First Frame the peer is not waiting. From then on what there is
		// goes out: a slow source may fill a frame in time, but no buffer.
		least := 1
		if left == size {
			least = len(p)
		}
		n, readErr := io.ReadAtLeast(r, p, least)
		p = p[:n]
		switch {
		case n < least:
			ep.abort(engine.SourceFailed)
			if readErr == io.EOF {
				readErr = io.ErrUnexpectedEOF // the message is not complete
			}
			return &SourceError{readErr}
		case left == size:
			now := m.now()
			m.mu.Lock()
			err := ep.begin(now, size, p)
			m.unlock(now)
			if err != nil {
				return err
			}
		default:
			if done, err := ep.supply(p); done {
				return err
			}
		}
		left -= uint32(n)
		// The other buffer is free when only this one is in use.
		if done, err := ep.waitSupplied(left == 0); done {
			return err
		}
	}
	return nil
}

// supply hands over the next part of a message.
func (ep *Endpoint) supply(p []byte) (done bool, err error) {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	if done, err = ep.result(); !done {
		ep.engine.Supply(p)
		m.touch(ep)
	}
	m.unlock(now)
	return done, err
}

// waitSupplied waits until a buffer is free, or until all is sent.
func (ep *Endpoint) waitSupplied(all bool) (done bool, err error) {
	for {
		ep.m.mu.Lock()
		done, err := ep.result()
		free := ep.engine.Supplied() < 2
		ep.m.mu.Unlock()
		if done {
			return true, err
		}
		if ep.sendDeadline().Exceeded() {
			if err := ep.expire(); err != nil {
				return true, err
			}
			continue
		}
		if free && !all {
			return false, nil
		}
		if err := ep.waitSent(); err != nil {
			return true, err
		}
	}
}

// abort ends the transmission, if there is one.
func (ep *Endpoint) abort(why engine.Code) {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	ep.giveUp(now, why)
	m.unlock(now)
}

// giveUp ends the transmission, if there is one. Under mu.
func (ep *Endpoint) giveUp(now engine.Time, why engine.Code) {
	ep.engine.Abort(now, why)
	ep.m.touch(ep) // it may stand in line for that alone
}

// sendDeadline is the deadline of Send: those of Peers have one.
func (ep *Endpoint) sendDeadline() *deadline.Deadline {
	switch {
	case ep.member != nil:
		return &ep.member.peers.writeDeadline
	case ep.beside != nil:
		return &ep.beside.writeDeadline
	}
	return &ep.writeDeadline
}

// broken is why nothing can be sent or, when all is read, read any more. Under mu.
func (ep *Endpoint) broken() error {
	if ep.closed {
		return net.ErrClosed
	}
	return ep.err
}

// refused ends what the frame of that number belongs to: the bus has refused it. Under
// mu.
func (ep *Endpoint) refused(now engine.Time, number uint32, err error) {
	if ep.engine.Transmits(number) {
		ep.sendErr = err
	}
	ep.engine.HandleRefused(now, number)
	ep.m.touch(ep)
	ep.m.retryHeld(now)
}
