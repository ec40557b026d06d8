package mux

import (
	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// A host is one address of ours that is open for one peer or for any: it has an
// endpoint for each peer that has something to do with it. Its keeper decides
// whether a peer gets one.
type host struct {
	spec   Spec
	keeper keeper
	routes []route
	budget *engine.Budget // shared by all hosts of the keeper
	peers  []*Endpoint    // by N_SA where the Spec leaves the peer open, else only one
}

// A keeper has hosts: it is a Listener, or Peers. All of it is called under mu.
type keeper interface {
	// admit is called with a frame that begins a message of a peer without an
	// endpoint. It returns a new one (see host.add), or nil.
	admit(now engine.Time, h *host, index uint8) *Endpoint
	// stray is called with a frame of such a peer that begins no message.
	stray()
	// ended follows the end of an endpoint of a host. It reports whether routes
	// went with it.
	ended(ep *Endpoint) bool
	// fail is told why the bus is of no more use, perhaps more than once.
	fail(err error)
	// waits reports whether a caller waits for what comes.
	waits() bool
}

// anyPeers is how many there are of one byte.
const anyPeers = 256

// totalSize bounds what the endpoints of one keeper hold of messages longer than 65535
// bytes; the longest message that one receives has room in any case.
const totalSize = 64 << 20

// addHosts adds the hosts that a list of Spec describes to the bus, all or none.
func (m *Mux) addHosts(ss []*Spec, k keeper) ([]*host, error) {
	defer m.Begin()
	m.mu.Lock()
	if m.err != nil {
		defer m.mu.Unlock()
		return nil, m.err
	}
	hosts := make([]*host, 0, len(ss))
	budget := &engine.Budget{
		Limit: max(totalSize, int64(ss[0].Config.MaxMessageSize)),
		Wake:  func(e *engine.Engine) { m.touchEngine(hosts, e) },
	}
	for _, s := range ss {
		h := &host{spec: *s, keeper: k, routes: s.routes(), budget: budget, peers: make([]*Endpoint, 1)}
		if s.anyPeer() {
			h.peers = make([]*Endpoint, anyPeers)
		}
		for i := range h.routes {
			h.routes[i].host = h
			m.routes.add(h.routes[i])
		}
		hosts = append(hosts, h)
	}
	m.mu.Unlock()
	if err := m.applyFilters(); err != nil {
		m.mu.Lock()
		m.removeRoutes(hosts)
		m.mu.Unlock()
		return nil, err
	}
	return hosts, nil
}

// touchEngine is touch for the endpoint of an engine. Under mu.
func (m *Mux) touchEngine(hosts []*host, e *engine.Engine) {
	for _, h := range hosts {
		for _, ep := range h.peers {
			if ep != nil && &ep.engine == e {
				m.touch(ep)
			}
		}
	}
}

// removeRoutes has the hosts' frames go nowhere. Under mu.
func (m *Mux) removeRoutes(hosts []*host) {
	for _, h := range hosts {
		for _, rt := range h.routes {
			m.routes.remove(rt)
		}
	}
}

// endpoint returns the endpoint that a frame is for, and asks the keeper to make it
// if the frame begins a message. Under mu.
func (h *host) endpoint(now engine.Time, f *canbus.Frame, rt *route) *Endpoint {
	i := h.index(f)
	if h.spec.anyPeer() && i == h.own() {
		return nil // a frame in our own name is not from a peer
	}
	if ep := h.peers[i]; ep != nil {
		return ep
	}
	if !begins(f, rt) {
		h.keeper.stray()
		return nil
	}
	return h.keeper.admit(now, h, i)
}

// index says which of the host's peers a frame is from.
func (h *host) index(f *canbus.Frame) uint8 {
	if h.spec.anyPeer() {
		return wire.Source(f.ID)
	}
	return 0
}

// begins reports whether a frame begins a message to us.
func begins(f *canbus.Frame, rt *route) bool {
	var p wire.PDU
	if rt.role == overheard || p.Parse(f, rt.addr.Overhead()) != wire.OK {
		return false
	}
	return p.Kind == wire.SingleFrame || p.Kind == wire.FirstFrame && rt.role == physical
}

// own is our own address, where the Spec leaves the peer open.
func (h *host) own() uint8 { return wire.Target(h.spec.Listen.ID) }

// pair returns the addresses of that peer's endpoint.
func (h *host) pair(index uint8) (send, listen wire.Address) {
	send, listen = *h.spec.Send, *h.spec.Listen
	if h.spec.anyPeer() {
		send, listen = send.To(index), listen.From(index)
	}
	return send, listen
}

// add makes the endpoint of a peer. Under mu.
func (h *host) add(m *Mux, index uint8, made func(*Endpoint)) *Endpoint {
	s := h.spec
	send, listen := h.pair(index)
	s.Send, s.Listen = &send, &listen
	ep := m.newEndpoint(&s, func(ep *Endpoint) {
		ep.host, ep.index = h, index
		ep.engine.SetBudget(h.budget)
		made(ep)
	})
	h.peers[index] = ep
	return ep
}

// Pair returns the addresses of an endpoint that a Listener or Peers has made for a
// peer: where it sends, and where it hears that.
func (ep *Endpoint) Pair() (send, listen wire.Address, ok bool) {
	if ep.host == nil {
		return send, listen, false
	}
	send, listen = ep.host.pair(ep.index)
	return send, listen, true
}
