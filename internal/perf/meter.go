// Package perf measures ISO-TP messages from their frames: how fast they are, the gaps between
// their Consecutive Frames, whether these keep the STmin that was asked for, and how much of
// the line they take.
package perf

import (
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/sniff"
)

// A Meter measures the messages of a Sniffer: its methods Frame and Message are called by the
// functions of the Sniffer's Options of these names.
type Meter struct {
	// Bitrate and DataBitrate are the bus's, in bits per second, as for canbus.WireTime. With
	// a Bitrate of 0 no share of the line is known.
	Bitrate, DataBitrate int

	underWay map[uint64]*Transfer // by Message.Number
	ended    *Transfer            // its memory is for the next one
	sums     map[way]*Sum
	list     []*Sum
	room     room // of all Durations
}

// A way is one direction of a conversation.
type way struct {
	conversation *sniff.Conversation
	fromB        bool
}

// A Transfer is one message, measured. It is good until the Meter's next call.
type Transfer struct {
	*sniff.Message
	// Begin and Last are when its first frame and the last of its frames ended, without flow
	// control. They are 0 if the frames' time is not known.
	Begin, Last time.Duration
	// FD and BRS are flags of its first frame, and FrameSize is that frame's length.
	FD, BRS   bool
	FrameSize int
	// BlockSize and STmin are those of the last CTS, if Granted; those of the Message are of
	// the first.
	Granted          bool
	BlockSize, STmin uint8
	Figures

	begun  bool          // its first frame came
	before time.Duration // when the frame before ended, flow control left out
	inRow  int           // Consecutive Frames since the last flow control
}

// Figures are what is measured of one message, or of many.
type Figures struct {
	// Gaps are the times from the end of one Consecutive Frame to the end of the next, where
	// no flow control is between them.
	Gaps Durations
	// Late is by how much gaps are longer than STmin asked, and if the bit rate is known than
	// STmin and the frame's time on the wire. Of those that are shorter, which are Early, it
	// has none. Where STmin is 0, both have none.
	Late  Durations
	Early uint64
	// EarlyBy is the most by which one is too short.
	EarlyBy time.Duration
	// Answers are the times from the end of a First Frame, or the last Consecutive Frame of a
	// block, to the end of the CTS that answers it.
	Answers Durations
	// Busy is the time from the end of the first frame to the end of the last one, and OnWire
	// how long frames were on the wire in that time: data and flow control.
	Busy, OnWire time.Duration
}

// Speed is how many bytes a second came of so many bytes; 0 if it took no time.
func (f *Figures) Speed(bytes uint64) float64 {
	if f.Busy <= 0 {
		return 0
	}
	return float64(bytes) / f.Busy.Seconds()
}

// Share is how much of the line's time was used, from 0 to 1; 0 if it is not known.
func (f *Figures) Share() float64 {
	if f.Busy <= 0 {
		return 0
	}
	return float64(f.OnWire) / float64(f.Busy)
}

// A Sum is what was measured of all messages that one side of a conversation has sent.
type Sum struct {
	Conversation *sniff.Conversation
	FromB        bool
	Messages     uint64 // whole ones
	GivenUp      uint64
	Bytes        uint64 // of all of them, as far as they came
	// Begin is when the first frame ended, and Last when the last did.
	Begin, Last time.Duration
	// Asked counts the messages by the BS and STmin of their last CTS, of at most 64 kinds, and
	// AskedOthers those of further ones.
	Asked       map[Request]uint64
	AskedOthers uint64
	Figures
}

// maxAsked is how many kinds of CTS a Sum counts.
const maxAsked = 64

// A Request is what a CTS asks for.
type Request struct{ BlockSize, STmin uint8 }

// Sender returns the address that has sent them.
func (s *Sum) Sender() sniff.Address {
	if s.FromB {
		return s.Conversation.Pair.B
	}
	return s.Conversation.Pair.A
}

// Frame measures a frame.
func (m *Meter) Frame(e *sniff.FrameEvent) {
	if e.Message == 0 {
		return
	}
	t := m.transfer(e)
	sum := m.sum(e.Conversation, e.FromB != (e.Part == sniff.Answer))
	at := time.Duration(e.Frame.Timestamp)
	onWire := canbus.WireTime(e.Frame, m.Bitrate, m.DataBitrate)
	if t.begun {
		t.OnWire += onWire
	}
	t.begun = true
	if e.Part == sniff.Answer {
		t.control(&e.PCI, at, sum)
		return
	}
	if e.PCI.Type == sniff.ConsecutiveFrame {
		t.consecutive(at, onWire, sum)
	}
	t.before, t.Last = at, at
}

// transfer returns the measured message that a frame is of.
func (m *Meter) transfer(e *sniff.FrameEvent) *Transfer {
	if t := m.underWay[e.Message]; t != nil {
		return t
	}
	t := m.ended
	if m.ended = nil; t == nil {
		t = &Transfer{Figures: m.figures()}
	}
	t.reset()
	t.Begin = time.Duration(e.Frame.Timestamp)
	t.FD, t.BRS, t.FrameSize = e.Frame.Has(canbus.FD), e.Frame.Has(canbus.BRS), int(e.Frame.Len)
	if m.underWay == nil {
		m.underWay = make(map[uint64]*Transfer)
	}
	m.underWay[e.Message] = t
	return t
}

// figures returns Figures that are empty, and share the Meter's room.
func (m *Meter) figures() Figures {
	empty := Durations{room: &m.room}
	return Figures{Gaps: empty, Late: empty, Answers: empty}
}

// LeftOut is how many durations got no place in quantiles, because those of a log with very
// many pairs, or with times that are no bus's, differ too much to be kept.
func (m *Meter) LeftOut() uint64 { return m.room.leftOut }

func (t *Transfer) reset() {
	f := t.Figures
	f.Gaps.Reset()
	f.Late.Reset()
	f.Answers.Reset()
	*t = Transfer{Figures: Figures{Gaps: f.Gaps, Late: f.Late, Answers: f.Answers}}
}

func (t *Transfer) control(p *sniff.PCI, at time.Duration, sum *Sum) {
	t.inRow = 0
	if p.Status != sniff.ContinueToSend {
		return
	}
	t.Granted, t.BlockSize, t.STmin = true, p.BlockSize, p.STmin
	t.Answers.Add(at - t.before)
	sum.Answers.Add(at - t.before)
}

// tolerance is by how much two stamps in whole microseconds may be too close.
const tolerance = time.Microsecond

func (t *Transfer) consecutive(at, onWire time.Duration, sum *Sum) {
	if t.inRow++; t.inRow == 1 {
		return
	}
	gap := at - t.before
	t.Gaps.Add(gap)
	sum.Gaps.Add(gap)
	asked, _ := sniff.SeparationTime(t.STmin)
	if !t.Granted || asked == 0 {
		return
	}
	late := gap - onWire - asked
	for _, f := range []*Figures{&t.Figures, &sum.Figures} {
		if late >= -tolerance {
			f.Late.Add(late)
			continue
		}
		f.Early++
		f.EarlyBy = max(f.EarlyBy, -late)
	}
}

// Message returns what was measured of a message that has ended.
func (m *Meter) Message(msg *sniff.Message) *Transfer {
	t := m.underWay[msg.Number]
	if t == nil {
		t = new(Transfer) // none of its frames was told
	}
	delete(m.underWay, msg.Number)
	m.ended = t
	t.Message, t.Busy = msg, t.Last-t.Begin
	m.sum(msg.Conversation, msg.FromB).add(t)
	return t
}

// Sums returns what was measured in all, in the order in which the directions began.
func (m *Meter) Sums() []*Sum { return m.list }

func (m *Meter) sum(c *sniff.Conversation, fromB bool) *Sum {
	key := way{c, fromB}
	s := m.sums[key]
	if s == nil {
		if m.sums == nil {
			m.sums = make(map[way]*Sum)
		}
		s = &Sum{Conversation: c, FromB: fromB, Asked: make(map[Request]uint64), Figures: m.figures()}
		m.sums[key] = s
		m.list = append(m.list, s)
	}
	return s
}

func (s *Sum) add(t *Transfer) {
	if s.Messages+s.GivenUp == 0 {
		s.Begin = t.Begin
	}
	s.Last = max(s.Last, t.Last)
	if t.Result == sniff.Complete {
		s.Messages++
	} else {
		s.GivenUp++
	}
	s.Bytes += uint64(t.Received)
	s.Busy += t.Busy
	s.OnWire += t.OnWire
	if t.Granted {
		s.asked(Request{t.BlockSize, t.STmin})
	}
}

func (s *Sum) asked(r Request) {
	if n, known := s.Asked[r]; known || len(s.Asked) < maxAsked {
		s.Asked[r] = n + 1
		return
	}
	s.AskedOthers++
}
