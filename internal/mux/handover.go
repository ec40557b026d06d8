package mux

import (
	"net"
	"os"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// HandOver is Send for those who must know, when it fails, whether the peer may
// have got the message all the same: handed is true once its last frame was given
// to the bus, or is about to be. A message whose deadline comes after that is not
// aborted, as it may be on the wire already: it goes its way, and the next HandOver
// waits until it has ended. Who uses HandOver must not use Send nor SendFrom.
func (ep *Endpoint) HandOver(format *wire.Format, p []byte) (handed bool, err error) {
	if err := ep.enter(&ep.sendTurn, &ep.writeDeadline); err != nil {
		return false, err
	}
	handed, err = ep.handOver(format, p)
	ep.sendTurn.Leave()
	ep.m.mu.Unlock()
	return handed, err
}

// handOver is called with mu locked, and so it returns.
func (ep *Endpoint) handOver(format *wire.Format, p []byte) (handed bool, err error) {
	for { // until the last one has ended
		if done, _ := ep.result(); done {
			break
		}
		if !ep.awaitSent() {
			return false, ep.tooLate()
		}
	}
	m := ep.m
	now := m.now()
	if err := ep.begin(now, format, uint32(len(p)), p); err != nil {
		return false, err
	}
	m.unlock(now)
	m.mu.Lock()
	for {
		done, err := ep.result()
		switch {
		case done:
			return err == nil || ep.engine.GivenOut(), err
		case ep.awaitSent():
			continue
		case !ep.engine.Sending():
			continue // it has just ended by itself
		}
		if handed = ep.engine.GivenOut(); !handed {
			ep.engine.Abort(m.now(), engine.Aborted)
		}
		return handed, ep.tooLate()
	}
}

// awaitSent waits for a change in the transmission. It reports false at the
// deadline. It is called with mu locked, and so it returns.
func (ep *Endpoint) awaitSent() bool {
	ep.m.mu.Unlock()
	defer ep.m.mu.Lock()
	return ep.sent.Wait(&ep.writeDeadline)
}

// tooLate is the error of a deadline: Close makes it come too. Under mu.
func (ep *Endpoint) tooLate() error {
	if ep.closed {
		return net.ErrClosed
	}
	return os.ErrDeadlineExceeded
}
