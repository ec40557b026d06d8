package mux

import (
	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// A role says what a frame is to the endpoint that it is routed to.
type role uint8

const (
	physical   role = iota // from the peer
	functional             // from any node to a group
	overheard              // from us to the peer, heard by an endpoint that only listens
	owing                  // from the peer of a pair that was closed and is owed a flow control
)

// A route leads from an address to an endpoint, or to a host, which has one for
// each of its peers from time to time.
type route struct {
	addr     wire.Address
	role     role
	endpoint *Endpoint
	host     *host
	debt     *engine.Debt // of the role owing
}

// A key is what frames are looked up by: the bits of the identifier that an address
// compares, and bit 31 for identifiers of 29 bits.
type key uint32

const extendedKey key = 1 << 31

func keyOf(id uint32, extended bool) key {
	if extended {
		return key(id) | extendedKey
	}
	return key(id)
}

// routes finds the endpoints that a frame is for, in the same time for one endpoint and
// for ten thousand.
type routes struct {
	tables  [wire.NumOpen]map[key][]route // by what their addresses leave open
	hosts   int                           // how many routes lead to one
	changes uint32                        // counts them, from 1

	// The last identifier looked up: messages come in rows of frames.
	last      key
	lastFound []route
	lastValid bool
}

func (r *routes) init() {
	for i := range r.tables {
		r.tables[i] = make(map[key][]route)
	}
	r.changed()
}

func (r *routes) changed() {
	r.lastValid = false
	r.changes++
}

// table returns where routes like this one are.
func (r *routes) table(rt route) (map[key][]route, key) {
	a := rt.addr
	return r.tables[a.Open], keyOf(a.ID&a.Mask(), a.Extended)
}

func (r *routes) add(rt route) {
	t, k := r.table(rt)
	t[k] = append(t[k], rt)
	if rt.host != nil {
		r.hosts++
	}
	r.changed()
}

func (r *routes) remove(rt route) {
	t, k := r.table(rt)
	if rt.host != nil {
		r.hosts--
	}
	var rest []route // a copy: deliver may be going through the old one
	for _, other := range t[k] {
		if other != rt {
			rest = append(rest, other)
		}
	}
	if t[k] = rest; rest == nil {
		delete(t, k)
	}
	r.changed()
}

// find returns the routes by identifier; deliver looks at the address bytes.
func (r *routes) find(f *canbus.Frame) []route {
	k := keyOf(f.ID, f.Has(canbus.Extended))
	if r.lastValid && k == r.last {
		return r.lastFound
	}
	var found []route
	for open, t := range r.tables {
		if len(t) > 0 {
			a := wire.Address{ID: f.ID, Extended: k&extendedKey != 0, Open: wire.Open(open)}
			found = both(found, t[keyOf(a.ID&a.Mask(), a.Extended)])
		}
	}
	r.last, r.lastFound, r.lastValid = k, found, true
	return found
}

// both returns the routes of both, without a copy where one has none.
func both(a, b []route) []route {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	return append(a[:len(a):len(a)], b...)
}

// filters returns what is to be received, and whether that can be said with a
// reasonable number of filters.
func (r *routes) filters() ([]canbus.Filter, bool) {
	count := 0
	for _, t := range r.tables {
		count += len(t)
	}
	if count > maxFilters {
		return []canbus.Filter{{}, {Extended: true}}, false
	}
	filters := make([]canbus.Filter, 0, count)
	for _, t := range r.tables {
		for _, found := range t {
			filters = append(filters, found[0].addr.Filter())
		}
	}
	return filters, true
}

// maxFilters is what Linux takes; beyond it every frame is received.
const maxFilters = 512

// eachHost calls f with what has an endpoint for each peer, perhaps more than once. Under
// mu.
func (r *routes) eachHost(f func(*host)) {
	for _, t := range r.tables {
		for _, found := range t {
			for _, rt := range found {
				if rt.host != nil {
					f(rt.host)
				}
			}
		}
	}
}

// deliver hands the first of the frames to every endpoint that it is for, but for the one of
// ours that it is from. If it is for one endpoint only, that gets the run of frames after it
// in the same call. deliver returns how many frames it has delivered. Under mu.
func (m *Mux) deliver(now engine.Time, frames []canbus.Frame, from *Endpoint) int {
	f := &frames[0]
	if f.Has(canbus.ErrorFrame) || f.Has(canbus.Remote) {
		return 1
	}
	found := m.routes.find(f)
	run := frames[:1]
	for i := range found {
		rt := &found[i] // a copy of each would cost as much as what is done with it
		if !rt.addr.MatchByte(f) {
			continue
		}
		if rt.role == owing {
			rt.handleOwed(now, f)
			continue
		}
		ep := rt.endpoint
		if rt.host != nil {
			if ep = rt.host.endpoint(now, f, rt); ep == nil {
				continue
			}
		}
		if ep == from {
			continue
		}
		if ep.member != nil {
			ep.member.usedAt = now
		}
		if len(found) == 1 && m.takesRuns(ep, rt) {
			run = runOf(frames)
		}
		ep.reportFrame(now, f, FrameReceived)
		switch rt.role {
		case physical:
			ep.engine.HandleFrames(now, run, false)
		case functional:
			ep.engine.HandleFrames(now, run, true)
		case overheard:
			ep.engine.HandleOverheard(now, f)
		}
		m.touch(ep)
		if m.frameTime.used {
			m.frameTime.next = min(m.frameTime.next, ep.engine.Elapse(now))
		}
	}
	return len(run)
}

// takesRuns reports whether nothing but its engine looks at the frames that reach the
// endpoint by that route. Under mu.
func (m *Mux) takesRuns(ep *Endpoint, rt *route) bool {
	return rt.role != overheard && !rt.addr.HasByte && ep.Observer == nil && !m.frameTime.used
}

// runOf returns the first of the frames, and those after it that have its identifier and its
// flags, and so go the same way.
func runOf(frames []canbus.Frame) []canbus.Frame {
	f := &frames[0]
	for i := range frames[1:] {
		if next := &frames[i+1]; next.ID != f.ID || next.Flags != f.Flags {
			return frames[:i+1]
		}
	}
	return frames
}

// applyFilters tells the bus what to receive, if it asks for that.
func (m *Mux) applyFilters() error {
	setter, ok := canbus.As[canbus.FilterSetter](m.bus)
	if !ok {
		return nil
	}
	m.filterMu.Lock()
	defer m.filterMu.Unlock()
	m.mu.Lock()
	filters, exact := m.routes.filters()
	m.mu.Unlock()
	if m.filtersOff && !exact {
		return nil
	}
	err := setter.SetFilters(filters)
	m.filtersOff = err == nil && !exact
	return err
}
