package candump

import (
	"errors"
	"fmt"
	"time"

	"example.com/isotp/canbus"
)

// Wrap returns a bus that does what bus does, and records under that name the frames in
// both directions: those that are read, and those that are written, with a T behind them.
// Where the bus echoes (see [canbus.Properties]) a written frame is recorded when its echo
// is read, that is, when it is on the wire. On other buses it is recorded when the bus has
// taken it, before all frames that were read since the call began. If such a bus refuses
// the frame later (see [canbus.Refused]), the log has it, and OnError is told. Frames that
// the bus drops are counted ([Stats]), and OnError is told of them.
//
// Filters that are set on the bus leave out frames here, too. To record everything, call
// [Recorder.Listen] with another Bus. Close closes bus and leaves the Recorder open.
func (r *Recorder) Wrap(bus canbus.Bus, name string) canbus.Bus {
	b := &wrapped{Bus: bus, r: r, name: name, echoes: canbus.PropertiesOf(bus).Echo}
	b.drops.of, _ = canbus.As[canbus.DropCounter](bus)
	if try, ok := bus.(canbus.TryWriter); ok {
		return &struct {
			*wrapped
			tryWriter
		}{b, tryWriter{b, try}}
	}
	return b
}

// A wrapped bus has the methods that every bus has, and an Unwrap for the others.
type wrapped struct {
	canbus.Bus
	r      *Recorder
	name   string
	echoes bool
	drops  drops
}

// drops notes how many frames a bus has dropped. Only the goroutine that calls ReadFrames
// uses it.
type drops struct {
	of   canbus.DropCounter // nil: the bus does not count
	told uint64
}

// note is called after each ReadFrames.
func (d *drops) note(r *Recorder, name string) {
	if d.of == nil {
		return
	}
	if n := d.of.Dropped(); n > d.told {
		r.drop(n-d.told, name)
		d.told = n
	}
}

// Unwrap lets [canbus.As] find the other methods of the bus.
func (b *wrapped) Unwrap() canbus.Bus { return b.Bus }

func (b *wrapped) ReadFrames(frames []canbus.Frame) (int, error) {
	n, err := b.Bus.ReadFrames(frames)
	b.r.Record(frames[:n], b.name)
	b.drops.note(b.r, b.name)
	if !b.echoes {
		b.tellRefused(frames[:n])
	}
	return n, err
}

func (b *wrapped) tellRefused(frames []canbus.Frame) {
	for i := range frames {
		if frames[i].Has(canbus.Echo | canbus.Refused) {
			b.r.tell(fmt.Errorf("candump: frame %v stands in the log as sent, but %s has refused it", frames[i], b.name))
		}
	}
}

func (b *wrapped) WriteFrames(frames []canbus.Frame) (int, error) {
	return b.write(frames, b.Bus.WriteFrames)
}

func (b *wrapped) write(frames []canbus.Frame, write func([]canbus.Frame) (int, error)) (int, error) {
	if b.echoes {
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

// Listen reads the bus and records under that name what it reads, until the bus ends, and
// returns the error that has ended it: net.ErrClosed after Close of the bus. OnError is
// told of temporary errors, and of frames that the bus has dropped since it was opened,
// which [Stats] count.
func (r *Recorder) Listen(bus canbus.Bus, name string) error {
	const (
		batch = 64
		pause = 500 * time.Microsecond // for whatever it is to pass
	)
	frames := make([]canbus.Frame, batch)
	var drops drops
	drops.of, _ = canbus.As[canbus.DropCounter](bus)
	for {
		n, err := bus.ReadFrames(frames)
		r.Record(frames[:n], name)
		drops.note(r, name)
		switch {
		case err == nil:
		case errors.Is(err, canbus.ErrTemporary):
			r.tell(err)
			time.Sleep(pause)
		default:
			return err
		}
	}
}
