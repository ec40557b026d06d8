package mux

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/internal/engine"
)

func TestObserverIsToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		var told []string
		ep := attachObserved(t, own(t, bus), pair(0x7E0, 0x7E8), &observer{
			frame: func(f *canbus.Frame, what FrameEvent) { told = append(told, fmt.Sprint(what, " ", f)) },
			step:  func(o engine.Observation) { told = append(told, fmt.Sprint("step ", o.Kind)) },
		})
		result := startSend(ep, []byte{1, 2, 3, 4, 5, 6, 7, 8})
		bus.put(t, "7E8#300000", "7E8#0101", "7E8#40")
		wantResult(t, result, nil)
		synctest.Wait()
		want := []string{
			fmt.Sprint("step ", engine.MessageSending), "1 7E0#1008010203040506",
			"0 7E8#300000", fmt.Sprint("step ", engine.FlowControlReceived),
			"0 7E8#0101", fmt.Sprint("step ", engine.MessageReceived),
			"0 7E8#40", fmt.Sprint("step ", engine.FrameIgnored),
			"1 7E0#210708", fmt.Sprint("step ", engine.MessageSent),
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// What several goroutines have to tell comes one at a time and in one order.
func TestOrderIsKeptAcrossGoroutines(t *testing.T) {
	bus := newFakeBus()
	m := own(t, bus)
	running := false // the race detector watches it too
	received, sent := byte(0), byte(0)
	o := &observer{frame: func(f *canbus.Frame, what FrameEvent) {
		if running {
			t.Error("two calls at a time")
		}
		running = true
		defer func() { running = false }()
		next := &received
		if what == FrameSent {
			next = &sent
		}
		if *next++; f.Data[1] != *next {
			t.Errorf("told of frame %d, want %d", f.Data[1], *next)
		}
	}}
	ep := attachObserved(t, m, pair(0x7E0, 0x7E8), o)
	done := make(chan error)
	go func() {
		for i := range byte(200) {
			f := parse(t, "7E8#0100")
			f.Data[1] = i + 1
			bus.in <- input{frames: frames(f)}
		}
		for range 200 {
			if _, err := receive(ep); err != nil {
				t.Error(err)
			}
		}
		done <- nil
	}()
	for i := range byte(200) {
		if err := send(ep, []byte{i + 1}); err != nil {
			t.Error(err)
		}
	}
	<-done
}

// TestObserverIsToldBetweenTheMessagesOfOneSend: it is not kept waiting for those that follow.
func TestObserverIsToldBetweenTheMessagesOfOneSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taps := virtualTaps(t, virtual.Options{}, 1)
		var ep *Endpoint
		var sent []uint64
		ep = attachObserved(t, own(t, taps[0]), pair(0x7E0, 0x7E8), &observer{step: func(o engine.Observation) {
			if o.Kind == engine.MessageSent {
				sent = append(sent, ep.Stats().MessagesSent)
			}
		}})
		if n, err := ep.SendSplit(make([]byte, 6), 2); n != 6 || err != nil {
			t.Fatal(n, err)
		}
		if want := []uint64{1, 2, 3}; !slices.Equal(sent, want) {
			t.Errorf("told when so many messages were sent: %d, want %d", sent, want)
		}
	})
}

func TestObserverMayCallTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		var ep *Endpoint
		var got []byte
		calls := 0
		ep = attachObserved(t, m, pair(0x7E0, 0x7E8), &observer{
			frame: func(*canbus.Frame, FrameEvent) {
				ep.Stats()
				ep.SetReadDeadline(time.Time{})
				ep.SetWriteDeadline(time.Time{})
			},
			step: func(o engine.Observation) {
				calls++
				switch {
				case o.Kind == engine.MessageReceived:
					p, err := receive(ep)
					if err != nil {
						t.Error("Receive:", err)
					}
					got = append(got, p...)
					if err := send(ep, p); err != nil {
						t.Error("Send:", err)
					}
				case o.Kind == engine.MessageSent && len(got) == 2:
					ep.Close()
				}
			},
		})
		bus.put(t, "7E8#0101")
		bus.put(t, "7E8#0102")
		bus.want(t, "7E0#0101", "7E0#0102")
		if calls != 4 || !slices.Equal(got, []byte{1, 2}) || !ep.isClosed() {
			t.Errorf("%d calls, received % X", calls, got)
		}
		if err := send(ep, []byte{1}); err != net.ErrClosed {
			t.Errorf("Send: %v", err)
		}
	})
}

// While an observer is busy others are not told, but what needs no reader works.
func TestBusyObserverDoesNotStopTheOthersWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		gate := make(chan struct{})
		attachObserved(t, m, pair(0x7E0, 0x7E8), &observer{frame: func(*canbus.Frame, FrameEvent) { <-gate }})
		told := 0
		other := attachObserved(t, m, pair(0x7E1, 0x7E9), &observer{frame: func(*canbus.Frame, FrameEvent) { told++ }})
		bus.put(t, "7E8#0101")
		for range 3 {
			if err := send(other, []byte{1}); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if told != 0 {
			t.Error("two calls at a time")
		}
		close(gate)
		synctest.Wait()
		if told != 3 {
			t.Errorf("told of %d frames, want 3", told)
		}
	})
}

// A frame that an observer keeps is its own.
func TestObserversFrameIsACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		var kept []*canbus.Frame
		attachObserved(t, own(t, bus), pair(0x7E0, 0x7E8), &observer{
			frame: func(f *canbus.Frame, _ FrameEvent) { kept = append(kept, f) },
		})
		bus.put(t, "7E8#0101")
		bus.put(t, "7E8#0102")
		if len(kept) != 2 || kept[0].Data[1] != 1 || kept[1].Data[1] != 2 {
			t.Errorf("kept %v", kept)
		}
	})
}

// The answer is read before the call that writes the request returns.
func TestRequestIsToldBeforeItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		var told []string
		ep := attachObserved(t, own(t, bus), pair(0x7E0, 0x7E8), &observer{
			frame: func(f *canbus.Frame, what FrameEvent) { told = append(told, fmt.Sprint(what, " ", f)) },
			step:  func(o engine.Observation) { told = append(told, fmt.Sprint("step ", o.Kind)) },
		})
		bus.put(t, "7E8#0155")
		bus.setWrite(func(frames []canbus.Frame) (int, error) {
			bus.put(t, "7E8#0141")
			bus.put(t, "7E8#0142")
			return len(frames), nil
		})
		if err := send(ep, []byte{1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := []string{
			"0 7E8#0155", fmt.Sprint("step ", engine.MessageReceived),
			"1 7E0#0101", fmt.Sprint("step ", engine.MessageSent),
			"0 7E8#0141", fmt.Sprint("step ", engine.MessageReceived),
			"0 7E8#0142", fmt.Sprint("step ", engine.MessageReceived),
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// A write that hangs does not keep from the observer what comes meanwhile.
func TestObserverDoesNotWaitLongForAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		start := time.Now()
		told := make(chan string, 10)
		ep := attachObserved(t, own(t, bus), pair(0x7E0, 0x7E8), &observer{
			frame: func(f *canbus.Frame, what FrameEvent) {
				told <- fmt.Sprint(what, " ", f, " ", time.Since(start))
			},
			step: func(engine.Observation) {},
		})
		returns := make(chan struct{})
		bus.setWrite(func(frames []canbus.Frame) (int, error) {
			<-returns
			return len(frames), nil
		})
		result := startSend(ep, []byte{1})
		bus.put(t, "7E8#0141")
		time.Sleep(20 * time.Millisecond)
		bus.put(t, "7E8#0142")
		close(returns)
		wantResult(t, result, nil)
		synctest.Wait()
		for _, want := range []string{"0 7E8#0141 10ms", "0 7E8#0142 20ms", "1 7E0#0101 20ms"} {
			select {
			case got := <-told:
				if got != want {
					t.Errorf("told %q, want %q", got, want)
				}
			default:
				t.Errorf("not told %q", want)
			}
		}
	})
}

// Where the bus echoes, that is the order of the wire, with the bus's own times.
func TestFrameIsToldWithItsEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(8)
		var told []string
		ep := attachObserved(t, own(t, bus), pair(0x7E0, 0x7E8), &observer{
			frame: func(f *canbus.Frame, what FrameEvent) {
				told = append(told, fmt.Sprint(what, " ", f, " ", f.Time().UnixNano(), " ", f.Channel))
			},
			step: func(engine.Observation) {},
		})
		result := startSend(ep, []byte{1})
		synctest.Wait()
		other, echo := parse(t, "7E8#0141"), parse(t, "7E0#0101")
		other.Stamp(5)
		echo.Stamp(7)
		other.Channel, echo.Channel = 1, 2
		echo.Flags |= canbus.Echo
		bus.in <- input{frames: []canbus.Frame{other, echo}}
		wantResult(t, result, nil)
		synctest.Wait()
		if want := []string{"0 7E8#0141 5 1", "1 7E0#0101 7 2"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}
