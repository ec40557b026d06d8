package canbus

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
	"unsafe"
)

func TestDLCs(t *testing.T) {
	for dlc, want := range []uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64, 64} {
		if got := DLCLen(uint8(dlc), true); got != want {
			t.Errorf("DLC %d says %d bytes in CAN FD, want %d", dlc, got, want)
		}
		if got := DLCLen(uint8(dlc), false); got != min(want, 8) {
			t.Errorf("DLC %d says %d bytes in classic CAN, want %d", dlc, got, min(want, 8))
		}
		if f := (Frame{Len: want}); dlc < 16 && f.DLC() != uint8(dlc) {
			t.Errorf("%d bytes have the DLC %d, want %d", want, f.DLC(), dlc)
		}
	}
	for length, want := range map[uint8]uint8{9: 9, 33: 14, 63: 15, 255: 15} {
		if f := (Frame{Len: length}); f.DLC() != want {
			t.Errorf("%d bytes have the DLC %d, want %d", length, f.DLC(), want)
		}
	}
}

func TestPadLenAndValidLen(t *testing.T) {
	lens := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64}
	i := 0
	for n := range 65 {
		if n > lens[i] {
			i++
		}
		if got := PadLen(n); got != lens[i] {
			t.Errorf("PadLen(%d) = %d, want %d", n, got, lens[i])
		}
		if got, want := ValidLen(n, true), n == lens[i]; got != want {
			t.Errorf("ValidLen(%d, true) = %v", n, got)
		}
		if got, want := ValidLen(n, false), n <= 8; got != want {
			t.Errorf("ValidLen(%d, false) = %v", n, got)
		}
	}
	for n, want := range map[int]int{-1: 0, 65: 64, math.MaxInt: 64} {
		if got := PadLen(n); got != want {
			t.Errorf("PadLen(%d) = %d, want %d", n, got, want)
		}
		if ValidLen(n, true) || ValidLen(n, false) {
			t.Errorf("ValidLen(%d) is true", n)
		}
	}
}

func TestPayloadIsTheFramesOwn(t *testing.T) {
	f := Frame{Len: 3}
	f.Payload()[2] = 7
	if len(f.Payload()) != 3 || f.Data[2] != 7 {
		t.Errorf("payload %v, data %v", f.Payload(), f.Data)
	}
	f.Len = 255
	if len(f.Payload()) != MaxLen {
		t.Errorf("payload of %d bytes, want %d", len(f.Payload()), MaxLen)
	}
}

func TestHasWantsAllFlags(t *testing.T) {
	f := Frame{Flags: Extended | FD}
	for flags, want := range map[Flags]bool{0: true, Extended: true, Extended | FD: true, FD | BRS: false, Remote: false} {
		if got := f.Has(flags); got != want {
			t.Errorf("Has(%08b) = %v", flags, got)
		}
	}
}

func TestFrameTime(t *testing.T) {
	if f := (Frame{}); !f.Time().IsZero() {
		t.Errorf("time of a frame without timestamp: %v", f.Time())
	}
	if f := (Frame{Timestamp: 5}); !f.Time().IsZero() {
		t.Errorf("time of a frame without the flag Timed: %v", f.Time())
	}
	for _, want := range []time.Time{time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC), time.Unix(0, 0)} {
		var f Frame
		f.Stamp(want.UnixNano())
		if !f.Time().Equal(want) || f.Time().IsZero() {
			t.Errorf("Time() = %v, want %v", f.Time(), want)
		}
	}
}

// Buses copy many of them: what a frame tells of its way here must not make it larger.
func TestFrameIsOf80Bytes(t *testing.T) {
	if size := unsafe.Sizeof(Frame{}); size != 80 {
		t.Errorf("a Frame has %d bytes", size)
	}
}

func TestStripLeavesWhatGoesOnTheWire(t *testing.T) {
	want := Frame{ID: 0x7E0, Flags: Extended | FD | BRS | ESI, Len: 2, Data: [64]byte{1, 2}}
	f := want
	f.Flags |= Echo | Refused
	f.Channel = 3
	f.Stamp(0)
	if err := f.Validate(); err != nil {
		t.Errorf("what ReadFrames tells makes a frame invalid: %v", err)
	}
	if f.Strip(); f != want {
		t.Errorf("it leaves %+v, want %+v", f, want)
	}
}

var invalidFrames = []Frame{
	{ID: 0x800},
	{ID: 0xFFFFFFFF},
	{ID: 0x20000000, Flags: Extended},
	{ID: 0x800, Flags: FD},
	{Len: 9},
	{Len: 255},
	{Len: 9, Flags: Remote},
	{Len: 9, Flags: FD},
	{Len: 63, Flags: FD},
	{Len: 65, Flags: FD},
	{Flags: FD | Remote},
	{Flags: BRS},
	{Flags: ESI},
	{Flags: ErrorFrame},
}

func TestValidate(t *testing.T) {
	for _, f := range invalidFrames {
		if err := f.Validate(); err == nil {
			t.Errorf("%+v is valid", f)
		}
	}
	for _, f := range []Frame{
		{},
		{ID: 0x7FF, Len: 8},
		{ID: 0x7FF, Len: 8, Flags: Echo},
		{ID: 0x1FFFFFFF, Len: 8, Flags: Extended},
		{ID: 0x7FF, Len: 8, Flags: Remote},
		{ID: 0x7FF, Len: 64, Flags: FD},
		{ID: 0x1FFFFFFF, Len: 12, Flags: Extended | FD | BRS | ESI},
	} {
		if err := f.Validate(); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

func TestCheckFramesStopsAtTheFirstThatCannotBeSent(t *testing.T) {
	remote := errors.New("no remote frames here")
	refuse := func(f *Frame) error {
		if f.Has(Remote) {
			return remote
		}
		return nil
	}
	good, bad := Frame{ID: 1}, Frame{ID: MaxStandardID + 1}
	for _, c := range []struct {
		frames []Frame
		n      int
		err    string // "": nil
	}{
		{nil, 0, ""},
		{[]Frame{good, good}, 2, ""},
		{[]Frame{good, bad, good}, 1, "more than 11 bits"},
		{[]Frame{{Flags: Remote}, bad}, 0, remote.Error()},
	} {
		n, err := CheckFrames(c.frames, refuse)
		if n != c.n || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("CheckFrames(%v) = %d, %v; want %d, %q", c.frames, n, err, c.n, c.err)
		}
	}
	if n, err := CheckFrames([]Frame{{Flags: Remote}}, nil); n != 1 || err != nil {
		t.Errorf("without refuse: %d, %v", n, err)
	}
}

func TestCheckFramesNeedsNoMemory(t *testing.T) {
	frames := make([]Frame, 8)
	fd := false
	if n := testing.AllocsPerRun(100, func() {
		CheckFrames(frames, func(f *Frame) error {
			if f.Has(FD) != fd {
				return errors.New("refused")
			}
			return nil
		})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
