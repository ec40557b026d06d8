package sniff

import (
	"fmt"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// An Address is what the frames of one direction carry, N_AI. Its first four fields are those
// of isotpnet.Side.
type Address struct {
	// ID is the CAN identifier, at most 7FF; or with Extended, at most 1FFFFFFF.
	ID uint32
	// Extended: the identifier has 29 bits, and not 11.
	Extended bool
	// Byte is the first data byte of each frame, if HasByte is true: N_TA in extended
	// addressing, N_AE in mixed addressing.
	HasByte bool
	Byte    byte
	// AnyPriority: the bits 28 to 26 of the identifier may have any value, as in normal
	// fixed addressing, and in mixed addressing with 29 bits.
	AnyPriority bool
}

func (a Address) wire() wire.Address {
	w := wire.Address{ID: a.ID, Extended: a.Extended, HasByte: a.HasByte, Byte: a.Byte}
	if a.AnyPriority {
		w.Open = wire.OpenPriority
	}
	return w
}

// String returns the identifier in 3 or 8 hexadecimal digits, and the byte behind a #:
// 7E0, 18DA10F1, 641#55.
func (a Address) String() string { return a.wire().String() }

func (a Address) check() error {
	switch {
	case a.ID > canbus.MaxExtendedID:
		return fmt.Errorf("sniff: identifier %X is above 1FFFFFFF, the highest of 29 bits", a.ID)
	case !a.Extended && a.ID > canbus.MaxStandardID:
		return fmt.Errorf("sniff: identifier %X is above 7FF, the highest of 11 bits (or set Extended)", a.ID)
	case !a.Extended && a.AnyPriority:
		return fmt.Errorf("sniff: identifier %03X has 11 bits, and no priority (AnyPriority is for Extended)", a.ID)
	}
	return nil
}

// A Pair is two addresses that talk to each other. It is comparable.
type Pair struct {
	// A is the address of what one node sends, and B of what the other one does. Of a
	// Pair that a Sniffer has found, A is the tester's where a standard says so, and else
	// that of the first frame seen.
	A, B Address
	// Alone: there is no B. A is a functional address, or nothing of the other side was seen.
	Alone bool
}

// String returns 7E0:7E8, or 7DF: of a Pair that is Alone.
func (p Pair) String() string {
	if p.Alone {
		return p.A.String() + ":"
	}
	return p.A.String() + ":" + p.B.String()
}

func (p Pair) check() error {
	if err := p.A.check(); err != nil || p.Alone {
		return err
	}
	if err := p.B.check(); err != nil {
		return err
	}
	if p.A.wire().Overlaps(p.B.wire()) {
		return fmt.Errorf("sniff: %v and %v are the same address: want one for each direction", p.A, p.B)
	}
	return nil
}

// Mode returns the addressing mode of a pair, as "normal", or all that it may be where frames
// do not tell: "normal fixed, or normal".
func (p Pair) Mode() string {
	switch {
	case p.IsFunctional() && p.A.HasByte:
		return "mixed, functional"
	case p.IsFunctional() && p.A.AnyPriority:
		return "normal fixed, functional"
	case p.IsFunctional():
		return "functional"
	case p.A.HasByte && p.A.AnyPriority:
		return "mixed"
	case p.A.AnyPriority:
		return "normal fixed, or normal"
	case !p.A.HasByte && !p.Alone && p.B.HasByte, p.A.HasByte && !p.Alone && !p.B.HasByte:
		return "different in each direction"
	case !p.A.HasByte:
		return "normal"
	case p.Alone:
		return "extended, or mixed"
	case p.A.Byte == p.B.Byte:
		return "mixed"
	}
	return "extended"
}

// obdFunctional is the address of requests to all ECUs.
var obdFunctional = Address{ID: 0x7DF}

// Match reports whether a frame carries one of the pair's addresses; with fromB it is B.
func (p Pair) Match(f *canbus.Frame) (fromB, ok bool) {
	if p.A.wire().Match(f) {
		return false, true
	}
	ok = !p.Alone && p.B.wire().Match(f)
	return ok, ok
}

// IsFunctional reports whether A is an address that a standard has given to requests to any
// number of nodes.
func (p Pair) IsFunctional() bool {
	upper := wire.Upper(p.A.ID)
	return p.Alone && (p.A == obdFunctional || p.A.AnyPriority && (upper == wire.UpperFixedFunctional || upper == wire.UpperMixedFunctional))
}

// Standard returns the pair that a standard makes of a frame's identifier: those that the
// package documentation names. It is false for all others.
func Standard(f *canbus.Frame) (Pair, bool) {
	if !f.Has(canbus.Extended) {
		switch {
		case f.ID == obdFunctional.ID:
			return Pair{A: obdFunctional, Alone: true}, true
		case f.ID&^0xF == 0x7E0:
			return Pair{A: Address{ID: f.ID &^ 8}, B: Address{ID: f.ID | 8}}, true
		}
		return Pair{}, false
	}
	upper := wire.Upper(f.ID)
	a := Address{ID: upper<<16 | f.ID&0xFFFF, Extended: true, AnyPriority: true}
	switch upper {
	case wire.UpperMixed, wire.UpperMixedFunctional:
		a.HasByte, a.Byte = true, f.Data[0]
	}
	switch upper {
	case wire.UpperFixedFunctional, wire.UpperMixedFunctional:
		return Pair{A: a, Alone: true}, true
	case wire.UpperFixed, wire.UpperMixed:
	default:
		return Pair{}, false
	}
	b := a
	b.ID = a.ID&^0xFFFF | uint32(wire.Source(a.ID))<<8 | uint32(wire.Target(a.ID))
	if b.ID == a.ID {
		return Pair{}, false // a node that talks to itself
	}
	const tester = 0xF0 // external test equipment has addresses from here, ISO 14229-3
	if wire.Source(a.ID) < tester && (wire.Target(a.ID) >= tester || a.ID > b.ID) {
		a, b = b, a
	}
	return Pair{A: a, B: b}, true
}
