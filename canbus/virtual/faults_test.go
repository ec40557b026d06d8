package virtual

import (
	"math/bits"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
)

// intercept gives each of the frames the next verdict.
func intercept(verdicts ...Verdict) func(*canbus.Frame) Verdict {
	return func(*canbus.Frame) Verdict {
		if len(verdicts) == 0 {
			return Deliver
		}
		v := verdicts[0]
		verdicts = verdicts[1:]
		return v
	}
}

// send writes numbered frames on a network without a bit rate and returns the
// numbers that arrive within a second, reading the echoes meanwhile.
func send(t *testing.T, o Options, count int) (numbers []int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, o, 2)
		go read(t, taps[0], count)
		go func() {
			write(t, taps[0], numbered(count)...)
			time.Sleep(time.Second)
			taps[1].Close()
		}()
		for {
			var b [1]canbus.Frame
			if _, err := taps[1].ReadFrames(b[:]); err != nil {
				break
			}
			numbers = append(numbers, int(b[0].Data[0])<<8|int(b[0].Data[1]))
		}
	})
	return numbers
}

func wantNumbers(t *testing.T, got []int, want ...int) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("received %v, want %v", got, want)
	}
}

func TestLostFrameHasItsEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{Intercept: intercept(Deliver, Deliver, Lose)}, 2)
		now := time.Now()
		frames := numbered(4)
		for i := range frames {
			frames[i].Stamp(now.UnixNano())
		}
		write(t, taps[0], frames...)
		wantFrames(t, read(t, taps[1], 3), frames[0], frames[1], frames[3])
		for i, f := range read(t, taps[0], 4) {
			wantFrames(t, []canbus.Frame{f}, echoOf(frames[i]))
		}
	})
}

func TestDuplicate(t *testing.T) {
	wantNumbers(t, send(t, Options{Intercept: intercept(Deliver, Duplicate)}, 3), 0, 1, 1, 2)
	wantNumbers(t, send(t, Options{Faults: Faults{Duplicate: 1}}, 2), 0, 0, 1, 1)
}

func TestReorder(t *testing.T) {
	wantNumbers(t, send(t, Options{Intercept: intercept(Deliver, Reorder)}, 4), 0, 2, 1, 3)
	wantNumbers(t, send(t, Options{Intercept: intercept(Reorder, Reorder)}, 4), 2, 0, 1, 3)
	wantNumbers(t, send(t, Options{Intercept: intercept(Deliver, Deliver, Reorder)}, 3), 0, 1, 2) // after 10 ms

	const count = 1000
	got := send(t, Options{Seed: 1, Faults: Faults{Reorder: 0.1, MaxDistance: 4}}, count)
	moved := 0
	for i, n := range got {
		if d := i - n; d > 4 {
			t.Errorf("frame %d came %d frames late", n, d)
		} else if d > 0 {
			moved++
		}
	}
	slices.Sort(got)
	if len(got) != count || len(slices.Compact(got)) != count || moved == 0 {
		t.Errorf("%d frames of %d, %d moved", len(got), count, moved)
	}
}

func TestReorderedFrameComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{Intercept: intercept(Reorder)}, 2)
		start := time.Now()
		write(t, taps[0], frame(1), frame(2)) // 2 does not overtake another identifier
		wantFrames(t, read(t, taps[1], 1), at(frame(2), start))
		wantFrames(t, read(t, taps[1], 1), at(frame(1), start))
		if d := time.Since(start); d != time.Duration(heldFor) {
			t.Errorf("came after %v, want %v", d, time.Duration(heldFor))
		}
	})
}

func TestReorderedFrameArrivesBeforeHangUp(t *testing.T) {
	taps := join(t, Options{HangUp: true, Intercept: intercept(Reorder)}, 2)
	write(t, taps[0], frame(1))
	taps[0].Close()
	if got := read(t, taps[1], 1); got[0].ID != 1 {
		t.Errorf("read %v", got)
	}
}

func TestCorrupt(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults Faults
		data   []byte
		within int // bytes
	}{
		{"anywhere", Faults{Corrupt: 1}, make([]byte, 8), 8},
		{"one byte", Faults{Corrupt: 1}, make([]byte, 1), 1},
		{"head", Faults{CorruptHead: 1}, make([]byte, 8), 3},
		{"head of a short frame", Faults{CorruptHead: 1}, make([]byte, 2), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			taps := join(t, Options{Faults: c.faults}, 2)
			var seen [canbus.MaxClassicLen]byte
			for range 300 {
				write(t, taps[0], frame(0x123, c.data...))
				if echo := read(t, taps[0], 1); echo[0].Data != [canbus.MaxLen]byte{} {
					t.Fatalf("echo %v", echo)
				}
				f := read(t, taps[1], 1)[0]
				flipped := 0
				for i, b := range f.Payload() {
					seen[i] |= b
					flipped += bits.OnesCount8(b)
				}
				if flipped < 1 || flipped > 4 || f.ID != 0x123 || int(f.Len) != len(c.data) {
					t.Fatalf("received %v: %d bits flipped", f, flipped)
				}
			}
			for i, b := range seen {
				if want := byte(0xFF); i < c.within && b != want || i >= c.within && b != 0 {
					t.Errorf("bits flipped in byte %d: %08b", i, b)
				}
			}
		})
	}
}

func TestNothingToCorrupt(t *testing.T) {
	taps := join(t, Options{Faults: Faults{Corrupt: 1, CorruptHead: 1}}, 2)
	write(t, taps[0], frame(0x123))
	if f := read(t, taps[1], 1)[0]; f.ID != 0x123 || f.Len != 0 {
		t.Errorf("received %v", f)
	}
}

func TestDelayKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const longest = 5 * time.Millisecond
		taps := join(t, Options{Bitrate: 500e3, Faults: Faults{Delay: 0.5, MaxDelay: longest}}, 2)
		frames := numbered(30)
		write(t, taps[0], frames...)
		last := time.Now()
		delayed := 0
		for i, f := range read(t, taps[1], len(frames)) {
			wire := canbus.WireTime(&frames[i], 500e3, 0)
			d := f.Time().Sub(last) - wire
			if d < 0 || d > longest {
				t.Errorf("frame %d delayed by %v", i, d)
			}
			if d > 0 {
				delayed++
			}
			last = f.Time()
			if f.Data != frames[i].Data {
				t.Errorf("frame %d is %v", i, f)
			}
		}
		if delayed == 0 || delayed == len(frames) {
			t.Errorf("%d of %d frames delayed", delayed, len(frames))
		}
	})
}

func TestErrorFrameComesBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{Bitrate: 1e6, Faults: Faults{ErrorFrame: 1}}, 2)
		taps[1].SetFilters(nil) // error frames pass all the same
		f := frame(0x123)
		write(t, taps[0], f)
		end := time.Now().Add(canbus.WireTime(&f, 1e6, 0) + errorFrameBits*time.Microsecond)
		report := canbus.Frame{ID: 0x88, Flags: canbus.ErrorFrame, Len: 8}
		wantFrames(t, read(t, taps[0], 2), at(report, end), echoOf(at(f, end)))
		wantFrames(t, read(t, taps[1], 1), at(report, end))
		if taps[1].pending() != 0 {
			t.Error("the frame passed the filters as well")
		}
	})
}

func TestBusOffAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pause = 100 * time.Millisecond
		start := time.Now()
		taps := join(t, Options{
			Bitrate:   500e3,
			QueueLen:  2,
			Faults:    Faults{BusOffTime: pause},
			Intercept: intercept(Deliver, BusOff),
		}, 2)
		first, last := frame(1), frame(3)
		end := start.Add(canbus.WireTime(&first, 500e3, 0))
		write(t, taps[0], first, frame(2))
		off := canbus.Frame{ID: 0x40, Flags: canbus.ErrorFrame, Len: 8}
		wantFrames(t, read(t, taps[0], 2), echoOf(at(first, end)), at(off, end))

		// What comes meanwhile waits, and nothing is heard.
		write(t, taps[0], last, last)
		if n, err := taps[0].TryWriteFrames([]canbus.Frame{last}); n != 0 || err != nil {
			t.Errorf("TryWriteFrames with a full queue = %d, %v", n, err)
		}
		write(t, taps[1], frame(4))
		back := end.Add(pause)
		restarted := canbus.Frame{ID: 0x100, Flags: canbus.ErrorFrame, Len: 8}
		end = back.Add(canbus.WireTime(&last, 500e3, 0))
		wantFrames(t, read(t, taps[0], 2), at(restarted, back), echoOf(at(last, end)))
		got := read(t, taps[1], 3)
		if !slices.Equal(ids(got), []uint32{1, 4, 3}) {
			t.Errorf("the other tap read %v", got)
		}
	})
}

func TestBusOffForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{Bitrate: 500e3}, 2)
		write(t, taps[0], frame(1))
		time.Sleep(time.Microsecond)
		if err := taps[0].BusOff(0); err != nil { // with a frame on the wire
			t.Fatal(err)
		}
		write(t, taps[0], frame(2))
		time.Sleep(time.Hour)
		if n := taps[1].pending(); n != 0 {
			t.Errorf("%d frames arrived", n)
		}
		if got := read(t, taps[0], 1); got[0].ID != 0x40 {
			t.Errorf("read %v", got)
		}
		write(t, taps[1], frame(3)) // the bus is free for others
		read(t, taps[1], 1)
	})
}

func TestBusOffNeedsAController(t *testing.T) {
	taps := join(t, Options{}, 1)
	if err := taps[0].BusOff(0); err == nil {
		t.Error("no error on an ideal network")
	}
}

func TestSameSeedSameFaults(t *testing.T) {
	const count = 2000
	o := Options{Seed: 7, Faults: Faults{Lose: 0.1, Duplicate: 0.1, Reorder: 0.05, Delay: 0.001}}
	first := send(t, o, count)
	wantNumbers(t, send(t, o, count), first...)
	o.Seed = 8
	if slices.Equal(send(t, o, count), first) {
		t.Error("another seed gave the same faults")
	}
}

func TestFaultsDoNotChangeEachOther(t *testing.T) {
	const count = 2000
	lose := send(t, Options{Faults: Faults{Lose: 0.1}}, count)
	if n := count - len(lose); n < count/20 || n > count/5 {
		t.Errorf("%d of %d frames lost, want about %d", n, count, count/10)
	}
	both := send(t, Options{Faults: Faults{Lose: 0.1, Duplicate: 0.3, Delay: 0.001}}, count)
	wantNumbers(t, slices.Compact(both), lose...)
}

func TestInterceptChangesWhatOthersReceive(t *testing.T) {
	taps := join(t, Options{Intercept: func(f *canbus.Frame) Verdict {
		f.ID, f.Len, f.Data[0] = 0x555, 255, 0xAB
		return Deliver
	}}, 2)
	write(t, taps[0], frame(0x123, 1))
	if f := read(t, taps[1], 1)[0]; f.ID != 0x555 || f.Len != canbus.MaxLen || f.Data[0] != 0xAB {
		t.Errorf("received %v", f)
	}
	if f := read(t, taps[0], 1)[0]; f.ID != 0x123 || f.Len != 1 || f.Data[0] != 1 {
		t.Errorf("echo %v", f)
	}
}
