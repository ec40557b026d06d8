package mux

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// Frames that the bus has received and dropped (see canbus.DropCounter) may have been for
// any endpoint. So each endpoint that is read by Receive, Open or Await gets one error for
// them, with the next of these calls that is not in mid-message; so do Peers. Readers that
// wait in such a call are woken for it, at most once in wakeEvery.

// drops are what is known of that. Under mu.
type drops struct {
	counter canbus.DropCounter // nil: the bus does not count
	count   engine.Drops
	wokenAt engine.Time // 0: never
	timer   *time.Timer // of the next time; nil: none is due
}

// wakeEvery is the least time between two wake-ups.
const wakeEvery = time.Second

// A DroppedError is the error of a read after the bus has dropped frames.
type DroppedError struct{ Frames uint32 }

func (e *DroppedError) Error() string { return fmt.Sprintf("the bus has dropped %d frames", e.Frames) }

// A DroppedResult is a ResultError of a message during which the bus has dropped frames.
type DroppedResult struct {
	ResultError
	Frames uint32
}

// resultError is how a message has ended during which so many frames were dropped.
func resultError(why engine.Code, dropped uint32) error {
	if dropped > 0 {
		return &DroppedResult{ResultError(why), dropped}
	}
	return ResultError(why)
}

// countDrops follows each read of the bus. Under mu.
func (m *Mux) countDrops(now engine.Time, total uint64) {
	d := &m.drops
	d.count.Before = d.count.Total
	if total <= d.count.Total {
		return
	}
	d.count.Total = total
	switch {
	case d.timer != nil:
	case d.wokenAt == 0 || now >= d.wokenAt.Add(wakeEvery):
		m.wakeForDrops(now)
	default:
		d.timer = time.AfterFunc(d.wokenAt.Add(wakeEvery).Sub(now), m.dropsDue)
	}
}

// dropsDue is called by the timer.
func (m *Mux) dropsDue() {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drops.timer = nil
	m.wakeForDrops(now)
}

// stopDrops ends the timer.
func (m *Mux) stopDrops() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drops.timer != nil {
		m.drops.timer.Stop()
	}
}

// wakeForDrops wakes the readers that wait for messages. Under mu.
func (m *Mux) wakeForDrops(now engine.Time) {
	m.drops.wokenAt = now
	m.wakeReaders()
}

// wakeReaders wakes all readers that wait for messages: there may be an error for them.
// Under mu.
func (m *Mux) wakeReaders() {
	for ep := m.endpoints; ep != nil; ep = ep.next {
		switch {
		case ep.handling != nil:
		case ep.member != nil:
			ep.member.peers.ready.Set()
		default:
			ep.readable.Set()
		}
	}
	m.routes.eachHost(func(h *host) {
		if p, ok := h.keeper.(*Peers); ok {
			p.ready.Set()
		}
	})
}

// downs are the times when the bus has said that its network is down, which may come
// back: readers are told as of drops. Guarded by mu.
type downs struct {
	count uint32
	err   error // of the last time
}

// countDowns follows an error after which the bus is still of use. Under mu.
func (m *Mux) countDowns(err error) {
	if errors.Is(err, syscall.ENETDOWN) {
		m.downs.count++
		m.downs.err = err
		m.wakeReaders()
	}
}

// A dropsTold is what a reader was told of the drops, and of the downs. Guarded by mu.
type dropsTold struct{ since, told, downs uint32 }

// begin says that what was dropped by now does not concern the reader. Under mu.
func (t *dropsTold) begin(m *Mux) {
	t.since = uint32(m.drops.count.Total)
	t.told = t.since
	t.downs = m.downs.count
}

// news reports whether there is an error that the reader was not told of. Under mu.
func (t *dropsTold) news(m *Mux) bool {
	return m.drops.count.Since(t.told) != 0 || m.downs.count != t.downs
}

// tell returns that error. Under mu.
func (t *dropsTold) tell(m *Mux) error {
	if m.downs.count != t.downs {
		t.downs = m.downs.count
		return m.downs.err
	}
	n := m.drops.count.Since(t.told)
	t.told += n
	return &DroppedError{n}
}

// count is how many frames the bus has dropped since begin. Under mu.
func (t *dropsTold) count(m *Mux) uint64 { return uint64(m.drops.count.Since(t.since)) }

// Dropped is how many frames the bus has dropped since the endpoint was made.
func (ep *Endpoint) Dropped() uint64 {
	ep.m.mu.Lock()
	defer ep.m.mu.Unlock()
	return ep.drops.count(ep.m)
}
