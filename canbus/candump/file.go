package candump

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/canlog"
)

const (
	// chunk is how much is written at once.
	chunk = 64 << 10
	// maxLine is how long a line of a log may be. That of a CAN FD frame has less than 200
	// bytes.
	maxLine = 1024
)

// A logFile is the file, or the writer, of a Recorder. One goroutine calls its methods.
type logFile struct {
	path     string // "" if it is only a writer
	maxSize  int64
	maxFiles int
	noSync   bool
	report   func(error) // is told of errors that do not keep it from writing
	rename   func(from, to string) error

	w       io.Writer // nil: the file must be opened
	f       *os.File  // w, if path is not ""
	regular bool      // it has a size and can be renamed
	size    int64
	cut     bool // the last write to a pipe has ended in the middle of a line
	// rotateAt is when to try to rotate again, after that has failed.
	rotateAt time.Time
	buf      []byte
}

// begin opens a file for the first time. The error cut says that it ended in half a line.
func (l *logFile) begin() (cut, err error) {
	if info, err := os.Stat(l.path); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		if err := checkLog(l.path); err != nil {
			return nil, err
		}
	}
	return l.open()
}

// checkLog returns an error if a file is no log of candump's.
func checkLog(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("candump: %w", err)
	}
	defer f.Close()
	format, err := check(f, path)
	if err == nil && format != canlog.Candump {
		err = fmt.Errorf("candump: %s is a log in the format %v, and lines of candump's cannot be added to that", path, format)
	}
	if err != nil && isHalfLine(f) {
		return nil // a log whose program ended early
	}
	return err
}

// isHalfLine reports whether a file has nothing but the beginning of a frame's line.
func isHalfLine(f io.ReaderAt) bool {
	b := make([]byte, maxLine)
	n, err := f.ReadAt(b, 0)
	return err == io.EOF && b[0] == '(' && bytes.IndexByte(b[:n], '\n') < 0
}

func (l *logFile) open() (cut, err error) {
	flags := os.O_RDWR | os.O_CREATE
	if info, err := os.Stat(l.path); err == nil && !info.Mode().IsRegular() {
		flags = os.O_WRONLY
	}
	f, err := os.OpenFile(l.path, flags, 0o666)
	if err != nil {
		return nil, fmt.Errorf("candump: %w", err)
	}
	info, err := f.Stat()
	l.regular = err == nil && info.Mode().IsRegular()
	l.size = 0
	if l.regular {
		if cut, err = cutTail(f, info.Size()); err == nil {
			l.size, err = f.Seek(0, io.SeekEnd)
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("candump: %w", err)
	}
	l.f, l.w = f, f
	return cut, nil
}

// cutTail cuts off half a line at a file's end: otherwise it could be read as a frame, or
// as the beginning of the next line.
func cutTail(f *os.File, size int64) (cut, err error) {
	tail := make([]byte, min(size, maxLine))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	half := tail[bytes.LastIndexByte(tail, '\n')+1:]
	switch {
	case len(half) == 0:
		return nil, nil
	case len(half) == maxLine:
		return nil, fmt.Errorf("%s ends in a line of %d bytes or more: it is no log", f.Name(), maxLine)
	}
	if err := f.Truncate(size - int64(len(half))); err != nil {
		return nil, err
	}
	return fmt.Errorf("candump: %s ended in the middle of a line, which was cut off: %q", f.Name(), half), nil
}

// write writes records, and returns how many the operating system has.
func (l *logFile) write(batch []record) (n int, err error) {
	for n < len(batch) {
		if l.w == nil {
			cut, err := l.open()
			if err != nil {
				return n, err
			}
			if cut != nil && !l.cut {
				l.report(cut) // another program has left half a line behind
			}
			l.cut = false
		}
		count := l.encode(batch[n:])
		if count == 0 {
			l.rotate()
			continue
		}
		count, err := l.flush(count)
		n += count
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// encode makes lines of as many records as fit in a chunk and in the file.
func (l *logFile) encode(batch []record) (count int) {
	room := int64(math.MaxInt64)
	if l.maxSize > 0 && l.regular && !time.Now().Before(l.rotateAt) {
		room = l.maxSize - l.size
	}
	l.buf = l.buf[:0]
	for len(l.buf) < chunk && count < len(batch) {
		end := len(l.buf)
		l.buf = append(canbus.AppendLogLine(l.buf, &batch[count].frame, batch[count].bus), '\n')
		// A line that is longer than MaxSize has a file of its own.
		if int64(len(l.buf)) > room && l.size+int64(end) > 0 {
			l.buf = l.buf[:end]
			break
		}
		count++
	}
	return count
}

// flush writes the lines, and returns how many were written whole.
func (l *logFile) flush(count int) (int, error) {
	head := 0
	if l.cut {
		const mark = " cut\n" // or the half line could be read as a frame
		head = len(mark)
		l.buf = slices.Insert(l.buf, 0, []byte(mark)...)
	}
	n, err := l.w.Write(l.buf)
	if err == nil && n < len(l.buf) {
		err = io.ErrShortWrite
	}
	if err == nil {
		l.cut = false
		l.size += int64(n)
		return count, nil
	}
	n = max(n, 0)
	if n >= head {
		whole := l.buf[head:n]
		count = bytes.Count(whole, []byte{'\n'})
		l.cut = len(whole) > 0 && whole[len(whole)-1] != '\n'
	} else {
		count = 0
	}
	if l.regular {
		// Open the file anew: the disk may come back without this file. That also cuts off
		// half a line.
		l.f.Close()
		l.w = nil
	}
	return count, fmt.Errorf("candump: %w", err)
}

// rotate gives the file a number, and removes the files that are too many. If that fails
// it reports the error, and the file goes on to grow.
func (l *logFile) rotate() {
	if !l.noSync {
		l.complain(l.f.Sync())
	}
	l.complain(l.f.Close())
	l.w = nil
	numbers, err := l.numbers()
	if err == nil {
		next := 1
		if len(numbers) > 0 {
			next = numbers[len(numbers)-1] + 1
		}
		numbers = append(numbers, next)
		err = l.rename(l.path, l.numbered(next))
	}
	if err != nil {
		l.complain(err)
		l.rotateAt = time.Now().Add(interval)
		return
	}
	if l.maxFiles == 0 {
		return
	}
	for len(numbers) > l.maxFiles-1 {
		l.complain(os.Remove(l.numbered(numbers[0])))
		numbers = numbers[1:]
	}
}

func (l *logFile) complain(err error) {
	if err != nil {
		l.report(fmt.Errorf("candump: %w", err))
	}
}

const digits = 6

func (l *logFile) numbered(n int) string { return fmt.Sprintf("%s.%0*d", l.path, digits, n) }

// numbers returns the numbers of the files that are there, in their order.
func (l *logFile) numbers() ([]int, error) {
	entries, err := os.ReadDir(filepath.Dir(l.path))
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		text, found := strings.CutPrefix(e.Name(), filepath.Base(l.path)+".")
		n, err := strconv.ParseUint(text, 10, 31)
		if found && err == nil && n > 0 && l.numbered(int(n)) == l.path+"."+text {
			numbers = append(numbers, int(n))
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// sync syncs the file to the disk. It closes a file that was moved or deleted, because
// frames that are written to a deleted file are lost.
func (l *logFile) sync() error {
	if l.w == nil || !l.regular {
		return nil
	}
	var err error
	if !l.noSync {
		err = l.f.Sync()
	}
	there, statErr := os.Stat(l.path)
	mine, mineErr := l.f.Stat()
	gone := errors.Is(statErr, fs.ErrNotExist)
	if gone || statErr == nil && mineErr == nil && !os.SameFile(there, mine) {
		l.complain(fmt.Errorf("%s was moved or deleted: a new one is begun", l.path))
		l.f.Close()
		l.w = nil
	}
	if err != nil {
		return fmt.Errorf("candump: %w", err)
	}
	return nil
}

func (l *logFile) close() error {
	if l.w == nil || l.f == nil {
		return nil
	}
	l.w = nil
	if err := l.f.Close(); err != nil {
		return fmt.Errorf("candump: %w", err)
	}
	return nil
}
