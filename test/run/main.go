// Run checks and tests this module. It is what make check and make test start, in the
// module's directory:
//
//	go run ./test/run check     what needs no machine, in about a minute
//	go run ./test/run test      everything; .ci/run runs this
//	go run ./test/run cover     the tests for their coverage alone, and what they leave out
//	go run ./test/run fuzz      the fuzz targets alone
//	go run ./test/run kernels   the tests of Linux's CAN sockets in each kernel, again and again
//	go run ./test/run wine      the tests of the build for Windows alone
//
// It runs one step after the other, the cheapest failures first, stops at the first
// step that fails, and ends with a table of how long each took.
//
// The environment makes a run shorter or longer: FUZZTIME is how long each fuzz target
// runs (default 3s, 0 for its corpus alone), COUNT how often the connection tests run
// (default 1, of kernels 20), KERNELS which kernels run in machines of test/vm (default
// "native 6.1 6.12 7.2", 0 for none). WINE=0 leaves out the tests of the build for Windows.
package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are the values of the environment.
type settings struct {
	fuzzTime time.Duration
	count    int
	kernels  []string
	wine     bool
}

func main() {
	if len(os.Args) != 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go run ./test/run check|test|cover|fuzz|kernels|wine")
		os.Exit(2)
	}
	s, err := readSettings()
	if err == nil {
		err = newSession(s).run(commands[os.Args[1]])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nFAILED: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("\nall passed")
}

// commands are the steps of each command.
var commands = map[string]func(*session) ([]step, error){
	"check":   (*session).check,
	"test":    (*session).test,
	"cover":   (*session).coverage,
	"fuzz":    (*session).fuzzSteps,
	"kernels": (*session).kernelsAgain,
	"wine":    func(s *session) ([]step, error) { return s.wineSteps(), nil },
}

func readSettings() (settings, error) {
	s := settings{kernels: strings.Fields(cmp.Or(os.Getenv("KERNELS"), "native 6.1 6.12 7.2")), wine: os.Getenv("WINE") != "0"}
	var err error
	if s.fuzzTime, err = time.ParseDuration(cmp.Or(os.Getenv("FUZZTIME"), "3s")); err != nil || s.fuzzTime < 0 {
		return s, fmt.Errorf("FUZZTIME is %q, want a duration like 20s", os.Getenv("FUZZTIME"))
	}
	if s.count, err = strconv.Atoi(cmp.Or(os.Getenv("COUNT"), "0")); err != nil || s.count < 0 {
		return s, fmt.Errorf("COUNT is %q, want a number from 1 up", os.Getenv("COUNT"))
	}
	if slices.Equal(s.kernels, []string{"0"}) {
		s.kernels = nil
	}
	for _, k := range s.kernels {
		if k != native && !slices.Contains(stockKernels, k) {
			return s, fmt.Errorf("KERNELS names %q, want some of %s %s", k, native, strings.Join(stockKernels, " "))
		}
	}
	return s, nil
}

// A session is one run: its settings, and the results of its tests.
type session struct {
	settings
	ledger       *ledger
	underWine    *ledger     // of the build for Windows
	skipped      []selection // by this computer, which the machines run
	host, merged *profile    // coverage: on this computer, and with that in machines
	native       bool        // whether the native kernel runs here
}

func newSession(s settings) *session {
	return &session{settings: s, ledger: newLedger(), underWine: newLedger(), host: newProfile(), merged: newProfile()}
}

// run runs the steps of a command.
func (s *session) run(steps func(*session) ([]step, error)) error {
	list, err := steps(s)
	if err != nil {
		return err
	}
	return runSteps(os.Stdout, list)
}

// check is make check. What a test needs beside Go may be missing there.
func (s *session) check() ([]step, error) {
	return append(sourceSteps(hostOnly), step{"tests", func(c *clock) error {
		os.Setenv("GOGC", "400") // these tests are short: else a sixth of their time is the collector's
		return shortRun(c, "-timeout", "10m")
	}}), nil
}

// test is make test.
func (s *session) test() ([]step, error) {
	noSkips()
	fuzzing, err := s.fuzzSteps()
	if err != nil {
		return nil, err
	}
	steps := []step{{"go mod tidy", tidy}}
	steps = append(steps, sourceSteps(everySystem)...)
	steps = append(steps,
		step{"tests", s.testsHere},
		step{"tests, with the race detector", s.racesHere},
		step{"connections, with the race detector and 1, 2 and 8 processors", s.connectionsHere},
		step{"benchmarks run", benchmarks},
	)
	steps = append(steps, fuzzing...)
	steps = append(steps, s.wineSteps()...)
	steps = append(steps, s.machineSteps()...)
	return append(steps, step{"coverage", s.checkCoverage}), nil
}

// coverage is make cover.
func (s *session) coverage() ([]step, error) {
	noSkips()
	steps := append([]step{{"tests", s.testsHere}}, s.machineSteps()...)
	return append(steps, step{"coverage", s.listUncovered}), nil
}

// kernelsAgain is make kernels.
func (s *session) kernelsAgain() ([]step, error) {
	noSkips()
	steps := []step{{"tests, to see which need a kernel", s.testsHere}, {"machines", s.machines}}
	for _, k := range s.kernels {
		steps = append(steps,
			step{"kernel " + k + ": all", func(c *clock) error { return s.inKernel(c, k, s.skipped) }},
			step{"kernel " + k + ": connections, again and again", func(c *clock) error { return s.connectionsIn(c, k, "-count", s.times(20)) }},
			step{"kernel " + k + ": connections, with the race detector", func(c *clock) error { return s.connectionsIn(c, k, "-race") }},
		)
	}
	return steps, nil
}

// noSkips lets tests fail, and not be skipped, if something that they need beside Go and a
// kernel is missing. On Linux test/setup installs that.
func noSkips() {
	if hostOS == "linux" {
		os.Setenv("ISOTPNET_NO_SKIP", "1")
	}
}

// times is COUNT, or n if that is not set.
func (s *session) times(n int) string { return strconv.Itoa(cmp.Or(s.count, n)) }
