package mux

import (
	"net"

	"example.com/isotp/internal/engine"
)

// A Consumer takes the messages of an endpoint as they come, where somebody who
// calls Receive would have to be woken for each.
//
// Its calls are made by whoever has brought the last frame, one at a time, in the
// order of the messages, without a lock: but it must not wait for anything, as
// frames wait meanwhile. It must not close the endpoint either: that may have to
// wait for those frames.
type Consumer interface {
	// Message takes a message, whose bytes are good until it returns, and when its
	// last frame came; or with nil bytes an error of Receive. After one that is no ResultError there are no
	// more calls, and there are none once the endpoint is closed.
	Message(at engine.Time, p []byte, err error)
}

// consumption is what an endpoint with a Consumer has more than others.
type consumption struct {
	by    Consumer
	isDue bool
	next  *Endpoint // in consumers.due
}

// consumers are those who have not been given all there is yet.
type consumers struct {
	due     line
	running bool
}

func (c *consumers) init() {
	c.due.next = func(ep *Endpoint) **Endpoint { return &ep.consumption.next }
}

// Consume gives all messages to a Consumer, those that wait first. Receive, Open,
// Await and Drain must not be called then.
func (ep *Endpoint) Consume(by Consumer) error {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	if ep.closed {
		m.mu.Unlock()
		return net.ErrClosed
	}
	ep.consumption = &consumption{by: by}
	ep.reading = engine.ReadMessages
	ep.engine.SetReading(now, ep.reading)
	ep.consume()
	m.touch(ep)
	m.unlock(now)
	return nil
}

// consume has the consumer called when the lock is released. Under mu.
func (ep *Endpoint) consume() {
	if c := ep.consumption; !c.isDue {
		c.isDue = true
		ep.m.consumers.due.push(ep)
	}
}

// wanted reports whether run has something to do. Under mu.
func (c *consumers) wanted() bool { return c.due.first != nil && !c.running }

// run calls those who are due. Only one goroutine does at a time, so that the order
// is kept. It is called without mu.
func (c *consumers) run(m *Mux) {
	m.mu.Lock()
	if c.running {
		m.mu.Unlock()
		return
	}
	c.running = true
	for {
		ep := c.due.pop()
		if ep == nil {
			break
		}
		ep.consumption.isDue = false
		ep.consumeAll()
		if !ep.engine.FlowControlPending() {
			continue
		}
		// It was held back for lack of room. While it is written running is true,
		// or what comes of it could be consumed in there, and so on.
		now := m.now()
		m.touch(ep)
		m.serve(now)
		if m.writer.wanted() {
			m.mu.Unlock()
			m.writer.run(now)
			m.mu.Lock()
		}
	}
	c.running = false
	m.mu.Unlock()
}

// consumeAll gives the consumer what there is, and at last the error. Under mu,
// which it releases for the calls.
func (ep *Endpoint) consumeAll() {
	by := ep.consumption.by
	for !ep.closed {
		p, info, why, ok := ep.engine.First()
		ep.engine.ReadWaiting = !ok
		var err error
		switch {
		case why != engine.OK:
			err = ResultError(why)
		case !ok && ep.err == nil:
			return
		case !ok:
			err, ep.consumption.by = ep.err, nobody{}
		}
		ep.m.mu.Unlock()
		by.Message(info.Last, p, err)
		ep.m.mu.Lock()
		if !ok {
			return
		}
		if !ep.closed {
			ep.engine.RemoveFirst()
		}
	}
}

// nobody is the Consumer of an endpoint whose own one has had the last call.
type nobody struct{}

func (nobody) Message(engine.Time, []byte, error) {}
