package kernel

import (
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"example.com/isotp/internal/engine"
	"golang.org/x/sys/unix"
)

// receives wants the next bytes of a message.
func (f *fakeSocket) receives(room int, want string, rest int) {
	f.t.Helper()
	p := make([]byte, room)
	n, info, err := f.c.Receive(p)
	if string(p[:n]) != want || info.Rest != rest || err != nil {
		f.t.Errorf("%q, %+v, %v; want %q and %d bytes more", p[:n], info, err, want, rest)
	}
}

func TestReceiveInParts(t *testing.T) {
	f := newFake(t, nil)
	f.brings("ABCDEFG")
	f.brings("x")
	f.receives(3, "ABC", 4)
	f.receives(4, "DEFG", 0)
	f.receives(4, "x", 0)
}

func TestOpenSkipsWhatItHasOpened(t *testing.T) {
	f := newFake(t, nil)
	f.brings("ABCD")
	f.brings("x")
	for _, want := range []int{4, 1} {
		if info, err := f.c.Open(); info.Size != want || info.Rest != want || info.First.IsZero() || err != nil {
			t.Errorf("%+v, %v; want %d bytes", info, err, want)
		}
	}
	f.receives(4, "x", 0)
}

func TestAwaitKeepsTheMessage(t *testing.T) {
	f := newFake(t, nil)
	f.brings("ABCD")
	for range 2 {
		if info, err := f.c.Await(); info.Size != 4 || err != nil {
			t.Errorf("%+v, %v", info, err)
		}
	}
	f.receives(9, "ABCD", 0)
}

// Drain counts the rest of a message, those in the queue and those in the socket.
func TestDrain(t *testing.T) {
	f := newFake(t, nil).drainIn(drainStanding)
	f.brings("ABCD")
	f.drains()
	f.receives(2, "AB", 2)
	f.brings("queued")
	f.drains()
	f.brings("in the socket")
	f.c.mu.Lock()
	f.c.readErr = ErrOverrun
	f.c.mu.Unlock()
	if n, err := f.c.Drain(); n != 3 || err != nil {
		t.Errorf("%d, %v; want 3", n, err)
	}
	f.c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, _, err := f.c.Receive(make([]byte, 1)); err != os.ErrDeadlineExceeded {
		t.Errorf("after Drain: %v", err)
	}
	f.c.Close()
	if _, err := f.c.Drain(); err != net.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// What was lost in front of a message is told first.
func TestReceiveOverrun(t *testing.T) {
	f := newFake(t, nil)
	f.c.recv.size, f.c.recv.drops = 3, 2
	f.c.read.p = []byte("new")
	f.c.received(nil)
	if f.c.read.err != ErrOverrun || f.c.counts.Errors[engine.ReceiverFull] != 2 {
		t.Errorf("%v, stats %+v", f.c.read.err, f.c.counts)
	}
	f.receives(9, "new", 0)
}

// An overrun in the queue stands where the messages are missing.
func TestQueueTellsWhatIsMissing(t *testing.T) {
	f := newFake(t, nil).drainIn(drainIdle)
	f.c.queue.push(message{data: []byte("before")})
	f.c.queue.push(message{})
	f.c.queue.push(message{data: []byte("after")})
	f.receives(9, "before", 0)
	if _, _, err := f.c.Receive(make([]byte, 9)); err != ErrOverrun {
		t.Errorf("%v, want %v", err, ErrOverrun)
	}
	f.receives(9, "after", 0)
}

// The first message of a connection: receptions aborted make none, and an overrun is for
// the first Read.
func TestPrefetch(t *testing.T) {
	f := newFake(t, nil).drainIn(drainIdle)
	f.c.readErr = ResultError(engine.TimeoutCr)
	f.c.queue.push(message{})
	f.c.queue.push(message{data: []byte("first")})
	f.must(f.c.prefetch())
	if _, _, err := f.c.Receive(make([]byte, 9)); err != ErrOverrun {
		t.Errorf("%v, want %v", err, ErrOverrun)
	}
	f.receives(9, "first", 0)
	f.c.readErr = os.NewSyscallError("read", unix.ENETDOWN)
	if err := f.c.prefetch(); err == nil {
		t.Error("an interface that is down has a message")
	}
}

// A socket is fit for another connection if it has only messages and the error of one.
func TestReset(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(f *fakeSocket)
		fit     bool
	}{
		{"messages", func(f *fakeSocket) { f.brings("one"); f.brings("two") }, true},
		{"a message is being sent", func(f *fakeSocket) { f.sendIn(sendTaken) }, false},
		{"the interface is gone", func(f *fakeSocket) { f.dispatch(unix.ENODEV) }, false},
	} {
		f := newFake(t, nil)
		test.prepare(f)
		if got := f.c.reset(); got != test.fit {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestDeadlinesAfterClose(t *testing.T) {
	f := newFake(t, nil)
	f.must(f.c.Close())
	f.must(f.c.Close())
	for name, err := range map[string]error{
		"SetReadDeadline":  f.c.SetReadDeadline(time.Time{}),
		"SetWriteDeadline": f.c.SetWriteDeadline(time.Time{}),
	} {
		if err != net.ErrClosed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.c.SyscallConn(); err != net.ErrClosed {
		t.Errorf("SyscallConn: %v", err)
	}
}

// An Observer hears everything once, in its order.
func TestObserver(t *testing.T) {
	var heard []engine.ObservationKind
	f := newFake(t, func(s *Spec) {
		s.Made = func(c *Conn) { c.Observer = observerFunc(func(o engine.Observation) { heard = append(heard, o.Kind) }) }
	})
	f.brings("one")
	f.receives(9, "one", 0)
	f.c.Send([]byte("x"), 1)
	f.dispatch(unix.EILSEQ)
	f.c.tell()
	want := []engine.ObservationKind{engine.MessageReceived, engine.MessageSent, engine.ReceptionAborted}
	if len(heard) != 3 || heard[0] != want[0] || heard[1] != want[1] || heard[2] != want[2] {
		t.Errorf("%v, want %v", heard, want)
	}
}

// An Observer may close the connection, also when the drainer tells it.
func TestObserverThatCloses(t *testing.T) {
	closed := make(chan error, 1)
	f := newFake(t, func(s *Spec) {
		s.Made = func(c *Conn) {
			c.Observer = observerFunc(func(engine.Observation) { closed <- c.Close() })
		}
	})
	f.c.begin()
	for stands := false; !stands; runtime.Gosched() {
		f.c.mu.Lock()
		stands = f.c.queue.state == drainStanding
		f.c.mu.Unlock()
	}
	f.brings("one")
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

type observerFunc func(engine.Observation)

func (f observerFunc) Step(o engine.Observation) { f(o) }
