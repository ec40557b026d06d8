package mux

import (
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

func TestStartSendsAMessage(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		h := handle(t, ep)
		ep.Start(message(10))
		h.want(t)
		bus.put(t, "7E8#300000")
		h.want(t, sentText(true, nil))
		ep.Start([]byte{1})
		h.want(t, sentText(true, nil))
	})
}

func TestStartedMessageThatIsRefused(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		h := handle(t, ep)
		ep.Start(message(10))
		bus.put(t, "7E8#320000")
		h.want(t, sentText(false, ResultError(engine.BufferOverflow)))
	})
}

// recalled takes the message back, and checks whether it had left.
func recalled(t *testing.T, ep *Endpoint, left bool) {
	t.Helper()
	if got := ep.Recall(false); got != left {
		t.Errorf("Recall: %v, want %v", got, left)
	}
}

// A message of which a frame has left runs on, and its bytes are in use until Sent.
func TestRecallAfterTheFirstFrameLetsItGoItsWay(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		h := handle(t, ep)
		ep.Start(message(10))
		recalled(t, ep, true)
		h.want(t)
		bus.written()
		bus.put(t, "7E8#300000")
		bus.want(t, "7E0#212A31383F")
		h.want(t, sentText(true, nil))
	})
}

func TestRecalledMessageThatFailsLater(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		h := handle(t, ep)
		ep.Start(message(10))
		recalled(t, ep, true)
		time.Sleep(time.Second)
		h.want(t, sentText(false, ResultError(engine.TimeoutBs)))
	})
}

// The First Frame waits, as the peer owes a flow control. The peer has nothing of the
// message, which can be sent again.
func TestRecallOfAMessageThatIsHeld(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		ep.SetWriteDeadline(time.Now().Add(time.Millisecond))
		ep.Send(message(10)) // is given up: its flow control is owed
		ep.SetWriteDeadline(time.Time{})
		synctest.Wait()
		bus.written()
		before := ep.Stats()

		h := handle(t, ep)
		ep.Start(message(20))
		synctest.Wait()
		bus.want(t)
		recalled(t, ep, false)
		h.want(t, sentText(false, &OwedError{}))
		ep.Start([]byte{1}) // a Single Frame need not wait
		synctest.Wait()
		bus.want(t, "7E0#0101")
		h.want(t, sentText(true, nil))
		if after := ep.Stats(); after.SendsAborted != before.SendsAborted {
			t.Error("what was taken back counts as aborted")
		}
		bus.put(t, "7E8#300000") // what is owed
		ep.Start(message(10))
		synctest.Wait()
		if got := bus.written(); len(got) != 1 {
			t.Errorf("the bus took %v, want a First Frame", got)
		}
	})
}

// It is not sent again: that a flow control was owed is what it has come to nothing for.
func TestRecallOfAHeldMessageThatIsGivenUp(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		ep.SetWriteDeadline(time.Now().Add(time.Millisecond))
		ep.Send(message(10))
		ep.SetWriteDeadline(time.Time{})
		synctest.Wait()
		bus.written()

		h := handle(t, ep)
		ep.Start(message(20))
		synctest.Wait()
		if ep.Recall(true) {
			t.Error("it is said to have left")
		}
		h.want(t, sentText(false, &OwedError{}))
		if n := ep.Stats().Errors[engine.FlowControlOwed]; n != 1 {
			t.Errorf("counted %d", n)
		}
	})
}

// What is with the bus, which has not said yet that it is on the wire, has left.
func TestRecallOfAFrameWithoutItsEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(8)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		h := handle(t, ep)
		ep.Start([]byte{1})
		synctest.Wait()
		bus.want(t, "7E0#0101")
		recalled(t, ep, true)
		h.want(t)
		bus.echo(t, "7E0#0101")
		h.want(t, sentText(true, nil))
	})
}

// A frame that waits for a bus without room is not taken back: it would be unknown
// whether the bus has taken it just now.
func TestRecallOfAFrameThatWaitsForTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.setWrite(tempFail)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		h := handle(t, ep)
		ep.Start([]byte{1})
		synctest.Wait()
		recalled(t, ep, true)
		bus.setWrite(nil)
		time.Sleep(time.Millisecond)
		bus.want(t, "7E0#0101")
		h.want(t, sentText(true, nil))
	})
}

// A message that waits for its turn, as the bus has no room for more, has not left.
func TestRecallOfAMessageThatWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(1)
		m := own(t, bus)
		other, ep := attach(t, m, pair(0x7E1, 0x7E9)), attach(t, m, pair(0x7E0, 0x7E8))
		handle(t, other)
		other.Start([]byte{1})
		synctest.Wait()
		bus.want(t, "7E1#0101")
		h := handle(t, ep)
		ep.Start([]byte{2})
		synctest.Wait()
		recalled(t, ep, false)
		h.want(t, sentText(false, os.ErrDeadlineExceeded))
		bus.echo(t, "7E1#0101")
		bus.want(t)
		h.want(t)
	})
}

func TestRecallWithoutAMessage(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		h := handle(t, ep)
		recalled(t, ep, false)
		h.want(t)
		ep.Start([]byte{1})
		h.want(t, sentText(true, nil))
		recalled(t, ep, false)
		h.want(t)
	})
}

func TestCloseEndsAStartedMessage(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		h := handle(t, ep)
		ep.Start(message(10))
		ep.Close()
		h.want(t, sentText(false, net.ErrClosed), net.ErrClosed.Error())
		ep.Start(message(10))
		h.want(t, sentText(false, net.ErrClosed))
	})
}

func TestStartedMessageOfABusThatFails(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		h := handle(t, ep)
		ep.Start(message(10))
		bus.in <- input{err: errBroken}
		synctest.Wait()
		h.mu.Lock()
		slices.Sort(h.given) // either is told first
		h.mu.Unlock()
		h.want(t, errBroken.Error(), sentText(false, errBroken))
		ep.Start(message(10))
		h.want(t, sentText(false, errBroken))
	})
}

// Handlers that are called in a row are each told the time of their own call.
func TestSentHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		var told slowlyTold
		for _, name := range []uint32{0x7E0, 0x7E2} {
			ep := attach(t, m, pair(name, name+8))
			if err := ep.Handle(&told); err != nil {
				t.Fatal(err)
			}
			ep.Start(message(10))
		}
		bus.in <- input{err: errBroken}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(told) != 2 || told[1] != told[0].Add(time.Millisecond) {
			t.Errorf("told at %v, want two times a millisecond apart", told)
		}
	})
}

// slowlyTold takes a millisecond for each call of Sent.
type slowlyTold []engine.Time

func (s *slowlyTold) Message(engine.Time, []byte, error) {}

func (s *slowlyTold) Sent(at engine.Time, _ bool, _ error) {
	*s = append(*s, at)
	time.Sleep(time.Millisecond)
}

func TestStartOnABusWhoseOtherEndHasGone(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		bus.in <- input{err: io.EOF}
		h := handle(t, ep)
		h.want(t, io.EOF.Error())
		ep.Start([]byte{1})
		h.want(t, sentText(false, ErrClosedByPeer))
	})
}

// Endpoints of one bus of which one asks and the other answers, both from the calls
// that their handlers get.
func TestHandlersSendFromTheirCalls(t *testing.T) {
	forEachBus(t, func(t *testing.T, bus canbus.Bus) {
		const rounds = 50
		m := own(t, bus)
		asker, answerer := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E8, 0x7E0))
		sizes := make(chan int, rounds)
		answered := &callbacks{}
		answered.message = func(p []byte) { answerer.Start(message(len(p) + 1)) }
		asked := &callbacks{}
		ends, size := 0, 1
		next := func() { // when the question is sent, and answered
			if ends++; ends%2 == 0 && size < rounds {
				size++
				asker.Start(message(size))
			}
		}
		asked.message = func(p []byte) { sizes <- len(p); next() }
		asked.sent = next
		for ep, by := range map[*Endpoint]Handler{asker: asked, answerer: answered} {
			if err := ep.Handle(by); err != nil {
				t.Fatal(err)
			}
		}
		asker.Start(message(size))
		for i := range rounds {
			if size := <-sizes; size != i+2 {
				t.Fatalf("answer %d has %d bytes, want %d", i, size, i+2)
			}
		}
		asker.Close()
		answerer.Close()
	})
}

// A caller of Start need not wait for all the messages that follow from its own.
func TestStartReturnsWhileOthersAreHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := attach(t, own(t, tryBus{newFakeBus()}), pair(0x7E0, 0x7E8))
		release := make(chan struct{})
		sent := 0
		by := &callbacks{sent: func() {
			if sent++; sent == 2*maxHandled {
				<-release
			}
			if sent < 4*maxHandled {
				ep.Start([]byte{1})
			}
		}}
		if err := ep.Handle(by); err != nil {
			t.Fatal(err)
		}
		ep.Start([]byte{1})
		close(release) // the bubble is deadlocked if Start waits for it
		synctest.Wait()
		if sent != 4*maxHandled {
			t.Errorf("%d messages were sent", sent)
		}
	})
}

// callbacks are a Handler that takes no errors.
type callbacks struct {
	message func(p []byte)
	sent    func()
}

func (c *callbacks) Message(_ engine.Time, p []byte, err error) {
	if err == nil && c.message != nil {
		c.message(p)
	}
}

func (c *callbacks) Sent(_ engine.Time, _ bool, err error) {
	if err == nil && c.sent != nil {
		c.sent()
	}
}
