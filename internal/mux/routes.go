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
	functional             // from anyone to a group
	overheard              // from us to the peer, heard by who only listens
)

// A route leads from an address to an endpoint, or to a listener, which has an
// endpoint from time to time.
type route struct {
	addr     wire.Address
	role     role
	endpoint *Endpoint
	listener *Listener
	// answers names the pair if flow control is sent for what comes this way:
	// no other may do so too.
	answers string
}

// A key is what frames are looked up by: the identifier, and bit 31 for those of
// 29 bits. Without the priority bits in the table for addresses that leave these
// open.
type key uint32

const (
	extendedKey  key = 1 << 31
	priorityBits key = 7 << 26
)

func keyOf(id uint32, extended bool) key {
	if extended {
		return key(id) | extendedKey
	}
	return key(id)
}

// routes finds out for whom a frame is, in the same time for one endpoint and
// for ten thousand.
type routes struct {
	exact       map[key][]route
	anyPriority map[key][]route
	listeners   int // how many routes lead to one

	// The last identifier looked up: messages come in rows of frames.
	last      key
	lastFound []route
	lastValid bool
}

func (r *routes) init() {
	r.exact = make(map[key][]route)
	r.anyPriority = make(map[key][]route)
}

func (r *routes) table(a wire.Address) (map[key][]route, key) {
	k := keyOf(a.ID, a.Extended)
	if a.AnyPriority {
		return r.anyPriority, k &^ priorityBits
	}
	return r.exact, k
}

func (r *routes) add(rt route) {
	t, k := r.table(rt.addr)
	t[k] = append(t[k], rt)
	if rt.listener != nil {
		r.listeners++
	}
	r.lastValid = false
}

func (r *routes) remove(rt route) {
	t, k := r.table(rt.addr)
	if rt.listener != nil {
		r.listeners--
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
	r.lastValid = false
}

// find returns the routes by identifier; deliver looks at the address bytes.
func (r *routes) find(f *canbus.Frame) []route {
	k := keyOf(f.ID, f.Has(canbus.Extended))
	if r.lastValid && k == r.last {
		return r.lastFound
	}
	found := r.exact[k]
	if len(r.anyPriority) > 0 && k&extendedKey != 0 {
		if more := r.anyPriority[k&^priorityBits]; len(more) > 0 {
			found = append(found[:len(found):len(found)], more...)
		}
	}
	r.last, r.lastFound, r.lastValid = k, found, true
	return found
}

// answered returns the name of a pair that would answer the same frames as one
// that listens on a.
func (r *routes) answered(a wire.Address) (name string, found bool) {
	look := func(routes []route) {
		for _, rt := range routes {
			if rt.answers != "" && !(rt.addr.HasByte && a.HasByte && rt.addr.Byte != a.Byte) {
				name, found = rt.answers, true
			}
		}
	}
	k := keyOf(a.ID, a.Extended)
	if !a.AnyPriority {
		look(r.exact[k])
	} else {
		for priority := range key(8) {
			look(r.exact[k&^priorityBits|priority<<26])
		}
	}
	if a.Extended {
		look(r.anyPriority[k&^priorityBits])
	}
	return name, found
}

// filters returns what is to be received, and whether that can be said with a
// reasonable number of filters.
func (r *routes) filters() ([]canbus.Filter, bool) {
	if len(r.exact)+len(r.anyPriority) > maxFilters {
		return []canbus.Filter{{}, {Extended: true}}, false
	}
	filters := make([]canbus.Filter, 0, len(r.exact)+len(r.anyPriority))
	for _, t := range []map[key][]route{r.exact, r.anyPriority} {
		for _, found := range t {
			filters = append(filters, found[0].addr.Filter())
		}
	}
	return filters, true
}

// maxFilters is what Linux takes; beyond it every frame is received.
const maxFilters = 512

// failListeners ends the listeners. Under mu.
func (r *routes) failListeners(err error) {
	for _, t := range []map[key][]route{r.exact, r.anyPriority} {
		for _, found := range t {
			for _, rt := range found {
				if rt.listener != nil {
					rt.listener.fail(err)
				}
			}
		}
	}
}

// deliver hands a frame to everybody whom it is for, but not to the endpoint of
// ours that it is from. Under mu.
func (m *Mux) deliver(now engine.Time, f *canbus.Frame, from *Endpoint) {
	if f.Has(canbus.ErrorFrame) || f.Has(canbus.Remote) {
		return
	}
	for _, rt := range m.routes.find(f) {
		if rt.addr.HasByte && !rt.addr.Match(f) {
			continue
		}
		ep := rt.endpoint
		if rt.listener != nil {
			if ep = rt.listener.endpoint(now, f, rt); ep == nil {
				continue
			}
		}
		if ep == from {
			continue
		}
		ep.reportFrame(now, f, FrameReceived)
		switch rt.role {
		case physical:
			ep.engine.HandleFrame(now, f, false)
		case functional:
			ep.engine.HandleFrame(now, f, true)
		case overheard:
			ep.engine.HandleOverheard(now, f)
		}
		m.touch(ep)
	}
}

// applyFilters tells the bus what to receive, if it asks for that.
func (m *Mux) applyFilters() error {
	setter, ok := m.bus.(canbus.FilterSetter)
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
