package mux

import (
	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// A host is one address of ours that is open for one peer or for any. It has the endpoints
// of its peers; its keeper decides whether a peer gets an endpoint.
type host struct {
	spec   Spec
	keeper keeper
	routes []route
	budget *engine.Budget // shared by all hosts of the keeper
	peers  []*Endpoint    // by N_SA where the Spec leaves the peer open, else only one
}

// A keeper has hosts: it is a Listener, or Peers. Its methods are called under mu.
type keeper interface {
	// admit is called with a frame that begins a message of a peer without an
	// endpoint. It returns a new one (see host.add), or nil.
	admit(now engine.Time, h *host, index uint8) *Endpoint
	// stray is called with a frame of such a peer that begins no message.
	stray()
	// ended is called when an endpoint of a host has ended. It reports whether it has
	// removed routes.
	ended(ep *Endpoint) bool
	// fail is called with the error that the bus has failed with, perhaps more than once.
	fail(err error)
	// waits reports whether a caller waits for what comes.
	waits() bool
}

// anyPeers is how many peers a host for any peer can have: a peer's address is one byte.
const anyPeers = 256

// totalSize is how many bytes of messages longer than 65535 bytes the endpoints of one
// keeper may hold together. It is raised to Config.MaxMessageSize if that is more.
const totalSize = 64 << 20

// addHosts adds hosts for all Specs to the bus, or none if it fails.
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

// touchEngine touches the endpoint of an engine. Under mu.
func (m *Mux) touchEngine(hosts []*host, e *engine.Engine) {
	for _, h := range hosts {
		for _, ep := range h.peers {
			if ep != nil && &ep.engine == e {
				m.touch(ep)
			}
		}
	}
}

// removeRoutes removes the hosts' routes: their frames are dropped from now on. Under mu.
func (m *Mux) removeRoutes(hosts []*host) {
	for _, h := range hosts {
		for _, rt := range h.routes {
			m.routes.remove(rt)
		}
	}
}

// endpoint returns the endpoint that a frame is for. If there is none and the frame begins
// a message, it asks the keeper to make one. Under mu.
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

// index returns which of the host's peers has sent a frame.
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

// own returns our own address, where the Spec leaves the peer open.
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

// Pair returns the two addresses of an endpoint that a Listener or Peers has made for a
// peer: the one that it sends to, and the one on which it hears the peer.
func (ep *Endpoint) Pair() (send, listen wire.Address, ok bool) {
	if ep.host == nil {
		return send, listen, false
	}
	send, listen = ep.host.pair(ep.index)
	return send, listen, true
}
