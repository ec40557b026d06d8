package virtual

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/test/scale"
)

// join makes a private network with so many taps, closed at the test's end.
func join(t *testing.T, o Options, count int) []*Tap {
	t.Helper()
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	taps := make([]*Tap, count)
	for i := range taps {
		if taps[i], err = n.Tap(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { taps[i].Close() })
	}
	return taps
}

func frame(id uint32, data ...byte) canbus.Frame {
	f := canbus.Frame{ID: id, Len: uint8(len(data))}
	copy(f.Data[:], data)
	return f
}

// numbered makes frames that carry numbers, counted from 0.
func numbered(count int) []canbus.Frame {
	b := make([]canbus.Frame, count)
	for i := range b {
		b[i] = frame(0x123, byte(i>>8), byte(i))
	}
	return b
}

func write(t *testing.T, tap *Tap, b ...canbus.Frame) {
	t.Helper()
	for len(b) > 0 {
		n, err := tap.WriteFrames(b)
		if err != nil {
			t.Errorf("WriteFrames: %v", err)
			return
		}
		b = b[n:]
	}
}

// read returns the next frames, without what has no meaning in them.
func read(t *testing.T, tap *Tap, count int) []canbus.Frame {
	t.Helper()
	var got []canbus.Frame
	for len(got) < count {
		b := make([]canbus.Frame, count-len(got))
		n, err := tap.ReadFrames(b)
		if err != nil {
			t.Errorf("ReadFrames after %d of %d frames: %v", len(got), count, err)
			break
		}
		got = append(got, b[:n]...)
	}
	for i := range got {
		clear(got[i].Data[got[i].Len:])
	}
	return got
}

// pending is how many frames wait to be read.
func (t *Tap) pending() int { return len(t.rx.slots) - t.rx.room() }

func wantFrames(t *testing.T, got []canbus.Frame, want ...canbus.Frame) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestEachTapHearsTheOthers(t *testing.T) {
	taps := join(t, Options{}, 3)
	f := frame(0x7E0, 2, 0x10, 3)
	write(t, taps[0], f)
	wantFrames(t, read(t, taps[1], 1), f)
	wantFrames(t, read(t, taps[2], 1), f)
	if n := taps[0].pending(); n != 0 {
		t.Errorf("the sender heard %d frames", n)
	}
}

func TestFramesArriveAsTheyWere(t *testing.T) {
	taps := join(t, Options{}, 2)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		f := canbus.Frame{ID: rng.Uint32() & canbus.MaxStandardID}
		if rng.IntN(2) == 0 {
			f.ID, f.Flags = rng.Uint32()&canbus.MaxExtendedID, canbus.Extended
		}
		f.Len = uint8(rng.IntN(canbus.MaxClassicLen + 1))
		switch rng.IntN(3) {
		case 0:
			f.Flags |= canbus.FD | canbus.BRS
			f.Len = uint8(canbus.PadLen(rng.IntN(canbus.MaxLen + 1)))
		case 1:
			f.Flags |= canbus.Remote
		}
		for i := range f.Len {
			f.Data[i] = byte(rng.Uint32())
		}
		write(t, taps[0], f)
		wantFrames(t, read(t, taps[1], 1), f)
	}
}

func TestEchoComesBackFlagged(t *testing.T) {
	taps := join(t, Options{Echo: true}, 2)
	if !taps[0].Properties().Echo {
		t.Error("Properties().Echo is false")
	}
	f := frame(0x100, 1)
	write(t, taps[0], f)
	wantFrames(t, read(t, taps[1], 1), f)
	f.Flags = canbus.Echo
	wantFrames(t, read(t, taps[0], 1), f)

	// A frame that is written with the flag Echo, as it was read, is not an echo to other
	// taps.
	write(t, taps[0], f)
	wantFrames(t, read(t, taps[1], 1), frame(0x100, 1))
}

func TestAllTapsSeeTheSameOrder(t *testing.T) {
	const writers = 3
	each := scale.Down(3000, 300)
	taps := join(t, Options{BufferLen: 64}, writers+2)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				write(t, taps[w], frame(uint32(w), byte(i>>8), byte(i)))
			}
		})
		wg.Go(func() { read(t, taps[w], (writers-1)*each) })
	}
	var seen [2][]canbus.Frame
	for i := range seen {
		wg.Go(func() { seen[i] = read(t, taps[writers+i], writers*each) })
	}
	wg.Wait()
	if !slices.Equal(seen[0], seen[1]) {
		t.Error("two taps saw the frames in different order")
	}
	var next [writers]int
	for _, f := range seen[0] {
		if got := int(f.Data[0])<<8 | int(f.Data[1]); got != next[f.ID] {
			t.Fatalf("frame %d of writer %d where its frame %d was due", got, f.ID, next[f.ID])
		}
		next[f.ID]++
	}
}

func TestBatchesGoThroughWhole(t *testing.T) {
	total := scale.Down(20000, 2000)
	taps := join(t, Options{BufferLen: 32}, 2)
	frames := numbered(total)
	var wg sync.WaitGroup
	wg.Go(func() { write(t, taps[0], frames...) })
	wantFrames(t, read(t, taps[1], total), frames...)
	wg.Wait()
}

func TestWriteWaitsForAFullTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{BufferLen: 4}, 2)
		n, err := taps[0].WriteFrames(numbered(6))
		if n != 4 || err != nil {
			t.Fatalf("WriteFrames = %d, %v; want 4, nil", n, err)
		}
		if n, err := taps[0].TryWriteFrames(numbered(1)); n != 0 || err != nil {
			t.Fatalf("TryWriteFrames = %d, %v; want 0, nil", n, err)
		}
		wrote := false
		go func() {
			write(t, taps[0], frame(0x7FF))
			wrote = true
		}()
		synctest.Wait()
		if wrote {
			t.Fatal("WriteFrames did not wait")
		}
		read(t, taps[1], 1)
		synctest.Wait()
		if !wrote {
			t.Fatal("WriteFrames still waits although there is room")
		}
		wantFrames(t, read(t, taps[1], 4), append(numbered(4)[1:], frame(0x7FF))...)
	})
}

func TestFullTapDoesNotHoldUpWhatItFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{BufferLen: 2}, 3)
		if err := taps[1].SetFilters([]canbus.Filter{{ID: 0x100, Mask: canbus.MaxStandardID}}); err != nil {
			t.Fatal(err)
		}
		write(t, taps[0], frame(0x100, 1), frame(0x100, 2)) // full
		read(t, taps[2], 2)
		n, err := taps[0].WriteFrames([]canbus.Frame{frame(0x200), frame(0x100, 3)})
		if n != 1 || err != nil {
			t.Errorf("WriteFrames = %d, %v; want 1, nil: the second frame has no room", n, err)
		}
		go write(t, taps[0], frame(0x100, 4))
		synctest.Wait()
		// A tap that does not want the frame any more does not hold it up either.
		taps[1].SetFilters(nil)
		wantFrames(t, read(t, taps[2], 2), frame(0x200), frame(0x100, 4))
		wantFrames(t, read(t, taps[1], 2), frame(0x100, 1), frame(0x100, 2))
	})
}

func TestFilters(t *testing.T) {
	ext := func(id uint32) canbus.Frame { return canbus.Frame{ID: id, Flags: canbus.Extended} }
	sent := []canbus.Frame{
		frame(0x7E8), frame(0x7E0), frame(0x123),
		ext(0x7E8), ext(0x18DAF110), ext(0x14DAF110), ext(0x18DAF111),
	}
	for _, c := range []struct {
		name    string
		filters []canbus.Filter
		want    []canbus.Frame
	}{
		{"none", nil, nil},
		{"one 11-bit identifier", []canbus.Filter{{ID: 0x7E8, Mask: 0x7FF}}, []canbus.Frame{sent[0]}},
		{"a range of them", []canbus.Filter{{ID: 0x7E0, Mask: 0x7F0}}, []canbus.Frame{sent[0], sent[1]}},
		{"an identifier that 11 bits do not have", []canbus.Filter{{ID: 0x18DAF110, Mask: 0x1FFFFFFF}}, nil},
		{"one 29-bit identifier", []canbus.Filter{{ID: 0x7E8, Mask: 0x1FFFFFFF, Extended: true}}, []canbus.Frame{sent[3]}},
		{"any priority", []canbus.Filter{{ID: 0x18DAF110, Mask: 0x03FFFFFF, Extended: true}}, []canbus.Frame{sent[4], sent[5]}},
		{"several", []canbus.Filter{{ID: 0x123, Mask: 0x7FF}, {ID: 0x18DAF111, Mask: 0x1FFFFFFF, Extended: true}}, []canbus.Frame{sent[2], sent[6]}},
		{"all 11-bit ones", []canbus.Filter{{}}, sent[:3]},
	} {
		t.Run(c.name, func(t *testing.T) {
			taps := join(t, Options{Echo: true}, 2)
			if err := taps[1].SetFilters(c.filters); err != nil {
				t.Fatal(err)
			}
			write(t, taps[0], sent...)
			end := frame(0x7FF, 0xEE)
			write(t, taps[1], end) // its echo passes any filter
			end.Flags = canbus.Echo
			wantFrames(t, read(t, taps[1], len(c.want)+1), append(slices.Clone(c.want), end)...)

			for _, f := range sent {
				want := slices.ContainsFunc(c.filters, func(x canbus.Filter) bool { return x.Match(&f) })
				if got := newFilterSet(c.filters).match(&f); got != want {
					t.Errorf("%v passes: %v, by Filter.Match: %v", f, got, want)
				}
			}
		})
	}
}

func TestObserverDropsAndCounts(t *testing.T) {
	n, err := New(Options{BufferLen: 4})
	if err != nil {
		t.Fatal(err)
	}
	w, _ := n.Tap()
	defer w.Close()
	o, err := n.Observe()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	write(t, w, numbered(10)...)
	wantFrames(t, read(t, o, 4), numbered(4)...)
	if o.Dropped() != 6 {
		t.Errorf("Dropped() = %d, want 6", o.Dropped())
	}
}

// What an observer is to receive it reads, or it is counted, on every network; what its
// filters leave out is neither.
func TestObserverMissesNothingUncounted(t *testing.T) {
	for name, o := range map[string]Options{
		"Ideal": {BufferLen: 16},
		"Wire":  {BufferLen: 16, Bitrate: 1_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				w, _ := n.Tap()
				defer w.Close()
				go func() { // the echoes
					buf := make([]canbus.Frame, 10)
					for {
						if _, err := w.ReadFrames(buf); err != nil {
							return
						}
					}
				}()
				slow, _ := n.Observe()
				defer slow.Close()
				if err := slow.SetFilters([]canbus.Filter{{ID: 1, Mask: canbus.MaxStandardID}}); err != nil {
					t.Fatal(err)
				}
				const count = 1000
				frames := make([]canbus.Frame, 2*count)
				for i := range frames {
					frames[i].ID = uint32(i % 2)
				}
				write(t, w, frames...)
				time.Sleep(time.Second) // the bubble's: all has left the wire
				dropped := slow.Dropped()
				got := read(t, slow, count-int(dropped))
				if dropped == 0 || len(got)+int(slow.Dropped()) != count {
					t.Errorf("%d frames, %d read, %d dropped and then %d", count, len(got), dropped, slow.Dropped())
				}
			})
		})
	}
}

func TestFramesForNobodyAreGone(t *testing.T) {
	taps := join(t, Options{BufferLen: 1}, 1)
	write(t, taps[0], numbered(100)...)
}

func TestBadFramesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		bad     canbus.Frame
	}{
		{"identifier of 12 bits", Options{}, canbus.Frame{ID: 0x800}},
		{"9 bytes", Options{}, canbus.Frame{Len: 9}},
		{"error frame", Options{}, canbus.Frame{Flags: canbus.ErrorFrame, Len: 8}},
		{"CAN FD on a classic bus", Options{Classic: true}, canbus.Frame{Flags: canbus.FD, Len: 8}},
		{"simulated", Options{Bitrate: 500e3}, canbus.Frame{Len: 65}},
	} {
		t.Run(c.name, func(t *testing.T) {
			taps := join(t, c.options, 2)
			b := []canbus.Frame{frame(1), frame(2), c.bad, frame(3)}
			n, err := taps[0].WriteFrames(b)
			if n != 2 || err == nil {
				t.Errorf("WriteFrames = %d, %v; want 2 and an error", n, err)
			}
			if n, err := taps[0].TryWriteFrames(b[2:]); n != 0 || err == nil {
				t.Errorf("TryWriteFrames = %d, %v; want 0 and an error", n, err)
			}
			if errors.Is(err, canbus.ErrTemporary) {
				t.Error("the error is temporary")
			}
			got := read(t, taps[1], 2)
			if got[0].ID != 1 || got[1].ID != 2 {
				t.Errorf("received %v", got)
			}
		})
	}
}

func TestNoFramesNoWait(t *testing.T) {
	taps := join(t, Options{}, 2)
	if n, err := taps[0].WriteFrames(nil); n != 0 || err != nil {
		t.Errorf("WriteFrames(nil) = %d, %v", n, err)
	}
	if n, err := taps[0].ReadFrames(nil); n != 0 || err != nil {
		t.Errorf("ReadFrames(nil) = %d, %v", n, err)
	}
}

func TestCloseEndsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{}, 2)
		var err error
		go func() { _, err = taps[0].ReadFrames(make([]canbus.Frame, 1)) }()
		synctest.Wait()
		if err := taps[0].Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrames: %v, want net.ErrClosed", err)
		}
		if err := taps[0].Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestCloseEndsWrite(t *testing.T) {
	for name, o := range map[string]Options{
		"ideal":     {BufferLen: 1},
		"simulated": {Bitrate: 1, QueueLen: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				taps := join(t, o, 2)
				write(t, taps[0], frame(1))
				var err error
				go func() { _, err = taps[0].WriteFrames(numbered(1)) }()
				synctest.Wait()
				taps[0].Close()
				synctest.Wait()
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("WriteFrames: %v, want net.ErrClosed", err)
				}
			})
		})
	}
}

func TestClosedTapFails(t *testing.T) {
	for name, o := range map[string]Options{"ideal": {}, "simulated": {Bitrate: 500e3}} {
		t.Run(name, func(t *testing.T) {
			taps := join(t, o, 2)
			write(t, taps[1], frame(1))
			taps[0].Close()
			if n, err := taps[0].ReadFrames(make([]canbus.Frame, 1)); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("ReadFrames = %d, %v; want net.ErrClosed", n, err)
			}
			if n, err := taps[0].WriteFrames(numbered(1)); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("WriteFrames = %d, %v; want net.ErrClosed", n, err)
			}
			if n, err := taps[0].TryWriteFrames(numbered(1)); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("TryWriteFrames = %d, %v; want net.ErrClosed", n, err)
			}
			if err := taps[0].SetFilters(nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("SetFilters: %v; want net.ErrClosed", err)
			}
			write(t, taps[1], frame(2)) // no other tap is left
		})
	}
}

func TestClosingAFullTapLetsWritersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{BufferLen: 1}, 3)
		write(t, taps[0], frame(1))
		read(t, taps[1], 1)
		go write(t, taps[0], frame(2))
		synctest.Wait()
		taps[2].Close()
		wantFrames(t, read(t, taps[1], 1), frame(2))
	})
}

func TestHangUp(t *testing.T) {
	for name, o := range map[string]Options{
		"ideal":     {HangUp: true},
		"simulated": {HangUp: true, Bitrate: 500e3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				taps := join(t, o, 3)
				write(t, taps[1], frame(1), frame(2))
				read(t, taps[2], 2) // when they have left the wire
				taps[1].Close()
				write(t, taps[0], frame(3)) // taps[2] is left to hear it
				read(t, taps[2], 1)
				taps[2].Close()
				if n, err := taps[0].WriteFrames(numbered(1)); n != 0 || err != io.ErrClosedPipe {
					t.Errorf("WriteFrames = %d, %v; want io.ErrClosedPipe", n, err)
				}
				got := read(t, taps[0], 2)
				if got[0].ID != 1 || got[1].ID != 2 {
					t.Errorf("read %v, want the frames written before the close", got)
				}
				if o.Bitrate > 0 {
					read(t, taps[0], 1) // the echo
				}
				if n, err := taps[0].ReadFrames(make([]canbus.Frame, 1)); n != 0 || err != io.EOF {
					t.Errorf("ReadFrames = %d, %v; want io.EOF", n, err)
				}
			})
		})
	}
}

func TestHangUpWakesReaderAndWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{HangUp: true, BufferLen: 1}, 2)
		write(t, taps[0], frame(1))
		var readErr, writeErr error
		go func() { _, readErr = taps[0].ReadFrames(make([]canbus.Frame, 1)) }()
		go func() { _, writeErr = taps[0].WriteFrames(numbered(1)) }()
		synctest.Wait()
		taps[1].Close()
		synctest.Wait()
		if readErr != io.EOF || writeErr != io.ErrClosedPipe {
			t.Errorf("read: %v, write: %v; want io.EOF, io.ErrClosedPipe", readErr, writeErr)
		}
	})
}

func TestHangUpDoesNotCountObservers(t *testing.T) {
	n, err := New(Options{HangUp: true})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := n.Tap()
	defer a.Close()
	o1, _ := n.Observe()
	o2, _ := n.Observe()
	defer o2.Close()
	o1.Close()
	write(t, a, frame(1)) // still waiting for the first to come
	b, _ := n.Tap()
	b.Close()
	if _, err := a.ReadFrames(make([]canbus.Frame, 1)); err != io.EOF {
		t.Errorf("ReadFrames: %v, want io.EOF", err)
	}
	c, _ := n.Tap()
	defer c.Close()
	write(t, a, frame(2)) // now another tap is there again
	wantFrames(t, read(t, c, 1), frame(2))
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{
		{Bitrate: -1}, {Bitrate: 1, DataBitrate: -1}, {DataBitrate: 1}, {QueueLen: -1}, {BufferLen: -1},
		{BufferLen: maxBufferLen + 1}, {Faults: Faults{Lose: 1.1}}, {Faults: Faults{Delay: -0.1}},
		{Faults: Faults{MaxDelay: -1}}, {Faults: Faults{MaxDistance: 9}}, {Faults: Faults{BusOffTime: -1}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v) gave no error", o)
		} else {
			t.Log(err)
		}
	}
}
