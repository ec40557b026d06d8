package isotpnet

import (
	"encoding"
	"fmt"
	"net"

	"example.com/isotp/internal/wire"
)

var (
	_ net.Addr                 = Addr{}
	_ fmt.Stringer             = Addr{}
	_ encoding.TextMarshaler   = Addr{}
	_ encoding.TextAppender    = Addr{}
	_ encoding.TextUnmarshaler = (*Addr)(nil)
)

// An Addr says on which bus, and with which address information (N_AI), ISO-TP
// messages are sent and received. It is a small comparable value, fit to be a
// map key: two of one network are equal if and only if their texts are. The zero Addr
// is not an address. What ParseAddr returns is an address of "isotp"; those that streams
// and their listeners return are of "isotp-stream", and equal to each other only. Calls
// that take an Addr take both.
//
// Its text is BUS/ENDPOINT, split at the last slash. BUS is a name for
// canbus.Open, and empty where the bus comes from Dialer.Bus. In ENDPOINT, left
// of a colon is where we send, right of it is where we listen:
//
//	7E0:7E8                 normal addressing, identifiers of 11 bits
//	18DA10F1:18DAF110       the same with 29 bits
//	641#55:642#F1           extended addressing: 55 is the first data byte we
//	                        send, F1 the first we hear (11 or 29 bits)
//	641#99:642#99           mixed addressing with 11 bits: the byte is N_AE
//	641#55:18DAF110         asymmetric: each side as it pleases
//	fixed:10:F1             normal fixed addressing, to N_TA 10 from N_SA F1:
//	                        sends 18DA10F1, hears 18DAF110 of any priority
//	mixed:10:F1#99          mixed addressing with 29 bits: sends 18CE10F1,
//	                        hears 18CEF110 of any priority, N_AE 99
//	7DF:  6F1#EF:           functional: sends single frames, hears nothing
//	func:33:F1              functional, normal fixed: sends 18DB33F1
//	func:33:F1#99           functional, mixed: sends 18CD33F1, N_AE 99
//	:7E8                    only listens
//	:func:33:F1             only listens, to what func:33:F1 sends
//	fixed::10  mixed::10#99 the node 10 and any peer, for listeners
//	func:33  func:33#99     the functional group 33 and any peer, for listeners
//	obd  obd29              an OBD-II tester, 11 and 29 bits, for ListenPacket
//
// fixed, mixed and func take other identifiers than ISO 15765-2's after an @:
// the upper 16 of their 29 bits, as in fixed@14DA:10:F1 and func@10DB:FE:F1.
//
// Numbers are hexadecimal, with or without 0x. An identifier of 1 to 3 digits
// has 11 bits, one of 8 digits has 29; all others are errors, as is a pair that
// would hear what it sends. An identifier that is written out is taken as it
// is: fixed:10:F1 hears all eight priorities, 18DA10F1:18DAF110 only the one,
// and they are different addresses.
type Addr struct {
	bus    string
	kind   Kind
	stream bool // it is an address of "isotp-stream"
	// tx and rx are the two directions, zero where there is none. Where the text is
	// fixed, mixed or func they leave the priority open; rx of the patterns of any
	// peer leaves that open, too.
	tx, rx wire.Address
}

// A Kind is what an [Addr] can be used for.
type Kind uint8

const (
	// KindInvalid: the zero Addr, which is no address.
	KindInvalid Kind = iota
	// KindPair: it sends and listens, as what one dials does. 7E0:7E8, fixed:10:F1.
	KindPair
	// KindFunctional: it only sends, to any number of receivers: Single Frames, which
	// no receiver answers with flow control. 7DF:, func:33:F1.
	KindFunctional
	// KindListenOnly: it only listens. To dial it takes Config.ListenOnly; in a
	// listener's list, beside a pair, it is a functional address to be heard. :7DF.
	KindListenOnly
	// KindNode: a node of ours and any peer, for listeners. fixed::10.
	KindNode
	// KindGroup: a functional group and any peer, for listeners. func:33.
	KindGroup
	// KindOBD: an OBD-II tester, for ListenPacket. obd, obd29.
	KindOBD
)

var kindNames = [...]string{"invalid", "pair", "functional", "listen-only", "node", "group", "OBD"}

// String returns the name in lower case, as "pair".
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// Kind returns what a can be used for.
func (a Addr) Kind() Kind { return a.kind }

// IsValid reports whether a is an address, and not the zero Addr.
func (a Addr) IsValid() bool { return a.kind != KindInvalid }

// isPattern reports whether a leaves the peer open, so that only listeners can take it.
func (a Addr) isPattern() bool { return a.kind >= KindNode }

// Network returns "isotp", or "isotp-stream" for an address of a stream or of a listener
// for streams.
func (a Addr) Network() string {
	if a.stream {
		return streamNetwork
	}
	return messageNetwork
}

// ofStream returns the same address on "isotp-stream", plain on "isotp".
func (a Addr) ofStream() Addr { a.stream = a.IsValid(); return a }
func (a Addr) plain() Addr    { a.stream = false; return a }

// Bus returns the name of the bus, which may be empty.
func (a Addr) Bus() string { return a.bus }

// WithBus returns the same address on another bus. The zero Addr stays as it is.
func (a Addr) WithBus(name string) Addr {
	if a.IsValid() {
		a.bus = name
	}
	return a
}

// Mirror returns the address as the peer has it, with the two directions
// exchanged: 7E8:7E0 for 7E0:7E8, fixed:F1:10 for fixed:10:F1, :7DF for 7DF:
// and the reverse. A pattern has no single peer: its mirror is the zero Addr.
func (a Addr) Mirror() Addr {
	switch a.kind {
	case KindPair:
	case KindFunctional:
		a.kind = KindListenOnly
	case KindListenOnly:
		a.kind = KindFunctional
	default:
		return Addr{}
	}
	a.tx, a.rx = a.rx, a.tx
	return a
}

// Send returns what the frames that a sends carry, of KindOBD those of its functional
// requests. It is false for an address that only listens, and for a node or group, whose
// peer is not known.
func (a Addr) Send() (Side, bool) {
	w, ok := a.send()
	return newSide(w), ok
}

// Listen returns what the frames that a hears carry; where Fixed is true, with any
// priority. It is false for an address that only sends, and for a node, group or OBD-II
// tester, which hear many.
func (a Addr) Listen() (Side, bool) {
	w, ok := a.listen()
	return newSide(w), ok
}

// Fixed returns the numbers of an address in normal fixed addressing, or in mixed
// addressing with 29 bits: its text has the word fixed, mixed or func, or is obd29, which
// has those of its functional requests. It is false for all others.
//
// They are those of the frames that a sends; of an address that only listens those of the
// frames that it hears. Target is 0 for a node, and Source for a group: the peer's is open.
func (a Addr) Fixed() (Fixed, bool) {
	w := a.tx
	if a.kind == KindListenOnly || a.kind == KindGroup {
		w = a.rx
	}
	if w.Open == wire.OpenNothing {
		return Fixed{}, false
	}
	return Fixed{
		Target: wire.Target(w.ID), Source: wire.Source(w.ID),
		HasExtension: w.HasByte, Extension: w.Byte,
		Upper: uint16(w.ID >> 16),
	}, true
}

func (a Addr) send() (wire.Address, bool) {
	switch a.kind {
	case KindPair, KindFunctional, KindOBD:
		return a.tx, true
	}
	return wire.Address{}, false
}

func (a Addr) listen() (wire.Address, bool) {
	switch a.kind {
	case KindPair, KindListenOnly:
		return a.rx, true
	}
	return wire.Address{}, false
}

// String returns the text of a in its one canonical form, from which [ParseAddr]
// makes a again: identifiers in 3 or 8 upper-case digits, bytes in 2, no 0x.
func (a Addr) String() string {
	if !a.IsValid() {
		return "invalid Addr"
	}
	b, _ := a.AppendText(nil)
	return string(b)
}

// MarshalText returns what String does, and nothing for the zero Addr.
func (a Addr) MarshalText() ([]byte, error) { return a.AppendText(nil) }

// AppendText appends what MarshalText returns to b.
func (a Addr) AppendText(b []byte) ([]byte, error) {
	if !a.IsValid() {
		return b, nil
	}
	b = append(b, a.bus...)
	b = append(b, '/')
	if a.kind == KindOBD {
		b = append(b, "obd"...)
		if a.tx.Extended {
			b = append(b, "29"...)
		}
		return b, nil
	}
	if n, ok := a.Fixed(); ok {
		return n.append(b, a.kind), nil
	}
	if a.kind != KindListenOnly {
		b = append(b, a.tx.String()...)
	}
	b = append(b, ':')
	if a.kind != KindFunctional {
		b = append(b, a.rx.String()...)
	}
	return b, nil
}

// UnmarshalText is [ParseAddr]; of an empty text it makes the zero Addr.
func (a *Addr) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*a = Addr{}
		return nil
	}
	parsed, err := ParseAddr(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// append appends the text that the numbers have in an address of that kind.
func (n Fixed) append(b []byte, kind Kind) []byte {
	if kind == KindListenOnly {
		b = append(b, ':')
	}
	b = append(b, kind.fixedWord(n.HasExtension)...)
	if n.Upper != kind.fixedUpper(n.HasExtension) {
		b = fmt.Appendf(b, "@%04X", n.Upper)
	}
	b = append(b, ':')
	if kind != KindNode {
		b = fmt.Appendf(b, "%02X", n.Target)
	}
	if kind != KindGroup {
		b = fmt.Appendf(b, ":%02X", n.Source)
	}
	return appendByte(b, wire.Address{HasByte: n.HasExtension, Byte: n.Extension})
}

func appendByte(b []byte, w wire.Address) []byte {
	if w.HasByte {
		b = fmt.Appendf(b, "#%02X", w.Byte)
	}
	return b
}

// fixedWord is the word that numbers have in the text of an address of that kind.
func (k Kind) fixedWord(mixed bool) string {
	switch {
	case k != KindPair && k != KindNode:
		return "func"
	case mixed:
		return "mixed"
	}
	return "fixed"
}

// fixedUpper are the upper 16 bits of ISO 15765-2's identifiers for an address of that
// kind.
func (k Kind) fixedUpper(mixed bool) uint16 {
	switch functional := k != KindPair && k != KindNode; {
	case functional && mixed:
		return wire.UpperMixedFunctional
	case functional:
		return wire.UpperFixedFunctional
	case mixed:
		return wire.UpperMixed
	}
	return wire.UpperFixed
}
