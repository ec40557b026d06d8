package engine

import "example.com/isotp/internal/wire"

// SetReading sets how messages are read from now on. A message that has waited for this
// decision goes on, or is refused.
func (e *Engine) SetReading(now Time, how Reading) {
	rx := &e.rx
	if rx.reading == how {
		return
	}
	rx.reading = how
	switch {
	case rx.state == receiveIdle:
	case how == ReadStreams:
		// A message that was started is the next one, or stands behind completed ones.
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

// Read copies the next bytes of the first message to p. A message that is streamed, or was
// opened by Open, gives its bytes as they come; others when they are completed. Bytes that
// do not fit stay. ok is false if there is nothing to read, or p is empty: the reader waits.
func (e *Engine) Read(p []byte) (n int, info Info, ok bool) {
	m := e.queue.first()
	found := e.readable(m) && (len(p) > 0 || m.unread() == 0)
	switch e.reader.reads(found, waitsForMessage); {
	case !found:
		return 0, Info{}, false
	case m.unread() == 0:
		return 0, e.popFailed(), true
	}
	m.begun = true
	n = copy(p, m.buf[m.read:])
	m.read += n
	info = m.info
	info.Rest = m.unread()
	if m.complete {
		e.queue.count(m, -n)
		if info.End = info.Rest == 0; info.End {
			e.pop()
		}
	}
	e.roomMade()
	return n, info, true
}

// popFailed removes the first message, which was aborted, or stands for a loss.
func (e *Engine) popFailed() Info {
	info := e.queue.first().failed()
	e.pop()
	return info
}

// failed is what reads return of a message that was given up, or of a loss.
func (m *message) failed() Info { return Info{Dropped: m.info.Dropped, End: true, Why: m.fail} }

// Begun returns the next message for Read, complete or not, as soon as its first
// frame has come. With a Why that is not OK it is what Read would return, and
// taken out. ok is false if there is none: the reader waits, and Readable is among the
// events when a message begins, or is given up.
func (e *Engine) Begun() (info Info, ok bool) {
	m := e.queue.first()
	if m == nil && e.Coming() {
		m = e.rx.msg
	}
	switch e.reader.reads(m != nil, waitsForBegin); {
	case m == nil:
		return Info{}, false
	case m.fail != OK && m.unread() == 0:
		return e.popFailed(), true
	}
	info = m.info
	info.Rest = m.unread()
	return info, true
}

// InMidMessage reports whether a part of a message has been read, or it was opened, and
// not all of it was.
func (e *Engine) InMidMessage() bool {
	m := e.queue.first()
	return m != nil && m.begun
}

// pop takes the first message out, which makes room for what is held back.
func (e *Engine) pop() {
	e.unclaim(e.queue.first())
	e.queue.pop()
	e.roomMade()
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
	case e.queue.level > e.cfg.HighMark && e.Readable(), rx.undecided, rx.unadmitted:
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
func (e *Engine) First() (p []byte, info Info, ok bool) {
	m := e.queue.first()
	if e.reader.reads(e.readable(m), waitsForMessage); !e.readable(m) {
		return nil, Info{}, false
	}
	if m.unread() == 0 {
		return nil, m.failed(), true
	}
	return m.buf[m.read:], m.info, true
}

// RemoveFirst takes the message out that First has returned.
func (e *Engine) RemoveFirst() { e.pop() }

// ReadWhole is Read that takes the first message out, however much of it fits in
// p. What does not is lost, but with grow a longer p is made for it. It is for
// engines with ReadMessages.
func (e *Engine) ReadWhole(p []byte, grow bool) (whole []byte, info Info, ok bool) {
	m := e.queue.first()
	if e.reader.reads(e.readable(m), waitsForMessage); !e.readable(m) {
		return nil, Info{}, false
	}
	size := m.unread()
	if size == 0 {
		return nil, e.popFailed(), true
	}
	if size > len(p) && grow {
		p = make([]byte, size)
	}
	whole = p[:copy(p, m.buf[m.read:])]
	info = m.info
	info.Rest, info.End = size-len(whole), true
	e.pop()
	return whole, info, true
}

// Open begins to read the next message, complete or not; Read then gives its
// bytes as they come. What is left of a message opened before is skipped; what
// Read has left of one comes first. ok is false if there is none: the reader waits.
func (e *Engine) Open() (info Info, ok bool) {
	if m := e.queue.first(); m != nil && m.opened {
		e.skip(m)
	}
	m := e.queue.first()
	switch e.reader.reads(m != nil, waitsForMessage); {
	case m == nil:
		return Info{}, false
	case m.info.Size == 0:
		return e.popFailed(), true
	}
	m.begun, m.opened = true, true
	info = m.info
	info.Rest = m.unread()
	return info, true
}
