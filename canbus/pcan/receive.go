package pcan

import (
	"encoding/binary"
	"time"

	"example.com/isotp/canbus/internal/errorframe"
)

// maxOdd is how many reads in a row may bring neither a message nor the end of the queue,
// until the queue is taken to be empty.
const maxOdd = 100

// An inbox is what the library's functions for reading write to. It is made once.
type inbox struct {
	classic   message
	timestamp timestamp
	message   messageFD
	micros    uint64
}

// told is the status that the message tells, if it is one with kindStatus.
func (in *inbox) told() status {
	if in.message.kind&kindStatus == 0 {
		return statusOK
	}
	return status(binary.BigEndian.Uint32(in.message.data[:]))
}

// receive is the goroutine that reads the channel. At the end it closes the channel.
func (b *Bus) receive() {
	defer close(b.ended)
	for b.life.Err() == nil && b.drain() && b.look() {
		b.event.wait(statusTime)
	}
	b.life.Close() // it is over: this waits until wake has returned
	b.writing.Lock()
	defer b.writing.Unlock()
	b.lib.uninitialize(b.handle)
	b.event.close()
}

// drain reads until the library's queue is empty. It reports false when the adapter is gone.
func (b *Bus) drain() bool {
	for odd := 0; odd < maxOdd && b.life.Err() == nil; {
		timestamp, s := b.read()
		switch {
		case s.has(statusIllData):
			b.malformed.Add(1)
			odd++
			continue
		case !s.usable():
			b.lose(s)
			return false
		}
		if (s | b.in.told()).has(anyOverrun) {
			b.lost()
		}
		if s.has(statusBusOff) {
			b.report(s)
		}
		switch {
		case s.has(statusRcvEmpty):
			return true
		case !b.came(timestamp, s):
			odd++
		default:
			b.take(timestamp)
			odd = 0
		}
	}
	return true
}

// came reports whether a message has come with a status. The library may tell only of the
// controller's state: with no message, or, of a controller that is off, with an empty one.
func (b *Bus) came(timestamp time.Duration, s status) bool {
	return s == statusOK || b.in.message != messageFD{} || timestamp != 0 && !s.has(statusBusOff)
}

// read reads a message into in.message, also one of classic CAN.
func (b *Bus) read() (at time.Duration, s status) {
	in := &b.in
	if b.setting.fd {
		in.message, in.micros = messageFD{}, 0
		s = b.lib.readFD(b.handle, &in.message, &in.micros)
		return time.Duration(in.micros) * time.Microsecond, s
	}
	in.classic, in.timestamp = message{}, timestamp{}
	s = b.lib.read(b.handle, &in.classic, &in.timestamp)
	m := &in.classic
	in.message = messageFD{id: m.id, kind: m.kind, dlc: m.len}
	copy(in.message.data[:], m.data[:])
	return in.timestamp.duration(), s
}

// take takes the message in in.message.
func (b *Bus) take(timestamp time.Duration) {
	m := &b.in.message
	at := b.clock.At(int64(timestamp), time.Now())
	switch {
	case m.kind&kindStatus != 0:
		b.report(b.in.told())
	case m.kind&kindError != 0:
		f := protocolError(m)
		f.Stamp(at)
		b.frames.Push(&f)
	default:
		f := decode(m)
		f.Stamp(at)
		if m.kind&kindEcho != 0 {
			b.frames.Echo(&f)
		} else {
			b.frames.Push(&f)
		}
	}
}

// look asks for the channel's status, once drain has read all that came before. It reports
// false when the bus has ended.
func (b *Bus) look() bool {
	s := b.lib.status(b.handle)
	if !s.usable() {
		b.lose(s)
		return false
	}
	overrun := s.has(anyOverrun)
	if overrun && !b.overrun { // else it is one that is known
		b.lost()
	}
	b.overrun = overrun
	b.report(s)
	return !b.unsent || b.recover()
}

// lost counts that frames were lost before this driver could read them, and tells of it with
// an error frame.
func (b *Bus) lost() {
	b.overrun = true
	b.frames.Overrun(1)
	b.tell(errorframe.Controller, errorframe.ReceiveOverflow)
}

// tell gives ReadFrames an error frame.
func (b *Bus) tell(class uint32, detail byte) {
	f := errorframe.New(class, detail)
	f.Stamp(time.Now().UnixNano())
	b.frames.Push(&f)
}

// report tells of a change of the controller's state.
func (b *Bus) report(s status) {
	before, now := b.state, b.setting.stateOf(s)
	if now == before {
		return
	}
	b.state = now
	if now == busOff {
		b.tell(errorframe.BusOff, 0)
		b.unsent = true
		return
	}
	if before == busOff {
		b.tell(errorframe.Restarted, 0)
		before = active
	}
	if now != before {
		b.tell(errorframe.Controller, details[now])
	}
}

// recover is called after a bus-off. The controller comes back by itself, after a while. What
// becomes of the frames in the transmit queue is not documented, so they are thrown away, and
// come back as refused. The library throws its receive queue away, too: it must be empty. recover
// reports false when the bus has ended.
func (b *Bus) recover() bool {
	b.unsent = false
	b.writing.Lock()
	defer b.writing.Unlock()
	if !b.resets {
		b.fail(statusBusOff, "its library cannot bring it back: open it anew")
		return false
	}
	s := b.lib.reset(b.handle)
	if !s.usable() {
		b.fail(s, "")
		return false
	}
	b.log.Warn("pcan: bus-off", "channel", b.name, "frames thrown away", b.frames.RefuseAll())
	return true
}
