// Package engine is the protocol of ISO 15765-2 between one pair of addresses,
// as a state machine: it has no goroutine, no lock, no clock and does no I/O.
// The owner of an [Engine] tells it what happens (a frame came, a frame is on
// the wire, it is this late) and then asks what to do: which frames to send
// ([Engine.PollTransmit]), when to call it again ([Engine.PollTimeout]) and what
// its users have been waiting for ([Engine.TakeEvents]).
//
// Sending and receiving are independent (full duplex): see sender and receiver,
// each of which begins with the table of its states. Only flow controls cross
// from one to the other.
package engine

import (
	"example.com/isotp/canbus"
	"example.com/isotp/internal/monotime"
	"example.com/isotp/internal/wire"
)

// Time is the time that the owner tells the engine.
type Time = monotime.Time

const never = monotime.Never

// Events are what the users of an engine wait for.
type Events uint8

const (
	Readable  Events = 1 << iota // there is more to read, or a receive error
	SendDone                     // Engine.SendResult has the result of the transmission
	SendSpace                    // Engine.Supply can be called again
)

// An Engine is one endpoint of one pair of addresses. Its methods must not be
// called at the same time.
type Engine struct {
	// What every frame needs comes first: see mux.Endpoint.
	cfg    *Config
	format wire.Format // how we write to the peer
	listen int         // address bytes in what we receive

	// handed is the number of the last frame that PollTransmit handed over; numbers tell
	// HandleTransmitted which frame it is about. flowControls says which of the last 64
	// frames are flow controls: the bit of a number modulo 64.
	handed       uint32
	events       Events
	flowControls uint64

	reader reader
	// Plain: no message longer than 65535 bytes is received.
	Plain bool

	// Overhears, with ListenOnly: the other direction's flow control reaches us, or
	// has reached us once. Set it where HandleOverheard may be called.
	Overhears bool

	// Observe, where not nil, is told of what happens. It must not call the
	// engine.
	Observe func(Observation)

	rx     receiver
	stats  commonStats
	tx     sender
	queue  queue
	rare   *rareStats // nil: all are 0
	budget *Budget    // shared with other engines, or nil
	debt   *Debt      // what the peer owes, perhaps over by now; nil: nothing
}

// Init makes an engine ready that sends to one address and listens on another.
// The Config stays shared and must not change.
func (e *Engine) Init(cfg *Config, send, listen wire.Address) {
	*e = Engine{cfg: cfg, format: cfg.Format(send), listen: listen.Overhead()}
	e.tx.init(cfg)
	e.rx.init()
}

// Format is how the engine writes frames to its peer.
func (e *Engine) Format() *wire.Format { return &e.format }

// TakeEvents returns what has happened since the last call.
func (e *Engine) TakeEvents() Events {
	ev := e.events
	e.events = 0
	return ev
}

// HandleFrames takes frames received on the address that the engine listens on, or, if
// functional is true, on a functional address that it heeds.
func (e *Engine) HandleFrames(now Time, frames []canbus.Frame, functional bool) {
	e.stats.FramesReceived += uint64(len(frames))
	for len(frames) > 0 {
		frames = frames[e.handle(now, frames, functional):]
	}
}

// handle takes the first of the frames, and if that is a Consecutive Frame perhaps those
// after it. It returns how many it has taken.
func (e *Engine) handle(now Time, frames []canbus.Frame, functional bool) int {
	f := &frames[0]
	var p wire.PDU
	if fault := p.Parse(f, e.listen); fault != wire.OK {
		e.ignore(now, faultCodes[fault])
		return 1
	}
	switch {
	case p.Kind == wire.ConsecutiveFrame && !functional:
		return e.handleConsecutive(now, &p, frames)
	case p.Kind == wire.SingleFrame:
		e.handleSingle(now, &p, functional)
	case p.Kind == wire.FirstFrame && !functional:
		e.handleFirst(now, &p, f.Len)
	case p.Kind == wire.FirstFrame:
		e.ignore(now, FunctionalFirstFrame)
	case p.Kind == wire.FlowControl && !functional && !e.cfg.ListenOnly:
		e.handleFlowControl(now, &p)
	default:
		e.ignore(now, InvalidFrame)
	}
	return 1
}

var faultCodes = [...]Code{
	wire.Malformed:       InvalidFrame,
	wire.MissingEscape:   MissingEscape,
	wire.BadFirstFrameDL: InvalidFirstFrameLength,
}

// HandleTransmitted is told that the frames of the numbers from first to last are on the
// wire. The first frame that PollTransmit hands over has the number 1, and so on. No more
// than 64 may be in flight at once.
func (e *Engine) HandleTransmitted(now Time, first, last uint32) {
	e.stats.FramesSent += uint64(last-first) + 1
	if e.flowControls == 0 && e.debt == nil {
		first = last // which says all that those before it could
	}
	for number := first; number != last+1; number++ {
		switch {
		case !e.isFlowControl(number):
			e.dataTransmitted(now, number)
		case number == e.rx.fcNumber:
			e.flowControlTransmitted(now)
		}
	}
}

// HandleRefused is told that the bus will never send the frame of that number. It aborts the
// transmission or the reception that the frame belongs to, if that is still under way.
func (e *Engine) HandleRefused(now Time, number uint32) {
	switch {
	case e.Transmits(number):
		e.endSend(now, Refused)
	case !e.isFlowControl(number) || number != e.rx.fcNumber:
		e.rareStats().Errors[Refused]++
	case e.rx.state == receiveIdle:
		e.rx.fcBy = never // it was an OVFLW
		e.rareStats().Errors[Refused]++
	default:
		e.abortReceive(now, Refused)
	}
	e.HandleWithdrawn(number)
}

// Withdrawn reports whether a frame handed over belongs to a transmission or a
// reception that has ended, so that it should not be sent any more.
func (e *Engine) Withdrawn(number uint32) bool {
	if e.isFlowControl(number) {
		return number != e.rx.fcNumber || e.rx.fcBy == never
	}
	return !after(number, e.tx.base)
}

// Transmits reports whether a frame handed over belongs to the transmission under
// way.
func (e *Engine) Transmits(number uint32) bool {
	return e.Sending() && !e.isFlowControl(number) && after(number, e.tx.base)
}

// Handed is the number of the frame that PollTransmit handed over last.
func (e *Engine) Handed() uint32 { return e.handed }

// hand numbers a frame that is handed over.
func (e *Engine) hand(flowControl bool) uint32 {
	e.handed++
	bit := uint64(1) << (e.handed % 64)
	e.flowControls &^= bit
	if flowControl {
		e.flowControls |= bit
	}
	return e.handed
}

func (e *Engine) isFlowControl(number uint32) bool {
	return e.flowControls>>(number%64)&1 != 0
}

// after compares frame numbers, which wrap.
func after(a, b uint32) bool { return int32(a-b) > 0 }

// HandleTimeout does what is due at now. Called too early it does nothing.
func (e *Engine) HandleTimeout(now Time) {
	e.sendTimeout(now)
	e.receiveTimeout(now)
}

// PollTransmit fills frames with what can be sent at now, flow control first,
// and returns how many there are. It is to be called after every other method
// that may have changed something, until it returns 0.
func (e *Engine) PollTransmit(now Time, frames []canbus.Frame) int {
	n := 0
	if e.rx.fc != noFlowControl && len(frames) > 0 {
		e.pollFlowControl(now, &frames[0])
		n++
	}
	if e.tx.state != sendIdle {
		n += e.pollSender(now, frames[n:])
	}
	return n
}

// Sendable reports whether PollTransmit may have something to do now. If not, it need not be
// called before something else is.
func (e *Engine) Sendable() bool {
	switch e.tx.state {
	case sendSingle, sendFirst, sendBlock:
		return true
	}
	return e.rx.fc != noFlowControl
}

// PollTimeout returns when HandleTimeout and PollTransmit have something to do
// next if nothing else happens; false: never. Call it after PollTransmit.
func (e *Engine) PollTimeout() (Time, bool) {
	t := min(e.nextSend(), e.receiverTimeout())
	return t, t != never
}

// ignore counts a frame that does not change anything.
func (e *Engine) ignore(now Time, why Code) {
	e.rareStats().Errors[why]++
	e.observe(Observation{Kind: FrameIgnored, At: now, Code: why})
}

func (e *Engine) observe(o Observation) {
	if e.Observe == nil {
		return
	}
	switch o.Kind {
	case MessageSending, MessageSent, SendAborted, FlowControlSent:
	default:
		o.At = e.frameTime(o.At)
	}
	e.Observe(o)
}

// frameTime is what receptions go by, where now is the time by the clock of all else.
func (e *Engine) frameTime(now Time) Time {
	if t := e.cfg.FrameTime; t != nil {
		return *t
	}
	return now
}

// Idle reports whether nothing is under way, and nothing is there to be read.
func (e *Engine) Idle() bool {
	return !e.Sending() && e.rx.idle() && e.queue.first() == nil
}

// FlowControlPending reports whether PollTransmit has a flow control to send.
func (e *Engine) FlowControlPending() bool { return e.rx.fc != noFlowControl }

// HandleStalled ends what is under way because PollTransmit was not called for N_As:
// the bus takes no frames.
func (e *Engine) HandleStalled(now Time) {
	e.Abort(now, TimeoutA)
	if e.rx.fc != noFlowControl {
		e.abortReceive(now, TimeoutA)
		e.rx.fc = noFlowControl // an OVFLW belongs to no reception
	}
}
