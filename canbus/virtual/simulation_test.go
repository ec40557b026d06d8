package virtual

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
)

func echoOf(f canbus.Frame) canbus.Frame {
	f.Flags |= canbus.Echo
	return f
}

func at(f canbus.Frame, t time.Time) canbus.Frame {
	f.Stamp(t.UnixNano())
	return f
}

func ids(b []canbus.Frame) (ids []uint32) {
	for _, f := range b {
		ids = append(ids, f.ID)
	}
	return ids
}

func TestFramesTakeTheirTimeOnTheWire(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		flags   canbus.Flags
	}{
		{"classic", Options{Bitrate: 500e3}, 0},
		{"slow", Options{Bitrate: 33333}, 0},
		{"29 bit", Options{Bitrate: 1e6}, canbus.Extended},
		{"CAN FD", Options{Bitrate: 500e3, DataBitrate: 2e6}, canbus.FD},
		{"CAN FD, BRS", Options{Bitrate: 500e3, DataBitrate: 2e6}, canbus.FD | canbus.BRS},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				taps := join(t, c.options, 2)
				time.Sleep(12345 * time.Nanosecond) // the wire keeps no beat while idle
				end := time.Now()
				for i := range 20 {
					f := frame(0x123, 1, 2, 3, byte(i))
					f.Flags = c.flags
					write(t, taps[0], f)
					end = end.Add(canbus.WireTime(&f, c.options.Bitrate, c.options.DataBitrate))
					wantFrames(t, read(t, taps[1], 1), at(f, end))
					if !time.Now().Equal(end) {
						t.Errorf("received at %v, want %v", time.Now(), end)
					}
					wantFrames(t, read(t, taps[0], 1), echoOf(at(f, end)))
				}
			})
		})
	}
}

func TestQueuedFramesFollowWithoutAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, total = 1e6, 1000
		taps := join(t, Options{Bitrate: rate}, 2)
		frames := numbered(total)
		end := time.Now()
		for i := range frames {
			end = end.Add(canbus.WireTime(&frames[i], rate, 0))
			frames[i].Stamp(end.UnixNano())
		}
		var wg sync.WaitGroup
		wg.Go(func() { write(t, taps[0], frames...) })
		wg.Go(func() { read(t, taps[0], total) })
		wantFrames(t, read(t, taps[1], total), frames...)
		wg.Wait()
	})
}

// A process that is late, as one is that has been suspended, makes no frame
// late that waited in a queue.
func TestLateProcessCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := func(f *canbus.Frame) Verdict {
			if f.ID == 2 {
				time.Sleep(time.Second)
			}
			return Deliver
		}
		taps := join(t, Options{Bitrate: 500e3, Intercept: late}, 2)
		var want []canbus.Frame
		end := time.Now()
		for id := range uint32(5) {
			f := frame(id)
			end = end.Add(canbus.WireTime(&f, 500e3, 0))
			want = append(want, at(f, end))
		}
		write(t, taps[0], want...)
		wantFrames(t, read(t, taps[1], 5), want...)
	})
}

func TestLowestIdentifierGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{Bitrate: 500e3}, 4)
		write(t, taps[0], frame(0x7FF), frame(0x600)) // takes the idle bus
		write(t, taps[1], frame(0x700), frame(0x100)) // a queue keeps its order
		write(t, taps[2], frame(0x400))
		got := ids(read(t, taps[3], 5))
		if want := []uint32{0x7FF, 0x400, 0x600, 0x700, 0x100}; !slices.Equal(got, want) {
			t.Errorf("order %X, want %X", got, want)
		}
	})
}

func TestArbitrationOrder(t *testing.T) {
	const ext, rtr = canbus.Extended, canbus.Remote
	// Each wins over the one below it.
	order := []canbus.Frame{
		{ID: 0x000},
		{ID: 0x000, Flags: rtr},
		{ID: 0x00000000, Flags: ext},
		{ID: 0x00000000, Flags: ext | rtr},
		{ID: 0x00000001, Flags: ext},
		{ID: 0x0003FFFF, Flags: ext},
		{ID: 0x001},
		{ID: 0x00040000, Flags: ext},
		{ID: 0x6BE},
		{ID: 0x1AFC0000, Flags: ext}, // base identifier 6BF
		{ID: 0x6C0, Flags: canbus.FD},
		{ID: 0x7FF},
		{ID: 0x7FF, Flags: rtr},
		{ID: 0x1FFFFFFF, Flags: ext},
		{ID: 0x1FFFFFFF, Flags: ext | rtr},
	}
	for i := range order[1:] {
		if precedence(&order[i]) >= precedence(&order[i+1]) {
			t.Errorf("%v does not win over %v", order[i], order[i+1])
		}
	}
}

func TestFrameOnTheWireIsNotInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{Bitrate: 500e3}, 3)
		write(t, taps[0], frame(0x700), frame(0x701))
		time.Sleep(time.Microsecond)
		write(t, taps[1], frame(0))
		got := ids(read(t, taps[2], 3))
		if want := []uint32{0x700, 0, 0x701}; !slices.Equal(got, want) {
			t.Errorf("order %X, want %X", got, want)
		}
	})
}

func TestWriteWaitsForTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{Bitrate: 500e3, QueueLen: 3}, 2)
		if got := taps[0].Properties(); got != (canbus.Properties{FD: true, Echo: true, QueueLen: 3, Bitrate: 500e3, DataBitrate: 500e3, WireRate: true, InProcess: true}) {
			t.Errorf("Properties() = %+v", got)
		}
		start := time.Now()
		f := frame(0x123)
		n, err := taps[0].WriteFrames([]canbus.Frame{f, f, f, f, f})
		if n != 3 || err != nil || time.Since(start) != 0 {
			t.Fatalf("WriteFrames = %d, %v after %v; want 3, nil at once", n, err, time.Since(start))
		}
		if n, err := taps[0].TryWriteFrames([]canbus.Frame{f}); n != 0 || err != nil {
			t.Errorf("TryWriteFrames = %d, %v; want 0, nil", n, err)
		}
		n, err = taps[0].WriteFrames([]canbus.Frame{f, f})
		if want := canbus.WireTime(&f, 500e3, 0); n != 1 || err != nil || time.Since(start) != want {
			t.Errorf("WriteFrames = %d, %v after %v; want 1, nil after %v", n, err, time.Since(start), want)
		}
	})
}

func TestFullTapHoldsUpTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Options{Bitrate: 500e3, BufferLen: 2})
		if err != nil {
			t.Fatal(err)
		}
		w, _ := n.Observe() // does not read its echoes
		defer w.Close()
		r, _ := n.Tap()
		defer r.Close()
		f := frame(0x123)
		write(t, w, f, f, f)
		time.Sleep(time.Second)
		start := time.Now()
		took := canbus.WireTime(&f, 500e3, 0)
		read(t, r, 2)
		wantFrames(t, read(t, r, 1), at(f, start.Add(took)))
	})
}

func TestCloseDropsWhatIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{Bitrate: 500e3}, 3)
		write(t, taps[0], frame(1), frame(2))
		time.Sleep(time.Microsecond)
		taps[0].Close()
		f := frame(3)
		write(t, taps[1], f)
		end := time.Now().Add(canbus.WireTime(&f, 500e3, 0))
		wantFrames(t, read(t, taps[2], 1), at(f, end))
	})
}

func TestClosingAFullTapFreesTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{Bitrate: 500e3, BufferLen: 1}, 3)
		write(t, taps[0], frame(1), frame(2))
		read(t, taps[0], 1)
		read(t, taps[1], 1)
		time.Sleep(time.Second)
		taps[2].Close()
		if got := read(t, taps[1], 1); got[0].ID != 2 {
			t.Errorf("read %v", got)
		}
	})
}

func TestNetworkIsUsedAgainAfterItsLastTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Options{Bitrate: 500e3, BufferLen: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		for range 3 {
			a, _ := n.Tap()
			b, _ := n.Tap()
			write(t, a, frame(1), frame(2), frame(3)) // stalls at the second
			read(t, b, 1)
			time.Sleep(time.Second)
			a.Close()
			b.Close()
		}
	})
}

// By the system's clock, with everything at once.
func TestManyTapsAtOnce(t *testing.T) {
	const count, each = 4, 300
	for name, o := range map[string]Options{
		"bit rate": {Bitrate: 50e6, BufferLen: 16},
		"faults":   {BufferLen: 16, Faults: Faults{Corrupt: 0.5}},
	} {
		t.Run(name, func(t *testing.T) {
			taps := join(t, o, count)
			done := make(chan struct{})
			for i, tap := range taps {
				go func() {
					write(t, tap, slices.Repeat([]canbus.Frame{frame(uint32(i), 0)}, each)...)
				}()
				go func() {
					own := 0
					for _, f := range read(t, tap, count*each) {
						if f.Has(canbus.Echo) {
							own++
						}
					}
					if own != each {
						t.Errorf("tap %d: %d echoes, want %d", i, own, each)
					}
					done <- struct{}{}
				}()
			}
			for range taps {
				<-done
			}
		})
	}
}

// A frame that left the wire before a tap came, or before the tap wanted it, is not for that
// tap, even if no call has looked at the clock since.
func TestLateProcessKeepsThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := join(t, Options{Bitrate: 500e3}, 3)
		if err := taps[1].SetFilters(nil); err != nil {
			t.Fatal(err)
		}
		taps[0].network.sim.pacer.Close() // so nothing looks at the clock
		write(t, taps[0], frame(1))
		time.Sleep(time.Second)
		late, err := taps[0].network.Tap()
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		write(t, taps[0], frame(2))
		time.Sleep(time.Second)
		if err := taps[1].SetFilters([]canbus.Filter{{}}); err != nil {
			t.Fatal(err)
		}
		write(t, taps[0], frame(3))
		time.Sleep(time.Second)
		write(t, taps[0], frame(4)) // looks at the clock
		for i, c := range []struct {
			tap  *Tap
			want []uint32
		}{{late, []uint32{2, 3}}, {taps[1], []uint32{3}}, {taps[2], []uint32{1, 2, 3}}} {
			if got := ids(read(t, c.tap, len(c.want))); !slices.Equal(got, c.want) || c.tap.pending() != 0 {
				t.Errorf("tap %d read %v and %d more, want %v", i, got, c.tap.pending(), c.want)
			}
		}
	})
}
