// Package errorframe has the numbers of SocketCAN's error frames (linux/can/error.h), which
// are the error frames of every bus.
package errorframe

import "example.com/isotp/canbus"

// Classes: the identifier of an error frame is one of them, or several.
const (
	TxTimeout       = 0x001
	ArbitrationLost = 0x002
	Controller      = 0x004 // byte 1 says what
	Protocol        = 0x008 // byte 2 says what was wrong on the bus, and byte 3 where
	NoAck           = 0x020
	BusOff          = 0x040
	BusError        = 0x080
	Restarted       = 0x100
	Counters        = 0x200 // bytes 6 and 7 have the counters of errors in sending and in receiving
)

// What byte 1 says of the controller.
const (
	ReceiveOverflow = 0x01
	SendOverflow    = 0x02
	Warning         = 0x04 | 0x08 // in receiving, and in sending: adapters do not tell which
	Passive         = 0x10 | 0x20 // likewise
	Active          = 0x40
)

// What byte 2 says of the protocol.
const (
	Bit       = 0x01
	Form      = 0x02
	Stuff     = 0x04
	Dominant  = 0x08 // a dominant bit could not be sent
	Recessive = 0x10 // nor a recessive one
	Sending   = 0x80 // in sending
)

// PlaceCRC is the place in byte 3 that says that the CRC was wrong.
const PlaceCRC = 0x08

// New makes an error frame. controller is byte 1.
func New(class uint32, controller byte) canbus.Frame {
	return canbus.Frame{
		ID: class, Flags: canbus.ErrorFrame, Len: canbus.MaxClassicLen,
		Data: [canbus.MaxLen]byte{1: controller},
	}
}
