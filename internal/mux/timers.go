package mux

import (
	"container/heap"
	"time"

	"example.com/isotp/internal/engine"
)

// timers is a heap of endpoints by when they want to be called. What is in it may
// be earlier than what an endpoint wants by now: nearly every frame moves a
// time-out further away, and to be called once for nothing costs less than to
// sort at every frame.
type timers struct {
	heap  timerHeap
	armed engine.Time // what the pacer is set for, 0 if it is not
	// lateAt is when a tick noticed that the process had stood still: what was due
	// before comes at graceUntil. 0 after that.
	lateAt, graceUntil engine.Time
}

type timerHeap []*Endpoint

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].timerAt < h[j].timerAt }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timerIndex, h[j].timerIndex = i, j
}
func (h *timerHeap) Push(x any) {
	ep := x.(*Endpoint)
	ep.timerIndex = len(*h)
	*h = append(*h, ep)
}
func (h *timerHeap) Pop() any {
	old := *h
	ep := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	ep.timerIndex = -1
	return ep
}

// schedule has an endpoint called at that time or before. Under mu.
func (m *Mux) schedule(ep *Endpoint, at engine.Time) {
	if at < m.timers.lateAt {
		at = m.timers.graceUntil
	}
	switch {
	case ep.timerIndex < 0:
		ep.timerAt = at
		heap.Push(&m.timers.heap, ep)
	case at < ep.timerAt:
		ep.timerAt = at
		heap.Fix(&m.timers.heap, ep.timerIndex)
	default:
		return
	}
	m.arm()
}

// reschedule is schedule with what the endpoint's engine wants. Under mu.
func (m *Mux) reschedule(ep *Endpoint) {
	if at, ok := ep.engine.PollTimeout(); ok && !ep.closed {
		m.schedule(ep, at)
	}
}

// arm sets the pacer for the first endpoint, unless it is set early enough.
// Under mu.
func (m *Mux) arm() {
	if len(m.timers.heap) == 0 {
		return
	}
	first := m.timers.heap[0]
	if m.timers.armed != 0 && m.timers.armed <= first.timerAt {
		return
	}
	m.timers.armed = first.timerAt
	if at := m.Time(first.timerAt); first.spin {
		m.pacer.SetSpin(at)
	} else {
		m.pacer.Set(at)
	}
}

const (
	// late is how late a tick can be on a busy machine. One that is later follows a
	// stop of the whole process, by a signal or a quota.
	late = 5 * time.Millisecond
	// grace is how long time-outs then wait for the reader to bring what the bus has
	// received meanwhile: it came in time.
	grace = 5 * time.Millisecond
)

// tick calls the endpoints whose time has come. The pacer calls it.
func (m *Mux) tick() {
	now := m.now()
	m.mu.Lock()
	t := &m.timers
	switch {
	case t.lateAt != 0:
		if now >= t.graceUntil {
			t.lateAt = 0
		}
	case t.armed != 0 && now > t.armed.Add(late):
		t.lateAt, t.graceUntil = now, now.Add(grace)
	}
	t.armed = 0
	for len(t.heap) > 0 && t.heap[0].timerAt <= now {
		ep := heap.Pop(&t.heap).(*Endpoint)
		m.touch(ep)
		if ep.timerAt < t.lateAt {
			m.schedule(ep, ep.timerAt)
			continue // for now it may only send
		}
		ep.engine.HandleTimeout(now)
		m.writer.checkStalled(now, ep)
		if ep.member != nil {
			ep.member.peers.reap(now, ep)
		}
	}
	m.serve(now)
	m.arm()
	m.unlock(now)
}

// forget takes an endpoint out. Under mu.
func (m *Mux) forget(ep *Endpoint) {
	if ep.timerIndex >= 0 {
		heap.Remove(&m.timers.heap, ep.timerIndex)
	}
}
