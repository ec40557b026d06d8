// Package canbus is what isotpnet asks of a CAN bus, and the way to add one.
//
// A [Bus] moves [Frame] values in batches. Anyone can implement it for their
// hardware: three methods are enough. [Properties], [TryWriter] and
// [FilterSetter] are optional and make a bus better or faster, never different.
//
// [Open] finds a bus by name among the drivers that the program has imported:
//
//	bus, err := canbus.Open("virtual:demo")
package canbus

// A Bus sends and receives CAN frames.
//
// One goroutine reads and another writes at the same time; nobody calls
// ReadFrames twice at once, nor WriteFrames.
type Bus interface {
	// ReadFrames blocks until there is at least one frame, then fills b with
	// what is there, in the order of the wire, and returns how many. With an
	// error the frames before it are still good: n may be above 0. An error is
	// final unless it has a method Temporary() bool that returns true. One that
	// is io.EOF says that no more frames will come: a log is through, all
	// others on a virtual bus have hung up. It says nothing about any peer:
	// the connections of package isotpnet fail then, with
	// io.ErrUnexpectedEOF.
	ReadFrames(b []Frame) (n int, err error)

	// WriteFrames hands frames over to be sent, in this order, and returns how
	// many it took. It blocks until it has taken at least one. It may take
	// fewer than all of them without an error, and keeps no reference to b.
	// The caller tries the others again, unless the error is final (see
	// ReadFrames).
	WriteFrames(b []Frame) (n int, err error)

	// Close ends both calls above, those under way too, with net.ErrClosed.
	// A second Close does nothing.
	Close() error
}

// Properties say what a bus can do. The zero value makes no promise.
type Properties struct {
	// FD: the bus carries CAN FD frames.
	FD bool
	// Echo: ReadFrames also returns every frame written here, with the flag
	// Echo, once it is on the wire and acknowledged; frames that are not sent
	// have no echo.
	Echo bool
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
	// InProcess: the bus is one within this process, and ends when nobody here
	// uses it any more.
	InProcess bool
}

// A Describer is a Bus that knows its Properties. They do not change. A bus
// without this method is taken to carry CAN FD, and not to echo.
type Describer interface {
	Properties() Properties
}

// A TryWriter is a Bus that can write without waiting. It saves the hand-over
// to another goroutine, which WriteFrames needs because it may block.
type TryWriter interface {
	// TryWriteFrames is WriteFrames, except that it takes no more than it can
	// take at once: 0, nil when there is no room.
	TryWriteFrames(b []Frame) (n int, err error)
}

// A FilterSetter is a Bus that can leave out frames nobody wants.
type FilterSetter interface {
	// SetFilters makes ReadFrames return only frames that match one of the
	// filters (and echoes and error frames, always). It replaces the filters
	// set before. With none at all nothing matches; a bus to which SetFilters
	// was never applied returns every frame.
	SetFilters(filters []Filter) error
}

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
