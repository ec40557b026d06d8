package canlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"example.com/isotp/canbus"
)

// PEAK's TRC has a header of lines that begin with ;, and then a line for each message. The
// columns depend on the version, and from 2.0 on the header names them:
//
//	1.0       1)     17535  00000100  8  00 00 00 00 00 00 00 00
//	1.1       1)     17535.4  Tx     00000100  8  00 00 00 00 00 00 00 00
//	1.2       1)     17535.400 1  Tx    00000100  8  00 00 00 00 00 00 00 00
//	1.3       1)     17535.400 1  Tx    00000100 -  8    00 00 00 00 00 00 00 00
//	2.0        1     17535.400 DT 00000100 Tx 8  00 00 00 00 00 00 00 00
//	2.1        1     17535.400 DT 1  00000100 Tx -  8    00 00 00 00 00 00 00 00
//
// Times are in milliseconds since $STARTTIME, which counts days in local time. 1.0 has the start
// only in a remark, to a millisecond and in the form of the system's language:
//
//	;   Start time: 18.12.2021 14:28:07.062.0

// trc reads TRC. It skips lines that are no frames: states of the bus, counters, events.
type trc struct {
	lines
	start   int64
	exact   bool   // start is that of $STARTTIME
	columns string // a letter for each, as $COLUMNS names them from 2.0 on; "" before that
}

func newTRC(b *bufio.Reader) *trc {
	return &trc{lines: lines{format: TRC, r: b}}
}

var (
	trcVersion = []byte(";$FILEVERSION=")
	trcStart   = []byte(";$STARTTIME=")
	trcRemark  = []byte("Start time:")
	trcColumns = []byte(";$COLUMNS=")
)

// isTRC reports whether a line is the beginning of the header, or a frame's of an old
// version that has no such header.
func isTRC(line []byte) bool {
	number, rest := cutWord(line)
	at, _ := cutWord(rest)
	_, timed := decimal(at, 1e6)
	return bytes.HasPrefix(line, trcVersion) || isOldNumber(number) && timed
}

// isOldNumber reports whether a word is the number of a line before 2.0, as 17).
func isOldNumber(word []byte) bool {
	end := len(word) - 1
	if end < 1 || word[end] != ')' {
		return false
	}
	_, ok := number(word[:end], 10, 1<<62)
	return ok
}

func (t *trc) read(f *canbus.Frame) (bus string, err error) {
	text, wrong, err := t.next()
	if err != nil {
		return "", err
	}
	line := bytes.TrimSpace(text)
	switch {
	case len(line) == 0:
		return "", errSkipped
	case line[0] == ';':
		err = t.readHeader(line)
	case wrong != errLong:
		err = t.readMessage(f, line)
	}
	switch {
	case err == errSkipped:
		return "", err
	case wrong == errLong || wrong != nil && err != nil:
		return "", t.bad(text, wrong)
	case err != nil:
		return "", t.bad(text, err)
	}
	return strconv.Itoa(int(f.Channel)), nil
}

// readHeader reads a line of the header. Without an error it returns errSkipped.
func (t *trc) readHeader(line []byte) error {
	if value, found := bytes.CutPrefix(line, trcStart); found {
		start, ok := parseDays(value)
		if !ok {
			return fmt.Errorf("the start time %q is not days since 1899-12-30, of which this is from 1970 to 2262", value)
		}
		t.start, t.exact = start, true
	}
	if value, found := bytes.CutPrefix(bytes.TrimSpace(line[1:]), trcRemark); found && !t.exact {
		start, ok := parseTRCRemark(string(value))
		if !ok {
			return fmt.Errorf("the start time is not as 18.12.2021 14:28:07.062, from 1970 to 2262: times count from %v", time.Unix(0, t.start))
		}
		t.start = start
	}
	if value, found := bytes.CutPrefix(line, trcColumns); found {
		t.columns = string(bytes.ReplaceAll(value, []byte(","), nil))
	}
	return errSkipped
}

// parseTRCRemark returns the start time of a remark, in nanoseconds since 1970. Where a date has
// slashes its month comes first, unless that cannot be.
func parseTRCRemark(text string) (ns int64, ok bool) {
	words := strings.Fields(text)
	if len(words) < 2 {
		return 0, false
	}
	// Behind the milliseconds there is a point again, and parts of a millisecond.
	if parts := strings.SplitN(words[1], ".", 3); len(parts) == 3 {
		words[1] = parts[0] + "." + parts[1]
	}
	clock := " 15:04:05"
	if len(words) > 2 {
		clock = " 3:04:05 PM"
	}
	text = strings.ToUpper(strings.Join(words, " "))
	for _, date := range []string{"2.1.2006", "1/2/2006", "2/1/2006", "2006-1-2"} {
		if at, err := time.ParseInLocation(date+clock, text, time.Local); err == nil && inRange(at) {
			return at.UnixNano(), true
		}
	}
	return 0, false
}

const day = 24 * time.Hour

// parseDays returns when a number of days of a clock on the wall have passed since 1899-12-30, in nanoseconds
// since 1970. It goes by integers: a float64 is exact to a microsecond only.
func parseDays(text []byte) (ns int64, ok bool) {
	whole, fraction, _ := bytes.Cut(text, []byte{'.'})
	days, ok := number(whole, 10, 200_000)
	if !ok {
		return 0, false
	}
	fraction = fraction[:min(len(fraction), 15)]
	part, scale := uint64(0), uint64(1)
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return 0, false
		}
		part, scale = part*10+uint64(c-'0'), scale*10
	}
	high, low := bits.Mul64(part, uint64(day))
	inDay, _ := bits.Div64(high, low, scale)
	// The time of the day is a clock's: it is no duration where summer time begins.
	us := (inDay + 500) / 1000 // which an int of 32 bits does not hold
	at := time.Date(1899, 12, 30+int(days), 0, 0, int(us/1e6), int(us%1e6)*1000, time.Local)
	return at.UnixNano(), inRange(at)
}

// appendDays appends what parseDays parses, to a microsecond.
func appendDays(b []byte, at time.Time) []byte {
	midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
	days := int64(midnight.Sub(time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)) / day)
	clock := time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute +
		time.Duration(at.Second())*time.Second + time.Duration(at.Nanosecond())
	high, low := bits.Mul64(uint64(clock), 1e14)
	fraction, _ := bits.Div64(high, low, uint64(day))
	return fmt.Appendf(b, "%d.%014d", days, fraction)
}

// readMessage reads a line that is not of the header.
func (t *trc) readMessage(f *canbus.Frame, line []byte) error {
	first, _ := cutWord(line)
	if isOldNumber(first) {
		return t.readOld(f, line)
	}
	columns := t.columns
	if columns == "" {
		columns = "NOTIdlD" // those of 2.0
	}
	var c trcMessage
	for i := range len(columns) {
		if columns[i] == 'D' {
			c.data = line
			break
		}
		c.word(columns[i], &line)
		if columns[i] == 'T' && !isTRCFrame(c.kind) {
			break // what follows may be blank
		}
	}
	return t.set(f, &c)
}

// readOld reads a line of the versions before 2.0.
func (t *trc) readOld(f *canbus.Frame, line []byte) error {
	var c trcMessage
	c.word('N', &line)
	c.word('O', &line)
	if word, rest := cutWord(line); len(word) == 1 && len(cutFirst(rest)) > 1 {
		c.word('B', &line)
	}
	c.kind = []byte("DT")
	if word, rest := cutWord(line); bytes.Equal(word, []byte("Rx")) || bytes.Equal(word, []byte("Tx")) {
		c.direction, line = word, rest
	} else if _, isID := number(word, 16, 0xFFFFFFFF); !isID {
		return errSkipped // a warning or an error
	}
	c.word('I', &line)
	if bytes.Equal(c.id, []byte("FFFFFFFF")) {
		return errSkipped // the state of the bus
	}
	if word, rest := cutWord(line); bytes.Equal(word, []byte("-")) {
		line = rest
	}
	c.word('L', &line)
	c.data = line
	return t.set(f, &c)
}

func cutFirst(line []byte) []byte {
	word, _ := cutWord(line)
	return word
}

// A trcMessage has the columns of a line.
type trcMessage struct {
	at, kind, bus, id, direction, dlc, length, data []byte
}

// word cuts a word off a line, and keeps it as the column of that letter.
func (c *trcMessage) word(column byte, line *[]byte) {
	word, rest := cutWord(*line)
	*line = rest
	switch column {
	case 'O':
		c.at = word
	case 'T':
		c.kind = word
	case 'B':
		c.bus = word
	case 'I':
		c.id = word
	case 'd':
		c.direction = word
	case 'L':
		c.dlc = word
	case 'l':
		c.length = word
	}
}

// trcKinds are the types of messages from 2.0 on that are frames on the wire.
var trcKinds = map[string]canbus.Flags{
	"DT": 0,
	"RR": canbus.Remote,
	"FD": canbus.FD,
	"FB": canbus.FD | canbus.BRS,
	"FE": canbus.FD | canbus.BRS | canbus.ESI,
	"BI": canbus.FD | canbus.ESI,
}

func isTRCFrame(kind []byte) bool {
	_, is := trcKinds[string(kind)]
	return is
}

// set makes a frame of a line.
func (t *trc) set(f *canbus.Frame, c *trcMessage) error {
	at, ok := decimal(c.at, 1e6)
	if !ok {
		return fmt.Errorf("the time %q is not one in milliseconds", c.at)
	}
	f.Channel = 1
	if c.bus != nil {
		bus, ok := number(c.bus, 10, 255)
		if !ok || bus == 0 {
			return fmt.Errorf("the bus %q is not 1 to 255", c.bus)
		}
		f.Channel = uint8(bus)
	}
	if err := setTRCFrame(f, c); err != nil {
		return err
	}
	f.Stamp(t.start + min(at, maxTime-t.start))
	return nil
}

// setTRCFrame sets all but the time and the channel.
func setTRCFrame(f *canbus.Frame, c *trcMessage) error {
	flags, isFrame := trcKinds[string(c.kind)]
	switch {
	case string(c.kind) == "ER":
		setError(f)
		return nil
	case !isFrame:
		return errSkipped
	}
	f.Flags = flags
	if string(c.direction) == "Tx" {
		f.Flags |= canbus.Echo
	}
	if err := setTRCHead(f, c); err != nil {
		return err
	}
	if string(cutFirst(c.data)) == "RTR" {
		f.Flags |= canbus.Remote
	}
	if err := valid(f); err != nil || f.Has(canbus.Remote) {
		return err
	}
	return setHexData(f, c.data)
}

// setTRCHead sets the identifier and the length.
func setTRCHead(f *canbus.Frame, c *trcMessage) error {
	id, ok := number(c.id, 16, canbus.MaxExtendedID)
	if !ok {
		return fmt.Errorf("the identifier %q is not 0 to 1FFFFFFF", c.id)
	}
	f.ID = uint32(id)
	if len(c.id) > 4 {
		f.Flags |= canbus.Extended
	}
	if c.length != nil {
		n, ok := number(c.length, 10, canbus.MaxLen)
		if !ok {
			return fmt.Errorf("the length %q is not 0 to %d", c.length, canbus.MaxLen)
		}
		f.Len = uint8(n)
	} else {
		dlc, ok := number(c.dlc, 10, 15)
		if !ok {
			return fmt.Errorf("the DLC %q is not 0 to 15", c.dlc)
		}
		f.Len = canbus.DLCLen(uint8(dlc), f.Has(canbus.FD))
	}
	return nil
}

// setHexData sets the data, of which Len tells how many there are.
func setHexData(f *canbus.Frame, line []byte) error {
	for i := range f.Payload() {
		var word []byte
		word, line = cutWord(line)
		v, ok := number(word, 16, 0xFF)
		if !ok {
			return fmt.Errorf("of %d data bytes number %d is %q", f.Len, i+1, word)
		}
		f.Data[i] = byte(v)
	}
	if len(bytes.TrimSpace(line)) > 0 {
		return errors.New("there are more data than its length says")
	}
	return nil
}

// trcSink writes TRC 2.1.
type trcSink struct {
	channels
	w     *Writer
	clock clock
	count int
	line  []byte
}

func (t *trcSink) begin(f *canbus.Frame) {
	start := t.clock.begin(f, time.Millisecond)
	fmt.Fprintf(t.w.w, ";$FILEVERSION=2.1\r\n;$STARTTIME=%s\r\n;$COLUMNS=N,O,T,B,I,d,R,L,D\r\n;\r\n", appendDays(nil, start))
	fmt.Fprintf(t.w.w, ";   Start time: %s\r\n;\r\n", start.Format("2006-01-02 15:04:05.000"))
	fmt.Fprint(t.w.w, ";   Message   Time    Type    ID     Rx/Tx\r\n",
		";   Number    Offset  |  Bus  [hex]  |  Reserved\r\n",
		";   |         [ms]    |  |    |      |  |  Data Length Code\r\n",
		";   |         |       |  |    |      |  |  |    Data [hex] ...\r\n",
		";---+-- ------+------ +- +- --+----- +- +- +--- +- -- -- -- -- -- -- --\r\n")
}

func (t *trcSink) write(f *canbus.Frame, bus string) error {
	channel, err := t.of(bus)
	if err != nil {
		return err
	}
	if !t.clock.running {
		t.begin(f)
	}
	us := t.clock.since(f, t.w) / 1000
	t.count++
	t.line = fmt.Appendf(t.line[:0], "%7d %9d.%03d ", t.count, us/1000, us%1000)
	if f.Has(canbus.ErrorFrame) {
		t.w.losses.loseError(f)
		t.line = fmt.Appendf(t.line, "ER %2d %8s Rx -  5    08 00 00 00 00", channel, "-") // 8: of another kind
	} else {
		t.line = appendTRC(t.line, f, channel)
	}
	_, err = t.w.w.Write(append(t.line, "\r\n"...))
	return err
}

func appendTRC(b []byte, f *canbus.Frame, channel int) []byte {
	kind := ""
	for name, flags := range trcKinds {
		if f.Flags&(canbus.Remote|canbus.FD|canbus.BRS|canbus.ESI) == flags {
			kind = name
		}
	}
	id := fmt.Sprintf("%04X", f.ID)
	if f.Has(canbus.Extended) {
		id = fmt.Sprintf("%08X", f.ID)
	}
	b = fmt.Appendf(b, "%s %2d %8s %s -  %-4d", kind, channel, id, direction(f), f.DLC())
	if f.Has(canbus.Remote) {
		return b
	}
	return appendBytes(b, f.Payload())
}

func (t *trcSink) flush() error { return nil }

func (t *trcSink) close() error {
	if !t.clock.running {
		t.begin(new(canbus.Frame))
	}
	return nil
}
