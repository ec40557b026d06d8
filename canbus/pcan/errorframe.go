package pcan

import (
	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/errorframe"
)

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
	f := errorframe.New(errorframe.Counters, 0)
	receiving, place := m.data[0] == 1, m.data[1]
	f.Data[6], f.Data[7] = m.data[3], m.data[2]
	switch {
	case m.id&(errorBit|errorForm|errorStuff|errorOther) == 0:
		return f // only the counters have changed
	case m.id == errorOther && place == placeAck && !receiving:
		f.ID |= errorframe.NoAck
		return f
	}
	f.ID |= errorframe.Protocol
	f.Data[2] = byte(m.id & (errorBit | errorForm | errorStuff)) // the same bits
	if !receiving {
		f.Data[2] |= errorframe.Sending
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

// details are of states, for frames with errorframe.Controller.
var details = [...]byte{active: errorframe.Active, warning: errorframe.Warning, passive: errorframe.Passive}
