package cannelloni

import (
	"bytes"
	"encoding/hex"
	"testing"

	"example.com/isotp/canbus"
)

// vectors are frames as the protocol's text describes them, written by hand.
var vectors = []struct {
	name  string
	frame canbus.Frame
	hex   string
}{
	{"Classic", canbus.Frame{ID: 0x7E0, Len: 3, Data: [64]byte{2, 0x10, 3}}, "000007e0" + "03" + "021003"},
	{"Empty", canbus.Frame{ID: 0x123}, "00000123" + "00"},
	{"Extended", canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended, Len: 1, Data: [64]byte{0xAA}}, "98daf110" + "01" + "aa"},
	{"Remote", canbus.Frame{ID: 0x123, Flags: canbus.Remote, Len: 8}, "40000123" + "08"},
	{"ExtendedRemote", canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended | canbus.Remote}, "d8daf110" + "00"},
	{"Error", canbus.Frame{ID: 0x40, Flags: canbus.ErrorFrame, Len: 8}, "20000040" + "08" + "0000000000000000"},
	{"FD", canbus.Frame{ID: 0x7E0, Flags: canbus.FD, Len: 1, Data: [64]byte{7}}, "000007e0" + "81" + "00" + "07"},
	{"FDFlags", canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended | canbus.FD | canbus.BRS | canbus.ESI, Len: 12, Data: [64]byte{11: 5}},
		"98daf110" + "8c" + "03" + "000000000000000000000005"},
	{"FDEmpty", canbus.Frame{ID: 0x7E0, Flags: canbus.FD | canbus.BRS}, "000007e0" + "80" + "01"},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFramesAreThoseOfTheProtocol(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			want := unhex(t, v.hex)
			if got := appendFrame(nil, &v.frame); !bytes.Equal(got, want) || frameLen(&v.frame) != len(want) {
				t.Errorf("%v becomes %x (%d bytes), want %x", v.frame, got, frameLen(&v.frame), want)
			}
			var f canbus.Frame
			if n, err := parseFrame(want, &f); n != len(want) || err != nil || f != v.frame {
				t.Errorf("%x becomes %v (%d bytes), %v; want %v", want, f, n, err, v.frame)
			}
		})
	}
}

// Linux sets CANFD_FDF in the flags of each CAN FD frame since 5.14.
func TestAFlagThatSaysFDOnceMore(t *testing.T) {
	var f canbus.Frame
	n, err := parseFrame(unhex(t, "000007e0"+"80"+"05"), &f)
	if want := (canbus.Frame{ID: 0x7E0, Flags: canbus.FD | canbus.BRS}); n != 6 || err != nil || f != want {
		t.Errorf("%v, %d, %v", f, n, err)
	}
}

func TestFramesThatCANHasNot(t *testing.T) {
	for _, c := range []struct {
		hex  string
		skip int
	}{
		{"00000800" + "00", 5},                         // 12 bits
		{"20000040" + "09" + "000000000000000000", 14}, // an error frame of 9 bytes
		{"000007e0" + "09" + "000000000000000000", 14}, // 9 bytes in classic CAN
		{"000007e0" + "89" + "00" + "000000000000000000", 15},
		{"40000123" + "88" + "00", 6}, // a remote frame of CAN FD
		{"000007e0" + "41", 0},        // 65 bytes
		{"000007e0" + "ff" + "00", 0},
		{"400007e0" + "7f", 0},
	} {
		var f canbus.Frame
		if n, err := parseFrame(append(unhex(t, c.hex), make([]byte, c.skip)...), &f); n != c.skip || err == nil {
			t.Errorf("%s: %d bytes, %v, %v", c.hex, n, f, err)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, v := range vectors {
		f.Add(unhex(f, v.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var fr canbus.Frame
		n, err := parseFrame(b, &fr)
		if n < 0 || n > len(b) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		if n == 0 || err != nil {
			return
		}
		// Of a part of the frame it is known that it is a part.
		var part canbus.Frame
		for i := range n {
			if m, err := parseFrame(b[:i], &part); m != 0 || err != nil {
				t.Fatalf("%x, a part of %x: %d, %v", b[:i], b[:n], m, err)
			}
		}
		again := appendFrame(nil, &fr)
		if m, err := parseFrame(again, &part); m != len(again) || err != nil || part != fr || m != frameLen(&fr) {
			t.Errorf("%v becomes %x, and %v again: %d, %v", fr, again, part, m, err)
		}
	})
}
