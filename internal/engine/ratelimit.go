package engine

import "time"

// maxSpent is how many moments a rateLimit remembers. If more frames pass within a
// window, the newest share one moment: then they count for longer than they must, and
// the limit is never exceeded.
const maxSpent = 1024

// A rateLimit lets so many bits of frame data pass within any window of time, as
// can-isotp's does.
type rateLimit struct {
	bits   int // the limit
	window time.Duration
	used   int     // the sum of spent
	spent  []spent // within the last window, from first on
	first  int
}

// spent are bits that passed at a moment.
type spent struct {
	at   Time
	bits int
}

func newRateLimit(bits int, window time.Duration) *rateLimit {
	return &rateLimit{bits: bits, window: window}
}

// allows reports whether a frame of that many bits may pass now. If not, at is when
// it may; else never.
func (r *rateLimit) allows(now Time, bits int, at *Time) bool {
	if *at = r.next(now, bits); *at > now {
		return false
	}
	*at = never
	return true
}

// next returns when a frame of that many bits may pass: now or later.
func (r *rateLimit) next(now Time, bits int) Time {
	for r.first < len(r.spent) && r.spent[r.first].at.Add(r.window) <= now {
		r.used -= r.spent[r.first].bits
		r.first++
	}
	excess := r.used + bits - r.bits
	for _, s := range r.spent[r.first:] {
		if excess <= 0 {
			break
		}
		if excess -= s.bits; excess <= 0 {
			return s.at.Add(r.window)
		}
	}
	return now
}

// spend counts a frame that passed.
func (r *rateLimit) spend(now Time, bits int) {
	r.used += bits
	if r.first > len(r.spent)/2 || r.first > 0 && len(r.spent) == maxSpent {
		r.spent = r.spent[:copy(r.spent, r.spent[r.first:])]
		r.first = 0
	}
	if n := len(r.spent); n > r.first {
		if newest := &r.spent[n-1]; newest.at == now || n == maxSpent {
			newest.at = now
			newest.bits += bits
			return
		}
	}
	r.spent = append(r.spent, spent{now, bits})
}
