package vendorlib

import "time"

// epoch is for how long a Clock keeps to an offset. Clocks of adapters drift by less than a
// millisecond in it.
const epoch = 10 * time.Second

// A Clock makes times of the timestamps of an adapter, which count from a moment that is not
// known, by a clock of its own. A frame is heard after its timestamp, and late by what its
// way takes. So the frame that was least late tells best what the adapter's clock says at
// what time. The clock drifts, so only the frames of the last 20 s count. A frame that is later
// than 10 s is not: one of the two clocks was set, or stood still.
//
// The zero value is ready.
type Clock struct {
	offset int64 // least of this epoch and the last one
	next   int64 // least of this epoch
	end    time.Time
}

// At returns the time, in nanoseconds since the Unix epoch, of a frame that was heard now
// and has that timestamp, in nanoseconds. Frames are given in their order.
func (c *Clock) At(timestamp int64, now time.Time) int64 {
	offset := now.UnixNano() - timestamp
	switch {
	case now.After(c.end.Add(epoch)), offset-c.offset > int64(epoch): // the first frame, also after a pause or a jump
		c.offset, c.next, c.end = offset, offset, now.Add(epoch)
	case now.After(c.end):
		c.offset, c.next, c.end = min(c.next, offset), offset, now.Add(epoch)
	default:
		c.offset, c.next = min(c.offset, offset), min(c.next, offset)
	}
	return timestamp + c.offset
}
