package socketcan

import (
	"bytes"
	"testing"

	"example.com/isotp/canbus"
)

// frames are of every kind that CAN has.
var frames = []struct {
	name string
	f    canbus.Frame
}{
	{"11 bits", canbus.Frame{ID: 0x7E0, Len: 8, Data: [64]byte{1, 2, 3, 4, 5, 6, 7, 8}}},
	{"29 bits", canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended, Len: 3, Data: [64]byte{1, 2, 3}}},
	{"29 bits, small number", canbus.Frame{ID: 0x7E0, Flags: canbus.Extended, Len: 1, Data: [64]byte{1}}},
	{"no data", canbus.Frame{ID: 0}},
	{"remote", canbus.Frame{ID: 0x123, Flags: canbus.Remote, Len: 8}},
	{"remote, 29 bits", canbus.Frame{ID: 0x1ABCDEF0, Flags: canbus.Remote | canbus.Extended, Len: 2}},
	{"FD", canbus.Frame{ID: 0x7E0, Flags: canbus.FD, Len: 8, Data: [64]byte{1, 2, 3, 4, 5, 6, 7, 8}}},
	{"FD, no data", canbus.Frame{ID: 0x7E0, Flags: canbus.FD}},
	{"FD, 64 bytes, BRS", canbus.Frame{ID: 0x7E0, Flags: canbus.FD | canbus.BRS, Len: 64, Data: [64]byte(bytes.Repeat([]byte{0xA5}, 64))}},
	{"FD, 29 bits, ESI", canbus.Frame{ID: 0x18DAF110, Flags: canbus.FD | canbus.ESI | canbus.Extended, Len: 12, Data: [64]byte{0: 9, 11: 7}}},
}

func TestEncodeAndDecodeAreInverse(t *testing.T) {
	for _, c := range frames {
		t.Run(c.name, func(t *testing.T) {
			b := [mtuFD]byte(bytes.Repeat([]byte{0xFF}, mtuFD))
			n := encode(&b, &c.f)
			var got canbus.Frame
			if !decode(&got, &b, n) || got != c.f {
				t.Errorf("%v came back as %v, of %d bytes %x", c.f, got, n, b[:n])
			}
		})
	}
}

func TestDecodeRefusesOtherSizes(t *testing.T) {
	var b [mtuFD]byte
	for _, n := range []int{0, 1, 15, 17, 71} {
		if decode(new(canbus.Frame), &b, n) {
			t.Errorf("%d bytes taken for a frame", n)
		}
	}
}

func TestDecodeDoesNotTrustLengths(t *testing.T) {
	b := [mtuFD]byte(bytes.Repeat([]byte{0xFF}, mtuFD))
	for _, c := range []struct{ size, want int }{{mtu, 8}, {mtuFD, 64}} {
		var f canbus.Frame
		if !decode(&f, &b, c.size) || int(f.Len) != c.want {
			t.Errorf("length 255 in %d bytes became %d, want %d", c.size, f.Len, c.want)
		}
	}
}
