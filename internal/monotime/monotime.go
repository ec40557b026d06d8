// Package monotime has the one type of time of the state machines, which have no clock.
package monotime

import (
	"math"
	"time"
)

// A Time is a moment on a monotonic clock, in nanoseconds since any one moment.
type Time int64

// Never is later than every moment.
const Never Time = math.MaxInt64

// Add returns the moment d later, or Never if that is too far away.
func (t Time) Add(d time.Duration) Time {
	if u := t + Time(d); u >= t || d < 0 {
		return u
	}
	return Never
}

// Sub returns the time from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }
