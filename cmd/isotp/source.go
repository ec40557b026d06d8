package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/canlog"
	"example.com/isotp/sniff"
)

// sourceFlags say where a command that only listens has its frames from.
type sourceFlags struct {
	Source    string   `arg:"" optional:"" help:"A bus, as can0, or a log file of any format (isotp convert --help lists them), also .gz; -: standard input. Without it the bus in $$ISOTP_BUS. More: isotp help buses."`
	Interface []string `placeholder:"NAME" sep:"none" help:"Frames of this interface only; may be repeated. Logs in some formats have numbers, as 1."`
}

// A source gives a command the frames of a live bus or a log, in their order.
type source struct {
	// Live: the frames are those of a bus, and come now.
	Live bool
	// Name is the file, or the bus.
	Name string
	// Bitrate and DataBitrate are those of the wire, 0 where they are not known.
	Bitrate, DataBitrate int

	s          *streams
	interfaces interfaceChoice
	malformed  uint64 // lines or records of a log that are no frames
	dropped    uint64 // frames that a bus has dropped
	read       func(ctx context.Context, frame func(*canbus.Frame, string), idle func() error) error
	close      func() error
}

// openSource opens a live bus or a log for reading. The caller closes it.
//
// A name is that of a log if it is -, or there is a file of that name, or it looks like the
// name of one: it has a slash and no scheme, or the ending of a log. All others are buses,
// candump: included, which plays a log at its own pace.
func (s *streams) openSource(ctx context.Context, o sourceFlags) (*source, error) {
	name, err := busOr(o.Source)
	if err != nil {
		return nil, err
	}
	src := &source{Name: name, s: s, interfaces: interfaceChoice{wanted: o.Interface}}
	if isLogName(name) {
		return src, src.openLog(ctx)
	}
	return src, src.openBus(ctx)
}

func isLogName(name string) bool {
	if info, err := os.Stat(name); name == "-" || err == nil && !info.IsDir() {
		return true
	}
	scheme, _ := canbus.SplitName(name)
	_, ending := canlog.FormatByName(name)
	return scheme == "" && (ending || strings.ContainsRune(name, '/'))
}

func (r *source) openLog(ctx context.Context) error {
	var input io.ReadCloser
	if r.Name == "-" {
		r.Name = "standard input"
		input = r.s.input(ctx)
	} else {
		file, err := os.Open(r.Name)
		if err != nil {
			return &usageError{err: err}
		}
		input = file
	}
	r.close = input.Close
	log, err := canlog.NewReader(input)
	if err != nil {
		input.Close()
		return interrupted(ctx, inLog(r.Name, err))
	}
	r.read = func(ctx context.Context, frame func(*canbus.Frame, string), idle func() error) error {
		defer closeAfter(ctx, input)()
		return r.readLog(ctx, log, frame, idle)
	}
	return nil
}

func (r *source) openBus(ctx context.Context) error {
	name := interfaceName("", r.Name)
	log, err := r.s.openNamedLog(ctx, r.Name)
	if err != nil {
		return err
	}
	var bus canbus.Bus = log
	if log == nil {
		if bus, err = openBus(ctx, r.Name); err != nil {
			return err
		}
	}
	r.Live, r.close = log == nil, bus.Close
	if p := canbus.PropertiesOf(bus); p.WireRate {
		r.Bitrate, r.DataBitrate = p.Bitrate, p.DataBitrate
	}
	r.read = func(ctx context.Context, frame func(*canbus.Frame, string), idle func() error) error {
		err := r.readBus(ctx, bus, name, frame, idle)
		if log != nil {
			r.malformed = log.Malformed()
		}
		return err
	}
	return nil
}

// Read calls frame with each frame and the name of its interface, until the source ends, ctx
// is done, which are no errors, or idle returns an error. It calls idle before it has to wait
// for frames, and on a live bus also at times while none come.
func (r *source) Read(ctx context.Context, frame func(f *canbus.Frame, ifi string), idle func() error) error {
	err := r.read(ctx, func(f *canbus.Frame, ifi string) {
		if r.interfaces.wants(ifi) {
			frame(f, ifi)
		}
	}, idle)
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, idle(), r.failed())
}

// sniff gives a Sniffer all frames, and on a live bus the time while none come. It closes the
// Sniffer at the end. p counts the frames; idle is called as by Read.
func (r *source) sniff(ctx context.Context, sniffer *sniff.Sniffer, p *progress, idle func() error) error {
	defer sniffer.Close()
	return r.Read(ctx, func(f *canbus.Frame, ifi string) {
		sniffer.Frame(f, ifi)
		p.add(1)
	}, func() error {
		r.advance(sniffer)
		return idle()
	})
}

// advance tells a Sniffer of a live bus the time, by which no frame came.
func (r *source) advance(sniffer *sniff.Sniffer) {
	const age = 500 * time.Millisecond // so old a frame may be when it is read
	if r.Live {
		sniffer.Advance(time.Now().Add(-age))
	}
}

// Close closes the bus or the log.
func (r *source) Close() error { return r.close() }

// failed says what of the source could not be read.
func (r *source) failed() error {
	var errs []error
	if r.malformed > 0 {
		errs = append(errs, fmt.Errorf("%d %s of %s", r.malformed, plural(r.malformed, "line or record was no frame", "lines or records were no frames"), r.Name))
	}
	if r.dropped > 0 {
		errs = append(errs, fmt.Errorf("%s missing: %s dropped them, because they were not read in time", count(r.dropped, "frame"), r.Name))
	}
	return errors.Join(append(errs, r.interfaces.missing(r.Name))...)
}

func (r *source) readLog(ctx context.Context, log *canlog.Reader, frame func(*canbus.Frame, string), idle func() error) error {
	var f canbus.Frame
	for {
		if !log.Ready() {
			if err := idle(); err != nil {
				return err
			}
		}
		ifi, err := log.ReadFrame(&f)
		switch {
		case err == nil:
			frame(&f, ifi)
		case errors.Is(err, canbus.ErrTemporary):
			r.malformed++
			r.s.warn(inLog(r.Name, err))
		case err == io.EOF:
			return nil
		default:
			return inLog(r.Name, err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// A busBatch is what one read of a bus has returned.
type busBatch struct {
	frames  []canbus.Frame
	dropped uint64
	err     error
}

func (r *source) readBus(ctx context.Context, bus canbus.Bus, name string, frame func(*canbus.Frame, string), idle func() error) error {
	const tick = 100 * time.Millisecond // so late a time-out may be noticed
	defer closeAfter(ctx, bus)()
	full, free := readBatches(bus)
	defer func() {
		bus.Close()
		close(free)
		for range full { // the bus reader ends
		}
	}()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case b, ok := <-full:
			if !ok {
				return nil
			}
			now := time.Now().UnixNano()
			for i := range b.frames {
				f := &b.frames[i]
				if !f.Has(canbus.Timed) {
					f.Stamp(now)
				}
				frame(f, name)
			}
			r.dropped = b.dropped
			switch {
			case errors.Is(b.err, canbus.ErrTemporary):
				r.s.warn(b.err)
			case b.err != nil:
				return b.err
			}
			free <- b.frames
		case <-ticker.C:
		}
		if len(full) > 0 {
			continue
		}
		if err := idle(); err != nil {
			return err
		}
	}
}

// readBatches reads a bus on a goroutine of its own, which ends with the bus, or when free is
// closed. The receiver gives each batch's frames back through free.
func readBatches(bus canbus.Bus) (full chan busBatch, free chan []canbus.Frame) {
	const batches, batchLen = 8, 64
	full, free = make(chan busBatch, batches), make(chan []canbus.Frame, batches+1)
	for range batches {
		free <- make([]canbus.Frame, batchLen)
	}
	counter, _ := canbus.As[canbus.DropCounter](bus)
	go func() {
		defer close(full)
		for frames := range free {
			n, err := bus.ReadFrames(frames[:batchLen])
			b := busBatch{frames: frames[:n], err: err}
			if counter != nil {
				b.dropped = counter.Dropped()
			}
			full <- b
			if err != nil && !errors.Is(err, canbus.ErrTemporary) {
				return
			}
		}
	}()
	return full, free
}
