package engine

// Drain throws away all messages that have come, the rest of a message that was read in
// part, and reports of losses. Of a message that is coming it throws away the rest as it
// comes. It returns how many messages these were.
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

// skipRest throws the rest of the message that is coming away, as it comes.
func (e *Engine) skipRest() {
	rx := &e.rx
	e.unclaim(rx.msg)
	if rx.unadmitted {
		rx.unadmitted = false
		e.budget.stopWaiting(e)
	}
	rx.msg.drop()
}

// skip takes the first message out of the queue. If it is still coming, its rest is thrown
// away as it comes.
func (e *Engine) skip(m *message) {
	if m.complete || m.fail != OK {
		e.pop()
		return
	}
	e.queue.remove(m)
	e.skipRest()
	e.roomMade()
}
