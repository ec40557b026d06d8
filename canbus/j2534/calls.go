package j2534

import (
	"fmt"
	"runtime"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/account"
)

const (
	// readTime is how long a read waits for a message: so long a frame that is to be written
	// may wait.
	readTime = time.Millisecond
	// stallTime is for how long a full buffer may make no progress, until it is taken to be lost.
	stallTime = 2 * time.Second
)

// run is the goroutine that makes all calls of the library, on a thread of its own, which
// ends with it. It sends why the adapter could not be opened, or nil, to opened.
func (b *Bus) run(load func(file string) (library, error), o *Options, opened chan<- error) {
	runtime.LockOSThread()
	defer close(b.ended)
	defer release(b.adapter.Library)
	err := b.setUp(load, o)
	opened <- err
	if err != nil {
		return
	}
	for b.life.Err() == nil {
		select {
		case frames := <-b.orders:
			b.answers <- b.write(frames)
		default:
		}
		start := time.Now()
		if !b.read() && time.Since(start) < readTime/4 {
			time.Sleep(readTime) // this library does not wait
		}
		b.watch()
	}
	b.lib.disconnect(b.channel)
	b.lib.close(b.device)
}

// setUp opens the adapter and a channel of it.
func (b *Bus) setUp(load func(file string) (library, error), o *Options) (err error) {
	if b.lib, err = load(b.adapter.Library); err != nil {
		return err
	}
	var s status
	if b.device, s = b.lib.open(); s != ok {
		return b.failed("PassThruOpen", s)
	}
	if err := b.connect(o); err != nil {
		b.lib.close(b.device)
		return err
	}
	return nil
}

func (b *Bus) connect(o *Options) error {
	var s status
	b.version.Firmware, b.version.Library, b.version.API, _ = b.lib.version(b.device)
	if b.channel, s = b.lib.connect(b.device, protocolCAN, connectIDBoth, uint32(o.Bitrate)); s != ok {
		return fmt.Errorf("bit rate %d: %w", o.Bitrate, b.failed("PassThruConnect", s))
	}
	if err := b.passAll(); err != nil {
		b.lib.disconnect(b.channel)
		return err
	}
	b.lib.ioctl(b.channel, ioctlClearRx) // what came before the filters may be a part only
	if b.props.Echo = !o.NoEcho && b.lib.set(b.channel, parameterLoopback, 1) == ok; !b.props.Echo {
		b.frames.Pace()
	}
	return nil
}

// passAll lets all messages pass: without a filter none does. By the standard one filter would
// be enough, but some adapters pass only identifiers of the length that the filter's messages have.
func (b *Bus) passAll() error {
	var mask, pattern message // of zeros, which every identifier matches
	mask.begin(idLen)
	pattern.begin(idLen)
	if s := b.lib.startFilter(b.channel, passFilter, &mask, &pattern); s != ok {
		return b.failed("PassThruStartMsgFilter", s)
	}
	mask.txFlags, pattern.txFlags = flagExtended, flagExtended
	if s := b.lib.startFilter(b.channel, passFilter, &mask, &pattern); s != ok {
		b.log.Warn("j2534: frames with identifiers of 29 bits may not be received", "err", b.failed("PassThruStartMsgFilter", s))
	}
	return nil
}

// failed returns the error of a call.
func (b *Bus) failed(call string, s status) *Error {
	return &Error{call, int(s), b.lib.lastError()}
}

// fail makes the loss of the adapter the error of every call.
func (b *Bus) fail(call string, s status) {
	b.life.Fail(&canbus.GoneError{Bus: "j2534: the adapter " + b.adapter.Name, Err: b.failed(call, s), InDoubt: b.frames.InDoubt()})
}

// read reads a message, and reports whether one has come. It asks for one, because a read with a
// time waits for all that it is asked for, and some libraries wait for ever without one.
func (b *Bus) read() bool {
	b.in[0].size = 0 // if the library fills nothing
	n, s := b.lib.read(b.channel, b.in[:], uint32(readTime.Milliseconds()))
	switch s {
	case ok, errTimeout, errBufferEmpty:
	case errBufferOverflow:
		b.overrun = true
		b.frames.Overrun(1)
	default:
		b.fail("PassThruReadMsgs", s)
		return false
	}
	if n == 0 || b.in[0].size == 0 {
		return false
	}
	b.hear(&b.in[0])
	return true
}

// hear takes a message.
func (b *Bus) hear(m *message) {
	if m.rxStatus&flagIndication != 0 {
		return
	}
	f, valid := m.decode()
	if !valid {
		b.malformed.Add(1)
		return
	}
	f.Stamp(b.time(m.timestamp))
	if m.rxStatus&flagLoopback == 0 {
		b.frames.Push(&f)
	} else {
		b.moved = time.Now()
		b.frames.Echo(&f)
	}
}

// time returns the time of a message, in nanoseconds since the Unix epoch.
func (b *Bus) time(micros uint32) int64 {
	now := time.Now()
	if micros == 0 {
		return now.UnixNano() // of adapters that have no clock
	}
	// The adapter's clock begins anew every 71 minutes. After a pause that long it is put to
	// the computer's anew, too.
	b.elapsed += int64(int32(micros - b.last))
	b.last = micros
	return b.clock.At(b.elapsed*int64(time.Microsecond), now)
}

// An answer is what has become of frames that were to be written: how many were taken, and why
// the next one was not.
type answer struct {
	taken int
	err   error
}

// write gives frames to the library. It has taken none with errFull.
func (b *Bus) write(frames []canbus.Frame) answer {
	for i := range frames {
		b.out[i].encode(&frames[i])
	}
	// Without a time it does not wait until they are sent. A library that says ERR_TIMEOUT all
	// the same is taken at its word as to how many it has taken.
	n, s := b.lib.write(b.channel, b.out[:len(frames)], 0)
	for i := range frames[:n] {
		b.frames.Write(&frames[i])
	}
	if n > 0 {
		b.moved = time.Now()
	}
	switch {
	case s == ok || s == errTimeout || s == errBufferFull:
		if n == 0 {
			return answer{0, errFull}
		}
		return answer{n, nil}
	case s.gone():
		b.fail("PassThruWriteMsgs", s)
		return answer{n, b.life.Err()}
	}
	at := &frames[min(n, len(frames)-1)]
	return answer{n, fmt.Errorf("j2534: %s: frame %X: %w", b.adapter.Name, at.ID, b.failed("PassThruWriteMsgs", s))}
}

// watch gives frames up that have no echo, if no more can be written for them. The adapter has
// lost them, at bus-off perhaps, of which it does not tell; or their echoes were lost.
func (b *Bus) watch() {
	n := b.frames.InDoubt()
	b.overrun = b.overrun && n > 0
	if n < account.MaxInFlight || time.Since(b.moved) < stallTime {
		return
	}
	if b.overrun {
		b.frames.EchoAll()
		return
	}
	b.lib.ioctl(b.channel, ioctlClearTx)
	b.log.Warn("j2534: no frame is sent: is the bit rate that of the others, and the wiring right?",
		"adapter", b.adapter.Name, "frames thrown away", b.frames.RefuseAll())
}
