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
	kind   addrKind
	stream bool // it is an address of "isotp-stream"
	// tx and rx are the two directions, zero where there is none. Where the text is
	// fixed, mixed or func they leave the priority open; rx of the patterns of any
	// peer leaves that open, too.
	tx, rx wire.Address
}

// An addrKind is what an Addr can be used for.
type addrKind uint8

const (
	kindInvalid    addrKind = iota
	kindPair                // sends and listens
	kindFunctional          // only sends
	kindListenOnly          // only listens
	kindNode                // a local node, any peer: fixed::10
	kindGroup               // a functional group, any peer: func:33
	kindOBD                 // the tester on OBD-II's identifiers
)

// The upper 16 of the 29 bits of ISO 15765-2's identifiers.
const (
	upperFixed           = 0x18DA
	upperFixedFunctional = 0x18DB
	upperMixed           = 0x18CE
	upperMixedFunctional = 0x18CD
)

// IsValid reports whether a is an address, and not the zero Addr.
func (a Addr) IsValid() bool { return a.kind != kindInvalid }

// IsPair reports whether a sends and listens, as what one dials does.
func (a Addr) IsPair() bool { return a.kind == kindPair }

// IsFunctional reports whether a only sends, to any number of receivers: single
// frames, which nobody answers with flow control.
func (a Addr) IsFunctional() bool { return a.kind == kindFunctional }

// IsListenOnly reports whether a only listens. Alone it needs ListenOnly; in a
// listener's list, beside a pair, it is a functional address to be heard.
func (a Addr) IsListenOnly() bool { return a.kind == kindListenOnly }

// IsPattern reports whether a leaves the peer open, so that only listeners can
// take it: a local node, a functional group, or OBD-II's identifiers.
func (a Addr) IsPattern() bool { return a.kind >= kindNode }

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
	case kindPair:
	case kindFunctional:
		a.kind = kindListenOnly
	case kindListenOnly:
		a.kind = kindFunctional
	default:
		return Addr{}
	}
	a.tx, a.rx = a.rx, a.tx
	return a
}

// send is where a sends, for OBD-II the functional address. It is false for
// what only listens, and for a pattern, whose peer is not known.
func (a Addr) send() (wire.Address, bool) {
	switch a.kind {
	case kindPair, kindFunctional, kindOBD:
		return a.tx, true
	}
	return wire.Address{}, false
}

// listen is where a listens. It is false for what only sends, and for a
// pattern, which listens to more than one address (see heard).
func (a Addr) listen() (wire.Address, bool) {
	switch a.kind {
	case kindPair, kindListenOnly:
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
	switch a.kind {
	case kindPair:
		if a.tx.Open != wire.OpenNothing {
			return appendFixed(b, pairWord(a.tx), a.tx, true, true), nil
		}
		b = appendSide(b, a.tx)
		b = append(b, ':')
		return appendSide(b, a.rx), nil
	case kindFunctional:
		if a.tx.Open != wire.OpenNothing {
			return appendFixed(b, "func", a.tx, true, true), nil
		}
		return append(appendSide(b, a.tx), ':'), nil
	case kindListenOnly:
		b = append(b, ':')
		if a.rx.Open != wire.OpenNothing {
			return appendFixed(b, "func", a.rx, true, true), nil
		}
		return appendSide(b, a.rx), nil
	case kindNode:
		return appendFixed(b, pairWord(a.tx), a.tx, false, true), nil
	case kindGroup:
		return appendFixed(b, "func", a.rx, true, false), nil
	}
	if a.tx.Extended {
		return append(b, "obd29"...), nil
	}
	return append(b, "obd"...), nil
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

func appendSide(b []byte, w wire.Address) []byte {
	if w.Extended {
		b = fmt.Appendf(b, "%08X", w.ID)
	} else {
		b = fmt.Appendf(b, "%03X", w.ID)
	}
	return appendByte(b, w)
}

// appendFixed writes an identifier that holds N_TA and N_SA, and those of the
// two that are wanted.
func appendFixed(b []byte, word string, w wire.Address, target, source bool) []byte {
	b = append(b, word...)
	if upper := w.ID >> 16; upper != defaultUpper(word, w.HasByte) {
		b = fmt.Appendf(b, "@%04X", upper)
	}
	b = append(b, ':')
	if target {
		b = fmt.Appendf(b, "%02X", w.ID>>8&0xFF)
	}
	if source {
		b = fmt.Appendf(b, ":%02X", w.ID&0xFF)
	}
	return appendByte(b, w)
}

func appendByte(b []byte, w wire.Address) []byte {
	if w.HasByte {
		b = fmt.Appendf(b, "#%02X", w.Byte)
	}
	return b
}

// pairWord is the word for both directions of a pair or node with addresses
// like w.
func pairWord(w wire.Address) string {
	if w.HasByte {
		return "mixed"
	}
	return "fixed"
}

// defaultUpper are the upper 16 bits of the identifiers that word stands for.
func defaultUpper(word string, hasByte bool) uint32 {
	switch {
	case word == "fixed":
		return upperFixed
	case word == "mixed":
		return upperMixed
	case hasByte:
		return upperMixedFunctional
	default:
		return upperFixedFunctional
	}
}
