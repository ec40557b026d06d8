package slcan

import (
	"slices"
	"strings"
	"testing"

	"example.com/isotp/canbus"
)

var texts = []struct {
	text  string
	frame canbus.Frame
}{
	{"t1230", canbus.Frame{ID: 0x123}},
	{"t7E03221090", canbus.Frame{ID: 0x7E0, Len: 3, Data: [64]byte{0x22, 0x10, 0x90}}},
	{"T18DAF11021AFF", canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended, Len: 2, Data: [64]byte{0x1A, 0xFF}}},
	{"r1238", canbus.Frame{ID: 0x123, Flags: canbus.Remote, Len: 8}},
	{"R000001230", canbus.Frame{ID: 0x123, Flags: canbus.Remote | canbus.Extended}},
	{"d1239" + strings.Repeat("AB", 12), canbus.Frame{ID: 0x123, Flags: canbus.FD, Len: 12, Data: [64]byte{0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB}}},
	{"B1FFFFFFFF" + strings.Repeat("00", 64), canbus.Frame{ID: 0x1FFFFFFF, Flags: canbus.FD | canbus.BRS | canbus.Extended, Len: 64}},
	{"D000000000", canbus.Frame{Flags: canbus.FD | canbus.Extended}},
	{"b0008" + strings.Repeat("00", 8), canbus.Frame{Flags: canbus.FD | canbus.BRS, Len: 8}},
}

func TestFramesAreText(t *testing.T) {
	for _, c := range texts {
		if got := string(appendFrame(nil, &c.frame)); got != c.text+"\r" {
			t.Errorf("%v is written %q, want %q", c.frame, got, c.text)
		}
		for _, timestamp := range []string{"", "EA5F"} {
			got, err := parseLine([]byte(c.text + timestamp))
			if err != nil || got != c.frame {
				t.Errorf("%q is read as %v, %v; want %v", c.text+timestamp, got, err, c.frame)
			}
		}
	}
}

func TestStatusBecomesAnErrorFrame(t *testing.T) {
	for text, want := range map[string]canbus.Frame{
		"F80": {ID: 0x80, Flags: canbus.ErrorFrame, Len: 8},
		"F04": {ID: 0x04, Flags: canbus.ErrorFrame, Len: 8, Data: [64]byte{1: 0x0C}},
		"F60": {ID: 0x06, Flags: canbus.ErrorFrame, Len: 8, Data: [64]byte{1: 0x30}},
	} {
		if got, err := parseLine([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	if _, err := parseLine([]byte("F00")); err != errNoFrame {
		t.Errorf("no error: %v", err)
	}
}

func TestWhatIsNoFrame(t *testing.T) {
	for _, text := range []string{
		"t", "t12", "t123", "t1239" + strings.Repeat("00", 9), "t12310", "t123100000", "tXYZ0", "t8000",
		"T2000000000", "T1230", "r12380", "d123900", "x", "t1231zz", "t1230zzzz", "F1", "FXX", "t+120",
	} {
		if f, err := parseLine([]byte(text)); err == nil || err == errNoFrame {
			t.Errorf("%q is %v, %v", text, f, err)
		}
	}
	for _, text := range []string{"", "z", "Z", "V1013", "NA123", "O", "S6"} {
		if _, err := parseLine([]byte(text)); err != errNoFrame {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]struct {
		port     string
		commands []string
	}{
		"/dev/ttyACM0@500000":                         {"/dev/ttyACM0", []string{"S6", "O"}},
		"COM3@1000000,listen":                         {"COM3", []string{"S8", "L"}},
		"/dev/ttyACM0@10000,data=5000000,baud=921600": {"/dev/ttyACM0", []string{"S0", "Y5", "O"}},
		"/dev/serial/by-id/usb-a@b:1.0@s031C":         {"/dev/serial/by-id/usb-a@b:1.0", []string{"s031C", "O"}},
	} {
		port, o, err := parseAddress(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if commands, _ := o.commands(); port != want.port || !slices.Equal(commands, want.commands) {
			t.Errorf("%q: %q, %v", text, port, commands)
		}
	}
	for text, want := range map[string]string{
		"":                       "PORT@BITRATE",
		"/dev/ttyACM0":           "PORT@BITRATE",
		"@500000":                "PORT@BITRATE",
		"COM3@123456":            "S0 to S8",
		"COM3@":                  "above 0",
		"COM3@-1":                "above 0",
		"COM3@s":                 "registers",
		"COM3@sXY":               "registers",
		"COM3@500000,data=3":     "data bit rate",
		"COM3@500000,parity=odd": "parity",
	} {
		if _, _, err := parseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not tell %q", text, err, want)
		}
	}
}

// FuzzLines reads anything as an adapter's words, in pieces of any size: what is
// read does not depend on the pieces, and each frame is written as it was read.
func FuzzLines(f *testing.F) {
	f.Add([]byte("t7E82013E\r\at123\rF80\r"), 3)
	for _, c := range texts {
		f.Add(append([]byte(c.text+"EA5F\r"), c.text+"\r"...), 1)
	}
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		read := func(size int) (frames []canbus.Frame) {
			var l lexer
			for chunk := range slices.Chunk(b, size) {
				for {
					text, _, rest, done := l.next(chunk)
					if !done {
						break
					}
					chunk = rest
					if f, err := parseLine(text); err == nil {
						frames = append(frames, f)
					}
				}
			}
			return frames
		}
		whole := read(max(len(b), 1))
		if pieces := read(max(size, 1)); !slices.Equal(pieces, whole) {
			t.Errorf("%q in pieces of %d is %v, whole %v", b, size, pieces, whole)
		}
		for _, f := range whole {
			if f.Has(canbus.ErrorFrame) {
				continue
			}
			text := appendFrame(nil, &f)
			if again, err := parseLine(text[:len(text)-1]); err != nil || again != f {
				t.Errorf("%v was written %q and read as %v, %v", f, text, again, err)
			}
		}
	})
}
