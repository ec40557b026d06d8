package canbus

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendLogLine appends a line of a log as candump -L writes it, without the
// line's end:
//
//	(1436509052.249713) vcan0 044#2A366C2BBA
//
// The time is the frame's Timestamp, cut to microseconds. The format has no form for a
// time that is not known, and 0 stands for it: give such a frame a time first (see
// [Frame.Stamp]), or it is read with the time 0. bus is the bus's name, in
// which spaces become _ as it must be one word; - stands for none. Behind frames with
// the flag Echo there is " T": sent here.
func AppendLogLine(b []byte, f *Frame, bus string) []byte {
	if strings.ContainsFunc(bus, unicode.IsSpace) {
		bus = strings.Join(strings.Fields(bus), "_")
	}
	if bus == "" {
		bus = "-"
	}
	us := int64(0)
	if f.Has(Timed) {
		us = max(f.Timestamp, 0) / 1000
	}
	b = fmt.Appendf(b, "(%010d.%06d) %s ", us/1e6, us%1e6, bus)
	b = f.appendText(b)
	if f.Has(Echo) {
		b = append(b, " T"...)
	}
	return b
}

// ParseLogLine parses a line of a log as [AppendLogLine] and candump -L write it, and
// what other programs and people's editors make of such lines: the time may have any
// number of digits after the point, or no point; T or t (sent) and R or r (received)
// may stand behind the frame; and behind that a remark, which begins with neither a
// letter nor a digit, as in "# the reset". The data of a CAN FD frame whose length no
// DLC can say are filled with zeros up to the next that one can, as cansend does.
//
// The frame has the flag Timed. Its Channel is 0: a log's interfaces have names.
func ParseLogLine(line string) (f Frame, bus string, err error) {
	f, bus, err = parseLogLine(line)
	if err != nil {
		return Frame{}, "", fmt.Errorf("canbus: log line %q: %w", line, err)
	}
	return f, bus, nil
}

func parseLogLine(line string) (f Frame, bus string, err error) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return f, "", fmt.Errorf("%d fields (want \"(seconds.microseconds) bus frame\", and T or R)", len(fields))
	}
	timestamp, err := parseLogTime(fields[0])
	if err != nil {
		return f, "", err
	}
	if err := f.parseLogged(fields[2]); err != nil {
		return f, "", err
	}
	f.Stamp(timestamp)
	rest := fields[3:]
	if len(rest) > 0 {
		switch rest[0] {
		case "T", "t":
			f.Flags |= Echo
			rest = rest[1:]
		case "R", "r":
			rest = rest[1:]
		}
	}
	if len(rest) > 0 && !isRemark(rest[0]) {
		return f, "", fmt.Errorf("%q after the frame (want T for sent, R for received, or a remark behind #)", rest[0])
	}
	return f, fields[1], nil
}

// parseLogged parses a frame's text in a log.
func (f *Frame) parseLogged(s string) error {
	n, err := f.parseAnyLen(s)
	switch {
	case err != nil && isXL(s):
		return errors.New("it is a CAN XL frame, and these are not known here")
	case err != nil:
		return err
	}
	if f.Has(FD) && n < MaxLen {
		n = PadLen(n)
	}
	return f.setLen(n)
}

// isXL reports whether a frame's text is that of a CAN XL frame, as
// 00123#81:00:12345678#AABB: a virtual network and a priority, and a header of its own.
func isXL(s string) bool {
	const priority, header = 5, 14
	return len(s) > priority+1+header && s[priority] == '#' && s[priority+1+header] == '#'
}

// isRemark reports whether a word may begin one: what begins with a letter or a digit
// may be data, that lost their place.
func isRemark(word string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	return !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// parseLogTime returns nanoseconds. It goes by integers: a float64 is not exact
// to a microsecond for ever.
func parseLogTime(s string) (int64, error) {
	bad := fmt.Errorf("time %q is not (seconds.microseconds)", s)
	if len(s) < 2 || s[0] != '(' || s[len(s)-1] != ')' {
		return 0, bad
	}
	const digits = 9 // those of nanoseconds
	whole, fraction, found := strings.Cut(s[1:len(s)-1], ".")
	if found && fraction == "" || strings.Trim(fraction, "0123456789") != "" {
		return 0, bad
	}
	fraction = (fraction + "000000000")[:digits]
	seconds, err1 := strconv.ParseUint(whole, 10, 63)
	ns, err2 := strconv.ParseUint(fraction, 10, 63)
	if err1 != nil || err2 != nil {
		return 0, bad
	}
	if seconds >= math.MaxInt64/1_000_000_000 {
		return 0, fmt.Errorf("time %q is after the year 2262", s)
	}
	return int64(seconds)*1e9 + int64(ns), nil
}
