package canlog

import (
	"fmt"
	"strconv"
	"time"

	"example.com/isotp/canbus"
)

// channels are the numbers of interfaces, in formats that have no names.
type channels struct {
	numbers map[string]int // by name
	taken   [256]bool
}

func (c *channels) numbersByName() map[string]int { return c.numbers }

// of returns an interface's number: see [Writer.Numbers].
func (c *channels) of(name string) (int, error) {
	if n, known := c.numbers[name]; known {
		return n, nil
	}
	n := 1
	if v, err := strconv.ParseUint(name, 10, 8); err == nil && v > 0 {
		n = int(v)
	} else if v, err := strconv.ParseUint(name[endDigits(name):], 10, 8); err == nil && v < 255 {
		n = int(v) + 1
	}
	for tries := 0; c.taken[n]; tries++ {
		if n = n%255 + 1; tries == 255 {
			return 0, canbus.Temporary(fmt.Errorf("canlog: not written: the frame is of the interface %q, and the format has no more than 255", name))
		}
	}
	if c.numbers == nil {
		c.numbers = make(map[string]int)
	}
	c.numbers[name], c.taken[n] = n, true
	return n, nil
}

// endDigits returns where the digits begin that a name ends with.
func endDigits(name string) int {
	i := len(name)
	for i > 0 && name[i-1] >= '0' && name[i-1] <= '9' {
		i--
	}
	return i
}

// A clock counts from a log's beginning, which is that of its first frame.
type clock struct {
	running bool
	start   int64
}

// begin begins at the time of the first frame, or as much before as a header needs that
// knows no less than unit.
func (c *clock) begin(f *canbus.Frame, unit time.Duration) time.Time {
	c.running = true
	if f.Has(canbus.Timed) {
		c.start = max(f.Timestamp, 0) / int64(unit) * int64(unit)
	}
	return time.Unix(0, c.start)
}

// since returns how many nanoseconds after the beginning a frame came.
func (c *clock) since(f *canbus.Frame, w *Writer) int64 {
	switch ns := f.Timestamp - c.start; {
	case !f.Has(canbus.Timed):
		return 0
	case f.Timestamp < c.start:
		w.losses.lose("times before that of the first frame")
		return 0
	default:
		return ns
	}
}

// loseError notes what is lost of an error frame in formats that know only that there was
// one.
func (l *losses) loseError(f *canbus.Frame) {
	var plain canbus.Frame
	setError(&plain)
	if f.ID != plain.ID || f.Len != plain.Len || f.Data != plain.Data {
		l.lose("the class and data of error frames")
	}
}
