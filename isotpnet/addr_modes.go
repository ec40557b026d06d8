package isotpnet

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// The functions below make an Addr from numbers, for each of ISO 15765-2's
// addressing modes; ParseAddr knows more forms. What only listens is the Mirror
// of what only sends. Their errors are a *net.AddrError.

// NormalAddr sends to and listens on identifiers of 11 bits, at most 7FF:
// 7E0:7E8.
func NormalAddr(bus string, send, listen uint32) (Addr, error) {
	return newPair(bus, wire.Address{ID: send}, wire.Address{ID: listen})
}

// Normal29Addr sends to and listens on identifiers of 29 bits, at most
// 1FFFFFFF: 18DA10F1:18DAF110.
func Normal29Addr(bus string, send, listen uint32) (Addr, error) {
	return newPair(bus, wire.Address{ID: send, Extended: true}, wire.Address{ID: listen, Extended: true})
}

// ExtendedAddr uses identifiers of 11 bits, and a target address (N_TA) in the
// first data byte: sendTA in what is sent, the peer's, and listenTA in what is
// heard, ours. 641#55:642#F1.
func ExtendedAddr(bus string, send uint32, sendTA byte, listen uint32, listenTA byte) (Addr, error) {
	return newPair(bus,
		withByte(wire.Address{ID: send}, sendTA),
		withByte(wire.Address{ID: listen}, listenTA))
}

// Extended29Addr is ExtendedAddr with identifiers of 29 bits.
func Extended29Addr(bus string, send uint32, sendTA byte, listen uint32, listenTA byte) (Addr, error) {
	return newPair(bus,
		withByte(wire.Address{ID: send, Extended: true}, sendTA),
		withByte(wire.Address{ID: listen, Extended: true}, listenTA))
}

// MixedAddr uses identifiers of 11 bits, and an address extension (N_AE) in the
// first data byte of both directions: 641#99:642#99. On the wire, and so as an
// Addr, it is extended addressing with the same byte twice.
func MixedAddr(bus string, send, listen uint32, extension byte) (Addr, error) {
	return ExtendedAddr(bus, send, extension, listen, extension)
}

// Mixed29Addr, for mixed addressing with 29 bits, sends to a target (N_TA) from
// a source (N_SA), the local node, and hears the reverse with any priority. An
// address extension (N_AE) is the first data byte of both directions:
// mixed:10:F1#99.
func Mixed29Addr(bus string, target, source, extension byte) (Addr, error) {
	return newPair(bus,
		withByte(fixedAddress(upperMixed, target, source), extension),
		withByte(fixedAddress(upperMixed, source, target), extension))
}

// FixedAddr, for normal fixed addressing, sends to a target (N_TA) from a
// source (N_SA), the local node, and hears the reverse with any priority:
// fixed:10:F1.
func FixedAddr(bus string, target, source byte) (Addr, error) {
	return newPair(bus, fixedAddress(upperFixed, target, source), fixedAddress(upperFixed, source, target))
}

// FunctionalAddr sends single frames to an identifier of 11 bits that any
// number of nodes hear: 7DF:.
func FunctionalAddr(bus string, id uint32) (Addr, error) {
	return newFunctional(bus, wire.Address{ID: id})
}

// FunctionalFixedAddr, for normal fixed addressing, sends single frames to a
// functional target (N_TA) from a source (N_SA): func:33:F1.
func FunctionalFixedAddr(bus string, target, source byte) (Addr, error) {
	return newFunctional(bus, fixedAddress(upperFixedFunctional, target, source))
}

// FunctionalMixedAddr is FunctionalFixedAddr for mixed addressing, with an
// address extension (N_AE) in the first data byte: func:33:F1#99.
func FunctionalMixedAddr(bus string, target, source, extension byte) (Addr, error) {
	return newFunctional(bus, withByte(fixedAddress(upperMixedFunctional, target, source), extension))
}

// AsymmetricAddr sends where send does and listens where listen does, each in
// its own addressing mode: 641#55:18DAF110. They are pairs or one-way addresses
// of the same bus. Normal fixed and mixed addresses become identifiers like any
// other: only a whole pair of them hears every priority.
func AsymmetricAddr(send, listen Addr) (Addr, error) {
	if send.bus != listen.bus {
		return Addr{}, addrError(send.String(), fmt.Errorf("sends on bus %q, listens on %q: want one bus",
			clip(send.bus), clip(listen.bus)))
	}
	tx, ok := send.send()
	if !ok || send.IsPattern() {
		return Addr{}, addrError(send.String(), errors.New("does not say where to send: want a pair or a functional address"))
	}
	rx, ok := listen.listen()
	if !ok {
		return Addr{}, addrError(listen.String(), errors.New("does not say where to listen: want a pair or a listen-only address"))
	}
	// Both sides of one pair are that pair, whatever its mode.
	if send == listen {
		return send, nil
	}
	tx.Open, rx.Open = wire.OpenNothing, wire.OpenNothing
	return newPair(send.bus, tx, rx)
}

// newPair makes a pair of two directions, once they are fit for one.
func newPair(bus string, tx, rx wire.Address) (Addr, error) {
	return checked(Addr{bus: bus, kind: kindPair, tx: tx, rx: rx})
}

func newFunctional(bus string, tx wire.Address) (Addr, error) {
	return checked(Addr{bus: bus, kind: kindFunctional, tx: tx})
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
	if a.kind == kindPair && a.tx.Overlaps(a.rx) {
		return fmt.Errorf("sends to %s and listens on %s, and would hear itself: want two different addresses",
			appendSide(nil, a.tx), appendSide(nil, a.rx))
	}
	return nil
}

func checkID(w wire.Address) error {
	switch {
	case w.ID > canbus.MaxExtendedID:
		return fmt.Errorf("identifier %X is above 1FFFFFFF, the highest of 29 bits", w.ID)
	case w.ID > canbus.MaxStandardID && !w.Extended:
		return fmt.Errorf("identifier %X is above 7FF, the highest of 11 bits (one of 29 bits is %08X)", w.ID, w.ID)
	}
	return nil
}

// fixedAddress is the identifier that holds N_TA and N_SA below its upper 16 bits.
func fixedAddress(upper uint32, target, source byte) wire.Address {
	return wire.Address{
		ID:       upper<<16 | uint32(target)<<8 | uint32(source),
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
