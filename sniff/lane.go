package sniff

import (
	"math"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// A conversation is a Conversation with its lanes: one, or two that are each other's peers.
type conversation struct {
	Conversation
	s     *Sniffer
	bus   uint32
	lanes [2]*lane
	now   int64 // the newest stamp of its frames
}

// A laneState says what the message of a lane waits for.
type laneState uint8

const (
	laneIdle   laneState = iota // there is no message
	laneFirst                   // flow control, N_Bs; a Consecutive Frame says that it was not seen
	laneData                    // a Consecutive Frame, N_Cr
	laneMiddle                  // a Consecutive Frame; the message's beginning was not seen
)

// A lane is one direction of a conversation: the messages that one address sends. It goes by
// what an ISO-TP receiver that only listens does, see the states of internal/engine.
type lane struct {
	c       *conversation
	peer    *lane // nil: there is none, or it was not seen yet
	open    bool  // a peer may show
	fromB   bool
	address wire.Address
	sent    *Sent

	state    laneState
	begun    bool // a message has begun here, so that what follows did not begin before us
	place    int  // in Sniffer.active, unless idle
	msg      Message
	size     uint8 // the length of the First Frame, RX_DL
	sn       uint8 // wanted
	left     int   // Consecutive Frames left in the block; 0: not known; negative: no end
	deadline int64
}

// handle takes a frame with this lane's address.
func (l *lane) handle(f *canbus.Frame) {
	l.sent.Frames++
	now := l.c.pass(f)
	l.expire(now)
	if l.peer != nil {
		l.peer.expire(now)
	}
	p, ok := decode(f, l.address.Overhead())
	part, of, ended := Ignored, uint64(0), (*lane)(nil)
	if ok {
		part, of, ended = l.take(f, &p, now)
	}
	if part == Ignored || part == Stray {
		l.sent.Ignored++
	}
	l.tell(f, &p, part, of)
	if ended != nil {
		ended.end(now)
	}
}

// take takes a valid frame. It returns the number of the message that it is part of or answers,
// and the lane of the message that it ends, which is told behind it.
func (l *lane) take(f *canbus.Frame, p *PCI, now int64) (part Part, of uint64, ended *lane) {
	switch p.Type {
	case SingleFrame:
		l.giveUp(Interrupted, now)
		l.single(f, p)
		return InMessage, l.msg.Number, l
	case FirstFrame:
		l.giveUp(Interrupted, now)
		l.first(f, p, now)
		return InMessage, l.msg.Number, nil
	case ConsecutiveFrame:
		if part = l.consecutive(f, p, now); part != InMessage {
			return part, 0, nil
		}
		if l.state != laneMiddle && l.msg.Received == l.msg.Size {
			ended = l
		}
		return InMessage, l.msg.Number, ended
	}
	to := l.peer
	if to == nil || !to.wantsFlow() {
		return Stray, 0, nil
	}
	if to.answered(p, now) {
		ended = to
	}
	return Answer, to.msg.Number, ended
}

// pass moves the conversation's time on to a frame, and returns it.
func (c *conversation) pass(f *canbus.Frame) int64 {
	at := c.s.now
	if f.Flags&canbus.Timed != 0 {
		at = f.Timestamp
	}
	if at > c.now || wentBack(c.now, at) {
		c.now = at
	}
	return c.now
}

// tell tells the observer of frames of a frame.
func (l *lane) tell(f *canbus.Frame, p *PCI, part Part, message uint64) {
	s := l.c.s
	if s.o.Frame == nil {
		return
	}
	s.event = FrameEvent{
		Frame: f, Interface: l.c.Interface, Conversation: &l.c.Conversation, FromB: l.fromB,
		PCI: *p, Part: part, Message: message,
	}
	s.o.Frame(&s.event)
}

// begin begins a message with its first frame.
func (l *lane) begin(f *canbus.Frame, size uint32) {
	s := l.c.s
	s.messages++
	l.begun = true
	l.msg = Message{Conversation: &l.c.Conversation, FromB: l.fromB, Number: s.messages, Size: size, Start: f.Time()}
}

func (l *lane) single(f *canbus.Frame, p *PCI) {
	l.begin(f, p.Length)
	l.msg.Frames, l.msg.Received, l.msg.Data = 1, p.Length, p.Data[:min(len(p.Data), l.c.s.o.MaxData)]
}

func (l *lane) first(f *canbus.Frame, p *PCI, now int64) {
	l.begin(f, p.Length)
	l.size, l.sn = f.Len, 1
	l.left = 0
	l.activate(laneFirst)
	l.wait(laneFirst, now)
	l.add(p.Data)
}

// activate puts the lane among those with a message, which gets a buffer.
func (l *lane) activate(state laneState) {
	s := l.c.s
	l.state, l.place = state, len(s.active)
	s.active = append(s.active, l)
	if n := len(s.buffers); n > 0 {
		l.msg.Data = s.buffers[n-1]
		s.buffers = s.buffers[:n-1]
		s.buffered += cap(l.msg.Data)
	}
}

// wait sets what the message waits for, and how long.
func (l *lane) wait(state laneState, now int64) {
	o := &l.c.s.o
	l.state = state
	limit := o.NCr
	switch {
	case state == laneFirst && (l.peer == nil || l.peer.sent.Frames == 0): // its flow control does not show
		limit = max(o.NBs, o.NCr)
	case state == laneFirst:
		limit = o.NBs
	}
	l.deadline = math.MaxInt64
	if l.c.s.timed {
		l.deadline = later(now, int64(limit))
	}
}

// consecutive takes the next frame of a message.
func (l *lane) consecutive(f *canbus.Frame, p *PCI, now int64) Part {
	switch l.state {
	case laneIdle:
		if l.begun {
			return Stray
		}
		l.begin(f, 0)
		l.msg.Result = NoBeginning
		l.activate(laneMiddle)
		fallthrough
	case laneMiddle:
		l.add(p.Data)
		l.wait(laneMiddle, now)
		return InMessage
	}
	data := p.Data
	rest := l.msg.Size - l.msg.Received
	if uint32(len(data)) >= rest {
		data = data[:rest]
	} else if f.Len < l.size {
		return Ignored
	}
	if f.Len > l.size {
		return Ignored
	}
	if p.SN != l.sn {
		l.msg.WantSN, l.msg.GotSN = l.sn, p.SN
		l.giveUp(WrongSN, now)
		return Stray
	}
	l.sn = (l.sn + 1) & 0xF
	l.add(data)
	next := laneData
	if l.left > 0 {
		if l.left--; l.left == 0 {
			next = laneFirst
		}
	}
	l.wait(next, now)
	return InMessage
}

// wantsFlow reports whether flow control may answer the message. A sender ignores one that
// comes in mid-block.
func (l *lane) wantsFlow() bool {
	return l.state == laneFirst || l.state == laneMiddle || l.state == laneData && l.left == 0
}

// answered takes the flow control that answers the message, and reports whether it has ended
// the message.
func (l *lane) answered(p *PCI, now int64) bool {
	m := &l.msg
	m.FlowControls++
	if p.Status == Wait {
		m.Waits++
	}
	if p.Status == ContinueToSend && !m.Granted {
		m.Granted, m.BlockSize, m.STmin = true, p.BlockSize, p.STmin
	}
	switch {
	case l.state == laneMiddle: // it may be that of the next one
	case p.Status == ContinueToSend:
		l.left = int(p.BlockSize)
		if l.left == 0 {
			l.left = -1
		}
		l.wait(laneData, now)
	case p.Status == Wait:
		l.wait(laneFirst, now)
	case p.Status == Overflow:
		m.Result = Refused
	default:
		m.Result = InvalidStatus
	}
	return l.state != laneMiddle && m.Result != Complete
}

// add adds data to the message. It keeps as much as the limits let it.
func (l *lane) add(data []byte) {
	s := l.c.s
	l.msg.Frames++
	if uint64(l.msg.Received)+uint64(len(data)) > math.MaxUint32 {
		data = data[:0] // a message without a beginning has no Size to end it
	}
	whole := uint32(len(l.msg.Data)) == l.msg.Received
	l.msg.Received += uint32(len(data))
	if !whole {
		return
	}
	data = data[:min(len(data), s.o.MaxData-len(l.msg.Data))]
	before := cap(l.msg.Data)
	if len(l.msg.Data)+len(data) > before && int64(s.buffered)+int64(before) > 4*int64(s.o.MaxData) {
		return
	}
	l.msg.Data = append(l.msg.Data, data...)
	s.buffered += cap(l.msg.Data) - before
}

// expire gives up the message if it has waited too long.
func (l *lane) expire(now int64) {
	if l.state == laneIdle || now < l.deadline {
		return
	}
	why := TimeoutCr
	if l.state == laneFirst {
		why = TimeoutBs
	}
	l.giveUp(why, l.deadline)
}

// giveUp ends the message, if there is one, before it is whole.
func (l *lane) giveUp(why Result, now int64) {
	if l.state == laneIdle {
		return
	}
	if l.state != laneMiddle {
		l.msg.Result = why
	}
	l.end(now)
}

// end tells of the message, which has its Result, and gives its buffer back.
func (l *lane) end(now int64) {
	s := l.c.s
	if l.msg.Result == Complete {
		s.stats.Messages++
		l.sent.Messages++
		l.sent.Bytes += uint64(l.msg.Size)
	} else {
		s.stats.GivenUp++
		l.sent.GivenUp++
	}
	if s.timed {
		l.msg.End = time.Unix(0, now)
	}
	buffered := l.state != laneIdle
	if buffered {
		l.deactivate()
	}
	if s.o.Message != nil {
		s.o.Message(&l.msg)
	}
	if buffered {
		s.recycle(l.msg.Data)
	}
	l.msg.Data = nil
}

// deactivate takes the lane from those with a message.
func (l *lane) deactivate() {
	s := l.c.s
	last := len(s.active) - 1
	moved := s.active[last]
	s.active[l.place], moved.place = moved, l.place
	s.active[last] = nil
	s.active = s.active[:last]
	l.state = laneIdle
}

// recycle keeps a buffer for the next message, unless it is a large one or there are enough.
func (s *Sniffer) recycle(buf []byte) {
	const (
		largest = 64 << 10
		most    = 64
	)
	s.buffered -= cap(buf)
	if 0 < cap(buf) && cap(buf) <= largest && len(s.buffers) < most {
		s.buffers = append(s.buffers, buf[:0])
	}
}
