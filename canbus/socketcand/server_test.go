package socketcand

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

// A pipeListener is a listener within a bubble.
type pipeListener struct {
	conns  chan net.Conn
	errs   chan error
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case err := <-l.errs:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial returns the client's end of a connection.
func (l *pipeListener) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

func (l *pipeListener) open(t *testing.T, bus string) *Bus {
	t.Helper()
	b, err := open(context.Background(), l.dial(), "HOST:1/"+bus, bus, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// start has a server serve within a bubble. What is returned ends it.
func (s *Server) start(t *testing.T) (l *pipeListener, stop func()) {
	t.Helper()
	l = newPipeListener()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	synctest.Wait()
	return l, func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// tapOf serves a tap as can0, and counts how often it is opened.
func tapOf(n *virtual.Network, opened *atomic.Int32) *Server {
	return &Server{Buses: []string{"can0"}, Open: func(context.Context, string) (canbus.Bus, error) {
		opened.Add(1)
		return n.Tap()
	}}
}

func network(t *testing.T, o virtual.Options) *virtual.Network {
	t.Helper()
	n, err := virtual.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func tapOn(t *testing.T, n *virtual.Network) *virtual.Tap {
	t.Helper()
	tap, err := n.Tap()
	if err != nil {
		t.Fatal(err)
	}
	return tap
}

// rawClient is a client that says what it is told, and reads what it is told to.
type rawClient struct {
	net.Conn
	t *testing.T
}

func (c rawClient) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("saying %q: %v", text, err)
	}
}

// hear reads as much as is wanted.
func (c rawClient) hear(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); string(got[:n]) != want {
		c.t.Fatalf("heard %q, %v; want %q", got[:n], err, want)
	}
}

func TestServerWaitsForDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{})
		defer n.Close()
		var log bytes.Buffer
		s := tapOf(n, new(atomic.Int32))
		s.Logger = slog.New(slog.NewTextHandler(&log, nil))
		l, stop := s.start(t)
		start := time.Now()
		for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS} {
			for range 10 {
				l.errs <- &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
			}
		}
		l.open(t, "can0").Close()
		if d := time.Since(start); d < 10*time.Second {
			t.Errorf("after 30 errors: %v", d)
		}
		stop()
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "too many open files") {
			t.Errorf("the log tells nothing: %s", log.String())
		}
	})
}

func TestServeEndsWhenTheListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		l := newPipeListener()
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		failed := errors.New("failed")
		l.errs <- failed
		if err := <-done; err != failed {
			t.Errorf("Serve: %v", err)
		}
		s.Close()
	})
}

// Close does not wait until a pause is over.
func TestCloseEndsThePauseOfAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, stop := new(Server).start(t)
		for range 10 {
			l.errs <- syscall.EMFILE
		}
		synctest.Wait()
		start := time.Now()
		stop()
		if d := time.Since(start); d != 0 {
			t.Errorf("Close took %v", d)
		}
	})
}

func TestClientsThatOpenNoBusAreSentAway(t *testing.T) {
	for name, do := range map[string]func(c rawClient){
		"Silent":       func(rawClient) {},
		"HalfACommand": func(c rawClient) { c.say("< open ca") },
		"Chatty": func(c rawClient) {
			go func() {
				for range 9 {
					io.WriteString(c, "< echo >")
					time.Sleep(time.Second)
				}
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := network(t, virtual.Options{})
				defer n.Close()
				l, stop := tapOf(n, new(atomic.Int32)).start(t)
				defer stop()
				start := time.Now()
				c := rawClient{l.dial(), t}
				c.hear("< hi >")
				do(c)
				said, _ := io.ReadAll(c)
				if d := time.Since(start); d != openTime {
					t.Errorf("sent away after %v", d)
				}
				if !strings.Contains(string(said), "< error no bus opened within 10s >") {
					t.Errorf("it is told %q", said)
				}
			})
		})
	}
}

// A client that has opened a bus may be silent for as long as it likes.
func TestSilentClientWithABusStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{})
		defer n.Close()
		l, stop := tapOf(n, new(atomic.Int32)).start(t)
		defer stop()
		b := l.open(t, "can0")
		defer b.Close()
		time.Sleep(24 * time.Hour)
		tap := tapOn(t, n)
		defer tap.Close()
		tap.WriteFrames([]canbus.Frame{want})
		wantNext(t, b, want)
	})
}

// A bus is held up by no client: not by one that never asks for its frames, and not by
// one that does not read them.
func TestClientsHoldNobodyUp(t *testing.T) {
	for name, say := range map[string]string{
		"WithoutRawmode": "",
		"Stuck":          "< rawmode >",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := network(t, virtual.Options{})
				defer n.Close()
				l, stop := tapOf(n, new(atomic.Int32)).start(t)
				defer stop()
				c := rawClient{l.dial(), t}
				defer c.Close()
				c.hear("< hi >")
				c.say("< open can0 >")
				c.hear("< ok >")
				c.say(say)
				tap := tapOn(t, n)
				defer tap.Close()
				synctest.Wait()
				const count = 60_000
				for sent := 0; sent < count; {
					k, err := tap.WriteFrames(numbered(min(100, count-sent)))
					if err != nil {
						t.Fatal(err)
					}
					sent += k
				}
			})
		})
	}
}

// What a slow client misses it is told, also when nothing comes behind it, and so is the
// log.
func TestSlowClientIsToldWhatItMisses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{})
		defer n.Close()
		var log bytes.Buffer
		s := tapOf(n, new(atomic.Int32))
		s.Logger = slog.New(slog.NewTextHandler(&log, nil))
		l, stop := s.start(t)
		c := rawClient{l.dial(), t}
		c.hear("< hi >")
		c.say("< open can0 >< rawmode >")
		c.hear("< ok >< ok >")
		tap := tapOn(t, n)
		defer tap.Close()
		const count = 60_000
		for sent := 0; sent < count; {
			k, err := tap.WriteFrames(numbered(min(100, count-sent)))
			if err != nil {
				t.Fatal(err)
			}
			sent += k
		}
		synctest.Wait()
		var lex lexer
		buf := make([]byte, 10_000)
		read, dropped := 0, uint64(0)
		for uint64(read)+dropped < count {
			k, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			for rest := buf[:k]; ; {
				var words []string
				var done bool
				if words, rest, done = lex.next(rest); !done {
					break
				}
				if _, err := parseElement(words); err == nil {
					read++
				}
				dropped += parseDropped(words)
			}
		}
		if uint64(read)+dropped != count || dropped == 0 || read < 20_000 {
			t.Errorf("%d frames read, %d dropped, of %d", read, dropped, count)
		}
		c.Close()
		stop()
		if !strings.Contains(log.String(), fmt.Sprintf("frames=%d", dropped)) {
			t.Errorf("the log does not tell of %d frames: %s", dropped, log.String())
		}
	})
}

// All clients share a bus, which is opened once and has a name of its own, and hear each
// other. The client that has sent a frame gets only its echo.
func TestClientsShareABus(t *testing.T) {
	for name, o := range map[string]virtual.Options{
		"Ideal":     {},
		"Echo":      {Echo: true},
		"Simulated": {Bitrate: 500_000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := network(t, o)
				defer n.Close()
				opened := 0
				s := &Server{
					Buses: []string{"can0=slcan:/dev/ttyACM0@500000", "virtual:x,y=z"},
					Open: func(_ context.Context, name string) (canbus.Bus, error) {
						if opened++; name != "slcan:/dev/ttyACM0@500000" {
							t.Errorf("opened %q", name)
						}
						return n.Tap()
					},
				}
				if err := (&Server{Buses: []string{"virtual:x,y=z"}, Open: func(_ context.Context, name string) (canbus.Bus, error) {
					return nil, errors.New("not " + name)
				}}).OpenBuses(); err == nil || err.Error() != "not virtual:x,y=z" {
					t.Errorf("OpenBuses: %v", err)
				}
				l, stop := s.start(t)
				defer stop()
				tap := tapOn(t, n)
				defer tap.Close()
				a, b := l.open(t, "can0"), l.open(t, "can0")
				defer a.Close()
				defer b.Close()
				request, answer := canbus.Frame{ID: 0x7E0, Len: 1}, canbus.Frame{ID: 0x7E8, Len: 1}
				if _, err := a.WriteFrames([]canbus.Frame{request}); err != nil {
					t.Fatal(err)
				}
				wantNext(t, tap, request)
				if _, err := tap.WriteFrames([]canbus.Frame{answer}); err != nil {
					t.Fatal(err)
				}
				wantNext(t, b, request)
				wantNext(t, b, answer)
				echo := request
				echo.Flags |= canbus.Echo
				wantAll(t, a, echo, answer)
				if opened != 1 {
					t.Errorf("opened %d times", opened)
				}
			})
		})
	}
}

// wantAll reads these frames, in any order.
func wantAll(t *testing.T, b canbus.Bus, want ...canbus.Frame) {
	t.Helper()
	missing := make(map[canbus.Frame]bool)
	for _, f := range want {
		missing[f] = true
	}
	for len(missing) > 0 {
		var got [1]canbus.Frame
		if _, err := b.ReadFrames(got[:]); err != nil {
			t.Fatal(err)
		}
		got[0].Timestamp = 0
		got[0].Flags &^= canbus.Timed
		if !missing[got[0]] {
			t.Fatalf("read %v, want one of %v", got[0], missing)
		}
		delete(missing, got[0])
	}
}

// A bent is a good bus with something that is not as usual.
type bent struct {
	*virtual.Tap
	properties func(*canbus.Properties)
	read       func([]canbus.Frame) (int, error)
	write      func([]canbus.Frame) (int, error)
	dropped    func() uint64
	flush      func(context.Context) error
}

func (b *bent) Properties() canbus.Properties {
	p := b.Tap.Properties()
	if b.properties != nil {
		b.properties(&p)
	}
	return p
}

func (b *bent) ReadFrames(frames []canbus.Frame) (int, error) {
	if b.read != nil {
		return b.read(frames)
	}
	return b.Tap.ReadFrames(frames)
}

func (b *bent) WriteFrames(frames []canbus.Frame) (int, error) {
	if b.write != nil {
		return b.write(frames)
	}
	return b.Tap.WriteFrames(frames)
}

func (b *bent) TryWriteFrames(frames []canbus.Frame) (int, error) {
	if b.write != nil {
		return b.write(frames)
	}
	return b.Tap.TryWriteFrames(frames)
}

func (b *bent) Dropped() uint64 {
	if b.dropped != nil {
		return b.dropped()
	}
	return b.Tap.Dropped()
}

func (b *bent) Flush(ctx context.Context) error {
	if b.flush != nil {
		return b.flush(ctx)
	}
	return nil
}

// bentServer serves a bent bus as can0.
func bentServer(b *bent) *Server {
	return &Server{Buses: []string{"can0"}, Open: func(context.Context, string) (canbus.Bus, error) { return b, nil }}
}

// On a bus with echoes a client's proof is that its frames are on the wire.
func TestEchoIsAnsweredWhenFramesAreOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{Bitrate: 10_000})
		defer n.Close()
		l, stop := tapOf(n, new(atomic.Int32)).start(t)
		defer stop()
		tap := tapOn(t, n) // a frame needs another tap to acknowledge it
		defer tap.Close()
		b := l.open(t, "can0")
		start := time.Now()
		frames := make([]canbus.Frame, 20)
		need := time.Duration(0)
		for i := range frames {
			frames[i] = canbus.Frame{ID: 0x700 - uint32(i), Len: 8} // the later ones go first
			need += canbus.WireTime(&frames[i], 10_000, 10_000)
		}
		if n, err := b.WriteFrames(frames); n != 20 || err != nil {
			t.Fatal(n, err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if d := time.Since(start); d < need*9/10 || d > need*11/10 {
			t.Errorf("Close after %v, the wire needs %v", d, need)
		}
	})
}

// What a bus refuses later is refused to the client that has sent it.
func TestRefusedFramesAreToldToTheirClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{Echo: true})
		defer n.Close()
		bus := &bent{Tap: tapOn(t, n)}
		bus.read = func(frames []canbus.Frame) (int, error) {
			k, err := bus.Tap.ReadFrames(frames)
			for i := range frames[:k] {
				if frames[i].Has(canbus.Echo) && frames[i].ID == 0x101 {
					frames[i].Flags |= canbus.Refused
				}
			}
			return k, err
		}
		l, stop := bentServer(bus).start(t)
		defer stop()
		a, b := l.open(t, "can0"), l.open(t, "can0")
		defer a.Close()
		defer b.Close()
		for i, want := range []canbus.Flags{0, canbus.Refused, 0} {
			f := canbus.Frame{ID: 0x100 + uint32(i)}
			if _, err := a.WriteFrames([]canbus.Frame{f}); err != nil {
				t.Fatal(err)
			}
			if flags := wantEchoes(t, a, f); flags[0] != want {
				t.Errorf("%v comes back with %v", f, flags[0])
			}
			if want == 0 {
				wantNext(t, b, f) // and no more
			}
		}
		if a.Refused() != 1 || b.Refused() != 0 {
			t.Errorf("Refused %d and %d", a.Refused(), b.Refused())
		}
	})
}

// A frame that never leaves is refused in the end, and senders that wait behind it are told.
func TestFramesThatNeverLeaveAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{Bitrate: 500_000})
		defer n.Close()
		bus := tapOn(t, n)
		if err := bus.BusOff(0); err != nil {
			t.Fatal(err)
		}
		l, stop := bentServer(&bent{Tap: bus}).start(t)
		defer stop()
		b := l.open(t, "can0")
		defer b.Close()
		start := time.Now()
		frames := numbered(3)
		if _, err := b.WriteFrames(frames); err != nil {
			t.Fatal(err)
		}
		var got [1]canbus.Frame
		for !got[0].Has(canbus.Echo) {
			if _, err := b.ReadFrames(got[:]); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != sendTime || !got[0].Has(canbus.Refused) {
			t.Errorf("%v after %v", got[0], d)
		}
	})
}

// Clients are told how many frames the bus itself has dropped.
func TestDropsOfTheBusAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{})
		defer n.Close()
		var drops atomic.Uint64
		l, stop := bentServer(&bent{Tap: tapOn(t, n), dropped: drops.Load}).start(t)
		defer stop()
		b := l.open(t, "can0")
		defer b.Close()
		tap := tapOn(t, n)
		defer tap.Close()
		drops.Store(42)
		tap.WriteFrames([]canbus.Frame{want})
		wantNext(t, b, want)
		synctest.Wait()
		if b.Dropped() != 42 {
			t.Errorf("%d frames dropped", b.Dropped())
		}
	})
}

// Close has what was written sent, before it closes the bus.
func TestServerFlushesItsBuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{})
		defer n.Close()
		flushed := false
		bus := &bent{Tap: tapOn(t, n)}
		bus.flush = func(ctx context.Context) error {
			if _, err := bus.Tap.WriteFrames([]canbus.Frame{want}); err != nil {
				t.Errorf("closed before: %v", err)
			}
			flushed = true
			return nil
		}
		s := bentServer(bus)
		_, stop := s.start(t)
		if err := s.OpenBuses(); err != nil {
			t.Fatal(err)
		}
		stop()
		if _, err := bus.WriteFrames([]canbus.Frame{want}); !flushed || !errors.Is(err, net.ErrClosed) {
			t.Errorf("flushed %v, the bus is open: %v", flushed, err)
		}
	})
}

func TestServerTellsOfFramesInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{})
		defer n.Close()
		bus := &bent{Tap: tapOn(t, n)}
		bus.flush = func(ctx context.Context) error {
			return &canbus.GoneError{Bus: "the adapter", Err: io.ErrUnexpectedEOF, InDoubt: 3}
		}
		s := bentServer(bus)
		var log bytes.Buffer
		s.Logger = slog.New(slog.NewTextHandler(&log, nil))
		_, stop := s.start(t)
		if err := s.OpenBuses(); err != nil {
			t.Fatal(err)
		}
		stop()
		if !strings.Contains(log.String(), "the last 3 frames may not have been sent") {
			t.Errorf("logged %q", log.String())
		}
	})
}

// Close is not held up by a bus that takes nothing.
func TestServerClosesABusThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{BufferLen: 8})
		defer n.Close()
		full := tapOn(t, n) // reads nothing
		defer full.Close()
		l, stop := tapOf(n, new(atomic.Int32)).start(t)
		b := l.open(t, "can0")
		defer b.Close()
		b.WriteFrames(numbered(20))
		synctest.Wait()
		start := time.Now()
		stop()
		if d := time.Since(start); d > turnTime {
			t.Errorf("Close took %v", d)
		}
	})
}

// When a bus fails, its clients first read what came before, and then end. For the next
// client the bus is opened anew.
func TestBusThatFailsIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, virtual.Options{HangUp: true})
		defer n.Close()
		var opened atomic.Int32
		l, stop := tapOf(n, &opened).start(t)
		defer stop()
		tap := tapOn(t, n)
		b := l.open(t, "can0")
		defer b.Close()
		tap.WriteFrames([]canbus.Frame{want})
		tap.Close() // io.EOF for the server
		wantNext(t, b, want)
		if _, err := b.ReadFrames(make([]canbus.Frame, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("then %v", err)
		}
		synctest.Wait()
		tap = tapOn(t, n)
		defer tap.Close()
		b = l.open(t, "can0")
		defer b.Close()
		tap.WriteFrames([]canbus.Frame{want})
		wantNext(t, b, want)
		if opened.Load() != 2 {
			t.Errorf("opened %d times", opened.Load())
		}
	})
}

// A log waits for a client, and for one that reads slowly; with its last client it is
// closed.
func TestBusThatWaitsLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 60_000
		opened := 0
		s := &Server{Buses: []string{"log"}, Open: func(context.Context, string) (canbus.Bus, error) {
			opened++
			n := network(t, virtual.Options{})
			next := 0
			return &bent{
				Tap:        tapOn(t, n),
				properties: func(p *canbus.Properties) { p.Waits = true },
				read: func(frames []canbus.Frame) (int, error) {
					if next == count {
						return 0, io.EOF
					}
					k := min(len(frames), count-next)
					copy(frames, numbered(k))
					next += k
					return k, nil
				},
			}, nil
		}}
		l, stop := s.start(t)
		defer stop()
		if err := s.OpenBuses(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		for round := range 2 {
			c := rawClient{l.dial(), t}
			c.hear("< hi >")
			c.say("< open log >< rawmode >")
			c.hear("< ok >< ok >")
			time.Sleep(time.Hour)
			if round == 0 {
				c.Close()
				synctest.Wait()
				continue
			}
			text, err := io.ReadAll(c)
			if n := bytes.Count(text, []byte("< frame ")); n != count || err != nil {
				t.Errorf("%d frames of %d, %v", n, count, err)
			}
		}
		if opened != 2 {
			t.Errorf("opened %d times", opened)
		}
	})
}

// One that does not read holds a log up for others no longer than holdTime.
func TestBusThatWaitsGoesOnWithoutAStuckClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 60_000
		n := network(t, virtual.Options{})
		defer n.Close()
		next := 0
		l, stop := bentServer(&bent{
			Tap:        tapOn(t, n),
			properties: func(p *canbus.Properties) { p.Waits = true },
			read: func(frames []canbus.Frame) (int, error) {
				if next == count {
					return 0, io.EOF
				}
				k := min(len(frames), count-next)
				copy(frames, numbered(k))
				next += k
				return k, nil
			},
		}).start(t)
		defer stop()
		var cs [2]rawClient
		for i := range cs {
			cs[i] = rawClient{l.dial(), t}
			defer cs[i].Close()
			cs[i].hear("< hi >")
			cs[i].say("< open can0 >")
			cs[i].hear("< ok >")
			cs[i].say("< rawmode >")
		}
		start := time.Now()
		text, err := io.ReadAll(cs[0]) // the log has begun for it
		if got := bytes.Count(text, []byte("< frame ")); got != count || err != nil {
			t.Errorf("%d frames of %d, %v", got, count, err)
		}
		if d := time.Since(start); d != holdTime {
			t.Errorf("held up for %v", d)
		}
	})
}
