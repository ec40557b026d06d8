package slcan

import (
	"slices"
	"strings"
	"testing"
	"time"

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
		for _, timestamp := range []string{"", "EA5F", "00BC614E"} {
			got, err := parseLine([]byte(c.text + timestamp))
			if err != nil || got != c.frame {
				t.Errorf("%q is read as %v, %v; want %v", c.text+timestamp, got, err, c.frame)
			}
		}
	}
}

// A trailing S says that the sender of a CAN FD frame is error passive; behind a
// timestamp, too.
func TestErrorPassiveSenders(t *testing.T) {
	want := canbus.Frame{ID: 0x7E0, Flags: canbus.FD | canbus.BRS | canbus.ESI, Len: 2, Data: [64]byte{1, 2}}
	for _, text := range []string{"b7E020102S", "b7E020102EA5FS", "b7E0201020000EA5FS"} {
		if got, err := parseLine([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"t7E020102S", "b7E02010S", "b7E020102SS", "b7E020102Sx"} {
		if f, err := parseLine([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, f)
		}
	}
}

func TestReportBecomesAnErrorFrame(t *testing.T) {
	for text, want := range map[string]canbus.Frame{
		// Passive, no acknowledgement, took too long, 128 and 12 errors.
		"E2310800C": {ID: 0x025, Flags: canbus.ErrorFrame, Len: 8, Data: [64]byte{1: 0x30, 6: 0x80, 7: 12}},
		"E32000000": {ID: 0x048, Flags: canbus.ErrorFrame, Len: 8, Data: [64]byte{2: 0x02}},
		"E00040000": {ID: 0x004, Flags: canbus.ErrorFrame, Len: 8, Data: [64]byte{1: 0x02}},
		"E00000800": {ID: 0x080, Flags: canbus.ErrorFrame, Len: 8, Data: [64]byte{6: 8}},
	} {
		if got, err := parseLine([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"E", "E0000080", "E40000000", "E07000000", "E0000000G"} {
		if f, err := parseLine([]byte(text)); err == nil || err == errNoFrame {
			t.Errorf("%q is %v, %v", text, f, err)
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
	for _, text := range []string{"", "z", "Z", "V1013", "NA123", "O", "S6", "#", "#7", "+1", ">text"} {
		if _, err := parseLine([]byte(text)); err != errNoFrame {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]struct {
		port    string
		options Options
	}{
		"/dev/ttyACM0@500000":                         {"/dev/ttyACM0", Options{Bitrate: 500_000}},
		"COM3@1000000,listen":                         {"COM3", Options{Bitrate: 1_000_000, ListenOnly: true}},
		"/dev/ttyACM0@10000,data=5000000,baud=921600": {"/dev/ttyACM0", Options{Bitrate: 10_000, DataBitrate: 5_000_000, Baud: 921_600}},
		"/dev/serial/by-id/usb-a@b:1.0@s031C":         {"/dev/serial/by-id/usb-a@b:1.0", Options{Registers: "031C"}},
		"COM3@750000,family=canable,wait=5s":          {"COM3", Options{Bitrate: 750_000, Family: "canable", Wait: 5 * time.Second}},
		"COM3@83300,wait=0,flush=0s":                  {"COM3", Options{Bitrate: 83_300, Wait: -1, Flush: -1}},
		"COM3@800000,flush=50ms":                      {"COM3", Options{Bitrate: 800_000, Flush: 50 * time.Millisecond}},
		"tcp:adapter.local:3333@500000":               {"tcp:adapter.local:3333", Options{Bitrate: 500_000}},
		"tcp:[fe80::1%eth0]:3333@500000,listen":       {"tcp:[fe80::1%eth0]:3333", Options{Bitrate: 500_000, ListenOnly: true}},
	} {
		port, o, err := parseAddress(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if port != want.port || o != want.options {
			t.Errorf("%q: %q, %+v", text, port, o)
		}
	}
	for text, want := range map[string]string{
		"":                             "PORT@BITRATE",
		"/dev/ttyACM0":                 "PORT@BITRATE",
		"@500000":                      "PORT@BITRATE",
		"COM3@123456":                  "S0 to S9",
		"COM3@":                        "above 0",
		"COM3@-1":                      "above 0",
		"COM3@s":                       "registers",
		"COM3@sXY":                     "registers",
		"COM3@500000,data=3":           "data bit rate",
		"COM3@500000,parity=odd":       "parity",
		"COM3@500000,wait=5":           `"5" is not a time, as 5s`,
		"COM3@500000,flush=-1s":        `"-1s" is not a time`,
		"COM3@500000,family=":          "family= without lawicel",
		"COM3@500000,family=canable3":  `family "canable3" is not lawicel, canable or canable2.5`,
		"tcp:host@500000":              `"host" is not HOST:PORT`,
		"tcp:::1:3333@500000":          "is not HOST:PORT",
		"tcp:host:1@500000,baud=57600": "the other computer's",
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
