package mux

import (
	"math"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// On a bus with canbus.Properties.OwnTime receptions go by the frames' stamps: a log says
// by itself which frame was too late, however fast it is read. On a bus that waits for its
// reader (see hold), and has no time of its own, receptions go by the clock less the time
// for which the bus was held up. Deadlines and sending go by the clock, and so does the
// question which messages were started by a deadline.

// frameTime is the time by which receptions go. Under mu.
type frameTime struct {
	used  bool        // this bus needs it
	now   engine.Time // the newest stamp; it never goes back
	known bool        // a frame with a stamp has come
	next  engine.Time // before this time no reception has anything to do
}

// maxBack is how far a stamp may go back, as stamps of several sources do. A stamp that
// goes back further is of another recording, or of a clock that was set back.
const maxBack = time.Second

// stampTime returns a frame's stamp as an engine's time, cut so that no sum overflows.
func (m *Mux) stampTime(stamp int64) engine.Time {
	const far = math.MaxInt64 / 4
	return engine.Time(min(max(stamp, -far), far) - min(max(m.epoch.UnixNano(), -far), far))
}

// awaitFrame waits until there is room for the next frame, and moves frameTime on to that
// frame. It returns what time it is then by the clock. Under mu: see awaitRoom.
func (m *Mux) awaitFrame(now engine.Time, f *canbus.Frame) engine.Time {
	if m.props.Waits {
		now = m.awaitRoom(now, f)
	}
	m.advance(now, f)
	return now
}

// advance moves frameTime on to the next frame, and aborts receptions for which that frame
// is too late. Under mu.
func (m *Mux) advance(now engine.Time, f *canbus.Frame) {
	t := &m.frameTime
	at := now.Add(-m.hold.total)
	if m.props.OwnTime {
		if !f.Has(canbus.Timed) {
			return // a frame without a stamp has the time of the frame before
		}
		at = m.stampTime(f.Timestamp)
	}
	switch {
	case !t.known:
		t.known, t.now = true, at
	case at < t.now.Add(-maxBack):
		m.giveUpReceptions(now, engine.TimeWentBack)
		t.now = at
	default:
		t.now = max(t.now, at)
	}
	if t.now >= t.next {
		m.elapse(now)
	}
}

// elapse calls Engine.Elapse of all engines that have something to do by now. Under mu.
func (m *Mux) elapse(now engine.Time) {
	t := &m.frameTime
	t.next = math.MaxInt64
	for ep := m.endpoints; ep != nil; ep = ep.next {
		before := ep.engine.Coming()
		t.next = min(t.next, ep.engine.Elapse(now))
		if before {
			m.touch(ep)
		}
	}
}

// giveUpReceptions aborts all receptions. Under mu.
func (m *Mux) giveUpReceptions(now engine.Time, why engine.Code) {
	for ep := m.endpoints; ep != nil; ep = ep.next {
		ep.engine.GiveUp(now, why)
		m.touch(ep)
	}
}

// shown returns the time of a frame for observers. Under mu.
func (m *Mux) shown(now engine.Time) engine.Time {
	if m.frameTime.used {
		return m.frameTime.now
	}
	return now
}
