package kernel

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"example.com/isotp/internal/wire"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// A fakeSocket stands for the kernel's ISO-TP where there is none: a pair of datagram
// sockets. Of a Conn on one of them a message of more than some hundred bytes is being sent
// until the peer takes it out of the other; a shorter one is sent at once. Errors of the
// protocol it has none: tests give them to dispatch.
type fakeSocket struct {
	t    testing.TB
	c    *Conn
	peer int // the other socket

	owed  time.Time
	asked chan struct{} // has something when Spec.Owed was called
}

// long is as long as a message must be for a fakeSocket to take only one.
const long = 4000

func newFake(t testing.TB, adapt func(*Spec)) *fakeSocket {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeSocket{t: t, peer: fds[1], asked: make(chan struct{}, 1)}
	t.Cleanup(func() { unix.Close(f.peer) })
	f.must(unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1))
	sock, err := socket.New(fds[0], "fake")
	f.must(err)
	spec := &Spec{
		Rx: &wire.Address{ID: 1}, Single: 7, ReportAborted: true,
		Owed: func(string) time.Time {
			select {
			case f.asked <- struct{}{}:
			default:
			}
			return f.owed
		},
		Owe: func(string, time.Time) {},
	}
	if adapt != nil {
		adapt(spec)
	}
	f.c, err = newConn(sock, &opener{Spec: spec, bus: "fake"})
	f.must(err)
	t.Cleanup(func() { f.c.Close() })
	return f
}

func (f *fakeSocket) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// brings has a message come.
func (f *fakeSocket) brings(text string) {
	f.t.Helper()
	_, err := unix.Write(f.peer, []byte(text))
	f.must(err)
}

// takes has the peer take a message, for which it waits: the message is sent then.
func (f *fakeSocket) takes(want []byte) {
	f.t.Helper()
	f.awaitMessage()
	p := make([]byte, 2*long)
	n, err := unix.Read(f.peer, p)
	f.must(err)
	if !bytes.Equal(p[:n], want) {
		f.t.Errorf("the peer has taken %d bytes, want %d", n, len(want))
	}
}

// awaitMessage waits until there is a message for the peer to take.
func (f *fakeSocket) awaitMessage() {
	ready := []unix.PollFd{{Fd: int32(f.peer), Events: unix.POLLIN}}
	for ready[0].Revents == 0 {
		unix.Poll(ready, -1)
	}
}

// isBusy has the socket send a message that is none of the Conn's.
func (f *fakeSocket) isBusy() {
	f.t.Helper()
	f.control(func(fd int) {
		_, err := unix.Write(fd, make([]byte, long))
		f.must(err)
	})
}

func (f *fakeSocket) control(what func(fd int)) {
	f.t.Helper()
	f.must(f.c.raw.Control(func(fd uintptr) { what(int(fd)) }))
}

// dispatch has the Conn take an error from its socket.
func (f *fakeSocket) dispatch(errno unix.Errno) {
	f.t.Helper()
	f.control(func(fd int) {
		f.c.mu.Lock()
		defer f.c.mu.Unlock()
		f.c.dispatch(fd, errno)
	})
}

// tries has the Conn go on with its message.
func (f *fakeSocket) tries() (done bool) {
	f.t.Helper()
	f.control(func(fd int) { done = f.c.tryWriteOnce(uintptr(fd)) })
	return done
}

// awaitRead waits until a Read waits for a message.
func (f *fakeSocket) awaitRead() {
	for waits := false; !waits; runtime.Gosched() {
		f.c.mu.Lock()
		waits = f.c.reading
		f.c.mu.Unlock()
	}
}
