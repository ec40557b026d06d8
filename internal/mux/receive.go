package mux

import (
	"net"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/engine"
)

// Receive copies the next bytes of a message to p, which must not be empty, and
// waits for them if there are none. Info.End reports that the message ends with them.
//
// Errors: a ResultError or a *DroppedResult, a *DroppedError, os.ErrDeadlineExceeded,
// net.ErrClosed, and when all is read io.EOF (the other end has gone) or the bus's error.
func (ep *Endpoint) Receive(p []byte, how engine.Reading) (n int, info engine.Info, err error) {
	info, err = ep.read(how, func() (info engine.Info, ok bool) {
		n, info, ok = ep.engine.Read(p)
		return info, ok
	})
	return n, info, err
}

// Open waits for the next message to begin; Receive then gives its bytes as they
// come. See engine.Open.
func (ep *Endpoint) Open() (engine.Info, error) { return ep.read(engine.ReadStreams, ep.engine.Open) }

// Await waits for the next message to begin, or returns it at once if there is one.
// It reads nothing.
func (ep *Endpoint) Await() (engine.Info, error) {
	return ep.read(engine.ReadUndecided, ep.engine.Begun)
}

// Drain throws away what has come: see engine.Drain.
func (ep *Endpoint) Drain() (messages int, err error) {
	m := ep.m
	m.mu.Lock()
	if ep.closed {
		m.mu.Unlock()
		return 0, net.ErrClosed
	}
	messages = ep.engine.Drain()
	m.wasRead(ep)
	m.touch(ep) // a read may be waiting beyond its deadline, or a flow control
	m.unlock(m.now())
	return messages, nil
}

// Progress returns how much of the messages has come and gone that are under way.
func (ep *Endpoint) Progress() (received, sent engine.Progress) {
	ep.m.mu.Lock()
	defer ep.m.mu.Unlock()
	return ep.engine.Receiving(), ep.engine.SendingProgress()
}

// A taker takes what there is to be read; ok is false if there is nothing.
type taker func() (info engine.Info, ok bool)

// read calls take, under mu, until there is something. How says how messages are
// read from now on; ReadUndecided: as before.
func (ep *Endpoint) read(how engine.Reading, take taker) (engine.Info, error) {
	m := ep.m
	if err := ep.enter(&ep.readTurn, &ep.readDeadline); err != nil {
		return engine.Info{}, err
	}
	for {
		info, done, err := ep.tryRead(how, take)
		until := &ep.readDeadline
		if done {
			ep.readTurn.Leave()
		} else {
			ep.readable.Make()
			if goesOn, late := ep.beyondDeadline(); late && goesOn {
				until = new(deadline.Deadline)
			}
		}
		ep.unlockAfterRead()
		if done {
			return info, err
		}
		inTime := ep.readable.WaitAlone(until)
		m.mu.Lock()
		if goesOn, late := ep.beyondDeadline(); late {
			inTime = goesOn
		}
		if !inTime {
			ep.engine.StopWaiting()
			ep.readTurn.Leave()
			m.mu.Unlock()
			return engine.Info{}, ep.exceeded()
		}
	}
}

// beyondDeadline reports, where messages can extend deadlines, whether that of reading
// has come, and whether a read that waits goes on. Then what ends the message wakes it,
// or what sets the deadline anew. Under mu.
func (ep *Endpoint) beyondDeadline() (goesOn, late bool) {
	if ep.closed || !ep.engine.Extendable() || !ep.readDeadline.Exceeded() {
		return false, false
	}
	return ep.m.extends(&ep.readDeadline, ep.engine.BegunBy), true
}

// tryRead calls take, and reports whether there was something, or is an error
// instead. Under mu.
func (ep *Endpoint) tryRead(how engine.Reading, take taker) (info engine.Info, done bool, err error) {
	if ep.closed {
		return info, true, net.ErrClosed
	}
	if how != ep.reading && how != engine.ReadUndecided { // seldom
		ep.reading = how
		ep.engine.SetReading(ep.m.now(), how)
	}
	if ep.drops.news(ep.m) && !ep.engine.InMidMessage() {
		ep.engine.StopWaiting()
		return info, true, ep.drops.tell(ep.m)
	}
	info, ok := take()
	ep.m.wasRead(ep)
	switch {
	case info.Why != engine.OK:
		return info, true, resultError(info.Why, info.Dropped)
	case !ok:
		return info, ep.err != nil, ep.err
	}
	return info, true, nil
}

// unlockAfterRead releases mu, and sends the flow control that was held back for
// lack of room, here or for others of the same host.
func (ep *Endpoint) unlockAfterRead() {
	m := ep.m
	if !ep.engine.FlowControlPending() && len(m.touched) == 0 {
		m.mu.Unlock()
		return
	}
	m.touch(ep)
	m.unlock(m.now())
}
