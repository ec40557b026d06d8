package sniff

import (
	"fmt"
	"time"

	"example.com/isotp/canbus"
)

// A Result says how a message ended.
type Result uint8

const (
	// Complete: all of it came.
	Complete Result = iota
	// WrongSN: a Consecutive Frame was lost, repeated or out of order: see Message.WantSN.
	WrongSN
	// TimeoutCr: no Consecutive Frame came in time (N_Cr).
	TimeoutCr
	// TimeoutBs: no flow control came in time (N_Bs).
	TimeoutBs
	// Refused: the receiver answered OVFLW.
	Refused
	// InvalidStatus: the receiver answered with a flow status that is reserved.
	InvalidStatus
	// Interrupted: its sender began another message.
	Interrupted
	// NoBeginning: the frames began in mid-message. Size is 0, and Data are those of the
	// Consecutive Frames that came, with what they were filled up with.
	NoBeginning
	// Unfinished: the frames ended in mid-message.
	Unfinished
	// TimeWentBack: the frames' time went back by more than a second in mid-message.
	TimeWentBack
)

var resultTexts = [...]string{
	Complete:      "complete",
	WrongSN:       "wrong sequence number",
	TimeoutCr:     "no Consecutive Frame in time",
	TimeoutBs:     "no flow control in time",
	Refused:       "refused with OVFLW",
	InvalidStatus: "a flow control with a reserved status",
	Interrupted:   "a new message in mid-message",
	NoBeginning:   "begun before the first frame here",
	Unfinished:    "not ended with the last frame here",
	TimeWentBack:  "the time went back",
}

// String says it in a few words.
func (r Result) String() string {
	if int(r) < len(resultTexts) {
		return resultTexts[r]
	}
	return fmt.Sprintf("Result(%d)", uint8(r))
}

// A Message is one that has ended: it is whole, or was given up. It and its Data are good
// only until the function that was given it returns.
type Message struct {
	Conversation *Conversation
	// FromB: the address B of the pair has sent it, and not A.
	FromB bool
	// Number counts the messages of a Sniffer from 1, in the order in which they began.
	Number uint64
	Result Result
	// Size is the length that its first frame announced.
	Size uint32
	// Received is how many bytes of it came.
	Received uint32
	// Data are the bytes that came, but no more than Options.MaxData.
	Data []byte
	// Frames counts the frames that were its parts, without flow control.
	Frames int
	// FlowControls counts those that answered it, Waits those among them that said WAIT.
	FlowControls, Waits int
	// BlockSize and STmin (see SeparationTime) are those of the first CTS, if Granted. A
	// message of several frames that is Complete and not Granted says that the other side
	// was not seen.
	Granted          bool
	BlockSize, STmin uint8
	// WantSN and GotSN are the sequence numbers, if Result is WrongSN.
	WantSN, GotSN uint8
	// Start and End are the times of its first frame, and of the frame or the time-out that
	// ended it; zero where the frames' time is not known.
	Start, End time.Time
}

// Sender returns the address that the message was sent to or from: that of its frames.
func (m *Message) Sender() Address {
	if m.FromB {
		return m.Conversation.Pair.B
	}
	return m.Conversation.Pair.A
}

// Why says how a message ended if it is not complete, and names the values; else it is "".
func (m *Message) Why() string {
	switch m.Result {
	case Complete:
		return ""
	case WrongSN:
		return fmt.Sprintf("%v: %X, want %X", m.Result, m.GotSN, m.WantSN)
	}
	return m.Result.String()
}

// A Conversation is a pair on one bus, with what was counted of it. It lives as long as its
// Sniffer, which goes on counting.
type Conversation struct {
	// Number counts the conversations of a Sniffer from 1, in the order in which they were
	// found. Two of one side each become one if it shows that they are a pair.
	Number    int
	Interface string
	// Pair gets its B later, if the first messages were those of one side only.
	Pair Pair
	// A and B are what each side has sent.
	A, B Sent
	// Forgotten counts frames from before the pair was found that were not kept: see
	// package documentation.
	Forgotten uint64

	asked bool // Options.Pairs want one side only
}

// OneSided reports whether nothing of one side was seen, though there is one: the frames hold
// one direction only, or a request had no answer.
func (c *Conversation) OneSided() bool {
	return !c.asked && !c.Pair.IsFunctional() && (c.A.Frames == 0 || c.B.Frames == 0)
}

// Sent counts what one side of a conversation has sent.
type Sent struct {
	Frames   uint64 // all of them
	Messages uint64 // whole ones
	Bytes    uint64 // in these
	GivenUp  uint64 // messages given up
	Ignored  uint64 // frames that every receiver ignores, or that were part of no message
}

// A Part says what a frame was in its conversation.
type Part uint8

const (
	// NoPart: the frame is of no pair that is followed, or is none of ISO-TP.
	NoPart Part = iota
	// InMessage: it is the Single, First or a Consecutive Frame of a message.
	InMessage
	// Answer: it is flow control for a message of the other side.
	Answer
	// Stray: it is a Consecutive Frame or flow control of no message under way, or flow
	// control in mid-block.
	Stray
	// Ignored: every receiver ignores it: PCI.Fault says why, or a Consecutive Frame has
	// another length than the First Frame, and is not the last.
	Ignored
)

// A FrameEvent is one frame and what it says. It is good only until the function that was
// given it returns.
type FrameEvent struct {
	Frame        *canbus.Frame
	Interface    string
	Conversation *Conversation // nil: it is of no pair
	FromB        bool          // the address B of the pair has sent it
	// PCI is read with the pair's address; without a Conversation, as in normal addressing.
	PCI  PCI
	Part Part
	// Message is the Number of the message that it is part of or answers; 0: none.
	Message uint64
}
