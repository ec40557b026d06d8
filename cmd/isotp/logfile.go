package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/canlog"
)

// logFormat returns the format of a log to write: what --format says, or what the file's
// name ends in.
func logFormat(given canlog.Format, file string) (canlog.Format, error) {
	if given != 0 {
		return given, nil
	}
	format, ok := canlog.FormatByName(file)
	if !ok {
		return 0, usageErrorf("%s: its name does not tell the format of a log (.log, .txt, .asc, .trc, .blf, .pcap and .pcapng do, also with .gz behind that)", file)
	}
	return format, nil
}

// inLog says which log an error of reading it is of.
func inLog(name string, err error) error {
	return fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "canlog: "))
}

// A logWriter writes a log in any format, to a file or to standard output.
type logWriter struct {
	*canlog.Writer
	format  canlog.Format
	file    *os.File // nil: standard output
	zip     *gzip.Writer
	written uint64
	refused uint64
	why     error // of the first frame that was refused
}

// createLog begins a log in that format. The file - is standard output. A file that is
// there already is the command line's error fs.ErrExist, unless replace is set.
func (s *streams) createLog(file string, format canlog.Format, replace bool) (*logWriter, error) {
	l := &logWriter{format: format}
	w := io.Writer(s.stdout)
	if file != "-" {
		flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
		if replace {
			flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
		}
		var err error
		l.file, err = os.OpenFile(file, flags, 0o666)
		if err != nil {
			return nil, &usageError{err: err}
		}
		w = l.file
	}
	if strings.HasSuffix(strings.ToLower(file), ".gz") {
		l.zip = gzip.NewWriter(w)
		w = l.zip
	}
	var err error
	l.Writer, err = canlog.NewWriter(w, format)
	return l, err
}

// write writes a frame, or counts it as refused.
func (l *logWriter) write(f *canbus.Frame, bus string) error {
	err := l.WriteFrame(f, bus)
	switch {
	case err == nil:
		l.written++
	case errors.Is(err, canbus.ErrTemporary):
		l.refused++
		if l.why == nil {
			l.why = err
		}
		return nil
	}
	return err
}

// Close writes the log's end, and closes the file.
func (l *logWriter) Close() error {
	err := l.Writer.Close()
	if l.zip != nil {
		err = errors.Join(err, l.zip.Close())
	}
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	return err
}

// tell says what the format cannot say of the frames that were written.
func (l *logWriter) tell(w io.Writer) {
	numbers := l.Numbers()
	var list []string
	for name, n := range numbers {
		if name != strconv.Itoa(n) {
			list = append(list, fmt.Sprintf("%s is %d", name, n))
		}
	}
	if slices.Sort(list); len(list) > 0 {
		fmt.Fprintf(w, "%v has numbers for interfaces: %s\n", l.format, strings.Join(list, ", "))
	}
	for _, loss := range l.Losses() {
		fmt.Fprintf(w, "%v cannot say of %s: %s\n", l.format, count(loss.Frames, "frame"), loss.What)
	}
}

// failed says how many frames could not be written; nil: none.
func (l *logWriter) failed() error {
	if l.refused == 0 {
		return nil
	}
	return fmt.Errorf("%s left out: %w", count(l.refused, "frame"), l.why)
}
