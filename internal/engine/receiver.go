package engine

import (
	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// The receiver's states, and what takes it from one to another:
//
//	idle   First Frame: grant, or hold where there is no room for a block
//	hold   room: grant; FlowControlHold (N_Br) over: WAIT, and hold again, or
//	       after N_WFTmax of them idle, aborted
//	grant  the CTS is on the wire: data
//	data   the block's last Consecutive Frame: grant or hold; the message's
//	       last: idle, complete; wrong SN, N_Cr: idle, aborted
//
// In every state but idle a new First Frame or physical Single Frame aborts the
// reception and starts its own message. A flow control that does not get on the wire
// within N_Ar, or that the bus refuses, aborts the reception too. A Consecutive Frame is
// taken in hold and grant as in data: the sender has a CTS that crossed with an abort.
//
// An engine that only listens is in grant while the real receiver's flow control is to come,
// for N_Bs at most (see HandleOverheard).
type receiveState uint8

const (
	receiveIdle receiveState = iota
	receiveHold
	receiveGrant
	receiveData
)

// noFlowControl: there is none to be sent.
const noFlowControl = wire.FlowStatus(0xFF)

// Reading says how messages are read. That decides what happens to messages longer than
// MaxMessageSize.
type Reading uint8

const (
	ReadUndecided Reading = iota // there was no read yet: CTS is held back
	ReadMessages                 // whole messages: OVFLW
	ReadStreams                  // as they come, with Engine.Open: a window
)

type receiver struct {
	state   receiveState
	reading Reading
	drops   uint32 // of the bus before the message began

	msg       *message
	got       uint32 // how much of it has arrived
	frameSize uint8  // RX_DL
	sn        uint8
	blockSize uint8 // the same in each of the message's flow controls
	left      int   // Consecutive Frames left in the block; negative: no end
	waits     int   // sent in a row
	undecided bool  // a long message, before the first read

	unadmitted bool // a long message that the Budget has no room for yet

	fc       wire.FlowStatus // to be sent
	fcNumber uint32          // of the last one handed over
	fcBy     Time            // when it must be on the wire: N_Ar
	deadline Time            // N_Cr in data, N_Br in hold, the sender's N_Bs where we only listen
}

func (rx *receiver) init() {
	rx.fc = noFlowControl
	rx.fcBy, rx.deadline = never, never
}

// handleSingle takes a Single Frame. A functional one leaves a reception under way alone; a
// physical one aborts it.
func (e *Engine) handleSingle(now Time, p *wire.PDU, functional bool) {
	if !functional {
		e.abortReceive(now, InterruptedBySingleFrame)
	}
	if e.queue.singles+len(p.Data)+overhead > e.cfg.HardLimit {
		e.lost(now, p.Length, functional)
		return
	}
	m := newMessage(p.Length)
	m.info.Functional = functional
	m.info.First, m.info.FrameFirst = now, e.frameTime(now)
	m.single = true
	m.add(p.Data)
	e.completed(now, m)
}

// lost reports a message that the engine has no room for and cannot refuse.
func (e *Engine) lost(now Time, size uint32, functional bool) {
	e.rareStats().Errors[ReceiverFull]++
	e.queue.pushLoss(now, ReceiverFull, 0)
	e.events |= Readable
	e.observe(Observation{Kind: ReceptionAborted, At: now, Code: ReceiverFull, Size: size, Functional: functional})
}

// handleFirst takes a First Frame, and starts the reception of its message.
func (e *Engine) handleFirst(now Time, p *wire.PDU, frameSize uint8) {
	e.abortReceive(now, InterruptedByFirstFrame)
	rx, cfg := &e.rx, e.cfg
	rx.fc = noFlowControl // an OVFLW for the message before would end this one
	tooLong := e.tooLong(p.Length)
	streamed := rx.reading == ReadStreams && (tooLong || p.Length > uint32(cfg.Window))
	long := p.Length > plainSize
	full := cfg.NeverHold && !cfg.ListenOnly && e.queue.level > cfg.HighMark
	holds := !cfg.NeverHold && !cfg.ListenOnly
	undecided := !streamed && rx.reading == ReadUndecided && (tooLong || long && holds)
	switch {
	case tooLong && !streamed && (rx.reading == ReadMessages || cfg.NeverHold):
		e.refuse(now, MessageTooLong, p.Length)
		return
	case cfg.ListenOnly && e.queue.level > cfg.HardLimit:
		e.lost(now, p.Length, false)
		return
	case full:
		e.refuse(now, ReceiverFull, p.Length)
		return
	}
	whole := !streamed && !undecided
	claimed := whole && long && e.admit(now, p.Length)
	unadmitted := whole && long && !claimed
	switch {
	case unadmitted && cfg.ListenOnly:
		e.lost(now, p.Length, false)
		return
	case unadmitted && !holds:
		e.refuse(now, ReceiverFull, p.Length)
		return
	}

	m := newMessage(p.Length)
	m.claimed = claimed
	m.info.First, m.info.FrameFirst = now, e.frameTime(now)
	m.streamed = streamed
	m.add(p.Data)
	rx.msg = m
	rx.got = uint32(len(p.Data))
	rx.drops = uint32(e.cfg.Drops.Before)
	rx.undecided = undecided
	rx.frameSize = frameSize
	rx.sn = 1
	rx.waits = 0
	rx.blockSize = cfg.BlockSize
	if streamed || tooLong || long && holds {
		rx.blockSize = e.windowBlock() // so that it can be held back
	}
	if unadmitted {
		e.wait()
	}
	if rx.reading == ReadStreams {
		e.enqueue(m)
	}
	if e.reader == waitsForBegin {
		e.events |= Readable
	}
	e.observe(Observation{Kind: MessageStarted, At: now, Size: p.Length})
	e.beginBlock(now)
}

// tooLong reports whether messages of that size are not received whole.
func (e *Engine) tooLong(size uint32) bool {
	return size > e.cfg.MaxMessageSize || e.Plain && size > plainSize
}

// windowBlock returns how many Consecutive Frames the window has room for. A message
// keeps one block size, because some senders heed only the first.
func (e *Engine) windowBlock() uint8 {
	n := e.cfg.Window / e.consecutiveData()
	if e.cfg.BlockSize > 0 {
		n = min(n, int(e.cfg.BlockSize))
	}
	return uint8(max(1, min(n, 255)))
}

// consecutiveData returns how many bytes each Consecutive Frame of the message brings,
// except the last.
func (e *Engine) consecutiveData() int { return int(e.rx.frameSize) - 1 - e.listen }

// refuse answers a First Frame with OVFLW.
func (e *Engine) refuse(now Time, why Code, size uint32) {
	e.rareStats().Errors[why]++
	e.observe(Observation{Kind: ReceptionAborted, At: now, Code: why, Size: size})
	e.reportAborted(now, why, 0)
	e.queueFlowControl(wire.Overflow)
}

// queueFlowControl makes PollTransmit send a flow control, unless we only listen.
func (e *Engine) queueFlowControl(status wire.FlowStatus) {
	if !e.cfg.ListenOnly {
		e.rx.fc = status
	}
}

// beginBlock lets the sender go on, now or when there is room.
func (e *Engine) beginBlock(now Time) {
	rx := &e.rx
	rx.left = int(rx.blockSize)
	if rx.left == 0 {
		rx.left = -1
	}
	switch {
	case e.cfg.ListenOnly:
		e.beginOverheardBlock(now)
	case e.mustHold():
		rx.state = receiveHold
		rx.deadline = e.frameTime(now).Add(e.cfg.NBr)
	default:
		e.grant()
	}
}

func (e *Engine) grant() {
	e.rx.state = receiveGrant
	e.rx.waits = 0
	e.rx.deadline = never // N_Cr begins when the CTS is on the wire
	e.queueFlowControl(wire.ContinueToSend)
}

// mustHold reports whether CTS is to be held back.
func (e *Engine) mustHold() bool {
	rx := &e.rx
	switch {
	case rx.undecided, rx.unadmitted:
		return true
	case rx.msg.streamed && !rx.msg.skipped && !e.windowFitsBlock():
		return true
	case e.cfg.NeverHold:
		return false
	}
	return e.waitingAbove(e.cfg.HighMark)
}

// windowFitsBlock reports whether the window has room for the message's next block.
func (e *Engine) windowFitsBlock() bool {
	rx := &e.rx
	block := uint32(rx.blockSize) * uint32(e.consecutiveData())
	return e.cfg.Window-rx.msg.unread() >= int(min(block, rx.msg.info.Size-rx.got))
}

// waitingAbove reports whether more than so many bytes wait to be read before the message
// that is coming. Where that is the next one to be read, all others wait behind it, and
// none of them can be read before it has come.
func (e *Engine) waitingAbove(mark int) bool {
	return e.queue.level > mark && (e.rx.msg == nil || e.queue.first() != e.rx.msg)
}

// roomMade sends a CTS that is held back, if there is room for the next block now.
func (e *Engine) roomMade() {
	if e.rx.state == receiveHold && !e.mustHold() {
		if e.budget != nil {
			e.budget.restart(e)
		}
		e.grant()
	}
}

// handleConsecutive takes the next part of a message: the first of the frames, which p is
// of, and those after it that go on with the message. It returns how many it has taken.
func (e *Engine) handleConsecutive(now Time, p *wire.PDU, frames []canbus.Frame) int {
	rx, frameSize := &e.rx, frames[0].Len
	if rx.state == receiveIdle || rx.undecided || rx.unadmitted {
		e.ignore(now, UnexpectedConsecutive)
		return 1
	}
	rest := rx.msg.info.Size - rx.got
	data := p.Data
	if last := uint32(len(data)) >= rest; last {
		data = data[:rest]
	} else if frameSize < rx.frameSize {
		e.ignore(now, ChangedFrameLength)
		return 1
	}
	switch {
	case frameSize > rx.frameSize:
		e.ignore(now, ChangedFrameLength)
		return 1
	case p.SN != rx.sn:
		e.abortReceive(now, WrongSN)
		return 1
	case rx.msg.streamed && rx.msg.unread()+len(data) > 2*e.cfg.Window,
		rx.state == receiveHold && e.waitingAbove(e.cfg.HardLimit):
		// Only a sender that does not wait for flow control gets here, or one
		// that we only listen to.
		begun, first := rx.msg.begun, rx.msg.info.First
		e.abortReceive(now, ReceiverFull)
		if !begun {
			e.queue.pushLoss(first, ReceiverFull, 0)
			e.events |= Readable
		}
		return 1
	}

	if rx.state != receiveData {
		rx.state = receiveData
		rx.waits = 0
		rx.fc = noFlowControl
	}
	rx.msg.add(data)
	rx.added(1, len(data))
	n := 1
	if e.Observe == nil { // else each is an observation
		n += e.addMore(frames[1:])
	}
	if rx.msg.queued {
		e.events |= Readable
	}
	if rx.got == rx.msg.info.Size {
		e.completed(now, rx.end())
		return n
	}
	if e.Observe != nil {
		e.observe(Observation{Kind: MessageReceiving, At: now, Size: rx.msg.info.Size, Done: rx.got})
	}
	rx.deadline = e.frameTime(now).Add(e.cfg.NCr)
	if rx.left == 0 {
		e.beginBlock(now)
	}
	return n
}

// addMore adds those of the frames that are the message's next ones, in order, in full
// length and in the same block. It returns how many they are.
func (e *Engine) addMore(frames []canbus.Frame) int {
	rx, m := &e.rx, e.rx.msg
	data := e.consecutiveData()
	n := min(len(frames), int((m.info.Size-rx.got)/uint32(data)))
	if rx.left >= 0 {
		n = min(n, rx.left)
	}
	if m.streamed {
		n = min(n, (2*e.cfg.Window-m.unread())/data)
	}
	if n == 0 || m.skipped {
		return 0
	}
	m.makeRoom(n * data)
	for i := range frames[:n] {
		f := &frames[i]
		if f.Len != rx.frameSize || f.Data[e.listen] != byte(wire.ConsecutiveFrame)<<4|(rx.sn+uint8(i))&0xF ||
			f.Flags&(canbus.Remote|canbus.ErrorFrame) != 0 {
			n = i
			break
		}
		if data == wire.ClassicData { // a copy of fixed size is faster
			m.buf = append(m.buf, f.Data[1:canbus.MaxClassicLen]...)
		} else {
			m.buf = append(m.buf, f.Data[e.listen+1:f.Len]...)
		}
	}
	rx.added(n, n*data)
	return n
}

// added is called after n frames have brought so many bytes of the message.
func (rx *receiver) added(n, size int) {
	rx.got += uint32(size)
	rx.sn = (rx.sn + uint8(n)) & 0xF
	if rx.left > 0 {
		rx.left -= n
	}
}

// completed makes a message ready to be read.
func (e *Engine) completed(now Time, m *message) {
	e.stats.MessagesReceived++
	e.stats.BytesReceived += uint64(m.info.Size)
	e.observe(Observation{Kind: MessageReceived, At: now, Size: m.info.Size, Functional: m.info.Functional})
	m.info.Last, m.info.FrameLast = now, e.frameTime(now)
	m.complete = true
	if m.skipped {
		m.free()
		return
	}
	e.queue.count(m, m.cost())
	e.enqueue(m)
}

// enqueue puts a message in the queue that reads take it from.
func (e *Engine) enqueue(m *message) {
	if !m.queued {
		m.queued = true
		e.queue.push(m)
	}
	e.events |= Readable
}

// end resets the reception, and returns its message.
func (rx *receiver) end() *message {
	m := rx.msg
	rx.msg = nil
	rx.state = receiveIdle
	rx.undecided, rx.unadmitted = false, false
	rx.deadline, rx.fcBy = never, never
	rx.fc = noFlowControl
	return m
}

// abortReceive aborts the reception, if there is one. A reader is told only if it has begun
// to read the message, or waits for a message with ReportAborted.
func (e *Engine) abortReceive(now Time, why Code) {
	rx := &e.rx
	if rx.state == receiveIdle {
		return
	}
	waited := rx.unadmitted
	m := rx.end()
	if waited {
		e.budget.stopWaiting(e)
	}
	e.unclaim(m)
	e.stats.ReceivesAborted++
	e.rareStats().Errors[why]++
	dropped := e.cfg.Drops.Since(rx.drops)
	e.observe(Observation{Kind: ReceptionAborted, At: now, Code: why, Size: rx.got, Dropped: dropped})
	if e.reader == waitsForBegin || e.cfg.DeadlineAtFirstFrame {
		e.events |= Readable // it is over
	}
	if m.begun {
		m.fail, m.info.Dropped = why, dropped
		e.events |= Readable
		return
	}
	if m.queued {
		e.queue.remove(m)
	}
	first := m.info.First
	m.free()
	e.reportAborted(first, why, dropped)
}

// reportAborted tells a reader that waits, with ReportAborted, that a message was refused, or
// its reception aborted. first is when the message was started.
func (e *Engine) reportAborted(first Time, why Code, dropped uint32) {
	if e.cfg.ReportAborted && e.Awaited() {
		e.reader.told()
		e.queue.pushLoss(first, why, dropped)
		e.events |= Readable
	}
}

// pollFlowControl hands over the flow control that is to be sent.
func (e *Engine) pollFlowControl(now Time, f *canbus.Frame) {
	rx := &e.rx
	o := Observation{Kind: FlowControlSent, At: now, Status: uint8(rx.fc)}
	if rx.fc != wire.Overflow {
		// In WAIT these have no meaning, but some senders use them.
		o.BlockSize, o.STmin = rx.blockSize, e.cfg.STmin
	}
	if rx.fc == wire.Wait {
		e.stats.WaitsSent++
	}
	e.format.FlowControl(f, rx.fc, o.BlockSize, o.STmin)
	rx.fcNumber = e.hand(true)
	rx.fcBy = now.Add(e.cfg.NAs)
	rx.fc = noFlowControl
	e.observe(o)
}

// flowControlTransmitted is called when the flow control handed over last is on the wire.
func (e *Engine) flowControlTransmitted(now Time) {
	rx := &e.rx
	rx.fcBy = never
	if rx.state == receiveGrant && rx.fc == noFlowControl {
		rx.state = receiveData
		rx.deadline = e.frameTime(now).Add(e.cfg.NCr)
	}
}

func (e *Engine) receiveTimeout(now Time) {
	rx := &e.rx
	if now >= rx.fcBy {
		rx.fcBy = never
		e.abortReceive(now, TimeoutA)
	}
	if e.cfg.FrameTime == nil && now >= rx.deadline {
		e.receptionDue(now)
	}
}

// Elapse, with Config.FrameTime, does what is due in a reception by that time, and
// returns when something is next. It is called before the frames of that time are
// handled.
func (e *Engine) Elapse(now Time) Time {
	if t := e.frameTime(now); t >= e.rx.deadline {
		e.receptionDue(t)
	}
	return e.rx.deadline
}

// receptionDue does what is due at the reception's deadline.
func (e *Engine) receptionDue(now Time) {
	rx := &e.rx
	switch {
	case rx.state == receiveGrant: // we only listen
		e.abortReceive(now, TimeoutBs)
	case rx.state == receiveData:
		e.abortReceive(now, TimeoutCr)
	case rx.unadmitted && e.madeRoom(now):
	case rx.waits < e.cfg.MaxSendWaits:
		rx.waits++
		rx.deadline = now.Add(e.cfg.NBr)
		e.queueFlowControl(wire.Wait)
	default:
		first := rx.sn == 1 && rx.got < uint32(rx.frameSize)
		e.abortReceive(now, WaitOverrun)
		if first { // later the standard knows no OVFLW; the sender's N_Bs ends it
			e.queueFlowControl(wire.Overflow)
		}
	}
}

// HalfOpen reports whether nothing has come but the First Frame of a message, and
// nothing else is under way or to be read.
func (e *Engine) HalfOpen() bool {
	return !e.Sending() && e.queue.first() == nil && e.rx.state != receiveIdle && e.rx.sn == 1 &&
		e.rx.got < uint32(e.rx.frameSize)
}

// GiveUp aborts the reception, if there is one.
func (e *Engine) GiveUp(now Time, why Code) { e.abortReceive(now, why) }

// idle reports whether no reception is under way, and no flow control.
func (rx *receiver) idle() bool {
	return rx.state == receiveIdle && rx.fc == noFlowControl && rx.fcBy == never
}

// receiverTimeout returns when the receiver has something to do next, without what Elapse
// does.
func (e *Engine) receiverTimeout() Time {
	if e.cfg.FrameTime != nil {
		return e.rx.fcBy
	}
	return min(e.rx.deadline, e.rx.fcBy)
}
