package j2534

import (
	"encoding/binary"

	"example.com/isotp/canbus"
)

// idLen is the length of the identifier in a message's data.
const idLen = 4

// encode makes a message of a valid frame of classic CAN with data.
func (m *message) encode(f *canbus.Frame) {
	m.begin(uint32(idLen) + uint32(f.Len))
	if f.Has(canbus.Extended) {
		m.txFlags = flagExtended
	}
	binary.BigEndian.PutUint32(m.data[:], f.ID)
	copy(m.data[idLen:], f.Payload())
}

// begin makes an empty message of that size.
func (m *message) begin(size uint32) {
	m.protocol, m.size = protocolCAN, size
	m.rxStatus, m.txFlags, m.timestamp, m.extra = 0, 0, 0, 0
}

// decode makes a frame of a message. It returns false if the message is none of CAN.
func (m *message) decode() (f canbus.Frame, valid bool) {
	if m.protocol != protocolCAN || m.size < idLen || m.size > idLen+canbus.MaxClassicLen {
		return f, false
	}
	f.ID = binary.BigEndian.Uint32(m.data[:]) & canbus.MaxStandardID
	if m.rxStatus&flagExtended != 0 {
		f.ID, f.Flags = binary.BigEndian.Uint32(m.data[:])&canbus.MaxExtendedID, canbus.Extended
	}
	f.Len = uint8(m.size - idLen)
	copy(f.Data[:f.Len], m.data[idLen:])
	return f, true
}
