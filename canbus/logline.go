package canbus

import (
	"bytes"
	"errors"
	"fmt"
	"math"
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
	us := uint64(0)
	if f.Has(Timed) {
		us = uint64(max(f.Timestamp, 0)) / 1000
	}
	b = append(b, '(')
	b = appendDecimal(b, us/1e6, 10)
	b = append(b, '.')
	b = appendDecimal(b, us%1e6, 6)
	b = append(b, ") "...)
	b = append(b, bus...)
	b = append(b, ' ')
	b = f.appendText(b)
	if f.Has(Echo) {
		b = append(b, " T"...)
	}
	return b
}

// appendDecimal appends the last so many digits of v.
func appendDecimal(b []byte, v uint64, digits int) []byte {
	b = append(b, "0000000000"[:digits]...)
	for i := len(b) - 1; v > 0 && digits > 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
		digits--
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
	name, err := f.parseLogLine([]byte(line))
	if err != nil {
		return Frame{}, "", badLogLine(line, err)
	}
	return f, string(name), nil
}

// UnmarshalLogLine is [ParseLogLine] for programs that read many lines: it allocates nothing.
// bus is a part of line. After an error f is the zero Frame.
func (f *Frame) UnmarshalLogLine(line []byte) (bus []byte, err error) {
	*f = Frame{}
	bus, err = f.parseLogLine(line)
	if err != nil {
		*f = Frame{}
		return nil, badLogLine(line, err)
	}
	return bus, nil
}

func badLogLine[T string | []byte](line T, err error) error {
	return fmt.Errorf("canbus: log line %q: %w", string(line), err)
}

// parseLogLine parses a line into a zero Frame. Only errors copy from the line.
func (f *Frame) parseLogLine(line []byte) (bus []byte, err error) {
	var words [5][]byte // time, bus, frame, direction, the beginning of a remark
	n := 0
	for word := range bytes.FieldsSeq(line) {
		words[n] = word
		if n++; n == len(words) {
			break
		}
	}
	at, bus, text, rest := words[0], words[1], words[2], words[3:]
	if len(text) == 0 {
		return nil, fmt.Errorf("%d fields (want \"(seconds.microseconds) bus frame\", and T or R)", len(bytes.Fields(line)))
	}
	timestamp, err := parseLogTime(at)
	if err != nil {
		return nil, err
	}
	if err := f.parseLogged(text); err != nil {
		return nil, err
	}
	f.Stamp(timestamp)
	if len(rest[0]) == 1 {
		switch rest[0][0] | 0x20 {
		case 't':
			f.Flags |= Echo
			rest = rest[1:]
		case 'r':
			rest = rest[1:]
		}
	}
	if word := rest[0]; len(word) > 0 && !isRemark(word) {
		return nil, fmt.Errorf("%q after the frame (want T for sent, R for received, or a remark behind #)", string(word))
	}
	return bus, nil
}

// parseLogged parses a frame's text in a log.
func (f *Frame) parseLogged(s []byte) error {
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
func isXL(s []byte) bool {
	const priority, header = 5, 14
	return len(s) > priority+1+header && s[priority] == '#' && s[priority+1+header] == '#'
}

// isRemark reports whether a word may begin one: what begins with a letter or a digit
// may be data, that lost their place.
func isRemark(word []byte) bool {
	r, _ := utf8.DecodeRune(word)
	return !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// parseLogTime returns nanoseconds. It goes by integers: a float64 is not exact
// to a microsecond for ever.
func parseLogTime(s []byte) (int64, error) {
	if len(s) < 2 || s[0] != '(' || s[len(s)-1] != ')' {
		return 0, badTime(s)
	}
	whole, fraction, found := bytes.Cut(s[1:len(s)-1], []byte{'.'})
	const most = math.MaxInt64 / 1_000_000_000 // the last second that a time may be in, or be above
	seconds, scale := int64(0), int64(1e9)
	for _, c := range whole {
		if c < '0' || c > '9' {
			return 0, badTime(s)
		}
		seconds = min(seconds*10+int64(c-'0'), most)
	}
	ns := seconds * 1e9
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return 0, badTime(s)
		}
		scale /= 10 // 0 behind the digits of nanoseconds
		ns += int64(c-'0') * scale
	}
	switch {
	case len(whole) == 0, found && len(fraction) == 0:
		return 0, badTime(s)
	case seconds == most:
		return 0, fmt.Errorf("time %q is after the year 2262", string(s))
	}
	return ns, nil
}

func badTime(s []byte) error {
	return fmt.Errorf("time %q is not (seconds.microseconds)", string(s))
}
