package cannelloni

import "time"

// lateness is how many numbers back a datagram may be that counts as late. One further back
// is taken for one far ahead.
const lateness = 8

// restart is less time than a peer needs to begin anew, and more than a datagram is late.
const restart = 100 * time.Millisecond

// A sequence finds by their numbers, which are modulo 256, which datagrams are missing.
type sequence struct {
	begun bool
	next  byte
}

// take takes the number of a datagram that has come, and returns how many are missing before
// it. One that is late was missing before: it came after others that were sent later, or
// comes a second time.
//
// A peer that begins anew begins with 0. That looks like a gap, and what the peer sent last
// may well be lost, so that it counts as one. after is the time since the last datagram: a
// number 0 that comes too soon for a new beginning is late.
func (s *sequence) take(number byte, after time.Duration) (missing int, late bool) {
	gap := number - s.next
	isLate := gap >= 256-lateness
	switch {
	case !s.begun || gap == 0:
		gap = 0
	case number == 0 && (!isLate || after >= restart):
		gap = 1
	case isLate:
		return 0, true
	}
	s.begun, s.next = true, number+1
	return int(gap), false
}
