package candump

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/bustest/wiretest"
	"example.com/isotp/canbus/virtual"
)

// plain is a bus with three methods only.
type plain struct{ canbus.Bus }

// A player is a bus of two halves, for bustest: what it writes goes as a log to a
// buffer, which the other one plays.
type player struct {
	*Bus
	to *buffer
}

func (p *player) WriteFrames(frames []canbus.Frame) (int, error) {
	n, err := p.Bus.WriteFrames(frames)
	var text []byte
	for i := range frames[:n] {
		text = append(canbus.AppendLogLine(text, &frames[i], "can0"), '\n')
	}
	p.to.write(text, p.ended)
	if ended := p.ended(); ended != nil {
		return 0, ended
	}
	return n, err
}

func (p *player) TryWriteFrames(frames []canbus.Frame) (int, error) { return p.WriteFrames(frames) }

func (p *player) Close() error {
	err := p.Bus.Close()
	p.to.mu.Lock()
	defer p.to.mu.Unlock()
	p.to.news.Broadcast()
	return err
}

// A buffer is a pipe that holds something.
type buffer struct {
	mu     sync.Mutex
	news   sync.Cond
	text   []byte
	closed bool
}

func newBuffer() *buffer {
	b := new(buffer)
	b.news.L = &b.mu
	return b
}

// write waits while the buffer is full, unless its reader or writer has ended.
func (b *buffer) write(text []byte, ended func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.text) > 1<<16 && !b.closed && ended() == nil {
		b.news.Wait()
	}
	b.text = append(b.text, text...)
	b.news.Broadcast()
}

func (b *buffer) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.text) == 0 && !b.closed {
		b.news.Wait()
	}
	if b.closed {
		return 0, io.ErrClosedPipe
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	b.news.Broadcast()
	return n, nil
}

func (b *buffer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.news.Broadcast()
	return nil
}

// The reading half of a bus that plays a log conforms. Frames that are written to such a bus
// reach no reader: the player takes them to the other bus.
func TestPlayedBusConforms(t *testing.T) {
	for name, o := range map[string]Options{"Fast": {Fast: true}, "Pace": {}} {
		t.Run(name, func(t *testing.T) {
			bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
				toA, toB := newBuffer(), newBuffer()
				busA, err := New(toA, "a buffer", o)
				if err != nil {
					return nil, nil, nil, err
				}
				busB, err := New(toB, "a buffer", o)
				return &player{Bus: busA, to: toB}, &player{Bus: busB, to: toA}, nil, err
			}, bustest.Options{})
		})
	}
}

func TestWrappedBusConforms(t *testing.T) {
	for name, c := range map[string]struct {
		o    virtual.Options
		hide bool
	}{
		"Ideal":   {},
		"Plain":   {hide: true},
		"Echo":    {o: virtual.Options{Echo: true}},
		"Classic": {o: virtual.Options{Classic: true}},
		"Wire":    {o: virtual.Options{Bitrate: 1_000_000, DataBitrate: 8_000_000}},
	} {
		t.Run(name, func(t *testing.T) {
			var options bustest.Options
			var tap *virtual.Tap
			if c.o.Bitrate > 0 {
				options.Report = func(canbus.Bus) error { return tap.BusOff(time.Millisecond) }
			}
			bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
				n, err := virtual.New(c.o)
				if err != nil {
					return nil, nil, nil, err
				}
				r, err := NewRecorder(io.Discard, RecorderOptions{OnError: func(err error) { t.Error(err) }})
				if err != nil {
					return nil, nil, nil, err
				}
				// The bus's readers end after stop.
				t.Cleanup(func() { closeRecorder(t, r) })
				wrap := func() canbus.Bus {
					tap, err = n.Tap()
					if c.hide {
						return r.Wrap(plain{tap}, "can0")
					}
					return r.Wrap(tap, "can0")
				}
				b, a = wrap(), wrap()
				return a, b, func() { n.Close() }, err
			}, options)
		})
	}
}

// What a bus behind an adapter can do, flush and tell of drops and refusals, it can when
// it is wrapped.
func TestWrappedAdapterConforms(t *testing.T) {
	for name, o := range map[string]wiretest.Options{
		"NoEcho":         {},
		"EchoAtHandover": {Echo: wiretest.EchoAtHandover},
		"Lossy":          {Echo: wiretest.EchoOnWire, ReceiveLen: 300},
	} {
		t.Run(name, func(t *testing.T) {
			options := bustest.Options{Lossy: o.ReceiveLen > 0}
			bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
				wire, err := wiretest.New(virtual.Options{Bitrate: 10_000_000, QueueLen: 16})
				if err != nil {
					return nil, nil, nil, err
				}
				r, err := NewRecorder(io.Discard, RecorderOptions{})
				if err != nil {
					return nil, nil, nil, err
				}
				t.Cleanup(func() { r.Close() })
				wrap := func() canbus.Bus {
					var bus canbus.Bus
					bus, err = wire.Adapter(o)
					return r.Wrap(bus, "can0")
				}
				b, a = wrap(), wrap()
				return a, b, nil, err
			}, options)
		})
	}
}

func TestWrappedBusHasTheMethodsOfTheBus(t *testing.T) {
	r, err := NewRecorder(io.Discard, RecorderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tap := newTaps(t, virtual.Options{}, 1)[0]
	for name, bus := range map[string]canbus.Bus{
		"all":  tap,
		"none": plain{tap},
		"try": struct {
			canbus.Bus
			canbus.TryWriter
		}{tap, tap},
		"filters": struct {
			canbus.Bus
			canbus.FilterSetter
		}{tap, tap},
	} {
		w := r.Wrap(bus, "can0")
		_, try := bus.(canbus.TryWriter)
		_, tries := w.(canbus.TryWriter)
		_, filter := canbus.As[canbus.FilterSetter](bus)
		_, filters := canbus.As[canbus.FilterSetter](w)
		if try != tries || filter != filters {
			t.Errorf("%s: TryWriter %v, FilterSetter %v", name, tries, filters)
		}
		if w == r.Wrap(bus, "can0") || w != w {
			t.Errorf("%s: two buses are one", name)
		}
	}
	if p := canbus.PropertiesOf(r.Wrap(plain{tap}, "")); p != (canbus.Properties{FD: true}) {
		t.Errorf("Properties of a bus that has none are %+v", p)
	}
}

func newTaps(t *testing.T, o virtual.Options, n int) (taps []*virtual.Tap) {
	t.Helper()
	network, err := virtual.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	for range n {
		tap, err := network.Tap()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tap.Close() })
		taps = append(taps, tap)
	}
	return taps
}

// recordTo returns a Recorder, and a function that closes it and returns the log's
// lines without their times.
func recordTo(t *testing.T) (*Recorder, func() []string) {
	t.Helper()
	var text bytes.Buffer
	r, err := NewRecorder(&text, RecorderOptions{OnError: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return r, func() (lines []string) {
		closeRecorder(t, r)
		for line := range strings.Lines(text.String()) {
			_, line, _ := strings.Cut(line, ") ")
			lines = append(lines, strings.TrimSpace(line))
		}
		return lines
	}
}

func TestBothDirectionsAreRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		o    virtual.Options
		want []string
	}{
		"without echoes": {virtual.Options{}, []string{"can0 7E0#023E00 T", "can0 7E8#027E00"}},
		"echoes":         {virtual.Options{Echo: true}, []string{"can0 7E0#023E00 T", "can0 7E8#027E00"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, lines := recordTo(t)
			taps := newTaps(t, c.o, 2)
			bus := r.Wrap(taps[0], "can0")
			request := parse(t, "7E0#023E00")
			request.Stamp(1) // that of another bus: writing ignores it
			list := []canbus.Frame{request, {ID: 0x800}}
			if n, err := bus.WriteFrames(list); n != 1 {
				t.Fatalf("wrote %d, %v", n, err)
			}
			if list[0] != request {
				t.Errorf("the caller's frame has become %+v", list[0])
			}
			if _, err := taps[1].WriteFrames([]canbus.Frame{parse(t, "7E8#027E00")}); err != nil {
				t.Fatal(err)
			}
			buf := make([]canbus.Frame, 8)
			for n := 0; n == 0 || buf[n-1].ID != 0x7E8; {
				var err error
				if n, err = bus.ReadFrames(buf); err != nil {
					t.Fatal(err)
				}
			}
			if got := lines(); !slices.Equal(got, c.want) {
				t.Errorf("recorded %v, want %v", got, c.want)
			}
		})
	}
}

// An answer may be read before the call that wrote the request has returned.
func TestRequestStandsBeforeItsAnswer(t *testing.T) {
	for _, took := range []time.Duration{0, hold / 2, hold - 1} {
		synctest.Test(t, func(t *testing.T) {
			r, lines := recordTo(t)
			bus := &slowBus{answer: make(chan canbus.Frame), took: took}
			w := r.Wrap(bus, "can0")
			r.Record([]canbus.Frame{parse(t, "001#")}, "can0")
			done := make(chan error)
			go func() {
				_, err := w.WriteFrames([]canbus.Frame{parse(t, "7E0#01"), parse(t, "7E0#02")})
				done <- err
			}()
			if _, err := w.ReadFrames(make([]canbus.Frame, 1)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			want := []string{"can0 001#", "can0 7E0#01 T", "can0 7E0#02 T", "can0 7E8#AA"}
			if got := lines(); !slices.Equal(got, want) {
				t.Errorf("a write of %v: recorded %v, want %v", took, got, want)
			}
		})
	}
}

// A slowBus answers a write and goes on with it for a while.
type slowBus struct {
	plain
	answer chan canbus.Frame
	took   time.Duration
}

func (b *slowBus) WriteFrames(frames []canbus.Frame) (int, error) {
	b.answer <- canbus.Frame{ID: 0x7E8, Len: 1, Data: [64]byte{0xAA}}
	time.Sleep(b.took)
	return len(frames), nil
}

func (b *slowBus) ReadFrames(frames []canbus.Frame) (int, error) {
	f, open := <-b.answer
	if !open {
		return 0, net.ErrClosed
	}
	frames[0] = f
	return 1, nil
}

// A bus that is stuck does not keep others out of the log, and the times in it do not
// run backwards.
func TestWriteThatHangsHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		r, err := NewRecorder(&text, RecorderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		bus := &slowBus{answer: make(chan canbus.Frame, 1), took: time.Hour}
		w := r.Wrap(bus, "can0")
		done := make(chan error)
		go func() {
			_, err := w.WriteFrames([]canbus.Frame{parse(t, "7E0#01")})
			done <- err
		}()
		synctest.Wait()
		r.Record([]canbus.Frame{parse(t, "001#")}, "can1")
		synctest.Wait()
		if got := r.Stats(); got.Recorded != 0 {
			t.Errorf("Stats are %+v: it did not wait for the write", got)
		}
		time.Sleep(hold)
		synctest.Wait()
		if got := r.Stats(); got.Recorded != 1 {
			t.Errorf("Stats are %+v %v after the write began", got, hold)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		r.Record([]canbus.Frame{parse(t, "002#")}, "can1")
		closeRecorder(t, r)
		frames, _ := played(t, text.String())
		wantTexts(t, frames, "001#", "7E0#01", "002#")
		if !slices.IsSortedFunc(frames, func(a, b canbus.Frame) int { return int(a.Timestamp - b.Timestamp) }) {
			t.Errorf("times run backwards:\n%s", &text)
		}
		if late := time.Duration(frames[2].Timestamp - frames[1].Timestamp); late > hold {
			t.Errorf("the frame of a write that took an hour is %v old", late)
		}
	})
}

func TestErrorsOfAWrappedBusAreThoseOfTheBus(t *testing.T) {
	r, lines := recordTo(t)
	taps := newTaps(t, virtual.Options{HangUp: true}, 2)
	bus := r.Wrap(taps[0], "can0")
	taps[1].Close()
	if _, err := bus.ReadFrames(make([]canbus.Frame, 1)); err != io.EOF {
		t.Errorf("ReadFrames: %v", err)
	}
	if n, err := bus.WriteFrames(numbered(1)); n != 0 || err != io.ErrClosedPipe {
		t.Errorf("WriteFrames: %d, %v", n, err)
	}
	if got := lines(); len(got) != 0 {
		t.Errorf("recorded %v", got)
	}
}

// A recorder that fails, or was closed, does not concern the bus.
func TestBusGoesOnWithoutItsRecorder(t *testing.T) {
	w := &flakyWriter{fail: errors.New("no disk")}
	r, err := NewRecorder(w, RecorderOptions{QueueLen: 1})
	if err != nil {
		t.Fatal(err)
	}
	taps := newTaps(t, virtual.Options{}, 2)
	bus := r.Wrap(taps[0], "can0")
	for i := range 30 {
		if i == 20 {
			r.Close()
		}
		if n, err := bus.WriteFrames(numbered(2)); n != 2 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if got, want := r.Stats(), (Stats{Lost: 60}); got != want {
		t.Errorf("Stats are %+v, want %+v", got, want)
	}
}

func TestListenRecordsUntilTheBusEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	r := create(t, path, RecorderOptions{})
	taps := newTaps(t, virtual.Options{}, 2)
	result := make(chan error, 1)
	go func() { result <- r.Listen(taps[1], "can0") }()
	for some := range slices.Chunk(numbered(1000), 7) {
		for len(some) > 0 {
			n, err := taps[0].WriteFrames(some)
			if err != nil {
				t.Fatal(err)
			}
			some = some[n:]
		}
	}
	await(t, func() bool { return r.Stats().Recorded == 1000 })
	taps[1].Close()
	if err := <-result; err != net.ErrClosed {
		t.Errorf("Listen: %v", err)
	}
	closeRecorder(t, r)
	frames, _ := readAll(t, open(t, path, Options{Fast: true}))
	if got := texts(frames); !slices.Equal(got, texts(numbered(1000))) {
		t.Errorf("%d frames, or others", len(got))
	}
}

// A log can be recorded again, with its times; OnError is told what is no frame.
func TestListenToALog(t *testing.T) {
	var text bytes.Buffer
	var errs errorList
	r, err := NewRecorder(&text, RecorderOptions{OnError: errs.add})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(strings.NewReader("(0000000001.000000) can0 001#\n(garbage\n(0000000002.000000) can0 002#AA\n"), "test.log", Options{Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(b, "can0"); err != ErrEnd {
		t.Errorf("Listen: %v", err)
	}
	closeRecorder(t, r)
	if got, want := text.String(), "(0000000001.000000) can0 001#\n(0000000002.000000) can0 002#AA\n"; got != want {
		t.Errorf("recorded\n%s", got)
	}
	if told := errs.take(); len(told) != 1 {
		t.Errorf("OnError was told %v", told)
	} else {
		wantLine(t, told[0], 2, "(garbage")
	}
}

// A scriptedBus returns batches of frames, and has dropped some before each return.
type scriptedBus struct {
	echoes  bool
	batches [][]canbus.Frame
	drops   []uint64
	dropped uint64
}

func (b *scriptedBus) ReadFrames(frames []canbus.Frame) (n int, err error) {
	if len(b.drops) > 0 {
		b.dropped += b.drops[0]
		b.drops = b.drops[1:]
	}
	if len(b.batches) == 0 {
		return 0, net.ErrClosed
	}
	n = copy(frames, b.batches[0])
	b.batches = b.batches[1:]
	return n, nil
}

func (b *scriptedBus) WriteFrames(frames []canbus.Frame) (int, error) { return len(frames), nil }
func (b *scriptedBus) Close() error                                   { return nil }
func (b *scriptedBus) Dropped() uint64                                { return b.dropped }
func (b *scriptedBus) Properties() canbus.Properties                  { return canbus.Properties{Echo: b.echoes} }

// Also those behind the last frame: the call that ends has them.
func TestDropsOfABusAreCounted(t *testing.T) {
	for name, listen := range map[string]func(*Recorder, canbus.Bus){
		"Listen": func(r *Recorder, bus canbus.Bus) { r.Listen(bus, "can0") },
		"Listen to what wraps it": func(r *Recorder, bus canbus.Bus) {
			r.Listen(struct {
				canbus.Bus
				unwrapper
			}{plain{bus}, unwrapper{bus}}, "can0")
		},
		"Wrap": func(r *Recorder, bus canbus.Bus) {
			w := r.Wrap(bus, "can0")
			for err := error(nil); err == nil; {
				_, err = w.ReadFrames(make([]canbus.Frame, 8))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var errs errorList
			r, err := NewRecorder(io.Discard, RecorderOptions{OnError: errs.add})
			if err != nil {
				t.Fatal(err)
			}
			listen(r, &scriptedBus{batches: [][]canbus.Frame{numbered(3), numbered(2)}, drops: []uint64{0, 5, 2}})
			closeRecorder(t, r)
			if got, want := r.Stats(), (Stats{Recorded: 5, Dropped: 7}); got != want {
				t.Errorf("Stats are %+v, want %+v", got, want)
			}
			told := uint64(0)
			for _, err := range errs.take() {
				e, ok := err.(*DroppedError)
				if !ok || e.Bus != "can0" {
					t.Fatalf("OnError was told %v", err)
				}
				told += e.Frames
			}
			if told != 7 {
				t.Errorf("OnError was told of %d frames", told)
			}
		})
	}
}

type unwrapper struct{ bus canbus.Bus }

func (u unwrapper) Unwrap() canbus.Bus { return u.bus }

// OnError may be slow, and the drops many.
func TestDropsAreToldOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs errorList
		r, err := NewRecorder(io.Discard, RecorderOptions{OnError: errs.add})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			r.drop(2, "can0")
			time.Sleep(interval / 50)
		}
		closeRecorder(t, r)
		told := uint64(0)
		list := errs.take()
		for _, err := range list {
			told += err.(*DroppedError).Frames
		}
		if told != 200 || len(list) > 4 {
			t.Errorf("%d frames in %d errors", told, len(list))
		}
	})
}

// They were never on the wire.
func TestRefusedFramesAreNotRecordedAsSent(t *testing.T) {
	refused, sent := parse(t, "7E0#0101"), parse(t, "7E0#0102")
	refused.Flags |= canbus.Echo | canbus.Refused
	sent.Flags |= canbus.Echo
	r, lines := recordTo(t)
	w := r.Wrap(&scriptedBus{echoes: true, batches: [][]canbus.Frame{{refused, sent, parse(t, "7E8#01"), refused}}}, "can0")
	if n, err := w.ReadFrames(make([]canbus.Frame, 8)); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := w.WriteFrames([]canbus.Frame{{ID: 1}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if got, want := lines(), []string{"can0 7E0#0102 T", "can0 7E8#01"}; !slices.Equal(got, want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
	if got, want := r.Stats(), (Stats{Recorded: 2}); got != want {
		t.Errorf("Stats are %+v, want %+v", got, want)
	}
}

// Without echoes a frame is recorded when the bus has taken it.
func TestRefusedFrameThatWasRecordedIsTold(t *testing.T) {
	var text bytes.Buffer
	var errs errorList
	r, err := NewRecorder(&text, RecorderOptions{OnError: errs.add})
	if err != nil {
		t.Fatal(err)
	}
	refused := parse(t, "7E0#0101")
	refused.Flags |= canbus.Echo | canbus.Refused
	w := r.Wrap(&scriptedBus{batches: [][]canbus.Frame{{refused}}}, "can0")
	if _, err := w.ReadFrames(make([]canbus.Frame, 8)); err != nil {
		t.Fatal(err)
	}
	closeRecorder(t, r)
	told := errs.take()
	if len(told) != 1 || text.Len() > 0 {
		t.Fatalf("OnError was told %v; recorded %q", told, &text)
	}
	wantError(t, told[0], "frame 7E0#0101 stands in the log as sent, but can0 has refused it")
}

// A log that begins at 0 is recorded as one that begins at 0.
func TestListenToALogThatBeginsAtZero(t *testing.T) {
	const log = "(0000000000.000000) can0 001#\n(0000000000.000001) can0 002#AA\n"
	var text bytes.Buffer
	r, err := NewRecorder(&text, RecorderOptions{OnError: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(strings.NewReader(log), "test.log", Options{Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	r.Listen(b, "can0")
	closeRecorder(t, r)
	if text.String() != log {
		t.Errorf("recorded\n%s", &text)
	}
}
