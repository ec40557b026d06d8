package candump

import (
	"errors"
	"net"
	"time"

	"example.com/isotp/canbus"
)

// Wrap returns a bus that is the same as bus, and records under that name what passes
// in both directions: frames that are read, and those that are written, with a T
// behind them. Where the bus echoes (see [canbus.Properties]) these are recorded when
// their echo is read: when they are on the wire. Elsewhere they are recorded when the
// bus has taken them, in front of all that was read since the call began.
//
// Filters that are set on the bus leave out frames here, too. To record everything,
// [Recorder.Listen] on another Bus. Close closes bus and leaves the Recorder open.
func (r *Recorder) Wrap(bus canbus.Bus, name string) canbus.Bus {
	b := &wrapped{Bus: bus, r: r, name: busName(name), props: canbus.Properties{FD: true}}
	if d, ok := bus.(canbus.Describer); ok {
		b.props = d.Properties()
	}
	try, tries := bus.(canbus.TryWriter)
	filter, filters := bus.(canbus.FilterSetter)
	switch {
	case tries && filters:
		return &struct {
			*wrapped
			tryWriter
			canbus.FilterSetter
		}{b, tryWriter{b, try}, filter}
	case tries:
		return &struct {
			*wrapped
			tryWriter
		}{b, tryWriter{b, try}}
	case filters:
		return &struct {
			*wrapped
			canbus.FilterSetter
		}{b, filter}
	}
	return b
}

// A wrapped bus has the methods that every bus has.
type wrapped struct {
	canbus.Bus
	r     *Recorder
	name  string
	props canbus.Properties
}

func (b *wrapped) Properties() canbus.Properties { return b.props }

func (b *wrapped) ReadFrames(frames []canbus.Frame) (int, error) {
	n, err := b.Bus.ReadFrames(frames)
	b.r.Record(frames[:n], b.name)
	return n, err
}

func (b *wrapped) WriteFrames(frames []canbus.Frame) (int, error) {
	return b.write(frames, b.Bus.WriteFrames)
}

func (b *wrapped) write(frames []canbus.Frame, write func([]canbus.Frame) (int, error)) (int, error) {
	if b.props.Echo {
		return write(frames)
	}
	seq := b.r.begin()
	n, err := write(frames)
	b.r.end(seq, frames[:n], b.name)
	return n, err
}

type tryWriter struct {
	b   *wrapped
	bus canbus.TryWriter
}

func (t tryWriter) TryWriteFrames(frames []canbus.Frame) (int, error) {
	return t.b.write(frames, t.bus.TryWriteFrames)
}

// Listen reads the bus and records under that name what it reads, until it ends, and
// returns the error that ends it: net.ErrClosed after Close of the bus. OnError is
// told of those that are temporary.
func (r *Recorder) Listen(bus canbus.Bus, name string) error {
	const (
		batch = 64
		pause = 500 * time.Microsecond // for whatever it is to pass
	)
	frames := make([]canbus.Frame, batch)
	for {
		n, err := bus.ReadFrames(frames)
		r.Record(frames[:n], name)
		switch {
		case err == nil:
		case temporary(err):
			r.tell(err)
			time.Sleep(pause)
		default:
			return err
		}
	}
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary() && !errors.Is(err, net.ErrClosed)
}
