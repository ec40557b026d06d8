package sniff_test

import (
	"math/rand/v2"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
	"example.com/isotp/sniff"
)

// A traffic is the engines of several pairs on one simulated wire, which loses frames.
type traffic struct {
	rng   *rand.Rand
	now   engine.Time
	loss  int // frames of 1000 that the receiver does not hear
	log   []canbus.Frame
	pairs []sniff.Pair
	nodes []*trafficNode
}

type trafficNode struct {
	engine.Engine
	cfg  engine.Config
	peer *trafficNode
}

func newTraffic(seed uint64) *traffic {
	w := &traffic{rng: rand.New(rand.NewPCG(seed, 18)), loss: 5, now: engine.Time(time.Hour)}
	fixed := func(id uint32) sniff.Address { return sniff.Address{ID: id, Extended: true, AnyPriority: true} }
	mixed := func(id uint32) sniff.Address {
		return sniff.Address{ID: id, Extended: true, AnyPriority: true, HasByte: true, Byte: 0x99}
	}
	w.pairs = []sniff.Pair{
		{A: sniff.Address{ID: 0x7E0}, B: sniff.Address{ID: 0x7E8}},
		{A: sniff.Address{ID: 0x123}, B: sniff.Address{ID: 0x456}},
		{A: sniff.Address{ID: 0x0ABCDEF1, Extended: true}, B: sniff.Address{ID: 0x0ABCDEF2, Extended: true}},
		{A: fixed(0x18DA10F1), B: fixed(0x18DAF110)},
		{A: mixed(0x18CE10F1), B: mixed(0x18CEF110)},
		{A: sniff.Address{ID: 0x641, HasByte: true, Byte: 0x55}, B: sniff.Address{ID: 0x642, HasByte: true, Byte: 0xF1}},
		{A: sniff.Address{ID: 0x641, HasByte: true, Byte: 0x77}, B: sniff.Address{ID: 0x643, HasByte: true, Byte: 0xF1}},
		{A: sniff.Address{ID: 0x700, HasByte: true, Byte: 0x99}, B: sniff.Address{ID: 0x708, HasByte: true, Byte: 0x99}},
	}
	for _, p := range w.pairs {
		a, b := w.node(), w.node()
		a.peer, b.peer = b, a
		a.Init(&a.cfg, wireOf(p.A), wireOf(p.B))
		b.Init(&b.cfg, wireOf(p.B), wireOf(p.A))
		a.SetReading(w.now, engine.ReadMessages)
		b.SetReading(w.now, engine.ReadMessages)
		w.nodes = append(w.nodes, a, b)
	}
	return w
}

func wireOf(a sniff.Address) wire.Address {
	return wire.Address{ID: a.ID, Extended: a.Extended, HasByte: a.HasByte, Byte: a.Byte}
}

func (w *traffic) pick(v ...int) int { return v[w.rng.IntN(len(v))] }

func (w *traffic) node() *trafficNode {
	n := &trafficNode{}
	size := w.pick(8, 8, 8, 12, 64)
	n.cfg = engine.Config{
		Drops:     new(engine.Drops),
		FrameSize: size, MinFrameSize: w.pick(0, 8, size), Fill: 0xCC, FD: size > 8,
		BlockSize: uint8(w.pick(0, 0, 1, 2, 8)), STmin: uint8(w.pick(0, 0, 1, 0xF5)), OverrideSTmin: -1,
		NAs: time.Second, NBs: time.Second, NCr: time.Second, NCs: 900 * time.Millisecond, NBr: 300 * time.Millisecond,
		MaxWaits: -1, MaxSendWaits: 10,
		MaxMessageSize: 6000, HighMark: w.pick(0, 1<<20), HardLimit: 1 << 20, Window: 1 << 20,
		RateWindow: time.Second,
	}
	return n
}

// run has the nodes send so many messages in all, and waits for their ends.
func (w *traffic) run(messages int) {
	frame := make([]canbus.Frame, 1)
	for idle := 0; idle < 20; {
		n := w.nodes[w.rng.IntN(len(w.nodes))]
		n.TakeEvents()
		if messages > 0 && !n.Sending() && w.rng.IntN(10) == 0 {
			messages--
			m := w.message()
			n.Send(w.now, uint32(len(m)), m)
		}
		if w.rng.IntN(20) == 0 {
			n.ReadWhole(nil, false)
		}
		busy := false
		for _, i := range w.rng.Perm(len(w.nodes)) {
			if n := w.nodes[i]; n.PollTransmit(w.now, frame) == 1 {
				w.carry(n, frame)
				busy = true
			}
		}
		idle++
		if busy || messages > 0 {
			idle = 0
		}
		if !busy {
			w.pass()
		}
	}
}

// message is one of a random length.
func (w *traffic) message() []byte {
	most := w.pick(7, 7, 100, 1000, 7000)
	m := make([]byte, 1+w.rng.IntN(most))
	for i := range m {
		m[i] = byte(w.rng.Uint32())
	}
	return m
}

// carry takes a frame to the log and to its receiver, perhaps.
func (w *traffic) carry(n *trafficNode, frame []canbus.Frame) {
	w.now += engine.Time(time.Duration(50+2*int(frame[0].Len)) * time.Microsecond)
	frame[0].Stamp(int64(w.now))
	w.log = append(w.log, frame[0])
	n.HandleTransmitted(w.now, n.Handed(), n.Handed())
	if w.rng.IntN(1000) >= w.loss {
		n.peer.HandleFrames(w.now, frame, false)
	}
}

// pass lets the time pass until a node has something to do, but for 100 ms at most.
func (w *traffic) pass() {
	next := w.now + engine.Time(100*time.Millisecond)
	for _, n := range w.nodes {
		if due, ok := n.PollTimeout(); ok && due < next {
			next = due
		}
	}
	w.now = max(next, w.now+1)
	for _, n := range w.nodes {
		n.HandleTimeout(w.now)
	}
}
