package slcan

import (
	"time"
)

// hearFence takes the answer to a fence. Under mu.
func (b *Bus) hearFence(now time.Time, status bool) {
	if !b.flight.fenced || b.fenceStatus != status {
		return
	}
	b.moved = now
	b.proven = b.flight.fence
	b.wire.fenced(now, b.fenceSent, b.fenceWritten)
	b.complain(now, b.flight.fenceAnswered())
	b.change()
	b.needMind()
}

// complain counts frames that were refused or given up, and logs them, at most once a
// second. Under mu.
func (b *Bus) complain(now time.Time, frames int) {
	if frames == 0 {
		return
	}
	b.refused += uint64(frames)
	b.untold += uint64(frames)
	b.askStatus = b.hasStatus && now.Sub(b.statusAsked) >= answerTime
	if !b.complained.IsZero() && now.Sub(b.complained) < time.Second {
		return
	}
	b.log.Warn("slcan: the adapter refuses frames, or does not answer them", "port", b.name, "frames", b.untold)
	b.complained, b.untold = now, 0
}

// appendFence appends a fence to what is written next. Under mu and writing.
func (b *Bus) appendFence() {
	b.fenceSent = time.Now()
	b.fenceStatus = b.askStatus
	command := byte('V')
	if b.fenceStatus {
		command, b.askStatus, b.statusAsked = 'F', false, b.fenceSent
	}
	b.out = append(b.out, command, cr)
	b.flight.writeFence()
	b.fenceWanted = false
	b.fenceWritten = b.wire.written
}

// wrote is called after a write to the port. Under mu.
func (b *Bus) wrote() {
	b.inWrite = false
	b.moved = time.Now()
}

// needMind wakes mind if it has something to look after. Under mu.
func (b *Bus) needMind() {
	l := &b.flight
	now := !l.fenced && b.wantsFence()
	if now || !b.minding && (l.fenced || l.inFlight() > 0) {
		b.minding = true
		signal(b.kick)
	}
}

// wantsFence reports whether a fence is to be sent at once. Under mu.
func (b *Bus) wantsFence() bool {
	return b.flight.fences && (b.fenceWanted || b.askStatus || b.flight.doubt && b.flight.inFlight() > 0)
}

// mind is the goroutine that sends fences, and gives up frames whose answers do not come.
func (b *Bus) mind() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-b.kick:
		case <-timer.C:
		case <-b.life.Over():
			return
		}
		for {
			wait, send := b.tend()
			if !send {
				timer.Reset(wait)
				break
			}
			if b.sendFence() != nil {
				return
			}
		}
	}
}

// tend gives up frames whose answers should have come by now. It returns how long to wait
// until the next look, or that a fence is to be sent.
func (b *Bus) tend() (wait time.Duration, send bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &b.flight
	canFence := l.fences && !l.fenced
	limit := answerTime + 4*b.roundTrip + time.Duration(l.waiting())*30*b.perChar
	switch {
	case canFence && b.wantsFence():
		return 0, true
	case l.fenced && !(l.mode == unknown && l.answered == l.settled):
		limit += fenceTime
	case !l.fenced && l.inFlight() == 0:
		b.minding = false
		return time.Hour, false
	}
	now := time.Now()
	if b.inWrite {
		return answerTime, false
	}
	if wait = b.moved.Add(limit).Sub(now); wait > 0 {
		return min(wait, answerTime), false // the next wait may be shorter
	}
	if canFence {
		return 0, true
	}
	b.complain(now, l.timedOut())
	signal(b.roomy)
	b.change()
	b.minding = false
	return time.Hour, false
}

// sendFence sends a fence, unless one has no answer yet.
func (b *Bus) sendFence() error {
	if err := b.acquire(); err != nil {
		return err
	}
	defer b.release()
	b.mu.Lock()
	if b.flight.fenced {
		b.mu.Unlock()
		return nil
	}
	b.inWrite = true
	b.out = b.out[:0]
	b.appendFence()
	b.mu.Unlock()
	_, err := b.port.Write(b.out)
	b.mu.Lock()
	b.wrote()
	b.mu.Unlock()
	if err != nil {
		b.fail(err)
	}
	return err
}
