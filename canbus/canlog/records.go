package canlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// records reads a binary log.
type records struct {
	format Format
	r      *bufio.Reader
	offset int64 // of the next byte
}

// errCutRecord is the error of the last record of a log that was not written to its end.
var errCutRecord = errors.New("the log ends in the middle of it")

// peek returns the next n bytes, at most bufferLen, which stay to be read. The error is
// io.EOF if there are none, and errCutRecord if there are fewer.
func (r *records) peek(n int) ([]byte, error) {
	b, err := r.r.Peek(n)
	switch {
	case err == nil:
		return b, nil
	case err == io.EOF && len(b) > 0:
		return b, errCutRecord
	case err == io.EOF:
		return nil, err
	}
	return b, err
}

// skip reads n bytes, of any number.
func (r *records) skip(n int64) error {
	for n > 0 {
		did, err := r.r.Discard(int(min(n, bufferLen)))
		r.offset += int64(did)
		n -= int64(did)
		switch {
		case err == io.EOF && n > 0:
			return errCutRecord
		case err != nil:
			return err
		}
	}
	return nil
}

// rest skips what is left of the log, which is cut off in the middle of a record.
func (r *records) rest() { r.r.Discard(r.r.Buffered()) }

// holds reports whether n bytes can be read without waiting.
func (r *records) holds(n int64) bool { return int64(r.r.Buffered()) >= n }

// bad returns the error of a record that begins at an offset.
func (r *records) bad(offset int64, err error) *RecordError {
	return &RecordError{Format: r.format, Offset: offset, Err: err}
}

// fail returns the error of reading a record that begins at an offset: it makes an
// errCutRecord the last record's.
func (r *records) fail(offset int64, err error) error {
	switch err {
	case io.EOF:
		return err
	case errCutRecord:
		r.rest()
		return r.bad(offset, err)
	}
	return fmt.Errorf("canlog: read %v at byte %d: %w", r.format, offset, noEOF(err))
}
