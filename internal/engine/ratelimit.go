package engine

import "time"

// rateSlots is how finely a rateLimit remembers when it let frames pass. A slot
// is counted until all of it has left the window, so the limit is never exceeded
// within any window, and at most 1/rateSlots of the rate is given away.
const rateSlots = 64

// A rateLimit lets so many bits of frame data pass within any window of time, as
// can-isotp's does.
type rateLimit struct {
	bits  int           // the limit
	width time.Duration // of a slot
	used  int           // the sum of slots
	slots [rateSlots]struct {
		begin Time
		bits  int
	}
	first, count int
}

func newRateLimit(bits int, window time.Duration) *rateLimit {
	return &rateLimit{bits: bits, width: max(window/(rateSlots-1), 1)}
}

// next is when a frame of that many bits may pass: now or later.
func (r *rateLimit) next(now Time, bits int) Time {
	for r.count > 0 && r.leaves(0) <= now {
		r.used -= r.slots[r.first].bits
		r.first = (r.first + 1) % rateSlots
		r.count--
	}
	excess := r.used + bits - r.bits
	for i := 0; i < r.count && excess > 0; i++ {
		excess -= r.slots[(r.first+i)%rateSlots].bits
		if excess <= 0 {
			return r.leaves(i)
		}
	}
	return now
}

// leaves is when the i-th oldest slot leaves the window.
func (r *rateLimit) leaves(i int) Time {
	return r.slots[(r.first+i)%rateSlots].begin.Add(rateSlots * r.width)
}

// spend counts a frame that passed.
func (r *rateLimit) spend(now Time, bits int) {
	r.used += bits
	if r.count > 0 {
		newest := &r.slots[(r.first+r.count-1)%rateSlots]
		if now < newest.begin.Add(r.width) || r.count == rateSlots {
			newest.bits += bits
			return
		}
	}
	s := &r.slots[(r.first+r.count)%rateSlots]
	s.begin, s.bits = now, bits
	r.count++
}
