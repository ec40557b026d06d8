package cannelloni

// lateness is how many numbers back a datagram may be that counts as late. One further back
// is taken for one far ahead.
const lateness = 8

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
// may well be lost, so that it counts as one.
func (s *sequence) take(number byte) (missing int, late bool) {
	gap := number - s.next
	switch {
	case !s.begun || gap == 0:
		gap = 0
	case number == 0:
		gap = 1
	case gap >= 256-lateness:
		return 0, true
	}
	s.begun, s.next = true, number+1
	return int(gap), false
}
