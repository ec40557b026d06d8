package mux

import (
	"net"
	"os"

	"example.com/isotp/internal/engine"
)

// Receive copies the next bytes of a message to p, which must not be empty, and
// waits for them if there are none. end reports that the message ends with them.
// Errors: a ResultError, os.ErrDeadlineExceeded, net.ErrClosed, and when all is
// read io.EOF (the other end has gone) or the bus's error.
func (ep *Endpoint) Receive(p []byte, how engine.Reading) (n int, info engine.Info, end bool, err error) {
	if err = ep.take(&ep.readTurn, &ep.readDeadline); err != nil {
		return 0, engine.Info{}, false, err
	}
	defer ep.leave(&ep.readTurn)
	for {
		var ok bool
		if n, info, end, ok, err = ep.receive(p, how); ok || err != nil {
			return n, info, end, err
		}
		if err = ep.waitReadable(); err != nil {
			return 0, engine.Info{}, false, err
		}
	}
}

// Open waits for the next message to begin; Receive then gives its bytes as they
// come. See engine.Open.
func (ep *Endpoint) Open() (info engine.Info, err error) {
	if err = ep.take(&ep.readTurn, &ep.readDeadline); err != nil {
		return engine.Info{}, err
	}
	defer ep.leave(&ep.readTurn)
	for {
		var ok bool
		if info, ok, err = ep.open(); ok || err != nil {
			return info, err
		}
		if err = ep.waitReadable(); err != nil {
			return engine.Info{}, err
		}
	}
}

func (ep *Endpoint) receive(p []byte, how engine.Reading) (n int, info engine.Info, end, ok bool, err error) {
	ep.m.mu.Lock()
	if ep.closed {
		ep.m.mu.Unlock()
		return 0, engine.Info{}, false, false, net.ErrClosed
	}
	ep.setReading(how)
	n, info, end, why, ok := ep.engine.Read(p)
	return n, info, end, ok, ep.afterRead(ok, why)
}

func (ep *Endpoint) open() (info engine.Info, ok bool, err error) {
	ep.m.mu.Lock()
	if ep.closed {
		ep.m.mu.Unlock()
		return engine.Info{}, false, net.ErrClosed
	}
	ep.setReading(engine.ReadStreams)
	info, why, ok := ep.engine.Open()
	return info, ok, ep.afterRead(ok, why)
}

// setReading is engine.SetReading, which seldom changes anything. Under mu.
func (ep *Endpoint) setReading(how engine.Reading) {
	if how != ep.reading {
		ep.reading = how
		ep.engine.SetReading(ep.m.now(), how)
	}
}

// afterRead returns the error of a read, releases mu, and sends the flow control
// that was held back for lack of room.
func (ep *Endpoint) afterRead(ok bool, why engine.Code) (err error) {
	switch {
	case why != engine.OK:
		err = ResultError(why)
	case !ok:
		err = ep.err
	}
	ep.engine.ReadWaiting = !ok
	ep.readable.made(!ok)
	if !ep.engine.FlowControlPending() {
		ep.m.mu.Unlock()
		return err
	}
	now := ep.m.now()
	ep.m.touch(ep)
	ep.m.unlock(now)
	return err
}

// waitReadable waits for something to read.
func (ep *Endpoint) waitReadable() error {
	select {
	case <-ep.readable.c:
		return nil
	default:
	}
	select {
	case <-ep.readable.c:
		return nil
	case <-ep.readDeadline.Wait():
	}
	ep.m.mu.Lock()
	defer ep.m.mu.Unlock()
	ep.engine.ReadWaiting = false
	if ep.closed {
		return net.ErrClosed
	}
	return os.ErrDeadlineExceeded
}
