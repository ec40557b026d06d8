package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// An event is an event that go test -json prints.
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

// goTest runs go test with these arguments, tells see of its events, and prints what go
// test prints without -v.
func goTest(c *clock, see func(event), args ...string) error {
	return goTestFor(c, hostOnly[0], see, args...)
}

// goTestFor is goTest for another system, whose programs run here or by -exec.
func goTestFor(c *clock, t target, see func(event), args ...string) error {
	// Vetting is a step of its own. What debuggers need takes a quarter of the linker's time.
	cmd := exec.Command("go", append([]string{"test", "-json", "-vet=off", "-ldflags=-s -w"}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS="+t.os, "GOARCH="+t.arch)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	// Read to the end before Wait, which closes the pipe.
	readErr := readEvents(out, see, os.Stdout)
	return cmp.Or(c.wait(cmd), readErr)
}

// readEvents reads the events of go test, and calls see with each. It prints to w a line
// for each package, and the output of tests that did not pass.
func readEvents(r io.Reader, see func(event), w io.Writer) error {
	p := printer{w: w, wrote: map[string]*output{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(w, lines.Text())
			continue
		}
		see(e)
		p.print(e)
	}
	return lines.Err()
}

// A printer prints the events of packages that are tested at the same time.
type printer struct {
	w     io.Writer
	wrote map[string]*output // by package
}

// output is what a package's tests have written, without the tests that have passed.
type output struct {
	tests []string // in the order in which they began
	text  map[string]*strings.Builder
}

func (p *printer) print(e event) {
	if e.Action == "build-output" {
		io.WriteString(p.w, e.Output)
		return
	}
	o := p.wrote[e.Package]
	if o == nil {
		o = &output{text: map[string]*strings.Builder{}}
		p.wrote[e.Package] = o
	}
	ended := e.Action == "pass" || e.Action == "skip" || e.Action == "fail"
	switch {
	case e.Action == "output":
		o.add(e.Test, e.Output)
	case ended && e.Test == "":
		if e.Action == "fail" {
			o.print(p.w)
		}
		fmt.Fprintf(p.w, "%s  %6.1f s  %s\n", e.Action, e.Elapsed, e.Package)
	case e.Action == "pass" || e.Action == "skip":
		delete(o.text, e.Test)
	}
}

func (o *output) add(test, text string) {
	if o.text[test] == nil {
		o.text[test] = new(strings.Builder)
		o.tests = append(o.tests, test)
	}
	o.text[test].WriteString(text)
}

func (o *output) print(w io.Writer) {
	for _, test := range o.tests {
		if text := o.text[test]; text != nil {
			io.WriteString(w, text.String())
		}
	}
}
