package wire

import (
	"encoding/binary"

	"example.com/isotp/canbus"
)

// Kind is the N_PCI type of a protocol data unit.
type Kind uint8

const (
	SingleFrame      Kind = 0
	FirstFrame       Kind = 1
	ConsecutiveFrame Kind = 2
	FlowControl      Kind = 3
)

// FlowStatus is the FS parameter of a flow control.
type FlowStatus uint8

const (
	ContinueToSend FlowStatus = 0 // CTS
	Wait           FlowStatus = 1 // WAIT
	Overflow       FlowStatus = 2 // OVFLW; what is above is reserved
)

const (
	// MaxShortLength is the longest message whose FF_DL has 12 bits; above it
	// the 32-bit escape is used.
	MaxShortLength = 4095
	// MaxLength is the longest message of all.
	MaxLength = 1<<32 - 1
)

// A PDU is one received protocol data unit, N_PDU.
type PDU struct {
	Kind Kind
	// SN is a Consecutive Frame's sequence number.
	SN uint8
	// Status, BlockSize and STmin (coded, see DecodeSTmin) are a flow control's.
	Status    FlowStatus
	BlockSize uint8
	STmin     uint8
	// Length is SF_DL or FF_DL.
	Length uint32
	// Data is the part of the message that the frame carries: for a
	// Consecutive Frame with the padding, because only its receiver knows
	// where the message ends. It points into the frame.
	Data []byte
}

// A Fault says why a frame is not a protocol data unit. Every one means: ignore
// the frame.
type Fault uint8

const (
	OK              Fault = iota
	Malformed             // no N_PCI, an unknown type, or a length that cannot be
	MissingEscape         // a Single Frame longer than 8 bytes whose SF_DL is not in the second byte
	BadFirstFrameDL       // a First Frame shorter than 8 bytes, or of a length that no DLC has
)

// Parse reads the protocol data unit of a frame whose first overhead bytes are
// address information (see Address.Overhead).
func (p *PDU) Parse(f *canbus.Frame, overhead int) Fault {
	if f.Flags&(canbus.Remote|canbus.ErrorFrame) != 0 {
		return Malformed
	}
	size := int(f.Len) // CAN_DL
	if size <= overhead || size > canbus.MaxLen {
		return Malformed
	}
	data := f.Data[overhead:size]
	switch p.Kind = Kind(data[0] >> 4); p.Kind {
	case ConsecutiveFrame:
		p.SN = data[0] & 0xF
		p.Data = data[1:]
		if len(p.Data) == 0 {
			return Malformed
		}
		return OK
	case FlowControl:
		if len(data) < 3 {
			return Malformed
		}
		p.Status = FlowStatus(data[0] & 0xF)
		p.BlockSize = data[1]
		p.STmin = data[2]
		p.Data = nil
		return OK
	case SingleFrame:
		return p.parseSingle(data, size)
	case FirstFrame:
		return p.parseFirst(data, size)
	}
	return Malformed
}

// parseSingle: the length is in the first byte in frames of up to 8 bytes, and
// in the second, after an escape of 0, in longer ones.
func (p *PDU) parseSingle(data []byte, size int) Fault {
	length := int(data[0] & 0xF)
	data = data[1:]
	if size > canbus.MaxClassicLen {
		if length != 0 {
			return MissingEscape
		}
		length = int(data[0])
		data = data[1:]
	}
	if length == 0 || length > len(data) {
		return Malformed
	}
	p.Length = uint32(length)
	p.Data = data[:length]
	return OK
}

// parseFirst: FF_DL has 12 bits, or, where these are 0, 32 bits after them.
func (p *PDU) parseFirst(data []byte, size int) Fault {
	if size < canbus.MaxClassicLen || !canbus.ValidLen(size, true) {
		return BadFirstFrameDL
	}
	overhead := size - len(data)
	p.Length = uint32(data[0]&0xF)<<8 | uint32(data[1])
	p.Data = data[2:]
	if p.Length == 0 {
		p.Length = binary.BigEndian.Uint32(data[2:])
		p.Data = data[6:]
		if p.Length <= MaxShortLength {
			return Malformed
		}
	}
	if int64(p.Length) <= int64(MaxSingle(size, overhead)) {
		return Malformed
	}
	return OK
}

// MaxSingle is the longest message that fits in a Single Frame of TX_DL size,
// one byte less where an address byte takes room: 7 in classic CAN, and in
// longer frames all but the two bytes of the escaped SF_DL.
func MaxSingle(size, overhead int) int {
	if size <= canbus.MaxClassicLen {
		return size - 1 - overhead
	}
	return size - 2 - overhead
}
