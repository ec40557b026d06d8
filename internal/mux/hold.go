package mux

import (
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// A bus with canbus.Properties.Waits, such as a log, loses nothing while it is not read. On
// such a bus an endpoint that has no room for its next frame holds the bus up:
//
//	free  all endpoints of the next frame have room: they get the frame
//	held  one of them has no room: the reader does not read the bus until that endpoint
//	      has room or is closed
//	late  the bus was held for patience while a caller waited for messages of another
//	      endpoint: the endpoint that holds the bus loses frames that it has no room
//	      for, as on any other bus, until it is read again
//
// Endpoints that are not accepted yet do not hold the bus, nor do endpoints with a Handler,
// which always have room.

// patience is how long an endpoint may hold up other endpoints whose callers wait.
const patience = 5 * time.Second

// hold is what the reader waits for. Under mu.
type hold struct {
	by     *Endpoint     // which holds the bus; nil: none
	others engine.Time   // since when callers of other endpoints wait; 0: none waits
	look   chan struct{} // a token lets the reader look again
	total  time.Duration // how long the bus has been held up in all
}

// look lets the reader look again. It is called when an endpoint was read, is waited on for
// a message, or is closed. Under mu.
func (m *Mux) look() {
	if m.hold.by == nil {
		return
	}
	select {
	case m.hold.look <- struct{}{}:
	default:
	}
}

// wasRead is called after each read of an endpoint, also after one that must wait. Under mu.
func (m *Mux) wasRead(ep *Endpoint) {
	ep.late = false
	m.look()
}

// awaitRoom waits until the endpoints that the frame is for have room for it, and returns
// what time it is then. Under mu, which it releases while it waits.
func (m *Mux) awaitRoom(now engine.Time, f *canbus.Frame) engine.Time {
	h := &m.hold
	for {
		h.by = m.full(f)
		if h.by == nil || m.err != nil {
			h.by, h.others = nil, 0
			return now
		}
		var timer <-chan time.Time
		if !m.othersWait(h.by) {
			h.others = 0
		} else {
			if h.others == 0 {
				h.others = now
			}
			left := h.others.Add(patience).Sub(now)
			if left <= 0 {
				h.by.late, h.others = true, 0
				continue
			}
			timer = time.After(left)
		}
		m.unlock(now)
		select {
		case <-h.look:
		case <-timer:
		}
		began := now
		now = m.now()
		m.mu.Lock()
		h.total += now.Sub(began)
	}
}

// full returns an endpoint of a frame that has no room for it and so holds the bus up; nil
// if there is none. Under mu.
func (m *Mux) full(f *canbus.Frame) *Endpoint {
	if f.Has(canbus.ErrorFrame) || f.Has(canbus.Remote) {
		return nil
	}
	for _, rt := range m.routes.find(f) {
		if rt.role != physical && rt.role != functional || !rt.addr.MatchByte(f) {
			continue
		}
		ep := rt.endpoint
		if rt.host != nil {
			ep = rt.host.peers[rt.host.index(f)]
		}
		if ep != nil && !ep.late && !ep.unaccepted && ep.handling == nil && ep.engine.Full() {
			return ep
		}
	}
	return nil
}

// othersWait reports whether a caller waits for messages of another endpoint, not counting
// those of the same Peers. Under mu.
func (m *Mux) othersWait(holder *Endpoint) bool {
	for ep := m.endpoints; ep != nil; ep = ep.next {
		if ep != holder && ep.member == nil && ep.engine.Awaited() {
			return true
		}
	}
	waits := false
	m.routes.eachHost(func(h *host) {
		if own := holder.member != nil && h.keeper == keeper(holder.member.peers); !own {
			waits = waits || h.keeper.waits()
		}
	})
	return waits
}
