package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
	"example.com/isotp/test/scale"
)

// Twins are two engines to which the same happens. One gives, gets and is told of frames in
// runs, the other one frame at a time: nothing else may tell them apart.
type twins struct {
	t        *testing.T
	rng      *rand.Rand
	cfg      Config
	now      Time
	runs     Engine
	singly   Engine
	inFlight uint32

	message  []byte // being sent
	supplied int
	coming   []byte // received by both
	sn       uint8
	format   wire.Format // of what both hear
}

func newTwins(t *testing.T, seed uint64) *twins {
	w := &twins{t: t, rng: rand.New(rand.NewPCG(seed, 4)), now: start}
	tp := make(tape, 8)
	for i := range tp {
		tp[i] = byte(w.rng.Uint32())
	}
	var hasByte bool
	w.cfg, hasByte = tp.config()
	if w.rng.IntN(4) > 0 {
		w.cfg.RateBits, w.cfg.OverrideSTmin = 0, 0 // so that there are runs
	}
	w.cfg.Echoes = w.rng.IntN(2) == 0
	if w.rng.IntN(8) == 0 {
		w.cfg.Bitrate = 500_000
	}
	send, listen := tester, ecu
	send.HasByte, listen.HasByte = hasByte, hasByte
	handed := -w.rng.Uint32N(100) // so that numbers wrap
	for _, e := range []*Engine{&w.runs, &w.singly} {
		e.Init(&w.cfg, send, listen)
		e.handed = handed
		e.Overhears = w.rng.IntN(2) == 0 && e == &w.runs || e == &w.singly && w.runs.Overhears
	}
	w.format = wire.Format{Address: listen, FrameSize: []int{8, 8, 12, 64}[w.rng.IntN(4)], MinFrameSize: 8, FD: true}
	return w
}

// both has the same done to both.
func (w *twins) both(do func(e *Engine)) {
	do(&w.runs)
	do(&w.singly)
}

// same checks that both are in the same state.
func (w *twins) same() {
	w.t.Helper()
	r, s := w.runs, w.singly
	if r.events != s.events {
		w.t.Fatalf("events %b, one frame at a time %b", r.events, s.events)
	}
	// The messages are compared when they are read, but for the newest.
	if r.rx.msg != nil && s.rx.msg != nil && !bytes.Equal(r.rx.msg.buf[r.rx.msg.read:], s.rx.msg.buf[s.rx.msg.read:]) {
		w.t.Fatalf("received % X, one frame at a time % X", r.rx.msg.buf, s.rx.msg.buf)
	}
	if len(r.queue.items)-r.queue.head != len(s.queue.items)-s.queue.head || r.queue.level != s.queue.level {
		w.t.Fatalf("%d messages of %d bytes, one frame at a time %d of %d",
			len(r.queue.items), r.queue.level, len(s.queue.items), s.queue.level)
	}
	for _, e := range []*Engine{&r, &s} {
		e.rx.msg, e.queue, e.debt = nil, queue{}, nil
		e.tx.chunk, e.tx.nextChunk, e.tx.joined = nil, nil, nil // poll sees what is in them
	}
	if !reflect.DeepEqual(r, s) {
		w.t.Fatalf("the engine is\n%+v, one frame at a time\n%+v", r, s)
	}
	d1, d2 := w.runs.Debt(w.now), w.singly.Debt(w.now)
	if (d1 == nil) != (d2 == nil) || d1 != nil && (d1.until != d2.until || d1.from != d2.from) {
		w.t.Fatalf("the debt is %+v, one frame at a time %+v", d1, d2)
	}
}

func (w *twins) hear(frames []canbus.Frame, functional bool) {
	w.runs.HandleFrames(w.now, frames, functional)
	for i := range frames {
		w.singly.HandleFrames(w.now, frames[i:i+1], functional)
	}
}

// poll polls up to n frames of both, and compares them.
func (w *twins) poll(n int) {
	w.t.Helper()
	got, want := make([]canbus.Frame, n), make([]canbus.Frame, n)
	k := w.runs.PollTransmit(w.now, got)
	for i := range want {
		if w.singly.PollTransmit(w.now, want[i:i+1]) == 0 {
			want = want[:i]
			break
		}
	}
	if !reflect.DeepEqual(got[:k], want) {
		w.t.Fatalf("sent\n%v, one frame at a time\n%v", got[:k], want)
	}
	w.inFlight += uint32(k)
}

// transmit puts the first n frames in flight on the wire.
func (w *twins) transmit(n uint32) {
	if n == 0 {
		return
	}
	first := w.runs.Handed() - w.inFlight + 1
	w.inFlight -= n
	w.runs.HandleTransmitted(w.now, first, first+n-1)
	for i := range n {
		w.singly.HandleTransmitted(w.now, first+i, first+i)
	}
}

// conversation returns up to n frames of the peer, most of them as they should be.
func (w *twins) conversation(n int) []canbus.Frame {
	frames := make([]canbus.Frame, 0, n)
	for range n {
		var f canbus.Frame
		switch {
		case w.rng.IntN(40) == 0:
			copy(w.format.SingleFrame(&f, 3), "abc")
		case w.rng.IntN(40) == 0:
			w.format.FlowControl(&f, wire.FlowStatus(w.rng.IntN(4)), uint8(w.rng.IntN(4)), 0)
		case len(w.coming) == 0:
			w.coming = make([]byte, w.format.MaxSingle()+1+w.rng.IntN(2000))
			for i := range w.coming {
				w.coming[i] = byte(w.rng.Uint32())
			}
			w.sn = 1
			p := w.format.FirstFrame(&f, uint32(len(w.coming)))
			w.coming = w.coming[copy(p, w.coming):]
		default:
			p := w.format.ConsecutiveFrame(&f, w.sn, min(w.format.ConsecutiveData(), len(w.coming)))
			w.sn++
			w.coming = w.coming[copy(p, w.coming):]
		}
		switch w.rng.IntN(400) {
		case 0:
			f.Len--
		case 1:
			f.Flags |= canbus.Remote
		case 2:
			f.Data[w.rng.IntN(2)] ^= 1 << w.rng.IntN(8)
		case 3:
			continue // lost
		}
		frames = append(frames, f)
	}
	return frames
}

func (w *twins) read() {
	w.t.Helper()
	p1, p2 := make([]byte, 1+w.rng.IntN(3000)), make([]byte, 3000)
	n1, info1, ok1 := w.runs.Read(p1)
	n2, info2, ok2 := w.singly.Read(p2[:len(p1)])
	if !bytes.Equal(p1[:n1], p2[:n2]) || info1 != info2 || ok1 != ok2 {
		w.t.Fatalf("read % X (%+v), one frame at a time % X (%+v)", p1[:n1], info1, p2[:n2], info2)
	}
}

func (w *twins) step() {
	w.t.Helper()
	switch w.rng.IntN(16) {
	case 0, 1, 2, 3:
		w.hear(w.conversation(1+w.rng.IntN(40)), w.rng.IntN(50) == 0)
	case 4, 5, 6:
		w.poll(int(min(uint32(1+w.rng.IntN(30)), 64-w.inFlight)))
	case 7, 8:
		w.transmit(w.rng.Uint32N(w.inFlight + 1))
	case 9:
		if w.runs.Sending() {
			return
		}
		w.message = make([]byte, 1+w.rng.IntN(2000))
		for i := range w.message {
			w.message[i] = byte(w.rng.Uint32())
		}
		w.supplied = 1 + w.rng.IntN(len(w.message))
		w.both(func(e *Engine) {
			e.Send(w.now, uint32(len(w.message)), w.message[:w.supplied:w.supplied])
		})
	case 10:
		p := w.message[w.supplied:]
		p = p[:min(len(p), 1+w.rng.IntN(200))]
		if len(p) > 0 && w.runs.Supply(p) && w.singly.Supply(p) {
			w.supplied += len(p)
		}
	case 11: // the flow control that is wanted
		var f canbus.Frame
		w.format.FlowControl(&f, wire.ContinueToSend, uint8(w.rng.IntN(3)*w.rng.IntN(12)), uint8(w.rng.IntN(8)/7))
		w.hear([]canbus.Frame{f}, false)
	case 12:
		w.read()
	case 13:
		w.now = w.now.Add(time.Duration(w.rng.IntN(2000)) * us)
		w.both(func(e *Engine) { e.HandleTimeout(w.now) })
	case 14:
		how := Reading(w.rng.IntN(3))
		w.both(func(e *Engine) { e.SetReading(w.now, how) })
	case 15:
		switch w.rng.IntN(8) {
		case 0:
			w.both(func(e *Engine) { e.Abort(w.now, Aborted) })
		case 1:
			w.both(func(e *Engine) { e.Open() })
		}
	}
}

// TestRunsAreTheirFrames: frames in runs do what they do one at a time.
func TestRunsAreTheirFrames(t *testing.T) {
	for seed := range scale.Down[uint64](300, 30) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := newTwins(t, seed)
			for range 300 {
				w.step()
				w.same()
				w.both(func(e *Engine) { e.TakeEvents() })
			}
		})
	}
}
