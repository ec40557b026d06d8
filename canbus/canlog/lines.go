package canlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// bufferLen is how many bytes of a log are read at once, and how many are looked at
	// to find its format.
	bufferLen = 64 << 10
	// maxLine is how long a line may be. That of a CAN FD frame has less than 600 bytes
	// in each of the formats.
	maxLine = 1024
	// maxText is how many bytes of a line an error quotes.
	maxText = 80
)

var (
	errCut  = errors.New("the log ends in the middle of the line")
	errLong = fmt.Errorf("it has more than %d bytes", maxLine)
)

// byteOrderMark is what editors put in front, and joined logs have within.
var byteOrderMark = []byte("\ufeff")

// lines reads a log line by line.
type lines struct {
	format Format
	r      *bufio.Reader
	line   int   // the number of the line just read
	offset int64 // where it begins
	end    int64 // where it ends
}

// ready reports whether there is a whole line that can be read without waiting.
func (l *lines) ready() bool {
	b, _ := l.r.Peek(l.r.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

// next returns the next line, and what is wrong with it: errLong, errCut, or nil. The
// line is valid until the next call.
func (l *lines) next() (text []byte, wrong, err error) {
	text, err = l.r.ReadSlice('\n')
	l.offset = l.end
	l.end += int64(len(text))
	if len(text) > 0 {
		l.line++
	}
	switch {
	case err == bufio.ErrBufferFull:
		text, wrong = bytes.Clone(text[:maxLine]), errLong
		for err == bufio.ErrBufferFull {
			var more []byte
			more, err = l.r.ReadSlice('\n')
			l.end += int64(len(more))
		}
	case len(text) > maxLine:
		wrong = errLong
	case err == io.EOF && len(text) > 0:
		wrong = errCut
	case err == io.EOF:
		return nil, nil, err
	}
	if err != nil && err != io.EOF {
		return nil, nil, fmt.Errorf("canlog: read behind line %d: %w", l.line, noEOF(err))
	}
	return bytes.TrimPrefix(text, byteOrderMark), wrong, nil
}

// bad returns the error of the line just read.
func (l *lines) bad(text []byte, err error) *RecordError {
	return &RecordError{Format: l.format, Line: l.line, Offset: l.offset, Text: quote(text), Err: err}
}

// quote returns a line, or its beginning, for an error.
func quote(text []byte) string {
	text = bytes.TrimRight(text, "\r\n")
	if len(text) > maxText {
		return string(text[:maxText]) + "..."
	}
	return string(text)
}
