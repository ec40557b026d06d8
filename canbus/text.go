package canbus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	parsed, err := ParseFrame(string(text))
	if err == nil {
		*f = parsed
	}
	return err
}

func (f *Frame) appendText(b []byte) []byte {
	switch {
	case f.Has(ErrorFrame):
		b = fmt.Appendf(b, "%08X#", f.ID|textError)
	case f.Has(Extended):
		b = fmt.Appendf(b, "%08X#", f.ID)
	default:
		b = fmt.Appendf(b, "%03X#", f.ID)
	}
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
	const digits = "0123456789ABCDEF"
	for _, d := range f.Payload() {
		b = append(b, digits[d>>4], digits[d&15])
	}
	return b
}

// ParseFrame parses what [Frame.String] returns. Lower case digits, dots between
// the data bytes, the flag 4 (FDF) of CAN FD frames and a DLC above 8 behind
// classic ones (_9 to _F), which candump may print, are accepted too.
func ParseFrame(s string) (Frame, error) {
	var f Frame
	if err := f.parse(s); err != nil {
		return Frame{}, fmt.Errorf("canbus: frame %q: %w", s, err)
	}
	return f, nil
}

func (f *Frame) parse(s string) error {
	n, err := f.parseAnyLen(s)
	if err != nil {
		return err
	}
	return f.setLen(n)
}

// parseAnyLen parses all but Len, which it returns: frames may not have it.
func (f *Frame) parseAnyLen(s string) (n int, err error) {
	id, rest, found := strings.Cut(s, "#")
	if !found {
		return 0, errors.New("no # between identifier and data (want 7E0#021003)")
	}
	if err := f.parseID(id); err != nil {
		return 0, err
	}
	if after, fd := strings.CutPrefix(rest, "#"); fd {
		if err := f.parseFlags(after); err != nil {
			return 0, err
		}
		return f.parseData(after[1:])
	}
	if i := strings.LastIndexByte(rest, '_'); i >= 0 {
		dlc := rest[i+1:]
		if len(dlc) != 1 || !strings.Contains("9ABCDEFabcdef", dlc) {
			return 0, fmt.Errorf("DLC %q after _ is not 9 to F", dlc)
		}
		rest = rest[:i]
	}
	if rest != "" && (rest[0] == 'R' || rest[0] == 'r') {
		if f.Has(ErrorFrame) {
			return 0, errors.New("an error frame is not a remote frame (want data after #)")
		}
		f.Flags |= Remote
		length := rest[1:]
		switch {
		case length == "":
			return 0, nil
		case len(length) == 1 && length[0] >= '0' && length[0] <= '8':
			return int(length[0] - '0'), nil
		}
		return 0, fmt.Errorf("length %q of a remote frame is not 0 to 8", length)
	}
	return f.parseData(rest)
}

func (f *Frame) parseID(s string) error {
	v, err := strconv.ParseUint(s, 16, 32)
	id := uint32(v)
	switch {
	case err != nil || len(s) != 3 && len(s) != 8:
		return fmt.Errorf("identifier %q is not 3 or 8 hexadecimal digits", s)
	case len(s) == 3 && id > MaxStandardID:
		return fmt.Errorf("identifier %s is above 7FF (29 bits take 8 digits)", s)
	case id > textError|MaxExtendedID:
		return fmt.Errorf("identifier %s is above 1FFFFFFF (error frames: 3FFFFFFF)", s)
	case id > MaxExtendedID:
		f.Flags = ErrorFrame
	case len(s) == 8:
		f.Flags = Extended
	}
	f.ID = id & MaxExtendedID
	return nil
}

func (f *Frame) parseFlags(s string) error {
	if f.Has(ErrorFrame) {
		return errors.New("an error frame is not CAN FD (want one # only)")
	}
	if s == "" {
		return errors.New("no flags after ## (want a digit: 1 for BRS plus 2 for ESI)")
	}
	flags, ok := unhex(s[0])
	if !ok || flags&^(textBRS|textESI|textFDF) != 0 {
		return fmt.Errorf("flags %q are not 0 to 7 (1 for BRS plus 2 for ESI)", s[:1])
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
func (f *Frame) parseData(s string) (n int, err error) {
	for i := 0; i < len(s); n++ {
		if n > 0 && s[i] == '.' {
			i++
		}
		if i+2 > len(s) {
			return 0, fmt.Errorf("data end in %q, half a byte (want two digits each)", s[max(i-1, 0):])
		}
		high, ok1 := unhex(s[i])
		low, ok2 := unhex(s[i+1])
		if !ok1 || !ok2 {
			return 0, fmt.Errorf("data byte %q is not two hexadecimal digits", s[i:i+2])
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

func unhex(c byte) (v byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
