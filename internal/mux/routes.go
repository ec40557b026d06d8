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
	owing                  // from the peer of a pair that was closed and is owed a flow control
)

// A route leads from an address to an endpoint, or to a host, which has one for
// each of its peers from time to time.
type route struct {
	addr     wire.Address
	anyPeer  bool // the lowest byte of the identifier is the peer's, and 0 in addr
	role     role
	endpoint *Endpoint
	host     *host
	debt     *engine.Debt // of the role owing
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
	peerBits     key = 0xFF
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
	anyPeer     map[key][]route // any priority, too
	hosts       int             // how many routes lead to one
	changes     uint32          // counts them, from 1

	// The last identifier looked up: messages come in rows of frames.
	last      key
	lastFound []route
	lastValid bool
}

func (r *routes) init() {
	r.exact = make(map[key][]route)
	r.anyPriority = make(map[key][]route)
	r.anyPeer = make(map[key][]route)
	r.changed()
}

func (r *routes) changed() {
	r.lastValid = false
	r.changes++
}

func (r *routes) tables() [3]map[key][]route {
	return [...]map[key][]route{r.exact, r.anyPriority, r.anyPeer}
}

func (r *routes) table(rt route) (map[key][]route, key) {
	k := keyOf(rt.addr.ID, rt.addr.Extended)
	switch {
	case rt.anyPeer:
		return r.anyPeer, k &^ (priorityBits | peerBits)
	case rt.addr.AnyPriority:
		return r.anyPriority, k &^ priorityBits
	}
	return r.exact, k
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
	found := r.exact[k]
	if k&extendedKey != 0 {
		if len(r.anyPriority) > 0 {
			found = both(found, r.anyPriority[k&^priorityBits])
		}
		if len(r.anyPeer) > 0 {
			found = both(found, r.anyPeer[k&^(priorityBits|peerBits)])
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

// answered returns the name of a pair that would answer the same frames as one
// that listens on a: of any peer's frames, if anyPeer is true.
func (r *routes) answered(a wire.Address, anyPeer bool) (name string, found bool) {
	look := func(routes []route) {
		for _, rt := range routes {
			if rt.answers != "" && !(rt.addr.HasByte && a.HasByte && rt.addr.Byte != a.Byte) {
				name, found = rt.answers, true
			}
		}
	}
	k := keyOf(a.ID, a.Extended)
	switch {
	case anyPeer: // seldom enough to look through all
		wild := priorityBits | peerBits
		for _, t := range r.tables() {
			for other, routes := range t {
				if (other^k)&^wild == 0 {
					look(routes)
				}
			}
		}
		return name, found
	case !a.AnyPriority:
		look(r.exact[k])
	default:
		for priority := range key(8) {
			look(r.exact[k&^priorityBits|priority<<26])
		}
	}
	if a.Extended {
		look(r.anyPriority[k&^priorityBits])
		look(r.anyPeer[k&^(priorityBits|peerBits)])
	}
	return name, found
}

// filters returns what is to be received, and whether that can be said with a
// reasonable number of filters.
func (r *routes) filters() ([]canbus.Filter, bool) {
	count := len(r.exact) + len(r.anyPriority) + len(r.anyPeer)
	if count > maxFilters {
		return []canbus.Filter{{}, {Extended: true}}, false
	}
	filters := make([]canbus.Filter, 0, count)
	for _, t := range r.tables() {
		for _, found := range t {
			f := found[0].addr.Filter()
			if found[0].anyPeer {
				f.Mask &^= uint32(peerBits)
			}
			filters = append(filters, f)
		}
	}
	return filters, true
}

// maxFilters is what Linux takes; beyond it every frame is received.
const maxFilters = 512

// eachHost calls f with what has an endpoint for each peer, perhaps more than once. Under
// mu.
func (r *routes) eachHost(f func(*host)) {
	for _, t := range r.tables() {
		for _, found := range t {
			for _, rt := range found {
				if rt.host != nil {
					f(rt.host)
				}
			}
		}
	}
}

// matches reports whether a frame found by its identifier has the address byte.
func (rt *route) matches(f *canbus.Frame) bool {
	return !rt.addr.HasByte || f.Len > 0 && f.Data[0] == rt.addr.Byte
}

// deliver hands a frame to everybody whom it is for, but not to the endpoint of
// ours that it is from. Under mu.
func (m *Mux) deliver(now engine.Time, f *canbus.Frame, from *Endpoint) {
	if f.Has(canbus.ErrorFrame) || f.Has(canbus.Remote) {
		return
	}
	found := m.routes.find(f)
	for i := range found {
		rt := &found[i] // a copy of each would cost as much as what is done with it
		if !rt.matches(f) {
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
		if m.frameTime.used {
			m.frameTime.next = min(m.frameTime.next, ep.engine.Elapse(now))
		}
	}
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
