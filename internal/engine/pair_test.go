package engine

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
	"example.com/isotp/test/scale"
)

// A world is two engines at the two ends of one simulated wire, in simulated time.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	now    Time
	events eventHeap
	count  int
	idleAt Time // when the wire is free
	left   int  // messages not yet read
}

type event struct {
	at  Time
	seq int // those at the same moment come in the order of their making
	do  func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

func (w *world) at(t Time, do func()) {
	w.count++
	heap.Push(&w.events, event{max(t, w.now), w.count, do})
}

// upTo returns a random time below d.
func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

// A node is an engine, its bus and its users: one that sends and one that reads.
type node struct {
	w    *world
	name string
	e    Engine
	cfg  Config
	peer *node

	inFlight, limit int
	hearsFrom       Time // nothing is heard before this: the wire keeps the order
	timerAt         Time

	messages  [][]byte
	given     int // how much of the first message the engine was given
	chunk     int // how much at a time
	supplying bool

	expect  [][]byte // what is to be read
	got     []byte
	streams bool
	opened  bool
	readers time.Duration // the longest pause between two reads
	part    int           // the most that is read at once
	buf     []byte
}

func (n *node) fail(format string, args ...any) {
	n.w.t.Helper()
	n.w.t.Fatalf("%s at %v: %s", n.name, n.w.now.Sub(start), fmt.Sprintf(format, args...))
}

// serve does what is to be done after everything that may have changed the engine.
func (n *node) serve() {
	w := n.w
	for n.inFlight < n.limit {
		var f [1]canbus.Frame
		if n.e.PollTransmit(w.now, f[:]) == 0 {
			break
		}
		n.transmit(f[0])
	}
	ev := n.e.TakeEvents()
	if ev&SendDone != 0 {
		if code := n.e.SendResult(); code != OK {
			n.fail("a message of %d bytes ended with code %d", len(n.messages[0]), code)
		}
		n.messages = n.messages[1:]
		w.after(w.upTo(5*ms), n.sendNext)
	}
	if ev&SendSpace != 0 && !n.supplying {
		n.supplying = true
		w.after(w.upTo(2*ms), n.supply)
	}
	if due, ok := n.e.PollTimeout(); ok && n.inFlight < n.limit {
		if due <= w.now {
			n.fail("asks to be called at %v", due.Sub(start))
		}
		if due < n.timerAt {
			n.timerAt = due
			w.at(due, n.timeout)
		}
	}
}

func (n *node) timeout() {
	n.timerAt = never
	n.e.HandleTimeout(n.w.now)
	n.serve()
}

// transmit puts a frame on the wire: its sender hears the echo at its end, and
// the peer hears it a little later.
func (n *node) transmit(f canbus.Frame) {
	w := n.w
	number := n.e.Handed()
	n.inFlight++
	begin := max(w.now.Add(w.upTo(50*us)), w.idleAt)
	end := begin.Add(time.Duration(50+2*int(f.Len)) * us)
	w.idleAt = end
	w.at(end, func() {
		n.inFlight--
		n.e.HandleTransmitted(w.now, number, number)
		n.serve()
	})
	heard := max(end.Add(w.upTo(300*us)-150*us), n.peer.hearsFrom, end)
	n.peer.hearsFrom = heard
	w.at(heard, func() {
		n.peer.e.HandleFrames(w.now, []canbus.Frame{f}, false)
		n.peer.serve()
	})
}

func (n *node) sendNext() {
	if len(n.messages) == 0 {
		return
	}
	m := n.messages[0]
	n.given = min(len(m), n.chunk)
	n.e.Send(n.w.now, uint32(len(m)), m[:n.given:n.given])
	n.serve()
	if n.given < len(m) && !n.supplying {
		n.supplying = true
		n.w.after(n.w.upTo(10*ms), n.supply)
	}
}

func (n *node) supply() {
	n.supplying = false
	for len(n.messages) > 0 && n.given < len(n.messages[0]) {
		m := n.messages[0][n.given:]
		m = m[:min(len(m), n.chunk)]
		if !n.e.Supply(m) {
			break
		}
		n.given += len(m)
		n.serve()
	}
}

// read is the user that reads, once in a while.
func (n *node) read() {
	w := n.w
	if w.left == 0 {
		return
	}
	defer w.after(w.upTo(n.readers), n.read)
	defer n.serve()
	for {
		if n.streams && !n.opened {
			info, ok := n.e.Open()
			if !ok {
				return
			}
			if info.Why != OK {
				n.fail("Open says code %d", info.Why)
			}
			n.opened = true
		}
		p := n.buf[:1+w.rng.IntN(n.part)]
		k, info, ok := n.e.Read(p)
		if !ok {
			return
		}
		if info.Why != OK {
			n.fail("Read says code %d", info.Why)
		}
		n.got = append(n.got, p[:k]...)
		if info.End {
			if len(n.expect) == 0 || !bytes.Equal(n.got, n.expect[0]) {
				n.fail("read a message of %d bytes that was not sent, or not now", len(n.got))
			}
			n.expect, n.got, n.opened = n.expect[1:], nil, false
			w.left--
		}
		if w.rng.IntN(3) == 0 {
			return
		}
	}
}

// randomNode returns a node with a random Config. How it sends is its own affair:
// the two ends need not be alike, but for the address bytes.
func (w *world) randomNode(name string) *node {
	r := w.rng
	pick := func(v ...int) int { return v[r.IntN(len(v))] }
	n := &node{w: w, name: name, timerAt: never, cfg: testConfig()}
	c := &n.cfg
	c.FrameSize = pick(8, 8, 8, 12, 16, 20, 24, 32, 48, 64)
	c.FD = c.FrameSize > 8
	c.MinFrameSize = pick(0, 8, c.FrameSize)
	c.BlockSize = uint8(pick(0, 0, 1, 2, 8, 15, 16, 17, 255))
	c.STmin = uint8(pick(0, 0, 0, 0, 1, 1, 5, 0xF1, 0xF5, 0xF9, 0xAA))
	c.MaxSendWaits = 100000
	c.HighMark = pick(0, 100, 5000, 1<<20)
	c.HardLimit = 1 << 30
	c.Window = pick(64, 500, 5000)
	if n.streams = r.IntN(2) == 0; n.streams {
		c.MaxMessageSize = uint32(pick(1, 100, 5000))
	}
	if r.IntN(4) == 0 {
		c.RateBits, c.RateWindow = pick(512, 5000), 10*ms
	}
	n.limit = pick(1, 2, 8, 30)
	n.chunk = pick(1, 7, 100, 1<<20, 1<<20)
	n.readers = []time.Duration{5 * ms, 50 * ms, 3 * time.Second}[r.IntN(3)]
	n.part = pick(100, 5000, 1<<16)
	n.buf = make([]byte, n.part)
	return n
}

// TestTwoEngines: whatever the two ends' Configs, the delays of the wire and the speed of the
// readers and writers, every message arrives, whole and in order, and nothing is ever out of
// place.
func TestTwoEngines(t *testing.T) {
	for seed := range scale.Down[uint64](150, 15) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { runWorld(t, seed) })
	}
}

func runWorld(t *testing.T, seed uint64) {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 2)), now: start}
	a, b := w.randomNode("A"), w.randomNode("B")
	a.peer, b.peer = b, a
	var ab, ba wire.Address = tester, ecu
	if w.rng.IntN(2) == 0 {
		ab.HasByte, ab.Byte = true, 0x55
		ba.HasByte, ba.Byte = true, 0xF1
	}
	a.e.Init(&a.cfg, ab, ba)
	b.e.Init(&b.cfg, ba, ab)
	for _, n := range []*node{a, b} {
		n.e.handed = -uint32(w.rng.IntN(100))
		for range 6 {
			size := 1 + w.rng.IntN([]int{10, 70, 400, 5000}[w.rng.IntN(4)])
			m := make([]byte, size)
			for i := range m {
				m[i] = byte(w.rng.Uint32())
			}
			n.messages = append(n.messages, m)
		}
		n.peer.expect = append(n.peer.expect, n.messages...)
		w.left += len(n.messages)
		n.e.SetReading(w.now, ReadMessages)
		if n.streams {
			n.e.SetReading(w.now, ReadStreams)
		}
		w.after(w.upTo(ms), n.sendNext)
		w.after(w.upTo(ms), n.read)
	}
	for len(w.events) > 0 {
		ev := heap.Pop(&w.events).(event)
		w.now = ev.at
		ev.do()
		if w.count > 3e6 {
			t.Fatalf("no end after %v, %d messages are left", w.now.Sub(start), w.left)
		}
	}
	if w.left > 0 || len(a.messages) > 0 || len(b.messages) > 0 {
		t.Fatalf("%d messages did not arrive, %d and %d were not sent", w.left, len(a.messages), len(b.messages))
	}
	for _, n := range []*node{a, b} {
		st := n.e.Stats()
		for code, count := range st.Errors {
			if count > 0 {
				n.fail("counted %d of code %d", count, code)
			}
		}
		if st.MessagesSent != 6 || st.MessagesReceived != 6 || st.WaitsSent != statsOf(n.peer).WaitsReceived {
			n.fail("Stats are %+v", st)
		}
		if n.e.queue.level != 0 || n.e.queue.first() != nil {
			n.fail("%d bytes are left in the queue", n.e.queue.level)
		}
		if _, ok := n.e.PollTimeout(); ok || n.e.FlowControlPending() {
			n.fail("it is not idle")
		}
	}
}

func statsOf(n *node) Stats { return n.e.Stats() }
