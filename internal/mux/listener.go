package mux

import (
	"net"
	"os"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/engine"
)

// A Listener makes an endpoint for each peer of its hosts when a message begins
// and there is none, and so on after that one was closed.
type Listener struct {
	m     *Mux
	hosts []*host
	made  func(*Endpoint)

	live     int             // endpoints not closed yet
	backlog  []*Endpoint     // not accepted yet
	limit    int             // of backlog
	accepted deadline.Signal // there is one, or the end
	deadline deadline.Deadline
	waiting  int // calls of Accept
	closed   bool
	err      error
	stats    ListenerStats
}

// ListenerStats count what has become of the messages that could make an endpoint.
type ListenerStats struct {
	Made    uint64 // endpoints
	Refused uint64 // frames that began a message while the backlog was full
	Stray   uint64 // frames of peers without an endpoint that began none
}

// Listen adds a listener to the bus. Its endpoints are made as ss say, and at most
// backlog of them may wait to be accepted. Each is given to made before anything
// happens to it; made must not call it, but for Pair and Time, but may set its User
// and Observer.
func (m *Mux) Listen(ss []*Spec, backlog int, made func(*Endpoint)) (*Listener, error) {
	l := &Listener{m: m, made: made, limit: backlog}
	l.accepted.Make()
	hosts, err := m.addHosts(ss, l)
	if err != nil {
		return nil, err
	}
	l.hosts = hosts
	return l, nil
}

// admit makes an endpoint, for Accept. Under mu.
func (l *Listener) admit(_ engine.Time, h *host, index uint8) *Endpoint {
	switch {
	case l.closed, l.err != nil: // the reader still has frames where a write has failed
		return nil
	case len(l.backlog) >= l.limit:
		l.stats.Refused++
		return nil
	}
	ep := h.add(l.m, index, l.made)
	ep.unaccepted = true
	l.live++
	l.stats.Made++
	l.backlog = append(l.backlog, ep)
	l.accepted.Set()
	return ep
}

func (l *Listener) waits() bool { return l.waiting > 0 }

func (l *Listener) stray() { l.stats.Stray++ }

// ended follows the closing of an endpoint. Under mu.
func (l *Listener) ended(*Endpoint) (unrouted bool) {
	l.live--
	if l.closed && l.live == 0 {
		l.m.removeRoutes(l.hosts)
		return true
	}
	return false
}

// fail makes Accept fail. Under mu.
func (l *Listener) fail(err error) {
	l.err = err
	l.accepted.Set()
}

// Stats returns the counts so far.
func (l *Listener) Stats() ListenerStats {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.stats
}

// Accept waits for an endpoint that a message has made.
func (l *Listener) Accept() (*Endpoint, error) {
	l.addWaiting(1)
	defer l.addWaiting(-1)
	for {
		// The caller that is woken sets the signal again for the next one, if there is more.
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

func (l *Listener) addWaiting(n int) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.waiting += n
	l.m.look()
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
		ep.unaccepted = false
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
	if l.live == 0 {
		l.m.removeRoutes(l.hosts)
	}
	l.accepted.Set()
	l.m.mu.Unlock()
	l.deadline.Set(past)
	l.m.applyFilters() // see Endpoint.Close
	return waiting, true
}
