package engine

import "time"

// Stats count what an engine has done since it was made.
type Stats struct {
	commonStats
	rareStats
}

// commonStats are what every message counts.
type commonStats struct {
	FramesSent, FramesReceived     uint64
	MessagesSent, MessagesReceived uint64
	BytesSent, BytesReceived       uint64 // of whole messages
	WaitsSent, WaitsReceived       uint64
	SendsAborted, ReceivesAborted  uint64
}

// rareStats are what many engines never count. They have none until they do, as idle
// connections can be many.
type rareStats struct {
	// Errors count each Code, those of ignored frames too.
	Errors [NumCodes]uint32

	// Gaps are the times from the end of each Consecutive Frame to the start of the
	// next, if the separation time is above 0: how many, their sum, the shortest and the
	// longest.
	Gaps           uint64
	GapSum         time.Duration
	GapMin, GapMax time.Duration
}

// rareStats returns the engine's, to count.
func (e *Engine) rareStats() *rareStats {
	if e.rare == nil {
		e.rare = new(rareStats)
	}
	return e.rare
}

func (s *rareStats) gap(d time.Duration) {
	if s.Gaps == 0 || d < s.GapMin {
		s.GapMin = d
	}
	s.GapMax = max(s.GapMax, d)
	s.GapSum += d
	s.Gaps++
}

// Add adds what another engine has counted.
func (s *Stats) Add(o *Stats) {
	s.FramesSent += o.FramesSent
	s.FramesReceived += o.FramesReceived
	s.MessagesSent += o.MessagesSent
	s.MessagesReceived += o.MessagesReceived
	s.BytesSent += o.BytesSent
	s.BytesReceived += o.BytesReceived
	s.WaitsSent += o.WaitsSent
	s.WaitsReceived += o.WaitsReceived
	s.SendsAborted += o.SendsAborted
	s.ReceivesAborted += o.ReceivesAborted
	for code, n := range o.Errors {
		s.Errors[code] += n
	}
	if o.Gaps > 0 && (s.Gaps == 0 || o.GapMin < s.GapMin) {
		s.GapMin = o.GapMin
	}
	s.Gaps += o.Gaps
	s.GapSum += o.GapSum
	s.GapMax = max(s.GapMax, o.GapMax)
}

// Stats returns the counts so far.
func (e *Engine) Stats() Stats {
	s := Stats{commonStats: e.stats}
	if e.rare != nil {
		s.rareStats = *e.rare
	}
	return s
}

// ObservationKind says what an Observation is about.
type ObservationKind uint8

const (
	FrameIgnored        ObservationKind = iota // Code
	MessageStarted                             // a First Frame was accepted: Size
	MessageReceiving                           // a Consecutive Frame of it came, not the last: Size, Done
	MessageReceived                            // Size
	ReceptionAborted                           // Code; Size is how much had arrived
	MessageSending                             // a frame of it was handed over, not the last: Size, Done
	MessageSent                                // Size
	SendAborted                                // Code; Size is how much had been handed over
	FlowControlSent                            // Status, BlockSize, STmin
	FlowControlReceived                        // Status, BlockSize, STmin
)

// An Observation is one step of the protocol, for traces and logs.
type Observation struct {
	Kind       ObservationKind
	At         Time
	Code       Code
	Size       uint32
	Done       uint32 // of Size
	Functional bool
	Status     uint8
	BlockSize  uint8
	STmin      uint8 // coded
	// Dropped, if a message was aborted: how many frames the bus has dropped since the
	// message was started.
	Dropped uint32
}
