package mux

import (
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

func (o outgoing) String() string { return [...]string{"none", "waiting", "left", "ended"}[o] }

// outgoingTable is the table that stands beside outgoing.
var outgoingTable = map[outgoing][]outgoing{
	outgoingNone:    {outgoingWaiting, outgoingEnded},
	outgoingWaiting: {outgoingLeft, outgoingEnded},
	outgoingLeft:    {outgoingEnded},
	outgoingEnded:   {outgoingNone},
}

// The frames of the messages that are sent here.
const (
	onlyFrame  = "7E0#0100"
	firstFrame = "7E0#100A00070E151C23"
)

// An outgoingWalk is an endpoint whose Handler is kept busy, by a message, until release:
// so a message that has ended stays in that state.
type outgoingWalk struct {
	t       *testing.T
	bus     describedBus
	ep      *Endpoint
	h       *handler
	busy    chan struct{}
	crowded bool // the frame of another endpoint is all that may be in flight
}

// walkOutgoing plays f in a bubble.
func walkOutgoing(t *testing.T, f func(w *outgoingWalk)) {
	synctest.Test(t, func(t *testing.T) {
		w := &outgoingWalk{t: t, bus: newEchoBus(1), busy: make(chan struct{})}
		m := own(t, w.bus)
		w.ep = attach(t, m, pair(0x7E0, 0x7E8))
		other := pair(0x7E1, 0x7E9)
		other.Config.NAs = time.Minute
		startSend(attach(t, m, other), []byte{1})
		w.bus.want(t, "7E1#0101")
		w.crowded = true
		w.h = &handler{on: func([]byte, error) { <-w.busy }}
		w.bus.put(t, "7E8#0199")
		go w.ep.Handle(w.h)
		synctest.Wait()
		f(w)
		w.release()
	})
}

// release lets the Handler go on.
func (w *outgoingWalk) release() {
	select {
	case <-w.busy:
	default:
		close(w.busy)
	}
	synctest.Wait()
}

func (w *outgoingWalk) state() outgoing {
	synctest.Wait()
	w.ep.m.mu.Lock()
	defer w.ep.m.mu.Unlock()
	return w.ep.outgoing()
}

// start starts a message of n bytes, which waits as long as there is a crowd.
func (w *outgoingWalk) start(n int) { w.ep.Start(message(n)) }

// makeRoom has the other endpoint's frame be on the wire.
func (w *outgoingWalk) makeRoom() {
	if w.crowded {
		w.crowded = false
		w.bus.echo(w.t, "7E1#0101")
	}
}

// leave starts a message whose first frame is in flight.
func (w *outgoingWalk) leave(n int) {
	w.start(n)
	w.makeRoom()
}

// leaveFirst starts a message of several frames, the first of which is on the wire.
func (w *outgoingWalk) leaveFirst() {
	w.leave(10)
	w.bus.echo(w.t, firstFrame)
}

func (w *outgoingWalk) end() {
	w.leave(1)
	w.bus.echo(w.t, onlyFrame)
}

func (w *outgoingWalk) startOne()      { w.start(1) }
func (w *outgoingWalk) leaveOne()      { w.leave(1) }
func (w *outgoingWalk) closeEndpoint() { w.ep.Close() }

func (w *outgoingWalk) failBus() {
	w.bus.in <- input{err: errBroken}
	synctest.Wait()
}

// outgoingSteps provoke what takes a message from one state to another, or does not.
var outgoingSteps = []struct {
	name   string
	before func(w *outgoingWalk) // what leads to from
	from   outgoing
	event  func(w *outgoingWalk)
	to     outgoing
	sent   string // what Handler.Sent is told at last; empty: nothing
}{
	{"Start", nil, outgoingNone, (*outgoingWalk).startOne, outgoingWaiting, sentText(false, net.ErrClosed)},
	{"Start when closed", (*outgoingWalk).closeEndpoint, outgoingNone, (*outgoingWalk).startOne, outgoingEnded, sentText(false, net.ErrClosed)},
	{"Start after the deadline", func(w *outgoingWalk) { w.ep.SetWriteDeadline(past) }, outgoingNone,
		(*outgoingWalk).startOne, outgoingEnded, sentText(false, os.ErrDeadlineExceeded)},
	{"Start when the bus has failed", (*outgoingWalk).failBus, outgoingNone, (*outgoingWalk).startOne, outgoingEnded, sentText(false, errBroken)},
	{"Recall of nothing", nil, outgoingNone, func(w *outgoingWalk) { recalled(w.t, w.ep, false) }, outgoingNone, ""},
	{"Close with nothing", nil, outgoingNone, (*outgoingWalk).closeEndpoint, outgoingNone, ""},
	{"the bus fails with nothing", nil, outgoingNone, (*outgoingWalk).failBus, outgoingNone, ""},

	{"its turn has come", (*outgoingWalk).startOne, outgoingWaiting, (*outgoingWalk).makeRoom, outgoingLeft, sentText(true, net.ErrClosed)},
	{"Recall in time", (*outgoingWalk).startOne, outgoingWaiting, func(w *outgoingWalk) { recalled(w.t, w.ep, false) }, outgoingEnded, sentText(false, os.ErrDeadlineExceeded)},
	{"no turn within N_As", (*outgoingWalk).startOne, outgoingWaiting, func(*outgoingWalk) { time.Sleep(time.Second) }, outgoingEnded, sentText(false, timeoutA)},
	{"Close while it waits", (*outgoingWalk).startOne, outgoingWaiting, (*outgoingWalk).closeEndpoint, outgoingEnded, sentText(false, net.ErrClosed)},
	{"the bus fails while it waits", (*outgoingWalk).startOne, outgoingWaiting, (*outgoingWalk).failBus, outgoingEnded, sentText(false, errBroken)},

	{"Recall too late", (*outgoingWalk).leaveOne, outgoingLeft, func(w *outgoingWalk) { recalled(w.t, w.ep, true) }, outgoingLeft, sentText(true, net.ErrClosed)},
	{"the last frame is on the wire", (*outgoingWalk).leaveOne, outgoingLeft, func(w *outgoingWalk) { w.bus.echo(w.t, onlyFrame) }, outgoingEnded, sentText(true, nil)},
	{"the first of several is on the wire", func(w *outgoingWalk) { w.leave(10) }, outgoingLeft, func(w *outgoingWalk) { w.bus.echo(w.t, firstFrame) }, outgoingLeft, sentText(false, net.ErrClosed)},
	{"a frame is refused", (*outgoingWalk).leaveOne, outgoingLeft, func(w *outgoingWalk) { w.bus.refuse(w.t, onlyFrame) }, outgoingEnded, sentText(false, &canbus.RefusedError{Frame: canbus.Frame{ID: 0x7E0, Len: 2, Data: [64]byte{1}}})},
	{"no echo within N_As", (*outgoingWalk).leaveOne, outgoingLeft, func(*outgoingWalk) { time.Sleep(time.Second) }, outgoingEnded, sentText(true, timeoutA)},
	{"OVFLW", (*outgoingWalk).leaveFirst, outgoingLeft,
		func(w *outgoingWalk) { w.bus.put(w.t, "7E8#320000") }, outgoingEnded, sentText(false, ResultError(engine.BufferOverflow))},
	{"no flow control within N_Bs", (*outgoingWalk).leaveFirst, outgoingLeft,
		func(*outgoingWalk) { time.Sleep(time.Second) }, outgoingEnded, sentText(false, ResultError(engine.TimeoutBs))},
	{"Close when it has left", (*outgoingWalk).leaveOne, outgoingLeft, (*outgoingWalk).closeEndpoint, outgoingEnded, sentText(true, net.ErrClosed)},
	{"the bus fails when it has left", (*outgoingWalk).leaveOne, outgoingLeft, (*outgoingWalk).failBus, outgoingEnded, sentText(true, errBroken)},

	{"Sent is called", (*outgoingWalk).end, outgoingEnded, (*outgoingWalk).release, outgoingNone, sentText(true, nil)},
	{"Recall after its end", (*outgoingWalk).end, outgoingEnded, func(w *outgoingWalk) { recalled(w.t, w.ep, false) }, outgoingEnded, sentText(true, nil)},
	{"Close after its end", (*outgoingWalk).end, outgoingEnded, (*outgoingWalk).closeEndpoint, outgoingEnded, sentText(true, nil)},
	{"the bus fails after its end", (*outgoingWalk).end, outgoingEnded, (*outgoingWalk).failBus, outgoingEnded, sentText(true, nil)},
}

// TestOutgoingStates provokes each transition of the table, and what changes nothing.
func TestOutgoingStates(t *testing.T) {
	type edge struct{ from, to outgoing }
	walked := make(map[edge]bool)
	for _, step := range outgoingSteps {
		walked[edge{step.from, step.to}] = true
		if step.from != step.to && !slices.Contains(outgoingTable[step.from], step.to) {
			t.Errorf("%s: from %v to %v is not in the table", step.name, step.from, step.to)
		}
		t.Run(step.name, func(t *testing.T) {
			walkOutgoing(t, func(w *outgoingWalk) {
				if step.before != nil {
					step.before(w)
				}
				if got := w.state(); got != step.from {
					t.Fatalf("before it is %v, want %v", got, step.from)
				}
				step.event(w)
				if got := w.state(); got != step.to {
					t.Errorf("then it is %v, want %v", got, step.to)
				}
				w.ep.Close()
				w.release()
				if got := w.state(); got != outgoingNone {
					t.Errorf("at last it is %v", got)
				}
				w.wantSent(step.sent)
			})
		})
	}
	for from, tos := range outgoingTable {
		for _, to := range tos {
			if !walked[edge{from, to}] {
				t.Errorf("no step goes from %v to %v", from, to)
			}
		}
	}
}

// wantSent checks that the Handler was told once what has become of the message, or, if
// that is empty, of none.
func (w *outgoingWalk) wantSent(want string) {
	w.t.Helper()
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	sent := slices.DeleteFunc(slices.Clone(w.h.given), func(s string) bool { return !strings.HasPrefix(s, "sent: ") })
	if want == "" && len(sent) > 0 || want != "" && !slices.Equal(sent, []string{want}) {
		w.t.Errorf("the Handler was told %q, want %q", sent, want)
	}
}

// Whatever happens, in whatever order, a message goes from state to state as the table
// says: never back, and to Sent once.
func TestOutgoingNeverGoesBack(t *testing.T) {
	events := []func(w *outgoingWalk){
		(*outgoingWalk).makeRoom,
		func(w *outgoingWalk) { w.ep.Recall(false) },
		func(w *outgoingWalk) { w.ep.Recall(true) },
		func(w *outgoingWalk) { w.bus.echo(w.t, firstFrame) },
		func(w *outgoingWalk) { w.bus.put(w.t, "7E8#300000") },
		func(w *outgoingWalk) { w.bus.put(w.t, "7E8#310000") },
		func(w *outgoingWalk) { w.bus.put(w.t, "7E8#320000") },
		func(w *outgoingWalk) { w.bus.echo(w.t, w.bus.written()...) },
		func(w *outgoingWalk) { w.bus.refuse(w.t, firstFrame) },
		func(*outgoingWalk) { time.Sleep(time.Second) },
		(*outgoingWalk).closeEndpoint,
		(*outgoingWalk).failBus,
	}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		walkOutgoing(t, func(w *outgoingWalk) {
			w.start(10)
			state := w.state()
			for range 8 {
				event := rng.IntN(len(events))
				events[event](w)
				if next := w.state(); next < state {
					t.Fatalf("seed %d, event %d: from %v to %v", seed, event, state, next)
				} else {
					state = next
				}
			}
			w.ep.Close()
			w.release()
			w.h.mu.Lock()
			defer w.h.mu.Unlock()
			sent := 0
			for _, s := range w.h.given {
				if strings.HasPrefix(s, "sent: ") {
					sent++
				}
			}
			if sent != 1 {
				t.Errorf("seed %d: Sent was called %d times: %q", seed, sent, w.h.given)
			}
		})
	}
}
