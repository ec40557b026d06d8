package isotpnet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"go.uber.org/goleak"
)

// The two ends that most tests are about.
const (
	testerAddr = "/7E0:7E8"
	ecuAddr    = "/7E8:7E0"
)

// noLeaks fails the test if goroutines are left of it. Tests in a bubble do not
// need it: synctest looks for them.
func noLeaks(t *testing.T) {
	t.Helper()
	there := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, there) })
}

func newNetwork(t testing.TB, o virtual.Options) *virtual.Network {
	t.Helper()
	n, err := virtual.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func newTap(t testing.TB, n *virtual.Network) *virtual.Tap {
	t.Helper()
	tap, err := n.Tap()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	return tap
}

// dialOn opens a connection on a bus.
func dialOn(t testing.TB, bus canbus.Bus, address string, c isotpnet.Config) *isotpnet.Conn {
	t.Helper()
	return dialWith(t, isotpnet.Dialer{Bus: bus, Config: c}, address)
}

func dialWith(t testing.TB, d isotpnet.Dialer, address string) *isotpnet.Conn {
	t.Helper()
	c, err := d.DialAddr(context.Background(), "isotp:user", isotpnet.MustParseAddr(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func listenOn(t testing.TB, bus canbus.Bus, address string, c isotpnet.Config) *isotpnet.Listener {
	t.Helper()
	return listenWith(t, isotpnet.ListenConfig{Bus: bus, Config: c}, address)
}

func listenWith(t testing.TB, lc isotpnet.ListenConfig, address string) *isotpnet.Listener {
	t.Helper()
	ln, err := lc.Listen(context.Background(), "isotp:user", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*isotpnet.Listener)
}

func newPipe(t testing.TB, c *isotpnet.Config) (c1, c2 *isotpnet.Conn) {
	t.Helper()
	c1, c2, err := isotpnet.Pipe(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c1.Close()
		c2.Close()
	})
	return c1, c2
}

// newPair returns two connections on two taps of a bus.
func newPair(t testing.TB, n *virtual.Network, c1, c2 isotpnet.Config) (tester, ecu *isotpnet.Conn) {
	t.Helper()
	return dialOn(t, newTap(t, n), testerAddr, c1), dialOn(t, newTap(t, n), ecuAddr, c2)
}

// payload returns n bytes that are the same for the same n.
func payload(n int) string {
	p := make([]byte, n)
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return string(p)
}

// A node is an ISO-TP peer that the test plays itself, frame by frame.
type node struct {
	t   testing.TB
	tap *virtual.Tap
}

func newNode(t testing.TB, n *virtual.Network) *node {
	t.Helper()
	return &node{t, newTap(t, n)}
}

// send puts frames on the bus, written as 7E8#300000, or 7E8##1... for CAN FD.
func (p *node) send(frames ...string) {
	p.t.Helper()
	writeFrames(p.tap, mustParseFrames(frames...)...)
}

// hear reads the next frames that are not the node's own and checks their text.
func (p *node) hear(want ...string) {
	p.t.Helper()
	for _, w := range want {
		if got := p.next(); got != w {
			p.t.Fatalf("heard %s, want %s", got, w)
		}
	}
}

// next reads the next frame that is not the node's own.
func (p *node) next() string {
	p.t.Helper()
	for {
		var f [1]canbus.Frame
		if _, err := p.tap.ReadFrames(f[:]); err != nil {
			p.t.Fatal(err)
		}
		if !f[0].Has(canbus.Echo) {
			return f[0].String()
		}
	}
}

// A recorder writes down what is on a bus and when, since it began.
type recorder struct {
	start  time.Time
	mu     sync.Mutex
	frames []recorded
}

type recorded struct {
	at    time.Duration
	frame canbus.Frame
}

// record begins to record. Within a bubble the times are exact.
func record(t testing.TB, n *virtual.Network) *recorder {
	t.Helper()
	tap, err := n.Observe()
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{start: time.Now()}
	var wg sync.WaitGroup
	wg.Go(func() {
		batch := make([]canbus.Frame, 64)
		for {
			k, err := tap.ReadFrames(batch)
			if err != nil {
				return
			}
			r.add(batch[:k])
		}
	})
	t.Cleanup(func() {
		tap.Close()
		wg.Wait()
	})
	return r
}

func (r *recorder) add(frames []canbus.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range frames {
		at := time.Since(r.start)
		if f.Has(canbus.Timed) {
			at = f.Time().Sub(r.start)
		}
		r.frames = append(r.frames, recorded{at, f})
	}
}

// taken returns the frames so far, in a bubble all that there were.
func (r *recorder) taken() []recorded {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.frames)
}

// want checks all frames so far, each as "1.5ms 7E0#0201AB".
func (r *recorder) want(t testing.TB, want ...string) {
	t.Helper()
	var got []string
	for _, f := range r.taken() {
		got = append(got, fmt.Sprintf("%v %v", f.at, f.frame.String()))
	}
	if !slices.Equal(got, want) {
		t.Errorf("on the bus:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// wantErr checks that err is a *net.OpError of that operation about that
// connection, and what is in it.
func wantErr(t testing.TB, err error, op string, c *isotpnet.Conn, target error) {
	t.Helper()
	oe, ok := err.(*net.OpError)
	if !ok {
		t.Errorf("%s: error is %v (%T), want a *net.OpError of %v", op, err, err, target)
		return
	}
	if oe.Op != op || oe.Net != "isotp:user" && oe.Net != "isotp" {
		t.Errorf("Op is %q and Net %q, want %q and isotp or isotp:user", oe.Op, oe.Net, op)
	}
	if c != nil && (oe.Source != c.LocalAddr() || oe.Addr != c.RemoteAddr()) {
		t.Errorf("Source is %v and Addr %v, want %v and %v", oe.Source, oe.Addr, c.LocalAddr(), c.RemoteAddr())
	}
	if _, twice := errors.AsType[*net.OpError](oe.Err); twice {
		t.Errorf("%v: a *net.OpError within another", err)
	}
	if !errors.Is(err, target) {
		t.Errorf("%s: error is %v, want %v", op, err, target)
	}
}

// wantCode checks for a *ProtocolError in a *net.OpError.
func wantCode(t testing.TB, err error, op string, c *isotpnet.Conn, code isotpnet.Code) {
	t.Helper()
	pe, ok := errors.AsType[*isotpnet.ProtocolError](err)
	if !ok || pe.Code != code {
		t.Errorf("%s: error is %v (%T), want the code %v", op, err, err, code)
		return
	}
	wantErr(t, err, op, c, pe)
	if got, want := err.(net.Error).Timeout(), pe.Timeout(); got != want {
		t.Errorf("Timeout() is %v outside and %v inside", got, want)
	}
}

// wantRead reads once and checks what.
func wantRead(t testing.TB, c net.Conn, want string) {
	t.Helper()
	p := make([]byte, max(4096, 2*len(want)))
	n, err := c.Read(p)
	if err != nil || string(p[:n]) != want {
		t.Errorf("Read: %d bytes %.40x, %v; want %d bytes %.40x", n, p[:n], err, len(want), want)
	}
}

// wantWrite writes once.
func wantWrite(t testing.TB, c net.Conn, p string) {
	t.Helper()
	if n, err := c.Write([]byte(p)); n != len(p) || err != nil {
		t.Errorf("Write: %d, %v; want %d, nil", n, err, len(p))
	}
}

// beginWrite writes once, beside the test, which ends only after it: a Write
// returns some time after the message was read, and must not find the Conn closed.
func beginWrite(t testing.TB, c net.Conn, p string) { beside(t, func() { wantWrite(t, c, p) }) }

// beginRead reads once, beside the test, which ends only after it.
func beginRead(t testing.TB, c net.Conn, want string) { beside(t, func() { wantRead(t, c, want) }) }

// beside runs f beside the test. What the test has opened before is closed after f
// has returned.
func beside(t testing.TB, f func()) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(f)
	t.Cleanup(wg.Wait)
}

// wantSince checks how late it is in the bubble.
func wantSince(t testing.TB, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("it took %v, want %v", got, want)
	}
}
