package cannelloni

import (
	"encoding/binary"
	"fmt"

	"example.com/isotp/canbus"
)

// Both transports carry a frame in the same form: can_id as in linux/can.h, in network byte
// order, the length, for CAN FD a byte of flags, and the data, which remote frames have not.
const (
	idExtended = 1 << 31
	idRemote   = 1 << 30
	idError    = 1 << 29

	lenFD = 0x80 // in the length's byte: CAN FD, and the flags follow

	flagBRS = 1 << 0
	flagESI = 1 << 1

	// baseLen is the length of a classic frame without data, and maxFrame that of the longest.
	baseLen  = 4 + 1
	maxFrame = baseLen + 1 + canbus.MaxLen
)

// frameLen returns how many bytes appendFrame appends.
func frameLen(f *canbus.Frame) int {
	switch {
	case f.Has(canbus.FD):
		return baseLen + 1 + int(f.Len)
	case f.Has(canbus.Remote):
		return baseLen
	}
	return baseLen + int(f.Len)
}

// appendFrame appends a valid frame.
func appendFrame(b []byte, f *canbus.Frame) []byte {
	id := f.ID
	for _, bit := range idBits {
		if f.Has(bit.flag) {
			id |= bit.id
		}
	}
	b = binary.BigEndian.AppendUint32(b, id)
	if !f.Has(canbus.FD) {
		b = append(b, f.Len)
		if f.Has(canbus.Remote) {
			return b
		}
		return append(b, f.Payload()...)
	}
	flags := byte(0)
	if f.Has(canbus.BRS) {
		flags |= flagBRS
	}
	if f.Has(canbus.ESI) {
		flags |= flagESI
	}
	return append(append(b, f.Len|lenFD, flags), f.Payload()...)
}

var idBits = [...]struct {
	id   uint32
	flag canbus.Flags
}{
	{idExtended, canbus.Extended},
	{idRemote, canbus.Remote},
	{idError, canbus.ErrorFrame},
}

// parseFrame reads the frame that b begins with, and returns how many bytes it has: 0 if b
// ends before the frame does. If no frame of CAN is like that it returns an error, and how
// many bytes to skip: 0 if its end cannot be known.
func parseFrame(b []byte, f *canbus.Frame) (n int, err error) {
	if len(b) < baseLen {
		return 0, nil
	}
	id := binary.BigEndian.Uint32(b)
	*f = canbus.Frame{ID: id & canbus.MaxExtendedID, Len: b[4] &^ lenFD}
	if f.Len > canbus.MaxLen {
		return 0, fmt.Errorf("a frame with %d bytes of data (at most %d)", f.Len, canbus.MaxLen)
	}
	for _, bit := range idBits {
		if id&bit.id != 0 {
			f.Flags |= bit.flag
		}
	}
	n = baseLen
	if b[4]&lenFD != 0 {
		if n++; len(b) < n {
			return 0, nil
		}
		f.Flags |= fdFlags(b[baseLen])
	}
	if !f.Has(canbus.Remote) {
		data := n
		if n += int(f.Len); len(b) < n {
			return 0, nil
		}
		copy(f.Data[:], b[data:n])
	}
	return n, checkReceived(f)
}

func fdFlags(b byte) canbus.Flags {
	flags := canbus.FD
	if b&flagBRS != 0 {
		flags |= canbus.BRS
	}
	if b&flagESI != 0 {
		flags |= canbus.ESI
	}
	return flags
}

// checkReceived returns why no frame of CAN is like that. The identifier of an error frame is
// a set of 29 bits.
func checkReceived(f *canbus.Frame) error {
	checked := *f
	if f.Has(canbus.ErrorFrame) {
		f.Flags &^= canbus.Extended
		checked.Flags = checked.Flags&^canbus.ErrorFrame | canbus.Extended
	}
	return checked.Validate()
}
