package engine

// A Progress says how far a message has come. Both are 0 where there is none.
type Progress struct {
	Done, Size uint32 // bytes
}

// Receiving returns how much of the message being received has come.
func (e *Engine) Receiving() Progress {
	if e.rx.state == receiveIdle {
		return Progress{}
	}
	return Progress{e.rx.got, e.rx.msg.info.Size}
}

// SendingProgress returns how much of the message being sent was handed over.
func (e *Engine) SendingProgress() Progress {
	if !e.Sending() {
		return Progress{}
	}
	return Progress{e.tx.handed, e.tx.size}
}

// Coming reports whether a message is being received that is not thrown away.
func (e *Engine) Coming() bool { return e.rx.state != receiveIdle && !e.rx.msg.skipped }
