package mux

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// transfer sends 20 frames through the bus and checks that each of them has
// reached it once and in order.
func transfer(t *testing.T, m *Mux, bus *fakeBus) {
	t.Helper()
	ep := attach(t, m, pair(0x7E0, 0x7E8))
	const frames = 20
	p := message(6 + (frames-1)*7)
	result := startSend(ep, p)
	time.Sleep(10 * time.Millisecond) // for errors to pass
	bus.put(t, "7E8#300000")
	wantResult(t, result, nil)
	bus.mu.Lock()
	defer bus.mu.Unlock()
	var got []byte
	for i, f := range bus.taken {
		head := byte(0x20 | i&0xF)
		switch {
		case f.ID != 0x7E0:
			t.Errorf("frame %d has the identifier %X", i, f.ID)
		case i == 0:
			got = append(got, f.Payload()[2:]...)
		case f.Data[0] != head:
			t.Errorf("frame %d begins with %02X, want %02X", i, f.Data[0], head)
			fallthrough
		default:
			got = append(got, f.Payload()[1:]...)
		}
	}
	if len(bus.taken) != frames || !bytes.Equal(got, p) {
		t.Errorf("%d frames with % X, want %d with % X", len(bus.taken), got, frames, p)
	}
}

// each is a write that cycles through those given.
func each(writes ...func([]canbus.Frame) (int, error)) func([]canbus.Frame) (int, error) {
	i := 0
	return func(b []canbus.Frame) (int, error) {
		i++
		return writes[(i-1)%len(writes)](b)
	}
}

// take is a write that takes up to n frames and then returns err.
func take(n int, err error) func([]canbus.Frame) (int, error) {
	return func(b []canbus.Frame) (int, error) {
		if n >= len(b) {
			return len(b), nil
		}
		return n, err
	}
}

func TestEveryFrameIsWrittenOnceAndInOrder(t *testing.T) {
	all := take(batch, nil)
	for name, c := range map[string]struct {
		try, write func([]canbus.Frame) (int, error)
	}{
		"all at once":                         {nil, all},
		"one at a time":                       {nil, take(1, nil)},
		"different numbers":                   {nil, each(take(1, nil), take(5, nil), take(2, nil))},
		"temporary errors":                    {nil, each(tempFail, tempFail, all)},
		"temporary errors after some":         {nil, each(take(1, errTemporary), take(3, errTemporary))},
		"try takes all":                       {all, nil},
		"try takes none":                      {none, all},
		"try takes one":                       {take(1, nil), take(1, nil)},
		"try takes some and then none":        {each(take(2, nil), none, none), take(1, nil)},
		"try fails for a while":               {tempFail, each(tempFail, all)},
		"both fail for a while and take some": {each(tempFail, take(1, errTemporary)), each(take(2, errTemporary), tempFail)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newFakeBus()
				fake.onWrite, fake.onTry = c.write, c.try
				var bus canbus.Bus = fake
				if c.try != nil {
					bus = tryBus{fake}
				}
				transfer(t, own(t, bus), fake)
			})
		})
	}
}

func TestNoGoroutineWritesWhereTryTakesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := tryBus{newFakeBus()}
		m := own(t, bus)
		transfer(t, m, bus.fakeBus)
		if len(bus.batches) > 0 || m.writer.kick != nil {
			t.Errorf("WriteFrames was called %d times", len(bus.batches))
		}
	})
}

func TestSenderLeavesLongWorkToTheGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := tryBus{newFakeBus()}
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		result := startSend(ep, message(2*maxRounds*batch*7))
		bus.put(t, "7E8#300000")
		wantResult(t, result, nil)
		if bus.tries != 1+maxRounds || len(bus.batches) == 0 {
			t.Errorf("TryWriteFrames was called %d times, WriteFrames %d times", bus.tries, len(bus.batches))
		}
	})
}

// refuse is a write that fails for good at frames of that identifier.
func refuse(id uint32) func([]canbus.Frame) (int, error) {
	return func(b []canbus.Frame) (int, error) {
		for i := range b {
			if b[i].ID == id {
				return i, errBroken
			}
		}
		return len(b), nil
	}
}

func TestRefusedFrameFailsItsOwnerOnly(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%v", try), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newFakeBus()
				var bus canbus.Bus = fake
				if try {
					bus = tryBus{fake}
				}
				m := own(t, bus)
				bad := attach(t, m, pair(0x7E1, 0x7E9))
				good := attach(t, m, pair(0x7E0, 0x7E8))
				fake.onTry = refuse(0x7E1)
				fake.setWrite(refuse(0x7E1))
				results := []<-chan error{
					startSend(good, []byte{1}), startSend(bad, message(100)), startSend(good, []byte{2}),
				}
				wantResult(t, results[0], nil)
				wantResult(t, results[1], errBroken)
				wantResult(t, results[2], nil)
				fake.want(t, "7E0#0101", "7E0#0102")
				fake.mu.Lock()
				fake.onWrite, fake.onTry = nil, nil
				fake.mu.Unlock()
				if err := send(bad, message(20)); err != ResultError(engine.TimeoutBs) {
					t.Error("a message that fails otherwise:", err)
				}
				if err := send(bad, []byte{3}); err != nil {
					t.Error("the next message:", err)
				}
			})
		})
	}
}

func TestRefusedFlowControlDoesNotFailASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.onWrite = func(b []canbus.Frame) (int, error) {
			for i := range b {
				if b[i].Data[0] == 0x30 {
					return i, errBroken
				}
			}
			return len(b), nil
		}
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		result := startSend(ep, message(20))
		bus.put(t, "7E8#1014010203040506") // the bus does not take the answer
		bus.put(t, "7E8#300000")
		wantResult(t, result, nil)
	})
}

func TestClosedBusEndsEverythingOnWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.onWrite = func([]canbus.Frame) (int, error) { return 0, fmt.Errorf("write: %w", net.ErrClosed) }
		m := own(t, bus)
		a, b := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
		reading := startReceive(b, nil)
		begun := time.Now()
		if err := send(a, []byte{1}); !errors.Is(err, net.ErrClosed) {
			t.Error("Send:", err)
		}
		if d := time.Since(begun); d != 0 {
			t.Errorf("it took %v", d)
		}
		wantResult(t, reading, net.ErrClosed)
		if _, err := m.Attach(pair(0x7E2, 0x7EA), func(*Endpoint) {}); !errors.Is(err, net.ErrClosed) {
			t.Error("Attach:", err)
		}
		if _, err := m.Listen([]*Spec{pair(0x7E2, 0x7EA)}, 128, func(*Endpoint) {}); !errors.Is(err, net.ErrClosed) {
			t.Error("Listen:", err)
		}
	})
}

func TestTwoSendersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		a, b := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
		const size = 6 + 7*500
		results := []<-chan error{startSend(a, message(size)), startSend(b, message(size))}
		bus.written()
		bus.put(t, "7E8#300000", "7E9#300000")
		wantResult(t, results[0], nil)
		wantResult(t, results[1], nil)
		for i, n := range runs(bus.taken) {
			// The last batches of both may meet.
			if n > batch {
				t.Errorf("run %d has %d frames, want at most %d", i, n, batch)
			}
		}
		if len(bus.taken) != 1000 {
			t.Errorf("%d frames, want 1000", len(bus.taken))
		}
	})
}

// In memory many senders take longer turns than few, and than on a wire.
func TestManySendersTakeLongTurnsInMemory(t *testing.T) {
	inMemory := canbus.Properties{InProcess: true}
	for _, c := range []struct {
		name       string
		properties canbus.Properties
		senders    int
		turn       int
	}{
		{"few", inMemory, manyReady, batch / maxTurns},
		{"many", inMemory, manyReady + 1, batch},
		{"very many", inMemory, maxRound / 10, 10},
		{"a wire", canbus.Properties{InProcess: true, Bitrate: 500_000}, manyReady + 1, batch / maxTurns},
		{"another process", canbus.Properties{}, manyReady + 1, batch / maxTurns},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := own(t, describedBus{newFakeBus(), c.properties})
				m.mu.Lock()
				defer m.mu.Unlock()
				m.writer.ready.count = c.senders
				defer func() { m.writer.ready.count = 0 }()
				if got := m.writer.share(batch); got != c.turn {
					t.Errorf("a turn of %d frames, want %d", got, c.turn)
				}
			})
		})
	}
}

func TestALongMessageDoesNotHoldUpAShortOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		long, short := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
		result := startSend(long, message(6+7*1000))
		step := make(chan struct{})
		bus.setWrite(func(b []canbus.Frame) (int, error) {
			<-step
			return len(b), nil
		})
		bus.written()
		bus.put(t, "7E8#300000")
		shortResult := startSend(short, []byte{1})
		step <- struct{}{}
		step <- struct{}{}
		wantResult(t, shortResult, nil)
		close(step)
		wantResult(t, result, nil)
	})
}

// What goes to a group waits neither for the message under way nor for its flow control.
func TestGroupSendsBetweenTheFramesOfAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		to := group(t, m, ep)
		result := startSend(ep, message(20))
		wantResult(t, startSend(to, []byte{1}), nil)
		bus.put(t, "7E8#30007F") // STmin 127 ms
		wantResult(t, startSend(to, []byte{2}), nil)
		bus.want(t, ownFirst, "7DF#0101", "7E0#212A31383F464D54", "7DF#0102")
		wantResult(t, result, nil)
		bus.want(t, "7E0#225B626970777E85")
	})
}

func TestFlowControlGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		long := attach(t, m, pair(0x7E0, 0x7E8))
		attach(t, m, pair(0x7E1, 0x7E9))
		result := startSend(long, message(6+7*1000))
		step := make(chan struct{})
		bus.setWrite(func(b []canbus.Frame) (int, error) {
			<-step
			return len(b), nil
		})
		bus.put(t, "7E8#300000")
		bus.put(t, "7E9#1014010203040506")
		close(step)
		wantResult(t, result, nil)
		// A batch was being written when the First Frame came.
		if next := bus.batches[2]; next[0].String() != "7E1#300000" {
			t.Errorf("the next batch begins with %v", next[0])
		}
	})
}

func TestEveryFlowControlOfAnEndpointGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		long := attach(t, m, pair(0x7E0, 0x7E8))
		attach(t, m, pair(0x7E1, 0x7E9))
		result := startSend(long, message(6+7*1000))
		step := make(chan struct{})
		bus.setWrite(func(b []canbus.Frame) (int, error) {
			<-step
			return len(b), nil
		})
		bus.put(t, "7E8#300000")
		for i := range 3 {
			bus.put(t, "7E9#1014010203040506")
			step <- struct{}{} // the batch that was being written
			synctest.Wait()
			if next := bus.batches[len(bus.batches)-1]; next[0].String() != "7E1#300000" {
				t.Errorf("First Frame %d: the next batch begins with %v", i+1, next[0])
			}
		}
		close(step)
		wantResult(t, result, nil)
	})
}

func TestFramesOfAnEndedMessageAreNotWritten(t *testing.T) {
	for name, end := range map[string]func(*Endpoint){
		"deadline": func(ep *Endpoint) { ep.SetWriteDeadline(time.Now()) },
		"close":    func(ep *Endpoint) { ep.Close() },
	} {
		for _, echo := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/echo=%v", name, echo), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := describedBus{newFakeBus(), canbus.Properties{Echo: echo}}
					m := own(t, bus)
					a, b := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
					bus.setWrite(tempFail)
					results := []<-chan error{startSend(a, []byte{1}), startSend(b, []byte{2})}
					time.Sleep(10 * time.Millisecond)
					synctest.Wait() // the attempt of this moment is over
					end(a)
					if err := <-results[0]; err == nil {
						t.Error("Send of what was not written returned nil")
					}
					bus.setWrite(nil)
					if echo {
						bus.echoAll()
					}
					wantResult(t, results[1], nil)
					synctest.Wait() // an echo is quicker than the call that writes
					bus.want(t, "7E1#0102")
					if len(m.writer.inFlight) > 0 {
						t.Errorf("%d frames are waited for", len(m.writer.inFlight))
					}
				})
			})
		}
	}
}

func TestFlowControlOfAClosedEndpointIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.onWrite = tempFail
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		bus.put(t, "7E8#1014010203040506")
		time.Sleep(10 * time.Millisecond)
		synctest.Wait() // the attempt of this moment is over
		ep.Close()
		bus.setWrite(nil)
		time.Sleep(10 * time.Millisecond)
		bus.want(t)
	})
}

func TestSeparationTimeRunsFromTheEndOfTheFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bitrate = 10000
		bus := describedBus{newFakeBus(), canbus.Properties{Bitrate: bitrate}}
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		var at []time.Time
		bus.onWrite = func(b []canbus.Frame) (int, error) {
			at = append(at, time.Now())
			return len(b), nil
		}
		result := startSend(ep, message(20)) // a First Frame and two Consecutive Frames
		bus.put(t, "7E8#300005")
		wantResult(t, result, nil)
		want := 5*time.Millisecond + canbus.WireTime(&bus.taken[1], bitrate, 0)
		if gap := at[2].Sub(at[1]); gap != want {
			t.Errorf("the gap is %v, want %v", gap, want)
		}
	})
}

func TestTemporaryErrorsOfReadingPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		bus.in <- input{[]canbus.Frame{parse(t, "7E8#0101")}, errTemporary}
		bus.in <- input{nil, errTemporary}
		bus.in <- input{[]canbus.Frame{parse(t, "7E8#0102")}, nil}
		for _, want := range []byte{1, 2} {
			if got, err := receive(ep); err != nil || !slices.Equal(got, []byte{want}) {
				t.Errorf("received % X, %v; want %02X", got, err, want)
			}
		}
	})
}

func TestFinalErrorOfReadingComesAfterTheFramesBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		waiting := startSend(ep, message(20))
		bus.in <- input{[]canbus.Frame{parse(t, "7E8#0101")}, errBroken}
		synctest.Wait()
		if got, err := receive(ep); err != nil || !slices.Equal(got, []byte{1}) {
			t.Errorf("received % X, %v", got, err)
		}
		for range 2 {
			if _, err := receive(ep); !isFailed(err, errBroken) {
				t.Errorf("Receive: %v, want %v", err, errBroken)
			}
		}
		wantResult(t, waiting, errBroken)
		if err := send(ep, []byte{1}); !isFailed(err, errBroken) {
			t.Errorf("Send: %v, want %v", err, errBroken)
		}
	})
}

// The last write may already be what the other end reads before it closes.
func TestSendSucceedsIfTheBusTookItWhileReadingFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		step := make(chan struct{})
		bus.setWrite(func(b []canbus.Frame) (int, error) {
			<-step
			return len(b), nil
		})
		result := startSend(ep, []byte{1})
		bus.in <- input{nil, errBroken}
		wantWaiting(t, result)
		close(step)
		wantResult(t, result, nil)
	})
}

func TestSendEndsSoonAfterReadingFailedIfTheWriteHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.onWrite = bus.never
		s := pair(0x7E0, 0x7E8)
		s.Config.NAs = time.Hour
		ep := attach(t, own(t, bus), s)
		result := startSend(ep, []byte{1})
		bus.in <- input{nil, errBroken}
		begun := time.Now()
		wantResult(t, result, errBroken)
		if d := time.Since(begun); d != lastWrite {
			t.Errorf("it took %v, want %v", d, lastWrite)
		}
	})
}

func TestPropertiesAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := canbus.Properties{Bitrate: 500e3, QueueLen: 3}
		m := own(t, describedBus{newFakeBus(), p})
		if got := m.Properties(); got != p {
			t.Errorf("Properties() = %+v", got)
		}
		if got := own(t, newFakeBus()).Properties(); !got.FD || got.Echo {
			t.Errorf("of a plain bus: %+v", got)
		}
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		time.Sleep(time.Second)
		if got := ep.Time(m.now()); !got.Equal(time.Now()) {
			t.Errorf("Time(now) = %v, want %v", got, time.Now())
		}
		if m.Time(engine.Time(1)).After(time.Now().Add(-time.Second)) {
			t.Error("a Time of 1 is after the beginning")
		}
	})
}

// In memory, too, a write may wait, for a slow reader: N_Bs runs from its end.
func TestNBsRunsFromTheEndOfAWriteThatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := describedBus{newFakeBus(), canbus.Properties{InProcess: true}}
		bus.onWrite = func(b []canbus.Frame) (int, error) {
			time.Sleep(900 * time.Millisecond)
			return len(b), nil
		}
		result := startSend(attach(t, own(t, bus), pair(0x7E0, 0x7E8)), message(13))
		time.Sleep(1500 * time.Millisecond)
		wantWaiting(t, result)
		time.Sleep(500 * time.Millisecond)
		wantResult(t, result, ResultError(engine.TimeoutBs))
	})
}
