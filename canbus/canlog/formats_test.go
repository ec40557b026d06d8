package canlog

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"example.com/isotp/canbus"
)

// everything is a log with a frame of each kind.
const everything = `(1700000000.123000) can0 7E0#021003
(1700000000.124500) can0 7E8#06500300320C1C00 T
(1700000000.124501) can1 000#
(1700000001.000000) can0 1FFFFFFF#FF
(1700000001.000001) can0 7E0#R
(1700000001.000002) can0 18DAF110#R8
(1700000001.000003) can0 456##0000102030405060708090A0B
(1700000001.000004) can1 18DAF110##3AABB T
(1700000001.000005) can0 456##1` + "C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3" + `
(1700000001.000006) can0 456##2
(1700000001.000007) can0 20000080#0000000000000000
(1700086401.000008) can0 123#01`

// numbered is what is left of the names of interfaces in formats that have numbers.
var numbered = strings.NewReplacer(" can0 ", " 1 ", " can1 ", " 2 ")

// Each format keeps all that it can say, whatever pieces it is read in.
func TestFormatsKeepAll(t *testing.T) {
	losses := map[Format][]Loss{
		PCAP: {{"that they were sent, and not received", 2}, {"which of several interfaces they are of", 2}},
	}
	for i := range formats[1:] {
		format := Format(i + 1)
		t.Run(format.String(), func(t *testing.T) {
			want := everything
			switch format {
			case ASC, TRC, BLF:
				want = numbered.Replace(want)
			case PCAP:
				want = strings.NewReplacer(" can0 ", " 1 ", " can1 ", " 1 ", " T", "").Replace(want)
			}
			text, lost, refused := convert(t, everything, format)
			if len(refused) > 0 || !slices.Equal(lost, losses[format]) {
				t.Errorf("it tells of losses %v, want %v, and refuses %v", lost, losses[format], refused)
			}
			wantFrames(t, string(text), strings.Split(want, "\n")...)
			frames, errs := readLog(t, iotest.OneByteReader(bytes.NewReader(text)))
			if strings.Join(frames, "\n") != want || len(errs) > 0 {
				t.Errorf("byte by byte: frames\n%s\nerrors %v", strings.Join(frames, "\n"), errs)
			}
		})
	}
}

// What is known of frames is read in the formats that have it.
func TestReadersTellChannelAndTime(t *testing.T) {
	for format, channels := range map[Format][]uint8{Candump: {0, 0}, ASC: {1, 2}, TRC: {1, 2}, BLF: {1, 2}, PCAP: {1, 1}, PCAPNG: {1, 2}} {
		text, _, _ := convert(t, "(1.000000) can0 001#\n(2.000000) can1 002# T\n", format)
		r, err := NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if r.Format() != format {
			t.Errorf("%v is found to be %v", format, r.Format())
		}
		for i, channel := range channels {
			var f canbus.Frame
			if _, err := r.ReadFrame(&f); err != nil || f.Channel != channel || !f.Has(canbus.Timed) || f.Timestamp != int64(i+1)*1e9 {
				t.Errorf("%v: frame %+v, %v; want channel %d", format, f, err, channel)
			}
		}
	}
}

// A log without a frame is one of its format, and begins no time.
func TestEmptyLogs(t *testing.T) {
	for i := range formats[1:] {
		format := Format(i + 1)
		text, _, _ := convert(t, "", format)
		r, err := NewReader(bytes.NewReader(text))
		if err != nil {
			t.Errorf("%v: %v", format, err)
			continue
		}
		if _, err := r.ReadFrame(new(canbus.Frame)); err != io.EOF || len(text) > 0 && r.Format() != format {
			t.Errorf("%v is read as %v: %v", format, r.Format(), err)
		}
	}
}

func TestTimesBeforeTheFirst(t *testing.T) {
	for _, format := range []Format{ASC, TRC, BLF} {
		text, losses, _ := convert(t, "(5.000000) 1 001#\n(4.000000) 1 002#\n(6.000000) 1 003#\n", format)
		if want := []Loss{{"times before that of the first frame", 1}}; !slices.Equal(losses, want) {
			t.Errorf("%v: losses %v", format, losses)
		}
		wantFrames(t, string(text), "(0000000005.000000) 1 001#", "(0000000005.000000) 1 002#", "(0000000006.000000) 1 003#")
	}
}

func TestErrorFramesLoseTheirClass(t *testing.T) {
	for _, format := range []Format{ASC, TRC, BLF} {
		text, losses, _ := convert(t, "(5.000000) 1 20000004#0001020304050607\n", format)
		if want := []Loss{{"the class and data of error frames", 1}}; !slices.Equal(losses, want) {
			t.Errorf("%v: losses %v", format, losses)
		}
		wantFrames(t, string(text), "(0000000005.000000) 1 20000080#0000000000000000")
	}
}

// Numbers for interfaces: those that they end in, from 1, and else what is free.
func TestChannels(t *testing.T) {
	var c channels
	for _, want := range []struct {
		name   string
		number int
	}{{"can0", 1}, {"vcan1", 2}, {"can1", 3}, {"9", 9}, {"can8", 10}, {"-", 4}, {"can0", 1}, {"can300", 5}, {"255", 255}, {"can254", 6}} {
		if n, err := c.of(want.name); n != want.number || err != nil {
			t.Errorf("%s is %d, %v; want %d", want.name, n, err, want.number)
		}
	}
	if n := c.numbersByName()["can300"]; n != 5 {
		t.Errorf("can300 is %d", n)
	}
	var err error
	for i := 0; i < 300 && err == nil; i++ {
		_, err = c.of(strings.Repeat("x", i+1))
	}
	if err == nil || !strings.Contains(err.Error(), "255") {
		t.Errorf("error %v", err)
	}
}

// inZone sets the local time zone for a test: several formats have its time.
func inZone(t *testing.T, hours int) {
	local := time.Local
	time.Local = time.FixedZone("test", hours*3600)
	t.Cleanup(func() { time.Local = local })
}
