package socketcan

import (
	"encoding/binary"

	"example.com/isotp/canbus"
	"golang.org/x/sys/unix"
)

const (
	// mtu and mtuFD are the sizes of struct can_frame and struct canfd_frame.
	// They tell the kinds of frame apart.
	mtu   = 16
	mtuFD = 72

	// Of both structs: where the length, the flags (CAN FD) and the data are.
	offsetLen   = 4
	offsetFlags = 5
	offsetData  = 8

	flagBRS = 0x01
	flagESI = 0x02
)

// encode writes a valid frame as the kernel wants it, and returns how many bytes.
func encode(b *[mtuFD]byte, f *canbus.Frame) int {
	id := f.ID
	if f.Has(canbus.Extended) {
		id |= unix.CAN_EFF_FLAG
	}
	if f.Has(canbus.Remote) {
		id |= unix.CAN_RTR_FLAG
	}
	binary.NativeEndian.PutUint32(b[:], id)
	binary.NativeEndian.PutUint32(b[offsetLen:], 0)
	b[offsetLen] = f.Len
	if !f.Has(canbus.FD) {
		*(*[8]byte)(b[offsetData:]) = [8]byte(f.Data[:])
		return mtu
	}
	if f.Has(canbus.BRS) {
		b[offsetFlags] |= flagBRS
	}
	if f.Has(canbus.ESI) {
		b[offsetFlags] |= flagESI
	}
	copy(b[offsetData:], f.Payload())
	clear(b[offsetData+min(int(f.Len), canbus.MaxLen):]) // nothing of the frame before
	return mtuFD
}

// decode reads a frame of n bytes as the kernel gave it. It reports whether it is
// one at all. The time and the flag Echo are not in it.
func decode(f *canbus.Frame, b *[mtuFD]byte, n int) bool {
	id := binary.NativeEndian.Uint32(b[:])
	f.Flags, f.Timestamp, f.Channel = 0, 0, 0
	f.Len = b[offsetLen]
	switch n {
	case mtu:
		f.Len = min(f.Len, canbus.MaxClassicLen)
		copy(f.Data[:8], b[offsetData:mtu])
	case mtuFD:
		f.Flags |= canbus.FD
		if b[offsetFlags]&flagBRS != 0 {
			f.Flags |= canbus.BRS
		}
		if b[offsetFlags]&flagESI != 0 {
			f.Flags |= canbus.ESI
		}
		f.Len = min(f.Len, canbus.MaxLen)
		f.Data = [canbus.MaxLen]byte(b[offsetData:])
	default:
		return false
	}
	switch {
	case id&unix.CAN_ERR_FLAG != 0:
		f.Flags |= canbus.ErrorFrame
		f.ID = id & unix.CAN_EFF_MASK
	case id&unix.CAN_EFF_FLAG != 0:
		f.Flags |= canbus.Extended
		f.ID = id & unix.CAN_EFF_MASK
	default:
		f.ID = id & unix.CAN_SFF_MASK
	}
	if id&unix.CAN_RTR_FLAG != 0 {
		f.Flags |= canbus.Remote
	}
	return true
}
