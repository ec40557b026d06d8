package j2534

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/internal/account"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
)

var options = Options{Bitrate: 1_000_000}

// pair makes two buses, of adapters on a wire of that bit rate.
func pair(wire int, o Options, prepare func(f *fake)) bustest.MakePair {
	return func() (a, b canbus.Bus, stop func(), err error) {
		w := newWire(wire)
		var buses [2]*Bus
		for i := range buses {
			f := newFake(w)
			prepare(f)
			if buses[i], err = openFake(f, fmt.Sprintf("pair %d", i), o); err != nil {
				return nil, nil, nil, err
			}
		}
		return buses[0], buses[1], nil, nil
	}
}

func TestBusConforms(t *testing.T) {
	for name, newPair := range map[string]bustest.MakePair{
		"Echoes":        pair(0, options, func(*fake) {}),
		"WithoutEchoes": pair(0, options, func(f *fake) { f.fails["set"] = errNotSupported }),
		"NoneWanted":    pair(0, Options{Bitrate: 1_000_000, NoEcho: true}, func(f *fake) { f.deaf = true }),
	} {
		if testing.Short() && name != "Echoes" {
			continue // they differ in little
		}
		t.Run(name, func(t *testing.T) {
			bustest.TestBus(t, newPair, bustest.Options{NoRemote: true})
		})
	}
}

// The wire takes no time, so the buses must not promise a bit rate: connections would take what
// comes too soon for late. Nor do reads wait for long, because nettest sends much.
func TestConnIsANetConn(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows' timers wait for too long for this fake: there nettest runs over test/fakes")
	}
	conntest.Run(t, func() (canbus.Bus, canbus.Bus, func(), error) {
		a, b, stop, err := pair(0, options, func(f *fake) { f.unit /= 10 })()
		for _, bus := range []canbus.Bus{a, b} {
			bus.(*Bus).props.WireRate = false
		}
		return a, b, stop, err
	}, isotpnet.Config{})
}

// setUp opens an adapter on a wire that takes no time. other is another node there.
func setUp(t *testing.T, o Options, prepare func(f *fake)) (b *Bus, f *fake, other *virtual.Tap) {
	t.Helper()
	wire := newWire(0)
	f = newFake(wire)
	if prepare != nil {
		prepare(f)
	}
	b, err := openFake(f, "adapter", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if other, err = wire.Tap(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return b, f, other
}

func frame(n int) canbus.Frame {
	return canbus.Frame{ID: 0x123, Len: 2, Data: [64]byte{byte(n), byte(n >> 8)}}
}

func frames(n int) []canbus.Frame {
	list := make([]canbus.Frame, n)
	for i := range list {
		list[i] = frame(i)
	}
	return list
}

func with(flags canbus.Flags, list ...canbus.Frame) []canbus.Frame {
	for i := range list {
		list[i].Flags |= flags
	}
	return list
}

func write(t *testing.T, b canbus.Bus, list ...canbus.Frame) {
	t.Helper()
	for len(list) > 0 {
		n, err := b.WriteFrames(list)
		if err != nil {
			t.Fatal(err)
		}
		list = list[n:]
	}
}

// wantFrames reads frames, and compares them but for their times.
func wantFrames(t *testing.T, b canbus.Bus, want ...canbus.Frame) {
	t.Helper()
	buf := make([]canbus.Frame, 1)
	for i, w := range want {
		if _, err := b.ReadFrames(buf); err != nil {
			t.Fatalf("after %d frames: %v", i, err)
		}
		buf[0].Flags &^= canbus.Timed
		buf[0].Timestamp = 0
		if buf[0] != w {
			t.Fatalf("frame %d is %v, want %v", i, buf[0], w)
		}
	}
}

// The layout is that of the libraries.
func TestAMessageHasTheSizeOfTheStandard(t *testing.T) {
	if n := unsafe.Sizeof(message{}); n != 4152 {
		t.Errorf("it has %d bytes", n)
	}
}

func TestTheAdapterIsOpenedAsTheOptionsSay(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		fails   status // SET_CONFIG
		echo    bool
	}{
		{"with echoes", Options{Bitrate: 500_000}, ok, true},
		{"no echoes wanted", Options{Bitrate: 500_000, NoEcho: true}, ok, false},
		{"without echoes", Options{Bitrate: 500_000}, errNotSupported, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, f, _ := setUp(t, c.options, func(f *fake) { f.fails["set"] = c.fails })
			want := canbus.Properties{Echo: c.echo, EchoesLag: true, QueueLen: 64, Bitrate: 500_000, WireRate: true}
			if p := b.Properties(); p != want {
				t.Errorf("properties %+v, want %+v", p, want)
			}
			if v := b.Version(); v != (Version{"1.2", "3.4", "04.04"}) {
				t.Errorf("versions %+v", v)
			}
			f.change(func() {
				if f.bitrate != 500_000 || f.loopback != c.echo || !f.passes[false] || !f.passes[true] {
					t.Errorf("bit rate %d, loopback %v, filters %v", f.bitrate, f.loopback, f.passes)
				}
			})
		})
	}
}

func TestAnAdapterThatCannotBeOpened(t *testing.T) {
	for _, c := range []struct {
		call   string
		fails  status
		want   string
		closed bool // what was opened before
	}{
		{"open", errDeviceNotConnected, "PassThruOpen: the adapter is not connected, or does not answer (ERR_DEVICE_NOT_CONNECTED, 0x8)", false},
		{"open", errDeviceInUse, "another program has the adapter open", false},
		{"connect", errInvalidBaudrate, "bit rate 1000000: PassThruConnect: the adapter does not have this bit rate", true},
		{"connect", 0x99, "PassThruConnect fails with code 0x99", true},
		{"filter", errFailed, `PassThruStartMsgFilter: it has failed (ERR_FAILED, 0x7); the library says: "as the library says"`, true},
	} {
		t.Run(c.call, func(t *testing.T) {
			f := newFake(newWire(0))
			f.fails[c.call] = c.fails
			_, err := openFake(f, "adapter", options)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Code != int(c.fails) {
				t.Errorf("the error is %#v", err)
			}
			if f.wasCalled("close") != c.closed || f.wasCalled("disconnect") != (c.call == "filter") {
				t.Errorf("calls %v", f.calls)
			}
		})
	}
}

func TestALibraryThatCannotBeLoaded(t *testing.T) {
	broken := errors.New("broken")
	for range 2 { // the first leaves nothing behind
		a := Adapter{Library: "broken.dll"}
		if _, err := open(a, func(string) (library, error) { return nil, broken }, options); err != broken {
			t.Error(err)
		}
	}
}

// A library is not called by two threads.
func TestALibraryHasOneBusAtATime(t *testing.T) {
	f := newFake(newWire(0))
	for range 3 {
		b, err := openFake(f, "adapter", options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openFake(f, "ADAPTER", options); err == nil || !strings.Contains(err.Error(), "open already") {
			t.Errorf("opened twice: %v", err)
		}
		b.Close()
		b.Close()
	}
}

func TestIdentifiersOfBothLengths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _, other := setUp(t, options, nil)
		list := []canbus.Frame{
			{ID: 0x7FF, Len: 8, Data: [64]byte{1, 2, 3, 4, 5, 6, 7, 8}},
			{ID: 0x7FF, Flags: canbus.Extended},
			{ID: 0x1FFFFFFF, Flags: canbus.Extended, Len: 1, Data: [64]byte{9}},
			{ID: 0},
		}
		write(t, b, list...)
		wantFrames(t, other, list...)
		wantFrames(t, b, with(canbus.Echo, slices.Clone(list)...)...)
		write(t, other, list...)
		wantFrames(t, b, list...)
	})
}

// A library that does not wait for messages does not keep a processor busy.
func TestALibraryThatDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f, other := setUp(t, options, func(f *fake) { f.unit = 0 })
		time.Sleep(100 * readTime)
		f.change(func() {
			if f.reads > 101 {
				t.Errorf("%d reads in 100 ms", f.reads)
			}
		})
		write(t, b, frame(1))
		wantFrames(t, other, frame(1))
		wantFrames(t, b, with(canbus.Echo, frame(1))...)
	})
}

func TestMessagesThatAreNoFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f, other := setUp(t, options, nil)
		put := func(change func(h *heard)) {
			h := heard{protocol: protocolCAN, size: 6}
			change(&h)
			f.change(func() { f.put(h) })
		}
		put(func(h *heard) { h.protocol = 6 })
		put(func(h *heard) { h.size = 3 })
		put(func(h *heard) { h.size = 13 })
		put(func(h *heard) { h.size = 1 << 31 })
		put(func(h *heard) { h.size = 0 })                // not filled
		put(func(h *heard) { h.rxStatus = 0x08 })         // sent, says ISO 15765
		put(func(h *heard) { h.rxStatus = flagLoopback }) // of what was never written
		write(t, other, frame(1))
		wantFrames(t, b, frame(1))
		if n := b.Malformed(); n != 4 {
			t.Errorf("%d messages are malformed, want 4", n)
		}
	})
}

// The adapter's clock begins anew while the test runs, and does not in the frames' times.
func TestTimesAreThoseOfTheAdapter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _, other := setUp(t, options, func(f *fake) { f.clock = 1<<32 - 50_000 })
		buf := make([]canbus.Frame, 1)
		for i := range 20 {
			write(t, other, frame(i))
			b.ReadFrames(buf)
			if off := time.Since(buf[0].Time()); !buf[0].Has(canbus.Timed) || off.Abs() > 2*time.Microsecond {
				t.Fatalf("frame %d is %v off", i, off)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// Some adapters have no clock: their times are those at which frames are heard.
func TestMessagesWithoutATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f, _ := setUp(t, options, nil)
		for range 3 {
			time.Sleep(10 * time.Millisecond)
			f.change(func() { f.put(heard{protocol: protocolCAN, size: idLen}) })
			buf := make([]canbus.Frame, 1)
			b.ReadFrames(buf)
			if off := time.Since(buf[0].Time()); off != 0 {
				t.Errorf("it is %v off", off)
			}
		}
	})
}

func TestAdapterThatIsPulledOut(t *testing.T) {
	for _, how := range []string{"Reading", "Writing"} {
		synctest.Test(t, func(t *testing.T) {
			b, f, _ := setUp(t, options, func(f *fake) { f.stalled = true })
			write(t, b, frames(3)...)
			if how == "Writing" { // reading does not tell
				f.change(func() { f.fails["write"] = errInvalidDeviceID })
			} else {
				f.change(func() { f.gone = true })
			}
			var err error
			if how == "Reading" {
				_, err = b.ReadFrames(make([]canbus.Frame, 1))
			} else {
				_, err = b.WriteFrames(frames(1))
			}
			gone, ok := errors.AsType[*canbus.GoneError](err)
			if !ok || gone.InDoubt != 3 || !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "adapter is gone: PassThru") {
				t.Errorf("%s: %v", how, err)
			}
			for what, call := range map[string]func() error{
				"ReadFrames":  func() error { _, err := b.ReadFrames(make([]canbus.Frame, 1)); return err },
				"WriteFrames": func() error { _, err := b.WriteFrames(frames(1)); return err },
				"Flush":       func() error { return b.Flush(t.Context()) },
			} {
				if again := call(); again != err {
					t.Errorf("%s: %s, then: %v", how, what, again)
				}
			}
			<-b.ended // the adapter is free, before Close too
		})
	}
}

// The adapter is unplugged in the middle of a message: the calls that wait fail, and say why.
func TestConnectionsOfAnAdapterThatVanishes(t *testing.T) {
	b, f, other := setUp(t, options, nil)
	d := isotpnet.Dialer{Bus: b}
	conn, err := d.DialContext(t.Context(), "isotp:user", "/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	errs := make(chan error, 2)
	go func() { _, err := conn.Write(make([]byte, 4000)); errs <- err }()
	go func() { _, err := conn.Read(make([]byte, 10)); errs <- err }()
	if _, err := other.ReadFrames(make([]canbus.Frame, 1)); err != nil {
		t.Fatal(err)
	}
	f.change(func() { f.gone = true })
	for range 2 {
		err := <-errs
		if _, ok := errors.AsType[*canbus.GoneError](err); !ok || !strings.Contains(err.Error(), "not connected") {
			t.Errorf("error %v, want a GoneError", err)
		}
	}
}

func TestAFullBufferIsATemporaryError(t *testing.T) {
	for _, s := range []status{errBufferFull, errTimeout} {
		synctest.Test(t, func(t *testing.T) {
			b, f, other := setUp(t, options, nil)
			f.change(func() { f.fails["write"] = s })
			start := time.Now()
			n, err := b.WriteFrames(frames(2))
			if n != 0 || !errors.Is(err, canbus.ErrTemporary) || !strings.Contains(err.Error(), "stays full") || time.Since(start) < fullTime {
				t.Errorf("WriteFrames: %d, %v, after %v", n, err, time.Since(start))
			}
			f.change(func() { f.fails["write"] = ok })
			write(t, b, frames(2)...)
			wantFrames(t, other, frames(2)...)
		})
	}
}

// The library takes a part of what it is given, and the others when there is room.
func TestABufferWithRoomForAFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _, other := setUp(t, options, func(f *fake) { f.sendRoom = 3 })
		const n = 100
		go func() {
			for list := frames(n); len(list) > 0; {
				taken, err := b.WriteFrames(list)
				if err != nil && !errors.Is(err, canbus.ErrTemporary) {
					t.Error(err)
					return
				}
				list = list[taken:]
			}
		}()
		wantFrames(t, other, frames(n)...)
		wantFrames(t, b, with(canbus.Echo, frames(n)...)...)
	})
}

func TestFramesThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f, other := setUp(t, options, nil)
		for want, bad := range map[string]canbus.Frame{
			"CAN FD frame 123": {ID: 0x123, Flags: canbus.FD},
			"remote frame 123": {ID: 0x123, Flags: canbus.Remote},
		} {
			if n, err := b.WriteFrames([]canbus.Frame{frame(1), bad}); n != 1 || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d, %v, want 1 and %q", n, err, want)
			}
			wantFrames(t, other, frame(1))
		}
		f.change(func() { f.fails["write"] = errFailed })
		_, err := b.WriteFrames(frames(1))
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != int(errFailed) || errors.Is(err, canbus.ErrTemporary) || errors.Is(err, net.ErrClosed) {
			t.Errorf("refused by the library: %v", err)
		}
		f.change(func() { f.fails["write"] = ok })
		write(t, b, frame(2))
		wantFrames(t, other, frame(2))
	})
}

// Frames that are not read are kept, but not for ever: those beyond are counted.
func TestFloodIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count, kept = 6000, 4096
		b, _, other := setUp(t, options, nil)
		write(t, other, frames(count)...)
		time.Sleep(10 * time.Millisecond)
		wantFrames(t, b, frames(kept)...)
		if n := b.Dropped(); n != count-kept {
			t.Errorf("%d frames dropped, want %d", n, count-kept)
		}
	})
}

// What the library has lost it does not count, but tells once.
func TestOverflowOfTheLibrary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f, other := setUp(t, options, nil)
		f.change(func() { f.overran = true })
		write(t, other, frame(1))
		wantFrames(t, b, frame(1))
		synctest.Wait()
		if n := b.Dropped(); n != 1 {
			t.Errorf("%d frames dropped, want 1", n)
		}
	})
}

// sleepy has reads wait for longer, in tests in which nothing happens for seconds.
func sleepy(f *fake) { f.unit = 50 * time.Millisecond }

// The adapter has thrown away what it should send: that comes back as refused, and the Bus goes on.
func TestAnAdapterThatLosesAllThatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f, _ := setUp(t, options, func(f *fake) { sleepy(f); f.stalled = true })
		const n = account.MaxInFlight
		write(t, b, frames(n)...)
		f.change(func() { f.sending, f.stalled = nil, false })
		start := time.Now()
		write(t, b, frame(n))
		wantFrames(t, b, with(canbus.Echo|canbus.Refused, frames(n)...)...)
		wantFrames(t, b, with(canbus.Echo, frame(n))...)
		if d := time.Since(start); d < stallTime || d > 2*stallTime || !f.wasCalled("ioctl") {
			t.Errorf("after %v", d)
		}
	})
}

// Echoes that were lost are made up for.
func TestEchoesThatWereLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f, _ := setUp(t, options, func(f *fake) { sleepy(f); f.deaf = true })
		const n = account.MaxInFlight
		write(t, b, frames(n)...)
		f.change(func() { f.deaf, f.overran = false, true })
		write(t, b, frame(n))
		wantFrames(t, b, with(canbus.Echo, frames(n+1)...)...)
	})
}

func TestFlushNamesFramesInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _, _ := setUp(t, options, func(f *fake) { sleepy(f); f.stalled = true })
		write(t, b, frames(2)...)
		if err := b.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "adapter: 2 frames in doubt") {
			t.Errorf("Flush: %v", err)
		}
	})
}
