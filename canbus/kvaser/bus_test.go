package kvaser

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/internal/errorframe"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	classicCAN = Options{Bitrate: 500_000, Logger: slog.New(slog.DiscardHandler)}
	canFD      = Options{Bitrate: 500_000, DataBitrate: 2_000_000, Logger: classicCAN.Logger}
	// The tests that send much send fast.
	fast   = Options{Bitrate: 1_000_000, Logger: classicCAN.Logger}
	fastFD = Options{Bitrate: 1_000_000, DataBitrate: 8_000_000, Logger: classicCAN.Logger}
)

// wire is a wire at the bit rate of the tests.
var wire = virtual.Options{Bitrate: 500_000, DataBitrate: 2_000_000}

// pair makes two buses, on two channels or on one.
func pair(t *testing.T, o Options, second int) bustest.MakePair {
	return func() (a, b canbus.Bus, stop func(), err error) {
		l, err := makeFake(virtual.Options{Bitrate: o.Bitrate, DataBitrate: o.DataBitrate, BufferLen: 1 << 14})
		if err != nil {
			return nil, nil, nil, err
		}
		first, err := open(l, 0, o)
		if err != nil {
			return nil, nil, nil, err
		}
		b, err = open(l, second, o)
		return &reporting{first, l}, b, func() { l.stop(t) }, err
	}
}

// A reporting bus can have its adapter report an error.
type reporting struct {
	*Bus
	fake *fakeLibrary
}

func TestBusConforms(t *testing.T) {
	for name, c := range map[string]struct {
		o      Options
		second int
	}{"Classic": {fast, 1}, "FD": {fastFD, 1}, "OneChannel": {fastFD, 0}} {
		if testing.Short() && name != "FD" {
			continue // they differ in little
		}
		t.Run(name, func(t *testing.T) {
			bustest.TestBus(t, pair(t, c.o, c.second), bustest.Options{Lossy: true, Report: func(a canbus.Bus) error {
				a.(*reporting).fake.change(0, func(c *fakeChannel) {
					c.all(func(x *fakeHandle) { x.put(message{flags: msgError | msgStuff}, time.Now().UnixNano()) })
				})
				return nil
			}})
		})
	}
}

func TestConnIsANetConn(t *testing.T) {
	conntest.Run(t, pair(t, fastFD, 1), isotpnet.Config{FD: true})
}

// openBus opens a bus that the test closes.
func openBus(t *testing.T, l *fakeLibrary, channel int, o Options) *Bus {
	t.Helper()
	b, err := open(l, channel, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// numbered returns frames that are all different.
func numbered(count int) []canbus.Frame {
	frames := make([]canbus.Frame, count)
	for i := range frames {
		frames[i] = canbus.Frame{ID: 0x100 + uint32(i%3), Len: 3, Data: [64]byte{byte(i), byte(i >> 8)}}
	}
	return frames
}

func number(f canbus.Frame) int { return int(f.Data[0]) | int(f.Data[1])<<8 }

func write(t *testing.T, b canbus.Bus, frames []canbus.Frame) {
	t.Helper()
	for len(frames) > 0 {
		n, err := b.WriteFrames(frames)
		if err != nil {
			t.Fatal(err)
		}
		frames = frames[n:]
	}
}

// read reads until it has a frame that is wanted, and returns all.
func read(t *testing.T, b canbus.Bus, wanted func(canbus.Frame) bool) (list []canbus.Frame) {
	t.Helper()
	buf := make([]canbus.Frame, 64)
	for {
		n, err := b.ReadFrames(buf)
		if err != nil {
			t.Fatalf("ReadFrames: %v, after %v", err, list)
		}
		list = append(list, buf[:n]...)
		if slices.ContainsFunc(buf[:n], wanted) {
			return list
		}
	}
}

func isError(class uint32) func(canbus.Frame) bool {
	return func(f canbus.Frame) bool { return f.Has(canbus.ErrorFrame) && f.ID&class != 0 }
}

// The adapter is unplugged in the middle of a message: the calls that wait fail, and say why.
func TestAdapterThatVanishes(t *testing.T) {
	l := newFake(t, wire)
	b := openBus(t, l, 0, classicCAN)
	d := isotpnet.Dialer{Bus: b}
	conn, err := d.DialContext(t.Context(), "isotp:user", "/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer := openBus(t, l, 1, classicCAN)
	errs := make(chan error, 2)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _, err := conn.Write(make([]byte, 4000)); errs <- err })
	wg.Go(func() { _, err := conn.Read(make([]byte, 10)); errs <- err })
	read(t, peer, func(f canbus.Frame) bool { return f.ID == 0x7E0 })
	l.change(0, func(c *fakeChannel) { c.unplugged = true })
	for range 2 {
		err := <-errs
		if gone, ok := errors.AsType[*canbus.GoneError](err); !ok || !strings.Contains(err.Error(), "unplugged") || gone.InDoubt > 1 {
			t.Errorf("error %v, want a GoneError", err)
		}
	}
	if _, err := b.WriteFrames(numbered(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteFrames: %v", err)
	}
}

func TestFramesInFlightAreInDoubtWhenTheAdapterVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFake(t, wire)
		b := openBus(t, l, 0, classicCAN)
		write(t, b, numbered(3))
		l.change(0, func(c *fakeChannel) { c.unplugged = true })
		_, err := b.ReadFrames(make([]canbus.Frame, 1))
		if gone, ok := errors.AsType[*canbus.GoneError](err); !ok || gone.InDoubt != 3 {
			t.Errorf("error %v, want 3 frames in doubt", err)
		}
		if err := b.Flush(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Flush: %v", err)
		}
	})
}

func TestFullQueueIsATemporaryError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFake(t, wire)
		b := openBus(t, l, 0, classicCAN)
		l.change(0, func(c *fakeChannel) { c.refuse = errTxBufOfl })
		n, err := b.WriteFrames(numbered(2))
		if full, ok := errors.AsType[*FullError](err); n != 0 || !ok || full.BusOff || !errors.Is(err, canbus.ErrTemporary) {
			t.Fatalf("WriteFrames: %d, %v", n, err)
		}
		l.change(0, func(c *fakeChannel) { c.refuse = 0 })
		write(t, b, numbered(2))
		for i, f := range read(t, b, func(f canbus.Frame) bool { return number(f) == 1 }) {
			if number(f) != i || !f.Has(canbus.Echo) || f.Has(canbus.Refused) {
				t.Errorf("read %d: %v", i, f)
			}
		}
	})
}

// A frame that the library does not want is no reason to give up the bus.
func TestFrameThatTheLibraryRefuses(t *testing.T) {
	l := newFake(t, wire)
	b := openBus(t, l, 0, classicCAN)
	l.change(0, func(c *fakeChannel) { c.refuse = errParam })
	_, err := b.WriteFrames(numbered(1))
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != -1 || errors.Is(err, canbus.ErrTemporary) || errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteFrames: %v", err)
	}
	l.change(0, func(c *fakeChannel) { c.refuse = 0 })
	write(t, b, numbered(1))
	if err := b.Flush(t.Context()); err != nil {
		t.Error(err)
	}
}

// takeOff takes a channel off the bus with what it has to send.
func (l *fakeLibrary) takeOff(t *testing.T, channel int) {
	t.Helper()
	l.mu.Lock()
	tap := l.channels[channel].tap
	l.mu.Unlock()
	if err := tap.BusOff(0); err != nil {
		t.Fatal(err)
	}
}

func TestBusOffIsToldAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFake(t, wire)
		a, b := openBus(t, l, 0, classicCAN), openBus(t, l, 1, classicCAN)
		time.Sleep(staleTime)
		write(t, a, numbered(5))
		l.takeOff(t, 0)
		start := time.Now()
		var told []string
		for _, f := range read(t, a, isError(errorframe.Restarted)) {
			switch {
			case isError(errorframe.BusOff)(f):
				told = append(told, "off")
			case isError(errorframe.Restarted)(f):
				told = append(told, "restarted")
			case f.Has(canbus.Echo | canbus.Refused):
				told = append(told, "refused")
			}
		}
		if want := []string{"off", "refused", "refused", "refused", "refused", "refused", "restarted"}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if d := time.Since(start); d != restartTime {
			t.Errorf("back after %v", d)
		}
		write(t, a, numbered(7)[6:])
		read(t, b, func(f canbus.Frame) bool { return number(f) == 6 })
	})
}

// CANlib tells the latest state that it knows: it may be that from before.
func TestAStateThatIsStaleIsNoBusOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFake(t, wire)
		l.channels[0].stale = statusBusOff
		b := openBus(t, l, 0, classicCAN)
		write(t, b, numbered(1))
		time.Sleep(staleTime / 2)
		l.change(0, func(c *fakeChannel) { c.state = 0 })
		time.Sleep(restartTime)
		list := make([]canbus.Frame, 3)
		if n, err := b.ReadFrames(list); n != 1 || err != nil || list[0].Flags&(canbus.Echo|canbus.Refused) != canbus.Echo {
			t.Errorf("read %v, %v", list[:n], err)
		}
	})
}

func TestNothingIsWrittenToAControllerOffTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFake(t, wire)
		b := openBus(t, l, 0, classicCAN)
		l.takeOff(t, 0)
		read(t, b, isError(errorframe.BusOff))
		n, err := b.WriteFrames(numbered(1))
		if full, ok := errors.AsType[*FullError](err); n != 0 || !ok || !full.BusOff || !errors.Is(err, canbus.ErrTemporary) {
			t.Errorf("WriteFrames: %d, %v", n, err)
		}
	})
}

func TestStatesOfTheControllerAreErrorFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFake(t, wire)
		b := openBus(t, l, 0, classicCAN)
		for _, c := range []struct {
			state  uint32
			detail byte
		}{{statusWarning, errorframe.Warning}, {statusPassive | statusWarning, errorframe.Passive}, {0, errorframe.Active}} {
			l.change(0, func(ch *fakeChannel) { ch.state = c.state })
			f := read(t, b, isError(errorframe.Controller))[0]
			if f.ID != errorframe.Controller|errorframe.Counters || f.Data[1] != c.detail || f.Data[6] != 17 || f.Data[7] != 255 {
				t.Errorf("state %#x: %v", c.state, f)
			}
		}
	})
}

// Frames that are not read are kept, but not for ever: those beyond are counted.
func TestFloodIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count, kept = 10_000, 4096
		l := newFake(t, virtual.Options{})
		b := openBus(t, l, 1, classicCAN)
		l.change(1, func(c *fakeChannel) { c.queueLen = count })
		other, err := l.wire.Tap()
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		write(t, other, numbered(count))
		synctest.Wait()
		for i, f := range read(t, b, func(f canbus.Frame) bool { return number(f) == kept-1 }) {
			if number(f) != i {
				t.Fatalf("frame %d is %v", i, f)
			}
		}
		if n := b.Dropped(); n != count-kept {
			t.Errorf("%d frames dropped, want %d", n, count-kept)
		}
	})
}

// What canlib has lost it does not count, but tells once.
func TestOverrunOfTheLibraryIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFake(t, wire)
		b := openBus(t, l, 0, classicCAN)
		l.change(0, func(c *fakeChannel) {
			c.all(func(x *fakeHandle) {
				x.overrun = true
				x.put(message{id: 5, flags: msgStandard}, time.Now().UnixNano())
			})
		})
		list := read(t, b, func(f canbus.Frame) bool { return f.ID == 5 })
		if len(list) != 2 || list[0].ID&errorframe.Controller == 0 || list[0].Data[1] != errorframe.ReceiveOverflow || b.Dropped() != 1 {
			t.Errorf("read %v, %d dropped", list, b.Dropped())
		}
	})
}

// Acknowledgements that were lost are made up for, also those of the last frames.
func TestAcknowledgementsLostInAnOverrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFake(t, wire)
		a, b := openBus(t, l, 0, classicCAN), openBus(t, l, 1, classicCAN)
		l.change(0, func(c *fakeChannel) { c.lost = 4 })
		write(t, a, numbered(4))
		synctest.Wait()
		time.Sleep(10 * time.Millisecond) // until all are on the wire
		write(t, b, []canbus.Frame{{ID: 0x7FF}})
		echoes := 0
		for _, f := range read(t, a, func(f canbus.Frame) bool { return f.Has(canbus.Echo) && number(f) == 3 }) {
			if f.Has(canbus.Echo) {
				if number(f) != echoes || f.Has(canbus.Refused) {
					t.Errorf("echo %d is %v", echoes, f)
				}
				echoes++
			}
		}
		if err := a.Flush(t.Context()); err != nil || echoes != 4 {
			t.Errorf("%d echoes, Flush: %v", echoes, err)
		}
	})
}

func TestFlushNamesFramesInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFake(t, wire)
		b := openBus(t, l, 0, classicCAN)
		l.change(0, func(c *fakeChannel) { c.lost = 2 })
		write(t, b, numbered(2))
		if err := b.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "2 frames in doubt") || !strings.Contains(err.Error(), "channel 0") {
			t.Errorf("Flush: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		write(t, b, numbered(3)[2:])
		cancel()
		if err := b.Flush(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Flush: %v", err)
		}
	})
}

// The adapter's clock begins anew while the test runs, and does not in the frames' times.
func TestTimesAreThoseOfTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFake(t, wire)
		now := time.Now().UnixMicro()
		l.change(0, func(c *fakeChannel) { c.start = uint32(1<<32 - now%(1<<32) - 5_000_000) })
		a, b := openBus(t, l, 0, classicCAN), openBus(t, l, 1, classicCAN)
		for i := range 20 {
			write(t, b, numbered(20)[i:i+1])
			f := read(t, a, func(canbus.Frame) bool { return true })[0]
			if off := time.Since(f.Time()); !f.Has(canbus.Timed) || off.Abs() > 2*time.Microsecond {
				t.Fatalf("frame %d is %v off", i, off)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestListenOnly(t *testing.T) {
	l := newFake(t, wire)
	o := classicCAN
	o.ListenOnly = true
	a, b := openBus(t, l, 0, o), openBus(t, l, 1, classicCAN)
	if n, err := a.WriteFrames(numbered(1)); n != 0 || err == nil || !strings.Contains(err.Error(), "listen only") {
		t.Errorf("WriteFrames: %d, %v", n, err)
	}
	write(t, b, numbered(1))
	read(t, a, func(f canbus.Frame) bool { return !f.Has(canbus.Echo) })
	if a.Properties().Echo || !l.channels[0].silent || l.channels[1].silent {
		t.Error("the channel is not silent")
	}
}

func TestOneChannelForTwoPrograms(t *testing.T) {
	l := newFake(t, wire)
	openBus(t, l, 0, classicCAN)
	openBus(t, l, 0, classicCAN)
	o := classicCAN
	o.Bitrate = 250_000
	if _, err := open(l, 0, o); err == nil || !strings.Contains(err.Error(), "500000") || !strings.Contains(err.Error(), "another program") {
		t.Errorf("with another bit rate: %v", err)
	}
}
