package engine

// A Progress says how far a message has come. Both are 0 where there is none.
type Progress struct {
	Done, Size uint32 // bytes
}

// Receiving is how much of the message being received has come.
func (e *Engine) Receiving() Progress {
	if e.rx.state == receiveIdle {
		return Progress{}
	}
	return Progress{e.rx.got, e.rx.msg.info.Size}
}

// SendingProgress is how much of the message being sent was handed over.
func (e *Engine) SendingProgress() Progress {
	if !e.Sending() {
		return Progress{}
	}
	return Progress{e.tx.taken, e.tx.size}
}

// Begun returns the next message for Read, complete or not, as soon as its first
// frame has come. With a why that is not OK it is what Read would return, and
// taken out.
func (e *Engine) Begun() (info Info, why Code, ok bool) {
	m := e.queue.first()
	if m == nil && e.rx.state != receiveIdle && !e.rx.msg.skipped {
		m = e.rx.msg
	}
	switch {
	case m == nil:
		return Info{}, OK, false
	case m.fail != OK && m.unread() == 0:
		why = m.fail
		e.queue.pop()
		return Info{}, why, true
	}
	info = m.info
	info.Rest = m.unread()
	return info, OK, true
}

// Coming reports whether a message is being received that somebody wants.
func (e *Engine) Coming() bool { return e.rx.state != receiveIdle && !e.rx.msg.skipped }

// ExtendsDeadline reports whether a read goes on after its deadline.
func (e *Engine) ExtendsDeadline() bool { return e.cfg.DeadlineAtFirstFrame && e.Coming() }

// Drain throws away what has come: messages, what Read has left of one, reports of
// losses, and of a message that is coming also the rest, as it comes. It returns how
// many messages these were.
func (e *Engine) Drain() (messages int) {
	for m := e.queue.first(); m != nil; m = e.queue.first() {
		if m.info.Size > 0 {
			messages++
		}
		e.skip(m)
	}
	if m := e.rx.msg; e.rx.state != receiveIdle && !m.skipped {
		messages++
		m.skipped = true
		m.buf, m.read = m.buf[:0], 0
		e.roomMade()
	}
	return messages
}
