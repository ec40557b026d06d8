package mux

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"unsafe"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/internal/engine"
)

func inEndpointBubble(t *testing.T, f func(t *testing.T, bus *fakeBus, ep *Endpoint)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		f(t, bus, attach(t, own(t, bus), pair(0x7E0, 0x7E8)))
	})
}

// Each of the calls that may wait, on an endpoint where none of them can end.
var waitingCalls = map[string]func(ep *Endpoint) error{
	"Send":     func(ep *Endpoint) error { return send(ep, message(20)) },
	"SendFrom": func(ep *Endpoint) error { return ep.SendFrom(bytes.NewReader(message(20)), 20) },
	"Receive":  func(ep *Endpoint) error { _, err := receive(ep); return err },
	"Open":     func(ep *Endpoint) error { _, err := ep.Open(); return err },
}

// forEachWaiting runs a test with three of a call: one at it, two in line.
func forEachWaiting(t *testing.T, f func(t *testing.T, bus *fakeBus, ep *Endpoint, call func() error, results []<-chan error)) {
	t.Helper()
	for name, call := range waitingCalls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newFakeBus()
				s := pair(0x7E0, 0x7E8)
				s.Config.NBs = time.Hour
				ep := attach(t, own(t, bus), s)
				once := func() error { return call(ep) }
				results := []<-chan error{start(once), start(once), start(once)}
				wantWaiting(t, results...)
				f(t, bus, ep, once, results)
			})
		})
	}
}

func setDeadlines(ep *Endpoint, at time.Time) {
	ep.SetReadDeadline(at)
	ep.SetWriteDeadline(at)
}

func TestCloseEndsTheCallsThatWait(t *testing.T) {
	forEachWaiting(t, func(t *testing.T, _ *fakeBus, ep *Endpoint, call func() error, results []<-chan error) {
		if !ep.Close() {
			t.Error("Close reports that it was closed")
		}
		for _, result := range results {
			wantResult(t, result, net.ErrClosed)
		}
		if err := call(); err != net.ErrClosed {
			t.Errorf("a call after Close: %v", err)
		}
		if err := ep.SetReadDeadline(time.Time{}); err != net.ErrClosed {
			t.Errorf("SetReadDeadline: %v", err)
		}
		if err := ep.SetWriteDeadline(time.Now()); err != net.ErrClosed {
			t.Errorf("SetWriteDeadline: %v", err)
		}
		if err := call(); err != net.ErrClosed {
			t.Errorf("a call after SetDeadline after Close: %v", err)
		}
		if ep.Close() {
			t.Error("the second Close reports that it was open")
		}
	})
}

func TestDeadlineEndsTheCallsThatWait(t *testing.T) {
	forEachWaiting(t, func(t *testing.T, _ *fakeBus, ep *Endpoint, call func() error, results []<-chan error) {
		begun := time.Now()
		setDeadlines(ep, begun.Add(time.Minute))
		for _, result := range results {
			wantResult(t, result, os.ErrDeadlineExceeded)
		}
		if d := time.Since(begun); d != time.Minute {
			t.Errorf("it took %v", d)
		}
		if err := call(); err != os.ErrDeadlineExceeded {
			t.Errorf("a call past the deadline: %v", err)
		}
		setDeadlines(ep, time.Time{})
		wantWaiting(t, start(call))
		setDeadlines(ep, time.Now())
	})
}

func TestPastDeadlineEndsTheCallsThatWait(t *testing.T) {
	forEachWaiting(t, func(t *testing.T, _ *fakeBus, ep *Endpoint, call func() error, results []<-chan error) {
		setDeadlines(ep, time.Now())
		setDeadlines(ep, time.Time{}) // it has come all the same
		for _, result := range results {
			wantResult(t, result, os.ErrDeadlineExceeded)
		}
	})
}

func TestBusErrorEndsTheCallsThatWait(t *testing.T) {
	forEachWaiting(t, func(t *testing.T, bus *fakeBus, ep *Endpoint, call func() error, results []<-chan error) {
		bus.in <- input{err: errBroken}
		for _, result := range results {
			wantResult(t, result, errBroken)
		}
	})
}

func TestReadersTakeTurns(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		got := make(chan byte)
		for range 5 {
			go func() {
				p, err := receive(ep)
				if err != nil {
					t.Error(err)
					p = []byte{0}
				}
				got <- p[0]
			}()
		}
		bus.put(t, "7E8#0101", "7E8#0102", "7E8#0103")
		bus.put(t, "7E8#0104", "7E8#0105")
		var all []byte
		for range 5 {
			all = append(all, <-got)
		}
		slices.Sort(all)
		if !bytes.Equal(all, []byte{1, 2, 3, 4, 5}) {
			t.Errorf("received % X", all)
		}
	})
}

func TestSendersTakeTurns(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		results := []<-chan error{
			startSend(ep, message(20)), startSend(ep, message(20)), startSend(ep, message(20)),
		}
		for range 3 {
			if got := bus.written(); len(got) != 1 || !strings.HasPrefix(got[0], "7E0#1014") {
				t.Errorf("the bus took %q, want one First Frame", got)
			}
			bus.put(t, "7E8#300000")
			bus.mu.Lock()
			bus.taken = slices.Delete(bus.taken, 0, 2)
			bus.mu.Unlock()
		}
		for _, result := range results {
			wantResult(t, result, nil)
		}
	})
}

func TestSplitMessagesAreOneTurn(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		var n int
		split := start(func() (err error) {
			n, err = ep.SendSplit(message(17), 8)
			return err
		})
		synctest.Wait()
		other := startSend(ep, []byte{9})
		for range 2 {
			if got := bus.written(); len(got) != 1 || !strings.HasPrefix(got[0], "7E0#1008") {
				t.Errorf("the bus took %q, want a First Frame of 8 bytes", got)
			}
			bus.put(t, "7E8#300000")
			bus.mu.Lock()
			bus.taken = slices.Delete(bus.taken, 0, 1)
			bus.mu.Unlock()
		}
		wantResult(t, split, nil)
		wantResult(t, other, nil)
		bus.want(t, "7E0#0170", "7E0#0109")
		if n != 17 {
			t.Errorf("n is %d, want 17", n)
		}
	})
}

func TestSplitMessagesEndWithTheFirstThatFails(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		var n int
		result := start(func() (err error) {
			n, err = ep.SendSplit(message(30), 8)
			return err
		})
		bus.put(t, "7E8#300000")
		bus.put(t, "7E8#320000")
		wantResult(t, result, ResultError(engine.BufferOverflow))
		if n != 8 {
			t.Errorf("n is %d, want 8", n)
		}
	})
}

// A sender that gives up leaves the turn to the next.
func TestTurnPassesOnWhenOneGivesUp(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		first, second := startSend(ep, message(20)), startSend(ep, []byte{2})
		wantResult(t, first, ResultError(engine.TimeoutBs))
		wantResult(t, second, nil)
	})
}

func TestDeadlineWhileWaitingForTheTurnLeavesTheOtherAlone(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		// The one at it reads from a source that knows no deadline.
		r, w := io.Pipe()
		first := start(func() error { return ep.SendFrom(r, 5) })
		second := startSend(ep, []byte{1})
		ep.SetWriteDeadline(time.Now().Add(time.Second))
		wantResult(t, second, os.ErrDeadlineExceeded)
		ep.SetWriteDeadline(time.Time{})
		wantWaiting(t, first)
		go w.Write(message(5))
		wantResult(t, first, nil)
		bus.want(t, "7E0#0500070E151C")
	})
}

func TestDeadlineThatComesWhileTheSourceIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := tryBus{newFakeBus()}
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		r, w := io.Pipe()
		first := start(func() error { return ep.SendFrom(r, 5) })
		ep.SetWriteDeadline(time.Now())
		go w.Write(message(5))
		wantResult(t, first, os.ErrDeadlineExceeded)
		bus.want(t)
	})
}

func TestDeadlineThatComesWhileALaterPartIsRead(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		r, w := io.Pipe()
		result := start(func() error { return ep.SendFrom(r, 3*chunkSize) })
		w.Write(message(chunkSize))
		synctest.Wait()
		ep.SetWriteDeadline(time.Now())
		w.Write(message(100))
		wantResult(t, result, os.ErrDeadlineExceeded)
		bus.written()
		ep.SetWriteDeadline(time.Time{})
		if err := send(ep, []byte{1}); err != nil {
			t.Error("the next message:", err)
		}
		bus.want(t, "7E0#0101")
	})
}

// The deadline may come when the message is sent, before its call has noticed.
func TestDeadlineThatComesAfterTheMessage(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		wantResult(t, startSend(ep, []byte{1}), nil)
		if err := ep.expire(); err != nil {
			t.Errorf("the message that was sent fails with %v", err)
		}
		if n := ep.Stats().SendsAborted; n != 0 {
			t.Errorf("%d were aborted", n)
		}
	})
}

func TestAbortedSendLeavesNothingForTheNext(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		for range 3 {
			result := startSend(ep, message(100))
			ep.SetWriteDeadline(time.Now())
			wantResult(t, result, os.ErrDeadlineExceeded)
			ep.SetWriteDeadline(time.Time{})
			bus.put(t, "7E8#300000") // no sender waits for it any more
			bus.written()
			if err := send(ep, []byte{1}); err != nil {
				t.Error(err)
			}
			bus.want(t, "7E0#0101")
		}
	})
}

func TestResultOfTheProtocol(t *testing.T) {
	for flowControl, want := range map[string]engine.Code{
		"7E8#320000": engine.BufferOverflow,
		"7E8#330000": engine.InvalidFS,
		"7E8#":       engine.TimeoutBs,
	} {
		inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
			result := startSend(ep, message(20))
			bus.put(t, flowControl)
			wantResult(t, result, ResultError(want))
		})
	}
	if s := timeoutA.Error(); !strings.HasSuffix(s, " 1") {
		t.Errorf("error %q does not name the code", s)
	}
}

func TestPeersCloseIsNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := virtualTaps(t, virtual.Options{HangUp: true}, 2)
		ep := attach(t, own(t, taps[0]), pair(0x7E0, 0x7E8))
		waiting := startSend(ep, message(20))
		if _, err := taps[1].WriteFrames(frames(parse(t, "7E8#0101"))); err != nil {
			t.Fatal(err)
		}
		taps[1].Close()
		wantResult(t, waiting, ErrClosedByPeer)
		if err := send(ep, []byte{1}); err != ErrClosedByPeer {
			t.Errorf("Send: %v", err)
		}
		if got, err := receive(ep); err != nil || got[0] != 1 {
			t.Errorf("received % X, %v", got, err)
		}
		if _, err := receive(ep); err != io.EOF {
			t.Errorf("Receive: %v", err)
		}
	})
}

func TestSendFrom(t *testing.T) {
	for name, reader := range map[string]func(io.Reader) io.Reader{
		"at once":       func(r io.Reader) io.Reader { return r },
		"byte by byte":  iotest.OneByteReader,
		"half":          iotest.HalfReader,
		"EOF with data": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 7, 8, 4096, chunkSize, chunkSize + 1, 3*chunkSize + 5} {
				synctest.Test(t, func(t *testing.T) {
					taps := virtualTaps(t, virtual.Options{}, 2)
					from := attach(t, own(t, taps[0]), pair(0x7E0, 0x7E8))
					to := attach(t, own(t, taps[1]), pair(0x7E8, 0x7E0))
					p := message(size)
					received := startReceive(to, p)
					if err := from.SendFrom(reader(bytes.NewReader(p)), uint32(size)); err != nil {
						t.Errorf("%d bytes: %v", size, err)
					}
					if err := <-received; err != nil {
						t.Errorf("%d bytes: %v", size, err)
					}
				})
			}
		})
	}
}

func TestSourceErrors(t *testing.T) {
	const size = 3 * chunkSize
	for name, c := range map[string]struct {
		source io.Reader
		want   error
	}{
		"at once":        {iotest.ErrReader(errBroken), errBroken},
		"empty":          {strings.NewReader(""), io.ErrUnexpectedEOF},
		"short":          {bytes.NewReader(message(100)), io.ErrUnexpectedEOF},
		"one byte short": {bytes.NewReader(message(size - 1)), io.ErrUnexpectedEOF},
		"later":          {io.MultiReader(bytes.NewReader(message(chunkSize+1)), iotest.ErrReader(errBroken)), errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
				result := start(func() error { return ep.SendFrom(c.source, size) })
				bus.put(t, "7E8#300000")
				err := <-result
				if source, ok := errors.AsType[*SourceError](err); !ok || source.Err != c.want || !errors.Is(err, c.want) {
					t.Errorf("SendFrom: %v", err)
				} else if !strings.Contains(err.Error(), c.want.Error()) {
					t.Errorf("error %q does not name the cause", err)
				}
				if err := send(ep, []byte{1}); err != nil {
					t.Error("the next message:", err)
				}
			})
		})
	}
}

func TestStalledSourceEndsTheMessage(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		r, w := io.Pipe()
		result := start(func() error { return ep.SendFrom(r, 3*chunkSize) })
		go func() {
			w.Write(message(chunkSize))
			time.Sleep(5 * time.Second)
			w.Write(message(chunkSize))
		}()
		synctest.Wait()
		bus.put(t, "7E8#300000")
		wantResult(t, result, ResultError(engine.SourceStalled))
	})
}

func TestMessageThatThePeerEndsWhileTheSourceIsRead(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		r, w := io.Pipe()
		result := start(func() error { return ep.SendFrom(r, 3*chunkSize) })
		w.Write(message(chunkSize))
		synctest.Wait()
		bus.put(t, "7E8#320000")
		go w.Write(message(chunkSize))
		wantResult(t, result, ResultError(engine.BufferOverflow))
		w.Close()
	})
}

func TestCloseWhileTheSourceIsRead(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		r, w := io.Pipe()
		result := start(func() error { return ep.SendFrom(r, 5) })
		ep.Close()
		go w.Write(message(5))
		wantResult(t, result, net.ErrClosed)
		bus.want(t)
	})
}

func TestReceiveInParts(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		bus.put(t, "7E8#0401020304", "7E8#0105")
		p := make([]byte, 3)
		for _, want := range []struct {
			n, rest int
			end     bool
		}{{3, 1, false}, {1, 0, true}, {1, 0, true}} {
			n, info, err := ep.Receive(p, engine.ReadMessages)
			if n != want.n || info.Rest != want.rest || info.End != want.end || err != nil {
				t.Errorf("Receive = %d, %+v, %v, %v; want %+v", n, info, info.End, err, want)
			}
		}
	})
}

func TestOpenSeesAMessageBegin(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		opened := start(func() error {
			info, err := ep.Open()
			if err == nil && info.Size != 20 {
				t.Errorf("Size is %d, want 20", info.Size)
			}
			return err
		})
		bus.put(t, "7E8#1014010203040506")
		wantResult(t, opened, nil)
		bus.want(t, "7E0#300000")
		p := make([]byte, 100)
		if n, info, err := ep.Receive(p, engine.ReadStreams); n != 6 || info.End || err != nil {
			t.Errorf("Receive = %d, %v, %v", n, info.End, err)
		}
		bus.put(t, "7E8#2201020304050607") // not the next
		if _, info, err := ep.Receive(p, engine.ReadStreams); !info.End || err != ResultError(engine.WrongSN) {
			t.Errorf("Receive = %v, %v", info.End, err)
		}
	})
}

// The flow control that waits for room goes out when there is some.
func TestReadingLetsThePeerGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		s := pair(0x7E0, 0x7E8)
		s.Config.HighMark = 0
		ep := attach(t, own(t, bus), s)
		bus.put(t, "7E8#0101", "7E8#1014010203040506")
		bus.want(t)
		if _, err := receive(ep); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		bus.want(t, "7E0#300000")
	})
}

func TestReportAbortedReachesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		s := pair(0x7E0, 0x7E8)
		s.Config.ReportAborted = true
		ep := attach(t, own(t, bus), s)
		result := startReceive(ep, nil)
		bus.put(t, "7E8#1014010203040506")
		wantResult(t, result, ResultError(engine.TimeoutCr))
		// A read that has stopped waiting is not told later.
		ep.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := receive(ep); err != os.ErrDeadlineExceeded {
			t.Error(err)
		}
		bus.put(t, "7E8#1014010203040506")
		time.Sleep(2 * time.Second)
		ep.SetReadDeadline(time.Time{})
		wantWaiting(t, startReceive(ep, nil))
		ep.Close()
	})
}

func TestListenOnlyEndpointSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ep := attach(t, own(t, bus), listenOnly(pair(0x7E0, 0x7E8)))
		if err := send(ep, []byte{1}); err != ResultError(engine.Aborted) {
			t.Errorf("Send: %v", err)
		}
		bus.put(t, "7E8#1014010203040506")
		bus.want(t)
	})
}

// Lost wake-ups show as a test that does not end.
func TestTurnsUnderPressure(t *testing.T) {
	taps := virtualTaps(t, virtual.Options{}, 2)
	a, b := own(t, taps[0]), own(t, taps[1])
	from, to := attach(t, a, pair(0x7E0, 0x7E8)), attach(t, b, pair(0x7E8, 0x7E0))
	const users, each = 4, 100
	sent, received := make(chan error), make(chan error)
	for range users {
		go func() {
			for range each {
				sent <- send(from, message(30))
			}
		}()
		go func() {
			for range each {
				_, err := receive(to)
				received <- err
			}
		}()
	}
	for range 2 * users * each {
		select {
		case err := <-sent:
			if err != nil {
				t.Error("Send:", err)
			}
		case err := <-received:
			if err != nil {
				t.Error("Receive:", err)
			}
		}
	}
}

func TestDeadlinesAndClosesAtOnce(t *testing.T) {
	for range 200 {
		bus := newFakeBus()
		m, release := Own(bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		results := make(chan error)
		for range 3 {
			go func() {
				_, err := receive(ep)
				results <- err
			}()
			go func() { results <- send(ep, message(20)) }()
		}
		go setDeadlines(ep, time.Time{})
		go setDeadlines(ep, time.Now().Add(time.Hour))
		go ep.Close()
		for range 6 {
			if err := <-results; err != net.ErrClosed {
				t.Errorf("the result is %v", err)
			}
		}
		release()
	}
}

func TestInfoSaysWhenAMessageCame(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		begun := time.Now()
		time.Sleep(time.Second)
		bus.put(t, "7E8#1008010203040506")
		time.Sleep(10 * time.Millisecond)
		bus.put(t, "7E8#210708")
		var p [8]byte
		_, info, err := ep.Receive(p[:], engine.ReadMessages)
		if err != nil {
			t.Fatal(err)
		}
		first, last := ep.Time(info.First).Sub(begun), ep.Time(info.Last).Sub(begun)
		if first != time.Second || last != time.Second+10*time.Millisecond {
			t.Errorf("first after %v, last after %v", first, last)
		}
		if f := ep.Format(); f.Address != *addr(0x7E0) || f.FrameSize != canbus.MaxClassicLen {
			t.Errorf("Format() = %+v", f)
		}
	})
}

// Beyond 1016 bytes Go's allocator takes the next size, 1152.
func TestIdleEndpointsAreSmall(t *testing.T) {
	if size := unsafe.Sizeof(Endpoint{}); strconv.IntSize == 64 && size > 1016 {
		t.Errorf("an Endpoint has %d bytes, want at most 1016", size)
	}
}

// A read beyond its deadline ends with the message that extended it, whatever ends that
// message.
func TestAReadBeyondItsDeadlineEndsWithTheMessage(t *testing.T) {
	for name, end := range map[string]func(*fakeBus, *Endpoint){
		"a late First Frame": func(bus *fakeBus, _ *Endpoint) { bus.put(t, "7E8#1008010203040506") },
		"Drain":              func(_ *fakeBus, ep *Endpoint) { ep.Drain() },
		"a past deadline":    func(_ *fakeBus, ep *Endpoint) { ep.SetReadDeadline(past) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newFakeBus()
				s := pair(0x7E0, 0x7E8)
				s.Config.DeadlineAtFirstFrame = true
				ep := attach(t, own(t, bus), s)
				bus.put(t, "7E8#1008010203040506")
				ep.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				reads := startReceive(ep, nil)
				time.Sleep(200 * time.Millisecond)
				wantWaiting(t, reads)
				end(bus, ep)
				synctest.Wait()
				select {
				case err := <-reads:
					if !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error(err)
					}
				default:
					t.Error("it does not")
				}
			})
		})
	}
}

func TestEndOfABusIsNoEOF(t *testing.T) {
	ended := endError{fmt.Errorf("the log: %w", errors.Join(io.EOF, net.ErrClosed))}
	for _, e := range []struct {
		target error
		want   bool
	}{{io.ErrUnexpectedEOF, true}, {io.EOF, false}, {net.ErrClosed, true}, {io.ErrClosedPipe, false}} {
		if got := errors.Is(ended, e.target); got != e.want {
			t.Errorf("errors.Is(%v) is %t, want %t", e.target, got, e.want)
		}
	}
}
