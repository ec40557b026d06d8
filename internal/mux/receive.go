package mux

import (
	"net"

	"example.com/isotp/internal/engine"
)

// Receive copies the next bytes of a message to p, which must not be empty, and
// waits for them if there are none. end reports that the message ends with them.
// Errors: a ResultError, os.ErrDeadlineExceeded, net.ErrClosed, and when all is
// read io.EOF (the other end has gone) or the bus's error.
func (ep *Endpoint) Receive(p []byte, how engine.Reading) (n int, info engine.Info, end bool, err error) {
	err = ep.read(how, func() (why engine.Code, ok bool) {
		n, info, end, why, ok = ep.engine.Read(p)
		return why, ok
	})
	return n, info, end, err
}

// Open waits for the next message to begin; Receive then gives its bytes as they
// come. See engine.Open.
func (ep *Endpoint) Open() (info engine.Info, err error) {
	err = ep.read(engine.ReadStreams, func() (why engine.Code, ok bool) {
		info, why, ok = ep.engine.Open()
		return why, ok
	})
	return info, err
}

// read calls take, under mu, until there is something.
func (ep *Endpoint) read(how engine.Reading, take func() (why engine.Code, ok bool)) error {
	m := ep.m
	if err := ep.enter(&ep.readTurn, &ep.readDeadline); err != nil {
		return err
	}
	for {
		done, err := ep.tryRead(how, take)
		if done {
			ep.readTurn.Leave()
		} else {
			ep.readable.Make()
		}
		ep.unlockAfterRead()
		if done {
			return err
		}
		inTime := ep.readable.Wait(&ep.readDeadline)
		m.mu.Lock()
		if !inTime {
			ep.engine.ReadWaiting = false
			ep.readTurn.Leave()
			m.mu.Unlock()
			return ep.exceeded()
		}
	}
}

// tryRead calls take, and reports whether there was something, or is an error
// instead. Under mu.
func (ep *Endpoint) tryRead(how engine.Reading, take func() (why engine.Code, ok bool)) (done bool, err error) {
	if ep.closed {
		return true, net.ErrClosed
	}
	if how != ep.reading { // seldom
		ep.reading = how
		ep.engine.SetReading(ep.m.now(), how)
	}
	why, ok := take()
	ep.engine.ReadWaiting = !ok
	switch {
	case why != engine.OK:
		return true, ResultError(why)
	case !ok:
		return ep.err != nil, ep.err
	}
	return true, nil
}

// unlockAfterRead releases mu, and sends the flow control that was held back for
// lack of room.
func (ep *Endpoint) unlockAfterRead() {
	m := ep.m
	if !ep.engine.FlowControlPending() {
		m.mu.Unlock()
		return
	}
	m.touch(ep)
	m.unlock(m.now())
}
