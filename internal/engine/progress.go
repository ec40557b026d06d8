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
		info, why = failed(m)
		e.pop()
		return info, why, true
	}
	info = m.info
	info.Rest = m.unread()
	return info, OK, true
}

// Coming reports whether a message is being received that somebody wants.
func (e *Engine) Coming() bool { return e.rx.state != receiveIdle && !e.rx.msg.skipped }

// Extendable reports whether messages can extend deadlines.
func (e *Engine) Extendable() bool { return e.cfg.DeadlineAtFirstFrame }

// ExtendsDeadline reports whether a read that begins after its deadline, which came
// at that time, goes on all the same: a message that had begun by then and was not
// complete is still coming, or to be read.
func (e *Engine) ExtendsDeadline(at Time) bool {
	return e.begunBy(at, func(m *message) bool { return m.info.Size > 0 && (!m.complete || m.info.Last > at) })
}

// BegunBy reports whether a read that was waiting when its deadline came goes on: a
// message that had begun by then is coming, or to be read, or the report that it was
// lost.
func (e *Engine) BegunBy(deadline Time) bool {
	return e.begunBy(deadline, func(*message) bool { return true })
}

// begunBy is true for the message that is coming and for those to be read that are
// wanted, if one of them has begun by then.
func (e *Engine) begunBy(at Time, wanted func(*message) bool) bool {
	if !e.Extendable() {
		return false
	}
	for _, m := range e.queue.items[e.queue.head:] {
		if m.info.First <= at && wanted(m) {
			return true
		}
	}
	return e.Coming() && e.rx.msg.info.First <= at
}

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
		e.skipRest()
		e.roomMade()
	}
	if e.Extendable() {
		e.events |= Readable // nothing extends a deadline any more
	}
	return messages
}
