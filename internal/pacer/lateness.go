package pacer

import "math/bits"

// lateness is how late an alarm goes off, learnt from how late it did. That is a
// matter of how long it was set for: the longer a processor has slept, the longer it
// takes to wake up.
//
// It is what one alarm in nine is less late than. To wake up too early costs one more
// wait, which ends late in its turn.
type lateness [16]int64 // for up to 8 us, 16 us, and so on to 134 ms, and for more

// maxLateness keeps what was late for another reason, such as a processor that had
// something else to do, from counting as usual.
const maxLateness = 500_000 // ns

func (l *lateness) of(d int64) *int64 {
	return &l[min(bits.Len64(uint64(d)>>13), len(l)-1)]
}

// learn is told how late an alarm was that was to go off after d.
func (l *lateness) learn(d, late int64) {
	usual := l.of(d)
	late = min(late, maxLateness)
	switch {
	case *usual == 0:
		*usual = late * 3 / 4
	case late >= *usual:
		*usual = min(*usual+*usual/64+1, late)
	default:
		*usual -= *usual / 8 // as much as 8 times up
	}
}
