package canlog

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/isotp/canbus"
)

// Vector's ASC has a header, and then a line for each event:
//
//	date Thu Apr 28 10:44:52.480 am 2022
//	base hex  timestamps absolute
//	   0.015991 1  18EBFF00x       Rx   d 8 01 A0 0F A6 60 3B D1 40  Length = 273910
//	   2.501000 1  ErrorFrame
//	   2.510001 2  100             Tx   r 8
//	  30.005021 CANFD   1 Rx        300  NAME  1 0 8  8 11 C2 03 04 05 06 07 08 102203 133 303000 ...
//
// Times are in seconds since the date, or if they are relative since the event before. The
// date is in local time. With base dec identifiers and data are decimal.

// The flags of a CANFD line, and of the objects of BLF that have the same.
const (
	vectorRemote = 0x10
	vectorFD     = 0x1000
	vectorBRS    = 0x2000
	vectorESI    = 0x4000
)

// asc reads ASC. It skips the events that are no frames, and requests to send, which are
// followed by the frame that was sent.
type asc struct {
	lines
	start    int64 // the time of the log's date
	inBlock  bool  // a block has begun, or more
	base     uint64
	relative bool  // times are those since the event before
	last     int64 // the time of the event before, since start
}

func newASC(b *bufio.Reader) *asc {
	return &asc{lines: lines{format: ASC, r: b}, base: 16}
}

// isASC reports whether a line is one of a header, or a frame's.
func isASC(line []byte) bool {
	a := asc{base: 16}
	if known, _ := a.readHeader(line); known {
		return true
	}
	word, rest := cutWord(line)
	_, timed := decimal(word, 1e9)
	err := a.readEvent(new(canbus.Frame), rest)
	return timed && err == nil
}

func (a *asc) read(f *canbus.Frame) (bus string, err error) {
	text, wrong, err := a.next()
	if err != nil {
		return "", err
	}
	known, err := a.readHeader(text)
	switch {
	case known && err != nil:
		return "", a.bad(text, err)
	case known:
		return "", errSkipped
	}
	at, rest := cutWord(text)
	ns, ok := decimal(at, 1e9)
	if !ok {
		return "", errSkipped
	}
	if a.relative {
		ns = addTime(a.last, ns)
	}
	ns = min(ns, maxTime-a.start)
	a.last = ns
	err = a.readEvent(f, rest)
	switch {
	case err == errSkipped:
		return "", err
	case wrong == errLong || wrong != nil && err != nil:
		return "", a.bad(text, wrong)
	case err != nil:
		return "", a.bad(text, err)
	}
	f.Stamp(a.start + ns)
	return strconv.Itoa(int(f.Channel)), nil
}

// readHeader reads a line of the header, if it is one.
func (a *asc) readHeader(line []byte) (known bool, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] >= '0' && line[0] <= '9' {
		return false, nil
	}
	words := strings.Fields(strings.ToLower(string(line[:min(len(line), maxText)])))
	switch {
	case words[0] == "date":
		return true, a.setDate(words[1:])
	case words[0] == "begin" && len(words) > 1 && words[1] == "triggerblock":
		if a.inBlock {
			return true, nil
		}
		a.inBlock = true
		return true, a.setDate(words[2:])
	case words[0] == "base" && len(words) > 1 && (words[1] == "hex" || words[1] == "dec"):
		a.base = 16
		if words[1] == "dec" {
			a.base = 10
		}
		a.relative = len(words) > 3 && words[2] == "timestamps" && words[3] == "relative"
		return true, nil
	case words[0] == "end" && len(words) > 1 && words[1] == "triggerblock":
		return true, nil
	}
	return strings.HasSuffix(strings.Join(words, " "), "internal events logged"), nil
}

// setDate sets the log's beginning: the date of the header, and then that of the first block,
// because the header of python-can has the time when the log was written.
func (a *asc) setDate(words []string) error {
	if len(words) == 0 {
		return nil
	}
	at, err := parseASCDate(words)
	if err != nil {
		return err
	}
	a.start = at.UnixNano()
	return nil
}

// parseASCDate parses WEEKDAY MONTH DAY TIME [am|pm] YEAR, in English or German and lower
// case, in local time.
func parseASCDate(words []string) (time.Time, error) {
	bad := fmt.Errorf("the date %q is not as Thu Apr 28 10:44:52.480 am 2022", strings.Join(words, " "))
	if len(words) < 5 {
		return time.Time{}, bad
	}
	layout, half := "1 2 15:04:05 2006", ""
	if len(words) > 5 {
		layout, half = "1 2 3:04:05 pm 2006", words[4]+" "
	}
	month := 0
	for prefix, number := range map[string]int{
		"jan": 1, "feb": 2, "mar": 3, "mär": 3, "m\xe4r": 3, "m\ufffdr": 3, "mrz": 3, "apr": 4, "may": 5, "mai": 5, "jun": 6,
		"jul": 7, "aug": 8, "sep": 9, "oct": 10, "okt": 10, "nov": 11, "dec": 12, "dez": 12,
	} {
		if strings.HasPrefix(words[1], prefix) {
			month = number
		}
	}
	text := fmt.Sprintf("%d %s %s %s%s", month, strings.TrimSuffix(words[2], "."), words[3], half, words[len(words)-1])
	at, err := time.ParseInLocation(layout, text, time.Local)
	if err != nil || !inRange(at) {
		return time.Time{}, bad
	}
	return at, nil
}

// readEvent reads what is behind the time of an event; errSkipped if that is no frame.
func (a *asc) readEvent(f *canbus.Frame, line []byte) error {
	word, rest := cutWord(line)
	fd := string(word) == "CANFD"
	if fd {
		word, rest = cutWord(rest)
	}
	channel, ok := number(word, 10, 255)
	if !ok {
		return errSkipped // of another kind of bus, perhaps
	}
	f.Channel = uint8(channel)
	if fd {
		return a.readFD(f, rest)
	}
	return a.readClassic(f, rest)
}

// isErrorFrame reports whether a word says that the event is an error frame.
func isErrorFrame(word []byte) bool { return bytes.EqualFold(word, []byte("ErrorFrame")) }

// setError makes f an error frame of which no more is known. It has the class that asc2log
// gives it.
func setError(f *canbus.Frame) {
	f.ID, f.Flags, f.Len = busError, canbus.ErrorFrame, canbus.MaxClassicLen
}

// busError is the class CAN_ERR_BUSERROR of SocketCAN's error frames.
const busError = 0x80

// readClassic reads ID DIRECTION d|r DLC DATA.
func (a *asc) readClassic(f *canbus.Frame, line []byte) error {
	id, rest := cutWord(line)
	if isErrorFrame(id) {
		setError(f)
		return nil
	}
	direction, rest := cutWord(rest)
	kind, rest := cutWord(rest)
	if err := setDirection(f, direction); err != nil {
		return err
	}
	if !a.setID(f, id) {
		if k := string(kind); k == "d" || k == "r" {
			return errNoID(id)
		}
		return errSkipped // an event that has a name, and a direction
	}
	word, rest := cutWord(rest)
	dlc, ok := number(word, 16, 15)
	f.Len = uint8(min(dlc, canbus.MaxClassicLen))
	switch {
	case string(kind) == "r":
		f.Flags |= canbus.Remote // the length stands there since CANoe 8.5
		if !ok {
			f.Len = 0
		}
		return valid(f)
	case string(kind) != "d":
		return fmt.Errorf("%q behind the direction is neither d (data) nor r (remote)", kind)
	case !ok:
		return fmt.Errorf("DLC %q is not 0 to F", word)
	}
	rest, err := a.setData(f, rest)
	if err != nil {
		return err
	}
	if word, _ := cutWord(rest); len(word) > 0 {
		if _, isByte := number(word, a.base, 0xFF); isByte {
			return fmt.Errorf("%q is behind the %d data bytes that the DLC says", word, f.Len)
		}
	}
	return nil
}

// errNoID says that a frame's identifier is none. Logs with symbolic names have them there.
func errNoID(word []byte) error {
	return fmt.Errorf("%q is no identifier of 11 bits, or with an x behind it 29", word)
}

// setDirection sets what Rx and Tx say; errSkipped for TxRq, a request, and for what is no
// direction.
func setDirection(f *canbus.Frame, word []byte) error {
	switch string(word) {
	case "Tx":
		f.Flags |= canbus.Echo
	case "Rx":
	default:
		return errSkipped
	}
	return nil
}

// setID sets the identifier, which has an x behind it if it has 29 bits. It reports whether
// it is one.
func (a *asc) setID(f *canbus.Frame, word []byte) bool {
	limit := uint64(canbus.MaxStandardID)
	if n := len(word) - 1; n > 0 && word[n]|0x20 == 'x' {
		f.Flags |= canbus.Extended
		word, limit = word[:n], canbus.MaxExtendedID
	}
	id, ok := number(word, a.base, limit)
	f.ID = uint32(id)
	return ok
}

// setData sets the data, of which Len tells how many there are, and returns what is behind
// them.
func (a *asc) setData(f *canbus.Frame, line []byte) (rest []byte, err error) {
	for i := range f.Payload() {
		var word []byte
		word, line = cutWord(line)
		v, ok := number(word, a.base, 0xFF)
		if !ok {
			return nil, fmt.Errorf("of %d data bytes number %d is %q", f.Len, i+1, word)
		}
		f.Data[i] = byte(v)
	}
	return line, valid(f)
}

// readFD reads DIRECTION ID [NAME] BRS ESI DLC LENGTH DATA DURATION BITS FLAGS. Such a line
// may be of a classic frame, too.
func (a *asc) readFD(f *canbus.Frame, line []byte) error {
	direction, rest := cutWord(line)
	id, rest := cutWord(rest)
	if err := setDirection(f, direction); err != nil {
		return err
	}
	if isErrorFrame(id) {
		setError(f)
		return nil
	}
	if !a.setID(f, id) {
		return errNoID(id)
	}
	brs, rest := cutWord(rest)
	if _, isFlag := number(brs, 10, 1); !isFlag {
		brs, rest = cutWord(rest) // it was a name
	}
	esi, rest := cutWord(rest)
	dlcWord, rest := cutWord(rest)
	length, rest := cutWord(rest)
	dlc, ok1 := number(dlcWord, 16, 15)
	n, ok2 := number(length, 10, canbus.MaxLen)
	if !ok1 || !ok2 {
		return fmt.Errorf("DLC %q is not 0 to f, or the length %q is not 0 to %d", dlcWord, length, canbus.MaxLen)
	}
	f.Len = uint8(n)
	f.Flags |= canbus.FD
	if string(brs) == "1" {
		f.Flags |= canbus.BRS
	}
	if string(esi) == "1" {
		f.Flags |= canbus.ESI
	}
	rest, err := a.setData(f, rest)
	if err != nil {
		return err
	}
	_, rest = cutWord(rest)
	_, rest = cutWord(rest)
	word, _ := cutWord(rest)
	flags, known := number(word, 16, 0xFFFFFFFF)
	if !known || flags&vectorFD != 0 {
		return nil
	}
	f.Flags &^= canbus.FD | canbus.BRS | canbus.ESI
	if flags&vectorRemote != 0 {
		f.Flags |= canbus.Remote
		clear(f.Data[:])
		f.Len = uint8(min(dlc, canbus.MaxClassicLen))
	}
	return valid(f)
}

// ascSink writes ASC.
type ascSink struct {
	channels
	w     *Writer
	clock clock
	line  []byte
}

const ascDate = "Mon Jan 2 03:04:05.000 pm 2006"

func (a *ascSink) begin(f *canbus.Frame) {
	date := a.clock.begin(f, time.Millisecond).Format(ascDate)
	fmt.Fprintf(a.w.w, "date %s\nbase hex  timestamps absolute\nno internal events logged\nBegin TriggerBlock %s\n", date, date)
	fmt.Fprintf(a.w.w, "%11.6f Start of measurement\n", 0.0)
}

func (a *ascSink) write(f *canbus.Frame, bus string) error {
	channel, err := a.of(bus)
	if err != nil {
		return err
	}
	if !a.clock.running {
		a.begin(f)
	}
	us := a.clock.since(f, a.w) / 1000
	a.line = fmt.Appendf(a.line[:0], "%4d.%06d ", us/1e6, us%1e6)
	switch {
	case f.Has(canbus.ErrorFrame):
		a.w.losses.loseError(f)
		a.line = fmt.Appendf(a.line, "%d  ErrorFrame", channel)
	case f.Has(canbus.FD):
		a.line = appendASCFD(a.line, f, channel)
	default:
		a.line = appendASCClassic(a.line, f, channel)
	}
	_, err = a.w.w.Write(append(a.line, '\n'))
	return err
}

func (a *ascSink) flush() error { return nil }

func (a *ascSink) close() error {
	if !a.clock.running {
		a.begin(new(canbus.Frame))
	}
	_, err := fmt.Fprintln(a.w.w, "End TriggerBlock")
	return err
}

// direction returns the word for a frame that was sent, or received.
func direction(f *canbus.Frame) string {
	if f.Has(canbus.Echo) {
		return "Tx"
	}
	return "Rx"
}

func ascID(f *canbus.Frame) string {
	if f.Has(canbus.Extended) {
		return fmt.Sprintf("%Xx", f.ID)
	}
	return fmt.Sprintf("%X", f.ID)
}

func appendASCClassic(b []byte, f *canbus.Frame, channel int) []byte {
	b = fmt.Appendf(b, "%d  %-15s %-4s ", channel, ascID(f), direction(f))
	if f.Has(canbus.Remote) {
		return fmt.Appendf(b, "r %x", f.Len)
	}
	return appendBytes(fmt.Appendf(b, "d %x", f.Len), f.Payload())
}

func appendASCFD(b []byte, f *canbus.Frame, channel int) []byte {
	flags, brs, esi := vectorFD, 0, 0
	if f.Has(canbus.BRS) {
		flags, brs = flags|vectorBRS, 1
	}
	if f.Has(canbus.ESI) {
		flags, esi = flags|vectorESI, 1
	}
	b = fmt.Appendf(b, "CANFD %3d %-4s %8s  %32s %d %d %x %2d", channel, direction(f), ascID(f), "", brs, esi, f.DLC(), f.Len)
	b = appendBytes(b, f.Payload())
	return fmt.Appendf(b, " %8d %4d %8X %8d %8d %8d %8d %8d", 0, 0, flags, 0, 0, 0, 0, 0)
}

// appendBytes appends bytes in hexadecimal, each behind a space.
func appendBytes(b, data []byte) []byte {
	for _, d := range data {
		b = fmt.Appendf(b, " %02X", d)
	}
	return b
}
