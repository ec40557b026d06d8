package isotpnet_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

// More than 1 MiB waits unread, and one stream goes on all the same.
func TestSlowReadersStopTheirOwnStreamsOnly(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		const window = 65280
		ln := ecu.listen(t)
		type slow struct {
			want    string
			reader  net.Conn
			written chan error
		}
		var all []slow
		for i := range scale.Down(17, 3) {
			s := slow{payload(3*window + i), nil, make(chan error, 1)}
			c := tester.dial(t)
			s.reader = acceptStream(t, ln)
			// The window is full now, and the next Write has to wait.
			wantWrite(t, c, s.want[:window])
			go func() {
				_, err := c.Write([]byte(s.want[window:]))
				c.CloseWrite()
				s.written <- err
			}()
			all = append(all, s)
		}

		c, other := tester.dial(t), acceptStream(t, ln)
		var wg sync.WaitGroup
		wg.Go(func() {
			io.Copy(other, other)
			other.CloseWrite()
		})
		wg.Go(func() {
			wantWrite(t, c, payload(1<<20))
			c.CloseWrite()
		})
		wantReadAll(t, c, payload(1<<20))
		wg.Wait()

		for _, s := range all {
			select {
			case err := <-s.written:
				t.Error("a Write beyond the window has ended:", err)
			default:
			}
			wantReadAll(t, s.reader, s.want)
			if err := <-s.written; err != nil {
				t.Error(err)
			}
		}
	})
}

// Streams that write at the same time get the same share of the bus.
func TestStreamsTakeTurns(t *testing.T) {
	inStreamBubble(t, virtual.Options{Bitrate: 500_000}, func(t *testing.T, tester, ecu streamEnd) {
		ln := ecu.listen(t)
		const streams = 4
		var got [streams]atomic.Int64
		var wg sync.WaitGroup
		t.Cleanup(wg.Wait)
		for i := range streams {
			c, accepted := tester.dial(t), acceptStream(t, ln)
			wg.Go(func() { c.Write(make([]byte, 1<<20)) })
			wg.Go(func() {
				buf := make([]byte, 4096)
				for {
					n, err := accepted.Read(buf)
					got[i].Add(int64(n))
					if err != nil {
						return
					}
				}
			})
		}
		time.Sleep(10 * time.Second)
		for i := range got {
			if n := got[i].Load(); n < 65_000 || n > 80_000 {
				t.Errorf("stream %d has got %d bytes in 10 s, want a quarter of some 290 kB", i, n)
			}
		}
	})
}

// A world is a bus on which programs come and go: each has its own tap.
type world struct {
	t *testing.T
	n *virtual.Network
}

func inWorld(t *testing.T, o virtual.Options, test func(w world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(world{t, newNetwork(t, o)}) })
}

// start starts a program that can open streams at an end. To close its bus is to
// kill it: nothing is sent any more.
func (w world) start(address string) (streamEnd, *virtual.Tap) {
	tap := newTap(w.t, w.n)
	return tapEnd(tap, address, isotpnet.Config{}), tap
}

// wantWorking opens a stream and uses it.
func wantWorking(t testing.TB, tester streamEnd, ln *isotpnet.StreamListener) {
	t.Helper()
	c, accepted := tester.dial(t), acceptStream(t, ln)
	defer c.Close()
	defer accepted.Close()
	wantWrite(t, c, "question")
	wantRead(t, accepted, "question")
	wantWrite(t, accepted, "answer")
	wantRead(t, c, "answer")
}

func TestClientKilledAndRestarted(t *testing.T) {
	inWorld(t, virtual.Options{}, func(w world) {
		t := w.t
		ecu, _ := w.start(ecuAddr)
		ln := ecu.listen(t)
		tester, kill := w.start(testerAddr)
		old, accepted := tester.dial(t), acceptStream(t, ln)
		kill.Close()
		_, err := old.Read(make([]byte, 1))
		wantStreamErr(t, err, "read", net.ErrClosed)

		tester, _ = w.start(testerAddr)
		wantWorking(t, tester, ln)
		// The server learns of it when it asks for a sign of life.
		start := time.Now()
		c := tester.dial(t)
		defer c.Close()
		_, err = accepted.Read(make([]byte, 1))
		wantStreamErr(t, err, "read", syscall.ECONNRESET)
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// The server learns at once when it has something to say.
func TestWriteToARestartedClient(t *testing.T) {
	inWorld(t, virtual.Options{}, func(w world) {
		t := w.t
		ecu, _ := w.start(ecuAddr)
		ln := ecu.listen(t)
		tester, kill := w.start(testerAddr)
		tester.dial(t)
		accepted := acceptStream(t, ln)
		kill.Close()
		tester, _ = w.start(testerAddr)
		c := tester.dial(t)
		defer c.Close()
		wantWrite(t, accepted, "hello")
		start := time.Now()
		_, err := accepted.Read(make([]byte, 1))
		wantStreamErr(t, err, "read", syscall.ECONNRESET)
		wantSince(t, start, 0)
	})
}

func TestServerKilledAndRestarted(t *testing.T) {
	inWorld(t, virtual.Options{}, func(w world) {
		t := w.t
		ecu, kill := w.start(ecuAddr)
		ln := ecu.listen(t)
		tester, _ := w.start(testerAddr)
		c := tester.dial(t)
		acceptStream(t, ln)
		kill.Close()
		_, err := ln.Accept()
		wantStreamErr(t, err, "accept", net.ErrClosed)

		// There is no server: a message waits for flow control, a Dial for an answer.
		start := time.Now()
		_, err = c.Write([]byte(payload(100)))
		if pe, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || pe.Code != isotpnet.CodeTimeoutBs {
			t.Errorf("Write: %v, want N_TIMEOUT_Bs", err)
		}
		wantSince(t, start, time.Second)
		start = time.Now()
		_, err = tester.tryDial(t.Context())
		wantStreamErr(t, err, "dial", context.DeadlineExceeded)
		wantSince(t, start, 3*time.Second)

		ecu, _ = w.start(ecuAddr)
		wantWorking(t, tester, ecu.listen(t))
	})
}

// A client that only reads learns of it when it asks for a sign of life.
func TestReadFromARestartedServer(t *testing.T) {
	inWorld(t, virtual.Options{}, func(w world) {
		t := w.t
		ecu, kill := w.start(ecuAddr)
		ln := ecu.listen(t)
		tester, _ := w.start(testerAddr)
		c := tester.dial(t)
		acceptStream(t, ln)
		kill.Close()
		ecu, _ = w.start(ecuAddr)
		ecu.listen(t)
		start := time.Now()
		_, err := c.Read(make([]byte, 1))
		wantStreamErr(t, err, "read", syscall.ECONNRESET)
		wantSince(t, start, 15*time.Second)
	})
}

// A wire that can be cut.
type wire struct{ cut atomic.Bool }

func (w *wire) options(o virtual.Options) virtual.Options {
	o.Intercept = func(*canbus.Frame) virtual.Verdict {
		if w.cut.Load() {
			return virtual.Lose
		}
		return virtual.Deliver
	}
	return o
}

// The cable is pulled while both sides send, and while none does.
func TestPulledCable(t *testing.T) {
	var cable wire
	inStreamBubble(t, cable.options(virtual.Options{Bitrate: 500_000}), func(t *testing.T, tester, ecu streamEnd) {
		ln := ecu.listen(t)
		var wg sync.WaitGroup
		ended := func(call func() error) {
			wg.Go(func() {
				start := time.Now()
				err := call()
				var ne net.Error
				if !errors.As(err, &ne) || !ne.Timeout() && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				if d := time.Since(start); d > 160*time.Second {
					t.Errorf("it took %v: %v", d, err)
				}
			})
		}
		for range 2 {
			busy, idle := tester.dial(t), tester.dial(t)
			for _, c := range []net.Conn{busy, idle, acceptStream(t, ln), acceptStream(t, ln)} {
				ended(func() error {
					_, err := io.Copy(io.Discard, c)
					return err
				})
			}
			ended(func() error {
				_, err := io.Copy(busy, randomBytes(0))
				return err
			})
		}
		time.Sleep(3 * time.Second)
		cable.cut.Store(true)
		start := time.Now()
		_, err := tester.tryDial(t.Context())
		wantStreamErr(t, err, "dial", context.DeadlineExceeded)
		wantSince(t, start, 3*time.Second)
		wg.Wait()
		cable.cut.Store(false)
		wantWorking(t, tester, ln)
	})
}

// The controller is off the bus: no frame gets on the wire.
func TestDialOffTheBus(t *testing.T) {
	inStreamBubble(t, virtual.Options{Bitrate: 500_000}, func(t *testing.T, tester, ecu streamEnd) {
		ln := ecu.listen(t)
		if err := tester.dialer.Bus.(*virtual.Tap).BusOff(5 * time.Second); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err := tester.tryDial(t.Context())
		wantStreamErr(t, err, "dial", context.DeadlineExceeded)
		if pe, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || pe.Code != isotpnet.CodeTimeoutA {
			t.Errorf("%v does not tell that nothing got on the bus", err)
		}
		wantSince(t, start, 3*time.Second)
		time.Sleep(2 * time.Second)
		wantWorking(t, tester, ln)
	})
}

// A plug is a bus named "plug:" that can be pulled out, as a USB adapter, and put
// in again.
var plug struct {
	sync.Mutex
	network *virtual.Network // nil: it is out
	taps    []*virtual.Tap
	stuck   chan struct{} // opening waits until it is closed; nil: it does not
}

var errUnplugged error = &canbus.GoneError{Bus: "plug: the adapter", Err: errors.New("no such device")}

func init() {
	canbus.Register("plug", func(ctx context.Context, _ string) (canbus.Bus, error) {
		plug.Lock()
		defer plug.Unlock()
		if stuck := plug.stuck; stuck != nil {
			plug.Unlock()
			select {
			case <-stuck:
			case <-ctx.Done():
			}
			plug.Lock()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		if plug.network == nil {
			return nil, errUnplugged
		}
		tap, err := plug.network.Tap()
		plug.taps = append(plug.taps, tap)
		return pluggedBus{tap}, err
	})
}

// A pluggedBus fails with another error than that of a bus closed by its user.
type pluggedBus struct{ *virtual.Tap }

func (b pluggedBus) ReadFrames(f []canbus.Frame) (int, error) { return unplugged(b.Tap.ReadFrames(f)) }
func (b pluggedBus) WriteFrames(f []canbus.Frame) (int, error) {
	return unplugged(b.Tap.WriteFrames(f))
}
func (b pluggedBus) TryWriteFrames(f []canbus.Frame) (int, error) {
	return unplugged(b.Tap.TryWriteFrames(f))
}

func unplugged(n int, err error) (int, error) {
	if errors.Is(err, net.ErrClosed) {
		err = errUnplugged
	}
	return n, err
}

func putIn(n *virtual.Network) {
	plug.Lock()
	defer plug.Unlock()
	plug.network = n
}

func pullOut() {
	plug.Lock()
	defer plug.Unlock()
	plug.network = nil
	for _, tap := range plug.taps {
		tap.Close()
	}
	plug.taps = nil
}

// http.Server waits until the bus is back, and goes on.
func TestServerOutlivesItsBus(t *testing.T) {
	for _, tt := range streamListens {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				putIn(n)
				defer pullOut()
				ln, err := isotpnet.Listen("isotp-stream", "plug:"+tt.listen)
				if err != nil {
					t.Fatal(err)
				}
				serveHTTP(t, ln, echo)
				tester := tapEnd(newTap(t, n), tt.dial, isotpnet.Config{})
				wantEcho(t, newClient(t, tester, false), "before")
				for range 3 {
					pullOut()
					time.Sleep(10 * time.Second)
					putIn(n)
					time.Sleep(2 * time.Second) // http.Server looks every second
					wantEcho(t, newClient(t, tester, false), "after")
				}
			})
		})
	}
}

// listenUnplugged returns a listener whose Accept has told that its bus has failed, and
// lets the bus be opened again once stuck is closed.
func listenUnplugged(t *testing.T, n *virtual.Network, address string) (ln *isotpnet.StreamListener, stuck chan struct{}) {
	t.Helper()
	putIn(n)
	l, err := isotpnet.Listen("isotp-stream", "plug:"+address)
	if err != nil {
		t.Fatal(err)
	}
	pullOut()
	ln = l.(*isotpnet.StreamListener)
	_, err = ln.Accept()
	wantStreamErr(t, err, "accept", errUnplugged)
	putIn(n)
	stuck = make(chan struct{})
	setStuck(stuck)
	t.Cleanup(func() { setStuck(nil); pullOut() })
	return ln, stuck
}

func setStuck(stuck chan struct{}) {
	plug.Lock()
	defer plug.Unlock()
	plug.stuck = stuck
}

func TestCloseEndsAnAcceptThatOpensTheBusAgain(t *testing.T) {
	for _, tt := range streamListens {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln, _ := listenUnplugged(t, newNetwork(t, virtual.Options{}), tt.listen)
				results := make(chan error, 2)
				for range 2 {
					go func() {
						_, err := ln.Accept()
						results <- err
					}()
				}
				synctest.Wait()
				start := time.Now()
				ln.Close()
				for range 2 {
					wantStreamErr(t, <-results, "accept", net.ErrClosed)
				}
				wantSince(t, start, 0)
			})
		})
	}
}

// The opening goes on, for the next Accept.
func TestDeadlineEndsAnAcceptThatOpensTheBusAgain(t *testing.T) {
	for _, tt := range streamListens {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				ln, stuck := listenUnplugged(t, n, tt.listen)
				defer ln.Close()
				for range 2 {
					start := time.Now()
					ln.SetDeadline(start.Add(time.Second))
					_, err := ln.Accept()
					wantStreamErr(t, err, "accept", os.ErrDeadlineExceeded)
					wantSince(t, start, time.Second)
				}
				ln.SetDeadline(time.Now().Add(-time.Second))
				_, err := ln.Accept()
				wantStreamErr(t, err, "accept", os.ErrDeadlineExceeded)
				close(stuck)
				ln.SetDeadline(time.Time{})
				wantWorking(t, tapEnd(newTap(t, n), tt.dial, isotpnet.Config{}), ln)
			})
		})
	}
}

func TestStreamsOfABusThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		putIn(n)
		defer pullOut()
		c, accepted := newStream(t,
			streamEnd{network: "isotp-stream", address: "plug:" + testerAddr},
			tapEnd(newTap(t, n), ecuAddr, isotpnet.Config{}))
		wantWrite(t, accepted, "the last word")
		synctest.Wait()
		pullOut()
		synctest.Wait()
		wantRead(t, c, "the last word")
		for range 2 {
			_, err := c.Read(make([]byte, 1))
			wantStreamErr(t, err, "read", errUnplugged)
			_, err = c.Write([]byte{1})
			wantStreamErr(t, err, "write", errUnplugged)
		}
	})
}

// A message that is given up is the end of its stream, not of the others.
func TestLostMessageEndsItsStreamOnly(t *testing.T) {
	var lose atomic.Bool
	o := virtual.Options{Intercept: func(f *canbus.Frame) virtual.Verdict {
		if f.Data[0]>>4 == 2 && lose.CompareAndSwap(true, false) { // one Consecutive Frame
			return virtual.Lose
		}
		return virtual.Deliver
	}}
	synctest.Test(t, func(t *testing.T) {
		tester, ecu := newStreamEnds(t, newNetwork(t, o), isotpnet.Config{ReportAborted: true})
		ln := ecu.listen(t)
		c, accepted := tester.dial(t), acceptStream(t, ln)
		other, otherAccepted := tester.dial(t), acceptStream(t, ln)
		lose.Store(true)
		wantWrite(t, c, payload(100))
		for _, c := range []net.Conn{c, accepted} {
			_, err := c.Read(make([]byte, 1))
			wantStreamErr(t, err, "read", syscall.ECONNRESET)
		}
		wantWrite(t, other, "still here")
		wantRead(t, otherAccepted, "still here")
	})
}

// A bus that ends is no end of a stream.
func TestStreamsOfABusThatHangsUp(t *testing.T) {
	noLeaks(t)
	n := newNetwork(t, virtual.Options{HangUp: true})
	tap1, tap2 := newTap(t, n), newTap(t, n)
	c, _ := newStream(t, tapEnd(tap1, testerAddr, patient), tapEnd(tap2, ecuAddr, patient))
	tap2.Close()
	_, err := c.Read(make([]byte, 1))
	wantStreamErr(t, err, "read", io.ErrUnexpectedEOF)
}

// streamFaults are what a bus may do to frames, and a stream is to notice.
var streamFaults = []struct {
	name   string
	faults func(p float64, dice *rand.Rand) virtual.Options
}{
	{"Lose", func(p float64, _ *rand.Rand) virtual.Options {
		return virtual.Options{Faults: virtual.Faults{Lose: p}}
	}},
	{"Duplicate", func(p float64, _ *rand.Rand) virtual.Options {
		return virtual.Options{Faults: virtual.Faults{Duplicate: p}}
	}},
	{"CorruptPCI", func(p float64, dice *rand.Rand) virtual.Options {
		return virtual.Options{Intercept: func(f *canbus.Frame) virtual.Verdict {
			if dice.Float64() < p {
				corruptPCI(f, dice)
			}
			return virtual.Deliver
		}}
	}},
	{"All", func(p float64, dice *rand.Rand) virtual.Options {
		return virtual.Options{
			Faults: virtual.Faults{Lose: p / 3, Duplicate: p / 3},
			Intercept: func(f *canbus.Frame) virtual.Verdict {
				if dice.Float64() < p/3 {
					corruptPCI(f, dice)
				}
				return virtual.Deliver
			},
		}
	}},
}

// corruptPCI flips a bit of a frame's N_PCI. The data are left alone: ISO-TP has no
// checksum of its own, and so a stream has none.
func corruptPCI(f *canbus.Frame, dice *rand.Rand) {
	size := 1 // Single Frame, Consecutive Frame
	switch f.Data[0] >> 4 {
	case 1:
		size = 2
	case 3:
		size = 3
	case 0:
		if f.Len > 8 {
			size = 2
		}
	}
	bit := dice.IntN(8 * size)
	f.Data[bit/8] ^= 1 << (bit % 8)
}

// The bytes read are always a prefix of the bytes written, to the end or up to an error on
// both sides, whatever the bus does; no call waits for ever, and no stream is left.
func TestFaultsNeverMakeAHoleInAStream(t *testing.T) {
	for _, fault := range streamFaults {
		for _, p := range []float64{0.01, 0.2} {
			for _, mode := range []struct {
				name   string
				config isotpnet.Config
			}{
				{"Classic", isotpnet.Config{}},
				{"FD", isotpnet.Config{FD: true, BRS: true}},
				{"SingleFrames", isotpnet.Config{MaxSendSize: 7}},
			} {
				t.Run(fmt.Sprintf("%s/%v%%/%s", fault.name, 100*p, mode.name), func(t *testing.T) {
					for seed := range scale.Down[uint64](4, 1) {
						o := fault.faults(p, rand.New(rand.NewPCG(seed, 2)))
						o.Bitrate, o.DataBitrate, o.Seed = 500_000, 2_000_000, seed
						synctest.Test(t, func(t *testing.T) { testStreamFaults(t, o, mode.config) })
					}
				})
			}
		}
	}
}

// A report is how one end of a stream fared.
type report struct {
	id   uint64
	err  error // of anything but a Dial
	done bool  // it has read all to the end
}

// exchange writes and reads what belongs to a stream of that name, at the same
// time. What is read must be what the other end writes.
func exchange(t *testing.T, c *isotpnet.StreamConn, id uint64, in, out []byte) report {
	defer c.Close()
	written := make(chan error)
	go func() {
		_, err := c.Write(out)
		if err == nil {
			err = c.CloseWrite()
		}
		written <- err
	}()
	got, err := io.ReadAll(c)
	if len(got) > len(in) || !slices.Equal(got, in[:len(got)]) || err == nil && len(got) < len(in) {
		t.Errorf("stream %X: %d bytes were read of %d, with the error %v, and they are not what was written", id, len(got), len(in), err)
	}
	return report{id, errors.Join(err, <-written), err == nil}
}

// streamData is what one side writes to a stream: its name, and more.
func streamData(id uint64, side uint64) []byte {
	rng := rand.New(rand.NewPCG(id, side))
	p := binary.BigEndian.AppendUint64(nil, id)
	for range rng.IntN(1 << rng.IntN(14)) {
		p = append(p, byte(rng.Uint32()))
	}
	return p
}

func testStreamFaults(t *testing.T, o virtual.Options, config isotpnet.Config) {
	const streams = 12
	begin := time.Now()
	tester, ecu := newStreamEnds(t, newNetwork(t, o), config)
	ln := ecu.listen(t)

	// The server learns a stream's name from its first bytes.
	var servers sync.WaitGroup
	var mu sync.Mutex
	served := make(map[uint64][]report)
	servers.Go(func() {
		for {
			c, err := ln.AcceptStream()
			if err != nil {
				return
			}
			servers.Go(func() {
				var name [8]byte
				if _, err := io.ReadFull(c, name[:]); err != nil {
					c.Close()
					return
				}
				id := binary.BigEndian.Uint64(name[:])
				r := exchange(t, c, id, streamData(id, 0)[8:], streamData(id, 1))
				mu.Lock()
				defer mu.Unlock()
				served[id] = append(served[id], r)
			})
		}
	})

	var clients sync.WaitGroup
	dialled := make([]report, streams)
	for i := range streams {
		id := o.Seed<<8 | uint64(i)
		clients.Go(func() {
			c, err := tester.tryDial(t.Context())
			if err != nil {
				return
			}
			dialled[i] = exchange(t, c, id, streamData(id, 1), streamData(id, 0))
		})
		if i%3 == 2 { // three at a time
			clients.Wait()
		}
	}
	clients.Wait()
	if took := time.Since(begin); took > time.Hour {
		t.Errorf("it took %v", took)
	}
	time.Sleep(5 * time.Minute)
	ln.Close()
	servers.Wait()

	// Only a side that has read everything may not know of the other's error.
	complete := 0
	for _, r := range dialled {
		for _, s := range served[r.id] {
			if r.err != nil && s.err == nil && !s.done || s.err != nil && r.err == nil && !r.done {
				t.Errorf("stream %X: one side has the error %v, the other %v", r.id, r.err, s.err)
			}
			if r.err == nil && s.err == nil {
				complete++
			}
		}
		delete(served, r.id)
	}
	if len(served) > 0 {
		t.Errorf("the server has %d streams that were not dialled", len(served))
	}
	t.Logf("%d of %d streams were complete", complete, streams)
}
