package engine

import (
	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// HandleOverheard takes, where the engine only listens, a frame of the other
// direction: the real receiver's flow control says when to expect the sender's
// next Consecutive Frame, and when not.
func (e *Engine) HandleOverheard(now Time, f *canbus.Frame) {
	rx := &e.rx
	var p wire.PDU
	fault := p.Parse(f, e.format.Address.Overhead())
	if fault != wire.OK || p.Kind != wire.FlowControl || rx.state == receiveIdle {
		return
	}
	e.overhears = true
	switch p.Status {
	case wire.ContinueToSend:
		rx.left = int(p.BlockSize)
		if rx.left == 0 {
			rx.left = -1
		}
		rx.deadline = now.Add(e.cfg.NCr)
	case wire.Wait:
		rx.deadline = never
	case wire.Overflow:
		e.abortReceive(now, BufferOverflow)
	}
}

// beginOverheardBlock follows a First Frame and the last frame of a block.
func (e *Engine) beginOverheardBlock(now Time) {
	e.rx.state = receiveData
	e.rx.left = -1
	e.rx.deadline = never
	if !e.overhears {
		e.rx.deadline = now.Add(e.cfg.NCr)
	}
}
