package canlog

import (
	"errors"
	"fmt"
	"io"

	"example.com/isotp/canbus"
)

// A RecordError is the error of a line, or of a record of a binary log, that is no frame
// and should be one. It is [canbus.ErrTemporary]: reading can go on behind it.
type RecordError struct {
	Format Format
	Line   int    // its number, from 1; 0 in binary formats
	Offset int64  // where it begins, in bytes from the log's beginning (as it is when gzip is taken off)
	Text   string // the line, or its beginning; "" in binary formats
	Err    error  // what is wrong
}

func (e *RecordError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("canlog: line %d: %q is no frame: %v", e.Line, e.Text, e.Err)
	}
	return fmt.Sprintf("canlog: %v record at byte %d: %v", e.Format, e.Offset, e.Err)
}

// Unwrap returns Err.
func (e *RecordError) Unwrap() error { return e.Err }

// Is makes it canbus.ErrTemporary.
func (e *RecordError) Is(target error) bool { return target == canbus.ErrTemporary }

// An UnknownFormatError is the error of what is no log in any of the formats.
type UnknownFormatError struct {
	Line int    // the number of the first line that could not be in a log
	Text string // the line, or its beginning
	Err  error  // what is wrong with it
}

func (e *UnknownFormatError) Error() string {
	return fmt.Sprintf("canlog: line %d: %q is no frame: %v (formats are %s)", e.Line, e.Text, e.Err, formatNames())
}

// Unwrap returns Err.
func (e *UnknownFormatError) Unwrap() error { return e.Err }

// errSkipped is the error of a line or record that is none of a frame, and need not be.
var errSkipped = errors.New("canlog: it is to be skipped")

// noEOF replaces io.EOF: only the end of the log is that.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
