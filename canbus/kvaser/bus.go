package kvaser

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
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
	// lookTime is how often the channel is looked at though nothing has happened to it.
	lookTime = 500 * time.Millisecond
	// restartTime is how long a controller stays off the bus, as it usually does with SocketCAN.
	restartTime = 100 * time.Millisecond
	// staleTime is how long the controller's state may be that from before it went on the bus.
	staleTime = 50 * time.Millisecond
	// fullPause is how long to wait for room in CANlib's queue, as that of SocketCAN.
	fullPause = time.Millisecond
)

// A Bus is the bus that a channel is on.
type Bus struct {
	name   string // of the channel, for errors
	lib    library
	handle int32
	waiter waiter
	props  canbus.Properties
	listen bool
	log    *slog.Logger
	life   *lifetime.Lifetime
	frames *account.Account
	ended  chan struct{} // closed when the channel is closed

	// mu guards the handle, which CANlib wants in one call at a time, and what follows. No call
	// of CANlib under it waits.
	mu       sync.Mutex
	tx, rx   message
	unit     int64 // of a message's time, in nanoseconds
	last     uint32
	elapsed  int64 // the time of the last message, which does not begin anew as last does
	clock    vendorlib.Clock
	overrun  bool      // acknowledgements may have been lost
	onSince  time.Time // when the handle went on the bus
	state    uint32    // statusPassive, statusBusOff and statusWarning
	offSince time.Time // with statusBusOff
}

// Open opens the channel with that number, from 0, as CANlib counts them: see [Channels].
//
// If ctx ends before the channel is open, the error is ctx.Err() to errors.Is, and a channel
// that CANlib opens later is closed again.
func Open(ctx context.Context, channel int, o Options) (*Bus, error) {
	return lifetime.Open(ctx, func() (*Bus, error) {
		lib, err := load()
		if err != nil {
			return nil, err
		}
		return open(lib, channel, o)
	})
}

func open(lib library, number int, o Options) (*Bus, error) {
	nominal, data, err := o.timings()
	if err != nil {
		return nil, err
	}
	channel, err := find(lib, number)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("channel %d (%s)", number, channel.Description)
	flags := int32(openAcceptVirtual)
	if o.DataBitrate != 0 {
		if flags |= openFD; !channel.FD {
			return nil, fmt.Errorf("kvaser: %s has no CAN FD: leave DataBitrate out, or data=%d of its name", name, o.DataBitrate)
		}
	}
	h := lib.open(number, flags)
	if h < 0 {
		return nil, fmt.Errorf("kvaser: open %s: %w", name, &Error{"canOpenChannel", int(h)})
	}
	b := &Bus{
		name:   name,
		lib:    lib,
		handle: h,
		props: canbus.Properties{
			FD: o.DataBitrate != 0, Echo: !o.ListenOnly, EchoesLag: true, QueueLen: account.MaxInFlight,
			Bitrate: o.Bitrate, DataBitrate: o.DataBitrate, // not WireRate: those of virtual channels take no time
		},
		listen: o.ListenOnly,
		log:    o.logger(),
		ended:  make(chan struct{}),
	}
	if err := b.setUp(nominal, data); err != nil {
		lib.close(h)
		return nil, fmt.Errorf("kvaser: open %s: %w", name, err)
	}
	b.life = lifetime.New(b.waiter.wake)
	b.frames = account.New(b.life, "kvaser: "+b.name, o.Bitrate, o.DataBitrate)
	go b.receive()
	return b, nil
}

// find returns the channel with a number, or an error that names those that there are.
func find(lib library, number int) (Channel, error) {
	n, s := lib.numberOfChannels()
	if err := failed("canGetNumberOfChannels", s); err != nil {
		return Channel{}, fmt.Errorf("kvaser: %w", err)
	}
	if number >= 0 && number < n {
		c, err := describe(lib, number)
		if err != nil {
			return c, fmt.Errorf("kvaser: channel %d: %w", number, err)
		}
		return c, nil
	}
	if n == 0 {
		return Channel{}, errors.New("kvaser: there are no channels: is an adapter plugged in, and does Kvaser Device Guide show it?")
	}
	var names []string
	for i := range n {
		c, _ := describe(lib, i)
		names = append(names, c.Name+" ("+c.Description+")")
	}
	return Channel{}, fmt.Errorf("kvaser: there is no channel %d, but %s", number, strings.Join(names, ", "))
}

// setUp makes the channel ready and takes it on the bus.
func (b *Bus) setUp(nominal, data timing) error {
	if err := b.setUpTiming(nominal, data); err != nil {
		return err
	}
	mode := uint32(driverNormal)
	if b.listen {
		mode = driverSilent
	}
	if s := b.lib.setBusOutputControl(b.handle, mode); s != errNoAccess {
		if err := failed("canSetBusOutputControl", s); err != nil {
			return err
		}
	}
	if err := failed("canIoCtl (canIOCTL_SET_TXACK)", b.control(ioctlSetTxack, 1)); err != nil {
		return err
	}
	// Not every version and adapter has these two.
	b.unit = int64(defaultTimerScale)
	if b.control(ioctlSetTimerScale, 1) >= ok {
		b.unit = int64(time.Microsecond)
	}
	b.control(ioctlBusOnResetsTheTimer, 0) // programs that share the channel have the same clock
	waiter, s := b.lib.newWaiter(b.handle)
	if err := failed("canIoCtl (canIOCTL_GET_EVENTHANDLE)", s); err != nil {
		return err
	}
	if err := failed("canBusOn", b.lib.busOn(b.handle)); err != nil {
		waiter.close()
		return err
	}
	b.waiter, b.onSince = waiter, time.Now()
	return nil
}

// setUpTiming sets the bit rates. Where another program has set them already they have to be
// the same.
func (b *Bus) setUpTiming(nominal, data timing) error {
	b.lib.ioctl(b.handle, ioctlReportAccessErrors, []byte{1}) // else a setting without effect is no error
	s := b.lib.setBusParams(b.handle, nominal)
	if s != errNoAccess {
		if err := failed("canSetBusParams", s); err != nil {
			return fmt.Errorf("bit rate %d: %w", b.props.Bitrate, err)
		}
	}
	if b.props.FD {
		if s := b.lib.setBusParamsFD(b.handle, data); s != errNoAccess {
			if err := failed("canSetBusParamsFd", s); err != nil {
				return fmt.Errorf("data bit rate %d: %w", b.props.DataBitrate, err)
			}
		}
	}
	is, read := b.lib.busParams(b.handle)
	if off := int(is) - b.props.Bitrate; read >= ok && max(off, -off) > b.props.Bitrate/100 {
		return fmt.Errorf("bit rate %d: another program has the channel, at %d: end that program, or use its bit rate", b.props.Bitrate, is)
	}
	if s == errNoAccess && read < ok {
		return failed("canSetBusParams", s)
	}
	return nil
}

// control is canIoCtl with a number of 32 bits.
func (b *Bus) control(function, value uint32) status {
	return b.lib.ioctl(b.handle, function, binary.LittleEndian.AppendUint32(nil, value))
}

// Properties implements [canbus.Describer].
func (b *Bus) Properties() canbus.Properties { return b.props }

// Dropped implements [canbus.DropCounter]. Frames are dropped when ReadFrames is not called for
// about half a second of a busy wire. Those that the adapter or CANlib has lost are in it as one
// for each time that CANlib tells of it, because it does not tell how many they were.
func (b *Bus) Dropped() uint64 { return b.frames.Dropped() }

// fail makes the loss of the channel the error of every call.
func (b *Bus) fail(call string, s status) {
	b.life.Fail(&canbus.GoneError{Bus: "kvaser: " + b.name, Err: &Error{call, int(s)}, InDoubt: b.frames.InDoubt()})
}

// Close implements [canbus.Bus]. It waits as [Bus.Flush] does, and then takes the channel off
// the bus and closes it. It logs the error of Flush, but not that the adapter is gone if no
// frames are in doubt.
func (b *Bus) Close() error {
	b.life.CloseAdapter("kvaser", b.log, b.Flush)
	<-b.ended
	return nil
}

// shutDown closes the channel, once the Bus is over.
func (b *Bus) shutDown() {
	b.mu.Lock()
	b.lib.busOff(b.handle)
	b.lib.close(b.handle)
	b.mu.Unlock()
	b.life.Close() // wake was called, if it is over for another reason
	b.waiter.close()
	close(b.ended)
}
