package canlog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/isotp/canbus"
)

// The lines that candump shows on a terminal are
//
//	[(TIME)] INTERFACE [RX|TX B|- E|-] ID [LENGTH] DATA ['ASCII'|ERRORFRAME]
//
// where the time is one of the options -t a, A, z and d, with six or nine digits behind the
// point, what follows the interface is that of -x, and {D} in the place of [8] that of -8.
// The length has two digits in CAN FD frames. The data may be in the forms of -i (binary)
// and -S (in reverse order, with ` between the bytes).

// errorBit is in the identifiers of error frames, in can-utils' text and in SocketCAN.
const errorBit = 0x20000000

// isScreen reports whether a line is one that candump shows on a terminal: it has an
// identifier with a length behind it.
func isScreen(line []byte) bool {
	_, _, ok := cutLength(line)
	return ok
}

// cutLength returns what is before the length in brackets, and from there on.
func cutLength(line []byte) (before, from []byte, ok bool) {
	for _, open := range [...]string{" [", " {"} {
		i := bytes.Index(line, []byte(open))
		if i < 0 {
			continue
		}
		before, from = bytes.TrimRight(line[:i], " "), line[i+1:]
		end := bytes.IndexByte(from[:min(len(from), 6)], from[0]+2) // ] is [ + 2, as } is { + 2
		_, isNumber := number(from[1:max(end, 1)], 16, 0xFFFF)
		id := before[bytes.LastIndexByte(before, ' ')+1:]
		_, isID := number(id, 16, 0xFFFFFFFF)
		if isNumber && isID && (len(id) == 3 || len(id) == 8) {
			return before, from, true
		}
	}
	return nil, nil, false
}

// withoutColours takes the colours of -c off a line.
func withoutColours(line []byte) []byte {
	const escape = 0x1B
	if bytes.IndexByte(line, escape) < 0 {
		return line
	}
	var plain []byte
	for {
		before, after, found := bytes.Cut(line, []byte{escape, '['})
		plain = append(plain, before...)
		if !found {
			return plain
		}
		_, line, _ = bytes.Cut(after, []byte{'m'})
	}
}

// readScreen reads such a line.
func (c *candump) readScreen(f *canbus.Frame, line []byte) (bus string, err error) {
	before, from, _ := cutLength(line)
	rest, err := c.readScreenTime(f, before)
	if err != nil {
		return "", err
	}
	name, rest := cutWord(rest)
	word, rest := cutWord(rest)
	var brs, esi []byte
	if string(word) == "RX" || string(word) == "TX" {
		if word[0] == 'T' {
			f.Flags |= canbus.Echo
		}
		brs, rest = cutWord(rest)
		esi, rest = cutWord(rest)
		word, rest = cutWord(rest)
	}
	if len(word) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return "", errors.New("before the length there is not one identifier, behind the interface's name")
	}
	if err := setScreenID(f, word); err != nil {
		return "", err
	}
	if err := setScreenData(f, from); err != nil {
		return "", err
	}
	if f.Has(canbus.FD) && string(brs) == "B" {
		f.Flags |= canbus.BRS
	}
	if f.Has(canbus.FD) && string(esi) == "E" {
		f.Flags |= canbus.ESI
	}
	return c.names.intern(name), nil
}

// setScreenID sets what the identifier says, which is one of 3 or 8 digits.
func setScreenID(f *canbus.Frame, id []byte) error {
	v, _ := number(id, 16, 0xFFFFFFFF)
	switch {
	case v > errorBit|canbus.MaxExtendedID, len(id) == 3 && v > canbus.MaxStandardID:
		return fmt.Errorf("identifier %s is above 7FF, or with 8 digits 1FFFFFFF (error frames: 3FFFFFFF)", id)
	case v > canbus.MaxExtendedID:
		f.Flags |= canbus.ErrorFrame
	case len(id) == 8:
		f.Flags |= canbus.Extended
	}
	f.ID = uint32(v) & canbus.MaxExtendedID
	return nil
}

// setScreenData sets what stands from the length on.
func setScreenData(f *canbus.Frame, from []byte) error {
	length, rest := cutWord(from)
	digits := length[1 : len(length)-1]
	base := uint64(10)
	if length[0] == '{' {
		base = 16 // a DLC, which may be above 8
	}
	n, ok := number(digits, base, canbus.MaxLen)
	switch {
	case len(digits) > 2:
		return errXL
	case len(digits) == 2:
		f.Flags |= canbus.FD
	case base == 16:
		n = min(n, canbus.MaxClassicLen)
	}
	if !ok || !canbus.ValidLen(int(n), f.Has(canbus.FD)) {
		return fmt.Errorf("the length %s is none of a frame's", length)
	}
	f.Len = uint8(n)
	if bytes.HasPrefix(bytes.TrimSpace(rest), []byte("remote request")) {
		if f.Flags&(canbus.FD|canbus.ErrorFrame) != 0 {
			return errors.New("neither CAN FD frames nor error frames can be remote frames")
		}
		f.Flags |= canbus.Remote
		return nil
	}
	return setScreenBytes(f, rest)
}

var errXL = errors.New("it is a CAN XL frame, and these are not known here")

// setScreenBytes sets the data.
func setScreenBytes(f *canbus.Frame, rest []byte) error {
	const swapped = '`' // stands between bytes in reverse order
	data := f.Payload()
	backwards := false
	for i := range data {
		rest = bytes.TrimLeft(rest, " ")
		if i > 0 && len(rest) > 0 && rest[0] == swapped {
			backwards = true
			rest = rest[1:]
		}
		v, size := screenByte(rest)
		if size == 0 {
			return fmt.Errorf("of %d data bytes number %d is not two hexadecimal digits, nor 8 binary ones", len(data), i+1)
		}
		data[i], rest = v, rest[size:]
	}
	if backwards {
		for i, j := 0, len(data)-1; i < j; i, j = i+1, j-1 {
			data[i], data[j] = data[j], data[i]
		}
	}
	rest = bytes.TrimSpace(rest)
	if len(rest) > 0 && rest[0] != '\'' && rest[0] != swapped && !bytes.HasPrefix(rest, []byte("ERRORFRAME")) {
		return fmt.Errorf("%q behind %d data bytes", quote(rest), len(data))
	}
	return nil
}

// screenByte returns the value of the byte that a text begins with, and how long that is; 0
// if there is none.
func screenByte(text []byte) (v byte, size int) {
	end := 0
	for end < len(text) && !isSpace(text[end]) && text[end] != '`' {
		end++
	}
	switch end {
	case 2:
		v, ok := number(text[:2], 16, 0xFF)
		if ok {
			return byte(v), 2
		}
	case 8:
		for _, c := range text[:8] {
			if c != '0' && c != '1' {
				return 0, 0
			}
			v = v<<1 | (c - '0')
		}
		return v, 8
	}
	return 0, 0
}

// screenTimes are what a log of candump's screen has for times.
type screenTimes struct {
	known  bool // a relative time was seen, and so deltas are known
	deltas bool // relative times are those since the frame before: -t d, not -t z
	last   int64
}

// readScreenTime reads the time that may stand in front, and returns what is behind it.
func (c *candump) readScreenTime(f *canbus.Frame, line []byte) (rest []byte, err error) {
	text, rest, found := cutParens(line)
	if !found {
		return line, nil
	}
	if bytes.IndexByte(text, '-') > 0 {
		at, err := time.ParseInLocation("2006-01-02 15:04:05", string(text), time.Local)
		if err != nil || !inRange(at) {
			return nil, fmt.Errorf("time %q is none", text)
		}
		f.Stamp(at.UnixNano())
		return rest, nil
	}
	at, ok := decimal(text, 1e9)
	if !ok {
		return nil, fmt.Errorf("time %q is none", text)
	}
	if isRelative(text) {
		if !c.times.known {
			c.times.known, c.times.deltas = true, c.hasDeltas(at)
		}
		if c.times.deltas {
			c.times.last = addTime(c.times.last, at)
			at = c.times.last
		}
	}
	f.Stamp(at)
	return rest, nil
}

// cutParens cuts the time in parentheses off a line that begins with it.
func cutParens(line []byte) (text, rest []byte, found bool) {
	line = bytes.TrimLeft(line, " \t")
	end := bytes.IndexByte(line, ')')
	if len(line) == 0 || line[0] != '(' || end < 0 {
		return nil, line, false
	}
	return line[1:end], line[end+1:], true
}

// isRelative tells the times of -t z and -t d from those of -t a, which have ten digits.
func isRelative(text []byte) bool {
	point := bytes.IndexByte(text, '.')
	return point >= 0 && point < 10
}

// hasDeltas reports whether the relative times of a log are those since the frame before.
// That is known if one is less than the one before it. It looks at the lines that are in
// the buffer.
func (c *candump) hasDeltas(at int64) bool {
	b, _ := c.r.Peek(c.r.Buffered())
	for line := range bytes.Lines(b) {
		text, _, found := cutParens(line)
		next, ok := decimal(text, 1e9)
		if !found || !ok || !isRelative(text) {
			continue
		}
		if next < at {
			return true
		}
		at = next
	}
	return false
}

// appendScreen appends a line as candump -t a -x shows it.
func appendScreen(b []byte, f *canbus.Frame, bus string) []byte {
	if bus = strings.Join(strings.Fields(bus), "_"); bus == "" {
		bus = "-"
	}
	us := int64(0)
	if f.Has(canbus.Timed) {
		us = max(f.Timestamp, 0) / 1000
	}
	direction, brs, esi := "RX", '-', '-'
	if f.Has(canbus.Echo) {
		direction = "TX"
	}
	if f.Has(canbus.BRS) {
		brs = 'B'
	}
	if f.Has(canbus.ESI) {
		esi = 'E'
	}
	b = fmt.Appendf(b, " (%010d.%06d)  %s  %s %c %c  ", us/1e6, us%1e6, bus, direction, brs, esi)
	switch {
	case f.Has(canbus.ErrorFrame):
		b = fmt.Appendf(b, "%08X", f.ID|errorBit)
	case f.Has(canbus.Extended):
		b = fmt.Appendf(b, "%08X", f.ID)
	default:
		b = fmt.Appendf(b, "%03X", f.ID)
	}
	if f.Has(canbus.FD) {
		b = fmt.Appendf(b, "  [%02d] ", f.Len)
	} else {
		b = fmt.Appendf(b, "   [%d] ", f.Len)
	}
	if f.Has(canbus.Remote) {
		return append(b, " remote request"...)
	}
	for _, d := range f.Payload() {
		b = fmt.Appendf(b, " %02X", d)
	}
	if f.Has(canbus.ErrorFrame) {
		b = append(b, "   ERRORFRAME"...)
	}
	return b
}
