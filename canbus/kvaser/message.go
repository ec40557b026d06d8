package kvaser

import (
	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/errorframe"
)

// flags are what CANlib's and our flags have in common.
var flags = [...]struct {
	canlib uint32
	frame  canbus.Flags
}{
	{msgExtended, canbus.Extended}, {msgRemote, canbus.Remote},
	{msgFD, canbus.FD}, {msgBRS, canbus.BRS}, {msgESI, canbus.ESI},
}

// encode makes a message of a valid frame.
func (m *message) encode(f *canbus.Frame) {
	m.id, m.len, m.flags = int32(f.ID), uint32(f.Len), 0
	for _, x := range flags {
		if f.Has(x.frame) {
			m.flags |= x.canlib
		}
	}
	if !f.Has(canbus.Extended) {
		m.flags |= msgStandard
	}
	m.data = f.Data
}

// decode makes a frame of a message that is no error frame. It is a valid one, whatever the
// message says.
func decode(m *message) (f canbus.Frame) {
	for _, x := range flags {
		if m.flags&x.canlib != 0 {
			f.Flags |= x.frame
		}
	}
	f.ID = uint32(m.id) & canbus.MaxStandardID
	if f.Has(canbus.Extended) {
		f.ID = uint32(m.id) & canbus.MaxExtendedID
	}
	if f.Has(canbus.FD) {
		f.Flags &^= canbus.Remote
		f.Len = uint8(canbus.PadLen(int(min(m.len, canbus.MaxLen))))
	} else {
		f.Flags &^= canbus.BRS | canbus.ESI
		f.Len = uint8(min(m.len, canbus.MaxClassicLen))
	}
	if !f.Has(canbus.Remote) {
		copy(f.Data[:], m.data[:f.Len])
	}
	return f
}

// protocolErrors are what a message of an error frame says, and the bytes 2 and 3 of ours.
var protocolErrors = [...]struct {
	flag             uint32
	detail, location byte
}{
	{msgStuff, errorframe.Stuff, 0}, {msgForm, errorframe.Form, 0}, {msgCRC, 0, errorframe.PlaceCRC},
	{msgBit0, errorframe.Dominant, 0}, {msgBit1, errorframe.Recessive, 0},
}

// controllerState returns the byte 1 for a state.
func controllerState(state uint32) byte {
	switch {
	case state&statusPassive != 0:
		return errorframe.Passive
	case state&statusWarning != 0:
		return errorframe.Warning
	}
	return errorframe.Active
}

// hearError takes an error frame that the adapter has seen on the bus. Under mu.
func (b *Bus) hearError(m *message, at int64) {
	f := errorframe.New(errorframe.BusError, 0)
	for _, x := range protocolErrors {
		if m.flags&x.flag != 0 {
			f.ID |= errorframe.Protocol
			f.Data[2] |= x.detail
			f.Data[3] |= x.location
		}
	}
	b.pushError(f, at)
}

// report gives ReadFrames an error frame of a class, with a detail of the controller. Under mu.
func (b *Bus) report(at int64, class uint32, controller byte) {
	b.pushError(errorframe.New(class, controller), at)
}

// pushError gives an error frame to ReadFrames, with the counters. Under mu.
func (b *Bus) pushError(f canbus.Frame, at int64) {
	if tx, rx, s := b.lib.readErrorCounters(b.handle); s >= ok {
		f.ID |= errorframe.Counters
		f.Data[6], f.Data[7] = byte(min(tx, 255)), byte(min(rx, 255))
	}
	f.Stamp(at)
	b.frames.Push(&f)
}
