package engine

import "example.com/isotp/internal/wire"

// SetReading says how messages are read from now on. It decides about a message
// that had to wait for that.
func (e *Engine) SetReading(now Time, how Reading) {
	rx := &e.rx
	if rx.reading == how {
		return
	}
	rx.reading = how
	switch {
	case rx.state == receiveIdle:
	case how == ReadStreams:
		// A message that has begun is the next one, or behind those complete.
		if rx.undecided || rx.unadmitted {
			if rx.unadmitted {
				e.budget.stopWaiting(e)
			}
			rx.undecided, rx.unadmitted = false, false
			rx.msg.streamed = true
		}
		if !rx.msg.skipped {
			e.enqueue(rx.msg)
		}
		e.roomMade()
	case rx.undecided && e.tooLong(rx.msg.info.Size):
		e.abortReceive(now, MessageTooLong)
		e.queueFlowControl(wire.Overflow)
	case rx.undecided:
		rx.undecided = false
		if m := rx.msg; !m.skipped {
			if m.claimed = e.admit(now, m.info.Size); !m.claimed {
				e.wait()
			}
		}
		e.roomMade()
	}
}

// Read copies the next bytes of the first message to p: of one that is streamed
// or begun with Open as they come, of others when the message is complete. What does not
// fit stays. end reports that the message ends with these bytes.
//
// With a why that is not OK there are no bytes: ReceiverFull says that messages
// were lost here, other codes that the message being read, or with ReportAborted
// waited for, was given up. It is said once. With ok false there is nothing to
// read, or p is empty.
func (e *Engine) Read(p []byte) (n int, info Info, end bool, why Code, ok bool) {
	m := e.queue.first()
	if !e.readable(m) {
		return 0, Info{}, false, OK, false
	}
	if m.unread() == 0 {
		info, why = failed(m)
		e.pop()
		return 0, info, true, why, true
	}
	if len(p) == 0 {
		return 0, Info{}, false, OK, false
	}
	m.begun = true
	n = copy(p, m.buf[m.read:])
	m.read += n
	info = m.info
	info.Rest = m.unread()
	if m.complete {
		e.queue.count(m, -n)
		if info.Rest == 0 {
			end = true
			e.pop()
		}
	}
	e.roomMade()
	return n, info, end, OK, true
}

// failed is what reads return of a message that was given up, or of a loss.
func failed(m *message) (Info, Code) { return Info{Dropped: m.info.Dropped}, m.fail }

// InMidMessage reports whether a part of a message has been read, or it was opened, and
// not all of it was.
func (e *Engine) InMidMessage() bool {
	m := e.queue.first()
	return m != nil && m.begun
}

// pop takes the first message out.
func (e *Engine) pop() {
	e.unclaim(e.queue.first())
	e.queue.pop()
}

// readable reports whether m, the first message or nil, has something for Read.
func (e *Engine) readable(m *message) bool {
	if m == nil || !m.complete && !m.streamed && !m.begun && m.fail == OK {
		return false
	}
	return m.unread() > 0 || m.fail != OK
}

// Full reports whether, on a bus that can wait, its next frame waits until more has been
// read.
func (e *Engine) Full() bool {
	rx := &e.rx
	switch {
	case e.queue.level > e.cfg.HighMark, rx.undecided, rx.unadmitted:
		return true
	case rx.state == receiveIdle || !rx.msg.streamed || rx.msg.skipped:
		return false
	}
	return rx.msg.unread() >= e.cfg.Window
}

// Readable reports whether Read and ReadWhole have something to return.
func (e *Engine) Readable() bool { return e.readable(e.queue.first()) }

// First returns the bytes of the first message, all of them and without taking
// them out. They are good until RemoveFirst, which must follow if ok is true. It is
// for engines with ReadMessages; the rest is as of Read.
func (e *Engine) First() (p []byte, info Info, why Code, ok bool) {
	m := e.queue.first()
	if !e.readable(m) {
		return nil, Info{}, OK, false
	}
	if m.unread() == 0 {
		info, why = failed(m)
		return nil, info, why, true
	}
	return m.buf[m.read:], m.info, OK, true
}

// RemoveFirst takes the message out that First has returned.
func (e *Engine) RemoveFirst() {
	e.pop()
	e.roomMade()
}

// ReadWhole is Read that takes the first message out, however much of it fits in
// p. What does not is lost, but with grow a longer p is made for it. It is for
// engines with ReadMessages.
func (e *Engine) ReadWhole(p []byte, grow bool) (whole []byte, info Info, why Code, ok bool) {
	m := e.queue.first()
	if !e.readable(m) {
		return nil, Info{}, OK, false
	}
	size := m.unread()
	if info, why = m.info, m.fail; size > 0 {
		why = OK
	}
	if size > len(p) && grow {
		p = make([]byte, size)
	}
	whole = p[:copy(p, m.buf[m.read:])]
	info.Rest = size - len(whole)
	e.pop()
	e.roomMade()
	return whole, info, why, true
}

// Open begins to read the next message, complete or not; Read then gives its
// bytes as they come. What is left of a message opened before is skipped; what
// Read has left of one comes first.
func (e *Engine) Open() (info Info, why Code, ok bool) {
	if m := e.queue.first(); m != nil && m.opened {
		e.skip(m)
	}
	m := e.queue.first()
	switch {
	case m == nil:
		return Info{}, OK, false
	case m.info.Size == 0:
		info, why = failed(m)
		e.pop()
		return info, why, true
	}
	m.begun, m.opened = true, true
	info = m.info
	info.Rest = m.unread()
	return info, OK, true
}

// skipRest has the rest of the message that is coming thrown away.
func (e *Engine) skipRest() {
	rx := &e.rx
	e.unclaim(rx.msg)
	if rx.unadmitted {
		rx.unadmitted = false
		e.budget.stopWaiting(e)
	}
	rx.msg.drop()
}

// skip takes the first message out of the queue, and what of it is still to come.
func (e *Engine) skip(m *message) {
	if m.complete || m.fail != OK {
		e.pop()
	} else {
		e.queue.remove(m)
		e.skipRest()
	}
	e.roomMade()
}
