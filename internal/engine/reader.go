package engine

// A reader says what the engine's reader is waiting for. A read that finds nothing begins
// the wait; the next one, or StopWaiting, ends it.
type reader uint8

const (
	doesNotWait reader = iota
	waitsForMessage
	waitsForBegin // of a message
	waitsAlways   // see Engine.WaitAlways
)

// reads follows a read: it has found something, or waits for that.
func (r *reader) reads(found bool, waits reader) {
	switch {
	case *r == waitsAlways:
	case found:
		*r = doesNotWait
	default:
		*r = waits
	}
}

// told follows a report that what the reader waits for will not come.
func (r *reader) told() {
	if *r != waitsAlways {
		*r = doesNotWait
	}
}

// StopWaiting ends the wait of a read that has found nothing.
func (e *Engine) StopWaiting() { e.reader.told() }

// WaitAlways makes the engine one of those that are read whenever they are Readable: with
// ReportAborted each message that is given up is reported.
func (e *Engine) WaitAlways() { e.reader = waitsAlways }

// Awaited reports whether a read is waiting for a message.
func (e *Engine) Awaited() bool { return e.reader != doesNotWait }
