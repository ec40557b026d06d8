package engine

import (
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// The sender's states, and what takes it from one to another:
//
//	idle    Send: single or first
//	single  the Single Frame is handed over: last
//	first   nothing is owed (see Debt), and the First Frame is handed over: wait
//	wait    CTS: block; WAIT: wait; OVFLW, reserved FS, N_Bs: idle, aborted;
//	        Abort, WAITs in excess: idle, aborted, and a flow control is owed
//	block   the block's last Consecutive Frame is handed over: wait;
//	        the message's last: last; no data in time (N_Cs): idle, aborted
//	last    the last frame is on the wire: idle, done
//
// In every state a frame that does not get on the wire within N_As, or that the bus
// refuses, aborts the transmission. In wait the flow control is then owed, unless the bus
// has refused the frame that it would answer. A flow control counts in wait only, and not
// before the frames that it would answer can have reached the wire.
type sendState uint8

const (
	sendIdle sendState = iota
	sendSingle
	sendFirst
	sendWait
	sendBlock
	sendLast
)

type sender struct {
	state  sendState
	size   uint32 // of the message
	handed uint32 // how much of it is in frames that were handed over
	drops  uint32 // of the bus before this transmission; during the last one

	// chunk has the next bytes of the message, and nextChunk those after it. Both belong
	// to the caller. If both together are too short for a frame they are copied to joined;
	// then isJoined is set, and chunk lies in joined.
	chunk, nextChunk []byte
	joined           *[canbus.MaxLen]byte // made when it is needed
	isJoined         bool

	sn         uint8
	granted    bool // there was a CTS
	blockSize  int32
	left       int32 // Consecutive Frames left in the block; negative: no end
	blockBegin bool  // none of the block's frames is handed over yet
	held       bool  // the First Frame waits for the end of a debt
	stmin      time.Duration
	waits      int // in a row

	// These are numbers of frames: base of the last frame before this transmission, last
	// of its newest frame, previous of the frame before that, and done of the newest frame
	// on the wire.
	base, last, previous, done uint32
	leaves                     Time // before this the newest cannot be on the wire

	replyBy    Time // N_Bs
	onWireBy   Time // N_As
	waitsSince Time // when the peer's N_Cr began: CTS, or the newest Consecutive Frame
	suppliedBy Time // N_Cs: when the next frame must be made, while it cannot be
	gapStart   Time // end of the last Consecutive Frame, while gapOpen
	gapOpen    bool
	cfOut      bool // a Consecutive Frame is on its way, and STmin is above 0
	rate       *rateLimit
	rateAt     Time // when the rate limit lets the next frame pass

	result Code
}

func (tx *sender) init(cfg *Config) {
	if cfg.RateBits > 0 {
		tx.rate = newRateLimit(cfg.RateBits, cfg.RateWindow)
	}
	tx.reset()
}

// ShareRate makes the engine share the rate limit of another engine.
func (e *Engine) ShareRate(other *Engine) { e.tx.rate = other.tx.rate }

// reset leaves nothing of a transmission behind but its result.
func (tx *sender) reset() {
	tx.state = sendIdle
	tx.chunk, tx.nextChunk, tx.isJoined = nil, nil, false
	tx.replyBy, tx.onWireBy, tx.suppliedBy, tx.rateAt = never, never, never, never
	tx.gapOpen, tx.cfOut, tx.held = false, false, false
}

// Send starts a message of size bytes, at least 1. p has its bytes, or the first of them;
// Supply brings the others. The engine uses p until SendDone (or the SendSpace after the
// next Supply) is among the events.
//
// A transmission must have ended, or been aborted, before the next one begins.
// With ListenOnly it is aborted at once.
func (e *Engine) Send(now Time, size uint32, p []byte) {
	tx := &e.tx
	tx.reset()
	tx.size, tx.handed = size, 0
	tx.chunk = p
	tx.sn = 1
	tx.granted = false
	tx.waits = 0
	tx.base, tx.last, tx.previous, tx.done = e.handed, e.handed, e.handed, e.handed
	tx.leaves = 0
	tx.drops = uint32(e.cfg.Drops.Total)
	tx.state = sendFirst
	if int64(size) <= int64(e.format.MaxSingle()) {
		tx.state = sendSingle
	}
	if e.cfg.ListenOnly {
		e.endSend(now, Aborted)
	}
}

// Supply adds the next bytes of a message being sent. It reports false, and takes nothing,
// if there is no room: SendSpace tells when there is.
func (e *Engine) Supply(p []byte) bool {
	tx := &e.tx
	switch {
	case tx.state == sendIdle || len(tx.nextChunk) > 0:
		return false
	case len(tx.chunk) == 0:
		tx.chunk = p
	default:
		tx.nextChunk = p
	}
	if len(tx.chunk)+len(tx.nextChunk) >= e.need() {
		tx.suppliedBy = never
	}
	return true
}

// Supplied returns how many of the slices given to Send and Supply are still in use:
// 0 to 2. With 2 there is no room for another.
func (e *Engine) Supplied() int {
	switch {
	case len(e.tx.nextChunk) > 0:
		return 2 // even if chunk is a copy
	case len(e.tx.chunk) > 0 && !e.tx.isJoined:
		return 1
	}
	return 0
}

// Sending reports whether a transmission is under way.
func (e *Engine) Sending() bool { return e.tx.state != sendIdle }

// SendResult returns how the last transmission ended.
func (e *Engine) SendResult() Code { return e.tx.result }

// Started reports whether PollTransmit has handed over a frame of the transmission
// under way, or of the last one.
func (e *Engine) Started() bool { return e.tx.handed > 0 }

// Paced reports whether it matters exactly when a frame is on the wire: STmin runs from then.
func (e *Engine) Paced() bool { return e.tx.stmin > 0 }

// Held reports whether the First Frame of the transmission under way waits for a
// flow control that is owed: see Debt.
func (e *Engine) Held() bool { return e.tx.held }

// HeldBy returns what that First Frame waits for. It is nil as well when the debt is
// over and PollTransmit has not been called since.
func (e *Engine) HeldBy(now Time) *Debt {
	if !e.tx.held {
		return nil
	}
	return e.Debt(now)
}

// HandedOver reports whether PollTransmit has handed over the last frame of the last
// transmission, however that ended: then the peer may have the whole message.
func (e *Engine) HandedOver() bool { return e.tx.handed == e.tx.size }

// Abort aborts the transmission, if there is one. Frames that PollTransmit handed over
// before may still reach the bus; see HandleWithdrawn.
func (e *Engine) Abort(now Time, why Code) {
	if e.tx.state != sendIdle {
		e.endSend(now, why)
	}
}

// Retract ends a transmission that has handed over nothing yet, as if it had not begun:
// it is not counted. It reports false, and does nothing, if there is none.
func (e *Engine) Retract() bool {
	tx := &e.tx
	if tx.state == sendIdle || tx.handed > 0 {
		return false
	}
	tx.result = Aborted
	tx.reset()
	return true
}

func (e *Engine) endSend(now Time, result Code) {
	tx := &e.tx
	switch {
	case result == Aborted && e.HeldBy(now) != nil:
		result = FlowControlOwed
	case tx.state == sendWait && result != BufferOverflow && result != InvalidFS:
		e.owe(now)
	}
	tx.result = result
	tx.drops = e.cfg.Drops.Since(tx.drops)
	if result == OK {
		e.stats.MessagesSent++
		e.stats.BytesSent += uint64(tx.size)
		e.observe(Observation{Kind: MessageSent, At: now, Size: tx.size})
	} else {
		e.stats.SendsAborted++
		e.rareStats().Errors[result]++
		e.observe(Observation{Kind: SendAborted, At: now, Code: result, Size: tx.handed, Dropped: tx.drops})
	}
	tx.base = e.handed // frames still in flight belong to no transmission now
	tx.reset()
	e.events |= SendDone
}

// pollSender hands over the frames that may be sent at now.
func (e *Engine) pollSender(now Time, frames []canbus.Frame) int {
	tx := &e.tx
	n := 0
	for n < len(frames) {
		f := &frames[n]
		count := 1
		switch tx.state {
		case sendSingle:
			k := int(tx.size)
			if !e.mayHand(now, k) {
				return n
			}
			tx.fill(e.format.SingleFrame(f, k))
			tx.state = sendLast
		case sendFirst:
			k := e.format.FirstData(tx.size)
			if tx.held = e.Debt(now) != nil; tx.held || !e.mayHand(now, k) {
				return n
			}
			tx.fill(e.format.FirstFrame(f, tx.size))
			tx.state = sendWait
		case sendBlock:
			k := e.need()
			if tx.cfOut || tx.stmin > 0 && now < tx.earliest() || !e.mayHand(now, k) {
				return n
			}
			if run := e.run(frames[n:]); len(run) > 0 {
				count = len(run)
				e.format.ConsecutiveFrames(run, tx.sn, tx.chunk)
				tx.take(count * k)
			} else {
				tx.fill(e.format.ConsecutiveFrame(f, tx.sn, k))
			}
			e.consecutiveHanded(now, count)
		default:
			return n
		}
		if e.Observe != nil && tx.size > tx.handed {
			e.observe(Observation{Kind: MessageSending, At: now, Size: tx.size, Done: tx.handed})
		}
		n += count
		if len(tx.nextChunk) == 0 && uint32(len(tx.chunk)) < tx.size-tx.handed {
			e.events |= SendSpace
		}
		for range count {
			tx.previous, tx.last = tx.last, e.hand(false)
		}
		if e.cfg.Bitrate > 0 {
			tx.leaves = max(tx.leaves, now).Add(e.cfg.wireTime(f))
		}
		if tx.onWireBy == never {
			tx.onWireBy = now.Add(e.cfg.NAs)
		}
		if tx.rate != nil {
			tx.rate.spend(now, 8*int(f.Len))
		}
	}
	return n
}

// run returns those of the frames that can be full Consecutive Frames of this block, made
// of chunk alone. There are none where each frame is looked at by itself: for its time, the
// rate limit or an observer.
func (e *Engine) run(frames []canbus.Frame) []canbus.Frame {
	tx := &e.tx
	if tx.stmin > 0 || e.cfg.Bitrate > 0 || tx.rate != nil || e.Observe != nil {
		return nil
	}
	n := min(len(frames), len(tx.chunk)/e.format.ConsecutiveData())
	if tx.left > 0 {
		n = min(n, int(tx.left))
	}
	return frames[:n]
}

// mayHand reports whether a frame with n bytes of the message can be made now: the bytes
// are here, and the rate limit lets the frame pass.
func (e *Engine) mayHand(now Time, n int) bool {
	tx := &e.tx
	switch {
	case len(tx.chunk)+len(tx.nextChunk) >= n:
		if tx.rate == nil || tx.rate.allows(now, 8*e.format.FrameSize, &tx.rateAt) {
			tx.suppliedBy = never
			return true
		}
	case len(tx.nextChunk) > 0:
		tx.join()
		e.events |= SendSpace
	}
	// The peer's N_Cr is running, so we have no longer than N_Cs. Before the First Frame
	// the peer does not wait.
	if tx.state == sendBlock && tx.suppliedBy == never {
		tx.suppliedBy = max(now, tx.waitsSince.Add(e.cfg.NCs))
	}
	return false
}

// need returns how many bytes of the message the next Consecutive Frame carries.
func (e *Engine) need() int {
	tx := &e.tx
	return int(min(uint32(e.format.ConsecutiveData()), tx.size-tx.handed))
}

// join copies both slices to joined.
func (tx *sender) join() {
	if tx.joined == nil {
		tx.joined = new([canbus.MaxLen]byte)
	}
	n := copy(tx.joined[:], tx.chunk)
	n += copy(tx.joined[n:], tx.nextChunk)
	tx.chunk, tx.nextChunk, tx.isJoined = tx.joined[:n], nil, true
}

// fill moves the next bytes of the message to dst. mayHand has said that they are there.
func (tx *sender) fill(dst []byte) {
	k := copy(dst, tx.chunk)
	tx.take(k)
	if k < len(dst) {
		tx.take(copy(dst[k:], tx.chunk))
	}
}

// take notes that the first n bytes of chunk are in a frame.
func (tx *sender) take(n int) {
	tx.handed += uint32(n)
	tx.chunk = tx.chunk[n:]
	if len(tx.chunk) == 0 {
		tx.chunk, tx.nextChunk, tx.isJoined = tx.nextChunk, nil, false
	}
}

// consecutiveHanded is called after n Consecutive Frames of a block were handed over.
func (e *Engine) consecutiveHanded(now Time, n int) {
	tx := &e.tx
	if tx.gapOpen && !tx.blockBegin {
		e.rareStats().gap(now.Sub(tx.gapStart))
	}
	tx.sn += uint8(n)
	tx.blockBegin = false
	tx.waitsSince = now
	tx.gapOpen = false
	tx.cfOut = tx.stmin > 0
	if tx.left > 0 {
		tx.left -= int32(n)
	}
	switch {
	case tx.handed == tx.size:
		tx.state = sendLast
	case tx.left == 0:
		tx.state = sendWait
	}
}

// earliest returns when STmin allows the next Consecutive Frame. STmin separates
// Consecutive Frames, in different blocks too, but not a CTS from the next of them.
func (tx *sender) earliest() Time {
	if !tx.gapOpen {
		return 0
	}
	return tx.gapStart.Add(tx.stmin)
}

// dataTransmitted is called when a frame of this transmission is on the wire.
func (e *Engine) dataTransmitted(now Time, number uint32) {
	tx := &e.tx
	if tx.state == sendIdle || !after(number, tx.done) {
		e.owedTransmitted(now, number)
		return
	}
	tx.done = number
	tx.onWireBy = never
	if number != tx.last {
		tx.onWireBy = now.Add(e.cfg.NAs)
	}
	if tx.cfOut && number == tx.last {
		tx.cfOut = false
		tx.gapOpen = true
		tx.gapStart = now
	}
	if number != tx.last {
		return
	}
	switch tx.state {
	case sendBlock:
		tx.waitsSince = now
		if tx.suppliedBy != never {
			tx.suppliedBy = now.Add(e.cfg.NCs)
		}
	case sendWait:
		tx.replyBy = now.Add(e.cfg.NBs)
	case sendLast:
		e.endSend(now, OK)
	}
}

// answerable returns from when on a flow control can be the answer to the newest
// frame. It may be heard before that frame's own echo, but not before the frame
// has left.
func (e *Engine) answerable() Time {
	tx := &e.tx
	switch {
	case e.cfg.Bitrate > 0:
		return tx.leaves
	case e.cfg.Echoes && tx.done != tx.last && after(tx.previous, tx.done):
		return never // more than one frame is in flight
	}
	return 0
}

// handleFlowControl takes the peer's flow control. It ignores a flow control that the
// transmission does not wait for, in idle, in mid-block or before its time; such a flow
// control may end a debt.
func (e *Engine) handleFlowControl(now Time, p *wire.PDU) {
	tx := &e.tx
	e.observe(Observation{
		Kind: FlowControlReceived, At: now,
		Status: uint8(p.Status), BlockSize: p.BlockSize, STmin: p.STmin,
	})
	if tx.state != sendWait || now < e.answerable() {
		e.settle(now, p.Status)
		e.ignore(now, UnexpectedFlowControl)
		return
	}
	switch p.Status {
	case wire.ContinueToSend:
		if !tx.granted || !e.cfg.FirstFlowControl {
			tx.granted = true
			tx.blockSize = int32(p.BlockSize)
			tx.stmin = e.cfg.OverrideSTmin
			if tx.stmin < 0 {
				tx.stmin = wire.DecodeSTmin(p.STmin)
			}
		}
		tx.left = tx.blockSize
		if tx.left == 0 {
			tx.left = -1
		}
		tx.blockBegin = true
		tx.waitsSince = now
		tx.waits = 0
		tx.replyBy = never
		tx.state = sendBlock
	case wire.Wait:
		e.stats.WaitsReceived++
		tx.waits++
		tx.replyBy = now.Add(e.cfg.NBs)
		switch {
		case e.cfg.MaxWaits == 0:
			e.endSend(now, WaitRefused)
		case e.cfg.MaxWaits > 0 && tx.waits > e.cfg.MaxWaits:
			e.endSend(now, WaitOverrun)
		}
	case wire.Overflow:
		e.endSend(now, BufferOverflow)
	default:
		e.endSend(now, InvalidFS)
	}
}

func (e *Engine) sendTimeout(now Time) {
	tx := &e.tx
	switch {
	case tx.state == sendIdle:
	case now >= tx.onWireBy:
		e.endSend(now, TimeoutA)
	case now >= tx.replyBy:
		e.endSend(now, TimeoutBs)
	case now >= tx.suppliedBy:
		e.endSend(now, SourceStalled)
	}
}

// nextSend returns when the sender has something to do next.
func (e *Engine) nextSend() Time {
	tx := &e.tx
	switch {
	case tx.state == sendIdle:
		return never
	case tx.held && e.debt != nil:
		return e.debt.until
	}
	t := min(tx.replyBy, tx.onWireBy, tx.suppliedBy, tx.rateAt)
	if tx.state == sendBlock && !tx.cfOut && tx.gapOpen && tx.suppliedBy == never && tx.rateAt == never {
		t = min(t, tx.earliest())
	}
	return t
}
