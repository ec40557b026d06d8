package isotpnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

// The tests that use this file need CAN in the kernel: see test/vm. Elsewhere
// they are skipped.

func TestMain(m *testing.M) { cantest.Main(m) }

var interfaces atomic.Uint32

// newInterface makes a virtual CAN interface that is up, until the test's end.
func newInterface(t testing.TB) string {
	t.Helper()
	cantest.Need(t)
	name := fmt.Sprintf("ktest%d", interfaces.Add(1))
	must(t, cantest.AddLink(name))
	t.Cleanup(func() { cantest.DeleteLink(name) }) // a test may have done so
	must(t, cantest.SetLink(name, true))
	return name
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustDial dials until the test's end.
func (d *Dialer) mustDial(t testing.TB, network, address string) *Conn {
	t.Helper()
	c, err := d.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*Conn)
}

// kernelPair returns both ends of a pair.
func kernelPair(t testing.TB, d *Dialer) (c1, c2 *Conn) {
	t.Helper()
	name := newInterface(t)
	return d.mustDial(t, "isotp:kernel", name+"/7E0:7E8"), d.mustDial(t, "isotp:kernel", name+"/7E8:7E0")
}

// The sizes of struct can_frame and struct canfd_frame.
const (
	mtuClassic = 16
	mtuFD      = 72
)

// A rawPeer is a node on an interface that sends and sees frames as it likes.
type rawPeer struct {
	t  testing.TB
	fd int
}

func newRawPeer(t testing.TB, name string) *rawPeer {
	t.Helper()
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FD_FRAMES, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}),
		unix.Bind(fd, &unix.SockaddrCAN{Ifindex: i.Index}),
	); err != nil {
		t.Fatal(err)
	}
	return &rawPeer{t, fd}
}

// send sends frames given as candump writes them.
func (p *rawPeer) send(frames ...string) {
	p.t.Helper()
	for _, text := range frames {
		f, err := canbus.ParseFrame(text)
		if err != nil {
			p.t.Fatal(err)
		}
		b := make([]byte, mtuClassic)
		if f.Has(canbus.FD) {
			b = make([]byte, mtuFD)
			b[5] = 4 // CANFD_FDF
		}
		id := f.ID
		if f.Has(canbus.Extended) {
			id |= unix.CAN_EFF_FLAG
		}
		binary.NativeEndian.PutUint32(b, id)
		b[4] = f.Len
		copy(b[8:], f.Payload())
		if _, err := unix.Write(p.fd, b); err != nil {
			p.t.Fatal(err)
		}
	}
}

// next returns the next frame on the bus.
func (p *rawPeer) next() string {
	p.t.Helper()
	f, err := p.tryNext()
	if err != nil {
		p.t.Fatalf("no frame came: %v", err)
	}
	return f
}

func (p *rawPeer) tryNext() (string, error) {
	b := make([]byte, mtuFD)
	n, err := unix.Read(p.fd, b)
	for err == unix.EINTR {
		n, err = unix.Read(p.fd, b)
	}
	if err != nil {
		return "", err
	}
	f := canbus.Frame{ID: binary.NativeEndian.Uint32(b), Len: b[4]}
	if f.ID&unix.CAN_EFF_FLAG != 0 {
		f.Flags |= canbus.Extended
	}
	f.ID &= unix.CAN_EFF_MASK
	if n == mtuFD {
		f.Flags |= canbus.FD
		if b[5]&1 != 0 {
			f.Flags |= canbus.BRS
		}
	}
	copy(f.Data[:], b[8:])
	return f.String(), nil
}

// expect fails unless these are the next frames.
func (p *rawPeer) expect(frames ...string) {
	p.t.Helper()
	for _, want := range frames {
		if got := p.next(); got != want {
			p.t.Fatalf("frame %s, want %s", got, want)
		}
	}
}

// within fails if what f does takes longer. Where time is not exact it may take ten
// times as long, as the computer is busy.
func within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
	if !cantest.ExactTime() {
		limit *= 10
	}
	done := make(chan struct{})
	start := time.Now()
	go func() { defer close(done); f() }()
	select {
	case <-done:
		t.Logf("%s took %v", what, time.Since(start))
	case <-time.After(limit):
		t.Fatalf("%s takes more than %v", what, limit)
	}
}

// The names are those of the errors of package unix too.
const (
	errDown     = unix.ENETDOWN
	errNoDevice = unix.ENODEV
)

var errClosed = net.ErrClosed
