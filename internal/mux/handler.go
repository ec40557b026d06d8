package mux

import (
	"net"
	"os"

	"example.com/isotp/internal/engine"
)

// A Handler receives an endpoint's messages and send results by callback, which saves
// the goroutine wake-up per message that Receive and Send need.
//
// Calls run on the goroutine that caused them, or on one that already runs handlers of
// this Mux: one at a time, in the order of the messages, without a lock. A Handler may
// call Start and Recall, but it must not wait for anything, as frames wait meanwhile. It
// must not close the endpoint either: that may have to wait for those frames.
type Handler interface {
	// Message takes a message of at most 65535 bytes, which are valid until it returns,
	// and when its last frame came. With nil bytes it takes an error of Receive. An
	// error that is no ResultError is the last call. net.ErrClosed says that the
	// endpoint was closed.
	Message(at engine.Time, p []byte, err error)

	// Sent follows each Start, once, perhaps before Start returns; at is when it was
	// noticed that the message has ended. The error is one of Send, or
	// os.ErrDeadlineExceeded if Recall has taken it back. handed: the peer may have got
	// the message, whatever the error is. The message's bytes are free.
	Sent(at engine.Time, handed bool, err error)
}

// handling is what an endpoint with a Handler has more than others.
type handling struct {
	by    Handler
	isDue bool
	next  *Endpoint // in handlers.due

	failed bool // it was told of the error that Message is told of last

	out    outgoing // but see Endpoint.outgoing
	handed bool     // what Sent is to be told, while out is outgoingEnded
	err    error
}

// The states of the message given to Start, and what takes it from one to another:
//
//	none     Start: waiting; or ended, if the endpoint is closed, its deadline has come
//	         or the bus has failed
//	waiting  for its turn, for room on the bus, or for the end of a debt. Its first
//	         frame is handed over to the writer: left; Recall: ended, with
//	         os.ErrDeadlineExceeded or an *OwedError
//	left     the last frame is on the wire: ended, sent; Recall reports that it has
//	         left, and changes nothing
//	ended    Handler.Sent is called: none
//
// Both waiting and left end, aborted, when the endpoint is closed, when the bus fails, and
// by the protocol: the peer's flow control or its absence, a frame that the bus refuses,
// N_As over.
type outgoing uint8

const (
	outgoingNone outgoing = iota
	outgoingWaiting
	outgoingLeft
	outgoingEnded
)

// outgoing returns the state of the message given to Start. The engine knows whether a
// frame of it was handed over. Under mu.
func (ep *Endpoint) outgoing() outgoing {
	h := ep.handling
	if h.out == outgoingWaiting && ep.engine.Started() {
		return outgoingLeft
	}
	return h.out
}

// handlers are the endpoints whose Handlers have not been told yet of all there is.
type handlers struct {
	due     line
	running bool
}

func (h *handlers) init() {
	h.due.next = func(ep *Endpoint) **Endpoint { return &ep.handling.next }
}

// Handle gives all messages to a Handler, those that wait first, and lets Start be
// called. None of Receive, Open, Await, Drain, Send and SendFrom must be called then.
func (ep *Endpoint) Handle(by Handler) error {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	if ep.closed {
		m.mu.Unlock()
		return net.ErrClosed
	}
	ep.handling = &handling{by: by}
	ep.engine.Plain = true
	ep.reading = engine.ReadMessages
	ep.engine.SetReading(now, ep.reading)
	ep.handle()
	m.touch(ep)
	m.unlock(now)
	return nil
}

// Start sends a message to the peer. It does not wait: Handler.Sent is called when the
// message has ended, and not before may Start be called again. Until then p is used.
func (ep *Endpoint) Start(p []byte) {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	ep.handling.out = outgoingWaiting
	if err := ep.begin(now, uint32(len(p)), p); err != nil {
		ep.endOutgoing(false, err)
	}
	m.unlock(now)
}

// Recall takes back the message given to Start if none of its frames was given to the
// bus, nor is about to be: Handler.Sent is called soon, with os.ErrDeadlineExceeded, or
// an *OwedError if the message has waited for what is owed. If one was, Recall reports
// that the message has left: then it goes its way, and Handler.Sent tells how that ends.
// A message that has just ended by itself is left alone; Handler.Sent is told of that.
//
// givenUp: the message will not be sent again, so that one that has waited for what is
// owed is counted as aborted. Nothing else is.
func (ep *Endpoint) Recall(givenUp bool) (left bool) {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	switch ep.outgoing() {
	case outgoingWaiting:
		ep.retract(now, givenUp)
	case outgoingLeft:
		left = true
	}
	m.unlock(now)
	return left
}

// retract ends a message of which nothing has left. Under mu.
func (ep *Endpoint) retract(now engine.Time, givenUp bool) {
	err := os.ErrDeadlineExceeded
	if debt := ep.engine.HeldBy(now); debt != nil {
		err = &OwedError{ep.m.Time(debt.Until())}
		if givenUp {
			ep.endOutgoing(false, err)
			ep.giveUp(now, engine.Aborted)
			return
		}
	}
	if ep.engine.Retract() {
		ep.endOutgoing(false, err)
		ep.m.touch(ep)
	}
}

// endOutgoing has Sent called. Under mu.
func (ep *Endpoint) endOutgoing(handed bool, err error) {
	h := ep.handling
	h.out, h.handed, h.err = outgoingEnded, handed, err
	ep.handle()
}

// sendDone follows the end of a transmission. Under mu.
func (ep *Endpoint) sendDone() {
	if ep.handling.out != outgoingWaiting {
		return
	}
	if done, err := ep.result(); done {
		mayHave := ep.engine.HandedOver() && ep.engine.SendResult() != engine.Refused
		ep.endOutgoing(err == nil || mayHave, err)
	}
}

// handle has the handler called when the lock is released. Under mu.
func (ep *Endpoint) handle() {
	if h := ep.handling; !h.isDue {
		h.isDue = true
		ep.m.handlers.due.push(ep)
	}
}

// wanted reports whether run has something to do. Under mu.
func (h *handlers) wanted() bool { return h.due.first != nil && !h.running }

// maxHandled is how many endpoints one goroutine handles in a row: it is a user's, the
// reader, the timers' or the writer's, and has other things to do.
const maxHandled = 64

// run calls the Handlers that are due, if wanted has just said so: only one goroutine does
// at a time, so that the order is kept. Under mu, which it releases for the calls and to write.
func (h *handlers) run(m *Mux, now engine.Time) {
	h.running = true
	for handled := 0; h.due.first != nil; handled++ {
		if handled == maxHandled {
			go m.handleRest()
			break
		}
		if handled > 0 {
			now = m.now() // the calls before may have written
		}
		ep := h.due.pop()
		ep.handling.isDue = false
		ep.handleSent(now)
		ep.handleMessages()
		if !ep.engine.FlowControlPending() {
			continue
		}
		// There was no room for more until now. While this is written running is
		// true, or what comes of it could be handled in there, and so on.
		now = m.now()
		m.touch(ep)
		m.serve(now)
		if m.writer.wanted() {
			m.writer.run(now)
		}
	}
	h.running = false
}

// handleRest goes on where run has stopped.
func (m *Mux) handleRest() {
	m.mu.Lock()
	m.unlock(m.now())
}

// handleSent tells the handler what has become of the message that it sent. Under mu,
// which it releases for the call.
func (ep *Endpoint) handleSent(now engine.Time) {
	h := ep.handling
	if h.out != outgoingEnded {
		return
	}
	h.out = outgoingNone
	handed, err := h.handed, h.err
	ep.m.mu.Unlock()
	h.by.Sent(now, handed, err)
	ep.m.mu.Lock()
}

// handleMessages gives the handler what there is, and at last the error. Under mu,
// which it releases for the calls.
func (ep *Endpoint) handleMessages() {
	h := ep.handling
	for !h.failed {
		p, info, ok := ep.engine.First()
		var err error
		switch {
		case ep.closed:
			h.failed = true
			p, err = nil, net.ErrClosed
		case info.Why != engine.OK:
			err = resultError(info.Why, info.Dropped)
		case !ok && ep.err == nil:
			return
		case !ok:
			h.failed = true
			err = ep.err
		}
		ep.m.mu.Unlock()
		h.by.Message(info.Last, p, err)
		ep.m.mu.Lock()
		if ok && !ep.closed {
			ep.engine.RemoveFirst()
		}
	}
}
