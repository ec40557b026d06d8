package candump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/lifetime"
)

var (
	_ canbus.Bus       = (*Bus)(nil)
	_ canbus.Describer = (*Bus)(nil)
	_ canbus.TryWriter = (*Bus)(nil)
)

// ErrEnd is the error of ReadFrames behind a log's last frame. It is io.EOF to
// errors.Is.
var ErrEnd error = endError{}

type endError struct{}

func (endError) Error() string        { return "candump: the log has ended" }
func (endError) Is(target error) bool { return target == io.EOF }

// maxInterfaces is how many of a log's interfaces are noted.
const maxInterfaces = 16

// An InterfaceError is the error at the end of a log that has frames, but none of the
// interface that was asked for.
type InterfaceError struct {
	File      string
	Interface string   // Options.Interface
	There     []string // the log's interfaces, see Bus.Interfaces
}

func (e *InterfaceError) Error() string {
	return fmt.Sprintf("candump: %s has no frames of interface %s, but of %s", e.File, e.Interface, strings.Join(e.There, ", "))
}

// Options say how a log is played. The zero value is its own pace, and all frames.
type Options struct {
	// Fast: as fast as the reader reads.
	Fast bool
	// Speed is how many seconds of the log pass in one second: above 1 it is played
	// faster than it was recorded, below 1 slower. 0: 1.
	Speed float64
	// Interface: only the frames of this interface; "": all.
	Interface string
	// Gap is the time between each frame and the next, in place of what the log says. 0: the
	// log's times.
	Gap time.Duration
	// MaxPause is the longest pause between two frames, in the time of the log: longer
	// ones are cut to it. 0: pauses are kept.
	MaxPause time.Duration
}

func (o *Options) check() error {
	switch {
	case !validSpeed(o.Speed):
		return fmt.Errorf("candump: Speed %v is not above 0, nor 0 for the log's own pace", o.Speed)
	case o.Fast && o.Speed != 0:
		return fmt.Errorf("candump: Fast and Speed %v at once (one of them)", o.Speed)
	case o.Gap < 0:
		return fmt.Errorf("candump: Gap %v is negative (0 keeps the log's times)", o.Gap)
	case o.Gap > 0 && (o.Fast || o.Speed != 0 || o.MaxPause != 0):
		return fmt.Errorf("candump: Gap %v beside Fast, Speed or MaxPause (one of them)", o.Gap)
	case o.MaxPause < 0:
		return fmt.Errorf("candump: MaxPause %v is negative (0 keeps all pauses)", o.MaxPause)
	}
	return nil
}

// A Bus plays a log. See the package's documentation.
type Bus struct {
	lines *lines
	o     Options
	pace  pace
	end   error // final, of ReadFrames

	// next was read from the log and is not due yet, if waiting.
	next    canbus.Frame
	nextIfi string // its interface
	waiting bool

	last  string // the interface of the last frame
	found bool   // a frame of Options.Interface was read

	mu         sync.Mutex // guards interfaces
	interfaces []string   // the first interfaces of the log

	src       io.Reader
	once      sync.Once
	closed    chan struct{}
	malformed atomic.Uint64
	unheard   atomic.Uint64
}

// Open opens a log file. Open of a FIFO waits for a program that writes to it; if ctx ends
// first, the error is ctx.Err() to errors.Is. The file - is standard input: Close cannot end
// a Read of it that is under way, and leaves it behind.
func Open(ctx context.Context, file string, o Options) (*Bus, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if file == "-" {
		return newBus(readStdin(), stdinName, o), nil
	}
	f, err := openFile(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("candump: %w", err)
	}
	b := newBus(f, file, o)
	if info, err := f.Stat(); err == nil && (info.Mode().IsRegular() || info.IsDir()) {
		if _, err := check(f, file); err != nil {
			f.Close()
			return nil, err
		}
	}
	return b, nil
}

// openFile is os.Open until ctx ends.
func openFile(ctx context.Context, file string) (*os.File, error) {
	opened := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		if w := wakeReader(file); w != nil {
			<-opened
			w.Close()
		}
	})
	f, err := lifetime.Open(ctx, func() (*os.File, error) {
		defer close(opened)
		return os.Open(file)
	})
	if err != nil && err == ctx.Err() {
		return nil, fmt.Errorf("open %s: %w", file, err) // stop could come before the function has begun
	}
	stop()
	return f, err
}

// New plays a log from any reader, such as the output of candump -L on another computer.
// If r is an io.Closer, Close closes it, and that must end a Read under way. name stands in
// errors.
func New(r io.Reader, name string, o Options) (*Bus, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return newBus(r, name, o), nil
}

func newBus(r io.Reader, name string, o Options) *Bus {
	if o.Speed == 0 {
		o.Speed = 1
	}
	return &Bus{
		lines:  newLines(r, name),
		o:      o,
		pace:   pace{speed: o.Speed, maxPause: o.MaxPause, gap: o.Gap},
		src:    r,
		closed: make(chan struct{}),
	}
}

// stdinName is what errors call standard input.
const stdinName = "standard input"

// readStdin returns a reader of standard input that can be closed.
func readStdin() io.Reader {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, os.Stdin)
		w.CloseWithError(err)
	}()
	return r
}

// Properties implements [canbus.Describer]: a log waits for its reader, and has a time
// of its own.
func (b *Bus) Properties() canbus.Properties {
	return canbus.Properties{FD: true, Waits: true, OwnTime: true}
}

// Malformed returns how many lines began as a frame's and were none: see [LineError].
func (b *Bus) Malformed() uint64 { return b.malformed.Load() }

// Unheard returns how many frames were written to the Bus.
func (b *Bus) Unheard() uint64 { return b.unheard.Load() }

// Close implements [canbus.Bus].
func (b *Bus) Close() error {
	b.once.Do(func() {
		close(b.closed)
		if c, ok := b.src.(io.Closer); ok {
			c.Close()
		}
	})
	return nil
}

func (b *Bus) ended() error {
	select {
	case <-b.closed:
		return net.ErrClosed
	default:
		return nil
	}
}

// ReadFrames implements [canbus.Bus]. Errors are [ErrEnd] or in its place an
// *[InterfaceError], a *[LineError], net.ErrClosed, and the error of reading the file.
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) { return b.ReadFramesOf(frames, nil) }

// ReadFramesOf is ReadFrames for a log of several interfaces: it also puts the name of the
// interface of each frame into interfaces, which is as long as frames.
func (b *Bus) ReadFramesOf(frames []canbus.Frame, interfaces []string) (int, error) {
	if err := b.ended(); err != nil || len(frames) == 0 {
		return 0, err
	}
	if b.end != nil {
		return 0, b.end
	}
	for !b.waiting {
		if err := b.read(); err != nil {
			return 0, err
		}
	}
	if !b.o.Fast {
		if err := b.sleep(b.pace.wait(time.Now())); err != nil {
			return 0, err
		}
	}
	// The rest of the batch are frames that are due too, and can be read without waiting.
	now := time.Now()
	for n := 0; ; {
		frames[n] = b.next
		if interfaces != nil {
			interfaces[n] = b.nextIfi
		}
		b.waiting = false
		n++
		for n < len(frames) && !b.waiting && b.lines.ready() {
			switch err := b.read(); {
			case err == nil:
			case errors.Is(err, canbus.ErrTemporary):
				return n, err
			default:
				return n, nil // the next call returns the error
			}
		}
		if !b.waiting || !b.o.Fast && b.pace.wait(now) > 0 {
			return n, nil
		}
	}
}

// read reads a line or record. If it is a frame that is wanted, read puts it in next.
func (b *Bus) read() error {
	var f canbus.Frame
	ifi, err := b.lines.next(&f)
	var line *LineError
	switch {
	case b.ended() != nil:
		return net.ErrClosed
	case errors.As(err, &line):
		b.malformed.Add(1)
		return err
	case err == io.EOF:
		b.end = b.atEnd()
		return b.end
	case err != nil:
		b.end = err
		return err
	}
	b.see(ifi)
	if b.o.Interface != "" && ifi != b.o.Interface {
		return nil
	}
	b.pace.pass(&f)
	f.Flags &^= canbus.Echo
	b.next, b.nextIfi, b.waiting = f, ifi, true
	return nil
}

// see notes the interface of a frame.
func (b *Bus) see(ifi string) {
	if ifi == b.o.Interface {
		b.found = true
	}
	if ifi == b.last {
		return
	}
	b.last = ifi
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.interfaces) < maxInterfaces && !slices.Contains(b.interfaces, ifi) {
		b.interfaces = append(b.interfaces, b.last)
	}
}

// Interfaces returns the interfaces of the frames read from the log so far, the first 16 of
// them. They include those that Options leave out. If there are several, and
// Options.Interface is "", the frames of all of them are played as those of one bus.
func (b *Bus) Interfaces() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.interfaces)
}

// atEnd returns the error behind the last line.
func (b *Bus) atEnd() error {
	if b.o.Interface != "" && !b.found && b.last != "" {
		return &InterfaceError{b.lines.file, b.o.Interface, b.Interfaces()}
	}
	return ErrEnd
}

func (b *Bus) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-b.closed:
		return net.ErrClosed
	}
}

// WriteFrames implements [canbus.Bus]. It counts the frames; no node hears them. It refuses
// a frame that is not valid (see [canbus.Frame.Validate]), after it has taken those before.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	if err := b.ended(); err != nil {
		return 0, err
	}
	n, err := canbus.CheckFrames(frames, nil)
	b.unheard.Add(uint64(n))
	return n, err
}

// TryWriteFrames implements [canbus.TryWriter].
func (b *Bus) TryWriteFrames(frames []canbus.Frame) (int, error) { return b.WriteFrames(frames) }

// A pace says when frames are due. It adds the pauses between the frames to one start, so
// that the lateness of one frame does not delay the next.
type pace struct {
	speed    float64
	maxPause time.Duration
	gap      time.Duration // if above 0, the pause between all frames

	begun  bool
	start  time.Time // when the first frame was due
	last   int64     // the time of the frame before, in the log
	offset int64     // how long after the first one this one comes, in the log's ns
}

// pass goes on to the next frame. One without a time comes with the frame before it.
func (p *pace) pass(f *canbus.Frame) {
	timestamp := p.last
	if f.Has(canbus.Timed) {
		timestamp = f.Timestamp
	}
	if !p.begun {
		p.begun, p.last = true, timestamp
		return
	}
	pause := timestamp - p.last // neither is negative: no overflow
	if p.gap > 0 {
		pause = int64(p.gap)
	}
	if pause > 0 {
		if p.maxPause > 0 {
			pause = min(pause, int64(p.maxPause))
		}
		p.offset += min(pause, math.MaxInt64-p.offset)
	}
	p.last = timestamp
}

// wait returns how long it is until the frame is due; 0 or less if it is.
func (p *pace) wait(now time.Time) time.Duration {
	if p.start.IsZero() {
		p.start = now
	}
	due := p.offset
	if p.speed != 1 {
		due = math.MaxInt64
		if scaled := float64(p.offset) / p.speed; scaled < math.MaxInt64 {
			due = int64(scaled)
		}
	}
	return time.Duration(due) - now.Sub(p.start)
}
