package pcan

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/account"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/vendorlib"
)

func init() {
	canbus.Register("pcan", func(ctx context.Context, address string) (canbus.Bus, error) {
		channel, o, err := parseAddress(address)
		if err != nil {
			return nil, &canbus.NameError{Err: fmt.Errorf("pcan: %w", err)}
		}
		b, err := Open(ctx, channel, o)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
	canbus.RegisterIdentity("pcan", identity)
}

// identity is the channel with its options: a caller that asks for others must not get these
// unawares.
func identity(address string) string {
	channel, o, err := parseAddress(address)
	if err != nil {
		return "pcan:" + address
	}
	return fmt.Sprintf("pcan:%s %+v", channel, o)
}

var (
	_ canbus.Bus         = (*Bus)(nil)
	_ canbus.Describer   = (*Bus)(nil)
	_ canbus.DropCounter = (*Bus)(nil)
	_ canbus.Flusher     = (*Bus)(nil)
)

const (
	// batchLen is how many frames one WriteFrames takes at most.
	batchLen = 16
	// statusTime is how often a quiet channel is asked whether it is there still: the
	// event does not tell of every loss.
	statusTime = 250 * time.Millisecond
	// fullTime is how long to wait for room in a full queue, as canbus/socketcan does.
	fullTime = time.Millisecond
)

// A Bus is the bus that a channel is on.
type Bus struct {
	name    string
	handle  uint16
	lib     library
	setting setting
	props   canbus.Properties
	log     *slog.Logger
	life    *lifetime.Lifetime
	frames  *account.Account
	event   event
	listens bool // only
	resets  bool // the controller recovers from bus-off by itself

	ended chan struct{} // closed when receive has ended, and the channel is free

	// writing is held while a frame is given to the library, while its queues are thrown
	// away, and at the end: a frame must not be written to a channel that is no longer ours.
	writing sync.Mutex

	// Of receive, which uses them alone.
	clock   vendorlib.Clock
	state   busState
	overrun bool // an overrun was told that CAN_GetStatus may tell of for a while
	unsent  bool // there was a bus-off: frames in the transmit queue will not be sent
	in      inbox

	out       outbox // under writing
	malformed atomic.Uint64
}

// Open opens a channel, as USB1. If ctx ends first the error is ctx.Err() to errors.Is, and
// the channel is closed as soon as the library has opened it.
func Open(ctx context.Context, channel string, o Options) (*Bus, error) {
	handle, name, err := parseChannel(channel)
	if err != nil {
		return nil, fmt.Errorf("pcan: %w", err)
	}
	s, err := o.setting()
	if err != nil {
		return nil, fmt.Errorf("pcan: %s: %w", name, err)
	}
	b, err := lifetime.Open(ctx, func() (*Bus, error) {
		lib, err := load(s.fd)
		if err != nil {
			return nil, err
		}
		return open(lib, handle, name, s, &o)
	})
	if err != nil {
		return nil, fmt.Errorf("pcan: open %s: %w", name, err)
	}
	return b, nil
}

// open opens a channel of a library.
func open(lib library, handle uint16, name string, s setting, o *Options) (*Bus, error) {
	b := &Bus{
		name: name, handle: handle, lib: lib, setting: s, log: o.logger(), listens: o.ListenOnly,
		ended: make(chan struct{}),
		props: canbus.Properties{
			FD: s.fd, QueueLen: account.MaxInFlight, Bitrate: s.bitrate, DataBitrate: s.dataBitrate, WireRate: true,
		},
	}
	if err := b.start(o); err != nil {
		return nil, err
	}
	b.life = lifetime.New(b.event.wake)
	b.frames = account.New(b.life, "pcan: "+b.name, s.bitrate, s.dataBitrate)
	if !b.props.Echo {
		b.frames.Pace()
	}
	go b.receive()
	return b, nil
}

// start initialises the channel.
func (b *Bus) start(o *Options) error {
	// A channel keeps this from the last time that it was open.
	if s := b.set(paramListenOnly, o.ListenOnly); s != statusOK && o.ListenOnly {
		return fmt.Errorf("it cannot only listen: %w", s)
	}
	if err := b.initialize(); err != nil {
		return err
	}
	// Which of these there are depends on the hardware, and on the library's version.
	b.set(paramStatusFrames, true)
	b.set(paramErrorFrames, true)
	b.props.Echo = !o.ListenOnly && !o.NoEcho && b.set(paramEchoFrames, true) == statusOK
	b.resets = b.set(paramBusOffReset, true) == statusOK
	e, err := b.lib.listen(b.handle)
	if err != nil {
		b.lib.uninitialize(b.handle)
		return err
	}
	b.event = e
	return nil
}

func (b *Bus) initialize() error {
	s := statusOK
	if b.setting.fd {
		s = b.lib.initializeFD(b.handle, b.setting.timing)
	} else {
		s = b.lib.initialize(b.handle, b.setting.registers)
	}
	switch {
	case s == statusCaution:
		b.log.Warn("pcan: another program has the channel open, and its bit rate holds", "channel", b.name)
		b.props.Bitrate, b.props.DataBitrate, b.props.WireRate = 0, 0, false
		return nil
	case s == statusOK:
		return nil
	case s&handleErrors == statusIllHw && b.setting.fd:
		return fmt.Errorf("%w, or it has no CAN FD: isotp link lists the channels that are attached", s)
	case s&handleErrors == statusIllHw:
		return fmt.Errorf("%w: isotp link lists the channels that are attached", s)
	case s.has(statusInitialize), s&handleErrors == statusHwInUse, s&handleErrors == statusNetInUse:
		return fmt.Errorf("%w: does another program use it, or another connection of this one with other options?", s)
	}
	return s
}

// set turns a parameter on or off.
func (b *Bus) set(p parameter, on bool) status {
	var value [4]byte
	if on {
		value[0] = 1
	}
	return b.lib.set(b.handle, p, value[:])
}

// Properties implements [canbus.Describer]. There are echoes if library and hardware have
// them.
func (b *Bus) Properties() canbus.Properties { return b.props }

// Dropped implements [canbus.DropCounter]. If the adapter or PCAN-Basic has lost frames, they
// do not say how many: that counts as one.
func (b *Bus) Dropped() uint64 { return b.frames.Dropped() }

// Malformed returns how many frames were left out because PCAN-Basic says that they are not of
// a kind that the channel was opened for, as those of CAN FD on a channel for classic CAN.
func (b *Bus) Malformed() uint64 { return b.malformed.Load() }

// ReadFrames implements [canbus.Bus].
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) { return b.frames.Read(frames) }

// Flush implements [canbus.Flusher]. It waits for the echoes of all frames; if none comes for
// a second beyond the time that the frames take, it returns an error. Where there are no
// echoes it waits as long as the frames take on the wire, and 20 ms.
func (b *Bus) Flush(ctx context.Context) error { return b.frames.Flush(ctx) }

// Close implements [canbus.Bus]. It waits as [Bus.Flush] does, because the library throws its
// queue away when a channel is closed, and logs what is in doubt.
func (b *Bus) Close() error {
	b.life.CloseAdapter("pcan", b.log, b.Flush)
	<-b.ended
	return nil
}

// lose is fail for the goroutine that reads.
func (b *Bus) lose(why error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.fail(why, "")
}

// fail makes the loss of the adapter the error of every call. Under writing: a frame that the
// library is about to refuse is not in doubt.
func (b *Bus) fail(why error, advice string) {
	b.life.Fail(&canbus.GoneError{
		Bus: "pcan: the adapter at " + b.name, Err: why, InDoubt: b.frames.InDoubt(), Advice: advice,
	})
}

// number is a value of a parameter, of four bytes.
func number(value []byte) uint32 { return binary.LittleEndian.Uint32(value) }
