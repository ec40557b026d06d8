package kernel

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/isotp/internal/engine"
	"golang.org/x/sys/unix"
)

func TestSendWaitsForTheEnd(t *testing.T) {
	f := newFake(t, nil)
	sent := make(chan error, 1)
	go func() { sent <- f.c.SendFrom(strings.NewReader(string(message4000)), long) }()
	<-f.asked
	f.c.mu.Lock()
	if f.c.send != sendTaken {
		t.Errorf("state %d before the message was sent", f.c.send)
	}
	f.c.mu.Unlock()
	f.takes(message4000)
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// Whether a Single Frame on a vcan is sent is not asked: this one is never taken.
func TestSingleFrameOnVcanIsSentAtOnce(t *testing.T) {
	f := newFake(t, func(s *Spec) { s.Single = long })
	f.c.virtual = true
	f.c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := f.c.Send(message4000, long); err != nil {
		t.Error(err)
	}
	if f.c.send != sendIdle {
		t.Errorf("state %d after the message was sent", f.c.send)
	}
}

func TestSendSplits(t *testing.T) {
	f := newFake(t, nil)
	sent := make(chan error, 1)
	go func() { _, err := f.c.Send([]byte("abcdefgh"), 3); sent <- err }()
	for _, want := range []string{"abc", "def", "gh"} {
		f.takes([]byte(want))
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestSendRefused(t *testing.T) {
	single := newFake(t, func(s *Spec) { s.SingleOnly = true })
	double := newFake(t, nil)
	for _, test := range []struct {
		name string
		send func() error
		want error
	}{
		{"longer than a Single Frame", func() error { _, err := single.c.Send(make([]byte, 8), 8); return err }, &TooLongError{8, 7, true}},
		{"longer than the kernel's limit", func() error { return double.c.SendFrom(strings.NewReader(""), 1<<40) }, &TooLongError{1 << 40, double.c.Limit(), false}},
		{"a source that ends", func() error { return double.c.SendFrom(strings.NewReader("12"), 3) }, &SourceError{io.ErrUnexpectedEOF}},
		{"an empty source", func() error { return double.c.SendFrom(strings.NewReader(""), 3) }, &SourceError{io.ErrUnexpectedEOF}},
		{"no functional address", func() error { _, err := double.c.SendFunctional([]byte{1}); return err }, ErrNoFunctional},
	} {
		if err := test.send(); err == nil || err.Error() != test.want.Error() {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	if s := double.c.Stats(); s != (engine.Stats{}) {
		t.Errorf("what was not started is counted: %+v", s)
	}
}

func TestSendOnly(t *testing.T) {
	f := newFake(t, func(s *Spec) { s.Rx, s.Owed, s.Owe = nil, nil, nil })
	if _, _, err := f.c.Receive(make([]byte, 8)); err != ErrSendOnly {
		t.Errorf("Receive: %v", err)
	}
	if _, err := f.c.Await(); err != ErrSendOnly {
		t.Errorf("Await: %v", err)
	}
	if n, err := f.c.Drain(); n != 0 || err != nil {
		t.Errorf("Drain: %d, %v", n, err)
	}
	if n, err := f.c.SendFunctional([]byte("x")); n != 1 || err != nil {
		t.Errorf("SendFunctional: %d, %v", n, err)
	}
	f.takes([]byte("x"))
	f.sendIn(sendTaken)
	f.dispatch(unix.ECOMM)
	if f.tries(); f.c.write.err != ResultError(engine.TimeoutA) {
		t.Errorf("%v: no flow control is waited for here", f.c.write.err)
	}
}

// The end of a message whose deadline comes at the same time is not lost.
func TestSendEndsAtItsDeadline(t *testing.T) {
	f := newFake(t, nil).sendIn(sendTaken)
	f.takes(message4000)
	if !f.c.endedMeanwhile() || f.c.write.err != nil {
		t.Errorf("it has not ended: %v", f.c.write.err)
	}
}

// What a peer of an earlier connection owes is told by Close, if a message is being sent.
func TestCloseOwes(t *testing.T) {
	for _, sending := range []bool{true, false} {
		owes := 0
		f := newFake(t, func(s *Spec) { s.Owe = func(string, time.Time) { owes++ } })
		f.sendIn(sendTaken)
		if !sending {
			f.takes(message4000)
		}
		f.c.endSend() // as at a deadline
		f.c.Close()
		if (owes == 1) != sending {
			t.Errorf("sending %v: owed %d times", sending, owes)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		err error
		is  error
	}{
		{&OwedError{time.Now()}, os.ErrDeadlineExceeded},
		{&SourceError{io.ErrUnexpectedEOF}, io.ErrUnexpectedEOF},
		{&GoneError{unix.ENODEV}, unix.ENODEV},
		{&DownError{unix.ENETDOWN}, unix.ENETDOWN},
		{&UnsupportedError{unix.EAFNOSUPPORT}, unix.EAFNOSUPPORT},
		{noSocket(unix.EPROTONOSUPPORT), errors.ErrUnsupported},
		{noSocket(unix.EPERM), unix.EPERM},
		{tooOld(Linux(5, 10)), errors.ErrUnsupported},
	} {
		if !errors.Is(test.err, test.is) || test.err.Error() == "" {
			t.Errorf("%#v is not %v", test.err, test.is)
		}
	}
	if text := tooOld(Linux(5, 10)).Error(); !strings.Contains(text, "6.1") || !strings.Contains(text, "5.10") {
		t.Errorf("%q does not name the versions", text)
	}
}
