package isotpnet

import (
	"time"

	"example.com/isotp/internal/engine"
)

// Stats count what a [Conn] has done since it was made. The kernel's backend knows
// nothing of frames; it counts messages, bytes and Errors.
type Stats struct {
	FramesSent, FramesReceived     uint64
	MessagesSent, MessagesReceived uint64 // whole ones
	BytesSent, BytesReceived       uint64 // of whole messages

	// WaitFramesSent and WaitFramesReceived are the flow controls with WAIT.
	WaitFramesSent, WaitFramesReceived uint64
	// SendsAborted and ReceptionsAborted are messages that were started and then
	// aborted.
	SendsAborted, ReceptionsAborted uint64

	// BusDropped is how many received frames the bus has dropped since the connection
	// was made, those for other connections too: see OverrunError. It is 0 on a bus that
	// does not count them, and on the kernel's backend.
	BusDropped uint64

	// Errors say how often each Code has occurred, those of ignored frames
	// too. Codes that have not are missing.
	Errors map[Code]uint64

	// STminGap are the times that we left between Consecutive Frames where the
	// peer asked for a separation time, or OverrideSTmin is above 0: from one
	// frame's end (its echo, where the bus echoes) to when the next is handed
	// to the bus.
	STminGap Gap
}

// A Gap sums up times. They are 0 if Count is.
type Gap struct {
	Count          uint64
	Min, Mean, Max time.Duration
}

func newStats(s engine.Stats) Stats {
	stats := Stats{
		FramesSent: s.FramesSent, FramesReceived: s.FramesReceived,
		MessagesSent: s.MessagesSent, MessagesReceived: s.MessagesReceived,
		BytesSent: s.BytesSent, BytesReceived: s.BytesReceived,
		WaitFramesSent: s.WaitsSent, WaitFramesReceived: s.WaitsReceived,
		SendsAborted: s.SendsAborted, ReceptionsAborted: s.ReceivesAborted,
		Errors:   make(map[Code]uint64),
		STminGap: Gap{Count: s.Gaps, Min: s.GapMin, Max: s.GapMax},
	}
	for code, n := range s.Errors {
		if n > 0 {
			stats.Errors[Code(code)] = uint64(n)
		}
	}
	if s.Gaps > 0 {
		stats.STminGap.Mean = s.GapSum / time.Duration(s.Gaps)
	}
	return stats
}
