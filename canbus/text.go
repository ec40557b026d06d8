package canbus

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode"
)

// In a frame's text CAN FD's flags are one hexadecimal digit.
const (
	textBRS = 1 << iota
	textESI
	textFDF // says once more that it is CAN FD
)

// textError marks error frames, in their identifier.
const textError = 0x20000000

// String returns the frame as can-utils write it, without Timestamp, Channel and Echo:
//
//	7E0#021003                  11-bit identifier, 3 digits
//	18DA10F1#021003             29-bit identifier, 8 digits
//	7E0##1AABB                  CAN FD; the digit is 1 for BRS plus 2 for ESI
//	7E0#R, 7E0#R8               remote frame; the length unless it is 0
//	20000080#0000000000000000   error frame; 20000000 added to the identifier
func (f Frame) String() string { return string(f.appendText(nil)) }

// AppendText implements [encoding.TextAppender]: it appends what String returns,
// or fails if that could not be parsed because the frame is not valid.
func (f Frame) AppendText(b []byte) ([]byte, error) {
	check := f
	if f.Has(ErrorFrame) {
		check.Flags = Extended // the error class has up to 29 bits
	}
	if err := check.Validate(); err != nil {
		return b, err
	}
	return f.appendText(b), nil
}

// MarshalText implements [encoding.TextMarshaler], as AppendText.
func (f Frame) MarshalText() ([]byte, error) { return f.AppendText(nil) }

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParseFrame].
func (f *Frame) UnmarshalText(text []byte) error {
	var parsed Frame
	if err := parsed.parse(text); err != nil {
		return badFrame(text, err)
	}
	*f = parsed
	return nil
}

func (f *Frame) appendText(b []byte) []byte {
	switch {
	case f.Has(ErrorFrame):
		b = appendHex(b, f.ID|textError, 8)
	case f.Has(Extended):
		b = appendHex(b, f.ID, 8)
	default:
		b = appendHex(b, f.ID, 3)
	}
	b = append(b, '#')
	switch {
	case f.Has(ErrorFrame):
	case f.Has(FD):
		flags := byte('0')
		if f.Has(BRS) {
			flags += textBRS
		}
		if f.Has(ESI) {
			flags += textESI
		}
		b = append(b, '#', flags)
	case f.Has(Remote):
		b = append(b, 'R')
		if f.Len > 0 {
			b = strconv.AppendUint(b, uint64(f.Len), 10)
		}
		return b
	}
	for _, d := range f.Payload() {
		b = append(b, hexDigits[d>>4], hexDigits[d&15])
	}
	return b
}

const hexDigits = "0123456789ABCDEF"

// appendHex appends v in hexadecimal, in so many digits or more if it needs them.
func appendHex(b []byte, v uint32, digits int) []byte {
	for digits < 8 && v>>(4*digits) != 0 {
		digits++
	}
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		b = append(b, hexDigits[v>>shift&15])
	}
	return b
}

// ParseFrame parses what [Frame.String] returns. Lower case digits, dots between
// the data bytes, the flag 4 (FDF) of CAN FD frames and a DLC above 8 behind
// classic ones (_9 to _F), which candump may print, are accepted too.
func ParseFrame(s string) (Frame, error) {
	var f Frame
	if err := f.parse([]byte(s)); err != nil {
		return Frame{}, badFrame(s, err)
	}
	return f, nil
}

func badFrame[T string | []byte](text T, err error) error {
	return fmt.Errorf("canbus: frame %q: %w", string(text), err)
}

func (f *Frame) parse(s []byte) error {
	n, err := f.parseAnyLen(s)
	if err != nil {
		return err
	}
	return f.setLen(n)
}

// parseAnyLen parses all but Len, which it returns: frames may not have it. Here and below,
// only errors copy the text.
func (f *Frame) parseAnyLen(s []byte) (n int, err error) {
	hash := bytes.IndexByte(s, '#')
	if hash < 0 {
		return 0, errors.New("no # between identifier and data (want 7E0#021003)")
	}
	if err := f.parseID(s[:hash]); err != nil {
		return 0, err
	}
	rest := s[hash+1:]
	if len(rest) > 0 && rest[0] == '#' {
		if err := f.parseFlags(rest[1:]); err != nil {
			return 0, err
		}
		return f.parseData(rest[2:])
	}
	if len(rest) > 0 && rest[0]|0x20 == 'r' {
		return f.parseRemote(rest)
	}
	rest, err = cutDLC(rest)
	if err != nil {
		return 0, err
	}
	return f.parseData(rest)
}

// cutDLC cuts off the DLC above 8 that may stand behind a classic frame.
func cutDLC(s []byte) ([]byte, error) {
	i := bytes.LastIndexByte(s, '_')
	if i < 0 {
		return s, nil
	}
	dlc := s[i+1:]
	if len(dlc) == 1 {
		if v, ok := unhex(dlc[0]); ok && v > MaxClassicLen {
			return s[:i], nil
		}
	}
	return nil, fmt.Errorf("DLC %q after _ is not 9 to F", string(dlc))
}

// parseRemote parses a remote frame's text behind the #, and returns the length.
func (f *Frame) parseRemote(s []byte) (n int, err error) {
	if f.Has(ErrorFrame) {
		return 0, errors.New("an error frame is not a remote frame (want data after #)")
	}
	if s, err = cutDLC(s); err != nil {
		return 0, err
	}
	f.Flags |= Remote
	length := s[1:]
	switch {
	case len(length) == 0:
		return 0, nil
	case len(length) == 1 && length[0] >= '0' && length[0] <= '8':
		return int(length[0] - '0'), nil
	}
	return 0, fmt.Errorf("length %q of a remote frame is not 0 to 8", string(length))
}

func (f *Frame) parseID(s []byte) error {
	id, ok := uint32(0), len(s) == 3 || len(s) == 8
	for _, c := range s {
		digit, isDigit := unhex(c)
		id = id<<4 | uint32(digit)
		ok = ok && isDigit
	}
	switch {
	case !ok:
		return fmt.Errorf("identifier %q is not 3 or 8 hexadecimal digits", string(s))
	case len(s) == 3 && id > MaxStandardID:
		return fmt.Errorf("identifier %s is above 7FF (29 bits take 8 digits)", string(s))
	case id > textError|MaxExtendedID:
		return fmt.Errorf("identifier %s is above 1FFFFFFF (error frames: 3FFFFFFF)", string(s))
	case id > MaxExtendedID:
		f.Flags = ErrorFrame
	case len(s) == 8:
		f.Flags = Extended
	}
	f.ID = id & MaxExtendedID
	return nil
}

func (f *Frame) parseFlags(s []byte) error {
	if f.Has(ErrorFrame) {
		return errors.New("an error frame is not CAN FD (want one # only)")
	}
	if len(s) == 0 {
		return errors.New("no flags after ## (want a digit: 1 for BRS plus 2 for ESI)")
	}
	flags, ok := unhex(s[0])
	if !ok || flags&^(textBRS|textESI|textFDF) != 0 {
		return fmt.Errorf("flags %q are not 0 to 7 (1 for BRS plus 2 for ESI)", string(s[:1]))
	}
	f.Flags |= FD
	if flags&textBRS != 0 {
		f.Flags |= BRS
	}
	if flags&textESI != 0 {
		f.Flags |= ESI
	}
	return nil
}

// parseData returns how many bytes there are; those above MaxLen it leaves out.
func (f *Frame) parseData(s []byte) (n int, err error) {
	for i := 0; i < len(s); n++ {
		if n > 0 && s[i] == '.' {
			i++
		}
		if i+2 > len(s) {
			return 0, fmt.Errorf("data end in %q, half a byte (want two digits each)", string(s[max(i-1, 0):]))
		}
		high, ok1 := unhex(s[i])
		low, ok2 := unhex(s[i+1])
		if !ok1 || !ok2 {
			return 0, fmt.Errorf("data byte %q is not two hexadecimal digits", string(s[i:i+2]))
		}
		if n < MaxLen {
			f.Data[n] = high<<4 | low
		}
		i += 2
	}
	return n, nil
}

// setLen sets Len, if a frame can have it.
func (f *Frame) setLen(n int) error {
	if fd := f.Has(FD); !ValidLen(n, fd) {
		if fd {
			return fmt.Errorf("%d data bytes (CAN FD has 0 to 8, 12, 16, 20, 24, 32, 48 or 64)", n)
		}
		return fmt.Errorf("%d data bytes (at most 8; CAN FD frames have ## and a digit)", n)
	}
	f.Len = uint8(n)
	return nil
}

// unhex returns the value of a hexadecimal digit.
func unhex(c byte) (v byte, ok bool) {
	v = digitValues[c]
	return v & 15, v < 16
}

// digitValues are the values of hexadecimal digits; of other bytes 16.
var digitValues = func() (t [256]byte) {
	for c := range t {
		t[c] = 16
	}
	for v, c := range hexDigits {
		t[c], t[unicode.ToLower(c)] = byte(v), byte(v)
	}
	return t
}()
