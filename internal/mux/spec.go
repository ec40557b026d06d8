package mux

import (
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// A Spec says what an endpoint is.
type Spec struct {
	Config *engine.Config
	// Send is where the endpoint sends, Listen where it hears its peer. One of
	// them may be missing (nil): a functional address, or listening only. For
	// Mux.Listen and Mux.Peers, Listen and Functional may leave the peer open, all of
	// them or none (wire.OpenPeer). Then N_TA in Send is 0.
	Send, Listen *wire.Address
	// Functional are addresses on which single frames to a group come in.
	Functional []wire.Address
	// Spin: rather burn a processor than be late.
	Spin bool
	// Beside, for Mux.Attach of what only sends: the endpoint of the same user that has
	// the write deadline and the rate limit. What the two send need not wait for each other.
	Beside *Endpoint
}

// anyPeer reports whether the peer is left open.
func (s *Spec) anyPeer() bool { return s.Listen != nil && s.Listen.Open == wire.OpenPeer }

// routes returns the routes to what a Spec describes.
func (s *Spec) routes() []route {
	var rs []route
	if s.Listen != nil {
		rs = append(rs, route{addr: *s.Listen, role: physical})
	}
	for _, a := range s.Functional {
		rs = append(rs, route{addr: a, role: functional})
	}
	if s.Config.ListenOnly && s.Send != nil {
		rs = append(rs, route{addr: *s.Send, role: overheard})
	}
	return rs
}
