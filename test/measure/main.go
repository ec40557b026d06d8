// Measure runs the benchmarks. It is what make bench-against and make figures start, in the
// module's directory:
//
//	go run ./test/measure [flags] against REV    the working tree beside the commit REV
//	go run ./test/measure [flags] figures [SECTION...]    writes docs/figures.md
//
// The benchmarks of frames in memory are the module test/bench. To compare, measure builds
// that with the commit and with the working tree, runs each benchmark by turns (old, new, old
// again), as often as -rounds says, and shows with benchstat what has changed; what differs
// between old and old again is noise. It keeps in a folder what the benchmarks have printed,
// the programs, and a profile of each benchmark with each program:
//
//	go tool pprof -diff_base test/.bin/against/old/RoundTrip_Pipe_FD.pprof test/.bin/against/new/RoundTrip_Pipe_FD.pprof
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// options are the flags.
type options struct {
	bench  string
	rounds int
	cpu    string
	time   time.Duration
	dir    string
}

func main() {
	var o options
	flag.StringVar(&o.bench, "bench", ".", "compare the benchmarks that match this, as for go test")
	flag.IntVar(&o.rounds, "rounds", 9, "how often each benchmark runs")
	flag.StringVar(&o.cpu, "cpu", "1,2", "compare on so many processors, as for go test")
	flag.DurationVar(&o.time, "time", 200*time.Millisecond, "how long a benchmark runs each time")
	flag.StringVar(&o.dir, "o", "test/.bin/against", "keep output, programs and profiles of the comparison in this folder")
	flag.Usage = usage
	flag.Parse()
	// The programs that run end by the signal, too, and what is temporary goes away.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch args := flag.Args(); {
	case o.rounds < 1:
		err = fmt.Errorf("-rounds is %d, want 1 or more", o.rounds)
	case len(args) == 2 && args[0] == "against":
		err = against(ctx, o, args[1])
	case len(args) >= 1 && args[0] == "figures":
		err = figures(ctx, o, args[1:])
	default:
		usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: go run ./test/measure [flags] against REV | figures [SECTION...]")
	flag.PrintDefaults()
}
