package engine

import (
	"time"

	"example.com/isotp/internal/wire"
)

// A Debt is a flow control that the peer still owes: a segmented transmission was
// given up while it was awaited, and it may come later. A flow control does not
// say which message it answers, so the next message would take it for its own.
// Hence no First Frame goes out before the debt is over:
//
//	begins  the transmission ends in the wait for the flow control, by Abort or
//	        by WAITs in excess, and the frame that this would answer has reached
//	        the bus, or may yet
//	goes on WAIT: N_Bs from then
//	ends    CTS, OVFLW, reserved FS; N_Bs after the frame was on the wire (N_As
//	        and N_Bs after it was handed over where that is never told); the frame
//	        is withdrawn
//
// A flow control that is later than that still mixes two messages: ISO 15765-2 has
// nothing against it. N_TIMEOUT_Bs leaves no debt, as its time is over by then.
// Single Frames neither wait for the end of a debt nor change it.
//
// It belongs to the pair of addresses, and so outlives an Engine: see Engine.Debt.
type Debt struct {
	from  Time // before this no flow control can be the one that is owed
	until Time
	nbs   time.Duration

	// The frame that would be answered: the engine that has given it out, its number
	// there, and that of the frame before it.
	by            *Engine
	number, after uint32
}

// NewDebt returns a debt that lasts until a moment, or N_Bs from a WAIT.
func NewDebt(until Time, nbs time.Duration) *Debt { return &Debt{until: until, nbs: nbs} }

// Until is when the debt is over at the latest.
func (d *Debt) Until() Time { return d.until }

// Over reports whether the debt is over.
func (d *Debt) Over(now Time) bool { return now >= d.until }

// HandleFlowControl takes a flow control of the peer that answers nothing else.
func (d *Debt) HandleFlowControl(now Time, status wire.FlowStatus) {
	switch {
	case now < d.from || d.Over(now):
	case status == wire.Wait:
		d.until = now.Add(d.nbs)
	default:
		d.until = 0
	}
}

// Debt returns what the peer owes, nil if that is nothing.
func (e *Engine) Debt(now Time) *Debt {
	if e.debt != nil && e.debt.Over(now) {
		e.debt = nil
	}
	return e.debt
}

// SetDebt gives a new engine the debt that another one of the same pair of
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

// settle takes a flow control that is not waited for.
func (e *Engine) settle(now Time, status wire.FlowStatus) {
	if d := e.Debt(now); d != nil {
		d.HandleFlowControl(now, status)
	}
}

// owedTransmitted: a frame of an earlier transmission is on the wire.
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
