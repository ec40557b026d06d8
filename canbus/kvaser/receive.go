package kvaser

import (
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/errorframe"
)

// drainLen is how many messages are read in a row before others may use the handle.
const drainLen = 64

// receive is the goroutine that waits for something to happen to the channel.
func (b *Bus) receive() {
	defer b.shutDown()
	for b.life.Err() == nil {
		more, wait := b.look()
		if more {
			continue
		}
		if s := b.waiter.wait(wait); s < ok {
			b.fail("WaitForMultipleObjects", s)
		}
	}
}

// look takes what has come, and looks after the channel. It returns whether there may be more,
// or how long to wait at most until it is to look again.
func (b *Bus) look() (more bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.drain() {
		return true, 0
	}
	if b.overrun {
		b.verify()
	}
	switch {
	case !b.watch():
		return false, 0
	case time.Since(b.onSince) < staleTime:
		return false, staleTime
	case b.state&statusBusOff == 0:
		return false, lookTime
	}
	wait = restartTime - time.Since(b.offSince)
	if wait <= 0 {
		b.restart()
		wait = restartTime
	}
	return false, wait
}

// drain reads messages, and reports whether it has read all. Under mu.
func (b *Bus) drain() (all bool) {
	for range drainLen {
		switch s := b.lib.read(b.handle, &b.rx); {
		case s == errNoMessage:
			return true
		case s < ok:
			b.fail("canRead", s)
			return true
		}
		b.hear(&b.rx)
	}
	return false
}

// hear takes a message. Under mu.
func (b *Bus) hear(m *message) {
	at := b.time(m.time)
	if m.flags&msgOverrun != 0 {
		b.overrun = true
		b.frames.Overrun(1)
		b.report(at, errorframe.Controller, errorframe.ReceiveOverflow)
	}
	if m.flags&msgError != 0 {
		b.hearError(m, at)
		return
	}
	f := decode(m)
	f.Stamp(at)
	switch {
	case m.flags&msgTxack != 0:
		b.frames.Echo(&f)
	case m.flags&(msgTxrq|msgTxnack) == 0:
		b.frames.Push(&f)
	}
}

// time returns the time of a message, in nanoseconds since the Unix epoch. Under mu.
func (b *Bus) time(ticks uint32) int64 {
	b.elapsed += int64(int32(ticks-b.last)) * b.unit
	b.last = ticks
	return b.clock.At(b.elapsed, time.Now())
}

// verify asks, after an overrun, whether there are frames to send yet: acknowledgements that were
// lost in it will never come. Under mu.
func (b *Bus) verify() {
	if b.lib.writeSync(b.handle, 0) >= ok {
		b.frames.EchoAll()
	}
	b.overrun = b.frames.InDoubt() > 0
}

// watch looks at the state of the controller, and reports changes as error frames. It returns
// false if the channel is gone. Under mu.
func (b *Bus) watch() bool {
	flags, s := b.lib.readStatus(b.handle)
	if s < ok {
		b.fail("canReadStatus", s)
		return false
	}
	now, before := time.Now(), b.state
	b.state = flags & (statusPassive | statusBusOff | statusWarning)
	if now.Sub(b.onSince) < staleTime {
		b.state &^= statusBusOff
	}
	switch {
	case b.state == before:
	case (before^b.state)&statusBusOff == 0:
		b.report(now.UnixNano(), errorframe.Controller, controllerState(b.state))
	case b.state&statusBusOff != 0:
		b.offSince = now
		b.report(now.UnixNano(), errorframe.BusOff, 0)
	default:
		b.report(now.UnixNano(), errorframe.Restarted, 0)
	}
	return true
}

// restart takes a controller that is off the bus there again. What it should have sent is lost.
// Under mu.
func (b *Bus) restart() {
	b.offSince = time.Now()
	b.lib.busOff(b.handle)
	b.lib.ioctl(b.handle, ioctlFlushTxBuffer, nil)
	b.frames.RefuseAll()
	if s := b.lib.busOn(b.handle); s < ok {
		b.fail("canBusOn", s)
		return
	}
	b.onSince = time.Now()
	b.watch()
}

// ReadFrames implements [canbus.Bus].
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) { return b.frames.Read(frames) }
