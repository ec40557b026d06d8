package slcan

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"example.com/isotp/canbus"
)

const (
	cr  = '\r' // ends a line
	bel = '\a' // ends a line, and says that a command was refused
)

// maxLine is the length of the longest line: a frame with a 29-bit identifier, 64
// bytes and a timestamp.
const maxLine = 1 + 8 + 1 + 2*canbus.MaxLen + 4

// lengths are the data lengths that the hexadecimal digits of a DLC mean.
var lengths = [16]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64}

const digits = "0123456789ABCDEF"

// appendFrame appends a valid frame as a command to send it.
func appendFrame(b []byte, f *canbus.Frame) []byte {
	kind := byte('t')
	switch {
	case f.Has(canbus.Remote):
		kind = 'r'
	case f.Has(canbus.FD | canbus.BRS):
		kind = 'b'
	case f.Has(canbus.FD):
		kind = 'd'
	}
	if f.Has(canbus.Extended) {
		b = fmt.Appendf(b, "%c%08X", kind-'a'+'A', f.ID)
	} else {
		b = fmt.Appendf(b, "%c%03X", kind, f.ID)
	}
	for dlc, n := range lengths {
		if n == f.Len {
			b = append(b, digits[dlc])
		}
	}
	if !f.Has(canbus.Remote) {
		for _, data := range f.Payload() {
			b = append(b, digits[data>>4], digits[data&15])
		}
	}
	return append(b, cr)
}

// errNoFrame: the line is something else, an answer to a command perhaps.
var errNoFrame = errors.New("not a frame")

// parseLine parses a line without its end: a frame, with a timestamp or without, or
// the adapter's status. The timestamp is left out: it counts the milliseconds of a
// minute that began at nobody knows when.
func parseLine(line []byte) (f canbus.Frame, err error) {
	if len(line) == 0 {
		return f, errNoFrame
	}
	switch line[0] {
	case 't', 'T':
	case 'r', 'R':
		f.Flags = canbus.Remote
	case 'd', 'D':
		f.Flags = canbus.FD
	case 'b', 'B':
		f.Flags = canbus.FD | canbus.BRS
	case 'F':
		return parseStatus(line[1:])
	case 'z', 'Z', 'O', 'C', 'L', 'S', 's', 'V', 'v', 'N', 'M', 'm', 'Y', 'A', 'X', 'P', 'Q', 'W', 'U':
		return f, errNoFrame
	default:
		return f, fmt.Errorf("a line cannot begin with %q", line[0])
	}
	idLen := 3
	if line[0] < 'a' {
		idLen = 8
		f.Flags |= canbus.Extended
	}
	line = line[1:]
	if len(line) < idLen+1 {
		return f, errors.New("the line is too short")
	}
	id, err := strconv.ParseUint(string(line[:idLen]), 16, 32)
	if err != nil {
		return f, fmt.Errorf("identifier %q: %w", line[:idLen], err)
	}
	f.ID = uint32(id)
	dlc, err := strconv.ParseUint(string(line[idLen:idLen+1]), 16, 4)
	if err != nil {
		return f, fmt.Errorf("DLC %q: %w", line[idLen], err)
	}
	f.Len = lengths[dlc]
	line = line[idLen+1:]
	n := int(f.Len)
	if f.Has(canbus.Remote) {
		n = 0
	}
	if len(line) != 2*n && len(line) != 2*n+4 {
		return f, fmt.Errorf("%d digits of data for %d bytes", len(line), n)
	}
	if err := f.Validate(); err != nil {
		return f, err
	}
	if _, err := hex.Decode(f.Data[:], line[:2*n]); err != nil {
		return f, err
	}
	if _, err := strconv.ParseUint("0"+string(line[2*n:]), 16, 16); err != nil {
		return f, fmt.Errorf("timestamp: %w", err)
	}
	return f, nil
}

// The bits of an adapter's status, and what SocketCAN's error frames have for them:
// classes in the identifier, details in the second byte (linux/can/error.h).
var status = []struct {
	bit    uint64
	class  uint32
	detail byte
}{
	{1 << 0, 0x004, 0x01},        // receive queue full
	{1 << 1, 0x004, 0x02},        // send queue full
	{1 << 2, 0x004, 0x04 | 0x08}, // error warning
	{1 << 3, 0x004, 0x01},        // overrun
	{1 << 5, 0x004, 0x10 | 0x20}, // error passive
	{1 << 6, 0x002, 0},           // arbitration lost
	{1 << 7, 0x080, 0},           // bus error
}

// parseStatus makes an error frame of the answer to F. With no bit set there is
// nothing to report.
func parseStatus(s []byte) (f canbus.Frame, err error) {
	if len(s) != 2 {
		return f, fmt.Errorf("status %q is not two digits", s)
	}
	bits, err := strconv.ParseUint(string(s), 16, 8)
	if err != nil {
		return f, fmt.Errorf("status %q: %w", s, err)
	}
	for _, x := range status {
		if bits&x.bit != 0 {
			f.ID |= x.class
			f.Data[1] |= x.detail
		}
	}
	if f.ID == 0 {
		return f, errNoFrame
	}
	f.Flags, f.Len = canbus.ErrorFrame, canbus.MaxClassicLen
	return f, nil
}

// A lexer cuts what comes from the adapter into lines.
type lexer struct {
	line    []byte
	tooLong bool // the line is garbage up to its end
}

// next takes bytes up to the end of a line. done is false if that has not come yet.
// With garbage the line is longer than any other, and cut.
func (l *lexer) next(b []byte) (line []byte, end byte, rest []byte, done bool) {
	for i, c := range b {
		if c == cr || c == bel {
			line, l.line = l.line, l.line[:0]
			if l.tooLong {
				line, l.tooLong = garbage, false
			}
			return line, c, b[i+1:], true
		}
		if c == '\n' {
			continue // some adapters end lines as text files do
		}
		if len(l.line) == maxLine {
			l.tooLong = true
			continue
		}
		l.line = append(l.line, c)
	}
	return nil, 0, nil, false
}

// garbage is what stands for a line that is too long for one.
var garbage = []byte{0}
