package isotpnet

import "example.com/isotp/canbus"

// wild are the bits of the received identifier that a leaves open: the peer's
// N_SA, or which of OBD-II's eight ECUs.
func (a Addr) wild() uint32 {
	switch {
	case a.kind == kindOBD && !a.rx.Extended:
		return 0x7
	case a.IsPattern():
		return 0xFF
	}
	return 0
}

// filter lets the frames pass that a listens to; it is false for what only
// sends.
func (a Addr) filter() (canbus.Filter, bool) {
	if !a.IsValid() || a.kind == kindFunctional {
		return canbus.Filter{}, false
	}
	f := a.rx.Filter()
	f.Mask &^= a.wild()
	return f, true
}

// heard reports whether a listens to a frame, and as which address: a itself,
// or for a pattern the one with that peer. For a node and OBD-II this is the
// pair that answers it, for a group the listen-only address of its sender.
func (a Addr) heard(f *canbus.Frame) (Addr, bool) {
	if !a.IsValid() || a.kind == kindFunctional {
		return Addr{}, false
	}
	peer := f.ID & a.wild()
	a.rx.ID |= peer
	if !a.rx.Match(f) {
		return Addr{}, false
	}
	switch {
	case a.kind == kindGroup:
		a.kind = kindListenOnly
	case a.kind == kindNode:
		a.kind = kindPair
		a.tx.ID |= peer << 8
	case a.kind == kindOBD && a.rx.Extended:
		a.kind = kindPair
		a.tx = fixedAddress(upperFixed, byte(peer), 0xF1)
	case a.kind == kindOBD:
		a.kind = kindPair
		a.tx.ID = 0x7E0 | peer
	}
	// A frame in our own name is not from a peer.
	if a.kind == kindPair && overlap(a.tx, a.rx) {
		return Addr{}, false
	}
	return a, true
}
