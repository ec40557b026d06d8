package fake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
)

// A Driver is what Run tests: two channels of one library.
type Driver struct {
	File         string    // the library's
	Channels     [2]int    // as the library's functions take them
	Names        [2]string // what canbus.Open calls them, without options: pcan:USB1
	ReceiveQueue int       // how many frames wait in the library at most

	// PassThru: the driver has what SAE J2534-1 04.04 has: neither CAN FD, remote frames nor
	// events, and nothing tells of errors on the bus.
	PassThru bool
}

// patience is after what time a call is taken to hang.
const patience = 20 * time.Second

// Run tests a driver over its fake, with all faults that a fake has.
func Run(t *testing.T, d Driver) {
	t.Run("Conforms/Classic", func(t *testing.T) { conforms(t, d, classic) })
	if !d.PassThru {
		t.Run("Conforms/FD", func(t *testing.T) { conforms(t, d, fd) })
		t.Run("Dial/FD", func(t *testing.T) { dial(t, d, fd) })
	}
	t.Run("Settings", func(t *testing.T) { settings(t, d) })
	t.Run("Dial/Classic", func(t *testing.T) { dial(t, d, classic) })
	t.Run("Connections", func(t *testing.T) { connections(t, d) })
	tests := []faultTest{
		{"QueueFull", queueFull},
		{"SlowFirmware", slowFirmware},
		{"LostFrames", lostFrames},
		{"Flood", flood},
		{"AloneOnTheBus", aloneOnTheBus},
		{"CablePulled", cablePulled},
		{"CablePulledIdle", cablePulledIdle},
	}
	if d.PassThru {
		tests = append(tests, faultTest{"BusOffUntold", busOffUntold})
	} else {
		tests = append(tests, []faultTest{
			{"ErrorFrame", errorFrame},
			{"BusOff", busOff},
			{"BusOffUnsent", busOffUnsent},
			{"BusOffFullQueue", busOffFullQueue},
			{"WaitsForEvents", waitsForEvents},
		}...)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.do(t, newSetup(t, d)) })
	}
	t.Run("CablePulledAtEachCall", func(t *testing.T) { pulledAtEachCall(t, d) })
}

// A faultTest is of what a driver does when the fake has a fault.
type faultTest struct {
	name string
	do   func(*testing.T, *setup)
}

// Options of a channel, which the drivers have.
const (
	classic     = "@500000"
	fastClassic = "@1000000"
	fd          = "@500000,data=2000000"
	fastFD      = "@1000000,data=8000000"
)

func (d Driver) open(ctx context.Context, i int, options string) (canbus.Bus, error) {
	return canbus.Open(ctx, d.Names[i]+options)
}

func (d Driver) pair(t *testing.T, options string) bustest.MakePair {
	return func() (a, b canbus.Bus, stop func(), err error) {
		if a, err = d.open(t.Context(), 0, options); err != nil {
			return nil, nil, nil, err
		}
		if b, err = d.open(t.Context(), 1, options); err != nil {
			a.Close()
			return nil, nil, nil, err
		}
		return a, b, nil, nil
	}
}

func conforms(t *testing.T, d Driver, options string) {
	l := Open(t, d.File)
	o := bustest.Options{Lossy: true, NoRemote: d.PassThru}
	if !d.PassThru {
		o.Report = func(canbus.Bus) error { l.Do("fake_error", 1); return nil }
	}
	bustest.TestBus(t, d.pair(t, options), o)
}

// settings: the channel is set up as its name says.
func settings(t *testing.T, d Driver) {
	l := Open(t, d.File)
	const onBus, withFD = 1, 4
	const none = 0 // classic CAN has no bit rate of data, whatever the library says
	for options, want := range map[string][3]int{
		classic:     {500_000, none, onBus},
		fastClassic: {1_000_000, none, onBus},
		fd:          {500_000, 2_000_000, onBus | withFD},
		fastFD:      {1_000_000, 8_000_000, onBus | withFD},
	} {
		if d.PassThru && want[2]&withFD != 0 {
			continue
		}
		bus, err := d.open(t.Context(), 0, options)
		if err != nil {
			t.Fatal(err)
		}
		var got [3]int
		for i, function := range []string{"fake_bitrate", "fake_data_bitrate", "fake_mode"} {
			got[i] = l.Do(function, d.Channels[0])
		}
		if want[1] == none {
			got[1] = none
		}
		if got != want {
			t.Errorf("%s: bit rates and mode are %v, want %v", options, got, want)
		}
		bus.Close()
	}
}

// connections: nettest, of CAN FD if there is that. Classic CAN would need half of the minute that
// nettest waits for, so there frames take no time.
func connections(t *testing.T, d Driver) {
	l := Open(t, d.File)
	if d.PassThru {
		conntest.Run(t, func() (a, b canbus.Bus, stop func(), err error) {
			a, b, stop, err = d.pair(t, fastClassic)()
			return rateless{a}, rateless{b}, stop, err
		}, isotpnet.Config{})
		return
	}
	l.Do("fake_real_time", 1)
	conntest.Run(t, d.pair(t, fastFD), isotpnet.Config{FD: true, BRS: true})
}

// A rateless bus does not promise that frames take the time of its bit rate.
type rateless struct{ canbus.Bus }

func (b rateless) Unwrap() canbus.Bus { return b.Bus }

func (b rateless) Properties() canbus.Properties {
	p := canbus.PropertiesOf(b.Bus)
	p.WireRate = false
	return p
}

// dial connects two endpoints by the buses' names, as a program does.
func dial(t *testing.T, d Driver, options string) {
	l := Open(t, d.File)
	l.Do("fake_real_time", 1)
	dialer := isotpnet.Dialer{Config: isotpnet.Config{FD: options != classic}}
	a, err := dialer.Dial("isotp", d.Names[0]+options+"/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := dialer.Dial("isotp", d.Names[1]+options+"/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	conntest.Exchange(t, a.(*isotpnet.Conn), b.(*isotpnet.Conn))
}

// A setup is two open buses of classic CAN.
type setup struct {
	*Library
	Driver
	t    *testing.T
	a, b canbus.Bus
}

func newSetup(t *testing.T, d Driver) *setup {
	l := Open(t, d.File)
	a, b, _, err := d.pair(t, classic)()
	if err != nil {
		t.Fatal(err)
	}
	s := &setup{l, d, t, a, b}
	t.Cleanup(func() {
		s.within("Close", func() { a.Close(); b.Close() })
	})
	return s
}

// within fails the test if a call hangs.
func (s *setup) within(what string, call func()) {
	s.t.Helper()
	if !returns(call) {
		s.t.Fatalf("%s has not returned within %v", what, patience)
	}
}

func returns(call func()) bool {
	done := make(chan struct{})
	go func() { defer close(done); call() }()
	select {
	case <-done:
		return true
	case <-time.After(patience):
		return false
	}
}

// read returns the next frame that is one of those wanted, or a final error.
func (s *setup) read(bus canbus.Bus, wanted func(*canbus.Frame) bool) (got canbus.Frame, err error) {
	s.t.Helper()
	frames := make([]canbus.Frame, 1)
	s.within("ReadFrames", func() {
		for {
			var n int
			n, err = bus.ReadFrames(frames)
			if n == 1 && wanted(&frames[0]) {
				got, err = frames[0], nil
				return
			}
			if err != nil && !errors.Is(err, canbus.ErrTemporary) {
				return
			}
		}
	})
	return got, err
}

func (s *setup) mustRead(bus canbus.Bus, wanted func(*canbus.Frame) bool) canbus.Frame {
	s.t.Helper()
	got, err := s.read(bus, wanted)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// write writes all frames, and tries again after errors that are temporary.
func (s *setup) write(bus canbus.Bus, frames ...canbus.Frame) {
	s.t.Helper()
	s.within("WriteFrames", func() {
		for len(frames) > 0 {
			n, err := bus.WriteFrames(frames)
			if err != nil && !errors.Is(err, canbus.ErrTemporary) {
				s.t.Errorf("WriteFrames: %v", err)
				return
			}
			frames = frames[n:]
		}
	})
	if s.t.Failed() {
		s.t.FailNow()
	}
}

func numbered(id uint32, n int) (frames []canbus.Frame) {
	for i := range n {
		frames = append(frames, canbus.Frame{ID: id, Len: 1, Data: [canbus.MaxLen]byte{byte(i)}})
	}
	return frames
}

func received(f *canbus.Frame) bool { return !f.Has(canbus.Echo) && !f.Has(canbus.ErrorFrame) }

// A write that the library refuses waits until there is room, and nothing is lost.
func queueFull(t *testing.T, s *setup) {
	s.Do("fake_transmit_queue", s.Channels[0], 4)
	s.Do("fake_refuse", s.Channels[0], 3)
	const n = 100
	written := make(chan struct{})
	go func() { defer close(written); s.write(s.a, numbered(0x123, n)...) }()
	for i := range n {
		if got := s.mustRead(s.b, received); got.Data[0] != byte(i) {
			t.Fatalf("got frame %d, want %d", got.Data[0], i)
		}
	}
	<-written
}

// Flush returns once an adapter that takes its time has sent all.
func slowFirmware(t *testing.T, s *setup) {
	f, ok := canbus.As[canbus.Flusher](s.a)
	if !ok {
		t.Fatal("the bus is no Flusher")
	}
	s.Do("fake_delay", s.Channels[0], 20_000)
	s.write(s.a, numbered(0x123, 10)...)
	s.within("Flush", func() {
		if err := f.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if n := s.Do("fake_waiting", s.Channels[0]); n != 0 {
		t.Errorf("%d frames wait to be sent after Flush", n)
	}
}

func errorFrame(t *testing.T, s *setup) {
	s.Do("fake_error", 2)
	got := s.mustRead(s.a, func(f *canbus.Frame) bool { return f.Has(canbus.ErrorFrame) })
	if got.Len != 8 {
		t.Errorf("got %+v, want the 8 bytes that Linux has", got)
	}
}

// lostFrames: what the controller has lost is counted by the next frame.
func lostFrames(t *testing.T, s *setup) {
	s.Do("fake_lose", s.Channels[1], 5)
	s.Do("fake_flood", 0x123, 6)
	if got := s.mustRead(s.b, received); got.Data[3] != 5 {
		t.Errorf("got frame %d, want 5", got.Data[3])
	}
	if s.dropped() == 0 {
		t.Error("no frame was dropped")
	}
}

func (s *setup) dropped() uint64 {
	c, ok := canbus.As[canbus.DropCounter](s.b)
	if !ok {
		s.t.Fatal("the bus is no DropCounter")
	}
	return c.Dropped()
}

// flood: more frames come at once than the library has room for.
func flood(t *testing.T, s *setup) {
	sent := s.ReceiveQueue + 10
	s.Do("fake_flood", 0x123, sent)
	const last = 0x7FF // ends the test; those of them that find no room are lost, too
	ticker := time.NewTicker(20 * time.Millisecond)
	done := make(chan struct{})
	go func() {
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.Do("fake_send", last, 0, 0, 0)
			case <-done:
				return
			}
		}
	}()
	got, next := 0, 0
	s.mustRead(s.b, func(f *canbus.Frame) bool {
		if !received(f) || f.ID == last {
			return f.ID == last
		}
		number := int(f.Data[0])<<24 | int(f.Data[1])<<16 | int(f.Data[2])<<8 | int(f.Data[3])
		if number < next {
			t.Errorf("frame %d came after %d", number, next-1)
		}
		got, next = got+1, number+1
		return false
	})
	close(done)
	if got == 0 || got < sent && s.dropped() == 0 {
		t.Errorf("%d of %d frames were received, and %d dropped", got, sent, s.dropped())
	}
}

// idBusOff is the ID of an error frame of Linux that tells of bus-off.
const idBusOff = 0x40

// recovered reads that a is off the bus, and then has it send a frame. One that was written
// before the controller was reset may come back as refused: then it is sent anew.
func (s *setup) recovered() {
	s.t.Helper()
	s.mustRead(s.a, func(f *canbus.Frame) bool { return f.Has(canbus.ErrorFrame) && f.ID&idBusOff != 0 })
	for refused := true; refused; {
		s.write(s.a, numbered(0x321, 1)...)
		echo := s.mustRead(s.a, func(f *canbus.Frame) bool { return f.Has(canbus.Echo) })
		refused = echo.Has(canbus.Refused)
	}
	s.mustRead(s.b, func(f *canbus.Frame) bool { return received(f) && f.ID == 0x321 })
}

// After bus-off, which is told, the bus goes on.
func busOff(_ *testing.T, s *setup) {
	for range 3 {
		s.Do("fake_state", s.Channels[0], 3)
		s.recovered()
	}
}

// Frames that a controller had not sent when it went off the bus come back as refused.
func busOffUnsent(t *testing.T, s *setup) {
	s.Do("fake_hold", s.Channels[0], 1)
	s.write(s.a, numbered(0x123, 3)...)
	s.Do("fake_state", s.Channels[0], 3)
	for i := range 3 {
		got := s.mustRead(s.a, func(f *canbus.Frame) bool { return f.Has(canbus.Echo) })
		if !got.Has(canbus.Refused) || got.Data[0] != byte(i) {
			t.Errorf("got %v, want frame %d as refused", got, i)
		}
	}
}

// Bus-off comes while a write waits for room in the queue. The write goes on after it.
func busOffFullQueue(_ *testing.T, s *setup) {
	s.Do("fake_transmit_queue", s.Channels[0], 4)
	s.Do("fake_hold", s.Channels[0], 1)
	written := make(chan struct{})
	go func() { defer close(written); s.write(s.a, numbered(0x123, 200)...) }()
	for s.Do("fake_waiting", s.Channels[0]) < 4 {
		runtime.Gosched()
	}
	s.Do("fake_state", s.Channels[0], 3)
	s.mustRead(s.a, func(f *canbus.Frame) bool { return f.Has(canbus.ErrorFrame) && f.ID&idBusOff != 0 })
	s.Do("fake_hold", s.Channels[0], 0)
	s.mustRead(s.a, func(f *canbus.Frame) bool { return f.Has(canbus.Echo) && f.Data[0] == 199 })
	s.within("the write", func() { <-written })
}

// At bus-off the adapter loses all that it has to send, and nothing tells of it. The bus goes on.
func busOffUntold(t *testing.T, s *setup) {
	n := canbus.PropertiesOf(s.a).QueueLen
	s.Do("fake_hold", s.Channels[0], 1)
	s.write(s.a, numbered(0x123, n)...)
	s.Do("fake_state", s.Channels[0], 3)
	s.Do("fake_hold", s.Channels[0], 0)
	s.write(s.a, numbered(0x321, 1)...)
	for i := range n {
		if got := s.mustRead(s.a, func(*canbus.Frame) bool { return true }); !got.Has(canbus.Refused) || got.Data[0] != byte(i) {
			t.Fatalf("got %v, want frame %d as refused", got, i)
		}
	}
	s.mustRead(s.b, func(f *canbus.Frame) bool { return f.ID == 0x321 })
}

// No node acknowledges a frame: Flush ends by itself, and says so. The frame is sent once
// there is one that does.
func aloneOnTheBus(t *testing.T, s *setup) {
	s.b.Close()
	s.Do("fake_acknowledge", 0)
	s.write(s.a, numbered(0x123, 1)...)
	f, ok := canbus.As[canbus.Flusher](s.a)
	if !ok {
		t.Fatal("the bus is no Flusher")
	}
	s.within("Flush", func() {
		if err := f.Flush(t.Context()); err == nil {
			t.Error("Flush says that the frame is on the wire")
		}
	})
	b, err := s.open(t.Context(), 1, classic)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if s.PassThru { // such an adapter may acknowledge the frame while it has no filter yet
		s.mustRead(s.a, func(f *canbus.Frame) bool { return f.Has(canbus.Echo) && !f.Has(canbus.Refused) })
		return
	}
	s.mustRead(b, received)
}

// A pulled cable ends both calls, and the error says how many frames are in doubt.
func cablePulled(t *testing.T, s *setup) {
	s.Do("fake_hold", s.Channels[0], 1)
	s.write(s.a, numbered(0x123, 3)...)
	s.Do("fake_pull", s.Channels[0], 0, 0)
	for what, call := range map[string]func() error{
		"ReadFrames": func() error {
			_, err := s.read(s.a, func(*canbus.Frame) bool { return false })
			return err
		},
		"WriteFrames": func() error {
			_, err := s.a.WriteFrames(numbered(0x123, 1))
			return err
		},
		"Flush": func() error {
			f, ok := canbus.As[canbus.Flusher](s.a)
			if !ok {
				t.Fatal("the bus is no Flusher")
			}
			return f.Flush(t.Context())
		},
	} {
		var err error
		s.within(what, func() { err = call() })
		gone, ok := errors.AsType[*canbus.GoneError](err)
		if !ok || gone.InDoubt < 3 || gone.InDoubt > 4 {
			t.Errorf("%s: %v, want a GoneError with 3 frames in doubt", what, err)
		}
	}
}

// The cable is pulled while ReadFrames waits, and nothing happens on the bus.
func cablePulledIdle(t *testing.T, s *setup) {
	reading := make(chan error, 1)
	go func() {
		_, err := s.a.ReadFrames(make([]canbus.Frame, 1))
		reading <- err
	}()
	s.Do("fake_pull", s.Channels[0], 0, 0)
	select {
	case err := <-reading:
		if _, ok := errors.AsType[*canbus.GoneError](err); !ok || !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrames: %v, want a GoneError", err)
		}
	case <-time.After(patience):
		t.Error("ReadFrames has not returned, although the cable is pulled")
	}
}

// A driver that waits makes few calls.
func waitsForEvents(t *testing.T, s *setup) {
	s.write(s.b, numbered(0x123, 1)...)
	s.mustRead(s.a, received) // both are up
	const wait = 300 * time.Millisecond
	s.Do("fake_delay", s.Channels[1], int(wait.Microseconds()))
	before, start := s.Do("fake_calls", s.Channels[0]), time.Now()
	s.write(s.b, numbered(0x123, 1)...)
	s.mustRead(s.a, received)
	most := int(time.Since(start)/(10*time.Millisecond)) + 10
	if calls := s.Do("fake_calls", s.Channels[0]) - before; calls > most {
		t.Errorf("%d calls of the library to wait for a frame, want %d at most", calls, most)
	}
}

// pulledAtEachCall pulls the cable at the first call of the library, then at the second,
// and so on. No call of ours may hang then, and the channel can be opened again.
func pulledAtEachCall(t *testing.T, d Driver) {
	for n := 1; ; n++ {
		l := Open(t, d.File)
		l.Do("fake_pull_after", d.Channels[0], n)
		if !returns(func() { use(t.Context(), d, l) }) {
			t.Fatalf("a call hangs after the cable was pulled at call %d", n)
		}
		calls := l.Do("fake_calls", d.Channels[0])
		l.Do("fake_pull_after", d.Channels[0], 0)
		l.Do("fake_plug", d.Channels[0])
		if err := use(t.Context(), d, l); err != nil {
			t.Fatalf("after the cable was pulled at call %d, and plugged in: %v", n, err)
		}
		if calls < n {
			return // the use has ended before
		}
	}
}

// use opens a channel, sends some frames, reads as many of another node, and closes.
func use(ctx context.Context, d Driver, l *Library) (err error) {
	bus, err := d.open(ctx, 0, classic)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bus.Close()) }()
	const n = 3
	if err := send(bus, n); err != nil {
		return err
	}
	l.Do("fake_flood", 0x321, n)
	if err := receive(bus, n); err != nil {
		return err
	}
	if f, ok := canbus.As[canbus.Flusher](bus); ok {
		return f.Flush(ctx)
	}
	return nil
}

func send(bus canbus.Bus, n int) error {
	frames := numbered(0x123, n)
	for len(frames) > 0 {
		n, err := bus.WriteFrames(frames)
		if err != nil {
			return fmt.Errorf("WriteFrames: %w", err)
		}
		frames = frames[n:]
	}
	return nil
}

func receive(bus canbus.Bus, n int) error {
	frames := make([]canbus.Frame, 8)
	for n > 0 {
		got, err := bus.ReadFrames(frames)
		for i := range frames[:got] {
			if received(&frames[i]) {
				n--
			}
		}
		if err != nil {
			return fmt.Errorf("ReadFrames: %w", err)
		}
	}
	return nil
}
