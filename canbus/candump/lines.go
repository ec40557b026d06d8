package candump

import (
	"errors"
	"fmt"
	"io"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/canlog"
)

// A LineError is the error of a line, or of a record of a binary log, that should be a frame
// and is none. It is [canbus.ErrTemporary]: reading can go on with the next one.
type LineError struct {
	File   string
	Line   int    // its number, from 1; 0 in binary logs
	Offset int64  // where it begins, in bytes
	Text   string // the line, or its beginning; "" in binary logs
	Err    error  // what is wrong
}

func (e *LineError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("candump: %s, at byte %d: no frame: %v", e.File, e.Offset, e.Err)
	}
	return fmt.Sprintf("candump: %s, line %d: %q is no frame: %v", e.File, e.Line, e.Text, e.Err)
}

// Unwrap returns Err.
func (e *LineError) Unwrap() error { return e.Err }

// Is makes it canbus.ErrTemporary.
func (e *LineError) Is(target error) bool { return target == canbus.ErrTemporary }

// lines reads a log, and says of errors which file they are of.
type lines struct {
	file string
	src  io.Reader
	log  *canlog.Reader // nil: nothing was read yet
}

func newLines(r io.Reader, file string) *lines { return &lines{file: file, src: r} }

// ready reports whether next returns without waiting for more of the log.
func (l *lines) ready() bool { return l.log != nil && l.log.Ready() }

// next returns the next frame and its interface. Errors are *LineError, io.EOF itself at
// the end, and others, which are final: what reading fails with, and that it is no log.
func (l *lines) next(f *canbus.Frame) (ifi string, err error) {
	if l.log == nil {
		if l.log, err = canlog.NewReader(l.src); err != nil {
			return "", l.inFile(err)
		}
	}
	ifi, err = l.log.ReadFrame(f)
	if err != nil && err != io.EOF {
		err = l.inFile(err)
	}
	return ifi, err
}

func (l *lines) inFile(err error) error {
	if e, ok := errors.AsType[*canlog.RecordError](err); ok {
		return &LineError{File: l.file, Line: e.Line, Offset: e.Offset, Text: e.Text, Err: e.Err}
	}
	if e, ok := errors.AsType[*canlog.UnknownFormatError](err); ok {
		return fmt.Errorf("candump: %s is no log: line %d: %q is no frame: %w", l.file, e.Line, e.Text, e.Err)
	}
	return fmt.Errorf("candump: %s: %w", l.file, err)
}

// checkLen is how much of a file is looked at before it is taken for a log.
const checkLen = 64 << 10

// check returns an error if a file's beginning does not look like a log, and else its
// format. It leaves the file where it is. A log without a frame is that of a quiet bus.
func check(f io.ReaderAt, file string) (canlog.Format, error) {
	beginning := newLines(io.NewSectionReader(f, 0, checkLen), file)
	var first error
	for {
		var frame canbus.Frame
		_, err := beginning.next(&frame)
		switch {
		case err == nil, err == io.EOF && first == nil:
			return beginning.log.Format(), nil
		case err == io.EOF:
			return 0, first
		case beginning.log == nil:
			return 0, err
		case !errors.Is(err, canbus.ErrTemporary):
			return beginning.log.Format(), nil // the beginning ends within what is compressed, perhaps
		case first == nil:
			first = err
		}
	}
}
