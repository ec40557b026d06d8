package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A step is one thing that a run does. It starts its commands with the clock.
type step struct {
	name string
	do   func(*clock) error
}

// A clock starts the commands of a step. It adds up the processor time of these and of the
// commands that they start.
type clock struct {
	mu        sync.Mutex // guards processor: a step may run commands at the same time
	processor time.Duration
}

// run runs a command and prints what it prints.
func (c *clock) run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return c.start(cmd)
}

// output runs a command and returns what it prints.
func (c *clock) output(name string, args ...string) (string, error) {
	var out strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	err := c.start(cmd)
	return strings.TrimSpace(out.String()), err
}

// start runs a command to its end.
func (c *clock) start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	return c.wait(cmd)
}

// wait waits for the end of a command that was started.
func (c *clock) wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if cmd.ProcessState != nil {
		c.mu.Lock()
		c.processor += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		c.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}

// A timing is how long a step took.
type timing struct {
	name            string
	wall, processor time.Duration
}

func (t timing) String() string {
	return fmt.Sprintf("%7.1f s, %7.1f s of processor time", t.wall.Seconds(), t.processor.Seconds())
}

// runSteps runs the steps up to the first that fails. It prints to w the number of each
// step, and at the end how long each took.
func runSteps(w io.Writer, steps []step) error {
	var done []timing
	defer func() { printTimings(w, done) }()
	for i, s := range steps {
		fmt.Fprintf(w, "\n== %d of %d: %s\n", i+1, len(steps), s.name)
		var c clock
		start := time.Now()
		err := s.do(&c)
		done = append(done, timing{s.name, time.Since(start), c.processor})
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintln(w, "  ", done[i])
	}
	return nil
}

func printTimings(w io.Writer, done []timing) {
	all := timing{name: "all"}
	fmt.Fprintln(w)
	for _, t := range done {
		all.wall += t.wall
		all.processor += t.processor
		fmt.Fprintln(w, t, "", t.name)
	}
	fmt.Fprintln(w, all, "", all.name)
}
