package mux

import (
	"math"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// On a bus with canbus.Properties.OwnTime receptions go by the frames' stamps: a log says
// by itself what was too late, however fast it is read. On one that waits for its reader
// (see hold), and has no time of its own, they go by the clock less the time for which it
// was held up. All else goes by the clock: deadlines, sending, and which messages have
// begun by a deadline.

// frameTime is that time. Under mu.
type frameTime struct {
	used  bool        // there is one on this bus
	now   engine.Time // the newest stamp, and never less than before
	known bool        // there was a stamp
	next  engine.Time // before this no reception has anything to do
}

// maxBack is how far stamps may go back, as those of several sources do, without time's
// having gone back: to another recording, or by a clock that was set.
const maxBack = time.Second

// stampTime is what a frame's stamp is as an engine's time. It stays far from the ends.
func (m *Mux) stampTime(stamp int64) engine.Time {
	const far = math.MaxInt64 / 4
	return engine.Time(min(max(stamp, -far), far) - min(max(m.epoch.UnixNano(), -far), far))
}

// awaitFrame has the time of the next frame come, when there is room for it. It returns
// what time it is then by the clock. Under mu: see awaitRoom.
func (m *Mux) awaitFrame(now engine.Time, f *canbus.Frame) engine.Time {
	if m.props.Waits {
		now = m.awaitRoom(now, f)
	}
	m.advance(now, f)
	return now
}

// advance has the time of the next frame come: what is too late by it is given up. Under
// mu.
func (m *Mux) advance(now engine.Time, f *canbus.Frame) {
	t := &m.frameTime
	at := now.Add(-m.hold.total)
	if m.props.OwnTime {
		if f.Timestamp == 0 {
			return // the bus does not say: at the same time as the frame before
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

// elapse has all receptions do what is due. Under mu.
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

// giveUpReceptions ends what is being received. Under mu.
func (m *Mux) giveUpReceptions(now engine.Time, why engine.Code) {
	for ep := m.endpoints; ep != nil; ep = ep.next {
		ep.engine.GiveUp(now, why)
		m.touch(ep)
	}
}

// shown is the time of a frame for observers. Under mu.
func (m *Mux) shown(now engine.Time) engine.Time {
	if m.frameTime.used {
		return m.frameTime.now
	}
	return now
}
