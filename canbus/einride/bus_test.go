package einride

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
	"example.com/isotp/test/netns"
	"example.com/isotp/test/wine/winetest"
	"go.einride.tech/can"
	"go.einride.tech/can/pkg/socketcan"
	"go.uber.org/goleak"
)

// verifyNoLeak is for the end of a test.
func verifyNoLeak(t *testing.T) {
	there := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, there) })
}

func TestBusConforms(t *testing.T) {
	verifyNoLeak(t)
	for name, pair := range map[string]bustest.MakePair{
		"Pipe": pairOverTheirs(pipes),
		"TCP":  pairOverTheirs(dialed),
	} {
		t.Run(name, func(t *testing.T) { bustest.TestBus(t, pair, bustest.Options{Report: report}) })
	}
}

// needEmulator skips a test of their emulator where it does not work.
func needEmulator(t *testing.T) {
	t.Helper()
	netns.Need(t)
	winetest.Fault(t, "the datagrams of their emulator stop coming while a reader is slow")
}

func TestBusOfTheirEmulatorConforms(t *testing.T) {
	needEmulator(t)
	verifyNoLeak(t)
	bustest.TestBus(t, pairOfTheirEmulator, bustest.Options{Lossy: true})
}

func TestConnsThereAndBackConform(t *testing.T) {
	verifyNoLeak(t)
	for name, o := range map[string]virtual.Options{"Ideal": {}, "Echo": {Echo: true}} {
		t.Run(name, func(t *testing.T) {
			bustest.TestBus(t, pairThereAndBack(o), bustest.Options{Lossy: true})
		})
	}
}

func TestConnIsANetConn(t *testing.T) {
	conntest.Run(t, pairOverTheirs(dialed), isotpnet.Config{})
}

// A group takes one system call for each frame: too slow for all of nettest.
func TestMessagesOverTheirEmulator(t *testing.T) {
	needEmulator(t)
	// The blocks are short enough for the socket's buffer.
	config := isotpnet.Config{BlockSize: 50, TransmitTimeout: time.Minute, FlowControlTimeout: time.Minute, ConsecutiveFrameTimeout: time.Minute}
	c1, c2, stop, err := conntest.Dial(pairOfTheirEmulator, config)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	conntest.Exchange(t, c1, c2)
}

// busOn is a Bus on a pipe, and the pipe's other end.
func busOn(t *testing.T) (*Bus, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	b := NewBus(near)
	t.Cleanup(func() { b.Close(); far.Close() })
	return b, far
}

// next is the next frame that is read.
func next(t *testing.T, b canbus.Bus) canbus.Frame {
	t.Helper()
	var got [1]canbus.Frame
	if _, err := b.ReadFrames(got[:]); err != nil {
		t.Fatal(err)
	}
	got[0].Timestamp = 0
	got[0].Flags &^= canbus.Timed
	return got[0]
}

func TestTheirTransmitterIsHeard(t *testing.T) {
	b, far := busOn(t)
	tx := socketcan.NewTransmitter(far)
	for _, c := range []struct {
		theirs can.Frame
		want   canbus.Frame
	}{
		{can.Frame{ID: 0x7E8, Length: 3, Data: can.Data{2, 0x50, 3}}, canbus.Frame{ID: 0x7E8, Len: 3, Data: [64]byte{2, 0x50, 3}}},
		{can.Frame{ID: 0x18DAF110, IsExtended: true}, canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended}},
		{can.Frame{ID: 0x123, IsRemote: true, Length: 8}, canbus.Frame{ID: 0x123, Flags: canbus.Remote, Len: 8}},
	} {
		sent := make(chan error)
		go func() { sent <- tx.TransmitFrame(t.Context(), c.theirs) }()
		if got := next(t, b); got != c.want {
			t.Errorf("%v is read as %v, want %v", c.theirs, got, c.want)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

func TestTheirReceiverHears(t *testing.T) {
	b, far := busOn(t)
	rx := socketcan.NewReceiver(far)
	for _, c := range []struct {
		ours canbus.Frame
		want can.Frame
	}{
		{canbus.Frame{ID: 0x7E8, Len: 3, Data: [64]byte{2, 0x50, 3}}, can.Frame{ID: 0x7E8, Length: 3, Data: can.Data{2, 0x50, 3}}},
		{canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended}, can.Frame{ID: 0x18DAF110, IsExtended: true}},
		{canbus.Frame{ID: 0x123, Flags: canbus.Remote, Len: 8}, can.Frame{ID: 0x123, IsRemote: true, Length: 8}},
	} {
		sent := make(chan error)
		go func() {
			_, err := b.WriteFrames([]canbus.Frame{c.ours})
			sent <- err
		}()
		if !rx.Receive() || rx.Frame() != c.want || rx.HasErrorFrame() {
			t.Errorf("%v is received as %v (%v), want %v", c.ours, rx.Frame(), rx.Err(), c.want)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

func TestFDIsRefusedAndTheErrorSaysWhy(t *testing.T) {
	b, _ := busOn(t)
	n, err := b.WriteFrames([]canbus.Frame{{ID: 0x7E0, Flags: canbus.FD, Len: 12}})
	if n != 0 || err == nil || !strings.Contains(err.Error(), "CAN FD frame 7E0") || !strings.Contains(err.Error(), "classic CAN only") {
		t.Errorf("WriteFrames: %d, %v", n, err)
	}
	if b.Properties().FD {
		t.Error("Properties promise CAN FD")
	}
}

// A deadline that the connection had from before would end the bus.
func TestDeadlinesOfTheConnectionGo(t *testing.T) {
	near, far := net.Pipe()
	near.SetDeadline(time.Unix(1, 0))
	b := NewBus(near)
	defer b.Close()
	sent := make(chan error)
	go func() {
		_, err := far.Write(make([]byte, frameLen))
		sent <- err
	}()
	if got := next(t, b); got != (canbus.Frame{}) {
		t.Errorf("read %v", got)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestGarbageInAStreamIsLeftOutAndCounted(t *testing.T) {
	b, far := busOn(t)
	want := canbus.Frame{ID: 0x7E8, Len: 2, Data: [64]byte{1, 0x3E}}
	bad := appendFrame(nil, &want)
	bad[offsetLen] = 9
	sent := make(chan error)
	go func() {
		_, err := far.Write(append(append(bad, bad...), appendFrame(nil, &want)...))
		sent <- err
	}()
	if got := next(t, b); got != want {
		t.Errorf("read %v, want %v", got, want)
	}
	if n := b.Malformed(); n != 2 {
		t.Errorf("Malformed %d, want 2", n)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// Each datagram is read for itself: one that is cut short does not spoil the next.
func TestGarbageInDatagramsIsLeftOutAndCounted(t *testing.T) {
	far, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := socketcan.Dial("udp4", far.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := NewBus(near)
	defer b.Close()
	want := canbus.Frame{ID: 0x7E8, Len: 2, Data: [64]byte{1, 0x3E}}
	whole := appendFrame(nil, &want)
	for _, datagram := range [][]byte{whole[:5], {}, append(whole[:16:16], 1), make([]byte, 15), append(whole[:16:16], whole...)} {
		if _, err := far.WriteTo(datagram, near.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if got := next(t, b); got != want {
			t.Errorf("read %v, want %v", got, want)
		}
	}
	if n := b.Malformed(); n != 4 {
		t.Errorf("Malformed %d, want 4", n)
	}
}

// The other end goes in the middle of a message: the calls that wait fail, and say why.
func TestConnectionThatVanishes(t *testing.T) {
	b, far := busOn(t)
	d := isotpnet.Dialer{Bus: b}
	conn, err := d.DialContext(t.Context(), "isotp:user", "/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	errs := make(chan error, 2)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		_, err := conn.Write(make([]byte, 4000))
		errs <- err
	})
	wg.Go(func() {
		_, err := conn.Read(make([]byte, 10))
		errs <- err
	})
	rx := socketcan.NewReceiver(far)
	if !rx.Receive() || rx.Frame().String() != "7E0#1FA0000000000000" {
		t.Errorf("received %v, %v", rx.Frame(), rx.Err())
	}
	far.Close()
	for range 2 {
		err := <-errs
		if lost, ok := errors.AsType[*canbus.GoneError](err); !ok || errors.Is(err, net.ErrClosed) || lost.Err == nil {
			t.Errorf("error %v, want a GoneError, which is not net.ErrClosed yet", err)
		}
	}
	_, err = b.ReadFrames(make([]canbus.Frame, 1))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(fmt.Sprint(err), "pipe") {
		t.Errorf("ReadFrames: %v", err)
	}
	if n, err := b.WriteFrames(make([]canbus.Frame, 1)); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteFrames: %d, %v", n, err)
	}
}

// A connection that takes nothing holds a write up, which Close ends.
func TestConnectionThatStalls(t *testing.T) {
	b, far := busOn(t)
	ended := make(chan error, 1)
	go func() {
		_, err := b.WriteFrames(make([]canbus.Frame, 16))
		ended <- err
	}()
	if _, err := io.ReadFull(far, make([]byte, 1)); err != nil { // it is at it
		t.Fatal(err)
	}
	b.Close()
	if err := <-ended; err != net.ErrClosed {
		t.Errorf("WriteFrames: %v", err)
	}
}

// A flood holds its sender up, and loses nothing.
func TestFloodHoldsTheSenderUp(t *testing.T) {
	b, far := busOn(t)
	const count = 20_000
	var wg sync.WaitGroup
	defer wg.Wait()
	defer far.Close()
	wg.Go(func() {
		tx := socketcan.NewTransmitter(far)
		for i := range count {
			f := can.Frame{ID: 0x100, Length: 2, Data: can.Data{byte(i), byte(i >> 8)}}
			if tx.TransmitFrame(context.Background(), f) != nil {
				return
			}
		}
	})
	buf := make([]canbus.Frame, 50)
	for n := 0; n < count; {
		k, err := b.ReadFrames(buf)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range buf[:k] {
			if i := int(f.Data[0]) | int(f.Data[1])<<8; i != n {
				t.Fatalf("frame %d after %d", i, n-1)
			}
			n++
		}
	}
}

// An iface is a connection to an interface, which answers each call with an error.
type iface struct {
	net.Conn // nil
	errs     []error
}

func (*iface) RemoteAddr() net.Addr        { return addr("can0") }
func (*iface) SetDeadline(time.Time) error { return nil }
func (*iface) Close() error                { return nil }

func (i *iface) next() error {
	err := i.errs[0]
	i.errs = i.errs[1:]
	if err != nil {
		return &net.OpError{Op: "write", Net: "can", Err: err}
	}
	return nil
}

func (i *iface) Write(p []byte) (int, error) {
	if err := i.next(); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (i *iface) Read(p []byte) (int, error) { return 0, i.next() }

func TestFullQueueIsTriedAgain(t *testing.T) {
	b := NewBus(&iface{errs: []error{nil, syscall.ENOBUFS, nil, nil}})
	defer b.Close()
	if n, err := b.WriteFrames(make([]canbus.Frame, 3)); n != 3 || err != nil {
		t.Errorf("WriteFrames: %d, %v", n, err)
	}
}

func TestQueueThatStaysFullIsATemporaryError(t *testing.T) {
	b := NewBus(&iface{errs: []error{nil, syscall.ENOBUFS, syscall.ENOBUFS, syscall.ENOBUFS, syscall.ENOBUFS, nil}})
	defer b.Close()
	if n, err := b.WriteFrames(make([]canbus.Frame, 3)); n != 1 || err != nil {
		t.Errorf("WriteFrames: %d, %v; want the frame in front", n, err)
	}
	if n, err := b.WriteFrames(make([]canbus.Frame, 2)); n != 0 || !errors.Is(err, canbus.ErrTemporary) || !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("WriteFrames: %d, %v; want a temporary ENOBUFS", n, err)
	}
	if n, err := b.WriteFrames(make([]canbus.Frame, 1)); n != 1 || err != nil {
		t.Errorf("WriteFrames: %d, %v", n, err)
	}
}

func TestInterfaceThatIsDownForAWhile(t *testing.T) {
	b := NewBus(&iface{errs: []error{syscall.ENETDOWN, syscall.ENETDOWN, nil}})
	defer b.Close()
	if n, err := b.WriteFrames(make([]canbus.Frame, 1)); n != 0 || !errors.Is(err, syscall.ENETDOWN) || errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteFrames: %d, %v", n, err)
	}
	if _, err := b.ReadFrames(make([]canbus.Frame, 1)); !errors.Is(err, syscall.ENETDOWN) || !errors.Is(err, canbus.ErrTemporary) {
		t.Errorf("ReadFrames: %v", err)
	}
	if n, err := b.WriteFrames(make([]canbus.Frame, 1)); n != 1 || err != nil {
		t.Errorf("WriteFrames: %d, %v", n, err)
	}
}

func TestInterfaceThatIsDeleted(t *testing.T) {
	b := NewBus(&iface{errs: []error{syscall.ENODEV}})
	if n, err := b.WriteFrames(make([]canbus.Frame, 1)); n != 0 || !errors.Is(err, syscall.ENODEV) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteFrames: %d, %v", n, err)
	}
	if _, err := b.ReadFrames(make([]canbus.Frame, 1)); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("ReadFrames: %v", err)
	}
}

func ownFrame(i int) canbus.Frame {
	return canbus.Frame{ID: 0x100, Len: 2, Data: [64]byte{byte(i), byte(i >> 8)}}
}

func addOwn(o *own, i int) (ok bool, wait time.Duration) {
	f := ownFrame(i)
	return o.add(&f)
}

// onGroup is a connection to a multicast group that only this end is in.
type onGroup struct {
	net.Conn // nil
	packets  chan []byte
}

func newGroup() *onGroup { return &onGroup{packets: make(chan []byte, 100)} }

func (*onGroup) RemoteAddr() net.Addr        { return &net.UDPAddr{IP: net.IPv4(239, 64, 142, 206)} }
func (*onGroup) SetDeadline(time.Time) error { return nil }
func (*onGroup) Close() error                { return nil }

func (g *onGroup) Read(p []byte) (int, error) { return copy(p, <-g.packets), nil }

func (g *onGroup) Write(p []byte) (int, error) {
	g.packets <- bytes.Clone(p)
	return len(p), nil
}

// An equal frame from another member of the group is not an echo.
func TestOwnFramesAreKnownByTheirMark(t *testing.T) {
	g := newGroup()
	b := NewBus(g)
	defer b.Close()
	f := ownFrame(1)
	g.Write(appendFrame(nil, &f))
	write(t, b, f)
	g.Write(appendFrame(nil, &f))
	echo := f
	echo.Flags |= canbus.Echo
	for i, want := range []canbus.Frame{f, echo, f} {
		if got := next(t, b); got != want {
			t.Errorf("frame %d is %v, want %v", i, got, want)
		}
	}
}

func TestOwnFramesAreFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwn()
		for i := range ownMost {
			if ok, _ := addOwn(o, i); !ok {
				t.Fatalf("no room for frame %d", i)
			}
			time.Sleep(time.Millisecond)
		}
		if ok, wait := addOwn(o, ownMost); ok || wait != ownLate-ownMost*time.Millisecond {
			t.Errorf("one more: %v, %v", ok, wait)
		}
		o.returned(ownFrame(5))
		<-o.news
		if ok, _ := addOwn(o, ownMost); !ok {
			t.Error("no room, although one is back")
		}
		// The others before it are lost. Those after it come late.
		for i := range 5 {
			if ok, _ := addOwn(o, ownMost+1+i); !ok {
				t.Errorf("no room for %d, although others are lost", i)
			}
		}
		if ok, _ := addOwn(o, 0); ok {
			t.Error("room for too many")
		}
		time.Sleep(ownLate)
		if ok, _ := addOwn(o, 0); !ok {
			t.Error("no room, although all are lost")
		}
		o.returned(ownFrame(7))
		o.takeBack()
		o.takeBack()
	})
}
