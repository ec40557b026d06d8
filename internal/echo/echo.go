// Package echo finds out which of the frames in flight an echo is of, on a bus that gives
// back what was written once it is on the wire (see canbus.Properties.Echo).
package echo

import (
	"bytes"

	"example.com/isotp/canbus"
)

// Of reports whether echo can be the echo of that frame. Two frames may be equal: then it
// is that of the older one.
func Of(echo, frame *canbus.Frame) bool {
	const kind = canbus.Extended | canbus.FD | canbus.Remote
	return echo.ID == frame.ID && (echo.Flags^frame.Flags)&kind == 0 && bytes.Equal(echo.Payload(), frame.Payload())
}

// Proves reports whether echo proves that a frame written before its own is on the wire
// too, and the echo of that was lost: frames with one identifier do not overtake each
// other.
func Proves(echo, before *canbus.Frame) bool {
	return echo.ID == before.ID && (echo.Flags^before.Flags)&canbus.Extended == 0
}

// Find returns the index of the frame that echo is of, among those in flight, the oldest
// first; negative: of none. Of equal frames it takes the oldest that is not stale, else
// the oldest: a stale one may have been lost, and the echo be that of an equal one after
// it. frame and stale are called with an element.
func Find[E any](echo *canbus.Frame, inFlight []E, frame func(*E) *canbus.Frame, stale func(*E) bool) int {
	found := -1
	for i := range inFlight {
		e := &inFlight[i]
		if !Of(echo, frame(e)) {
			continue
		}
		if !stale(e) {
			return i
		}
		if found < 0 {
			found = i
		}
	}
	return found
}
