package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"example.com/isotp/isotpnet"
)

// finish ends a command's use of a connection, now closed: it waits for the last lines of
// the trace, and prints the statistics if they were asked for.
func (s *streams) finish(trace *tracer, stats isotpnet.Stats, print bool) {
	trace.wait(stats)
	if print {
		printStats(s.stderr, stats)
	}
}

// printStats writes what was counted, and of errors those that occurred.
func printStats(w io.Writer, s isotpnet.Stats) {
	var b strings.Builder
	fmt.Fprintf(&b, "frames     %d sent, %d received\n", s.FramesSent, s.FramesReceived)
	fmt.Fprintf(&b, "messages   %d sent, %d received\n", s.MessagesSent, s.MessagesReceived)
	fmt.Fprintf(&b, "bytes      %d sent, %d received\n", s.BytesSent, s.BytesReceived)
	fmt.Fprintf(&b, "waits      %d sent, %d received\n", s.WaitFramesSent, s.WaitFramesReceived)
	fmt.Fprintf(&b, "aborted    %d sends, %d receptions\n", s.SendsAborted, s.ReceptionsAborted)
	if s.BusDropped > 0 {
		fmt.Fprintf(&b, "dropped    %d received frames, by the bus\n", s.BusDropped)
	}
	if g := s.STminGap; g.Count > 0 {
		fmt.Fprintf(&b, "gaps       %d, from %v to %v, mean %v\n", g.Count, g.Min, g.Max, g.Mean)
	}
	for _, code := range slices.Sorted(maps.Keys(s.Errors)) {
		fmt.Fprintf(&b, "error      %d times %v\n", s.Errors[code], code)
	}
	io.WriteString(w, b.String())
}
