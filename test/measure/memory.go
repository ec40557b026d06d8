package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// memory has the figures of test/bench: what crosses a bus in memory from end to end.
func memory(ctx context.Context, o options) (string, error) {
	dir, err := os.MkdirTemp("", "isotpnet-measure-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	p, err := build(ctx, filepath.Join(dir, "bench.test"))
	if err != nil {
		return "", err
	}
	names, err := p.names(ctx, ".")
	if err != nil {
		return "", err
	}
	o.cpu = "1,2"
	r := results{}
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
		for _, name := range names {
			out, err := p.measure(ctx, o, name)
			if err != nil {
				return "", err
			}
			r.add(out)
		}
	}
	return fmt.Sprintf(memoryText, o.rounds,
		table(r, []string{"time", "one processor: of processor time", "elapsed", "two processors: of processor time", "elapsed"}, timeRows),
		table(r, []string{"processor time beside", "one processor", "two processors"}, besideRows),
		table(r, []string{"memory", ""}, memoryRows)), nil
}

const memoryText = `Both ends are in one process. The bus of a ` + "`Pipe`" + ` exists for its two ends alone; two Dials share
one that others may hear; with a tap each, as for streams, frames pass from goroutine to goroutine.
Medians of %d rounds. Messages have 4095 bytes if nothing else is said.

%s
%s
A stream's messages have at most 4084 bytes of the user, so a Write of 4095 is two messages.

%s`

var timeRows = []row{
	timeOf("Pipe, classic CAN, BS 0, per frame", "Message/Pipe/classic/BS=0", "frame"),
	timeOf("Pipe, classic CAN, BS 8, per frame", "Message/Pipe/classic/BS=8", "frame"),
	timeOf("Pipe, CAN FD, BS 0, per frame", "Message/Pipe/FD/BS=0", "frame"),
	timeOf("Pipe, CAN FD, BS 8, per frame", "Message/Pipe/FD/BS=8", "frame"),
	timeOf("two Dials, classic CAN, BS 0, per frame", "Message/TwoDials/classic/BS=0", "frame"),
	timeOf("two Dials, classic CAN, BS 8, per frame", "Message/TwoDials/classic/BS=8", "frame"),
	timeOf("two Dials, CAN FD, BS 0, per frame", "Message/TwoDials/FD/BS=0", "frame"),
	timeOf("two Dials, CAN FD, BS 8, per frame", "Message/TwoDials/FD/BS=8", "frame"),
	timeOf("a tap each, classic CAN, BS 0, per frame", "Message/TwoTaps/classic/BS=0", "frame"),
	timeOf("a tap each, classic CAN, BS 8, per frame", "Message/TwoTaps/classic/BS=8", "frame"),
	timeOf("a tap each, CAN FD, BS 0, per frame", "Message/TwoTaps/FD/BS=0", "frame"),
	timeOf("a tap each, CAN FD, BS 8, per frame", "Message/TwoTaps/FD/BS=8", "frame"),
	timeOf("a Single Frame there and another back, Pipe", "RoundTrip/Pipe/classic", "trip"),
	timeOf("the same, two Dials", "RoundTrip/TwoDials/classic", "trip"),
	timeOf("the same, a tap each", "RoundTrip/TwoTaps/classic", "trip"),
	timeOf("the same, Pipe, CAN FD", "RoundTrip/Pipe/FD", "trip"),
	timeOf("the same, two Dials, CAN FD", "RoundTrip/TwoDials/FD", "trip"),
	timeOf("the same, a tap each, CAN FD", "RoundTrip/TwoTaps/FD", "trip"),
	timeOf("the same, a stream, CAN FD", "RoundTrip/Stream/FD", "trip"),
	timeOf("a message of 1 MiB, Pipe, CAN FD", "LongMessage/Pipe/FD", "message"),
	timeOf("a message of 1 MiB, two Dials, CAN FD", "LongMessage/TwoDials/FD", "message"),
	timeOf("messages, classic CAN, per kB", "Bytes/classic/messages", "kB"),
	timeOf("a stream, classic CAN, per kB", "Bytes/classic/stream", "kB"),
	timeOf("messages, CAN FD, per kB", "Bytes/FD/messages", "kB"),
	timeOf("a stream, CAN FD, per kB", "Bytes/FD/stream", "kB"),
	timeOf("10 connections on one bus, all at once, per frame", "Many/conns=10", "frame"),
	timeOf("10,000 connections on one bus, all at once, per frame", "Many/conns=10000", "frame"),
	timeOf("one peer of a PacketConn, per frame", "Peers/peers=1", "frame"),
	timeOf("1,000 peers of a PacketConn, all at once, per frame", "Peers/peers=1000", "frame"),
}

// timeOf is processor time and time by the clock, on one processor and on two.
func timeOf(label, name, unit string) row {
	var cells []cell
	for _, name := range onProcessors(name) {
		cells = append(cells, value(name, "cpu-ns/"+unit, nanoseconds), value(name, "ns/"+unit, nanoseconds))
	}
	return row{label, cells}
}

// onProcessors are the names of a benchmark's results on one processor and on two.
func onProcessors(name string) []string {
	return []string{"Benchmark" + name, "Benchmark" + name + "-2"}
}

var besideRows = []row{
	beside("10,000 connections, beside 10", "Many/conns=10000", "Many/conns=10", "frame"),
	beside("1,000 peers of a PacketConn, beside one", "Peers/peers=1000", "Peers/peers=1", "frame"),
	beside("a stream, `io.Copy`, classic CAN, beside messages", "Bytes/classic/stream", "Bytes/classic/messages", "kB"),
	beside("a stream, Writes of 4095 bytes, classic CAN, beside messages", "Bytes/classic/stream-WritesOf4095", "Bytes/classic/messages", "kB"),
	beside("a stream, `io.Copy`, CAN FD, beside messages", "Bytes/FD/stream", "Bytes/FD/messages", "kB"),
	beside("a stream, Writes of 4095 bytes, CAN FD, beside messages", "Bytes/FD/stream-WritesOf4095", "Bytes/FD/messages", "kB"),
	beside("there and back on a stream, CAN FD, beside messages", "RoundTrip/Stream/FD", "RoundTrip/TwoTaps/FD", "trip"),
}

// beside is how many times the processor time of another benchmark one takes.
func beside(label, name, other, unit string) row {
	var cells []cell
	others := onProcessors(other)
	for i, name := range onProcessors(name) {
		cells = append(cells, ratio(name, others[i], "cpu-ns/"+unit))
	}
	return row{label, cells}
}

var memoryRows = []row{
	{"allocations for a message", []cell{value("BenchmarkMessage/Pipe/classic/BS=0", "allocs/op", plain("%.0f"))}},
	{"one of 10,000 connections, dialled", []cell{value("BenchmarkIdle/dialled", "B/conn", bytes)}},
	{"goroutines of it", []cell{value("BenchmarkIdle/dialled", "goroutines/conn", plain("%.0f"))}},
	{"one of 10,000 connections, after a message each way", []cell{value("BenchmarkIdle/used", "B/conn", bytes)}},
	{"the heap for one message of 64 MiB, streamed", []cell{value("BenchmarkSendFrom", "B-of-heap", bytes)}},
}
