package kvaser

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/errorframe"
	"example.com/isotp/canbus/virtual"
)

// A fakeLibrary is a CANlib without adapters: each channel is a controller on one virtual wire. It does
// what CANlib's documentation says of the functions that the Bus calls.
type fakeLibrary struct {
	wire *virtual.Network
	wg   sync.WaitGroup // of the goroutines that listen to the wire

	mu       sync.Mutex
	channels []*fakeChannel
	handles  map[int32]*fakeHandle
	busy     map[int32]bool // handles in a call: CANlib wants one call at a time
	misused  error
}

// A fakeChannel is a channel. Under mu of its fake.
type fakeChannel struct {
	fake         *fakeLibrary
	description  string
	capabilities uint32
	flags        uint32
	queueLen     int    // messages to be read, for each handle
	start        uint32 // what the clock said at the epoch, in microseconds
	bitrate      int32
	silent       bool
	owner        *fakeHandle // it has init access
	unplugged    bool
	refuse       status // of canWrite, if it is not 0
	stale        uint32 // the state at first, though the controller has been set up anew
	lost         int    // TXACKs that get lost next
	state        uint32
	tap          *virtual.Tap // nil: no handle is on the bus
	onBus        int
	sent         []sentMessage // on the wire, or waiting for it
}

type sentMessage struct {
	from    *fakeHandle
	message message
}

type fakeHandle struct {
	channel *fakeChannel
	txack   bool
	access  bool // refusals of settings are reported
	scale   int64
	onBus   bool
	overrun bool
	queue   []message
	event   chan struct{}
	woken   chan struct{}
}

// newFake makes a library with two channels on a wire.
func newFake(t testing.TB, o virtual.Options) *fakeLibrary {
	t.Helper()
	o.BufferLen = 1 << 14
	l, err := makeFake(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stop(t) })
	return l
}

func makeFake(o virtual.Options) (*fakeLibrary, error) {
	wire, err := virtual.New(o)
	if err != nil {
		return nil, err
	}
	l := &fakeLibrary{wire: wire, handles: make(map[int32]*fakeHandle), busy: make(map[int32]bool)}
	for i := range 2 {
		l.channels = append(l.channels, &fakeChannel{
			fake: l, description: fmt.Sprint("Kvaser Fake ", i), capabilities: capFD, queueLen: 1000,
			start: 1<<32 - 20_000, // the clock begins anew soon
		})
	}
	return l, nil
}

// stop checks that everything was closed, and that CANlib was used as it wants to be.
func (l *fakeLibrary) stop(t testing.TB) {
	l.mu.Lock()
	if len(l.handles) > 0 {
		t.Errorf("%d handles are still open", len(l.handles))
	}
	if l.misused != nil {
		t.Error(l.misused)
	}
	l.mu.Unlock()
	l.wire.Close()
	l.wg.Wait()
}

// with calls f with a handle, under mu, and checks that no two calls use it at once.
func (l *fakeLibrary) with(h int32, f func(*fakeHandle) status) status {
	l.mu.Lock()
	if l.busy[h] {
		l.misused = fmt.Errorf("two calls use handle %d at once", h)
	}
	l.busy[h] = true
	l.mu.Unlock()
	// Another call has time to come here.
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy[h] = false
	x := l.handles[h]
	switch {
	case x == nil:
		return errInvalid
	case x.channel.unplugged:
		return errNoCard
	}
	return f(x)
}

func (l *fakeLibrary) numberOfChannels() (int, status) { return len(l.channels), ok }

func (l *fakeLibrary) channelData(channel int, item int32, buf []byte) status {
	l.mu.Lock()
	defer l.mu.Unlock()
	if channel < 0 || channel >= len(l.channels) {
		return errNotFound
	}
	c := l.channels[channel]
	if c.unplugged {
		return errNoCard
	}
	switch item {
	case itemChannelCap:
		binary.LittleEndian.PutUint32(buf, c.capabilities)
	case itemChannelFlags:
		binary.LittleEndian.PutUint32(buf, c.flags)
	case itemNumberOnCard:
		binary.LittleEndian.PutUint32(buf, uint32(channel))
	case itemCardSerial:
		binary.LittleEndian.PutUint64(buf, 10_237)
	case itemCardUPC:
		copy(buf, []byte{0x50, 0x68, 0x00, 0x30, 0x01, 0x33, 0x07, 0})
	case itemDescription:
		copy(buf, c.description+"\x00")
	default:
		return errParam
	}
	return ok
}

func (l *fakeLibrary) open(channel int, flags int32) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.channels[channel]
	if c.unplugged {
		return int32(errNotFound)
	}
	if flags&openFD != 0 && c.capabilities&capFD == 0 {
		return int32(errNotSupported)
	}
	h := int32(len(l.handles) + 1)
	for l.handles[h] != nil {
		h++
	}
	x := &fakeHandle{channel: c, scale: 1000, event: make(chan struct{}, 1), woken: make(chan struct{}, 1)}
	if c.owner == nil {
		c.owner = x
	}
	l.handles[h] = x
	return h
}

func (l *fakeLibrary) close(h int32) status {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.handles[h]
	if x == nil {
		return errInvalid
	}
	x.goOff()
	if x.channel.owner == x {
		x.channel.owner = nil
	}
	delete(l.handles, h)
	return ok
}

func (l *fakeLibrary) setBusParams(h int32, t timing) status {
	return l.with(h, func(x *fakeHandle) status {
		if x.channel.owner != x {
			if x.access {
				return errNoAccess
			}
			return ok
		}
		x.channel.bitrate = t.bitrate
		for bitrate, name := range defined {
			if name == t.bitrate {
				x.channel.bitrate = int32(bitrate)
			}
		}
		for bitrate, name := range definedFD {
			if name == t.bitrate {
				x.channel.bitrate = int32(bitrate)
			}
		}
		return ok
	})
}

func (l *fakeLibrary) setBusParamsFD(h int32, _ timing) status {
	return l.with(h, func(x *fakeHandle) status {
		if x.channel.owner != x && x.access {
			return errNoAccess
		}
		return ok
	})
}

func (l *fakeLibrary) busParams(h int32) (bitrate int32, s status) {
	s = l.with(h, func(x *fakeHandle) status {
		bitrate = x.channel.bitrate
		return ok
	})
	return bitrate, s
}

func (l *fakeLibrary) setBusOutputControl(h int32, mode uint32) status {
	return l.with(h, func(x *fakeHandle) status {
		if x.channel.owner == x {
			x.channel.silent = mode == driverSilent
		}
		return ok
	})
}

func (l *fakeLibrary) busOn(h int32) status {
	return l.with(h, func(x *fakeHandle) status {
		c := x.channel
		if x.onBus {
			return ok
		}
		if c.tap == nil {
			tap, err := l.wire.Tap()
			if err != nil {
				return errHardware
			}
			c.tap, c.state = tap, c.stale
			l.wg.Go(func() { c.listen(tap) })
		}
		x.onBus = true
		c.onBus++
		return ok
	})
}

func (l *fakeLibrary) busOff(h int32) status {
	return l.with(h, func(x *fakeHandle) status {
		x.goOff()
		return ok
	})
}

// goOff takes a handle off the bus, and the controller with the last one. Under mu.
func (x *fakeHandle) goOff() {
	c := x.channel
	if !x.onBus {
		return
	}
	x.onBus = false
	if c.onBus--; c.onBus == 0 {
		c.tap.Close()
		c.tap, c.sent = nil, nil
	}
}

func (l *fakeLibrary) ioctl(h int32, function uint32, buf []byte) status {
	return l.with(h, func(x *fakeHandle) status {
		switch {
		case function == ioctlReportAccessErrors && len(buf) == 1:
			x.access = buf[0] != 0
		case function == ioctlFlushTxBuffer:
			x.channel.sent = nil
		case len(buf) != 4:
			return errParam
		case function == ioctlSetTimerScale:
			x.scale = int64(binary.LittleEndian.Uint32(buf))
		case function == ioctlSetTxack:
			x.txack = binary.LittleEndian.Uint32(buf) == 1
		case function != ioctlBusOnResetsTheTimer:
			return errParam
		}
		return ok
	})
}

func (l *fakeLibrary) read(h int32, m *message) status {
	return l.with(h, func(x *fakeHandle) status {
		if len(x.queue) == 0 {
			return errNoMessage
		}
		*m = x.queue[0]
		x.queue = x.queue[1:]
		return ok
	})
}

func (l *fakeLibrary) write(h int32, m *message) status {
	return l.with(h, func(x *fakeHandle) status {
		c := x.channel
		switch {
		case c.refuse != 0:
			return c.refuse
		case !x.onBus || m.flags&(msgStandard|msgExtended) == 0:
			return errParam
		}
		f := decode(m)
		c.sent = append(c.sent, sentMessage{x, *m}) // before its echo can come
		if n, err := c.tap.TryWriteFrames([]canbus.Frame{f}); n == 0 {
			c.sent = c.sent[:len(c.sent)-1]
			if err != nil {
				return errHardware
			}
			return errTxBufOfl
		}
		return ok
	})
}

func (l *fakeLibrary) writeSync(h int32, milliseconds uint32) status {
	return l.with(h, func(x *fakeHandle) status {
		if milliseconds != 0 {
			panic("a call that waits while it keeps others from the handle")
		}
		for _, s := range x.channel.sent {
			if s.from == x {
				return errTimeout
			}
		}
		return ok
	})
}

func (l *fakeLibrary) readStatus(h int32) (flags uint32, s status) {
	s = l.with(h, func(x *fakeHandle) status {
		flags = x.channel.state
		return ok
	})
	return flags, s
}

func (l *fakeLibrary) readErrorCounters(h int32) (tx, rx uint32, s status) {
	s = l.with(h, func(*fakeHandle) status { return ok })
	return 17, 300, s
}

func (l *fakeLibrary) newWaiter(h int32) (waiter, status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handles[h], ok
}

func (x *fakeHandle) wait(d time.Duration) status {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-x.event:
	case <-x.woken:
	case <-t.C:
	}
	return ok
}

func (x *fakeHandle) wake()  { set(x.woken) }
func (x *fakeHandle) close() {}

// set sets an event.
func set(event chan struct{}) {
	select {
	case event <- struct{}{}:
	default:
	}
}

// listen is the goroutine of a channel on the bus.
func (c *fakeChannel) listen(tap *virtual.Tap) {
	frames := make([]canbus.Frame, 64)
	for {
		n, err := tap.ReadFrames(frames)
		c.fake.mu.Lock()
		for i := range frames[:n] {
			if c.tap == tap && !c.unplugged {
				c.hear(&frames[i])
			}
		}
		c.fake.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// hear takes a frame from the wire. Under mu.
func (c *fakeChannel) hear(f *canbus.Frame) {
	var m message
	at := time.Now().UnixNano()
	if f.Has(canbus.Timed) {
		at = f.Timestamp
	}
	switch {
	case f.Has(canbus.ErrorFrame) && f.ID&errorframe.BusOff != 0:
		c.state = statusBusOff
		c.all(func(x *fakeHandle) { set(x.event) })
		return
	case f.Has(canbus.ErrorFrame) && f.ID&errorframe.Restarted != 0:
		c.state = 0
		c.all(func(x *fakeHandle) { set(x.event) })
		return
	case f.Has(canbus.ErrorFrame):
		m.flags = msgError | msgBit1
	case f.Has(canbus.Echo):
		c.acknowledge(at)
		return
	default:
		m.encode(f)
	}
	c.all(func(x *fakeHandle) { x.put(m, at) })
}

// acknowledge tells that the oldest message is on the wire. Under mu.
func (c *fakeChannel) acknowledge(at int64) {
	if len(c.sent) == 0 {
		return
	}
	s := c.sent[0]
	c.sent = c.sent[1:]
	c.all(func(x *fakeHandle) {
		m := s.message
		switch {
		case x != s.from:
		case !x.txack:
			return
		case c.lost > 0:
			c.lost--
			x.overrun = true
			return
		default:
			m.flags |= msgTxack
		}
		x.put(m, at)
	})
}

// all calls f with all handles of the channel. Under mu.
func (c *fakeChannel) all(f func(*fakeHandle)) {
	for _, x := range c.fake.handles {
		if x.channel == c && x.onBus {
			f(x)
		}
	}
}

// put gives a handle a message to read. Under mu.
func (x *fakeHandle) put(m message, at int64) {
	if len(x.queue) >= x.channel.queueLen {
		x.overrun = true
		return
	}
	if x.overrun {
		m.flags |= msgOverrun
		x.overrun = false
	}
	m.time = uint32((at/1000 + int64(x.channel.start)) / x.scale)
	x.queue = append(x.queue, m)
	set(x.event)
}

// change changes a channel.
func (l *fakeLibrary) change(channel int, f func(c *fakeChannel)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.channels[channel])
	l.channels[channel].all(func(x *fakeHandle) { set(x.event) })
}
