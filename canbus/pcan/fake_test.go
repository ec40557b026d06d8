package pcan

import (
	"encoding/binary"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is PCAN-Basic with adapters whose channels are all on one wire.
type fake struct {
	wire     *virtual.Network
	mu       sync.Mutex
	quiet    sync.Cond // a channel has something to do
	channels map[uint16]*fakeChannel
	began    time.Time
	old      bool // it knows no PCAN_ATTACHED_CHANNELS
}

type fakeChannel struct {
	fake   *fake
	name   string
	params map[parameter]uint32
	lacks  []parameter // those that its hardware has not

	initialised bool
	fd          bool
	registers   uint16
	timing      string
	event       *fakeEvent
	bus         status // of the controller
	overran     bool
	received    []received
	room        int // in the receive queue
	tap         *virtual.Tap
	sending     []canbus.Frame // the transmit queue
	onWire      bool           // one that was in it is
	stalled     bool           // no node acknowledges: frames stay in the transmit queue
	gone        bool           // unplugged
	refuses     status         // what the next write returns
	opens       status         // what the next initialize returns
	calls       []string
}

type received struct {
	message messageFD
	status  status
	at      time.Duration
}

// queueLen is that of the transmit queue.
const queueLen = 500

// newFake makes adapters with that many channels, USB1 and so on, on a wire of that bit rate;
// 0: frames take no time.
func newFake(channels, bitrate int) *fake {
	wire, err := virtual.New(virtual.Options{Bitrate: bitrate, Echo: true})
	if err != nil {
		panic(err)
	}
	f := &fake{wire: wire, channels: make(map[uint16]*fakeChannel), began: time.Now()}
	f.quiet.L = &f.mu
	for n := range channels {
		f.channels[families[0].handle(n+1)] = &fakeChannel{fake: f, name: "PCAN-USB FD", params: make(map[parameter]uint32), room: 10_000}
	}
	return f
}

func (f *fake) channel(n int) *fakeChannel { return f.channels[families[0].handle(n)] }

// with calls do with the channel locked, if it is there.
func (f *fake) with(handle uint16, call string, do func(c *fakeChannel) status) status {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.channels[handle]
	if c == nil || c.gone {
		return statusIllHw
	}
	if call != "" {
		c.calls = append(c.calls, call)
	}
	return do(c)
}

// change changes the channel.
func (c *fakeChannel) change(do func()) {
	c.fake.mu.Lock()
	defer c.fake.mu.Unlock()
	do()
	c.fake.quiet.Broadcast()
}

func (f *fake) open(handle uint16, fd bool, registers uint16, timing string) status {
	return f.with(handle, "initialize", func(c *fakeChannel) status {
		if s := c.opens; s != statusOK && s != statusCaution {
			return s
		}
		if c.initialised {
			return statusInitialize
		}
		c.initialised, c.fd, c.registers, c.timing = true, fd, registers, timing
		c.received, c.sending, c.bus = nil, nil, 0
		var err error
		if c.tap, err = f.wire.Tap(); err != nil {
			panic(err)
		}
		go c.transmit(c.tap)
		go c.hear(c.tap)
		return c.opens
	})
}

func (f *fake) initialize(handle, registers uint16) status {
	return f.open(handle, false, registers, "")
}

func (f *fake) initializeFD(handle uint16, timing string) status {
	return f.open(handle, true, 0, timing)
}

func (f *fake) uninitialize(handle uint16) status {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.channels[handle] // also one that is gone
	// This machine may be late, and a wire is not: a Bus that has waited long enough loses
	// nothing.
	for (len(c.sending) > 0 || c.onWire) && !c.stalled && !c.gone {
		f.quiet.Wait()
	}
	c.initialised, c.event = false, nil
	c.tap.Close()
	f.quiet.Broadcast()
	c.calls = append(c.calls, "uninitialize")
	return statusOK
}

func (f *fake) reset(handle uint16) status {
	return f.with(handle, "reset", func(c *fakeChannel) status {
		c.received, c.sending = nil, nil
		return statusOK
	})
}

func (f *fake) status(handle uint16) status {
	return f.with(handle, "", func(c *fakeChannel) status {
		s := c.bus
		if c.overran {
			s |= statusQueueOverrun
		}
		return s
	})
}

func (f *fake) readFD(handle uint16, m *messageFD, micros *uint64) status {
	return f.with(handle, "", func(c *fakeChannel) status {
		if !c.initialised {
			return statusInitialize
		}
		if len(c.received) == 0 {
			c.overran = false
			return statusRcvEmpty
		}
		x := c.received[0]
		c.received = c.received[1:]
		*m, *micros = x.message, uint64(x.at.Microseconds())
		return x.status
	})
}

func (f *fake) read(handle uint16, m *message, t *timestamp) status {
	var x messageFD
	var micros uint64
	s := f.readFD(handle, &x, &micros)
	*m = message{id: x.id, kind: x.kind, len: x.dlc, data: [8]byte(x.data[:])}
	millis := micros / 1000
	*t = timestamp{uint32(millis), uint16(millis >> 32), uint16(micros % 1000)}
	return s
}

func (f *fake) writeFD(handle uint16, m *messageFD) status {
	return f.with(handle, "", func(c *fakeChannel) status {
		switch s := c.refuses; {
		case s != statusOK:
			c.refuses = statusOK
			return s
		case !c.initialised:
			return statusInitialize
		case c.bus.has(statusBusOff):
			return statusBusOff
		case len(c.sending) >= queueLen:
			return statusQueueFull | c.bus
		}
		c.sending = append(c.sending, decode(m))
		f.quiet.Broadcast()
		return c.bus
	})
}

func (f *fake) write(handle uint16, m *message) status {
	x := messageFD{id: m.id, kind: m.kind, dlc: m.len}
	copy(x.data[:], m.data[:])
	return f.writeFD(handle, &x)
}

// transmit puts frames from the transmit queue on the wire.
func (c *fakeChannel) transmit(tap *virtual.Tap) {
	c.fake.mu.Lock()
	defer c.fake.mu.Unlock()
	for {
		for c.initialised && c.tap == tap && (c.stalled || len(c.sending) == 0) {
			c.fake.quiet.Wait()
		}
		if !c.initialised || c.tap != tap {
			return
		}
		next := c.sending[:1:1]
		c.sending = c.sending[1:]
		c.onWire = true
		c.fake.mu.Unlock()
		tap.WriteFrames(next)
		c.fake.mu.Lock()
		c.onWire = false
		c.fake.quiet.Broadcast()
	}
}

// hear takes frames from the wire, and echoes.
func (c *fakeChannel) hear(tap *virtual.Tap) {
	frames := make([]canbus.Frame, 64)
	for {
		n, err := tap.ReadFrames(frames)
		if err != nil {
			return
		}
		c.change(func() {
			for i := range frames[:n] {
				var m messageFD
				encode(&m, &frames[i])
				switch {
				case c.gone || c.tap != tap || !c.initialised:
				case frames[i].Has(canbus.FD) && !c.fd:
					c.receive(messageFD{}, statusIllData)
				case !frames[i].Has(canbus.Echo):
					c.receive(m, statusOK)
				case c.params[paramEchoFrames] != 0:
					m.kind |= kindEcho
					c.receive(m, statusOK)
				}
			}
		})
	}
}

// receive puts a message into the receive queue. Under mu.
func (c *fakeChannel) receive(m messageFD, s status) {
	if len(c.received) >= c.room {
		c.overran = true
	} else {
		c.received = append(c.received, received{m, s, time.Since(c.fake.began)})
	}
	if c.event != nil {
		signalEvent(c.event.token)
	}
}

// tell puts a message into the receive queue.
func (c *fakeChannel) tell(m messageFD, s status) { c.change(func() { c.receive(m, s) }) }

// setBus is a change of the controller's state, which a status message tells.
func (c *fakeChannel) setBus(s status) {
	c.change(func() {
		c.bus = s
		m := messageFD{id: 1, kind: kindStatus, dlc: 4}
		binary.BigEndian.PutUint32(m.data[:], uint32(s))
		c.receive(m, statusOK)
	})
}

func (f *fake) get(handle uint16, p parameter, value []byte) status {
	if handle == noChannel {
		return f.list(p, value)
	}
	return f.with(handle, "", func(c *fakeChannel) status {
		switch p {
		case paramHardwareName:
			copy(value, c.name+"\x00")
			return statusOK
		case paramCondition:
			binary.LittleEndian.PutUint32(value, c.condition())
			return statusOK
		case paramFeatures:
			value[0] = featureFD
			return statusOK
		}
		binary.LittleEndian.PutUint32(value, c.params[p])
		return statusOK
	})
}

func (c *fakeChannel) condition() uint32 {
	if c.initialised {
		return conditionOccupied
	}
	return 1
}

func (f *fake) list(p parameter, value []byte) status {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.old {
		return statusIllParamType
	}
	if p == paramAttachedCount {
		binary.LittleEndian.PutUint32(value, uint32(len(f.channels)))
		return statusOK
	}
	clear(value)
	for n := range len(f.channels) {
		c, b := f.channel(n+1), value[n*channelInfoLen:]
		binary.LittleEndian.PutUint16(b, families[0].handle(n+1))
		b[2], b[3], b[4] = 5, byte(n), featureFD
		copy(b[8:], c.name)
		binary.LittleEndian.PutUint32(b[44:], c.params[paramDeviceID])
		binary.LittleEndian.PutUint32(b[48:], c.condition())
	}
	return statusOK
}

func (f *fake) set(handle uint16, p parameter, value []byte) status {
	return f.with(handle, "", func(c *fakeChannel) status {
		if slices.Contains(c.lacks, p) {
			return statusIllParamType
		}
		c.params[p] = number(value)
		return statusOK
	})
}

func (f *fake) listen(handle uint16) (event, error) {
	e := &fakeEvent{token: make(chan struct{}, 1)}
	s := f.with(handle, "", func(c *fakeChannel) status {
		if slices.Contains(c.lacks, paramReceiveEvent) {
			return statusIllParamType
		}
		c.event = e
		return statusOK
	})
	if s != statusOK {
		return nil, s
	}
	return e, nil
}

// A fakeEvent is set while it has a token, and waiting resets it.
type fakeEvent struct {
	token  chan struct{}
	closed atomic.Bool
}

func (e *fakeEvent) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-e.token:
	case <-t.C:
	}
}

// wake goes on for a while after it has waked: close must not come before it returns.
func (e *fakeEvent) wake() {
	signalEvent(e.token)
	for range 100 {
		runtime.Gosched()
	}
	if e.closed.Load() {
		panic("the event is closed while it is set")
	}
}

func (e *fakeEvent) close() { e.closed.Store(true) }

func signalEvent(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// openFake opens the n-th channel of a fake, perhaps behind another library.
func openFake(f library, n int, o Options) (*Bus, error) {
	s, err := o.setting()
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	handle := families[0].handle(n)
	return open(f, handle, channelName(handle), s, &o)
}
