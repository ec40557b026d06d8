package pcan

import "example.com/isotp/canbus"

// decode makes a frame of a message that is one. It is a valid one, whatever the message says.
func decode(m *messageFD) (f canbus.Frame) {
	f.ID, f.Len = m.id&canbus.MaxStandardID, canbus.DLCLen(m.dlc, m.kind&kindFD != 0)
	if m.kind&kindExtended != 0 {
		f.ID, f.Flags = m.id&canbus.MaxExtendedID, canbus.Extended
	}
	for _, x := range kinds {
		if m.kind&x.kind != 0 {
			f.Flags |= x.flag
		}
	}
	if f.Has(canbus.FD) {
		f.Flags &^= canbus.Remote
	} else {
		f.Flags &^= canbus.BRS | canbus.ESI
	}
	if f.Has(canbus.Remote) {
		return f // no data
	}
	copy(f.Data[:f.Len], m.data[:])
	return f
}

// kinds are the bits of a message's type that are flags of frames.
var kinds = [...]struct {
	kind uint8
	flag canbus.Flags
}{{kindRemote, canbus.Remote}, {kindFD, canbus.FD}, {kindBRS, canbus.BRS}, {kindESI, canbus.ESI}}

// encode makes a message of a frame.
func encode(m *messageFD, f *canbus.Frame) {
	*m = messageFD{id: f.ID, dlc: f.DLC()}
	if f.Has(canbus.Extended) {
		m.kind |= kindExtended
	}
	for _, x := range kinds {
		if f.Has(x.flag) {
			m.kind |= x.kind
		}
	}
	if !f.Has(canbus.Remote) {
		copy(m.data[:], f.Payload())
	}
}
