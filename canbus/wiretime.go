package canbus

import "time"

// What follows the stuffed part of every frame: CRC delimiter, ACK slot, ACK
// delimiter, end of frame and intermission.
const (
	bitsCRCDelimiter = 1
	bitsTail         = 1 + 1 + 7 + 3
)

// WireTime returns how long a valid frame occupies the bus, to the nanosecond:
// from its start of frame to the end of the intermission after it, when the
// next may start, with the stuff bits that its content needs. Error frames,
// which are not on the wire, take no time.
//
// Bit rates are in bits per second. dataBitrate is that of the data phase of
// frames with the flag BRS; 0 means the same as bitrate. A bitrate of 0 or less
// is an infinitely fast bus.
func WireTime(f *Frame, bitrate, dataBitrate int) time.Duration {
	if bitrate <= 0 {
		return 0
	}
	if dataBitrate <= 0 {
		dataBitrate = bitrate
	}
	nominal, data := f.WireBits()
	return bitTime(nominal, bitrate) + bitTime(data, dataBitrate)
}

// bitTime is the time of n bits, rounded to the nearest nanosecond.
func bitTime(n, bitrate int) time.Duration {
	rate := int64(bitrate)
	return time.Duration((int64(n)*int64(time.Second) + rate/2) / rate)
}

// WireBits returns how many bits a valid frame is long on the wire, stuff bits
// and intermission included: those at the nominal bit rate, and those at the
// bit rate of the data phase, which only frames with the flag BRS have.
//
// The rate changes in the middle of two bits, at the sample points of BRS and
// of the CRC delimiter. What one has of either rate the other lacks: together
// they are one bit of each, and so they are counted.
func (f *Frame) WireBits() (nominal, data int) {
	switch {
	case f.Has(ErrorFrame):
		return 0, 0
	case !f.Has(FD):
		return f.classicBits(), 0
	case !f.Has(BRS):
		return f.fdBits(), 0
	}
	return f.brsBits()
}

// classicBits: everything is stuffed from the start of frame to the CRC's end.
func (f *Frame) classicBits() int {
	n := min(int(f.Len), MaxClassicLen)
	var header uint64
	var length int // of the header in bits, from the start of frame to the DLC
	remote := uint64(0)
	if f.Has(Remote) {
		remote = 1
	}
	if f.Has(Extended) {
		// SOF, 11 bits, SRR and IDE, 18 bits, RTR, r1 and r0, DLC
		header = f.extendedID()<<7 | remote<<6 | uint64(n)
		length = 1 + 11 + 2 + 18 + 1 + 2 + 4
	} else {
		// SOF, 11 bits, RTR, IDE and r0, DLC
		header = uint64(f.ID&MaxStandardID)<<7 | remote<<6 | uint64(n)
		length = 1 + 11 + 1 + 2 + 4
	}
	var payload []byte
	if remote == 0 {
		payload = f.Data[:n]
	}

	var crc uint16
	for shift := (length - 1) / 8 * 8; shift >= 0; shift -= 8 {
		crc = crc15(crc, byte(header>>shift))
	}
	for _, b := range payload {
		crc = crc15(crc, b)
	}

	s := stuffHeader(header, length).bytes(payload)
	// One more bit, whatever it is, to have the stuff bit after the CRC counted.
	s = s.byte(byte(crc >> 7)).byte(byte(crc << 1))
	return length + 8*len(payload) + 15 + s.count() + bitsCRCDelimiter + bitsTail
}

// fdBits: stuff bits depend on the content up to the end of the data only. The
// CRC field has them at fixed places, the first of which takes the place of one
// that the data might need after their last bit.
func (f *Frame) fdBits() int {
	n := PadLen(int(f.Len))
	header, length := f.fdHeader()
	// BRS, ESI, DLC
	header, length = header<<6|f.esi()<<4|uint64(f.DLC()), length+6
	s := stuffHeader(header, length).bytes(f.Data[:n])
	return length + 8*n + s.count() + crcField(n) + bitsCRCDelimiter + bitsTail
}

// brsBits is fdBits, cut after the bit BRS. There a new run of equal bits
// begins, as BRS is recessive and the bit before it dominant.
func (f *Frame) brsBits() (nominal, data int) {
	n := PadLen(int(f.Len))
	header, length := f.fdHeader()
	header, length = header<<1|1, length+1
	nominal = length + stuffHeader(header, length).count() + bitsTail
	// BRS, which the padding stands for, ESI, DLC
	s := stuffHeader(f.esi()<<4|uint64(f.DLC()), 5).bytes(f.Data[:n])
	data = 5 + 8*n + s.count() + crcField(n) + bitsCRCDelimiter
	return nominal, data
}

// fdHeader returns the bits of a CAN FD frame before BRS.
func (f *Frame) fdHeader() (header uint64, length int) {
	if f.Has(Extended) {
		// SOF, 11 bits, SRR and IDE, 18 bits, RRS, FDF, res
		return f.extendedID()<<3 | 0b010, 1 + 11 + 2 + 18 + 3
	}
	// SOF, 11 bits, RRS, IDE, FDF, res
	return uint64(f.ID&MaxStandardID)<<4 | 0b0010, 1 + 11 + 4
}

// extendedID returns the 29-bit identifier with SRR and IDE, both recessive,
// between its parts.
func (f *Frame) extendedID() uint64 {
	id := uint64(f.ID & MaxExtendedID)
	return id>>18<<20 | 0b11<<18 | id&(1<<18-1)
}

func (f *Frame) esi() uint64 {
	if f.Has(ESI) {
		return 1
	}
	return 0
}

// crcField is the length of a CAN FD frame's CRC field: the stuff count with
// its parity bit, the CRC, and a fixed stuff bit before each four bits begun.
func crcField(n int) int {
	bits := 4 + 17
	if n > 16 {
		bits = 4 + 21
	}
	return bits + (bits+3)/4
}

// crc15 goes on with the CRC of classic CAN by 8 bits. Zeros at the beginning
// do not change it.
func crc15(crc uint16, b byte) uint16 {
	return (crc<<8 ^ crc15Table[byte(crc>>7)^b]) & 0x7FFF
}

var crc15Table = func() (table [256]uint16) {
	const polynomial = 0x4599
	for i := range table {
		crc := uint16(i) << 7
		for range 8 {
			crc <<= 1
			if crc&0x8000 != 0 {
				crc ^= polynomial
			}
		}
		table[i] = crc & 0x7FFF
	}
	return table
}()

// A stuffing counts stuff bits. Its low 4 bits are the state that the bits so
// far have led to, the others the count.
type stuffing uint32

// The states: five for runs of 1 to 5 zeros, and five for ones. A stuff bit is
// counted when the bit after it comes, as the last one may not be needed.
const (
	afterZero stuffing = 0
	afterOne  stuffing = 5
	stateMask stuffing = 15
)

func (s stuffing) count() int { return int(s >> 4) }

func (s stuffing) bit(one bool) stuffing {
	state, count := s&stateMask, s&^stateMask
	isOne := state >= afterOne
	run := state % afterOne
	if run == 4 {
		count += stateMask + 1
		isOne, run = !isOne, 0
	}
	if isOne == one {
		run++
	} else {
		run = 0
	}
	if one {
		return count | afterOne + run
	}
	return count | afterZero + run
}

func (s stuffing) byte(b byte) stuffing {
	return s&^stateMask + stuffing(stuffTable[s&stateMask][b])
}

func (s stuffing) bytes(b []byte) stuffing {
	for _, b := range b {
		s = s.byte(b)
	}
	return s
}

// stuffHeader begins the count with a header of so many bits. Bits that
// alternate and end in a one fill it up to whole bytes: they need no stuff bits
// and are not on the wire, where the bus was recessive before as well.
func stuffHeader(header uint64, length int) stuffing {
	header |= 0x5555555555555555 << length
	s := afterOne
	for shift := (length - 1) / 8 * 8; shift >= 0; shift -= 8 {
		s = s.byte(byte(header >> shift))
	}
	return s
}

var stuffTable = func() (table [stateMask + 1][256]uint8) {
	for state := range 2 * afterOne {
		for b := range 256 {
			s := state
			for i := 7; i >= 0; i-- {
				s = s.bit(b>>i&1 != 0)
			}
			table[state][b] = uint8(s)
		}
	}
	return table
}()
