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

// A recorder is a Handler that gives each call to the test.
type recorder struct {
	messages chan handled
	sent     chan handled
}

type handled struct {
	message string
	handed  bool
	err     error
}

func newRecorder() *recorder {
	return &recorder{make(chan handled, 10), make(chan handled, 10)}
}

func (r *recorder) Message(_ engine.Time, p []byte, err error) {
	r.messages <- handled{string(p), false, err}
}

func (r *recorder) Sent(_ engine.Time, handed bool, err error) { r.sent <- handled{"", handed, err} }

// handles gives a fake socket's messages to a recorder.
func handles(f *fakeSocket) *recorder {
	f.t.Helper()
	r := newRecorder()
	f.must(f.c.Handle(r))
	return r
}

func TestHandlerReceives(t *testing.T) {
	f := newFake(t, nil)
	f.brings("before")
	r := handles(f)
	f.brings("after")
	for _, want := range []string{"before", "after"} {
		if got := <-r.messages; got.message != want || got.err != nil {
			t.Errorf("%+v, want %q", got, want)
		}
	}
	f.c.Close()
	if got := <-r.messages; got.err != net.ErrClosed {
		t.Errorf("after Close %v", got.err)
	}
	if err := f.c.Handle(r); err != net.ErrClosed {
		t.Errorf("Handle after Close: %v", err)
	}
}

// Losses do not end a Handler's messages, and neither does an interface that is down, but
// for one that is down again and again.
func TestHandlerHearsErrors(t *testing.T) {
	f := newFake(t, nil)
	r := handles(f)
	hears := func(errno unix.Errno, is func(error) bool) {
		t.Helper()
		f.awaitRead()
		f.dispatch(errno)
		if got := <-r.messages; !is(got.err) {
			t.Errorf("%v is heard as %v", errno, got.err)
		}
	}
	hears(unix.EILSEQ, func(err error) bool { return err == ResultError(engine.WrongSN) })
	f.brings("one")
	if got := <-r.messages; got.message != "one" {
		t.Errorf("%+v after a loss", got)
	}
	down := func(err error) bool { _, ok := err.(*DownError); return ok }
	for range maxDowns {
		hears(unix.ENETDOWN, down)
	}
	hears(unix.ENETDOWN, func(err error) bool { return !down(err) && errors.Is(err, unix.ENETDOWN) })
}

func TestHandlerSends(t *testing.T) {
	f := newFake(t, nil)
	r := handles(f)
	f.c.Start([]byte("short"))
	if got := <-r.sent; !got.handed || got.err != nil {
		t.Errorf("%+v", got)
	}
	f.takes([]byte("short"))
	if f.c.Recall(true) {
		t.Error("Recall after the end says that the message has left")
	}
	if s := f.c.Stats(); s.MessagesSent != 1 || s.BytesSent != 5 {
		t.Errorf("%+v", s)
	}
}

func TestRecall(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(f *fakeSocket)
		givenUp bool
		owed    bool
		counted uint32
	}{
		{"the kernel has another message", func(f *fakeSocket) { f.isBusy() }, true, false, 0},
		{"a flow control is owed", func(f *fakeSocket) { f.owed = time.Now().Add(time.Hour) }, true, true, 1},
		{"a flow control is owed, to be sent again", func(f *fakeSocket) { f.owed = time.Now().Add(time.Hour) }, false, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, nil)
			r := handles(f)
			test.prepare(f)
			f.c.Start(message4000)
			<-f.asked
			if f.c.Recall(test.givenUp) {
				t.Fatal("the message has left")
			}
			got := <-r.sent
			_, owed := got.err.(*OwedError)
			if !errors.Is(got.err, os.ErrDeadlineExceeded) || owed != test.owed || got.handed {
				t.Errorf("%+v", got)
			}
			if n := f.c.Stats().Errors[engine.FlowControlOwed]; n != test.counted {
				t.Errorf("counted %d times, want %d", n, test.counted)
			}
		})
	}
}

// A message that the kernel has taken goes its way.
func TestRecallTooLate(t *testing.T) {
	f := newFake(t, nil)
	r := handles(f)
	f.c.Start(message4000)
	f.awaitMessage() // the peer could take it
	if !f.c.Recall(true) {
		t.Error("the message can be taken back")
	}
	f.takes(message4000)
	if got := <-r.sent; !got.handed || got.err != nil {
		t.Errorf("%+v", got)
	}
}
