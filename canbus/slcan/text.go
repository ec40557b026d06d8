package slcan

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/errorframe"
)

const (
	cr  = '\r' // ends a line
	bel = '\a' // ends a line, and says that a command was refused
)

// maxLine is the length of the longest line: CANable 2.5's version, which has many
// parts. The longest frame has 147 characters.
const maxLine = 500

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
	shift := 8
	if f.Has(canbus.Extended) {
		kind, shift = kind-'a'+'A', 28
	}
	b = append(b, kind)
	for ; shift >= 0; shift -= 4 {
		b = append(b, digits[f.ID>>shift&15])
	}
	b = append(b, digits[f.DLC()])
	if !f.Has(canbus.Remote) {
		for _, data := range f.Payload() {
			b = append(b, digits[data>>4], digits[data&15])
		}
	}
	return append(b, cr)
}

// errNoFrame says that a line is something else than a frame, such as an answer.
var errNoFrame = errors.New("not a frame")

// parseLine parses a line without its end: a frame, or a report of the adapter's.
//
// Behind a frame there may be a timestamp, of 4 digits in milliseconds or of 8 in
// microseconds or milliseconds. It is left out, because it counts from a moment that is not
// known. And there may be an S: the sender of the CAN FD frame is error passive.
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
	case 'E':
		return parseReport(line[1:])
	case 'z', 'Z', 'O', 'C', 'L', 'S', 's', 'V', 'v', 'N', 'M', 'm', 'Y', 'A', 'X', 'P', 'Q', 'W', 'U', '#', '+', '>':
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
	f.Len = canbus.DLCLen(uint8(dlc), true)
	line = line[idLen+1:]
	n := int(f.Len)
	if f.Has(canbus.Remote) {
		n = 0
	}
	if f.Has(canbus.FD) && len(line) > 2*n && line[len(line)-1] == 'S' {
		f.Flags |= canbus.ESI
		line = line[:len(line)-1]
	}
	if extra := len(line) - 2*n; extra != 0 && extra != 4 && extra != 8 {
		return f, fmt.Errorf("%d digits of data for %d bytes", len(line), n)
	}
	if err := f.Validate(); err != nil {
		return f, err
	}
	if _, err := hex.Decode(f.Data[:], line[:2*n]); err != nil {
		return f, err
	}
	if _, err := strconv.ParseUint("0"+string(line[2*n:]), 16, 32); err != nil {
		return f, fmt.Errorf("timestamp: %w", err)
	}
	return f, nil
}

// The bits of an adapter's status, and what stands for them in SocketCAN's error frames:
// a class in the identifier, and a detail in the second byte.
var status = []struct {
	bit    uint64
	class  uint32
	detail byte
}{
	{1 << 0, errorframe.Controller, errorframe.ReceiveOverflow}, // receive queue full
	{1 << 1, errorframe.Controller, errorframe.SendOverflow},    // send queue full
	{1 << 2, errorframe.Controller, errorframe.Warning},
	{1 << 3, errorframe.Controller, errorframe.ReceiveOverflow}, // overrun
	{1 << 5, errorframe.Controller, errorframe.Passive},
	{1 << 6, errorframe.ArbitrationLost, 0},
	{1 << 7, errorframe.BusError, 0},
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

// What CANable 2.5 reports, and what stands for it in SocketCAN's error frames.
var (
	// busStates are those of its first digit: active, warning, passive, off.
	busStates = [...]struct {
		class  uint32
		detail byte // the second byte
	}{{}, {errorframe.Controller, errorframe.Warning}, {errorframe.Controller, errorframe.Passive}, {errorframe.BusOff, 0}}
	// protocolErrors are those of its second digit: none, stuffing, form, no
	// acknowledgement, recessive bit, dominant bit, CRC.
	protocolErrors = [...]struct {
		class            uint32
		detail, location byte // the third and fourth byte
	}{
		{},
		{errorframe.Protocol, errorframe.Stuff, 0},
		{errorframe.Protocol, errorframe.Form, 0},
		{errorframe.NoAck, 0, 0},
		{errorframe.Protocol, errorframe.Recessive, 0},
		{errorframe.Protocol, errorframe.Dominant, 0},
		{errorframe.Protocol, 0, errorframe.PlaceCRC},
	}
	// failures are the bits of its next two: reception, sending, send queue full,
	// receive queue full, sending took too long.
	failures = [...]struct {
		bit    uint64
		class  uint32
		detail byte // the second byte
	}{
		{1 << 0, errorframe.BusError, 0},
		{1 << 1, errorframe.BusError, 0},
		{1 << 2, errorframe.Controller, errorframe.SendOverflow},
		{1 << 3, errorframe.Controller, errorframe.ReceiveOverflow},
		{1 << 4, errorframe.TxTimeout, 0},
	}
)

// parseReport makes an error frame of a report: the state, the last error of the
// protocol, failures, and the counters of errors in sending and in receiving.
func parseReport(s []byte) (f canbus.Frame, err error) {
	bits, err := strconv.ParseUint(string(s), 16, 32)
	state, last := bits>>28, bits>>24&15
	if err != nil || len(s) != 8 || state >= uint64(len(busStates)) || last >= uint64(len(protocolErrors)) {
		return f, fmt.Errorf("error report %q is not 8 digits of a state, an error, failures and counters", s)
	}
	f.ID |= busStates[state].class | protocolErrors[last].class
	f.Data[1] = busStates[state].detail
	f.Data[2], f.Data[3] = protocolErrors[last].detail, protocolErrors[last].location
	for _, x := range failures {
		if bits>>16&x.bit != 0 {
			f.ID |= x.class
			f.Data[1] |= x.detail
		}
	}
	if f.ID == 0 {
		f.ID = errorframe.BusError // only the counters of errors have changed
	}
	f.Data[6], f.Data[7] = byte(bits>>8), byte(bits)
	f.Flags, f.Len = canbus.ErrorFrame, canbus.MaxClassicLen
	return f, nil
}

// A lexer cuts text from the adapter into lines.
type lexer struct {
	line    []byte
	tooLong bool // the line is garbage up to its end
}

// next takes bytes up to the end of a line. done is false if the end has not come yet. A
// line that is longer than any valid one is returned as garbage.
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

// garbage stands for a line that is too long.
var garbage = []byte{0}

// isAnswer reports whether a line is the answer to a command, and whether the adapter has
// obeyed the command. CANable 2.5 answers #, and behind it a reason if it has not obeyed.
func isAnswer(line []byte, end byte) (is, ok bool) {
	switch {
	case end == bel:
		return true, false
	case len(line) == 0:
		return true, true
	case line[0] == '#':
		return true, len(line) == 1
	}
	return len(line) == 1 && line[0]|0x20 == 'z', true
}
