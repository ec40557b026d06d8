package socketcand

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"example.com/isotp/canbus"
)

// maxElement is more than the longest element of the protocol needs, an fdsend of
// 64 bytes.
const maxElement = 512

// Flags of CAN FD frames, as in struct canfd_frame.
const (
	flagBRS = 0x01
	flagESI = 0x02
)

// A lexer cuts a stream into elements, "< words >". It leaves out what stands between them.
type lexer struct {
	element []byte
	inside  bool
	skipped uint64 // how many elements were too long, or had no end
}

// next takes bytes up to the end of an element, and returns its words. done is false if the
// end has not come yet.
func (l *lexer) next(b []byte) (words []string, rest []byte, done bool) {
	for len(b) > 0 {
		if !l.inside {
			i := bytes.IndexByte(b, '<')
			if i < 0 {
				return nil, nil, false
			}
			b, l.inside, l.element = b[i+1:], true, l.element[:0]
			continue
		}
		i := bytes.IndexAny(b, "<>")
		part := b
		if i >= 0 {
			part = b[:i]
		}
		if len(l.element)+len(part) > maxElement {
			l.skipped++
			l.inside = false
			b = b[len(part):]
			continue
		}
		l.element = append(l.element, part...)
		if i < 0 {
			return nil, nil, false
		}
		end := b[i]
		b = b[i+1:]
		if end == '<' { // the element before has no end
			l.skipped++
			l.element = l.element[:0]
			continue
		}
		l.inside = false
		return strings.Fields(string(l.element)), b, true
	}
	return nil, nil, false
}

// appendID appends an identifier, whose length tells its kind.
func appendID(b []byte, f *canbus.Frame) []byte {
	if f.Has(canbus.Extended) {
		return fmt.Appendf(b, "%08X", f.ID)
	}
	return fmt.Appendf(b, "%03X", f.ID)
}

func appendFlags(b []byte, f *canbus.Frame) []byte {
	flags := 0
	if f.Has(canbus.BRS) {
		flags |= flagBRS
	}
	if f.Has(canbus.ESI) {
		flags |= flagESI
	}
	return fmt.Appendf(b, "%02X", flags)
}

// appendSend appends the command that sends a valid frame. There is none for remote
// frames in raw mode.
func appendSend(b []byte, f *canbus.Frame) []byte {
	if f.Has(canbus.FD) {
		b = append(appendID(append(b, "< fdsend "...), f), ' ')
		b = appendFlags(b, f)
	} else {
		b = appendID(append(b, "< send "...), f)
	}
	b = fmt.Appendf(b, " %d ", f.Len)
	for _, data := range f.Payload() {
		b = fmt.Appendf(b, "%02X ", data)
	}
	return append(b, '>')
}

// appendFrame appends the element by which a server tells of a frame that it has received,
// and knows the time of. In raw mode servers have none for remote frames.
func appendFrame(b []byte, f *canbus.Frame) []byte {
	us := max(f.Timestamp, 0) / 1000
	if f.Has(canbus.ErrorFrame) {
		return fmt.Appendf(b, "< error %03X %d.%06d >", f.ID, us/1e6, us%1e6)
	}
	if f.Has(canbus.FD) {
		b = append(appendID(append(b, "< fdframe "...), f), ' ')
		b = appendFlags(b, f)
	} else {
		b = appendID(append(b, "< frame "...), f)
	}
	return fmt.Appendf(b, " %d.%06d %X >", us/1e6, us%1e6, f.Payload())
}

// parseSend parses the words of a command that sends a frame.
func parseSend(words []string) (f canbus.Frame, err error) {
	if len(words) < 2 {
		return f, errors.New("no identifier")
	}
	if err := parseID(&f, words[1]); err != nil {
		return f, err
	}
	rest := words[2:]
	if words[0] == "fdsend" {
		if rest, err = parseFlags(&f, rest); err != nil {
			return f, err
		}
	}
	if len(rest) == 0 {
		return f, errors.New("no length")
	}
	n, err := strconv.ParseUint(rest[0], 10, 8)
	if err != nil || n > canbus.MaxLen || int(n) != len(rest)-1 {
		return f, fmt.Errorf("length %q with %d bytes", rest[0], len(rest)-1)
	}
	f.Len = uint8(n)
	for i, word := range rest[1:] {
		data, err := strconv.ParseUint(word, 16, 8)
		if err != nil {
			return f, fmt.Errorf("byte %q: %w", word, err)
		}
		f.Data[i] = byte(data)
	}
	return f, f.Validate()
}

// parseFrame parses the words in which a server tells of a frame.
func parseFrame(words []string) (f canbus.Frame, err error) {
	if len(words) < 3 {
		return f, fmt.Errorf("%d words", len(words))
	}
	if words[0] == "error" {
		class, err := strconv.ParseUint(words[1], 16, 29)
		if err != nil {
			return f, fmt.Errorf("error class %q: %w", words[1], err)
		}
		f = canbus.Frame{ID: uint32(class), Flags: canbus.ErrorFrame, Len: canbus.MaxClassicLen}
		err = stamp(&f, words[2])
		return f, err
	}
	if err := parseID(&f, words[1]); err != nil {
		return f, err
	}
	rest := words[2:]
	if words[0] == "fdframe" {
		if rest, err = parseFlags(&f, rest); err != nil {
			return f, err
		}
	}
	if len(rest) == 0 {
		return f, errors.New("no time")
	}
	if err := stamp(&f, rest[0]); err != nil {
		return f, err
	}
	// Servers write the bytes in one word, the protocol's description as words.
	digits := strings.Join(rest[1:], "")
	if len(digits) > 2*canbus.MaxLen {
		return f, fmt.Errorf("%d digits of data", len(digits))
	}
	n, err := hex.Decode(f.Data[:], []byte(digits))
	if err != nil {
		return f, err
	}
	f.Len = uint8(n)
	return f, f.Validate()
}

// appendDropped appends the element by which a Server tells how many frames a client has
// missed: an error in words, because every client knows errors.
func appendDropped(b []byte, frames uint64) []byte {
	return fmt.Appendf(b, "< error dropped %d frames >", frames)
}

// parseDropped returns how many frames were dropped, 0 if the words are about something
// else.
func parseDropped(words []string) uint64 {
	if len(words) != 4 || words[1] != "dropped" || words[3] != "frames" {
		return 0
	}
	n, err := strconv.ParseUint(words[2], 10, 63)
	if err != nil {
		return 0
	}
	return n
}

func parseID(f *canbus.Frame, word string) error {
	id, err := strconv.ParseUint(word, 16, 32)
	if err != nil {
		return fmt.Errorf("identifier %q: %w", word, err)
	}
	f.ID = uint32(id)
	if len(word) == 8 {
		f.Flags |= canbus.Extended
	}
	return nil
}

func parseFlags(f *canbus.Frame, words []string) (rest []string, err error) {
	if len(words) == 0 {
		return nil, errors.New("no flags")
	}
	flags, err := strconv.ParseUint(words[0], 16, 8)
	if err != nil {
		return nil, fmt.Errorf("flags %q: %w", words[0], err)
	}
	f.Flags |= canbus.FD
	if flags&flagBRS != 0 {
		f.Flags |= canbus.BRS
	}
	if flags&flagESI != 0 {
		f.Flags |= canbus.ESI
	}
	return words[1:], nil
}

// stamp gives a frame the time in a word.
func stamp(f *canbus.Frame, word string) error {
	ns, err := parseTime(word)
	if err != nil {
		return err
	}
	f.Stamp(ns)
	return nil
}

// parseTime returns nanoseconds.
func parseTime(word string) (int64, error) {
	whole, fraction, _ := strings.Cut(word, ".")
	seconds, err1 := strconv.ParseUint(whole, 10, 63)
	us, err2 := strconv.ParseUint(fraction, 10, 63)
	if err1 != nil || err2 != nil || us >= 1e6 || seconds >= math.MaxInt64/1_000_000_000 {
		return 0, fmt.Errorf("time %q is not seconds.microseconds", word)
	}
	return int64(seconds)*1e9 + int64(us)*1e3, nil
}
