package wiretest_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/bustest/wiretest"
	"example.com/isotp/canbus/virtual"
)

func newWire(t testing.TB, queueLen int) *wiretest.Wire {
	t.Helper()
	w, err := wiretest.New(virtual.Options{Bitrate: 500_000, QueueLen: queueLen})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func join(t testing.TB, w *wiretest.Wire, o wiretest.Options) canbus.Bus {
	t.Helper()
	bus, err := w.Adapter(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	return bus
}

func TestConformance(t *testing.T) {
	for name, o := range map[string]wiretest.Options{
		"NoEcho":         {},
		"EchoAtHandover": {Echo: wiretest.EchoAtHandover},
		"EchoOnWire":     {Echo: wiretest.EchoOnWire},
		"NoFlush":        {NoFlush: true},
		"Lossy":          {Echo: wiretest.EchoOnWire, ReceiveLen: 300},
	} {
		t.Run(name, func(t *testing.T) {
			// The functions that say which frames the adapters refuse come later.
			var refuse map[canbus.Bus]func(*canbus.Frame) bool
			options := bustest.Options{Lossy: o.ReceiveLen > 0}
			if o.Echo != wiretest.NoEcho {
				options.Refuse = func(a canbus.Bus, f func(*canbus.Frame) bool) error {
					refuse[a] = f
					return nil
				}
			}
			bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
				refuse = make(map[canbus.Bus]func(*canbus.Frame) bool)
				w, err := wiretest.New(virtual.Options{Bitrate: 10_000_000, QueueLen: 16})
				if err != nil {
					return nil, nil, nil, err
				}
				mine := refuse
				o.Refuse = func(f *canbus.Frame) bool { return mine[a] != nil && mine[a](f) }
				if a, err = w.Adapter(o); err != nil {
					return nil, nil, nil, err
				}
				o.Refuse = nil
				b, err = w.Adapter(o)
				return a, b, nil, err
			}, options)
		})
	}
}

func frames(n int) []canbus.Frame {
	list := make([]canbus.Frame, n)
	for i := range list {
		list[i] = canbus.Frame{ID: 0x123, Len: 8, Data: [64]byte{byte(i)}}
	}
	return list
}

func write(t testing.TB, bus canbus.Bus, list []canbus.Frame) {
	t.Helper()
	if n, err := bus.WriteFrames(list); n != len(list) || err != nil {
		t.Fatalf("WriteFrames of %d frames: %d, %v", len(list), n, err)
	}
}

// read reads until the bus has so many frames, or for good.
func read(t testing.TB, bus canbus.Bus, n int) (list []canbus.Frame) {
	t.Helper()
	buf := make([]canbus.Frame, 64)
	for len(list) < n {
		k, err := bus.ReadFrames(buf)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, buf[:k]...)
	}
	return list
}

func TestFlushTakesTheTimeOfTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, 16)
		a := join(t, w, wiretest.Options{})
		list := frames(10)
		var want time.Duration
		for i := range list {
			want += canbus.WireTime(&list[i], 500_000, 0)
		}
		start := time.Now()
		write(t, a, list)
		if d := time.Since(start); d != 0 {
			t.Errorf("the queue has room for all, but writing took %v", d)
		}
		if err := a.(canbus.Flusher).Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != want {
			t.Errorf("Flush returned after %v, want %v", d, want)
		}
	})
}

func TestCloseStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, 16)
		a, b := join(t, w, wiretest.Options{}), join(t, w, wiretest.Options{})
		list := frames(10)
		write(t, a, list)
		time.Sleep(canbus.WireTime(&list[0], 500_000, 0) * 7 / 2)
		a.Close()
		time.Sleep(time.Second)
		if got := read(t, b, 1); len(got) != 3 {
			t.Errorf("%d frames have come, want the 3 that had left", len(got))
		}
	})
}

func TestEchoesTellWhatTheOptionsSay(t *testing.T) {
	for _, at := range []wiretest.Echo{wiretest.EchoAtHandover, wiretest.EchoOnWire} {
		synctest.Test(t, func(t *testing.T) {
			a := join(t, newWire(t, 16), wiretest.Options{Echo: at, Refuse: func(f *canbus.Frame) bool { return f.Data[0]%2 == 1 }})
			start := time.Now()
			write(t, a, frames(4))
			var flags []canbus.Flags
			for _, f := range read(t, a, 4) {
				flags = append(flags, f.Flags&^canbus.Timed)
			}
			const echo, refused = canbus.Echo, canbus.Echo | canbus.Refused
			if want := []canbus.Flags{echo, refused, echo, refused}; !slices.Equal(flags, want) {
				t.Errorf("echoes %v: flags %v, want %v", at, flags, want)
			}
			if took := time.Since(start) > 0; took != (at == wiretest.EchoOnWire) {
				t.Errorf("echoes %v have come after %v", at, time.Since(start))
			}
			if p := canbus.PropertiesOf(a); !p.Echo || p.EchoAtHandover != (at == wiretest.EchoAtHandover) {
				t.Errorf("properties %+v", p)
			}
		})
	}
}

func TestFramesWithoutRoomAreDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, 16)
		a, b := join(t, w, wiretest.Options{}), join(t, w, wiretest.Options{ReceiveLen: 5})
		write(t, a, frames(12))
		if err := a.(canbus.Flusher).Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := read(t, b, 1); len(got) != 5 {
			t.Errorf("%d frames read, want 5", len(got))
		}
		if n := b.(canbus.DropCounter).Dropped(); n != 7 {
			t.Errorf("%d dropped, want 7", n)
		}
	})
}

func TestFlushEndsWithTheContextAndWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, 16)
		a := join(t, w, wiretest.Options{})
		list := frames(10)
		write(t, a, list)
		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		defer cancel()
		if err := a.(canbus.Flusher).Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush: %v", err)
		}
		result := make(chan error)
		go func() { result <- a.(canbus.Flusher).Flush(t.Context()) }()
		synctest.Wait()
		a.Close()
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Flush, after Close: %v", err)
		}
	})
}

func TestFramesThatABusOffHasTakenAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := wiretest.New(virtual.Options{Bitrate: 500_000, Intercept: func(f *canbus.Frame) virtual.Verdict {
			if f.Data[0] == 1 {
				return virtual.BusOff
			}
			return virtual.Deliver
		}, Faults: virtual.Faults{BusOffTime: time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		a := join(t, w, wiretest.Options{})
		write(t, a, frames(4)) // 1 to 3 are lost
		time.Sleep(time.Second)
		write(t, a, frames(1))
		if err := a.(canbus.Flusher).Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNoFlushHasNone(t *testing.T) {
	if _, ok := canbus.As[canbus.Flusher](join(t, newWire(t, 16), wiretest.Options{NoFlush: true})); ok {
		t.Error("it is a Flusher")
	}
}
