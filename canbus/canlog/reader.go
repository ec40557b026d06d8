package canlog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"

	"example.com/isotp/canbus"
)

// A Reader reads a log.
type Reader struct {
	format Format
	src    source
	file   io.Closer // nil: it is not ours

	pending bool // Ready has read: frame, bus and err are the next result of ReadFrame
	frame   canbus.Frame
	bus     string
	err     error
}

// A source reads the frames of a log in one format.
type source interface {
	// read reads one line or record. Its errors are those of Reader.ReadFrame, and
	// errSkipped for what is no frame and need not be. f is the zero Frame.
	read(f *canbus.Frame) (bus string, err error)
	// ready reports whether read returns without waiting for more of the log.
	ready() bool
}

// Open opens a log file, as [NewReader]; Close closes it.
func Open(name string) (*Reader, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("canlog: %w", err)
	}
	r, err := NewReader(file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%w, in %s", err, name)
	}
	r.file = file
	return r, nil
}

// NewReader returns a reader of a log. It reads as much of r as it takes to find the
// format: of a log that is still being written, the first line or record. A log without a
// line or record, that of a quiet bus perhaps, is taken for one of candump's. What is no
// log is an *[UnknownFormatError].
func NewReader(r io.Reader) (*Reader, error) {
	b := bufio.NewReaderSize(r, bufferLen)
	if magic, _ := b.Peek(len(gzipMagic)); bytes.Equal(magic, gzipMagic) {
		unpacked, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("canlog: gzip: %w", noEOF(err))
		}
		b = bufio.NewReaderSize(unpacked, bufferLen)
	}
	format, err := detect(b)
	if err != nil {
		return nil, err
	}
	src, err := newSource(format, b)
	if err != nil {
		return nil, fmt.Errorf("canlog: %w", err)
	}
	return &Reader{format: format, src: src}, nil
}

var gzipMagic = []byte{0x1F, 0x8B, 8}

func newSource(format Format, b *bufio.Reader) (source, error) {
	switch format {
	case ASC:
		return newASC(b), nil
	case TRC:
		return newTRC(b), nil
	case BLF:
		return newBLF(b)
	case PCAP:
		return newPCAP(b)
	case PCAPNG:
		return newPCAPNG(b), nil
	}
	return newCandump(b), nil
}

// Format returns the log's format. For a log of candump's it is [Candump], also if it is
// what candump shows on the screen.
func (r *Reader) Format() Format { return r.format }

// Close closes the file that Open has opened. After NewReader it does nothing.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// ReadFrame reads the next frame and returns the name of its interface; where the format
// has only numbers, that is the number, as "1", which is also in f.Channel. f has the flag
// Timed where the log has times, and the flag Echo if the log says that it was sent, and
// not received. At the end of the log the error is io.EOF.
//
// An error that is [canbus.ErrTemporary] to errors.Is is a *[RecordError]: the next call
// goes on behind what is wrong. All others are final. After an error f has no meaning.
//
// It allocates nothing for the frames of a log of candump's.
func (r *Reader) ReadFrame(f *canbus.Frame) (bus string, err error) {
	if r.pending {
		r.pending = false
		*f = r.frame
		return r.bus, r.err
	}
	for {
		*f = canbus.Frame{}
		if bus, err = r.src.read(f); err != errSkipped {
			return bus, err
		}
	}
}

// Ready reports whether ReadFrame returns without waiting for more of the log to be read.
func (r *Reader) Ready() bool {
	for !r.pending && r.src.ready() {
		r.frame = canbus.Frame{}
		r.bus, r.err = r.src.read(&r.frame)
		r.pending = r.err != errSkipped
	}
	return r.pending
}

// names keeps the names of interfaces, so that a frame's is not allocated anew.
type names struct {
	last string
	all  map[string]string
}

// maxNames is how many names are kept. A log has a few.
const maxNames = 1000

func (n *names) intern(name []byte) string {
	if string(name) == n.last {
		return n.last
	}
	s, known := n.all[string(name)]
	if !known {
		s = string(name)
		if n.all == nil {
			n.all = make(map[string]string)
		}
		if len(n.all) < maxNames {
			n.all[s] = s
		}
	}
	n.last = s
	return s
}
