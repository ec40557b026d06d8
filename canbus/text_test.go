package canbus

import (
	"encoding"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

var (
	_ fmt.Stringer             = Frame{}
	_ encoding.TextAppender    = Frame{}
	_ encoding.TextMarshaler   = Frame{}
	_ encoding.TextUnmarshaler = (*Frame)(nil)
)

func newFrame(id uint32, flags Flags, data ...byte) Frame {
	f := Frame{ID: id, Flags: flags, Len: uint8(len(data))}
	copy(f.Data[:], data)
	return f
}

func TestFrameText(t *testing.T) {
	for _, c := range []struct {
		text  string
		frame Frame
	}{
		{"7E0#021003", newFrame(0x7E0, 0, 0x02, 0x10, 0x03)},
		{"001#", newFrame(1, 0)},
		{"18DA10F1#021003", newFrame(0x18DA10F1, Extended, 0x02, 0x10, 0x03)},
		{"000007E0#FF", newFrame(0x7E0, Extended, 0xFF)},
		{"7E0##1AABB", newFrame(0x7E0, FD|BRS, 0xAA, 0xBB)},
		{"7E0##0", newFrame(0x7E0, FD)},
		{"7E0##2AA", newFrame(0x7E0, FD|ESI, 0xAA)},
		{"18DA10F1##3000102030405060708090A0B", newFrame(0x18DA10F1, Extended|FD|BRS|ESI, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)},
		{"7E0#R", newFrame(0x7E0, Remote)},
		{"7E0#R8", Frame{ID: 0x7E0, Flags: Remote, Len: 8}},
		{"1FFFFFFF#R1", Frame{ID: 0x1FFFFFFF, Flags: Extended | Remote, Len: 1}},
		{"20000088#0000000000000000", newFrame(0x88, ErrorFrame, 0, 0, 0, 0, 0, 0, 0, 0)},
		{"3FFFFFFF#", newFrame(0x1FFFFFFF, ErrorFrame)},
	} {
		t.Run(c.text, func(t *testing.T) {
			got, err := ParseFrame(c.text)
			if err != nil || got != c.frame {
				t.Errorf("ParseFrame = %+v, %v; want %+v", got, err, c.frame)
			}
			if got := fmt.Sprint(c.frame); got != c.text {
				t.Errorf("Sprint(frame) = %s", got)
			}
			if got := fmt.Sprint(&c.frame); got != c.text {
				t.Errorf("Sprint(&frame) = %s", got)
			}
			if got, err := c.frame.AppendText([]byte("> ")); string(got) != "> "+c.text || err != nil {
				t.Errorf("AppendText = %s, %v", got, err)
			}
		})
	}
}

func TestParseFrameAcceptsMore(t *testing.T) {
	for text, want := range map[string]string{
		"7e0#02ab":                "7E0#02AB",
		"7E0#02.10.03":            "7E0#021003",
		"7E0#0210.03":             "7E0#021003",
		"7E0##5AA":                "7E0##1AA",
		"7E0##4":                  "7E0##0",
		"7E0##1AA.BB":             "7E0##1AABB",
		"7E0#r3":                  "7E0#R3",
		"7E0#R0":                  "7E0#R",
		"7E0#1122334455667788_E":  "7E0#1122334455667788",
		"18da10f1#11.22.33.44.55": "18DA10F1#1122334455",
	} {
		f, err := ParseFrame(text)
		if err != nil || f.String() != want {
			t.Errorf("ParseFrame(%q) = %v, %v; want %s", text, f, err, want)
		}
	}
}

func TestParseFrameErrors(t *testing.T) {
	for _, c := range []struct{ text, names string }{
		{"", "no #"},
		{"7E0", "no #"},
		{"#00", `""`},
		{"7E#00", `"7E"`},
		{"7E00#00", `"7E00"`},
		{"+7E#00", `"+7E"`},
		{"7G0#00", `"7G0"`},
		{"800#00", "above 7FF"},
		{"40000000#00", "40000000"},
		{"FFFFFFFF#00", "FFFFFFFF"},
		{"7E0#0", `"0"`},
		{"7E0#00.0", `".0"`},
		{"7E0#00.", `"."`},
		{"7E0#.00", `".0"`},
		{"7E0#00..00", `".0"`},
		{"7E0#0G", `"0G"`},
		{"7E0# 00", `" 0"`},
		{"7E0#112233445566778899", "9 data bytes"},
		{"7E0##", "no flags"},
		{"7E0##8", `"8"`},
		{"7E0##G", `"G"`},
		{"7E0##1112233445566778899", "9 data bytes"},
		{"7E0##1" + strings.Repeat("00", 65), "65 data bytes"},
		{"7E0#R9", `"9"`},
		{"7E0#R08", `"08"`},
		{"7E0#1122334455667788_8", `"8"`},
		{"7E0#1122334455667788_", `""`},
		{"20000080##1", "error frame"},
		{"20000080#R", "error frame"},
	} {
		f, err := ParseFrame(c.text)
		if err == nil || f != (Frame{}) {
			t.Errorf("ParseFrame(%q) = %v, %v; want an error", c.text, f, err)
		} else if !strings.Contains(err.Error(), c.names) {
			t.Errorf("ParseFrame(%q): %v; want it to name %s", c.text, err, c.names)
		}
	}
}

func TestFrameInJSON(t *testing.T) {
	want := []Frame{newFrame(0x7E0, 0, 1, 2), newFrame(0x18DA10F1, Extended|FD, 3)}
	text, err := json.Marshal(want)
	if err != nil || string(text) != `["7E0#0102","18DA10F1##003"]` {
		t.Fatalf("Marshal = %s, %v", text, err)
	}
	var got []Frame
	if err := json.Unmarshal(text, &got); err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("Unmarshal = %v, %v", got, err)
	}
}

func TestInvalidFrames(t *testing.T) {
	for _, f := range invalidFrames {
		if f.Has(ErrorFrame) {
			continue // cannot be sent, but logged
		}
		_ = f.String() // does not panic
		if text, err := f.MarshalText(); err == nil {
			t.Errorf("MarshalText of %+v = %s", f, text)
		}
	}
	f := newFrame(1, 0, 2)
	if err := f.UnmarshalText([]byte("x")); err == nil || f != newFrame(1, 0, 2) {
		t.Errorf("UnmarshalText(x): frame %v, error %v", f, err)
	}
}

func TestLogLine(t *testing.T) {
	stamped := func(f Frame, ns int64) Frame {
		f.Stamp(ns)
		return f
	}
	for _, c := range []struct {
		line  string
		bus   string
		frame Frame
	}{
		{"(1436509052.249713) vcan0 044#2A366C2BBA", "vcan0", stamped(newFrame(0x44, 0, 0x2A, 0x36, 0x6C, 0x2B, 0xBA), 1436509052249713000)},
		{"(0000000000.000000) can1 7E0#R", "can1", stamped(newFrame(0x7E0, Remote), 0)},
		{"(0000000001.000002) virtual:demo 7E0##1AA T", "virtual:demo", stamped(newFrame(0x7E0, FD|BRS|Echo, 0xAA), 1000002000)},
		{"(9223372035.999999) c 123#", "c", stamped(newFrame(0x123, 0), 9223372035999999000)},
	} {
		f, bus, err := ParseLogLine(c.line)
		if err != nil || bus != c.bus || f != c.frame {
			t.Errorf("ParseLogLine(%s) = %+v, %q, %v", c.line, f, bus, err)
		}
		if got := string(AppendLogLine(nil, &c.frame, c.bus)); got != c.line {
			t.Errorf("AppendLogLine = %s, want %s", got, c.line)
		}
	}
}

func TestLogLineVariants(t *testing.T) {
	for line, want := range map[string]int64{
		"(1436509052.249713123) vcan0 044#":       1436509052249713123,
		"(1436509052.2)      vcan0   044# R\r\n":  1436509052200000000,
		"  (0.000000001)\tvcan0 18DA10F1##1AA R ": 1,
		"(0.0) vcan0 044#":                        0,
		"(0) vcan0 044#":                          0,
		"(17) vcan0 044#":                         17e9,
		"(1.1234567899999) vcan0 044#":            1123456789,
		"(1.5) vcan0 044# r":                      15e8,
		"(1.5) vcan0 044# # the reset":            15e8,
		"(1.5) vcan0 044# R // not sent by us":    15e8,
		"(1.5) vcan0 044# <-":                     15e8,
	} {
		f, bus, err := ParseLogLine(line)
		if err != nil || !f.Has(Timed) || f.Timestamp != want || bus != "vcan0" || f.Has(Echo) {
			t.Errorf("ParseLogLine(%q) = %v at %d, %q, %v; want it at %d", line, f, f.Timestamp, bus, err, want)
		}
	}
	f := Frame{ID: 1, Timestamp: 5e9} // its time is not known
	if got, want := string(AppendLogLine(nil, &f, "")), "(0000000000.000000) - 001#"; got != want {
		t.Errorf("AppendLogLine = %s, want %s", got, want)
	}
	f.Stamp(-5)
	if got, want := string(AppendLogLine([]byte("> "), &f, "")), "> (0000000000.000000) - 001#"; got != want {
		t.Errorf("AppendLogLine = %s, want %s", got, want)
	}
	for bus, want := range map[string]string{"my bus": "my_bus", "\ta\u00a0 b\n": "a_b", "  ": "-"} {
		line := string(AppendLogLine(nil, &f, bus))
		if _, got, err := ParseLogLine(line); got != want || err != nil {
			t.Errorf("bus %q: line %q is of bus %q, %v; want %q", bus, line, got, err, want)
		}
	}
}

// Logs have millions of lines.
func TestLogLinesAllocateNothing(t *testing.T) {
	line := []byte("(1436509052.249713) vcan0 18DA10F1##3000102030405060708090A0B T")
	var f Frame
	if n := testing.AllocsPerRun(100, func() {
		bus, err := f.UnmarshalLogLine(line)
		if err != nil || string(bus) != "vcan0" {
			t.Fatalf("bus %q, %v", bus, err)
		}
	}); n != 0 {
		t.Errorf("reading one: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { line = AppendLogLine(line[:0], &f, "vcan0") }); n != 0 {
		t.Errorf("writing one: %v allocations", n)
	}
}

// As cansend fills them: on the wire there is no such length.
func TestLogLineOfALengthThatNoDLCHas(t *testing.T) {
	for n, want := range map[int]int{0: 0, 8: 8, 9: 12, 10: 12, 12: 12, 21: 24, 33: 48, 63: 64, 64: 64} {
		f, _, err := ParseLogLine("(1.0) vcan0 044##1" + strings.Repeat("5A", n))
		wanted := newFrame(0x44, FD|BRS)
		wanted.Len = uint8(want)
		wanted.Stamp(1e9)
		copy(wanted.Data[:], strings.Repeat("\x5A", n))
		if err != nil || f != wanted {
			t.Errorf("%d bytes: %+v, %v", n, f, err)
		}
	}
	if f, err := ParseFrame("044##15A5A5A5A5A5A5A5A5A5A"); err == nil {
		t.Errorf("ParseFrame: %v", f)
	}
}

func TestParseLogLineErrors(t *testing.T) {
	for _, c := range []struct{ line, names string }{
		{"", "0 fields"},
		{"(1.0) vcan0", "2 fields"},
		{"(1.0) vcan0 044# T x", `"x"`},
		{"(1.0) vcan0 044#02 10 03", `"10" after the frame`},
		{"1.0 vcan0 044#", `"1.0"`},
		{"( vcan0 044#", `"("`},
		{"() vcan0 044#", `"()"`},
		{"(.5) vcan0 044#", `"(.5)"`},
		{"(1e9) vcan0 044#", `"(1e9)"`},
		{"(1.5.5) vcan0 044#", `"(1.5.5)"`},
		{"(+1.5) vcan0 044#", `"(+1.5)"`},
		{"(1.) vcan0 044#", `"(1.)"`},
		{"(-1.0) vcan0 044#", `"(-1.0)"`},
		{"(1.-1) vcan0 044#", `"(1.-1)"`},
		{"(1.0) vcan0 044##0" + strings.Repeat("00", 65), "65 data bytes"},
		{"(1.0) vcan0 044#000000000000000000", "9 data bytes"},
		{"(1.0) vcan0 00123#81:00:12345678#AABB", "CAN XL"},
		{"(9223372036.0) vcan0 044#", "9223372036.0"},
		{"(1.0) vcan0 044", "no #"},
		{"(1.0) vcan0 044# X", `"X"`},
	} {
		f, bus, err := ParseLogLine(c.line)
		g := newFrame(1, 0, 2)
		if name, err2 := g.UnmarshalLogLine([]byte(c.line)); name != nil || g != (Frame{}) || fmt.Sprint(err2) != fmt.Sprint(err) {
			t.Errorf("UnmarshalLogLine(%q) = %v, %q, %v; want the error %v", c.line, g, name, err2, err)
		}
		if err == nil || f != (Frame{}) || bus != "" {
			t.Errorf("ParseLogLine(%q) = %v, %q, %v; want an error", c.line, f, bus, err)
		} else if !strings.Contains(err.Error(), c.names) {
			t.Errorf("ParseLogLine(%q): %v; want it to name %s", c.line, err, c.names)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, s := range []string{
		"7E0#021003", "18DA10F1#02.10.03", "7E0##1AABB", "7E0##7", "7E0#R", "7e0#r8", "20000088#0000000000000000",
		"7E0#1122334455667788_E", "7E0##0" + strings.Repeat("5A", 64), "800#", "7E0#0", "#", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		frame, err := ParseFrame(s)
		if err != nil {
			return
		}
		text, err := frame.MarshalText()
		if err != nil {
			t.Fatalf("ParseFrame(%q) = %+v: %v", s, frame, err)
		}
		if again, err := ParseFrame(string(text)); err != nil || again != frame {
			t.Errorf("ParseFrame(%q) = %+v, but of its text %s: %+v, %v", s, frame, text, again, err)
		}
	})
}

func FuzzParseLogLine(f *testing.F) {
	for _, s := range []string{
		"(1436509052.249713) vcan0 044#2A366C2BBA", "(1436509052.249713000) can0 18DA10F1##1AABB T",
		"(0.1) - 7E0#R R", "(9223372035.999999999) x 123#", "(9223372036.0) x 123#", "()", "",
		"(0) c 123#", "(0.0) c 123#", "(1.12345678901) c 123#", "(1) c 123##0" + strings.Repeat("5A", 10), "(1) c 123# t # x",
		"(1) c 00123#81:00:12345678#AABB", "\ufeff(1) c 123#",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		frame, bus, err := ParseLogLine(s)
		if err != nil {
			return
		}
		line := string(AppendLogLine(nil, &frame, bus))
		frame.Timestamp -= frame.Timestamp % 1000
		if again, bus2, err := ParseLogLine(line); err != nil || again != frame || bus2 != bus {
			t.Errorf("ParseLogLine(%q) = %+v, %q, but of its line %s: %+v, %q, %v", s, frame, bus, line, again, bus2, err)
		}
	})
}
