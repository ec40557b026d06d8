package isotpnet

import (
	"fmt"
	"net"
	"strconv"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// A Side is what the frames of one direction of an [Addr] carry. Its zero value is the
// identifier 000.
type Side struct {
	// ID is the CAN identifier, at most 7FF; or with Extended, at most 1FFFFFFF.
	ID uint32
	// Extended: the identifier has 29 bits, and not 11.
	Extended bool
	// Byte is the first data byte of each frame, if HasByte is true: in extended
	// addressing N_TA, the peer's in what is sent and ours in what is heard; in mixed
	// addressing N_AE, the same in both.
	HasByte bool
	Byte    byte
}

func newSide(w wire.Address) Side { return Side{w.ID, w.Extended, w.HasByte, w.Byte} }

func (s Side) wire() wire.Address {
	return wire.Address{ID: s.ID, Extended: s.Extended, HasByte: s.HasByte, Byte: s.Byte}
}

// String returns the text that a side has in an Addr: 7E0, 18DA10F1, 641#55.
func (s Side) String() string { return s.wire().String() }

// Fixed are the numbers of an [Addr] in normal fixed addressing, and in mixed addressing
// with 29 bits, whose identifiers are made of them.
type Fixed struct {
	// Target and Source are N_TA and N_SA of what is sent: the peer's and ours.
	Target, Source byte
	// Extension is N_AE, the first data byte of each frame, if HasExtension is true.
	// That makes it mixed addressing.
	HasExtension bool
	Extension    byte
	// Upper are the upper 16 of an identifier's 29 bits, at most 1FFF. 0 stands for
	// those of ISO 15765-2: 18DA, or 18CE with an Extension; of functional addresses
	// and groups 18DB, or 18CD. can-isotp: physical_id>>16, functional_id>>16.
	Upper uint16
}

// The functions below make an Addr of numbers, as ParseAddr makes it of a text. What only
// listens is the Mirror of what only sends. Their errors are a *net.AddrError.

// PairAddr sends to one side and listens on another one: 7E0:7E8 (normal addressing),
// 18DA10F1:18DAF110, 641#55:642#F1 (extended addressing), 641#99:642#99 (mixed addressing
// with 11 bits), 641#55:18DAF110 (each side in its own mode).
func PairAddr(bus string, send, listen Side) (Addr, error) {
	return checked(Addr{bus: bus, kind: KindPair, tx: send.wire(), rx: listen.wire()})
}

// FunctionalAddr sends Single Frames that any number of nodes hear: 7DF:, 6F1#EF:.
func FunctionalAddr(bus string, send Side) (Addr, error) {
	return checked(Addr{bus: bus, kind: KindFunctional, tx: send.wire()})
}

// FixedAddr sends to a target from a source, the local node, and hears the reverse with
// any priority: fixed:10:F1 and, with an extension, mixed:10:F1#99.
func FixedAddr(bus string, n Fixed) (Addr, error) { return fixedAddr(bus, KindPair, n) }

// FixedFunctionalAddr sends Single Frames to a group, the target, from a source, the local
// node: func:33:F1, func:33:F1#99.
func FixedFunctionalAddr(bus string, n Fixed) (Addr, error) {
	return fixedAddr(bus, KindFunctional, n)
}

// NodeAddr listens as a local node, the source, to any peer: fixed::10, mixed::10#99. The
// target must be 0.
func NodeAddr(bus string, n Fixed) (Addr, error) { return fixedAddr(bus, KindNode, n) }

// GroupAddr listens to what any peer sends to a group, the target: func:33, func:33#99.
// The source must be 0.
func GroupAddr(bus string, n Fixed) (Addr, error) { return fixedAddr(bus, KindGroup, n) }

// OBDAddr is that of an OBD-II tester with identifiers of 11 bits, for ListenPacket: obd.
func OBDAddr(bus string) Addr {
	return Addr{bus: bus, kind: KindOBD, tx: wire.Address{ID: 0x7DF}, rx: wire.Address{ID: 0x7E8}}
}

// OBD29Addr is that of an OBD-II tester with identifiers of 29 bits: obd29.
func OBD29Addr(bus string) Addr {
	return Addr{
		bus: bus, kind: KindOBD,
		tx: fixedAddress(wire.UpperFixedFunctional, 0x33, 0xF1),
		rx: fixedAddress(wire.UpperFixed, 0xF1, 0).FromAny(),
	}
}

func fixedAddr(bus string, kind Kind, n Fixed) (Addr, error) {
	if n.Upper == 0 {
		n.Upper = kind.fixedUpper(n.HasExtension)
	}
	a := n.addr(kind).WithBus(bus)
	switch {
	case kind == KindNode && n.Target != 0:
		return Addr{}, addrError(a.String(), fmt.Errorf("the target is %02X: want 0, since a node hears any peer; the node itself is the source", n.Target))
	case kind == KindGroup && n.Source != 0:
		return Addr{}, addrError(a.String(), fmt.Errorf("the source is %02X: want 0, since a group hears any peer; the group itself is the target", n.Source))
	}
	return checked(a)
}

// addr is the address of a kind that has exactly these numbers.
func (n Fixed) addr(kind Kind) Addr {
	there, back := fixedAddress(n.Upper, n.Target, n.Source), fixedAddress(n.Upper, n.Source, n.Target)
	if n.HasExtension {
		there, back = withByte(there, n.Extension), withByte(back, n.Extension)
	}
	switch kind {
	case KindFunctional:
		return Addr{kind: kind, tx: there}
	case KindGroup:
		return Addr{kind: kind, rx: there.FromAny()}
	case KindNode:
		return Addr{kind: kind, tx: there, rx: back.FromAny()}
	}
	return Addr{kind: KindPair, tx: there, rx: back}
}

func checked(a Addr) (Addr, error) {
	if err := a.check(); err != nil {
		return Addr{}, addrError(a.String(), err)
	}
	return a, nil
}

// check looks for what the types of the fields do not rule out: identifiers
// that are too high, and a pair that hears itself.
func (a Addr) check() error {
	for _, w := range []wire.Address{a.tx, a.rx} {
		if err := checkID(w); err != nil {
			return err
		}
	}
	if a.kind == KindPair && a.tx.Overlaps(a.rx) {
		return fmt.Errorf("sends to %s and listens on %s, and would hear itself: want two different addresses",
			a.tx, a.rx)
	}
	return nil
}

func checkID(w wire.Address) error {
	switch {
	case w.ID > canbus.MaxExtendedID:
		return fmt.Errorf("identifier %X is above 1FFFFFFF, the highest of 29 bits", w.ID)
	case w.ID > canbus.MaxStandardID && !w.Extended:
		return fmt.Errorf("identifier %X is above 7FF, the highest of 11 bits (one of 29 bits has Side.Extended)", w.ID)
	}
	return nil
}

// fixedAddress is the identifier that holds N_TA and N_SA below its upper 16 bits.
func fixedAddress(upper uint16, target, source byte) wire.Address {
	return wire.Address{
		ID:       uint32(upper)<<16 | uint32(target)<<8 | uint32(source),
		Extended: true,
		Open:     wire.OpenPriority,
	}
}

func withByte(w wire.Address, b byte) wire.Address {
	w.HasByte, w.Byte = true, b
	return w
}

// addrError says what is wrong with an address, as package net would.
func addrError(text string, err error) error {
	return &net.AddrError{Err: err.Error(), Addr: escape(clip(text))}
}

// maxShown bounds what an error repeats of its input, in bytes.
const maxShown = 64

// clip shortens s for an error.
func clip(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "..."
	}
	return s
}

// escape makes s fit to be printed.
func escape(s string) string {
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}
