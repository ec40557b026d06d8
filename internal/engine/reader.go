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

// reads is called after a read, which has found something or waits.
func (r *reader) reads(found bool, waits reader) {
	switch {
	case *r == waitsAlways:
	case found:
		*r = doesNotWait
	default:
		*r = waits
	}
}

// told is called when the reader gets a report that a message will not come.
func (r *reader) told() {
	if *r != waitsAlways {
		*r = doesNotWait
	}
}

// StopWaiting ends the wait of a read that has found nothing.
func (e *Engine) StopWaiting() { e.reader.told() }

// WaitAlways says that the engine is read whenever it is Readable: with ReportAborted each
// reception that is aborted is reported.
func (e *Engine) WaitAlways() { e.reader = waitsAlways }

// Awaited reports whether a read is waiting for a message.
func (e *Engine) Awaited() bool { return e.reader != doesNotWait }
