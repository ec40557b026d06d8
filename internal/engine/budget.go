package engine

import (
	"slices"
	"time"
)

// plainSize is the longest message that every engine takes: before its user has
// decided how to read, without blocks, and whatever a Budget says.
const plainSize = 65535

// leastRate is how many bytes a second a message brings that keeps its part of a
// Budget while others wait.
const leastRate = 1000

// A Budget bounds how many bytes engines hold together of messages longer than 65535 bytes.
// A message is admitted with the whole length that its First Frame claims, although memory
// grows only with what comes, so that every admitted message can be completed. Other
// messages wait: their CTS is held back. The lock of its engines guards a Budget.
type Budget struct {
	Limit int64 // bytes
	// Wake is called with an engine that has events, or something to send, because
	// another engine was called.
	Wake func(*Engine)

	used    int64
	claims  map[*Engine]*claim
	waiting []*Engine // in the order of their First Frames
}

// A claim is one engine's part of a Budget.
type claim struct {
	size int64
	// since is when got bytes of the message being received had come. It is earlier than
	// the message if makeRoom has not looked at that message yet.
	since Time
	got   uint32
}

// SetBudget adds the engine to those that share b.
func (e *Engine) SetBudget(b *Budget) { e.budget = b }

// LeaveBudget gives back what the engine, which has ended, holds.
func (e *Engine) LeaveBudget() {
	if e.budget != nil {
		e.rx.unadmitted = false
		e.budget.leave(e)
		e.budget = nil
	}
}

// admit claims room for a message of that size. It reports false if there is none.
func (e *Engine) admit(now Time, size uint32) bool {
	b := e.budget
	if b == nil {
		return true
	}
	if len(b.waiting) > 0 || !b.fits(size) {
		b.makeRoom(now)
	}
	if len(b.waiting) > 0 || !b.fits(size) {
		return false
	}
	b.take(e, size)
	return true
}

// madeRoom looks for room for the message being received, and reports whether that message
// was admitted.
func (e *Engine) madeRoom(now Time) bool {
	e.budget.makeRoom(now)
	return e.rx.state != receiveHold
}

// wait lets the message being received wait until there is room.
func (e *Engine) wait() {
	e.rx.unadmitted = true
	e.budget.waiting = append(e.budget.waiting, e)
}

// unclaim gives back the room of a message.
func (e *Engine) unclaim(m *message) {
	if e.budget != nil && m.claimed {
		m.claimed = false
		e.budget.release(e, int64(m.info.Size))
	}
}

func (b *Budget) fits(size uint32) bool { return b.used+int64(size) <= b.Limit }

func (b *Budget) take(e *Engine, size uint32) {
	if b.claims == nil {
		b.claims = make(map[*Engine]*claim)
	}
	c := b.claims[e]
	if c == nil {
		c = new(claim)
		b.claims[e] = c
	}
	c.size += int64(size)
	c.since = 0
	b.used += int64(size)
}

func (b *Budget) release(e *Engine, size int64) {
	c := b.claims[e]
	if c.size -= size; c.size == 0 {
		delete(b.claims, e)
	}
	b.used -= size
	b.admitWaiting()
}

// stopWaiting removes an engine from those that wait.
func (b *Budget) stopWaiting(e *Engine) {
	if i := slices.Index(b.waiting, e); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
		b.admitWaiting()
	}
}

func (b *Budget) leave(e *Engine) {
	b.stopWaiting(e)
	if c := b.claims[e]; c != nil {
		b.release(e, c.size)
	}
}

// admitWaiting admits messages of engines that wait, in turn, as long as there is room.
func (b *Budget) admitWaiting() {
	for len(b.waiting) > 0 {
		e := b.waiting[0]
		m := e.rx.msg
		if !b.fits(m.info.Size) {
			return
		}
		b.waiting = slices.Delete(b.waiting, 0, 1)
		b.take(e, m.info.Size)
		m.claimed = true
		e.rx.unadmitted = false
		e.roomMade()
		b.Wake(e)
	}
}

// restart begins to count the rate of the message being received anew, because we have held
// it up.
func (b *Budget) restart(e *Engine) {
	if c := b.claims[e]; c != nil {
		c.since = 0
	}
}

// makeRoom aborts the reception of messages that come too slowly, if others wait.
func (b *Budget) makeRoom(now Time) {
	for e, c := range b.claims {
		rx := &e.rx
		if rx.state == receiveIdle || rx.state == receiveHold || !rx.msg.claimed {
			c.since = 0
			continue
		}
		if rx.msg.info.First > c.since { // as 0 is, too
			c.since, c.got = now, rx.got
		}
		took, brought := now.Sub(c.since), rx.got-c.got
		if took < time.Second {
			continue
		}
		c.since, c.got = now, rx.got
		if int64(brought)*int64(time.Second) < leastRate*int64(took) {
			e.abortReceive(now, ReceiverFull)
			b.Wake(e)
		}
	}
}
