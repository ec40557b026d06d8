package mux

import (
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// A bus with canbus.Properties.Waits, a log for one, loses nothing while it is not read.
// There an endpoint that has not room for its next frame holds the bus up:
//
//	free  the next frame's endpoints have room for it: they get it
//	held  one of them has not: the bus is not read until there is room, or the
//	      endpoint is closed
//	late  it was held for patience while another endpoint of the bus, which gets
//	      nothing meanwhile, was being read: the one that holds it loses what it has no
//	      room for, as on any other bus, until it is read again
//
// Endpoints that are not accepted yet do not hold the bus, nor do those with a Handler,
// which take what comes.

// patience is how long an endpoint may hold up others that wait.
const patience = 5 * time.Second

// hold is what the reader waits for. Under mu.
type hold struct {
	by     *Endpoint     // nil: nothing
	others engine.Time   // since when others have waited, 0: none does
	look   chan struct{} // has the reader look again
	total  time.Duration // how long the bus has been held up in all
}

// look has the reader look again, when an endpoint was read, waits for a message or is
// closed. Under mu.
func (m *Mux) look() {
	if m.hold.by == nil {
		return
	}
	select {
	case m.hold.look <- struct{}{}:
	default:
	}
}

// wasRead follows each read of an endpoint, also one that must wait. Under mu.
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

// full returns an endpoint that holds the bus up because of a frame, nil if there is
// none. Under mu.
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

// othersWait reports whether others than this endpoint, and than its Peers, wait for
// messages. Under mu.
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
