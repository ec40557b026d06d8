package scan

import (
	"fmt"
	"time"

	"example.com/isotp/internal/wire"
)

// An Endpoint is an address on which an ECU listens, and the one from which it answers.
type Endpoint struct {
	To     wire.Address // where the probes went
	Probe  Probe        // the probe that was answered
	Answer Answer       // the answer
	// Group: other ECUs, or one with several addresses, have answered the same probe.
	Group bool
	// Unpadded says whether the ECU hears frames that are not filled up to 8 bytes. A scan
	// by First Frames, which have 8 bytes, finds that out only with Config.Intrusive.
	Unpadded Finding
	// Flow is the flow control that the ECU answers to a First Frame, nil if that is not
	// known: a scan by 3E 00 asks for it only with Config.Intrusive.
	Flow *Answer
	// Longest is the longest message whose First Frame the ECU does not refuse, 0 if that
	// is not known: it is asked for only with Config.Intrusive.
	Longest uint32
}

// An Answer is a frame that answers a probe.
type Answer struct {
	From  wire.Address
	FD    bool          // it is a CAN FD frame
	Delay time.Duration // from the probe to the answer; the shortest, of several
	// Status, BlockSize and STmin (coded, see wire.DecodeSTmin) are a flow control's.
	Status    wire.FlowStatus
	BlockSize uint8
	STmin     uint8
	// Code is that of a negative response to 3E 00; 0: the response is positive.
	Code    byte
	Padding Padding

	frames int  // in how many frames it was said
	waited bool // one of them was a flow control with WAIT
}

// Padding is what a frame is filled up with.
type Padding int

const (
	NoPadding    Padding = -1 // the frame ends with its data
	MixedPadding Padding = -2 // by different bytes
	// A Padding from 0 to 255 is the byte.
)

// paddingOf returns what a frame's data, of which so many bytes are used, are filled up with.
func paddingOf(data []byte, used int) Padding {
	if used >= len(data) {
		return NoPadding
	}
	for _, b := range data[used:] {
		if b != data[used] {
			return MixedPadding
		}
	}
	return Padding(data[used])
}

// A Finding is what is known of something.
type Finding int

const (
	Unknown Finding = iota
	Yes
	No
)

// A Mode is an addressing mode that an endpoint may have.
type Mode string

// The addressing modes of ISO 15765-2; bits are those of the identifier.
const (
	Normal     Mode = "normal"      // 11 bits
	Normal29   Mode = "normal 29"   // 29 bits
	Fixed      Mode = "fixed"       // normal fixed, 29 bits
	Extended   Mode = "extended"    // 11 bits
	Extended29 Mode = "extended 29" // 29 bits
	Mixed      Mode = "mixed"       // 11 bits
	Mixed29    Mode = "mixed 29"    // 29 bits
)

// Modes returns the addressing modes that the endpoint may have: what is on the wire does
// not tell them apart. The first is the most special one.
func (e *Endpoint) Modes() []Mode {
	to, from := e.To, e.Answer.From
	switch {
	case to.Extended != from.Extended: // each direction has a mode of its own
		return []Mode{plainMode(to)}
	case !to.HasByte && isNodePair(to.ID, from.ID, wire.UpperFixed, wire.UpperFixedFunctional):
		return []Mode{Fixed, plainMode(to)}
	case to.HasByte && to.Byte == from.Byte && !to.Extended:
		return []Mode{Mixed, plainMode(to)}
	case to.HasByte && to.Byte == from.Byte && isNodePair(to.ID, from.ID, wire.UpperMixed, wire.UpperMixedFunctional):
		return []Mode{Mixed29, plainMode(to)}
	}
	return []Mode{plainMode(to)}
}

// plainMode is the addressing mode in which an address may have any numbers.
func plainMode(a wire.Address) Mode {
	switch {
	case a.HasByte && a.Extended:
		return Extended29
	case a.HasByte:
		return Extended
	case a.Extended:
		return Normal29
	}
	return Normal
}

// isNodePair reports whether an identifier with target and source address, of a node or of
// a group, is answered by that of a node: from the target to the source, or from any node to
// the source.
func isNodePair(request, answer, node, group uint32) bool {
	if wire.Upper(answer) != node || wire.Target(answer) != wire.Source(request) {
		return false
	}
	upper := wire.Upper(request)
	return upper == group || upper == node && wire.Source(answer) == wire.Target(request)
}

// Functional reports whether the probe went to a functional address: one that several ECUs
// answer, that of OBD-II's requests to all (7DF), or that of a functional group in normal
// fixed or in mixed addressing.
func (e *Endpoint) Functional() bool {
	const obd = 0x7DF
	mode, upper := e.Modes()[0], wire.Upper(e.To.ID)
	return e.Group || mode == Normal && e.To.ID == obd ||
		mode == Fixed && upper == wire.UpperFixedFunctional || mode == Mixed29 && upper == wire.UpperMixedFunctional
}

// Address returns the text of the endpoint's address, as the command isotp takes it.
func (e *Endpoint) Address() string {
	to, from := e.To, e.Answer.From
	switch mode, isNode := e.Modes()[0], to.ID>>16 == from.ID>>16; {
	case mode == Fixed && isNode && to.ID>>16 == wire.UpperFixed:
		return fmt.Sprintf("fixed:%02X:%02X", wire.Target(to.ID), wire.Source(to.ID))
	case mode == Mixed29 && isNode && to.ID>>16 == wire.UpperMixed:
		return fmt.Sprintf("mixed:%02X:%02X#%02X", wire.Target(to.ID), wire.Source(to.ID), to.Byte)
	}
	return to.String() + ":" + from.String()
}
