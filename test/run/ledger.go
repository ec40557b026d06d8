package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A test is a test or a subtest.
type test struct{ pkg, name string }

// top is the name of the test that t is a subtest of, or t's.
func (t test) top() string {
	name, _, _ := strings.Cut(t.name, "/")
	return name
}

// A ledger notes of each test and subtest whether it ran anywhere, on this computer or in a
// machine. A test that needs a kernel is skipped where that is missing; without the ledger
// a test that is skipped everywhere would go unnoticed.
type ledger struct {
	mu      sync.Mutex // guards what follows: machines may run at the same time
	ran     map[test]bool
	skipped map[test]string // the reason
	said    map[test]string // the last line of a test's output
}

func newLedger() *ledger {
	return &ledger{ran: map[test]bool{}, skipped: map[test]string{}, said: map[test]string{}}
}

// framing is what package testing writes around a test's output.
var framing = regexp.MustCompile(`^\s*(===|---) `)

// needless matches the reasons for skipping a test that does not have to run anywhere: a
// test of bustest for something that the driver does not do.
var needless = regexp.MustCompile(`: this driver has no `)

// see takes an event of go test.
func (l *ledger) see(e event) {
	if e.Test == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch t := (test{e.Package, e.Test}); e.Action {
	case "output":
		if !framing.MatchString(e.Output) {
			l.said[t] = strings.TrimSpace(e.Output)
		}
	case "pass":
		l.ran[t] = true
	case "skip":
		l.skipped[t] = l.said[t]
	}
}

// missing returns the tests that were skipped each time, in order.
func (l *ledger) missing() []test {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []test
	for t, reason := range l.skipped {
		if !l.ran[t] && !needless.MatchString(reason) {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b test) int { return strings.Compare(a.pkg+" "+a.name, b.pkg+" "+b.name) })
	return list
}

// selections returns for each package with missing tests the names of the tests that
// have them, in order.
func (l *ledger) selections() []selection {
	names := map[string][]string{}
	for _, t := range l.missing() {
		if top := t.top(); !slices.Contains(names[t.pkg], top) {
			names[t.pkg] = append(names[t.pkg], top)
		}
	}
	var list []selection
	for _, pkg := range slices.Sorted(maps.Keys(names)) {
		list = append(list, selection{pkg, names[pkg]})
	}
	return list
}

// check returns an error that names the tests that ran nowhere, and that the other ledgers have not seen
// run either.
func (l *ledger) check(others ...*ledger) error {
	var text strings.Builder
	missing := slices.DeleteFunc(l.missing(), func(t test) bool {
		return slices.ContainsFunc(others, func(o *ledger) bool { return o.ran[t] })
	})
	for _, t := range missing {
		fmt.Fprintf(&text, "\n\t%s %s: %s", t.pkg, t.name, l.skipped[t])
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d tests were skipped here and in every machine:%s", len(missing), &text)
	}
	return nil
}

// A selection is some tests of a package.
type selection struct {
	pkg   string
	tests []string
}

// pattern is the selection as go test's -run takes it.
func (s selection) pattern() string { return "^(" + strings.Join(s.tests, "|") + ")$" }

// without returns a list of selections without the tests that another one has.
func without(list, other []selection) []selection {
	var left []selection
	for _, sel := range list {
		for _, o := range other {
			if o.pkg == sel.pkg {
				sel.tests = slices.DeleteFunc(slices.Clone(sel.tests), func(name string) bool { return slices.Contains(o.tests, name) })
			}
		}
		if len(sel.tests) > 0 {
			left = append(left, sel)
		}
	}
	return left
}

// unseen returns an error if one of the tests is not among those seen.
func (s selection) unseen(seen map[string]bool) error {
	for _, name := range s.tests {
		if !seen[name] {
			return fmt.Errorf("%s has no test %s", s.pkg, name)
		}
	}
	return nil
}
