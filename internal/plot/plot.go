// Package plot draws ISO-TP messages: it writes a report, one HTML file that needs nothing
// else, with the messages in lanes, their frames, throughput, gaps and a table.
package plot

import (
	"cmp"
	"fmt"
	"slices"

	"example.com/isotp/internal/perf"
	"example.com/isotp/sniff"
)

// A Collector keeps the messages of a Sniffer for a report: its methods Frame and Message are
// called by the functions of the Sniffer's Options of these names. The zero value is empty.
type Collector struct {
	// MaxFrames is how many frames it keeps; 0: 2 million. Messages that begin later are
	// left out. Of those that have begun it keeps the frames until there are twice as many.
	MaxFrames int

	meter    perf.Meter
	underWay map[uint64]*message // by Message.Number
	messages []*message
	frames   int // kept
	cut      int // frames of messages in the report that are not kept
	leftOut  int // messages
	lanes    map[*sniff.Conversation]int
	order    []*sniff.Conversation // by lane
	texts    map[string]uint32
	textList []string
}

const defaultMaxFrames = 2_000_000

// A message is one that is in the report.
type message struct {
	number     uint64
	lane       int
	fromB      bool
	begin, end int64 // stamps of its first and its last frame, nanoseconds
	size, got  uint32
	why, what  uint32 // in textList
	frames     []frame
	controls   []byte // BS and STmin of each flow control
}

// A frame is one of a message, or flow control for it.
type frame struct {
	at   int64 // its stamp
	kind frameKind
}

// A frameKind is as in the script.
type frameKind uint8

const (
	singleFrame frameKind = iota
	firstFrame
	consecutiveFrame
	continueToSend
	waitFrame
	overflow // or a reserved status
)

func kindOf(p *sniff.PCI) frameKind {
	switch {
	case p.Type == sniff.SingleFrame:
		return singleFrame
	case p.Type == sniff.FirstFrame:
		return firstFrame
	case p.Type == sniff.ConsecutiveFrame:
		return consecutiveFrame
	case p.Status == sniff.ContinueToSend:
		return continueToSend
	case p.Status == sniff.Wait:
		return waitFrame
	}
	return overflow
}

// Frame keeps a frame.
func (c *Collector) Frame(e *sniff.FrameEvent) {
	if e.Message == 0 {
		return
	}
	m := c.underWay[e.Message]
	if m == nil {
		if c.frames >= c.maxFrames() {
			return // Message counts it
		}
		at := e.Frame.Timestamp
		m = &message{number: e.Message, begin: at, end: at}
		if c.underWay == nil {
			c.underWay = make(map[uint64]*message)
		}
		c.underWay[e.Message] = m
	}
	c.meter.Frame(e)
	m.end = max(m.end, e.Frame.Timestamp)
	if c.frames >= 2*c.maxFrames() {
		c.cut++
		return
	}
	c.frames++
	kind := kindOf(&e.PCI)
	if kind >= continueToSend {
		m.controls = append(m.controls, e.PCI.BlockSize, e.PCI.STmin)
	}
	m.frames = append(m.frames, frame{e.Frame.Timestamp, kind})
}

// Message keeps a message that has ended.
func (c *Collector) Message(msg *sniff.Message) {
	m := c.underWay[msg.Number]
	if m == nil {
		c.leftOut++
		return
	}
	delete(c.underWay, msg.Number)
	c.meter.Message(msg)
	m.lane, m.fromB = c.laneOf(msg.Conversation), msg.FromB
	m.size, m.got = max(msg.Size, msg.Received), msg.Received
	m.why, m.what = c.text(msg.Why()), c.text(content(msg.Data))
	c.messages = append(c.messages, m)
}

func (c *Collector) maxFrames() int { return cmp.Or(c.MaxFrames, defaultMaxFrames) }

// LeftOut is how many messages are not in the report, and how many frames of those that are; see
// MaxFrames.
func (c *Collector) LeftOut() (messages, frames int) { return c.leftOut, c.cut }

// Frames is how many frames are in the report.
func (c *Collector) Frames() int { return c.frames }

func (c *Collector) laneOf(conversation *sniff.Conversation) int {
	lane, ok := c.lanes[conversation]
	if !ok {
		if c.lanes == nil {
			c.lanes = make(map[*sniff.Conversation]int)
		}
		lane = len(c.order)
		c.lanes[conversation] = lane
		c.order = append(c.order, conversation)
	}
	return lane
}

// text returns the number of a text, of which there is one copy.
func (c *Collector) text(s string) uint32 {
	if c.texts == nil {
		c.texts, c.textList = map[string]uint32{"": 0}, []string{""}
	}
	n, ok := c.texts[s]
	if !ok {
		n = uint32(len(c.textList))
		c.texts[s] = n
		c.textList = append(c.textList, s)
	}
	return n
}

// content describes a message by its first bytes.
func content(p []byte) string {
	const shown = 8
	text := fmt.Sprintf("% X", p[:min(len(p), shown)])
	if len(p) > shown {
		text += " ..."
	}
	return text
}

// sorted returns the messages in the order of their begin.
func (c *Collector) sorted() []*message {
	slices.SortStableFunc(c.messages, func(a, b *message) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.number, b.number))
	})
	return c.messages
}

// sortLanes puts the lanes in the order of their names.
func (c *Collector) sortLanes() {
	old := slices.Clone(c.order)
	slices.SortStableFunc(c.order, func(a, b *sniff.Conversation) int { return cmp.Compare(nameOf(a), nameOf(b)) })
	for lane, conversation := range c.order {
		c.lanes[conversation] = lane
	}
	for _, m := range c.messages {
		m.lane = c.lanes[old[m.lane]]
	}
}

// nameOf is the name of a conversation's lane.
func nameOf(c *sniff.Conversation) string {
	if c.Interface == "" {
		return c.Pair.String()
	}
	return c.Interface + " " + c.Pair.String()
}

// begin is the report's time 0: the stamp of the first frame.
func (c *Collector) begin() int64 {
	if len(c.messages) == 0 {
		return 0
	}
	return c.sorted()[0].begin
}
