package canlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"example.com/isotp/canbus"
)

// The link types of captures that may have CAN frames.
const (
	linkSLL       = 113 // Linux's any: all kinds of networks
	linkSocketCAN = 227
	linkSLL2      = 276 // as 113, with the interface's number
)

// The bits of SocketCAN's identifiers and flags, and the lengths of its frames. The
// identifier is big-endian in captures.
const (
	socketExtended = 0x80000000
	socketRemote   = 0x40000000
	socketBRS      = 1
	socketESI      = 2
	socketFD       = 4
	socketXL       = 0x80 // where others have the length

	socketHeader  = 8
	socketClassic = socketHeader + canbus.MaxClassicLen
	socketMax     = socketHeader + canbus.MaxLen
)

// setPacket makes a frame of a packet of that link type. The error is errSkipped for
// packets of other networks.
func setPacket(f *canbus.Frame, link uint32, packet []byte) error {
	switch link {
	case linkSocketCAN:
		return setSocketCAN(f, packet)
	case linkSLL:
		return setCooked(f, packet, 16, func(b []byte) (hardware uint16, sent bool) {
			return binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b) == 4
		})
	case linkSLL2:
		return setCooked(f, packet, 20, func(b []byte) (hardware uint16, sent bool) {
			return binary.BigEndian.Uint16(b[8:]), b[10] == 4
		})
	}
	return errSkipped
}

// setCooked makes a frame of a packet that has a header of Linux's in front.
func setCooked(f *canbus.Frame, packet []byte, header int, parse func([]byte) (hardware uint16, sent bool)) error {
	const can = 280 // ARPHRD_CAN
	if len(packet) < header {
		return fmt.Errorf("a packet of %d bytes is shorter than its header", len(packet))
	}
	hardware, sent := parse(packet)
	if hardware != can {
		return errSkipped
	}
	if err := setSocketCAN(f, packet[header:]); err != nil {
		return err
	}
	if sent {
		f.Flags |= canbus.Echo
	}
	return nil
}

// setSocketCAN makes a frame of one of SocketCAN's.
func setSocketCAN(f *canbus.Frame, b []byte) error {
	if len(b) < socketHeader {
		return fmt.Errorf("%d bytes are no CAN frame", len(b))
	}
	id, length, flags := binary.BigEndian.Uint32(b), b[4], b[5]
	if length&socketXL != 0 {
		return errXL
	}
	if len(b) < socketHeader+int(length) {
		return fmt.Errorf("there are %d of %d data bytes: the capture has cut them off", len(b)-socketHeader, length)
	}
	f.ID, f.Len = id&canbus.MaxExtendedID, length
	switch {
	case id&errorBit != 0:
		f.Flags |= canbus.ErrorFrame
	case id&socketExtended != 0:
		f.Flags |= canbus.Extended
	}
	if id&socketRemote != 0 {
		f.Flags |= canbus.Remote
	}
	if flags&socketFD != 0 || len(b) == socketMax {
		f.Flags |= canbus.FD
		if flags&socketBRS != 0 {
			f.Flags |= canbus.BRS
		}
		if flags&socketESI != 0 {
			f.Flags |= canbus.ESI
		}
	}
	if err := valid(f); err != nil {
		return err
	}
	if f.Has(canbus.ErrorFrame) && f.Flags&(canbus.FD|canbus.Remote) != 0 {
		return errors.New("an error frame is neither a remote frame nor CAN FD")
	}
	if !f.Has(canbus.Remote) {
		copy(f.Data[:], b[socketHeader:socketHeader+int(length)])
	}
	return nil
}

// appendSocketCAN appends a frame as SocketCAN has it.
func appendSocketCAN(b []byte, f *canbus.Frame) []byte {
	id, flags, size := f.ID, byte(0), socketClassic
	switch {
	case f.Has(canbus.ErrorFrame):
		id |= errorBit
	case f.Has(canbus.Extended):
		id |= socketExtended
	}
	if f.Has(canbus.Remote) {
		id |= socketRemote
	}
	if f.Has(canbus.FD) {
		flags, size = socketFD, socketMax
	}
	if f.Has(canbus.BRS) {
		flags |= socketBRS
	}
	if f.Has(canbus.ESI) {
		flags |= socketESI
	}
	var frame [socketMax]byte
	binary.BigEndian.PutUint32(frame[:], id)
	frame[4], frame[5] = f.Len, flags
	if !f.Has(canbus.Remote) {
		copy(frame[socketHeader:], f.Payload())
	}
	return append(b, frame[:size]...)
}
