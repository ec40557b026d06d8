package engine

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
