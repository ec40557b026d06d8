package mux

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// A fakeBus is a bus that a test plays: what it reads the test puts in, and what
// becomes of a write the test decides.
type fakeBus struct {
	in     chan input
	closed chan struct{}
	close  sync.Once

	mu      sync.Mutex
	onWrite func(b []canbus.Frame) (int, error) // nil: everything is taken
	onTry   func(b []canbus.Frame) (int, error) // tryBus only; nil: the same
	taken   []canbus.Frame
	batches [][]canbus.Frame // what WriteFrames was called with
	tries   int              // how often TryWriteFrames was called
}

type input struct {
	frames []canbus.Frame
	err    error
}

func newFakeBus() *fakeBus {
	return &fakeBus{in: make(chan input, 1000), closed: make(chan struct{})}
}

func (b *fakeBus) ReadFrames(frames []canbus.Frame) (int, error) {
	select {
	case i := <-b.in:
		return copy(frames, i.frames), i.err
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *fakeBus) WriteFrames(frames []canbus.Frame) (int, error) {
	b.mu.Lock()
	on := b.onWrite
	b.batches = append(b.batches, slices.Clone(frames))
	b.mu.Unlock()
	return b.write(on, frames)
}

func (b *fakeBus) write(on func([]canbus.Frame) (int, error), frames []canbus.Frame) (n int, err error) {
	if n = len(frames); on != nil {
		n, err = on(frames)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = append(b.taken, frames[:n]...)
	return n, err
}

func (b *fakeBus) Close() error {
	b.close.Do(func() { close(b.closed) })
	return nil
}

// never is a write that does not return before Close.
func (b *fakeBus) never([]canbus.Frame) (int, error) {
	<-b.closed
	return 0, net.ErrClosed
}

func none([]canbus.Frame) (int, error)     { return 0, nil }
func tempFail([]canbus.Frame) (int, error) { return 0, errTemporary }

func (b *fakeBus) setWrite(on func([]canbus.Frame) (int, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onWrite = on
}

// put has the bus read frames.
func (b *fakeBus) put(t testing.TB, frames ...string) {
	t.Helper()
	var i input
	for _, s := range frames {
		i.frames = append(i.frames, parse(t, s))
	}
	b.in <- i
	synctest.Wait()
}

// echo has the bus read frames that were written here.
func (b *fakeBus) echo(t testing.TB, frames ...string) {
	t.Helper()
	var i input
	for _, s := range frames {
		f := parse(t, s)
		f.Flags |= canbus.Echo
		i.frames = append(i.frames, f)
	}
	b.in <- i
	synctest.Wait()
}

// written returns what the bus has taken, and forgets it.
func (b *fakeBus) written() (frames []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.taken {
		frames = append(frames, f.String())
	}
	b.taken = nil
	return frames
}

func (b *fakeBus) want(t testing.TB, frames ...string) {
	t.Helper()
	if got := b.written(); !slices.Equal(got, frames) {
		t.Errorf("the bus took %q, want %q", got, frames)
	}
}

// A tryBus can write without waiting.
type tryBus struct{ *fakeBus }

func (b tryBus) TryWriteFrames(frames []canbus.Frame) (int, error) {
	b.mu.Lock()
	on := b.onTry
	b.tries++
	b.mu.Unlock()
	return b.write(on, frames)
}

// A memoryBus is in memory.
type memoryBus struct {
	tryBus
	echo bool
}

func (b memoryBus) Properties() canbus.Properties {
	return canbus.Properties{InProcess: true, Echo: b.echo}
}

// A describedBus has Properties.
type describedBus struct {
	*fakeBus
	properties canbus.Properties
}

func (b describedBus) Properties() canbus.Properties { return b.properties }

func newEchoBus(queueLen int) describedBus {
	return describedBus{newFakeBus(), canbus.Properties{Echo: true, QueueLen: queueLen}}
}

// echoAll makes the bus echo at once what it takes.
func (b describedBus) echoAll() {
	b.setWrite(func(frames []canbus.Frame) (int, error) {
		echoes := slices.Clone(frames)
		for i := range echoes {
			echoes[i].Flags |= canbus.Echo
		}
		b.in <- input{frames: echoes}
		return len(frames), nil
	})
}

// A filterBus takes filters.
type filterBus struct {
	*fakeBus
	filterErr error
	calls     int
	filters   []canbus.Filter
}

func (b *filterBus) SetFilters(filters []canbus.Filter) error {
	b.calls++
	if b.filterErr != nil {
		return b.filterErr
	}
	b.filters = slices.Clone(filters)
	return nil
}

var (
	errTemporary = canbus.Temporary(errors.New("no buffer space"))
	errBroken    = errors.New("broken")
)

func parse(t testing.TB, s string) canbus.Frame {
	t.Helper()
	f, err := canbus.ParseFrame(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// own returns a Mux that ends with the test.
func own(t testing.TB, bus canbus.Bus) *Mux {
	t.Helper()
	m, release := Own(bus)
	t.Cleanup(func() {
		release()
		time.Sleep(2 * pause) // in a bubble time stands still when the test has ended
	})
	return m
}

// newConfig returns a Config without padding, for short frames in the tests.
func newConfig() *engine.Config {
	return &engine.Config{
		FrameSize: 8, OverrideSTmin: -1,
		NAs: time.Second, NBs: time.Second, NCr: time.Second,
		NCs: 900 * time.Millisecond, NBr: 800 * time.Millisecond,
		MaxWaits: -1, MaxSendWaits: 10,
		MaxMessageSize: 1 << 20, HighMark: 1 << 20, HardLimit: 4 << 20, Window: 64 << 10,
	}
}

// addr returns an address; an identifier above 7FF has 29 bits.
func addr(id uint32) *wire.Address {
	return &wire.Address{ID: id, Extended: id > canbus.MaxStandardID}
}

func addrByte(id uint32, b byte) *wire.Address {
	a := addr(id)
	a.HasByte, a.Byte = true, b
	return a
}

func anyPriority(id uint32) *wire.Address {
	a := addr(id)
	a.Open = wire.OpenPriority
	return a
}

func spec(send, listen *wire.Address) *Spec {
	return &Spec{Config: newConfig(), Send: send, Listen: listen}
}

// pair is the Spec of a tester's end of a pair of 11-bit identifiers.
func pair(send, listen uint32) *Spec { return spec(addr(send), addr(listen)) }

// attach returns an endpoint that is closed with the test.
func attach(t testing.TB, m *Mux, s *Spec) *Endpoint {
	t.Helper()
	ep, err := m.Attach(s, func(*Endpoint) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	return ep
}

func listen(t testing.TB, m *Mux, s *Spec) *Listener {
	t.Helper()
	l, err := m.Listen([]*Spec{s}, 128, func(*Endpoint) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		waiting, _ := l.Close()
		for _, ep := range waiting {
			ep.Close()
		}
	})
	return l
}

// group attaches an endpoint that sends to 7DF beside ep.
func group(t testing.TB, m *Mux, ep *Endpoint) *Endpoint {
	t.Helper()
	s := spec(addr(0x7DF), nil)
	s.Beside = ep
	return attach(t, m, s)
}

func send(ep *Endpoint, p []byte) error { return ep.Send(p) }

// start calls f and returns where its result will be.
func start(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	synctest.Wait()
	return result
}

func startSend(ep *Endpoint, p []byte) <-chan error {
	return start(func() error { return send(ep, p) })
}

// startReceive reads one message, which must be want.
func startReceive(ep *Endpoint, want []byte) <-chan error {
	return start(func() error {
		got, err := receive(ep)
		if err == nil && !slices.Equal(got, want) {
			return errors.New("another message came")
		}
		return err
	})
}

func receive(ep *Endpoint) ([]byte, error) {
	var message []byte
	buf := make([]byte, 4096)
	for {
		n, info, err := ep.Receive(buf, engine.ReadMessages)
		message = append(message, buf[:n]...)
		if info.End || err != nil {
			return message, err
		}
	}
}

// wantResult waits for a result; in a bubble it cannot wait for ever.
func wantResult(t testing.TB, result <-chan error, want error) {
	t.Helper()
	if err := <-result; !errors.Is(err, want) {
		t.Errorf("the result is %v, want %v", err, want)
	}
}

// isFailed reports whether err says that the bus has failed, for good, with want.
func isFailed(err, want error) bool {
	failed, ok := err.(*FailedError)
	return ok && errors.Is(failed, want)
}

// wantWaiting fails the test if there is a result by now.
func wantWaiting(t testing.TB, results ...<-chan error) {
	t.Helper()
	synctest.Wait()
	for i, result := range results {
		select {
		case err := <-result:
			t.Errorf("call %d has ended: %v", i, err)
		default:
		}
	}
}

// message returns n bytes that differ.
func message(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	return p
}

// runs counts frames of one identifier in a row: 3, 2 for A A A B B.
func runs(frames []canbus.Frame) (lengths []int) {
	for i, f := range frames {
		if i == 0 || f.ID != frames[i-1].ID {
			lengths = append(lengths, 0)
		}
		lengths[len(lengths)-1]++
	}
	return lengths
}

func virtualTaps(t testing.TB, o virtual.Options, count int) (taps []*virtual.Tap) {
	t.Helper()
	n, err := virtual.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for range count {
		tap, err := n.Tap()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tap.Close() })
		taps = append(taps, tap)
	}
	return taps
}

var timeoutA = ResultError(engine.TimeoutA)

func frames(f ...canbus.Frame) []canbus.Frame { return f }

// An observer calls functions, where not nil.
type observer struct {
	frame func(*canbus.Frame, FrameEvent)
	step  func(engine.Observation)
}

func (o *observer) Frame(_ engine.Time, f *canbus.Frame, what FrameEvent) {
	if o.frame != nil {
		o.frame(f, what)
	}
}

func (o *observer) Step(step engine.Observation) {
	if o.step != nil {
		o.step(step)
	}
}

func attachObserved(t testing.TB, m *Mux, s *Spec, o Observer) *Endpoint {
	t.Helper()
	ep, err := m.Attach(s, func(ep *Endpoint) { ep.Observer = o })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	return ep
}
