package candump

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"example.com/isotp/canbus"
)

// bufferLen is how much of a log is read at once, and maxLine how long a line may
// be. A CAN FD frame's line has less than 200 bytes.
const (
	bufferLen = 64 << 10
	maxLine   = 1024
	// maxText is how much of a line an error quotes.
	maxText = 80
)

// A LineError is that of a line which is no frame. It is [canbus.ErrTemporary]: reading
// can go on with the next line.
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
	errBlank = errors.New("a blank line")
	errCut   = errors.New("the log ends in the middle of the line")
	errLong  = fmt.Errorf("it has more than %d bytes", maxLine)
)

// lines reads a log line by line.
type lines struct {
	file string
	r    *bufio.Reader
	line int
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
// errBlank, *LineError, io.EOF itself at the end, and what reading fails with.
func (l *lines) next() (f canbus.Frame, ifi string, err error) {
	text, err := l.text()
	if err != nil {
		return canbus.Frame{}, "", err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return canbus.Frame{}, "", errBlank
	}
	f, ifi, err = canbus.ParseLogLine(string(text))
	if err != nil {
		return canbus.Frame{}, "", l.bad(text, cause(err))
	}
	return f, ifi, nil
}

// text returns the next line.
func (l *lines) text() ([]byte, error) {
	text, err := l.r.ReadSlice('\n')
	switch {
	case err == nil || err == bufio.ErrBufferFull || len(text) > 0:
		l.line++
	case err == io.EOF:
		return nil, err
	}
	switch {
	case err == bufio.ErrBufferFull:
		bad := l.bad(text, errLong)
		for err == bufio.ErrBufferFull {
			_, err = l.r.ReadSlice('\n')
		}
		return nil, bad
	case err == io.EOF:
		return nil, l.bad(text, errCut)
	case err != nil:
		return nil, fmt.Errorf("candump: read %s behind line %d: %w", l.file, l.line, noEOF(err))
	case len(text) > maxLine:
		return nil, l.bad(text, errLong)
	}
	return text, nil
}

// bad is the error of the line just read.
func (l *lines) bad(text []byte, err error) *LineError {
	text = bytes.TrimRight(text, "\r\n")
	quoted := string(text[:min(len(text), maxText)])
	if len(text) > maxText {
		quoted += "..."
	}
	return &LineError{File: l.file, Line: l.line, Text: quoted, Err: err}
}

// cause takes off what ParseLogLine says in front, as LineError says that too.
func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// noEOF: only the end of the log is io.EOF.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// check looks whether the log's beginning, of which nothing has been read, has
// frames. It may have none at all, and be the log of a quiet bus.
func (l *lines) check() error {
	b, err := l.r.Peek(bufferLen)
	if err != nil && err != io.EOF {
		return fmt.Errorf("candump: read %s: %w", l.file, err)
	}
	var first error
	for beginning := newLines(bytes.NewReader(b), l.file); ; {
		_, _, err := beginning.next()
		switch {
		case err == nil || err == io.EOF && first == nil:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%w (a log is what candump -l writes)", first)
		case err != errBlank && first == nil:
			first = err
		}
	}
}
