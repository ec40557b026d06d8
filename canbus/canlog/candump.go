package canlog

import (
	"bufio"
	"bytes"
	"errors"

	"example.com/isotp/canbus"
)

// dropCount begins candump's own lines of dropped frames.
var dropCount = []byte("DROPCOUNT:")

// candump reads what candump writes: the lines of -l, which begin with (, and those for the
// screen. It skips all others: comments, blank lines, DROPCOUNT.
type candump struct {
	lines
	names names
	times screenTimes
}

func newCandump(b *bufio.Reader) *candump {
	return &candump{lines: lines{format: Candump, r: b}}
}

func (c *candump) read(f *canbus.Frame) (bus string, err error) {
	text, wrong, err := c.next()
	if err != nil {
		return "", err
	}
	text = withoutColours(text)
	if isScreen(text) {
		bus, err := c.readScreen(f, text)
		if err != nil {
			return "", c.bad(text, err)
		}
		return bus, nil
	}
	start := bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(bytes.TrimLeft(start, "\x00"), []byte("(")) && start[0] == 0:
		return "", c.bad(text, errNUL)
	case len(start) == 0 || start[0] != '(':
		return "", errSkipped
	case bytes.IndexByte(start, '\r') >= 0:
		return "", c.bad(text, errReturn) // all behind it would be a remark
	}
	if wrong != errLong {
		name, err := f.UnmarshalLogLine(text)
		if err == nil {
			return c.names.intern(name), nil
		}
		// Of a line that was cut off we cannot say what else is wrong with it.
		if wrong == nil {
			wrong = cause(err)
		}
	}
	return "", c.bad(text, wrong)
}

var (
	errReturn = errors.New("a carriage return that is no end of a line is in it")
	errNUL    = errors.New("it begins with NUL bytes, as where a part of a log was not written")
)

// cause removes what UnmarshalLogLine says in front, because RecordError says that too.
func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
