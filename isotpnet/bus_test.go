package isotpnet_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// A plainBus has the three methods of a bus and no others. What writing does is
// the test's affair.
type plainBus struct {
	rx     chan canbus.Frame
	write  func(frames []canbus.Frame) (int, error)
	once   sync.Once
	closed chan struct{}
}

// newPlainBus returns a bus that takes everything, until the test sets write.
func newPlainBus(t testing.TB) *plainBus {
	b := &plainBus{
		rx:     make(chan canbus.Frame, 64),
		write:  func(frames []canbus.Frame) (int, error) { return len(frames), nil },
		closed: make(chan struct{}),
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func (b *plainBus) ReadFrames(frames []canbus.Frame) (int, error) {
	select {
	case f := <-b.rx:
		frames[0] = f
		return 1, nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *plainBus) WriteFrames(frames []canbus.Frame) (int, error) {
	select {
	case <-b.closed:
		return 0, net.ErrClosed
	default:
		return b.write(frames)
	}
}

func (b *plainBus) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// receive has the bus receive frames.
func (b *plainBus) receive(frames ...string) {
	for _, f := range mustParseFrames(frames...) {
		b.rx <- f
	}
}

// block is a write that takes nothing until the bus is closed.
func (b *plainBus) block([]canbus.Frame) (int, error) {
	<-b.closed
	return 0, net.ErrClosed
}

// join makes one wire of two buses, which take at most n frames at once.
func join(b1, b2 *plainBus, n int) {
	to := func(other *plainBus) func([]canbus.Frame) (int, error) {
		return func(frames []canbus.Frame) (int, error) {
			frames = frames[:min(n, len(frames))]
			for _, f := range frames {
				select {
				case other.rx <- f:
				case <-other.closed:
				}
			}
			return len(frames), nil
		}
	}
	b1.write, b2.write = to(b2), to(b1)
}

// errBus is an error of a bus.
type errBus struct{ temporary bool }

func (e errBus) Error() string        { return "the bus has an error" }
func (e errBus) Is(target error) bool { return e.temporary && target == canbus.ErrTemporary }

func TestThreeMethodsAreABus(t *testing.T) {
	for _, most := range []int{1, 3, 64} {
		t.Run(fmt.Sprintf("at most %d at once", most), func(t *testing.T) {
			noLeaks(t)
			b1, b2 := newPlainBus(t), newPlainBus(t)
			join(b1, b2, most)
			c1 := dialOn(t, b1, testerAddr, patient)
			c2 := dialOn(t, b2, ecuAddr, patient)
			for size := 1; size < 5000; size = size*2 + 1 {
				wantWrite(t, c1, payload(size))
				wantRead(t, c2, payload(size))
				wantWrite(t, c2, payload(size))
				wantRead(t, c1, payload(size))
			}
		})
	}
}

func TestTemporaryErrorsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b1, b2 := newPlainBus(t), newPlainBus(t)
		join(b1, b2, 64)
		calls, write := 0, b1.write
		b1.write = func(frames []canbus.Frame) (int, error) {
			if calls++; calls%3 != 0 {
				return 0, errBus{temporary: true}
			}
			return write(frames[:1])
		}
		c1 := dialOn(t, b1, testerAddr, isotpnet.Config{})
		c2 := dialOn(t, b2, ecuAddr, isotpnet.Config{})
		wantWrite(t, c1, payload(100))
		wantRead(t, c2, payload(100))
	})
}

// The bus may take frames and fail at once: those taken are sent.
func TestShortWriteWithTemporaryError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b1, b2 := newPlainBus(t), newPlainBus(t)
		join(b1, b2, 2)
		write := b1.write
		b1.write = func(frames []canbus.Frame) (int, error) {
			n, _ := write(frames)
			return n, errBus{temporary: true}
		}
		c1 := dialOn(t, b1, testerAddr, isotpnet.Config{})
		c2 := dialOn(t, b2, ecuAddr, isotpnet.Config{})
		wantWrite(t, c1, payload(100))
		wantRead(t, c2, payload(100))
	})
}

func TestTemporaryErrorForEverIsTimeoutA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		bus.write = func([]canbus.Frame) (int, error) { return 0, errBus{temporary: true} }
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		start := time.Now()
		_, err := c.Write([]byte{1})
		wantSince(t, start, time.Second)
		wantCode(t, err, "write", c, isotpnet.CodeTimeoutA)
		bus.Close()
		time.Sleep(time.Millisecond) // until this is noticed
	})
}

func TestRefusedFrameFailsTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		bus.write = func(frames []canbus.Frame) (int, error) {
			for i, f := range frames {
				if f.Data[1] == 0xBA {
					return i, errBus{}
				}
			}
			return len(frames), nil
		}
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		wantWrite(t, c, "\x01\x02")
		k, err := c.Write([]byte{0xBA, 0xD0})
		wantErr(t, err, "write", c, errBus{})
		if k != 0 {
			t.Errorf("Write returned %d", k)
		}
		wantWrite(t, c, "\x01\x02")
	})
}

// Full duplex: that no flow control can be sent ends the reception it is for,
// not the transmission.
func TestRefusedFlowControlDoesNotFailTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		bus.write = func(frames []canbus.Frame) (int, error) {
			for i, f := range frames {
				if f.Data[0]>>4 == 3 {
					return i, errBus{}
				}
			}
			return len(frames), nil
		}
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		done := make(chan error)
		go func() {
			_, err := c.Write(make([]byte, 100))
			done <- err
		}()
		synctest.Wait()
		bus.receive("7E8#1064010203040506")
		synctest.Wait()
		bus.receive("7E8#300000")
		if err := <-done; err != nil {
			t.Errorf("Write: %v", err)
		}
	})
}

// A write that failed late concerns its own message, not the next one.
func TestLateRefusalDoesNotFailTheNextWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		release := make(chan struct{})
		bus.write = func(frames []canbus.Frame) (int, error) {
			if frames[0].Data[1] == 0xBA {
				<-release
				return 0, errBus{}
			}
			return len(frames), nil
		}
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := c.Write([]byte{0xBA, 0xD0})
		wantErr(t, err, "write", c, os.ErrDeadlineExceeded)
		c.SetWriteDeadline(time.Time{})
		go func() {
			time.Sleep(100 * time.Millisecond)
			close(release)
		}()
		wantWrite(t, c, "\x01\x02")
	})
}

func TestBlockedBusIsTimeoutA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		bus.write = bus.block
		config := isotpnet.Config{TransmitTimeout: 700 * time.Millisecond}
		first := dialOn(t, bus, testerAddr, config)
		second := dialOn(t, bus, "/7E1:7E9", config)
		for range 3 {
			for _, c := range []*isotpnet.Conn{first, second} {
				start := time.Now()
				_, err := c.Write([]byte{1})
				wantSince(t, start, 700*time.Millisecond)
				wantCode(t, err, "write", c, isotpnet.CodeTimeoutA)
			}
		}
	})
}

// A connection that had something to do while the bus was blocked already gets
// all of N_As for its own message.
func TestBlockedBusGivesEachWriteItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		bus.write = bus.block
		first := dialOn(t, bus, testerAddr, isotpnet.Config{})
		second := dialOn(t, bus, "/7E1:7E9", isotpnet.Config{})
		go first.Write([]byte{1})
		bus.receive("7E9#02ABCD")
		wantRead(t, second, "\xAB\xCD")
		time.Sleep(700 * time.Millisecond)
		start := time.Now()
		_, err := second.Write([]byte{1})
		wantSince(t, start, time.Second)
		wantCode(t, err, "write", second, isotpnet.CodeTimeoutA)
	})
}

func TestBlockedBusObeysDeadlinesAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		bus.write = bus.block
		c := dialOn(t, bus, testerAddr, isotpnet.Config{TransmitTimeout: time.Hour})
		start := time.Now()
		c.SetWriteDeadline(start.Add(time.Minute))
		_, err := c.Write([]byte{1})
		wantSince(t, start, time.Minute)
		wantErr(t, err, "write", c, os.ErrDeadlineExceeded)

		c.SetWriteDeadline(time.Time{})
		go func() {
			time.Sleep(time.Minute)
			c.Close()
		}()
		_, err = c.Write([]byte{1})
		wantSince(t, start, 2*time.Minute)
		wantErr(t, err, "write", c, net.ErrClosed)
	})
}

// Reading must not wait for writing.
func TestBlockedBusStillReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		bus.write = bus.block
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		start := time.Now()
		go c.Write([]byte{1})
		synctest.Wait()
		for i := range 500 {
			bus.receive(fmt.Sprintf("7E8#02AB%02X", i%256))
			wantRead(t, c, "\xAB"+string([]byte{byte(i)}))
		}
		wantSince(t, start, 0)
	})
}

func TestFlowControlThatCannotBeSentIsTimeoutA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		bus.write = bus.block
		var aborted []isotpnet.TraceEvent
		c := dialOn(t, bus, testerAddr, isotpnet.Config{Trace: &isotpnet.Trace{
			ReceptionAborted: func(ev isotpnet.TraceEvent) { aborted = append(aborted, ev) },
		}})
		start := time.Now()
		bus.receive("7E8#1064010203040506")
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(aborted) != 1 || aborted[0].Code != isotpnet.CodeTimeoutA || aborted[0].Time.Sub(start) != time.Second {
			t.Errorf("aborted: %+v, want N_TIMEOUT_A after 1s", aborted)
		}
		if got := c.Stats().Errors[isotpnet.CodeTimeoutA]; got != 1 {
			t.Errorf("%d N_TIMEOUT_A, want 1", got)
		}
	})
}

func TestBusThatFailsFailsItsConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		ecu := newNode(t, n)
		c := dialOn(t, tap, testerAddr, isotpnet.Config{})
		ln := listenOn(t, tap, "/7E9:7E1", isotpnet.Config{})
		ecu.send("7E8#02ABCD")
		synctest.Wait()
		done := make(chan error, 3)
		go func() {
			_, err := c.Write(make([]byte, 100))
			done <- err
		}()
		accepted := make(chan error, 1)
		go func() {
			_, err := ln.Accept()
			accepted <- err
		}()
		synctest.Wait()
		tap.Close()
		wantErr(t, <-done, "write", c, net.ErrClosed)
		wantErr(t, <-accepted, "accept", nil, net.ErrClosed)
		wantRead(t, c, "\xAB\xCD") // what has come is not lost
		_, err := c.Read(make([]byte, 1))
		wantErr(t, err, "read", c, net.ErrClosed)
		_, err = c.Write([]byte{1})
		wantErr(t, err, "write", c, net.ErrClosed)
		_, err = ln.Accept()
		wantErr(t, err, "accept", nil, net.ErrClosed)
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// failingBus reads an error once the test says so.
type failingBus struct {
	*plainBus
	fail chan error
}

func (b *failingBus) ReadFrames(frames []canbus.Frame) (int, error) {
	select {
	case f := <-b.rx:
		frames[0] = f
		return 1, nil
	case err := <-b.fail:
		return 0, err
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func TestFinalReadErrorIsThatOfEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &failingBus{newPlainBus(t), make(chan error)}
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		bus.fail <- errBus{temporary: true} // is tried again
		bus.receive("7E8#02ABCD")
		wantRead(t, c, "\xAB\xCD")
		done := make(chan error)
		go func() {
			_, err := c.Write(make([]byte, 100))
			done <- err
		}()
		synctest.Wait()
		bus.fail <- errBus{}
		wantErr(t, <-done, "write", c, errBus{})
		_, err := c.Read(make([]byte, 1))
		wantErr(t, err, "read", c, errBus{})
		_, _, err = c.NextReader()
		wantErr(t, err, "read", c, errBus{})
	})
}

// A lossyBus loses the echoes that the test wants lost.
type lossyBus struct {
	*virtual.Tap
	lost func(canbus.Frame) bool
}

func (b *lossyBus) ReadFrames(frames []canbus.Frame) (int, error) {
	for {
		n, err := b.Tap.ReadFrames(frames)
		kept := slices.DeleteFunc(frames[:n], func(f canbus.Frame) bool { return f.Has(canbus.Echo) && b.lost(f) })
		if len(kept) > 0 || err != nil {
			return len(kept), err
		}
	}
}

// A later echo proves that the frames before it have left, however many echoes are lost.
func TestLostEchoesHoldUpNobody(t *testing.T) {
	for name, c := range map[string]isotpnet.Config{"classic": {}, "FD": {FD: true, FrameSize: 16}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{Bitrate: 500_000, QueueLen: 10})
				bus := &lossyBus{newTap(t, n), func(f canbus.Frame) bool { return f.Data[0]&0xF7 == 0x23 }}
				c1, other := dialOn(t, bus, testerAddr, c), dialOn(t, bus, "/7E1:7E9", c)
				c2 := dialOn(t, newTap(t, n), ecuAddr, c)
				beginRead(t, c2, payload(4095))
				wantWrite(t, c1, payload(4095))
				wantWrite(t, other, "x")
			})
		})
	}
}

// A standingBus is that of a process that stands still with its next write, while the test
// holds what is in goes.
type standingBus struct {
	*plainBus
	goes chan struct{}
}

func (b *standingBus) TryWriteFrames(frames []canbus.Frame) (int, error) {
	b.goes <- <-b.goes
	return b.WriteFrames(frames)
}

// A frame that the bus has received in time is not too late, even if the process stood still
// and could not read it then.
func TestFlowControlThatCameWhileTheProcessStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &standingBus{newPlainBus(t), make(chan struct{}, 1)}
		bus.goes <- struct{}{}
		paced, c := dialOn(t, bus, "/7E1:7E9", isotpnet.Config{}), dialOn(t, bus, testerAddr, isotpnet.Config{FlowControlTimeout: 100 * ms})
		beginWrite(t, paced, payload(20))
		synctest.Wait()
		bus.receive("7E9#300032") // STmin 50 ms
		beginWrite(t, c, payload(13))
		synctest.Wait()
		standing := <-bus.goes // from the next write on, at 50 ms
		time.Sleep(250 * ms)
		bus.goes <- standing
		time.Sleep(ms)
		bus.receive("7E8#300000")
	})
}

// A bus on which reading has failed while a write never comes back.
func TestFailedBusWithABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &failingBus{newPlainBus(t), make(chan error)}
		bus.write = bus.block
		c := dialOn(t, bus, testerAddr, isotpnet.Config{TransmitTimeout: time.Hour})
		done := make(chan error)
		go func() {
			_, err := c.Write([]byte{1})
			done <- err
		}()
		synctest.Wait()
		start := time.Now()
		bus.fail <- errBus{}
		_, err := c.Read(make([]byte, 1))
		wantErr(t, err, "read", c, errBus{})
		wantSince(t, start, 0)
		wantErr(t, <-done, "write", c, errBus{})
		wantSince(t, start, time.Second)
	})
}

func TestGivenBusOutlivesItsConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		ecu := newNode(t, n)
		for i := range 5 {
			c := dialOn(t, tap, testerAddr, isotpnet.Config{})
			wantWrite(t, c, string([]byte{byte(i)}))
			ecu.hear(fmt.Sprintf("7E0#01%02XCCCCCCCCCCCC", i))
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tap.WriteFrames(mustParseFrames("123#")); err != nil {
			t.Errorf("the bus was closed: %v", err)
		}
	})
}

func TestNamedBusVanishesWithItsLastUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bus = "virtual:vanish"
		ln, err := isotpnet.Listen("isotp:user", bus+ecuAddr)
		if err != nil {
			t.Fatal(err)
		}
		tester, err := isotpnet.Dial("isotp:user", bus+testerAddr)
		if err != nil {
			t.Fatal(err)
		}
		wantWrite(t, tester, "hello")
		ecu, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		create := func() error {
			n, err := virtual.Create("vanish", virtual.Options{})
			if err == nil {
				n.Close()
			}
			return err
		}
		for _, user := range []io.Closer{ln, tester, ecu} {
			if create() == nil {
				t.Errorf("the bus is gone before %T was closed", user)
			}
			user.Close()
			user.Close() // counts once
		}
		if err := create(); err != nil {
			t.Errorf("the bus is still there: %v", err)
		}
	})
}

func TestFailedDialLeavesNoBusBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		classic, err := virtual.Create("left", virtual.Options{Classic: true})
		if err != nil {
			t.Fatal(err)
		}
		d := isotpnet.Dialer{Config: isotpnet.Config{FD: true}}
		if _, err := d.Dial("isotp:user", "virtual:left/7E0:7E8"); err == nil {
			t.Fatal("FD on a classic bus")
		}
		lc := isotpnet.ListenConfig{Config: isotpnet.Config{FD: true}}
		if _, err := lc.Listen(t.Context(), "isotp:user", "virtual:left/7E0:7E8"); err == nil {
			t.Fatal("FD on a classic bus")
		}
		classic.Close()
		again, err := virtual.Create("left", virtual.Options{})
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
	})
}

// Every connection gets its turn, and flow control goes first.
func TestManyConnsShareTheBusFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conns, size = 20, 700
		n := newNetwork(t, virtual.Options{Bitrate: 500_000})
		rec := record(t, n)
		tap, other := newTap(t, n), newTap(t, n)
		var wg sync.WaitGroup
		for i := range conns {
			// Connections with higher identifiers must not lose inside the program:
			// all connections share one queue.
			c := dialOn(t, tap, fmt.Sprintf("/%X:%X", 0x600+i, 0x500+i), isotpnet.Config{})
			s := dialOn(t, other, fmt.Sprintf("/%X:%X", 0x500+i, 0x600+i), isotpnet.Config{})
			wg.Go(func() { wantWrite(t, c, payload(size)) })
			wg.Go(func() { wantRead(t, s, payload(size)) })
		}
		wg.Wait()
		var ends []time.Duration
		var left [conns]int
		for _, f := range rec.taken() {
			if i := int(f.frame.ID) - 0x600; i >= 0 {
				if left[i]++; left[i] == 1+(size-6+6)/7 {
					ends = append(ends, f.at)
				}
			}
		}
		slices.Sort(ends)
		if len(ends) != conns {
			t.Fatalf("%d messages have ended, want %d", len(ends), conns)
		}
		if first, last := ends[0], ends[conns-1]; first < last*9/10 {
			t.Errorf("the first has ended after %v, the last after %v: want about the same", first, last)
		}
	})
}

// An echo is not a frame of the peer's, and others on the same bus hear it.
func TestBothEndsOnOneEchoingTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{Bitrate: 500_000})
		tap := newTap(t, n)
		c1, c2 := dialOn(t, tap, testerAddr, isotpnet.Config{}), dialOn(t, tap, ecuAddr, isotpnet.Config{})
		wantWrite(t, c1, payload(100))
		wantRead(t, c2, payload(100))
		wantWrite(t, c2, payload(200))
		wantRead(t, c1, payload(200))
	})
}

func TestErrorFramesAndRemoteFramesAreNoMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		bus.rx <- canbus.Frame{ID: 0x7E8, Flags: canbus.ErrorFrame, Len: 8, Data: [64]byte{1, 0xEE}}
		bus.rx <- canbus.Frame{ID: 0x7E8, Flags: canbus.Remote, Len: 8, Data: [64]byte{1, 0xEE}}
		bus.rx <- canbus.Frame{ID: 0x7E8, Flags: canbus.Extended, Len: 8, Data: [64]byte{1, 0xEE}}
		bus.rx <- canbus.Frame{ID: 0x7E8, Len: 255, Data: [64]byte{1, 0xEE}}
		bus.receive("7E8#01AB")
		wantRead(t, c, "\xAB")
	})
}

func TestOldBusErrorIsNotThatOfALaterDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		dialOn(t, bus, testerAddr, isotpnet.Config{}).Close()
		bus.Close()
		synctest.Wait()
		d := isotpnet.Dialer{Bus: bus}
		c, err := d.Dial("isotp:user", testerAddr)
		if err == nil { // a bus of three methods does not say that it is closed
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("error is %v, want net.ErrClosed", err)
		}
	})
}
