package j2534

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/account"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/vendorlib"
)

var (
	_ canbus.Bus         = (*Bus)(nil)
	_ canbus.Describer   = (*Bus)(nil)
	_ canbus.DropCounter = (*Bus)(nil)
	_ canbus.Flusher     = (*Bus)(nil)
)

const (
	// batchLen is how many messages one call of the library takes at most.
	batchLen = 16
	// fullTime is how long to wait for room in a full buffer, as canbus/socketcan does.
	fullTime = time.Millisecond
)

// A Bus is the bus that an adapter is on.
type Bus struct {
	adapter Adapter
	props   canbus.Properties
	log     *slog.Logger
	life    *lifetime.Lifetime
	frames  *account.Account
	version Version

	ended   chan struct{}       // closed when the adapter is closed
	orders  chan []canbus.Frame // from WriteFrames to the caller of the library
	answers chan answer         // back

	malformed atomic.Uint64

	// Of the goroutine that calls the library.
	lib             library
	device, channel uint32
	in              [1]message
	out             [batchLen]message
	clock           vendorlib.Clock
	elapsed         int64  // the time of the last message, in microseconds, which does not begin anew
	last            uint32 // as the adapter says it
	moved           time.Time
	overrun         bool // echoes may have been lost
}

// Open opens an adapter that is installed. name is a part of its name in the registry, in small
// or capital letters, or "" if only one is installed; or the absolute path of its library. If
// ctx ends first the error is ctx.Err() to errors.Is, and the adapter is closed as soon as its
// library has opened it.
func Open(ctx context.Context, name string, o Options) (*Bus, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("j2534: %w", err)
	}
	list, err := installed()
	if err != nil {
		return nil, fmt.Errorf("j2534: %w", err)
	}
	a, err := find(list, name)
	if err != nil {
		return nil, fmt.Errorf("j2534: %w", err)
	}
	b, err := lifetime.Open(ctx, func() (*Bus, error) { return open(a, load, o) })
	if err != nil {
		return nil, fmt.Errorf("j2534: open %s: %w", a.Name, err)
	}
	return b, nil
}

// open opens an adapter. load returns its library, on the thread that will call it.
func open(a Adapter, load func(file string) (library, error), o Options) (*Bus, error) {
	if err := claim(a.Library); err != nil {
		return nil, err
	}
	b := &Bus{
		adapter: a, log: o.logger(),
		ended: make(chan struct{}), orders: make(chan []canbus.Frame), answers: make(chan answer),
		props: canbus.Properties{
			EchoesLag: true, QueueLen: account.MaxInFlight, Bitrate: o.Bitrate, WireRate: true,
		},
	}
	b.life = lifetime.New(func() {})
	b.frames = account.New(b.life, "j2534: "+a.Name, o.Bitrate, 0)
	opened := make(chan error)
	go b.run(load, &o, opened)
	if err := <-opened; err != nil {
		<-b.ended
		return nil, err
	}
	return b, nil
}

var (
	claimsMu sync.Mutex
	claims   = make(map[string]bool) // the libraries that have a Bus, in small letters; under claimsMu
)

// claim reserves a library for one Bus: libraries need not bear calls on several threads.
func claim(file string) error {
	claimsMu.Lock()
	defer claimsMu.Unlock()
	file = strings.ToLower(file)
	if claims[file] {
		return errors.New("this program has it open already, with other options perhaps")
	}
	claims[file] = true
	return nil
}

func release(file string) {
	claimsMu.Lock()
	defer claimsMu.Unlock()
	delete(claims, strings.ToLower(file))
}

// Properties implements [canbus.Describer]. There are echoes if the adapter has loopback.
func (b *Bus) Properties() canbus.Properties { return b.props }

// A Version is what an adapter and its library say of themselves, for people; "" where they say
// nothing.
type Version struct {
	Firmware string
	Library  string
	API      string // "04.04"
}

// Version returns the versions of the adapter and its library.
func (b *Bus) Version() Version { return b.version }

// Dropped implements [canbus.DropCounter]. If the adapter or its library has lost frames, they
// do not say how many: that counts as one.
func (b *Bus) Dropped() uint64 { return b.frames.Dropped() }

// Malformed returns how many messages were left out because they are no frames of CAN.
func (b *Bus) Malformed() uint64 { return b.malformed.Load() }

// ReadFrames implements [canbus.Bus].
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) { return b.frames.Read(frames) }

// Flush implements [canbus.Flusher]. It waits for the echoes of all frames; if none comes for
// a second beyond the time that the frames take, it returns an error. Where there are no
// echoes it waits as long as the frames take on the wire, and 20 ms.
func (b *Bus) Flush(ctx context.Context) error { return b.frames.Flush(ctx) }

// Close implements [canbus.Bus]. It waits as [Bus.Flush] does, because the library throws its
// buffer away when a channel is closed, and logs what is in doubt.
func (b *Bus) Close() error {
	b.life.CloseAdapter("j2534", b.log, b.Flush)
	<-b.ended
	return nil
}
