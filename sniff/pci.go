package sniff

import (
	"fmt"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// A Type is the N_PCI type of a frame.
type Type uint8

const (
	SingleFrame      = Type(wire.SingleFrame)
	FirstFrame       = Type(wire.FirstFrame)
	ConsecutiveFrame = Type(wire.ConsecutiveFrame)
	FlowControl      = Type(wire.FlowControl)
	// OtherFrame: its N_PCI is none of ISO 15765-2, or it has none.
	OtherFrame Type = 4
)

var typeNames = [...]string{"SF", "FF", "CF", "FC", "??"}

// String returns SF, FF, CF, FC, or ??.
func (t Type) String() string { return typeNames[min(int(t), int(OtherFrame))] }

// A FlowStatus is what a flow control says, FS. Values above Overflow are reserved.
type FlowStatus uint8

const (
	ContinueToSend = FlowStatus(wire.ContinueToSend)
	Wait           = FlowStatus(wire.Wait)
	Overflow       = FlowStatus(wire.Overflow)
)

// String returns CTS, WAIT, OVFLW, or "reserved".
func (s FlowStatus) String() string {
	switch s {
	case ContinueToSend:
		return "CTS"
	case Wait:
		return "WAIT"
	case Overflow:
		return "OVFLW"
	}
	return "reserved"
}

// A Fault says why every receiver ignores a frame.
type Fault uint8

const (
	// NoFault: it is a frame of ISO 15765-2.
	NoFault Fault = iota
	// NoData: it is a remote or an error frame, or has no N_PCI.
	NoData
	// UnknownType: its N_PCI type is none of the standard's.
	UnknownType
	// BadLength: it announces a length that it cannot have, as a Single Frame of 0 bytes, or
	// a First Frame whose message a Single Frame can carry; or it is shorter than its N_PCI,
	// or a Consecutive Frame without data.
	BadLength
	// MissingEscape: it is a Single Frame of more than 8 bytes with the length in the first byte.
	MissingEscape
	// ShortFirstFrame: it is a First Frame of less than 8 bytes, or of a number of bytes that
	// no DLC has.
	ShortFirstFrame
)

var faultTexts = [...]string{
	NoFault:         "",
	NoData:          "no N_PCI",
	UnknownType:     "no type of ISO 15765-2",
	BadLength:       "a length that cannot be",
	MissingEscape:   "longer than 8 bytes, and the length is not behind a 00",
	ShortFirstFrame: "a First Frame shorter than 8 bytes",
}

// String says what is wrong; "" for NoFault.
func (f Fault) String() string {
	if int(f) < len(faultTexts) {
		return faultTexts[f]
	}
	return fmt.Sprintf("Fault(%d)", uint8(f))
}

// A PCI is what one frame says. Which fields have a meaning depends on its Type; with a Fault
// they are 0, except Type.
type PCI struct {
	Type  Type
	Fault Fault
	// Length is that of the message, of a SingleFrame (SF_DL) and a FirstFrame (FF_DL).
	Length uint32
	// SN is the sequence number of a ConsecutiveFrame, 0 to 15.
	SN uint8
	// Status, BlockSize and STmin are those of a FlowControl. STmin is as on the wire: see
	// SeparationTime.
	Status    FlowStatus
	BlockSize uint8
	STmin     uint8
	// Data is the part of the message in the frame; of a ConsecutiveFrame with what it is
	// filled up with. It points into the frame.
	Data []byte
}

// SeparationTime returns what an STmin means: 00 to 7F are milliseconds, F1 to F9 hundreds of
// microseconds. Others are reserved: known is false, and d is 127 ms, as the standard wants it.
func SeparationTime(stmin uint8) (d time.Duration, known bool) {
	return wire.DecodeSTmin(stmin), stmin <= 0x7F || 0xF1 <= stmin && stmin <= 0xF9
}

// Decode reads a frame. hasByte says that the first byte of its data is an address byte, as in
// extended and mixed addressing.
func Decode(f *canbus.Frame, hasByte bool) PCI {
	p, _ := decode(f, wire.Address{HasByte: hasByte}.Overhead())
	return p
}

func decode(f *canbus.Frame, overhead int) (p PCI, ok bool) {
	var pdu wire.PDU
	switch fault := pdu.Parse(f, overhead); fault {
	case wire.OK:
		return PCI{
			Type: Type(pdu.Kind), Length: pdu.Length, SN: pdu.SN, Data: pdu.Data,
			Status: FlowStatus(pdu.Status), BlockSize: pdu.BlockSize, STmin: pdu.STmin,
		}, true
	case wire.MissingEscape:
		p.Fault = MissingEscape
	case wire.BadFirstFrameDL:
		p.Fault = ShortFirstFrame
	default:
		p.Fault = BadLength
	}
	switch {
	case f.Flags&(canbus.Remote|canbus.ErrorFrame) != 0, int(f.Len) <= overhead, f.Len > canbus.MaxLen:
		return PCI{Type: OtherFrame, Fault: NoData}, false
	case pdu.Kind > wire.FlowControl:
		return PCI{Type: OtherFrame, Fault: UnknownType}, false
	}
	p.Type = Type(pdu.Kind)
	return p, false
}
