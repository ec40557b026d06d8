package candump

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"

	"example.com/isotp/canbus"
)

// bufferLen is how many bytes of a log are read at once, and maxLine how long a line may
// be. The line of a CAN FD frame has less than 200 bytes.
const (
	bufferLen = 64 << 10
	maxLine   = 1024
	// maxText is how many bytes of a line an error quotes.
	maxText = 80
)

// A LineError is the error of a line that begins with (, as a frame's does, and is no frame.
// It is [canbus.ErrTemporary]: reading can go on with the next line.
type LineError struct {
	File string
	Line int    // its number, from 1
	Text string // the line, or its beginning
	Err  error  // what is wrong
}

func (e *LineError) Error() string {
	return fmt.Sprintf("candump: %s, line %d: %q is no frame: %v", e.File, e.Line, e.Text, e.Err)
}

// Unwrap returns Err.
func (e *LineError) Unwrap() error { return e.Err }

// Is makes it canbus.ErrTemporary.
func (e *LineError) Is(target error) bool { return target == canbus.ErrTemporary }

var (
	errSkipped = errors.New("a line that is to be skipped")
	errCut     = errors.New("the log ends in the middle of the line")
	errLong    = fmt.Errorf("it has more than %d bytes", maxLine)
	errNoParen = errors.New("it does not begin with (")
	errUTF16   = errors.New("it is UTF-16, and logs are UTF-8")
)

var (
	byteOrderMark = []byte("\ufeff") // editors put it in front, and joined logs have it within
	dropCount     = []byte("DROPCOUNT:")
)

// lines reads a log line by line. It skips lines that do not begin with (, as canplayer and
// log2asc do: comments, candump's own lines of dropped frames, blank lines.
type lines struct {
	file string
	r    *bufio.Reader
	line int
	// strange is the first line that was skipped and does not look like a comment. A file
	// that has such a line and no frame is no log.
	strange *LineError
}

func newLines(r io.Reader, file string) *lines {
	return &lines{file: file, r: bufio.NewReaderSize(r, bufferLen)}
}

// ready reports whether there is a whole line that can be read without waiting.
func (l *lines) ready() bool {
	b, _ := l.r.Peek(min(l.r.Buffered(), maxLine))
	return bytes.IndexByte(b, '\n') >= 0
}

// next reads a line and returns its frame and the frame's interface. Errors are
// errSkipped, *LineError, io.EOF itself at the end, and what reading fails with.
func (l *lines) next() (f canbus.Frame, ifi string, err error) {
	text, wrong, err := l.text()
	if err != nil {
		return canbus.Frame{}, "", err
	}
	if start := bytes.TrimLeftFunc(text, unicode.IsSpace); len(start) == 0 || start[0] != '(' {
		l.skip(text, start)
		return canbus.Frame{}, "", errSkipped
	}
	if wrong != errLong {
		if f, ifi, err = canbus.ParseLogLine(string(text)); err == nil {
			return f, ifi, nil
		}
		// Of a line that was cut off we cannot say what else is wrong with it.
		if wrong == nil {
			wrong = cause(err)
		}
	}
	return canbus.Frame{}, "", l.bad(text, wrong)
}

// text returns the next line, and what is wrong with it: errLong or errCut.
func (l *lines) text() (text []byte, wrong, err error) {
	text, err = l.r.ReadSlice('\n')
	if len(text) > 0 {
		l.line++
	}
	switch {
	case err == bufio.ErrBufferFull:
		text, wrong = bytes.Clone(text[:maxLine]), errLong
		for err == bufio.ErrBufferFull {
			_, err = l.r.ReadSlice('\n')
		}
	case len(text) > maxLine:
		wrong = errLong
	case err == io.EOF && len(text) > 0:
		wrong = errCut
	case err == io.EOF:
		return nil, nil, err
	}
	if err != nil && err != io.EOF {
		return nil, nil, fmt.Errorf("candump: read %s behind line %d: %w", l.file, l.line, noEOF(err))
	}
	return bytes.TrimPrefix(text, byteOrderMark), wrong, nil
}

// skip notes a line that is skipped; start is what follows its spaces.
func (l *lines) skip(text, start []byte) {
	if l.strange != nil || len(start) == 0 || bytes.HasPrefix(start, dropCount) {
		return
	}
	r, size := utf8.DecodeRune(start)
	switch invalid := r == utf8.RuneError && size == 1; {
	case bytes.HasPrefix(start, []byte{0xFF, 0xFE}) || bytes.HasPrefix(start, []byte{0xFE, 0xFF}):
		l.strange = l.bad(text, errUTF16)
	case invalid || !unicode.IsPunct(r) && !unicode.IsSymbol(r):
		l.strange = l.bad(text, errNoParen)
	}
}

// bad returns the error of the line just read.
func (l *lines) bad(text []byte, err error) *LineError {
	text = bytes.TrimRight(text, "\r\n")
	quoted := string(text[:min(len(text), maxText)])
	if len(text) > maxText {
		quoted += "..."
	}
	return &LineError{File: l.file, Line: l.line, Text: quoted, Err: err}
}

// cause removes what ParseLogLine says in front, because LineError says that too.
func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// noEOF replaces io.EOF: only the end of the log is that.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// check returns an error if the log's beginning does not look like a log. It reads nothing.
// A log without a frame is that of a quiet bus.
func (l *lines) check() error {
	b, err := l.r.Peek(bufferLen)
	if err != nil && err != io.EOF {
		return fmt.Errorf("candump: read %s: %w", l.file, err)
	}
	var first error
	for beginning := newLines(bytes.NewReader(b), l.file); ; {
		_, _, err := beginning.next()
		switch {
		case err == nil:
			return nil
		case err == io.EOF && first != nil:
			return fmt.Errorf("%w (a log is what candump -l writes)", first)
		case err == io.EOF:
			return beginning.noLog()
		case err != errSkipped && first == nil:
			first = err
		}
	}
}

// noLog returns, at the end of a file without a frame, an error if it is no log.
func (l *lines) noLog() error {
	if l.strange == nil {
		return nil
	}
	return fmt.Errorf("%v (a log is what candump -l writes)", l.strange)
}
