package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// goTest runs benchmarks of this module's packages by a command that takes go test's flags.
func goTest(ctx context.Context, name string, args ...string) (results, error) {
	out, err := output(ctx, name, args...)
	r := results{}
	r.add(out)
	return r, err
}

// wire has how busy a bus with a bit rate is.
func wire(ctx context.Context, o options) (string, error) {
	r, err := goTest(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkLineRate$", "-cpu", "1", "-benchtime", "5s", "./isotpnet")
	return wireText + table(r, []string{"BS 0, STmin 0", "of the line rate"}, []row{
		lineRate("classic CAN, 500 kbit/s", "classic/500k"),
		lineRate("classic CAN, 1 Mbit/s", "classic/1M"),
		lineRate("CAN FD, 1 and 8 Mbit/s", "FD/1M+8M"),
		lineRate("a stream, `io.Copy`, 500 kbit/s", "stream/500k"),
		lineRate("a stream, Writes of 4095 bytes, 500 kbit/s", "stream-WritesOf4095/500k"),
	}), err
}

const wireText = `The bus in memory takes as long for each frame as one of that bit rate. Shown is how much of
the time it is busy with our frames.

`

func lineRate(label, name string) row {
	return row{label, []cell{value("BenchmarkLineRate/"+name, "%line-rate", plain("%.1f %%"))}}
}

// stminHere has how late frames are on this machine.
func stminHere(ctx context.Context, o options) (string, error) {
	r, err := goTest(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(STmin|Nanosleep)$", "-cpu", "1,2", "-benchtime", "2s", "./isotpnet", "./internal/pacer")
	return stminText + stminTable(r, "-2") + stminTaps + table(r, []string{"STmin, to a tap of its own", "median", "99 %"}, tapRows()), err
}

const stminText = `How much later than asked a Consecutive Frame leaves, where the receiver is elsewhere, as an ECU
is. *Earliest* is the least of all; a negative one would be a frame that came early.
C's ` + "`clock_nanosleep`" + ` does nothing but sleep for that time. The processors of a virtual machine take
long to wake up, which waiting makes up for, and now and then they are busy with other things, which
nothing makes up for: that is the 99th percentile.

`

const stminTaps = `
With the receiver in the same process, on a tap of its own, a second processor wakes up at every frame:

`

// stminIdle has the same on an emulated machine, with nothing else in it.
func stminIdle(ctx context.Context, o options) (string, error) {
	r, err := goTest(ctx, "test/vm/run", "-q", "-k", emulated, "./isotpnet", "./internal/pacer", "--",
		"-cpu", "1", "-run", "^$", "-bench", "^BenchmarkSTmin$/^(exact|spin)$/^[0-9]|^BenchmarkNanosleep$", "-benchtime", "10s")
	return idleText + stminTable(r, ""), err
}

// emulated is the kernel whose figures are shown.
const emulated = "6.12"

const idleText = `The machine is emulated: Linux ` + emulated + `, 500 million instructions a second. Nothing else runs in it,
and how busy the computer around it is does not count, so these figures are the same everywhere.

`

// stmins are in names of benchmarks.
var stmins = []string{"100µs", "500µs", "1ms", "5ms", "20ms"}

var spaced = strings.NewReplacer("µs", " us", "ms", " ms")

// stminTable has a row for each STmin. The names of its benchmarks end with suffix.
func stminTable(r results, suffix string) string {
	var rows []row
	for _, stmin := range stmins {
		exact, spin, c := "BenchmarkSTmin/exact/"+stmin+suffix, "BenchmarkSTmin/spin/"+stmin+suffix, "BenchmarkNanosleep/"+stmin+suffix
		rows = append(rows, row{spaced.Replace(stmin), []cell{
			value(exact, "min-us-late", microseconds), value(exact, "p50-us-late", microseconds), value(exact, "p99-us-late", microseconds),
			value(spin, "p50-us-late", microseconds), value(spin, "p99-us-late", microseconds),
			value(c, "p50-us", microseconds), value(c, "p99-us", microseconds),
		}})
	}
	return table(r, []string{"STmin", "earliest", "median", "99 %", "`PaceSpin`: median", "99 %", "`clock_nanosleep`: median", "99 %"}, rows)
}

func tapRows() []row {
	var rows []row
	for _, stmin := range stmins {
		name := "BenchmarkSTmin/exact/Taps/" + stmin + "-2"
		rows = append(rows, row{spaced.Replace(stmin), []cell{value(name, "p50-us-late", microseconds), value(name, "p99-us-late", microseconds)}})
	}
	return rows
}

func microseconds(us float64) string { return digits(us) + " us" }

// sockets compares Linux's sockets with a C program and with read(2) and write(2), in an
// emulated machine.
func sockets(ctx context.Context, o options) (string, error) {
	if err := buildC(ctx); err != nil {
		return "", err
	}
	r, err := goTest(ctx, "test/vm/run", "-q", "-k", emulated, "-a", cProgram, "./isotpnet", "./canbus/socketcan", "--",
		"-cpu", "2", "-run", "^$", "-bench", "^Benchmark(Kernel.*|Write|Read)$")
	if err != nil {
		return "", err
	}
	for _, cpu := range []string{"1", "2"} { // one run of both would begin each with two
		counted, err := goTest(ctx, "test/vm/run", "-q", "-k", emulated, "./isotpnet", "./canbus/socketcan", "--",
			"-cpu", cpu, "-run", "^$", "-bench", "^BenchmarkCalls", "-benchtime", "500x")
		if err != nil {
			return "", err
		}
		maps.Copy(r, counted)
	}
	return socketsText + table(r, []string{"`isotp:kernel`, beside C", "time", "processor time"}, []row{
		besideC("messages of 4095 bytes, classic CAN", "Throughput/FD=false/FrameTxTime=0s"),
		besideC("the same, CAN FD", "Throughput/FD=true/FrameTxTime=0s"),
		besideC("a Single Frame there and another back", "RoundTrip"),
	}) + rawText + table(r, []string{"`CAN_RAW`", "time"}, []row{
		{"reading, beside read(2)", []cell{ratio("BenchmarkRead/batch=64-2", "BenchmarkRead/read(2)-2", "ns/op")}},
		{"writing, beside write(2) and read(2) of the echo", []cell{ratio("BenchmarkWrite/batch=64-2", "BenchmarkWrite/write(2)_and_read(2)-2", "ns/op")}},
	}) + callsText + table(r, []string{"system calls", "one processor", "two processors"}, []row{
		calls("`isotp:user` on `CAN_RAW`, messages of 4095 bytes, per frame", "Raw", "calls/frame", "%.2f"),
		calls("`isotp:kernel`, a Single Frame there and another back", "Kernel", "calls/round-trip", "%.1f"),
	}), nil
}

func calls(label, name, unit, format string) row {
	name = "BenchmarkCalls" + name
	return row{label, []cell{value(name, unit, plain(format)), value(name+"-2", unit, plain(format))}}
}

const (
	cProgram = "test/.bin/isotpbench"

	socketsText = `How many times as long as a C program that does the same on the same sockets, with
` + "`frame_txtime`" + ` 0. In the emulated machine of the section above, where system calls take more than 20 us, so
only ratios say something. A Single Frame costs more than in C as Go asks without waiting, and waits for
all sockets at once.

`
	rawText = `
64 frames in one system call:

`
	callsText = `
System calls of both ends together, all that the kernel counts, those of Go's scheduler too.
The machine itself has one processor; two are what Go makes use of:

`
)

func besideC(label, name string) row {
	name = "BenchmarkKernel" + name + "-2"
	return row{label, []cell{value(name, "x-C", plain("%.2f")), value(name, "CPU-x-C", plain("%.2f"))}}
}

// buildC builds the C program that ours are compared with.
func buildC(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(cProgram), 0o755); err != nil {
		return err
	}
	cc, err := output(ctx, "go", "env", "CC")
	if err != nil {
		return err
	}
	_, err = output(ctx, cc, "-O2", "-Wall", "-static", "-o", cProgram, "test/vm/cbench/isotpbench.c", "-lpthread")
	return err
}
