package einride

import (
	"encoding/binary"
	"fmt"

	"example.com/isotp/canbus"
)

const (
	// frameLen is the length of a frame.
	frameLen = 16
	// offsetLen and offsetData are where its length and its data are. Between them are
	// bytes that mean nothing, from offsetMark on.
	offsetLen  = 4
	offsetMark = 5
	offsetData = 8
)

// Flags beside the identifier.
const (
	flagExtended = 1 << 31
	flagRemote   = 1 << 30
	flagError    = 1 << 29
)

// appendFrame appends a frame of classic CAN, or an error frame.
func appendFrame(b []byte, f *canbus.Frame) []byte {
	word := f.ID
	if f.Has(canbus.Extended) {
		word |= flagExtended
	}
	if f.Has(canbus.Remote) {
		word |= flagRemote
	}
	if f.Has(canbus.ErrorFrame) {
		word |= flagError
	}
	var raw [frameLen]byte
	binary.LittleEndian.PutUint32(raw[:], word)
	raw[offsetLen] = f.Len
	if !f.Has(canbus.Remote) {
		copy(raw[offsetData:], f.Payload())
	}
	return append(b, raw[:]...)
}

// parseFrame parses frameLen bytes. Of an 11-bit identifier the bits above have no
// meaning, as for Linux and for their library.
func parseFrame(b []byte) (f canbus.Frame, err error) {
	word := binary.LittleEndian.Uint32(b)
	switch {
	case word&flagError != 0:
		f.ID, f.Flags = word&canbus.MaxExtendedID, canbus.ErrorFrame
	case word&flagExtended != 0:
		f.ID, f.Flags = word&canbus.MaxExtendedID, canbus.Extended
	default:
		f.ID = word & canbus.MaxStandardID
	}
	f.Len = b[offsetLen]
	if f.Len > canbus.MaxClassicLen {
		return canbus.Frame{}, fmt.Errorf("einride: %d bytes in frame %X (at most %d, as this form is classic CAN's)", f.Len, f.ID, canbus.MaxClassicLen)
	}
	if word&(flagRemote|flagError) == flagRemote {
		f.Flags |= canbus.Remote
		return f, nil
	}
	copy(f.Data[:], b[offsetData:offsetData+f.Len])
	return f, nil
}
