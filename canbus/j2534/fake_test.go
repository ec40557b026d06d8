package j2534

import (
	"bytes"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is the library of an adapter on a wire.
type fake struct {
	wire *virtual.Network

	mu       sync.Mutex
	quiet    sync.Cond // it has something to do
	caller   string    // the goroutine that calls
	calls    []string
	reads    int
	device   bool
	tap      *virtual.Tap // of the channel
	bitrate  uint32
	loopback bool
	passes   map[bool]bool // frames with identifiers of 29 bits, and others
	received []heard
	room     int           // for messages that are received
	came     chan struct{} // a token: one was
	overran  bool
	sending  []canbus.Frame
	sendRoom int
	onWire   bool   // one that was in sending
	stalled  bool   // no node acknowledges: frames stay in the adapter
	deaf     bool   // its loopback is on, and does nothing
	gone     bool   // unplugged
	clock    uint32 // its time when it began
	began    time.Time
	fails    map[string]status // what a call answers
	unit     time.Duration     // what waits are counted in
}

const sendRoom = 500

// heard is a message that was received, without the room in it that CAN does not use.
type heard struct {
	protocol, rxStatus, timestamp, size uint32
	data                                [12]byte
}

func (h *heard) message() message {
	m := message{protocol: h.protocol, rxStatus: h.rxStatus, timestamp: h.timestamp, size: h.size, extra: h.size}
	copy(m.data[:], h.data[:])
	return m
}

// newFake makes an adapter on a wire.
func newFake(wire *virtual.Network) *fake {
	f := &fake{
		wire: wire, passes: make(map[bool]bool), room: 10_000, came: make(chan struct{}, 1),
		sendRoom: sendRoom, began: time.Now(), clock: 1, fails: make(map[string]status),
		unit: time.Millisecond,
	}
	f.quiet.L = &f.mu
	return f
}

// newWire makes a wire of that bit rate; 0: frames take no time.
func newWire(bitrate int) *virtual.Network {
	wire, err := virtual.New(virtual.Options{Bitrate: bitrate, Echo: true, BufferLen: 1 << 14})
	if err != nil {
		panic(err)
	}
	return wire
}

// with does a call, if the adapter is there and does not fail it.
func (f *fake) with(call string, do func() status) status {
	f.mu.Lock()
	defer f.mu.Unlock()
	if g := goroutine(); f.caller == "" {
		f.caller = g
	} else if f.caller != g {
		panic("the library is called by two goroutines")
	}
	if call == "read" {
		f.reads++
	} else {
		f.calls = append(f.calls, call)
	}
	if s := f.fails[call]; s != ok {
		return s
	}
	if f.gone {
		return errDeviceNotConnected
	}
	return do()
}

func goroutine() string {
	var buf [64]byte
	name, _, _ := bytes.Cut(buf[:runtime.Stack(buf[:], false)], []byte(" ["))
	return string(name)
}

// change changes the adapter.
func (f *fake) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	f.quiet.Broadcast()
}

func (f *fake) open() (device uint32, s status) {
	return 7, f.with("open", func() status {
		f.device = true
		return ok
	})
}

func (f *fake) close(uint32) status {
	return f.with("close", func() status {
		f.device, f.caller = false, ""
		return ok
	})
}

func (f *fake) connect(device, protocol, flags, bitrate uint32) (channel uint32, s status) {
	return 8, f.with("connect", func() (s status) {
		if device != 7 || protocol != protocolCAN || flags != connectIDBoth {
			return errFailed
		}
		f.bitrate = bitrate
		var err error
		if f.tap, err = f.wire.Tap(); err != nil {
			panic(err)
		}
		go f.transmit(f.tap)
		go f.hear(f.tap)
		return ok
	})
}

func (f *fake) disconnect(uint32) status {
	f.with("disconnect", func() status { return ok })
	f.mu.Lock()
	defer f.mu.Unlock()
	// This machine may be late, and a wire is not: a Bus that has waited long enough loses
	// nothing.
	for (len(f.sending) > 0 || f.onWire) && !f.stalled && !f.gone {
		f.quiet.Wait()
	}
	f.tap.Close()
	f.tap = nil
	f.quiet.Broadcast()
	return ok
}

func (f *fake) read(_ uint32, list []message, wait uint32) (n int, s status) {
	deadline := time.After(time.Duration(wait) * f.unit)
	for {
		s = f.with("read", func() status {
			for n < len(list) && len(f.received) > 0 {
				list[n] = f.received[0].message()
				f.received = f.received[1:]
				n++
			}
			if f.overran {
				f.overran = false
				return errBufferOverflow
			}
			return ok
		})
		if s != ok || n == len(list) {
			return n, s
		}
		if wait > 0 {
			select {
			case <-f.came:
				continue
			case <-deadline:
			}
		}
		if n == 0 {
			return 0, errBufferEmpty
		}
		return n, errTimeout
	}
}

func (f *fake) write(_ uint32, list []message, _ uint32) (n int, s status) {
	s = f.with("write", func() status {
		for i := range list {
			if len(f.sending) >= f.sendRoom {
				return errBufferFull
			}
			frame, valid := list[i].decode()
			if !valid {
				return errInvalidMsg
			}
			if list[i].txFlags&flagExtended != 0 {
				list[i].rxStatus |= flagExtended
				frame, _ = list[i].decode()
			}
			f.sending = append(f.sending, frame)
			n++
		}
		return ok
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.quiet.Broadcast()
	return n, s
}

func (f *fake) startFilter(_, kind uint32, mask, pattern *message) status {
	return f.with("filter", func() status {
		for _, m := range []*message{mask, pattern} {
			if kind != passFilter || m.size != idLen || m.protocol != protocolCAN || [idLen]byte(m.data[:]) != [idLen]byte{} {
				return errInvalidMsg
			}
		}
		if mask.txFlags != pattern.txFlags {
			return errInvalidMsg
		}
		f.passes[mask.txFlags&flagExtended != 0] = true
		return ok
	})
}

func (f *fake) set(_, parameter, value uint32) status {
	return f.with("set", func() status {
		if parameter != parameterLoopback {
			return errNotSupported
		}
		f.loopback = value == 1
		return ok
	})
}

func (f *fake) ioctl(_, id uint32) status {
	return f.with("ioctl", func() status {
		switch id {
		case ioctlClearTx:
			f.sending = nil
		case ioctlClearRx:
			f.received = nil
		}
		return ok
	})
}

func (f *fake) version(uint32) (firmware, library, api string, s status) {
	return "1.2", "3.4", "04.04", f.with("version", func() status { return ok })
}

func (f *fake) lastError() string { return "as the library says" }

// transmit puts frames on the wire.
func (f *fake) transmit(tap *virtual.Tap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for f.tap == tap && (f.stalled || len(f.sending) == 0) {
			f.quiet.Wait()
		}
		if f.tap != tap {
			return
		}
		next := f.sending[:1:1]
		f.sending = f.sending[1:]
		f.onWire = true
		f.mu.Unlock()
		tap.WriteFrames(next)
		f.mu.Lock()
		f.onWire = false
		f.quiet.Broadcast()
	}
}

// hear takes frames from the wire, and echoes.
func (f *fake) hear(tap *virtual.Tap) {
	frames := make([]canbus.Frame, 64)
	for {
		n, err := tap.ReadFrames(frames)
		if err != nil {
			return
		}
		f.change(func() {
			for i := range frames[:n] {
				f.receive(&frames[i])
			}
		})
	}
}

// receive puts a message into the buffer of those received. Under mu.
func (f *fake) receive(frame *canbus.Frame) {
	var m message
	m.encode(frame)
	h := heard{m.protocol, m.txFlags, f.clock + uint32(time.Since(f.began).Microseconds()), m.size, [12]byte(m.data[:])}
	switch {
	case frame.Has(canbus.Echo):
		h.rxStatus |= flagLoopback
		if !f.loopback || f.deaf {
			return
		}
	case !f.passes[frame.Has(canbus.Extended)]:
		return
	}
	f.put(h)
}

// put puts a message into the buffer of those received. Under mu.
func (f *fake) put(h heard) {
	if len(f.received) >= f.room {
		f.overran = true
	} else {
		f.received = append(f.received, h)
	}
	select {
	case f.came <- struct{}{}:
	default:
	}
}

// adapter is the adapter of a fake, with a library that is no other's.
func (f *fake) adapter(name string) Adapter {
	return Adapter{Name: name, Library: name + ".dll", CAN: true}
}

// openFake opens the adapter.
func openFake(f *fake, name string, o Options) (*Bus, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return open(f.adapter(name), func(string) (library, error) { return f, nil }, o)
}

// wasCalled reports whether a function was called.
func (f *fake) wasCalled(call string) (is bool) {
	f.change(func() { is = slices.Contains(f.calls, call) })
	return is
}
