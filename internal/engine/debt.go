package engine

import (
	"time"

	"example.com/isotp/internal/wire"
)

// A Debt is a flow control that the peer still owes: a message of more than one frame
// was aborted while it waited for this flow control, which may still come. A flow
// control does not say which message it answers, so the next message would take it for
// its own. Therefore the engine sends no First Frame before the debt is over:
//
//	begins  the transmission ends while it waits for the flow control, by Abort or
//	        by WAITs in excess, and the frame that this would answer has reached
//	        the bus, or may still reach it
//	goes on WAIT: N_Bs from then
//	ends    CTS, OVFLW, reserved FS; N_Bs after the frame was on the wire (N_As
//	        and N_Bs after it was handed over, if the bus never tells that); the
//	        frame is withdrawn
//
// A flow control that comes even later mixes two messages: ISO 15765-2 has no means
// against that. N_TIMEOUT_Bs leaves no debt, because the time of a debt is over by then.
// Single Frames neither wait for the end of a debt nor change it.
//
// A debt belongs to a pair of addresses, and so outlives an Engine: see Engine.Debt.
type Debt struct {
	from  Time // before this no flow control can be the one that is owed
	until Time
	nbs   time.Duration

	// The frame that the flow control would answer: the engine that has handed it over,
	// its number there, and the number of the frame before it.
	by            *Engine
	number, after uint32
}

// NewDebt returns a debt that lasts until a moment, or N_Bs from a WAIT.
func NewDebt(until Time, nbs time.Duration) *Debt { return &Debt{until: until, nbs: nbs} }

// Until returns when the debt is over at the latest.
func (d *Debt) Until() Time { return d.until }

// Over reports whether the debt is over.
func (d *Debt) Over(now Time) bool { return now >= d.until }

// HandleFlowControl takes a flow control of the peer that answers no message under way.
func (d *Debt) HandleFlowControl(now Time, status wire.FlowStatus) {
	switch {
	case now < d.from || d.Over(now):
	case status == wire.Wait:
		d.until = now.Add(d.nbs)
	default:
		d.until = 0
	}
}

// Debt returns the flow control that the peer owes; nil if it owes none.
func (e *Engine) Debt(now Time) *Debt {
	if e.debt != nil && e.debt.Over(now) {
		e.debt = nil
	}
	return e.debt
}

// SetDebt gives a new engine the debt that an earlier engine of the same pair of
// addresses has left.
func (e *Engine) SetDebt(d *Debt) { e.debt = d }

// owe begins a debt: the transmission ends in the wait for a flow control.
func (e *Engine) owe(now Time) {
	tx := &e.tx
	d := &Debt{from: e.answerable(), nbs: e.cfg.NBs, by: e, number: tx.last, after: tx.previous}
	switch {
	case tx.done != tx.last:
		d.until = tx.onWireBy.Add(e.cfg.NBs)
	case now < tx.replyBy:
		d.until = tx.replyBy
	}
	if !d.Over(now) {
		e.debt = d
	}
}

// settle takes a flow control that the transmission does not wait for.
func (e *Engine) settle(now Time, status wire.FlowStatus) {
	if d := e.Debt(now); d != nil {
		d.HandleFlowControl(now, status)
	}
}

// owedTransmitted is called when a frame of an earlier transmission is on the wire.
func (e *Engine) owedTransmitted(now Time, number uint32) {
	d := e.Debt(now)
	switch {
	case d == nil || d.by != e:
		return
	case number == d.number:
		d.until = now.Add(e.cfg.NBs)
	case number != d.after:
		return
	}
	if e.cfg.Bitrate == 0 {
		d.from = 0 // see answerable
	}
}

// HandleWithdrawn is told that a frame handed over will not reach the bus.
func (e *Engine) HandleWithdrawn(number uint32) {
	if d := e.debt; d != nil && d.by == e && number == d.number {
		d.until = 0
	}
}
