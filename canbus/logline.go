package canbus

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// AppendLogLine appends a line of a log as candump -L writes it, without the
// line's end:
//
//	(1436509052.249713) vcan0 044#2A366C2BBA
//
// The time is the frame's Timestamp, cut to microseconds. bus is the bus's name,
// without spaces; - stands for none. Behind frames with the flag Echo there is
// " T": sent here.
func AppendLogLine(b []byte, f *Frame, bus string) []byte {
	if bus == "" {
		bus = "-"
	}
	us := max(f.Timestamp, 0) / 1000
	b = fmt.Appendf(b, "(%010d.%06d) %s ", us/1e6, us%1e6, bus)
	b = f.appendText(b)
	if f.Has(Echo) {
		b = append(b, " T"...)
	}
	return b
}

// ParseLogLine parses a line of a log as [AppendLogLine] and candump -L write it.
// The time may have 1 to 9 digits after the point, and " R" (received) may stand
// behind the frame.
func ParseLogLine(line string) (f Frame, bus string, err error) {
	f, bus, err = parseLogLine(line)
	if err != nil {
		return Frame{}, "", fmt.Errorf("canbus: log line %q: %w", line, err)
	}
	return f, bus, nil
}

func parseLogLine(line string) (f Frame, bus string, err error) {
	fields := strings.Fields(line)
	if len(fields) != 3 && len(fields) != 4 {
		return f, "", fmt.Errorf("%d fields (want \"(seconds.microseconds) bus frame\", and T or R)", len(fields))
	}
	timestamp, err := parseLogTime(fields[0])
	if err != nil {
		return f, "", err
	}
	if err := f.parse(fields[2]); err != nil {
		return f, "", err
	}
	f.Timestamp = timestamp
	if len(fields) == 4 {
		switch fields[3] {
		case "T":
			f.Flags |= Echo
		case "R":
		default:
			return f, "", fmt.Errorf("%q after the frame (want T for sent or R for received)", fields[3])
		}
	}
	return f, fields[1], nil
}

// parseLogTime returns nanoseconds. It goes by integers: a float64 is not exact
// to a microsecond for ever.
func parseLogTime(s string) (int64, error) {
	bad := fmt.Errorf("time %q is not (seconds.microseconds)", s)
	if len(s) < 2 || s[0] != '(' || s[len(s)-1] != ')' {
		return 0, bad
	}
	whole, fraction, found := strings.Cut(s[1:len(s)-1], ".")
	if !found || len(fraction) < 1 || len(fraction) > 9 {
		return 0, bad
	}
	seconds, err1 := strconv.ParseUint(whole, 10, 63)
	ns, err2 := strconv.ParseUint(fraction+"000000000"[len(fraction):], 10, 63)
	if err1 != nil || err2 != nil {
		return 0, bad
	}
	if seconds >= math.MaxInt64/1_000_000_000 {
		return 0, fmt.Errorf("time %q is after the year 2262", s)
	}
	return int64(seconds)*1e9 + int64(ns), nil
}
