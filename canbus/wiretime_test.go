package canbus

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// What the standard's drawings show, counted by hand. After the stuffed bits
// come the CRC field of CAN FD, the CRC delimiter (1), and ACK slot, ACK
// delimiter, end of frame and intermission (1 + 1 + 7 + 3 = 12).
func TestWireBitsByHand(t *testing.T) {
	for _, c := range []struct {
		name          string
		frame         Frame
		nominal, data int
	}{
		// 34 zeros up to the CRC's end: a stuff bit after each fifth.
		{"000#", newFrame(0, 0), 34 + 6 + 1 + 12, 0},
		// 0 10101010101 100 1000, and 110000010001110 as the CRC, with five zeros.
		{"555#R8", Frame{ID: 0x555, Flags: Remote, Len: 8}, 34 + 1 + 1 + 12, 0},
		// 0 10101010101 0010 0 0 0000: seven zeros at the end, one stuff bit.
		{"555##0", newFrame(0x555, FD), 22 + 1 + (4 + 17 + 6) + 1 + 12, 0},
		// 0 10101010101 0010 1 | 0 0000: the five zeros at the end need none, as
		// the fixed stuff bit follows.
		{"555##1", newFrame(0x555, FD|BRS), 17 + 12, 5 + (4 + 17 + 6) + 1},
		// 0 10101010101 0010 1 | 0 1111 0101...
		{"555##1 and 64 times 55", Frame{ID: 0x555, Flags: FD | BRS, Len: 64, Data: [64]byte([]byte(strings.Repeat("\x55", 64)))},
			17 + 12, 5 + 512 + (4 + 21 + 7) + 1},
		// 0 10101010101 11 010101010101010101 0010 1 | 1 0001 00000000: after 1
		// three zeros, 1, then eight zeros and one stuff bit.
		{"15555555##3 00", newFrame(0x15555555, Extended|FD|BRS|ESI, 0), 36 + 12, 5 + 8 + 1 + (4 + 17 + 6) + 1},
		{"16 bytes have the short CRC", Frame{ID: 0x555, Flags: FD | BRS, Len: 16, Data: [64]byte([]byte(strings.Repeat("\x55", 64)))},
			17 + 12, 5 + 128 + (4 + 17 + 6) + 1},
		{"20 bytes the long one", Frame{ID: 0x555, Flags: FD | BRS, Len: 20, Data: [64]byte([]byte(strings.Repeat("\x55", 64)))},
			17 + 12, 5 + 160 + (4 + 21 + 7) + 1},
		{"error frames are not on the wire", newFrame(0x80, ErrorFrame, 1), 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if nominal, data := c.frame.WireBits(); nominal != c.nominal || data != c.data {
				t.Errorf("%v has %d + %d bits, want %d + %d", c.frame, nominal, data, c.nominal, c.data)
			}
		})
	}
}

// CRC-15/CAN's published check value.
func TestCRC15(t *testing.T) {
	var crc uint16
	for _, b := range []byte("123456789") {
		crc = crc15(crc, b)
	}
	if crc != 0x059E {
		t.Errorf("CRC of 123456789 is %#x, want 0x059E", crc)
	}
}

// stuffBits counts a string's stuff bits, by inserting them, with one due after
// the last bit.
func stuffBits(bits string) int {
	count, run, last := 0, 0, byte(0)
	for i := range len(bits) {
		if bits[i] != last {
			last, run = bits[i], 0
		}
		if run++; run == 5 {
			count++
			last, run = last^1, 1 // '0' and '1' differ in the lowest bit
		}
	}
	return count
}

// bitString draws a frame as the standard does, up to where the stuffing ends,
// and returns where the data phase begins.
func bitString(f *Frame) (bits string, dataPhase int) {
	bit := func(flag Flags) string {
		if f.Has(flag) {
			return "1"
		}
		return "0"
	}
	id := fmt.Sprintf("%011b", f.ID)
	if f.Has(Extended) {
		all := fmt.Sprintf("%029b", f.ID)
		id = all[:11] + "11" + all[11:]
	}
	dlc := f.Len
	if i := strings.IndexByte("\x0c\x10\x14\x18\x20\x30\x40", f.Len); i >= 0 {
		dlc = uint8(9 + i)
	}
	payload := ""
	if !f.Has(Remote) {
		for _, b := range f.Payload() {
			payload += fmt.Sprintf("%08b", b)
		}
	}
	bits = "0" + id + bit(Remote)
	if !f.Has(Extended) {
		bits += "0" // IDE
	}
	if f.Has(FD) {
		bits += "10" + bit(BRS)
		dataPhase = len(bits)
		return bits + bit(ESI) + fmt.Sprintf("%04b", dlc) + payload, dataPhase
	}
	bits += "0" // r0
	if f.Has(Extended) {
		bits += "0" // and r1
	}
	bits += fmt.Sprintf("%04b", dlc) + payload
	crc := 0
	for i := range len(bits) {
		next := int(bits[i]-'0') ^ crc>>14
		crc = crc << 1 & 0x7FFF
		if next == 1 {
			crc ^= 0x4599
		}
	}
	return bits + fmt.Sprintf("%015b", crc), 0
}

func randomFrame(rng *rand.Rand) Frame {
	f := Frame{ID: rng.Uint32() & MaxStandardID, Len: uint8(rng.IntN(MaxClassicLen + 1))}
	if rng.IntN(2) == 0 {
		f.ID, f.Flags = rng.Uint32()&MaxExtendedID, Extended
	}
	switch rng.IntN(4) {
	case 0:
		f.Flags |= Remote
	case 1:
		f.Flags |= FD | Flags(rng.IntN(4))*BRS
		f.Len = uint8(PadLen(rng.IntN(MaxLen + 1)))
	}
	// Few different bytes make long runs, and many stuff bits.
	choice := []byte{0x00, 0xFF, 0x0F, 0xF0, 0x07, 0xC1, byte(rng.Uint32()), byte(rng.Uint32())}
	if rng.IntN(2) == 0 {
		choice = choice[rng.IntN(len(choice)):][:1]
		f.ID &= uint32(rng.IntN(3)) * 0x1FFFFFF
		if !f.Has(Extended) {
			f.ID &= MaxStandardID
		}
	}
	for i := range f.Data {
		f.Data[i] = choice[rng.IntN(len(choice))]
	}
	return f
}

func TestWireBitsAreThoseOfTheBitString(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		f := randomFrame(rng)
		bits, dataPhase := bitString(&f)
		var nominal, data int
		if f.Has(FD) {
			field := 4 + 17 + 6
			if f.Len > 16 {
				field = 4 + 21 + 7
			}
			// No stuff bit after the last bit, where a fixed one is.
			all := stuffBits(bits[:len(bits)-1])
			nominal = len(bits) + all + field + 1 + 12
			if f.Has(BRS) {
				nominal = dataPhase + stuffBits(bits[:dataPhase]) + 12
				data = len(bits) + all + field + 1 + 12 - nominal
			}
		} else {
			nominal = len(bits) + stuffBits(bits) + 1 + 12
		}
		gotNominal, gotData := f.WireBits()
		if gotNominal != nominal || gotData != data {
			t.Fatalf("%v has %d + %d bits, want %d + %d: %s", f, gotNominal, gotData, nominal, data, bits)
		}
	}
}

// The bounds of the response time analysis of CAN (Davis, Burns, Bril and
// Lukkien, 2007): g + 8s + 13 bits, and a stuff bit for each 4 of the g + 8s - 1
// that can need one.
func TestClassicFramesAreWithinTheKnownBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 20000 {
		f := randomFrame(rng)
		f.Flags &= Extended
		f.Len = min(f.Len, MaxClassicLen)
		g := 34
		if f.Has(Extended) {
			g = 54
		}
		best := g + 8*int(f.Len) + 13
		worst := best + (g+8*int(f.Len)-1)/4
		if n, _ := f.WireBits(); n < best || n > worst {
			t.Fatalf("%v has %d bits, not %d to %d", f, n, best, worst)
		}
	}
}

func TestWireTime(t *testing.T) {
	classic := newFrame(0, 0) // 53 bits
	brs := newFrame(0x555, FD|BRS)
	for _, c := range []struct {
		frame                Frame
		bitrate, dataBitrate int
		want                 time.Duration
	}{
		{classic, 1e6, 0, 53 * time.Microsecond},
		{classic, 500e3, 8e6, 106 * time.Microsecond},
		{classic, 33333, 0, 1590016}, // 1590015.9 ns
		{classic, 0, 0, 0},
		{classic, -1, 0, 0},
		{brs, 500e3, 2e6, 29*2*time.Microsecond + 33*time.Microsecond/2},
		{brs, 500e3, 0, 62 * 2 * time.Microsecond},
		{brs, 1e6, 8e6, 29*time.Microsecond + 33*125},
		{newFrame(0x80, ErrorFrame), 1e6, 0, 0},
	} {
		if got := WireTime(&c.frame, c.bitrate, c.dataBitrate); got != c.want {
			t.Errorf("WireTime(%v, %d, %d) = %v, want %v", c.frame, c.bitrate, c.dataBitrate, got, c.want)
		}
	}
}

func TestWireBitsOfInvalidFramesDoNotPanic(t *testing.T) {
	for _, f := range invalidFrames {
		f.WireBits()
		f.Flags |= BRS
		f.WireBits()
	}
}

func BenchmarkWireTime(b *testing.B) {
	for _, f := range []Frame{
		newFrame(0x7E0, 0, 1, 2, 3, 4, 5, 6, 7, 8),
		newFrame(0x18DA10F1, Extended, 1, 2, 3, 4, 5, 6, 7, 8),
		{ID: 0x7E0, Flags: FD | BRS, Len: 64},
	} {
		b.Run(fmt.Sprintf("%.12v", f), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				WireTime(&f, 500e3, 2e6)
			}
		})
	}
}
