package mux

import (
	"net"
	"os"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// A Listener makes an endpoint of one pair of addresses when a message begins and
// there is none, and so on after that one was closed.
type Listener struct {
	m      *Mux
	spec   Spec
	routes []route
	made   func(*Endpoint)

	current  *Endpoint
	backlog  []*Endpoint     // not accepted yet
	accepted deadline.Signal // there is one, or the end
	deadline deadline.Deadline
	closed   bool
	err      error
}

// Listen adds a listener to the bus. Its endpoints are made as s says. Each is
// given to made before anything happens to it; made must not call it, but may set
// its User and Observer.
func (m *Mux) Listen(s *Spec, made func(*Endpoint)) (*Listener, error) {
	l := &Listener{m: m, spec: *s, made: made}
	l.accepted.Make()
	m.mu.Lock()
	if m.err != nil {
		defer m.mu.Unlock()
		return nil, m.err
	}
	if err := m.routes.refuse(s); err != nil {
		m.mu.Unlock()
		return nil, err
	}
	l.routes = s.routes()
	for i := range l.routes {
		l.routes[i].listener = l
		m.routes.add(l.routes[i])
	}
	m.mu.Unlock()
	if err := m.applyFilters(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// endpoint returns the endpoint that a frame is for, and makes it if the frame
// begins a message. Under mu.
func (l *Listener) endpoint(now engine.Time, f *canbus.Frame, rt route) *Endpoint {
	if l.current != nil || l.closed {
		return l.current
	}
	var p wire.PDU
	if p.Parse(f, rt.addr.Overhead()) != wire.OK {
		return nil
	}
	if p.Kind != wire.SingleFrame && (p.Kind != wire.FirstFrame || rt.role != physical) {
		return nil
	}
	l.current = l.m.newEndpoint(&l.spec, l.made)
	l.current.listener = l
	l.backlog = append(l.backlog, l.current)
	l.accepted.Set()
	return l.current
}

// ended follows the closing of an endpoint. It reports whether routes went with
// it. Under mu.
func (l *Listener) ended(ep *Endpoint) bool {
	if l.current != ep {
		return false
	}
	l.current = nil
	if l.closed {
		l.removeRoutes()
	}
	return l.closed
}

// fail makes Accept fail. Under mu.
func (l *Listener) fail(err error) {
	l.err = err
	l.accepted.Set()
}

// Accept waits for an endpoint that a message has made.
func (l *Listener) Accept() (*Endpoint, error) {
	for {
		// Whoever is woken leaves the signal to the next one, if there is more.
		if ep, err := l.next(); ep != nil || err != nil {
			return ep, err
		}
		if l.accepted.Wait(&l.deadline) {
			continue
		}
		if l.isClosed() {
			return nil, net.ErrClosed
		}
		return nil, os.ErrDeadlineExceeded
	}
}

// SetDeadline sets the deadline of Accept; net.ErrClosed.
func (l *Listener) SetDeadline(t time.Time) error {
	l.deadline.Set(t)
	if l.isClosed() {
		l.deadline.Set(past) // Close may have done so before
		return net.ErrClosed
	}
	return nil
}

func (l *Listener) isClosed() bool {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.closed
}

func (l *Listener) next() (ep *Endpoint, err error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	switch {
	case l.closed:
		return nil, net.ErrClosed
	case l.deadline.Exceeded():
		return nil, os.ErrDeadlineExceeded
	case len(l.backlog) > 0:
		ep, l.backlog = l.backlog[0], l.backlog[1:]
	default:
		err = l.err
	}
	if len(l.backlog) > 0 || err != nil {
		l.accepted.Set()
	}
	return ep, err
}

// Close ends the listener. The endpoints accepted live on; those that were not are
// returned, for the caller to close. It reports false if the listener was closed
// before.
func (l *Listener) Close() (waiting []*Endpoint, ok bool) {
	l.m.mu.Lock()
	if l.closed {
		l.m.mu.Unlock()
		return nil, false
	}
	l.closed = true
	waiting, l.backlog = l.backlog, nil
	if l.current == nil {
		l.removeRoutes()
	}
	l.accepted.Set()
	l.m.mu.Unlock()
	l.deadline.Set(past)
	l.m.applyFilters() // see Endpoint.Close
	return waiting, true
}

// removeRoutes is called when neither the listener nor its endpoint wants frames
// any more. Under mu.
func (l *Listener) removeRoutes() {
	for _, rt := range l.routes {
		l.m.routes.remove(rt)
	}
}
