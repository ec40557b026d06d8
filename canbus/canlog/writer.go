package canlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"example.com/isotp/canbus"
)

// A Writer writes a log.
type Writer struct {
	dst    sink
	w      *bufio.Writer
	file   io.WriteSeeker // what w writes to, if that is one
	losses losses
	err    error // final
}

// A sink writes frames in one format.
type sink interface {
	// write writes a frame, which is valid. It notes with Writer.lose what the format
	// cannot say of it. An error of the class errCannot is the frame's, and others are
	// final.
	write(f *canbus.Frame, bus string) error
	// flush gives what the sink has kept to the Writer's buffer.
	flush() error
	// close writes the log's end.
	close() error
}

// A Loss is something of frames that a format cannot say.
type Loss struct {
	What   string // as "the flag BRS"
	Frames uint64 // of how many frames
}

type losses []Loss

// lose notes that something of a frame was not written.
func (l *losses) lose(what string) {
	i := slices.IndexFunc(*l, func(known Loss) bool { return known.What == what })
	if i < 0 {
		i = len(*l)
		*l = append(*l, Loss{What: what})
	}
	(*l)[i].Frames++
}

// NewWriter returns a writer of a log in that format.
func NewWriter(w io.Writer, format Format) (*Writer, error) {
	if !format.valid() {
		return nil, fmt.Errorf("canlog: there is no format %d to write (formats are %s)", uint8(format), formatNames())
	}
	writer := &Writer{w: bufio.NewWriterSize(w, bufferLen)}
	writer.file, _ = w.(io.WriteSeeker)
	writer.dst = newSink(format, writer)
	return writer, nil
}

func newSink(format Format, w *Writer) sink {
	switch format {
	case ASC:
		return &ascSink{w: w}
	case TRC:
		return &trcSink{w: w}
	case BLF:
		return newBLFSink(w)
	case PCAP:
		return &pcapSink{w: w}
	case PCAPNG:
		return &pcapngSink{w: w}
	}
	return &candumpSink{w: w, screen: format == Screen}
}

// WriteFrame writes a frame of the interface of that name. Echo says that it was sent, and
// not received.
//
// A frame that is not valid (see [canbus.Frame.Validate]; error frames are valid here), or
// that the format has no form for, is not written: the error is [canbus.ErrTemporary] to
// errors.Is. Other errors are final. What the format cannot say of frames that are written,
// Losses tells.
func (w *Writer) WriteFrame(f *canbus.Frame, bus string) error {
	if w.err != nil {
		return w.err
	}
	if err := valid(f); err != nil {
		return canbus.Temporary(fmt.Errorf("canlog: not written: %w", err))
	}
	if !f.Has(canbus.Timed) {
		w.losses.lose("that their time is not known (it is the log's first)")
	}
	err := w.dst.write(f, bus)
	if err != nil && !errors.Is(err, canbus.ErrTemporary) {
		w.fail(err)
		return w.err
	}
	return err
}

// valid returns what is wrong with a frame of a log, nil if nothing is.
func valid(f *canbus.Frame) error {
	if !f.Has(canbus.ErrorFrame) {
		return f.Validate()
	}
	check := *f
	check.Flags = canbus.Extended // the error class has up to 29 bits
	return check.Validate()
}

func (w *Writer) fail(err error) {
	if w.err == nil && err != nil {
		w.err = fmt.Errorf("canlog: write: %w", err)
	}
}

// Flush writes what waits in memory.
func (w *Writer) Flush() error {
	if w.err == nil {
		w.fail(w.dst.flush())
	}
	if w.err == nil {
		w.fail(w.w.Flush())
	}
	return w.err
}

// Close writes what waits in memory, and the log's end. It does not close the writer below.
// After it WriteFrame fails.
func (w *Writer) Close() error {
	if w.err == errClosed {
		return nil
	}
	if w.err == nil {
		w.fail(w.dst.close())
	}
	err := w.Flush()
	w.err = errClosed
	return err
}

var errClosed = errors.New("canlog: the log was closed")

// Numbers returns the numbers that interfaces have got, by their names, where the format has
// no names; else nil. A name that is a number has that, and one that ends in a number has one
// more, as these count from 0: can0 is 1. If that is taken, it is the next that is free.
func (w *Writer) Numbers() map[string]int {
	if n, ok := w.dst.(interface{ numbersByName() map[string]int }); ok {
		return maps.Clone(n.numbersByName())
	}
	return nil
}

// Losses returns what the format could not say of frames that were written.
func (w *Writer) Losses() []Loss { return slices.Clone(w.losses) }

// candumpSink writes the lines of candump.
type candumpSink struct {
	w      *Writer
	screen bool
	line   []byte
}

func (c *candumpSink) write(f *canbus.Frame, bus string) error {
	if f.Has(canbus.Timed) && f.Timestamp%1000 != 0 {
		c.w.losses.lose("times below a microsecond")
	}
	if c.screen {
		c.line = appendScreen(c.line[:0], f, bus)
	} else {
		c.line = canbus.AppendLogLine(c.line[:0], f, bus)
	}
	_, err := c.w.w.Write(append(c.line, '\n'))
	return err
}

func (c *candumpSink) flush() error { return nil }

func (c *candumpSink) close() error { return nil }
