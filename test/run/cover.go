package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A profile is the coverage of tests, merged from what go test -coverprofile writes: for
// each block of the source its number of statements, and whether a test has run it.
type profile struct {
	mu     sync.Mutex // guards blocks in read: machines may run at the same time
	blocks map[string]block
}

type block struct {
	statements int
	run        bool
}

func newProfile() *profile { return &profile{blocks: map[string]block{}} }

// add merges a file that go test has written.
func (p *profile) add(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return p.read(f)
}

// read merges lines "file.go:1.2,3.4 statements count".
func (p *profile) read(r io.Reader) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "mode:") {
			continue
		}
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			return fmt.Errorf("%q is no line of a coverage profile", lines.Text())
		}
		statements, err := strconv.Atoi(fields[1])
		if err != nil {
			return err
		}
		before := p.blocks[fields[0]]
		p.blocks[fields[0]] = block{statements, before.run || fields[2] != "0"}
	}
	return lines.Err()
}

// A total is how many statements of a package there are and how many tests have run.
type total struct{ statements, run int }

func (t total) percent() float64 { return 100 * float64(t.run) / float64(max(t.statements, 1)) }

// totals are those of each package.
func (p *profile) totals() map[string]total {
	totals := map[string]total{}
	for where, b := range p.blocks {
		pkg := path.Dir(where)
		t := totals[pkg]
		t.statements += b.statements
		if b.run {
			t.run += b.statements
		}
		totals[pkg] = t
	}
	return totals
}

// print prints a line for each package: its coverage, and that on this computer alone.
func (p *profile) print(w io.Writer, host *profile) {
	here, all := host.totals(), p.totals()
	fmt.Fprintln(w, "   here  merged")
	for _, pkg := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(w, "%5.1f %%  %5.1f %%  %s\n", here[pkg].percent(), all[pkg].percent(), pkg)
	}
}

// uncovered prints the blocks of the packages that no test has run.
func (p *profile) uncovered(w io.Writer) {
	for _, where := range slices.Sorted(maps.Keys(p.blocks)) {
		if !p.blocks[where].run {
			fmt.Fprintln(w, where)
		}
	}
}

// A limit is the least coverage of a package, in percent.
type limit struct {
	pkg     string // without the module's path
	percent float64
}

var (
	hostLimits   = []limit{{"isotpnet", 94}}
	mergedLimits = []limit{{"isotpnet", 95}, {"internal/kernel", 90}, {"canbus/socketcan", 90}}
)

// check returns an error that names the packages below their limit.
func (p *profile) check(module, what string, limits []limit) error {
	var errs []error
	totals := p.totals()
	for _, l := range limits {
		if got := totals[module+"/"+l.pkg]; got.percent() < l.percent {
			errs = append(errs, fmt.Errorf("tests %s run %.1f %% of %s, want %g %%", what, got.percent(), l.pkg, l.percent))
		}
	}
	return errors.Join(errs...)
}
