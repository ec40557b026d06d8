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
	e.Overhears = true
	switch p.Status {
	case wire.ContinueToSend:
		rx.state = receiveData
		rx.left = int(p.BlockSize)
		if rx.left == 0 {
			rx.left = -1
		}
		rx.deadline = e.frameTime(now).Add(e.cfg.NCr)
	case wire.Wait:
		rx.state = receiveGrant
		rx.deadline = e.frameTime(now).Add(e.cfg.NBs)
	case wire.Overflow:
		e.abortReceive(now, BufferOverflow)
	}
}

// beginOverheardBlock is called after a First Frame and after the last frame of a block:
// next comes the real receiver's flow control. Without one within N_Bs the sender aborts
// the message, and we abort the reception. If we cannot overhear flow control, we wait for
// the next frame.
func (e *Engine) beginOverheardBlock(now Time) {
	rx := &e.rx
	rx.left = -1
	if e.Overhears {
		rx.state = receiveGrant
		rx.deadline = e.frameTime(now).Add(e.cfg.NBs)
		return
	}
	rx.state = receiveData
	rx.deadline = e.frameTime(now).Add(max(e.cfg.NBs, e.cfg.NCr))
}
