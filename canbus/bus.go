// Package canbus is a CAN bus as frames: it opens buses by name, and is what isotpnet asks
// of a bus, and the way to add one.
//
//	bus, err := canbus.Open(ctx, "virtual:demo")
//	n, err := bus.ReadFrames(frames)
//	n, err = bus.WriteFrames([]canbus.Frame{{ID: 0x7E0, Len: 1, Data: [64]byte{0x3E}}})
//
// A [Bus] moves [Frame] values in batches. A Frame is a value, and has a text, as
// 7E0#023E00.
//
// # Names
//
// A name begins with a scheme, which says of which driver the bus is, and goes on as that
// driver wants it: "virtual:demo", "slcan:/dev/ttyACM0@500000". One without a colon, as can0,
// is an interface of Linux. The driver must be imported, if only as _; there is a package for
// each beside this one, which says what its names are, and package all imports them all.
//
// A name that its driver cannot read is a [*NameError], and one of no imported driver an
// [*UnknownBusError], which says what to import.
//
// # What a bus may have besides
//
// What else a bus may have is optional, and [As] finds it:
//
//	Describer     says what it can do                       asked once, before all else
//	TryWriter     writes without waiting                    saves a goroutine's wake-up
//	FilterSetter  leaves out frames that are not wanted     when what is listened for changes
//	DropCounter   counts the frames that it has lost        after each ReadFrames, by its caller
//	Flusher       says that all frames are on the wire      before Close, by its caller
//
// A bus that passes on the frames of another has an Unwrap method, so that [As] finds
// what the other one has: all but a TryWriter, which must be the bus itself.
//
// # Errors, and what is lost
//
// An error of ReadFrames or WriteFrames that is [ErrTemporary] to errors.Is does not end the
// bus; every other one does, as net.ErrClosed after Close. A bus tells of each frame that is
// lost, in one of these ways:
//
//   - A frame that was received and not returned, because the reader was too slow: a
//     [DropCounter] counts it.
//   - A frame that WriteFrames does not take: it returns an error, see [CheckFrames].
//   - A frame that WriteFrames took and the bus then did not send: ReadFrames returns it
//     with the flags Echo and Refused, if Properties.Echo is set.
//   - A frame that may have been sent or not: Flush returns an error. Once the bus is gone
//     every call returns a [GoneError], which says how many frames are in doubt.
//
// # A driver
//
// Three methods are enough; this is a whole driver for an adapter that has a Send and a
// Receive of its own:
//
//	type bus struct {
//		adapter *Adapter
//		once    sync.Once
//		closed  chan struct{}
//	}
//
//	func (b *bus) ReadFrames(frames []canbus.Frame) (int, error) {
//		f, err := b.adapter.Receive() // blocks; Close of the adapter ends it
//		if err != nil {
//			return 0, b.why(err) // final: no more frames come
//		}
//		frames[0] = f
//		return 1, nil
//	}
//
//	func (b *bus) WriteFrames(frames []canbus.Frame) (int, error) {
//		good, bad := canbus.CheckFrames(frames, nil)
//		for i := range frames[:good] {
//			if err := b.adapter.Send(frames[i]); err != nil {
//				return i, b.why(err)
//			}
//		}
//		return good, bad
//	}
//
//	func (b *bus) Close() error {
//		b.once.Do(func() { close(b.closed); b.adapter.Close() })
//		return nil
//	}
//
//	func (b *bus) why(err error) error {
//		select {
//		case <-b.closed:
//			return net.ErrClosed
//		default:
//			return err
//		}
//	}
//
// Give it to isotpnet.Dialer.Bus, or [Register] it to have [Open] and isotpnet.Dial find
// it by name. Package bustest tests that it keeps the contract.
package canbus

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// A Bus sends and receives CAN frames.
//
// One goroutine reads and another writes at the same time. There are never two calls of
// ReadFrames at once, nor two of WriteFrames.
type Bus interface {
	// ReadFrames blocks until there is at least one frame, then fills b with
	// what is there, in the order of the wire, and returns how many. With an
	// error the frames before it are still good: n may be above 0. An error is
	// final unless it is ErrTemporary to errors.Is. An error that is io.EOF says
	// that no more frames will come: a log has ended, or all others have left a
	// virtual bus. It says nothing about any peer: connections of package isotpnet
	// fail then with io.ErrUnexpectedEOF.
	ReadFrames(b []Frame) (n int, err error)

	// WriteFrames hands frames over to be sent, in this order, and returns how
	// many it took. It blocks until it has taken at least one. It may take
	// fewer than all of them without an error, and keeps no reference to b.
	// The caller tries the others again, unless the error is final (see
	// ReadFrames). A frame that is found later to be refused comes back from
	// ReadFrames: see Refused.
	//
	// What ReadFrames tells of a frame is not sent: a bus that hands Frame values on
	// takes it off first (see Frame.Strip).
	WriteFrames(b []Frame) (n int, err error)

	// Close ends both calls above with net.ErrClosed, those under way and all later
	// ones: WriteFrames takes nothing then, even if there is room.
	// A second Close does nothing. Frames that are not on the wire yet may be
	// lost: see Flusher.
	Close() error
}

// Properties say what a bus can do. The zero value makes no promise.
type Properties struct {
	// FD: the bus carries CAN FD frames.
	FD bool
	// Echo: ReadFrames also returns every frame written here, with the flag
	// Echo, once it is on the wire and acknowledged; frames that are not sent
	// have no echo, or one with the flag Refused.
	Echo bool
	// EchoAtHandover: an echo says that the controller has taken the frame, not
	// yet that it is on the wire.
	EchoAtHandover bool
	// QueueLen is how many frames may wait to be sent at once, at least 1;
	// 0 where that is not known.
	QueueLen int
	// Bitrate and DataBitrate (the data phase of CAN FD frames with BRS) are
	// in bits per second; 0 where they are not known.
	Bitrate, DataBitrate int
	// WireRate: Bitrate and DataBitrate are those of the wire, so that no frame
	// can have left sooner than they say. Else they may be the pace at which
	// frames are written.
	WireRate bool
	// EchoesLag: echoes may come after frames that were received later, as those
	// of some controllers that report several at once.
	EchoesLag bool
	// InProcess: the bus is one within this process, and ends when this process no
	// longer uses it.
	InProcess bool
	// Waits: while ReadFrames is not called, no frame is lost, however long that
	// is, and no other reader of the wire has to wait: the bus is a log, or a
	// replay. A connection that has no room for more messages then holds up the bus
	// until its messages are read, or until other connections have waited for 5 s.
	// Meanwhile no time passes for receptions that have started.
	Waits bool
	// OwnTime: the frames' timestamps are the time, as in a log, and not the clock:
	// they tell whether a frame was too late. Frames have the flag Timed; one without
	// is taken to come at the same time as the frame before it.
	OwnTime bool
}

// A Describer is a Bus that knows its Properties. They do not change.
type Describer interface {
	Properties() Properties
}

// PropertiesOf returns the Properties of a bus. One that is no [Describer] is taken to
// carry CAN FD, and not to echo.
func PropertiesOf(bus Bus) Properties {
	if d, ok := As[Describer](bus); ok {
		return d.Properties()
	}
	return Properties{FD: true}
}

// A TryWriter is a Bus that can write without waiting. It saves the hand-over
// to another goroutine, which WriteFrames needs because it may block.
type TryWriter interface {
	// TryWriteFrames is WriteFrames, except that it takes no more than it can
	// take at once: 0, nil when there is no room.
	TryWriteFrames(b []Frame) (n int, err error)
}

// A FilterSetter is a Bus that can leave out frames that are not wanted.
type FilterSetter interface {
	// SetFilters makes ReadFrames return only frames that match one of the
	// filters (and echoes and error frames, always). It replaces the filters
	// set before. With none at all nothing matches; a bus to which SetFilters
	// was never applied returns every frame.
	SetFilters(filters []Filter) error
}

// A DropCounter is a Bus that can lose frames that it has received, because its reader
// was too slow or a queue was full, and knows how many.
type DropCounter interface {
	// Dropped returns how many frames that ReadFrames should have returned have
	// been lost since the bus was opened. It does not block, may be called at any
	// time, after Close too, and never falls.
	//
	// The caller of ReadFrames calls Dropped after each return. It counts the frames
	// lost before that return by then, also those lost behind the last frame
	// returned: there may be no next frame to tell of them.
	Dropped() uint64
}

// A Flusher is a Bus that may have taken frames that are not on the wire yet, and that
// a Close would lose: those in an adapter's queue, or on their way to another machine.
type Flusher interface {
	// Flush waits until all frames that WriteFrames took before it was called are
	// on the wire or refused, as far as the bus can know. It returns nil then;
	// the context's error; net.ErrClosed after Close; or why it cannot be known,
	// naming how many frames are in doubt. It bounds the wait itself by what the
	// bus needs for the frames it has taken.
	//
	// The caller of Close calls Flush first, when no call of WriteFrames is under way
	// or follows. ReadFrames may be under way, but Flush must not need it.
	Flush(ctx context.Context) error
}

// As returns the first bus that is a T of the chain that begins with bus, and goes on
// with what the method Unwrap() Bus of each returns: as errors.As for errors. It is how
// to ask a bus for an optional interface, so that one that passes on the frames of
// another, a recorder perhaps, has all that the other has.
//
// A [TryWriter] is the exception: it is WriteFrames in another form, and frames written
// with it must not bypass the bus that wraps. A type assertion on the bus itself finds it.
func As[T any](bus Bus) (T, bool) {
	for bus != nil {
		if t, ok := bus.(T); ok {
			return t, true
		}
		w, ok := bus.(interface{ Unwrap() Bus })
		if !ok {
			break
		}
		bus = w.Unwrap()
	}
	var none T
	return none, false
}

// ErrTemporary is what an error of ReadFrames or WriteFrames is, to errors.Is, if the
// call can be made again and may succeed then. Every other error is final.
var ErrTemporary = errors.New("canbus: the call can be repeated")

// Temporary returns an error with the text of err that is both err and ErrTemporary to
// errors.Is and errors.As. Of nil it makes nil.
func Temporary(err error) error {
	if err == nil {
		return nil
	}
	return &temporaryError{err}
}

// A RefusedError says that a bus has refused a frame that it had taken before: see the
// flag Refused. It is not ErrTemporary: the frame may be sent anew, but the bus does not
// try again by itself.
type RefusedError struct {
	Frame Frame
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the bus has refused frame %v: it was not sent", e.Frame)
}

// A GoneError is the error of every call of a bus whose adapter, server or connection is
// gone for good. To errors.Is it is net.ErrClosed, and its cause.
type GoneError struct {
	Bus string // what is gone, as "slcan: the adapter on /dev/ttyACM0"
	Err error  // why; io.ErrUnexpectedEOF if the other end has ended the connection
	// InDoubt is how many frames were written that may not have been sent; 0 also where
	// the driver does not know.
	InDoubt int
	Advice  string // what may keep it from happening again; "" for nothing
}

func (e *GoneError) Error() string {
	text := fmt.Sprintf("%s is gone: %v", e.Bus, e.Err)
	if e.InDoubt > 0 {
		text += fmt.Sprintf("; the last %d frames may not have been sent", e.InDoubt)
	}
	if e.Advice != "" {
		text += " (" + e.Advice + ")"
	}
	return text
}

func (e *GoneError) Unwrap() []error { return []error{net.ErrClosed, e.Err} }

type temporaryError struct{ error }

func (e *temporaryError) Unwrap() error { return e.error }

func (e *temporaryError) Is(target error) bool { return target == ErrTemporary }

// A Filter matches data and remote frames by their identifier.
type Filter struct {
	// ID and Mask: a frame matches if its ID has the same bits as this one
	// where Mask has ones.
	ID, Mask uint32
	// Extended: match frames with 29-bit identifiers; else those with 11 bits.
	Extended bool
}

// Match reports whether the filter lets the frame pass.
func (f Filter) Match(fr *Frame) bool {
	return fr.Has(Extended) == f.Extended && (fr.ID^f.ID)&f.Mask == 0
}
