package pcan

import "example.com/isotp/canbus"

// What of SocketCAN's error frames this driver makes (linux/can/error.h).
const (
	classController = 0x004 // the details are in data[1]
	classProtocol   = 0x008 // in data[2], and the place in data[3]
	classNoAck      = 0x020
	classBusOff     = 0x040
	classRestarted  = 0x100
	classCounters   = 0x200 // data[6] and data[7]: of errors in sending and in receiving

	detailOverflow = 0x01
	detailWarning  = 0x04 | 0x08 // in receiving, and in sending: PCAN-Basic does not tell which
	detailPassive  = 0x10 | 0x20
	detailActive   = 0x40

	detailSending = 0x80 // of classProtocol
)

// errorFrame makes an error frame. detail is data[1].
func errorFrame(class uint32, detail byte) canbus.Frame {
	return canbus.Frame{
		ID: class, Flags: canbus.ErrorFrame, Len: canbus.MaxClassicLen,
		Data: [canbus.MaxLen]byte{1: detail},
	}
}

// Of messages with kindError: their identifier has a bit for the kind of error. Then come
// whether it was in receiving, where in the frame it was, and both counters. The place is a
// number of the controller SJA1000, as in SocketCAN.
const (
	errorBit   = 1
	errorForm  = 2
	errorStuff = 4
	errorOther = 8

	placeAck = 25
)

// protocolError makes an error frame of a message with kindError.
func protocolError(m *messageFD) canbus.Frame {
	f := errorFrame(classCounters, 0)
	receiving, place := m.data[0] == 1, m.data[1]
	f.Data[6], f.Data[7] = m.data[3], m.data[2]
	switch {
	case m.id&(errorBit|errorForm|errorStuff|errorOther) == 0:
		return f // only the counters have changed
	case m.id == errorOther && place == placeAck && !receiving:
		f.ID |= classNoAck
		return f
	}
	f.ID |= classProtocol
	f.Data[2] = byte(m.id & (errorBit | errorForm | errorStuff)) // the same bits
	if !receiving {
		f.Data[2] |= detailSending
	}
	f.Data[3] = place
	return f
}

// A busState is that of the controller.
type busState int

const (
	active busState = iota
	warning
	passive
	busOff
)

// stateOf returns the state in a status. Channels for CAN FD and for classic CAN have other
// bits.
func (s setting) stateOf(x status) busState {
	isPassive, isWarning := statusBusHeavy, statusBusLight
	if s.fd {
		isPassive, isWarning = statusBusPassive, statusBusHeavy
	}
	switch {
	case x.has(statusBusOff):
		return busOff
	case x.has(isPassive):
		return passive
	case x.has(isWarning | statusBusLight):
		return warning
	}
	return active
}

// details are of states, for frames with classController.
var details = [...]byte{active: detailActive, warning: detailWarning, passive: detailPassive}
