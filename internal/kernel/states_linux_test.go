package kernel

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"example.com/isotp/internal/engine"
	"golang.org/x/sys/unix"
)

// These tests walk the tables of states_linux.go: each row provokes one transition.

var message4000 = make([]byte, long)

// How a message comes into each state.
func (f *fakeSocket) sendIn(state sendState) *fakeSocket {
	f.t.Helper()
	f.c.write.p = message4000
	if state != sendIdle {
		f.c.beginSend(message4000)
	}
	switch state {
	case sendOwed:
		f.owed = time.Now().Add(time.Hour)
		f.tries()
	case sendFull:
		f.c.notTaken(unix.ENOBUFS)
	case sendTaken:
		f.tries()
	}
	if f.c.send != state {
		f.t.Fatalf("the message is in state %d, want %d", f.c.send, state)
	}
	return f
}

func TestSendStates(t *testing.T) {
	taken := func(f *fakeSocket) { f.tries() }
	for _, test := range []struct {
		name string
		from sendState
		do   func(f *fakeSocket)
		to   sendState
		err  error // of the message that has ended
	}{
		{"a message is there", sendIdle, func(f *fakeSocket) { f.c.beginSend(message4000) }, sendReady, nil},

		{"the kernel takes it", sendReady, taken, sendTaken, nil},
		{"a flow control is owed", sendReady, func(f *fakeSocket) { f.owed = time.Now().Add(time.Hour); f.tries() }, sendOwed, nil},
		{"the kernel has a message given up", sendReady, func(f *fakeSocket) { f.isBusy(); f.tries() }, sendReady, nil},
		{"the interface's queue is full", sendReady, func(f *fakeSocket) { f.c.notTaken(unix.ENOBUFS) }, sendFull, nil},
		{"too long for the kernel", sendReady, func(f *fakeSocket) { f.c.notTaken(unix.EINVAL); f.c.endSend() }, sendIdle, &TooLongError{long, long - 1, false}},
		{"the interface is down", sendReady, func(f *fakeSocket) { f.c.notTaken(unix.ENETDOWN); f.c.endSend() }, sendIdle, os.NewSyscallError("write", unix.ENETDOWN)},
		{"the interface is gone", sendReady, func(f *fakeSocket) { f.c.notTaken(unix.ENXIO); f.c.endSend() }, sendIdle, &GoneError{os.NewSyscallError("write", unix.ENODEV)}},
		{"an error of another message", sendReady, func(f *fakeSocket) { f.dispatch(unix.EMSGSIZE) }, sendReady, nil},

		{"it is still owed", sendOwed, func(f *fakeSocket) { f.tries() }, sendOwed, nil},
		{"nothing is owed any more", sendOwed, func(f *fakeSocket) { f.owed = time.Now(); f.tries() }, sendTaken, nil},
		{"nothing is owed, but the kernel is busy", sendOwed, func(f *fakeSocket) { f.owed = time.Now(); f.isBusy(); f.tries() }, sendReady, nil},

		{"there is room in the queue", sendFull, taken, sendTaken, nil},
		{"there is room, but the kernel is busy", sendFull, func(f *fakeSocket) { f.isBusy(); f.tries() }, sendReady, nil},

		{"it is still being sent", sendTaken, func(f *fakeSocket) { f.tries() }, sendTaken, nil},
		{"it is sent", sendTaken, func(f *fakeSocket) { f.takes(message4000); f.tries() }, sendIdle, nil},
		{"its error", sendTaken, func(f *fakeSocket) { f.dispatch(unix.EMSGSIZE); f.tries() }, sendIdle, ResultError(engine.BufferOverflow)},
		{"a reception's error", sendTaken, func(f *fakeSocket) { f.dispatch(unix.EILSEQ); f.tries() }, sendTaken, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, nil).sendIn(test.from)
			test.do(f)
			if f.c.send != test.to || !sameError(f.c.write.err, test.err) {
				t.Errorf("state %d, error %v; want %d, %v", f.c.send, f.c.write.err, test.to, test.err)
			}
		})
	}
}

// Deadlines and Close end a message in every state; Recall says what it can take back.
func TestSendEndsInEveryState(t *testing.T) {
	for _, state := range []struct {
		name    string
		prepare func(f *fakeSocket)
		err     error // at the deadline
		counted engine.Code
	}{
		{"sendReady", func(f *fakeSocket) { f.isBusy() }, os.ErrDeadlineExceeded, 0},
		{"sendOwed", func(f *fakeSocket) { f.owed = time.Now().Add(time.Hour) }, &OwedError{}, engine.FlowControlOwed},
		{"sendTaken", func(*fakeSocket) {}, os.ErrDeadlineExceeded, engine.Aborted},
	} {
		t.Run(state.name, func(t *testing.T) {
			f := newFake(t, nil)
			state.prepare(f)
			f.c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			_, err := f.c.Send(message4000, long)
			_, owed := err.(*OwedError)
			if _, want := state.err.(*OwedError); !errors.Is(err, os.ErrDeadlineExceeded) || owed != want {
				t.Errorf("at the deadline: %v, want %v", err, state.err)
			}
			if f.c.send != sendIdle {
				t.Errorf("state %d after the deadline", f.c.send)
			}
			if s := f.c.Stats(); state.counted != 0 && s.Errors[state.counted] != 1 || state.counted == 0 && s.SendsAborted != 0 {
				t.Errorf("stats %+v", s)
			}

			f = newFake(t, nil)
			state.prepare(f)
			sent := make(chan error, 1)
			go func() { _, err := f.c.Send(message4000, long); sent <- err }()
			f.c.Close()
			if err := <-sent; err != net.ErrClosed {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

// drainIn brings what drains the socket into a state. No timer calls tick.
func (f *fakeSocket) drainIn(state drainState) *fakeSocket {
	f.t.Helper()
	q := &f.c.queue
	q.timer = time.AfterFunc(time.Hour, func() {})
	switch state {
	case drainArmed:
		f.c.begin()
	case drainIdle:
		f.c.begin()
		q.state = drainIdle // as while a Read waits
	case drainStanding:
		f.c.begin()
		f.ticks()
	}
	if q.state != state {
		f.t.Fatalf("state %d, want %d", q.state, state)
	}
	return f
}

func (f *fakeSocket) ticks() (empty, stand bool) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return f.c.ticked()
}

// drains has the drainer look at the socket.
func (f *fakeSocket) drains() (away bool) {
	f.control(func(fd int) { away = f.c.tryDrain(uintptr(fd)) })
	return away
}

func TestDrainStates(t *testing.T) {
	for _, test := range []struct {
		name string
		from drainState
		do   func(f *fakeSocket)
		to   drainState
	}{
		{"begin", drainOff, func(f *fakeSocket) { f.c.begin() }, drainArmed},

		{"tick while a Read waits", drainArmed, func(f *fakeSocket) { f.c.beginRead(); f.ticks() }, drainIdle},
		{"tick while the queue is full", drainArmed, func(f *fakeSocket) { f.c.queue.limit = 0; f.ticks() }, drainIdle},
		{"tick when the interface is gone", drainArmed, func(f *fakeSocket) { f.dispatch(unix.ENODEV); f.ticks() }, drainIdle},
		{"tick after a Read", drainArmed, func(f *fakeSocket) {
			f.c.beginRead()
			f.c.endRead()
			if empty, _ := f.ticks(); empty {
				f.t.Error("the socket is emptied though the Read has found it empty")
			}
		}, drainArmed},
		{"tick after a Read that has found more", drainArmed, func(f *fakeSocket) {
			f.brings("one")
			f.c.Receive(make([]byte, 10))
			if empty, _ := f.ticks(); !empty {
				f.t.Error("the socket is not emptied")
			}
		}, drainArmed},
		{"tick after no Read", drainArmed, func(f *fakeSocket) {
			if _, stand := f.ticks(); !stand {
				f.t.Error("there is no drainer")
			}
		}, drainStanding},

		{"a Read ends", drainIdle, func(f *fakeSocket) { f.c.beginRead(); f.c.endRead() }, drainArmed},
		{"Drain", drainIdle, func(f *fakeSocket) { f.c.Drain() }, drainArmed},

		{"a message comes", drainStanding, func(f *fakeSocket) {
			f.brings("one")
			if f.drains() || f.c.queue.empty() {
				f.t.Error("the message is not in the queue")
			}
		}, drainStanding},
		{"a Read begins", drainStanding, func(f *fakeSocket) { f.c.beginRead() }, drainIdle},
		{"a Read that has its message in the queue", drainStanding, func(f *fakeSocket) {
			f.brings("one")
			f.drains()
			f.c.Receive(make([]byte, 10))
		}, drainStanding},
		{"the queue is full", drainStanding, func(f *fakeSocket) {
			f.c.queue.limit = 1
			f.brings("one")
			if !f.drains() {
				f.t.Error("the drainer stays")
			}
		}, drainIdle},
		{"the interface is gone", drainStanding, func(f *fakeSocket) { f.dispatch(unix.ENODEV); f.drains() }, drainIdle},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, nil).drainIn(test.from)
			test.do(f)
			if f.c.queue.state != test.to {
				t.Errorf("state %d, want %d", f.c.queue.state, test.to)
			}
		})
	}
}

// The drainer leaves for a Read, and for Close.
func TestDrainerLeaves(t *testing.T) {
	for name, leave := range map[string]func(f *fakeSocket){
		"a Read":  func(f *fakeSocket) { f.c.beginRead() },
		"a Close": func(f *fakeSocket) { f.c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, nil).drainIn(drainStanding)
			left := make(chan struct{})
			go func() { f.c.standAtSocket(); close(left) }()
			leave(f)
			<-left
			if f.c.queue.drainer {
				t.Error("the drainer counts as there")
			}
		})
	}
}

func TestLinkStates(t *testing.T) {
	sent := func(f *fakeSocket) {
		f.c.beginSend([]byte{1})
		f.tries()
	}
	received := func(f *fakeSocket) {
		f.brings("one")
		f.c.Receive(make([]byte, 10))
	}
	for _, test := range []struct {
		name string
		from linkState
		do   func(f *fakeSocket)
		to   linkState
	}{
		{"down", linkUp, func(f *fakeSocket) { f.dispatch(unix.ENETDOWN) }, linkDown},
		{"deleted", linkUp, func(f *fakeSocket) { f.dispatch(unix.ENODEV) }, linkGone},
		{"sent", linkDown, sent, linkUp},
		{"received", linkDown, received, linkUp},
		{"down again", linkDown, func(f *fakeSocket) { f.dispatch(unix.ENETDOWN) }, linkDown},
		{"down, then deleted", linkDown, func(f *fakeSocket) { f.dispatch(unix.EADDRNOTAVAIL) }, linkGone},
		{"deleted, and a message was left", linkGone, received, linkGone},
		{"deleted, then down", linkGone, func(f *fakeSocket) { f.dispatch(unix.ENETDOWN) }, linkGone},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, nil)
			f.c.link = test.from
			test.do(f)
			if f.c.link != test.to {
				t.Errorf("state %d, want %d", f.c.link, test.to)
			}
		})
	}
}
