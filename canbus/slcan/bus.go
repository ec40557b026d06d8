package slcan

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/line"
)

func init() {
	canbus.Register("slcan", func(ctx context.Context, address string) (canbus.Bus, error) {
		port, o, err := parseAddress(address)
		if err != nil {
			return nil, &canbus.NameError{Err: err}
		}
		b, err := Open(ctx, port, o)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
	canbus.RegisterIdentity("slcan", identity)
}

var (
	_ canbus.Bus         = (*Bus)(nil)
	_ canbus.Describer   = (*Bus)(nil)
	_ canbus.DropCounter = (*Bus)(nil)
	_ canbus.Flusher     = (*Bus)(nil)
)

const (
	// batchLen is how many frames are written at once.
	batchLen = 16
	// maxUnread is how many frames may wait for ReadFrames, beside those of one Read of
	// the port.
	maxUnread = 4096
	// chunkLen is how many bytes one Read of the port returns at most, and shortest the
	// length of the shortest frame among them.
	chunkLen, shortest = 4096, len("t1230\r")
	// answerTime is how long a frame may be without an answer before the Bus sends a
	// fence, or knows that the adapter does not answer frames.
	answerTime = 100 * time.Millisecond
	// fenceTime is how long a fence may be without an answer.
	fenceTime = time.Second
	// flushTime is how much longer than the frames' own time Flush waits at most.
	flushTime = time.Second
)

// A Bus is the bus that an adapter is on.
type Bus struct {
	name      string
	port      io.ReadWriteCloser
	props     canbus.Properties
	pace      line.Line
	log       *slog.Logger
	life      *lifetime.Lifetime
	perChar   time.Duration // on the serial line
	flushMore time.Duration

	// What the adapter is; set before New returns.
	said      chan said     // lines that are no frames, until ready is closed
	ready     chan struct{} // closed when the adapter is set up
	version   string        // "": the adapter does not tell
	tail      int           // how many answers follow a version
	family    string
	hasStatus bool
	roundTrip time.Duration // of a command

	writing chan struct{} // holds a token while a goroutine writes to the port
	out     []byte        // under writing

	readable chan struct{} // a token lets ReadFrames look again
	roomy    chan struct{} // a token lets WriteFrames or the port's reader look again
	kick     chan struct{} // a token lets mind look again

	mu           sync.Mutex
	lex          lexer
	lowest       uint32         // the arbitration of the last frame written
	in           []canbus.Frame // from head on not read yet
	head         int
	flight       flight
	wire         wire
	tailDue      int       // answers that belong to a version
	inWrite      bool      // frames or a fence are being written
	moved        time.Time // when something was last written or answered
	fenceSent    time.Time
	fenceStatus  bool      // the fence on its way is F, not V
	fenceWritten time.Time // what wire.written was then
	proven       uint64    // frames that a fence has shown to have reached the adapter
	fenceWanted  bool      // by Flush
	askStatus    bool      // the next fence is F
	statusAsked  time.Time // by the last one
	minding      bool
	flushing     int
	changed      chan struct{} // closed and replaced when what Flush waits for changes
	complained   time.Time
	refused      uint64
	untold       uint64 // of them

	malformed, dropped atomic.Uint64
}

// Open opens an adapter on a serial port, or at the other end of a TCP connection if the
// port is tcp:HOST:PORT. See [New] for the context.
func Open(ctx context.Context, port string, o Options) (*Bus, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p, err := openPort(ctx, port, o.Baud)
	if err != nil {
		return nil, err
	}
	return New(ctx, p, port, o)
}

// New opens the adapter at the other end of a connection, such as a serial line
// across a network. Close of the connection must end a Read and a Write under way.
// The connection is the Bus's, which closes it, also when New fails. name stands in
// errors.
//
// If ctx ends before the adapter is set up, the error is ctx.Err() to errors.Is. New
// returns once the adapter has taken the command that closes its channel, or has not
// taken it within 0.2 s.
func New(ctx context.Context, port io.ReadWriteCloser, name string, o Options) (*Bus, error) {
	if err := o.check(); err != nil {
		port.Close()
		return nil, err
	}
	baud := o.Baud
	if baud == 0 {
		baud = defaultBaud
	}
	b := &Bus{
		name: name,
		port: port,
		props: canbus.Properties{
			FD: o.DataBitrate > 0, Echo: true, EchoAtHandover: true, QueueLen: maxInFlight,
			Bitrate: o.Bitrate, DataBitrate: o.DataBitrate, WireRate: true,
		},
		pace:      line.Line{Bitrate: o.Bitrate, DataBitrate: o.DataBitrate},
		log:       o.logger(),
		perChar:   10 * time.Second / time.Duration(baud),
		flushMore: orDefault(o.Flush, defaultFlush),
		life:      lifetime.New(func() { port.Close() }),
		said:      make(chan said),
		ready:     make(chan struct{}),
		writing:   make(chan struct{}, 1),
		readable:  make(chan struct{}, 1),
		roomy:     make(chan struct{}, 1),
		kick:      make(chan struct{}, 1),
		changed:   make(chan struct{}),
		wire:      wire{bitrate: o.wireRate(), dataBitrate: o.DataBitrate},
	}
	b.flight.echo = b.echo
	if o.ListenOnly {
		b.props.Echo, b.props.EchoAtHandover = false, false // nothing is sent
	}
	go b.receive()
	if err := b.setUpWithin(ctx, &o); err != nil {
		return nil, err
	}
	b.flight.fences = b.version != ""
	close(b.ready)
	go b.mind()
	return b, nil
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Properties implements [canbus.Describer].
func (b *Bus) Properties() canbus.Properties { return b.props }

// Malformed returns how many lines were left out because they were no frames.
func (b *Bus) Malformed() uint64 { return b.malformed.Load() }

// Dropped implements [canbus.DropCounter]. Frames are dropped when ReadFrames is not called
// while frames are written. Frames that the adapter itself has lost are not counted.
func (b *Bus) Dropped() uint64 { return b.dropped.Load() }

// Refused returns how many commands, most likely frames, the adapter has refused, or has
// not answered although it answers others.
func (b *Bus) Refused() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused
}

// fail makes the loss of the adapter the error of every call.
func (b *Bus) fail(err error) {
	b.mu.Lock()
	doubt := b.inDoubt(time.Now(), b.flight.given)
	b.mu.Unlock()
	b.life.Fail(&canbus.GoneError{Bus: "slcan: the adapter on " + b.name, Err: lifetime.Cause(err), InDoubt: doubt})
}
