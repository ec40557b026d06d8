// Package wire turns ISO 15765-2 protocol data units into CAN frames and back.
// It holds what the standard says about the bytes of one frame, N_PCI and
// address information, and nothing about the order or the time of frames.
package wire

import "example.com/isotp/canbus"

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
	// AnyPriority: what is received matches whatever its three priority bits
	// (28 to 26) are: normal fixed addressing and mixed addressing on 29 bits.
	AnyPriority bool
}

// priorityMask are the priority bits of a 29-bit identifier.
const priorityMask = 0x1C000000

// Overhead is the number of data bytes that the address takes: 0 or 1.
func (a Address) Overhead() int {
	if a.HasByte {
		return 1
	}
	return 0
}

// Match reports whether a received frame carries this address.
func (a Address) Match(f *canbus.Frame) bool {
	if f.Has(canbus.Extended) != a.Extended {
		return false
	}
	diff := f.ID ^ a.ID
	if a.AnyPriority {
		diff &^= priorityMask
	}
	return diff == 0 && (!a.HasByte || f.Len > 0 && f.Data[0] == a.Byte)
}

// Filter is the bus filter that lets the frames of this address pass (and with
// an address byte, those of others on the same identifier).
func (a Address) Filter() canbus.Filter {
	f := canbus.Filter{ID: a.ID, Mask: canbus.MaxStandardID, Extended: a.Extended}
	if a.Extended {
		f.Mask = canbus.MaxExtendedID
	}
	if a.AnyPriority {
		f.Mask &^= priorityMask
	}
	return f
}
