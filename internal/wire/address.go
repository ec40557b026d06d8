// Package wire turns ISO 15765-2 protocol data units into CAN frames and back.
// It holds what the standard says about the bytes of one frame, N_PCI and
// address information, and nothing about the order or the time of frames.
package wire

import (
	"fmt"

	"example.com/isotp/canbus"
)

// An Address is the address information of frames in one direction, N_AI: the
// CAN identifier, and in extended and mixed addressing the first data byte.
// It is comparable.
type Address struct {
	// ID is the CAN identifier, of 11 bits, or 29 where Extended is true.
	ID       uint32
	Extended bool
	// HasByte: the first data byte of every frame is Byte: N_TA in extended
	// addressing, N_AE in mixed addressing.
	HasByte bool
	Byte    byte
	// Open says which bits of the identifier may have any value in what is
	// received. What is sent has the identifier ID.
	Open Open
}

// Open says which bits of an identifier an address leaves open. An addressing mode
// that leaves other bits open is added here and to openBits: whatever receives,
// filters or compares addresses asks Mask, Match and Overlaps.
type Open uint8

const (
	// OpenNothing: one identifier.
	OpenNothing Open = iota
	// OpenPriority: any priority, the bits 28 to 26. Normal fixed addressing, and
	// mixed addressing on 29 bits.
	OpenPriority
	// OpenPeer: any priority, and any peer: N_SA, the lowest byte, which is 0 in ID.
	// A node, or a functional group, of normal fixed or mixed addressing.
	OpenPeer
	// NumOpen is how many values there are.
	NumOpen
)

const (
	priorityBits = 0x1C000000
	peerBits     = 0x000000FF
)

var openBits = [NumOpen]uint32{
	OpenPriority: priorityBits,
	OpenPeer:     priorityBits | peerBits,
}

// String returns the identifier in 3 or 8 hexadecimal digits, and the byte behind a #: 7E0,
// 18DA10F1, 641#55.
func (a Address) String() string {
	text := fmt.Sprintf("%03X", a.ID)
	if a.Extended {
		text = fmt.Sprintf("%08X", a.ID)
	}
	if a.HasByte {
		text += fmt.Sprintf("#%02X", a.Byte)
	}
	return text
}

// Overhead is the number of data bytes that the address takes: 0 or 1.
func (a Address) Overhead() int {
	if a.HasByte {
		return 1
	}
	return 0
}

// Mask has the bits of an identifier that the address compares.
func (a Address) Mask() uint32 {
	if a.Extended {
		return canbus.MaxExtendedID &^ openBits[a.Open]
	}
	return canbus.MaxStandardID &^ openBits[a.Open]
}

// Match reports whether a received frame carries this address.
func (a Address) Match(f *canbus.Frame) bool {
	return f.Has(canbus.Extended) == a.Extended && (f.ID^a.ID)&a.Mask() == 0 && a.MatchByte(f)
}

// MatchByte is Match for a frame whose identifier is known to match.
func (a Address) MatchByte(f *canbus.Frame) bool {
	return !a.HasByte || f.Len > 0 && f.Data[0] == a.Byte
}

// Overlaps reports whether one frame can carry both addresses: then both of their
// listeners hear it.
func (a Address) Overlaps(b Address) bool {
	return a.Extended == b.Extended && (a.ID^b.ID)&a.Mask()&b.Mask() == 0 &&
		!(a.HasByte && b.HasByte && a.Byte != b.Byte)
}

// Bucket returns what addresses that overlap have in common, and others may have, too:
// to look them up by.
func (a Address) Bucket() Address {
	b := Address{ID: a.ID, Extended: a.Extended}
	for _, bits := range openBits {
		b.ID &^= bits
	}
	return b
}

// WithoutPriority returns what is the same for an address written with one priority
// and with any.
func (a Address) WithoutPriority() Address {
	if a.Extended {
		a.ID &^= priorityBits
	}
	a.Open = OpenNothing
	return a
}

// Filter is the bus filter that lets the frames of this address pass (and with
// an address byte, those of others on the same identifier).
func (a Address) Filter() canbus.Filter {
	return canbus.Filter{ID: a.ID, Mask: a.Mask(), Extended: a.Extended}
}
