package engine

// With Config.DeadlineAtFirstFrame a message that began before a read's deadline extends it.

// Extendable reports whether messages can extend deadlines.
func (e *Engine) Extendable() bool { return e.cfg.DeadlineAtFirstFrame }

// ExtendsDeadline reports whether a read that begins after its deadline goes on: a message
// that was started by the deadline, and not completed by then, is still coming or to be
// read.
func (e *Engine) ExtendsDeadline(at Time) bool {
	return e.begunBy(at, func(m *message) bool { return m.info.Size > 0 && (!m.complete || m.info.Last > at) })
}

// BegunBy reports whether a read that was waiting when its deadline came goes on: a
// message that was started by then is coming or to be read, or the report that it was lost
// is.
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
