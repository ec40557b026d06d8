package kvaser

import "example.com/isotp/canbus"

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

// SocketCAN's error frames (linux/can/error.h): classes in the identifier, and details in the
// data bytes.
const (
	classController = 0x004 // byte 1: what is wrong with the controller
	classProtocol   = 0x008 // byte 2: what was wrong on the bus; byte 3: where
	classBusOff     = 0x040
	classBusError   = 0x080
	classRestarted  = 0x100
	classCounters   = 0x200 // bytes 6 and 7: the counters of errors in sending and in receiving

	receiveOverflow = 0x01
	warnings        = 0x04 | 0x08
	passive         = 0x10 | 0x20
	active          = 0x40
)

// protocolErrors are what a message of an error frame says, and the bytes 2 and 3 of ours.
var protocolErrors = [...]struct {
	flag             uint32
	detail, location byte
}{{msgStuff, 0x04, 0}, {msgForm, 0x02, 0}, {msgCRC, 0, 0x08}, {msgBit0, 0x08, 0}, {msgBit1, 0x10, 0}}

// controllerState returns the byte 1 for a state.
func controllerState(state uint32) byte {
	switch {
	case state&statusPassive != 0:
		return passive
	case state&statusWarning != 0:
		return warnings
	}
	return active
}

// hearError takes an error frame that the adapter has seen on the bus. Under mu.
func (b *Bus) hearError(m *message, at int64) {
	f := canbus.Frame{ID: classBusError}
	for _, x := range protocolErrors {
		if m.flags&x.flag != 0 {
			f.ID |= classProtocol
			f.Data[2] |= x.detail
			f.Data[3] |= x.location
		}
	}
	b.pushError(f, at)
}

// report gives ReadFrames an error frame of a class, with a detail of the controller. Under mu.
func (b *Bus) report(at int64, class uint32, controller byte) {
	b.pushError(canbus.Frame{ID: class, Data: [canbus.MaxLen]byte{1: controller}}, at)
}

// pushError gives an error frame to ReadFrames, with the counters. Under mu.
func (b *Bus) pushError(f canbus.Frame, at int64) {
	f.Flags, f.Len = canbus.ErrorFrame, canbus.MaxClassicLen
	if tx, rx, s := b.lib.readErrorCounters(b.handle); s >= ok {
		f.ID |= classCounters
		f.Data[6], f.Data[7] = byte(min(tx, 255)), byte(min(rx, 255))
	}
	f.Stamp(at)
	b.frames.Push(&f)
}
