package einride

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"go.einride.tech/can"
	"go.einride.tech/can/pkg/socketcan"
)

// connOn is a Conn of a tap of a virtual network, and another tap.
func connOn(t *testing.T, o virtual.Options) (*Conn, *virtual.Tap) {
	t.Helper()
	n, err := virtual.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var taps [2]*virtual.Tap
	for i := range taps {
		if taps[i], err = n.Tap(); err != nil {
			t.Fatal(err)
		}
	}
	c := NewConn(taps[0], "virtual:test")
	t.Cleanup(func() { c.Close(); taps[1].Close(); n.Close() })
	return c, taps[1]
}

func write(t *testing.T, b canbus.Bus, frames ...canbus.Frame) {
	t.Helper()
	for len(frames) > 0 {
		n, err := b.WriteFrames(frames)
		if err != nil {
			t.Fatal(err)
		}
		frames = frames[n:]
	}
}

func TestTheirReceiverHearsAnyBus(t *testing.T) {
	c, tap := connOn(t, virtual.Options{})
	write(t, tap,
		canbus.Frame{ID: 0x7E8, Len: 3, Data: [64]byte{2, 0x50, 3}},
		canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended, Len: 1, Data: [64]byte{1}},
		canbus.Frame{ID: 0x123, Flags: canbus.Remote, Len: 8})
	rx := socketcan.NewReceiver(c)
	for _, want := range []can.Frame{
		{ID: 0x7E8, Length: 3, Data: can.Data{2, 0x50, 3}},
		{ID: 0x18DAF110, IsExtended: true, Length: 1, Data: can.Data{1}},
		{ID: 0x123, IsRemote: true, Length: 8},
	} {
		if !rx.Receive() || rx.Frame() != want {
			t.Errorf("received %v (%v), want %v", rx.Frame(), rx.Err(), want)
		}
	}
}

func TestTheirTransmitterSendsOnAnyBus(t *testing.T) {
	c, tap := connOn(t, virtual.Options{})
	tx := socketcan.NewTransmitter(c)
	for _, step := range []struct {
		theirs can.Frame
		want   canbus.Frame
	}{
		{can.Frame{ID: 0x7E0, Length: 3, Data: can.Data{2, 0x10, 3}}, canbus.Frame{ID: 0x7E0, Len: 3, Data: [64]byte{2, 0x10, 3}}},
		{can.Frame{ID: 0x18DA10F1, IsExtended: true}, canbus.Frame{ID: 0x18DA10F1, Flags: canbus.Extended}},
		{can.Frame{ID: 0x123, IsRemote: true, Length: 8}, canbus.Frame{ID: 0x123, Flags: canbus.Remote, Len: 8}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it sets a deadline
		if err := tx.TransmitFrame(ctx, step.theirs); err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := next(t, tap); got != step.want {
			t.Errorf("%v arrives as %v, want %v", step.theirs, got, step.want)
		}
	}
}

// scripted is a bus whose calls do what the test says.
type scripted struct {
	read, write func([]canbus.Frame) (int, error)
	closed      chan struct{}
	once        sync.Once
}

func newScripted() *scripted {
	s := &scripted{closed: make(chan struct{})}
	s.read, s.write = s.wait, s.wait
	return s
}

// wait is a call that waits.
func (s *scripted) wait([]canbus.Frame) (int, error) {
	<-s.closed
	return 0, net.ErrClosed
}

func (s *scripted) ReadFrames(b []canbus.Frame) (int, error)  { return s.read(b) }
func (s *scripted) WriteFrames(b []canbus.Frame) (int, error) { return s.write(b) }

func (s *scripted) Close() error {
	s.once.Do(func() { close(s.closed) })
	return errScripted
}

var errScripted = errors.New("scripted")

// reads makes ReadFrames return these, one at a time, and then err; or wait, if that
// is nil.
func (s *scripted) reads(err error, frames ...canbus.Frame) {
	s.read = func(b []canbus.Frame) (int, error) {
		if len(frames) == 0 {
			if err == nil {
				return s.wait(b)
			}
			return 0, err
		}
		b[0] = frames[0]
		frames = frames[1:]
		return 1, nil
	}
}

func TestTheirReceiverIsToldOfErrors(t *testing.T) {
	s := newScripted()
	s.reads(nil, canbus.Frame{ID: 0x004, Flags: canbus.ErrorFrame, Len: 8, Data: [64]byte{1: 0x0C}})
	c := NewConn(s, "scripted")
	defer c.Close()
	rx := socketcan.NewReceiver(c)
	if !rx.Receive() || !rx.HasErrorFrame() {
		t.Fatalf("received %v, %v", rx.Frame(), rx.Err())
	}
	const want = socketcan.ControllerErrorRxWarning | socketcan.ControllerErrorTxWarning
	if e := rx.ErrorFrame(); e.ErrorClass != socketcan.ErrorClassController || e.ControllerError != want {
		t.Errorf("received %+v", e)
	}
}

func TestFDFramesAreLeftOutAndCounted(t *testing.T) {
	c, tap := connOn(t, virtual.Options{})
	write(t, tap,
		canbus.Frame{ID: 0x100, Flags: canbus.FD, Len: 64},
		canbus.Frame{ID: 0x200, Flags: canbus.FD | canbus.BRS, Len: 8},
		canbus.Frame{ID: 0x300, Len: 1, Data: [64]byte{7}})
	rx := socketcan.NewReceiver(c)
	if want := (can.Frame{ID: 0x300, Length: 1, Data: can.Data{7}}); !rx.Receive() || rx.Frame() != want {
		t.Errorf("received %v, %v", rx.Frame(), rx.Err())
	}
	if n := c.LeftOut(); n != 2 {
		t.Errorf("LeftOut %d, want 2", n)
	}
}

func TestOwnFramesAreNotRead(t *testing.T) {
	c, tap := connOn(t, virtual.Options{Echo: true})
	f := canbus.Frame{ID: 0x7E0, Len: 1, Data: [64]byte{1}}
	if n, err := c.Write(appendFrame(nil, &f)); n != frameLen || err != nil {
		t.Fatal(n, err)
	}
	next(t, tap)
	write(t, tap, canbus.Frame{ID: 0x7E8})
	rx := socketcan.NewReceiver(c)
	if !rx.Receive() || rx.Frame().ID != 0x7E8 {
		t.Errorf("received %v, %v", rx.Frame(), rx.Err())
	}
}

func TestReadKeepsWhatDoesNotFit(t *testing.T) {
	c, tap := connOn(t, virtual.Options{})
	f := canbus.Frame{ID: 0x7E8, Len: 8, Data: [64]byte{1, 2, 3, 4, 5, 6, 7, 8}}
	write(t, tap, f, f)
	var got []byte
	for len(got) < 2*frameLen {
		var p [5]byte
		n, err := c.Read(p[:])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	if want := string(appendFrame(appendFrame(nil, &f), &f)); string(got) != want {
		t.Errorf("read %X, want %X", got, want)
	}
}

// A Conn that no caller reads does not hold the bus up.
func TestWhatIsNotReadIsDroppedAndCounted(t *testing.T) {
	const more = 100
	frames := make([]canbus.Frame, receiveFrames+more)
	for i := range frames {
		frames[i] = ownFrame(i)
	}
	s := newScripted()
	s.reads(io.EOF, frames...)
	c := NewConn(s, "scripted")
	defer c.Close()
	<-c.life.Over() // all has been there
	if n := c.Dropped(); n != more {
		t.Errorf("Dropped %d, want %d", n, more)
	}
	rx := socketcan.NewReceiver(c)
	for i := range receiveFrames {
		if !rx.Receive() || rx.Frame().Data != (can.Data{byte(i), byte(i >> 8)}) {
			t.Fatalf("received %v after %d, %v", rx.Frame(), i, rx.Err())
		}
	}
}

func TestWhatCannotBeWritten(t *testing.T) {
	c, tap := connOn(t, virtual.Options{})
	good := appendFrame(nil, &canbus.Frame{ID: 0x100})
	for name, bad := range map[string][]byte{
		"15 bytes are not whole frames":  good[:15],
		"17 bytes are not whole frames":  append(good[:16:16], 0),
		"9 bytes in frame 100":           append(append(good[:16:16], good[:4]...), 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		"error report, which cannot be ": appendFrame(nil, &canbus.Frame{ID: 0x80, Flags: canbus.ErrorFrame, Len: 8}),
	} {
		n, err := c.Write(bad)
		if op, ok := err.(*net.OpError); n != 0 || !ok || op.Op != "write" || !strings.Contains(err.Error(), name) {
			t.Errorf("%X: %d, %v; want an error with %q", bad, n, err, name)
		}
	}
	if n, err := c.Write(nil); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	// Nothing of it was sent, and the Conn lives.
	if n, err := c.Write(appendFrame(nil, &canbus.Frame{ID: 0x200})); n != frameLen || err != nil {
		t.Errorf("a frame: %d, %v", n, err)
	}
	if got := next(t, tap); got.ID != 0x200 {
		t.Errorf("sent %v", got)
	}
}

func TestBusThatRefusesAFrame(t *testing.T) {
	s := newScripted()
	s.write = func(b []canbus.Frame) (int, error) {
		if b[0].ID == 2 {
			return 0, errScripted
		}
		return 1, nil
	}
	c := NewConn(s, "scripted")
	defer c.Close()
	var p []byte
	for id := range uint32(4) {
		p = appendFrame(p, &canbus.Frame{ID: id})
	}
	if n, err := c.Write(p); n != 2*frameLen || !errors.Is(err, errScripted) {
		t.Errorf("Write: %d, %v", n, err)
	}
	if n, err := c.Write(p[:frameLen]); n != frameLen || err != nil {
		t.Errorf("Write of another: %d, %v", n, err)
	}
}

func TestTemporaryErrorsOfTheBusPass(t *testing.T) {
	s := newScripted()
	failed := 0
	s.write = func(b []canbus.Frame) (int, error) {
		if failed++; failed < 3 {
			return 0, canbus.Temporary(errScripted)
		}
		return len(b), nil
	}
	reads := 0
	s.read = func(b []canbus.Frame) (int, error) {
		if reads++; reads > 2 {
			return s.wait(b)
		}
		b[0] = canbus.Frame{ID: uint32(reads)}
		return 1, canbus.Temporary(errScripted) // what comes with it is good
	}
	c := NewConn(s, "scripted")
	defer c.Close()
	rx := socketcan.NewReceiver(c)
	for id := range uint32(2) {
		if !rx.Receive() || rx.Frame().ID != id+1 {
			t.Errorf("received %v, %v", rx.Frame(), rx.Err())
		}
	}
	if n, err := c.Write(make([]byte, frameLen)); n != frameLen || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
}

func TestBusThatVanishes(t *testing.T) {
	s := newScripted()
	s.reads(errScripted, canbus.Frame{ID: 1})
	c := NewConn(s, "scripted")
	defer c.Close()
	rx := socketcan.NewReceiver(c)
	if !rx.Receive() || rx.Frame().ID != 1 {
		t.Errorf("received %v, %v; want what came before", rx.Frame(), rx.Err())
	}
	if rx.Receive() || !errors.Is(rx.Err(), errScripted) {
		t.Errorf("received %v, %v", rx.Frame(), rx.Err())
	}
	if _, err := c.Write(make([]byte, frameLen)); !errors.Is(err, errScripted) {
		t.Errorf("Write: %v", err)
	}
	<-s.closed // the bus is closed too
}

func TestBusThatEndsAsItShould(t *testing.T) {
	s := newScripted()
	s.reads(io.EOF, canbus.Frame{ID: 1})
	c := NewConn(s, "scripted")
	defer c.Close()
	rx := socketcan.NewReceiver(c)
	if !rx.Receive() {
		t.Error(rx.Err())
	}
	if rx.Receive() || rx.Err() != nil { // as for every Reader
		t.Errorf("received %v, %v", rx.Frame(), rx.Err())
	}
	if _, err := c.Read(make([]byte, frameLen)); err != io.EOF {
		t.Errorf("Read: %v", err)
	}
}

func timedOut(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout() && errors.Is(err, os.ErrDeadlineExceeded)
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted()
		c := NewConn(s, "scripted")
		defer c.Close()
		p := make([]byte, frameLen)
		start := time.Now()
		c.SetReadDeadline(start.Add(time.Second))
		if _, err := c.Read(p); !timedOut(err) || time.Since(start) != time.Second {
			t.Errorf("Read: %v after %v", err, time.Since(start))
		}
		c.SetReadDeadline(start)
		if _, err := c.Read(p); !timedOut(err) || time.Since(start) != time.Second {
			t.Errorf("Read past the deadline: %v after %v", err, time.Since(start))
		}
		c.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Minute, func() { c.SetDeadline(time.Now()) })
		if _, err := c.Read(p); !timedOut(err) || time.Since(start) != time.Second+time.Minute {
			t.Errorf("Read, with a deadline set meanwhile: %v after %v", err, time.Since(start))
		}
	})
}

func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted()
		taken := 0
		s.write = func(b []canbus.Frame) (int, error) {
			if taken++; taken > 2 {
				return s.wait(b)
			}
			return 1, nil
		}
		c := NewConn(s, "scripted")
		defer c.Close()
		p := make([]byte, 4*frameLen)
		start := time.Now()
		c.SetWriteDeadline(start.Add(time.Second))
		if n, err := c.Write(p); n != 2*frameLen || !timedOut(err) || time.Since(start) != time.Second {
			t.Errorf("Write: %d, %v after %v", n, err, time.Since(start))
		}
		// The bus is still at it.
		c.SetWriteDeadline(start.Add(2 * time.Second))
		if n, err := c.Write(p); n != 0 || !timedOut(err) || time.Since(start) != 2*time.Second {
			t.Errorf("Write after it: %d, %v after %v", n, err, time.Since(start))
		}
		c.SetWriteDeadline(start)
		if n, err := c.Write(p); n != 0 || !timedOut(err) || time.Since(start) != 2*time.Second {
			t.Errorf("Write past the deadline: %d, %v after %v", n, err, time.Since(start))
		}
	})
}

func TestCloseEndsAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewConn(newScripted(), "scripted")
		p := make([]byte, frameLen)
		errs := make(chan error, 4)
		for range 2 {
			go func() {
				_, err := c.Read(p)
				errs <- err
			}()
			go func() {
				_, err := c.Write(p)
				errs <- err
			}()
		}
		synctest.Wait()
		for range 2 {
			if err := c.Close(); !errors.Is(err, errScripted) {
				t.Errorf("Close: %v, want that of the bus", err)
			}
		}
		for range 4 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
		for name, err := range map[string]error{
			"SetDeadline": c.SetDeadline(time.Now()), "SetReadDeadline": c.SetReadDeadline(time.Now()), "SetWriteDeadline": c.SetWriteDeadline(time.Now()),
		} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: %v", name, err)
			}
		}
	})
}

func TestAddressesAndDial(t *testing.T) {
	c, err := Dial("virtual:einride-dial")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, a := range []net.Addr{c.LocalAddr(), c.RemoteAddr()} {
		if a.Network() != "can" || a.String() != "virtual:einride-dial" {
			t.Errorf("address %s %s", a.Network(), a)
		}
	}
	_, err = Dial("nobus:0")
	if op, ok := err.(*net.OpError); !ok || op.Op != "dial" || !strings.Contains(err.Error(), "nobus:0") {
		t.Errorf("Dial: %v", err)
	}
}

// A waiting bus can wait for its reader, as a log can.
type waiting struct{ *scripted }

func (waiting) Properties() canbus.Properties { return canbus.Properties{Waits: true} }

func TestABusThatCanWaitIsHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 3 * receiveFrames
		frames := make([]canbus.Frame, count)
		for i := range frames {
			frames[i] = ownFrame(i)
		}
		s := newScripted()
		s.reads(io.EOF, frames...)
		c := NewConn(waiting{s}, "scripted")
		defer c.Close()
		synctest.Wait() // all that can come without a Read has come
		rx := socketcan.NewReceiver(c)
		for i := range count {
			if !rx.Receive() || rx.Frame().Data != (can.Data{byte(i), byte(i >> 8)}) {
				t.Fatalf("received %v after %d, %v", rx.Frame(), i, rx.Err())
			}
		}
		if rx.Receive() || rx.Err() != nil || c.Dropped() != 0 {
			t.Errorf("after the last frame: %v, %v, %d dropped", rx.Frame(), rx.Err(), c.Dropped())
		}
	})
}

func TestCloseEndsTheWaitForAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted()
		s.reads(io.EOF, make([]canbus.Frame, 2*receiveFrames)...)
		c := NewConn(waiting{s}, "scripted")
		synctest.Wait()
		c.Close() // or a goroutine is left
	})
}

// A dropping bus loses frames.
type dropping struct {
	*scripted
	dropped uint64
}

func (d dropping) Dropped() uint64 { return d.dropped }

func TestWhatTheBusHasDroppedIsCounted(t *testing.T) {
	c := NewConn(dropping{newScripted(), 7}, "scripted")
	defer c.Close()
	if n := c.Dropped(); n != 7 {
		t.Errorf("Dropped is %d, want 7", n)
	}
}

// A flushing bus takes a while to send.
type flushing struct {
	*scripted
	calls *[]string
	err   error
}

func (f flushing) Flush(context.Context) error {
	*f.calls = append(*f.calls, "Flush")
	return f.err
}

func (f flushing) Close() error {
	*f.calls = append(*f.calls, "Close")
	return f.scripted.Close()
}

func TestCloseWaitsUntilAllIsSent(t *testing.T) {
	var calls []string
	s := newScripted()
	s.write = func(b []canbus.Frame) (int, error) { return len(b), nil }
	inDoubt := errors.New("1 frame is in doubt")
	c := NewConn(flushing{s, &calls, inDoubt}, "scripted")
	if _, err := c.Write(appendFrame(nil, &canbus.Frame{ID: 1})); err != nil {
		t.Fatal(err)
	}
	err := c.Close()
	if got := strings.Join(calls, " "); got != "Flush Close" || !errors.Is(err, inDoubt) {
		t.Errorf("Close calls %q of the bus and returns %v", got, err)
	}
}

func TestCloseDoesNotWaitForABusThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		s := newScripted()
		s.write = s.wait
		c := NewConn(flushing{s, &calls, nil}, "scripted")
		wrote := make(chan error)
		go func() {
			_, err := c.Write(appendFrame(nil, &canbus.Frame{ID: 1}))
			wrote <- err
		}()
		synctest.Wait()
		start := time.Now()
		closed := make(chan error)
		go func() { closed <- c.Close() }()
		if err := <-wrote; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
		if err := <-closed; !errors.Is(err, errScripted) || time.Since(start) > stuck {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		if got := strings.Join(calls, " "); got != "Close" {
			t.Errorf("Close calls %q of the bus", got)
		}
	})
}
