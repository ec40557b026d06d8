package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ledgerOf is a ledger that has seen the events of runs: in each line an action, a test
// of package p, and what it wrote.
func ledgerOf(runs ...string) *ledger {
	l := newLedger()
	for line := range strings.Lines(strings.Join(runs, "\n")) {
		if fields := strings.SplitN(strings.TrimSpace(line), " ", 3); len(fields) > 1 {
			l.see(event{Action: fields[0], Package: "p", Test: fields[1], Output: strings.Join(fields[2:], "")})
		}
	}
	return l
}

const skippedHere = `
pass TestA
output TestB     b_test.go:7: no CAN interfaces
output TestB --- SKIP: TestB (0.00s)
skip TestB
skip TestC/kernel
pass TestC/user
pass TestC
`

func TestATestThatRanNowhereIsNamed(t *testing.T) {
	err := ledgerOf(skippedHere, "pass TestC/kernel").check()
	if err == nil || !strings.Contains(err.Error(), "p TestB: b_test.go:7: no CAN interfaces") || strings.Contains(err.Error(), "TestC") {
		t.Error(err)
	}
}

func TestASubtestThatRanNowhereIsNamed(t *testing.T) {
	err := ledgerOf(skippedHere, "pass TestB").check()
	if err == nil || !strings.Contains(err.Error(), "p TestC/kernel") || strings.Contains(err.Error(), "TestB") {
		t.Error(err)
	}
}

func TestASubtestOfTheMachineThatIsSkippedThereIsNamed(t *testing.T) {
	err := ledgerOf(skippedHere, "skip TestB/late\npass TestB\npass TestC/kernel").check()
	if err == nil || !strings.Contains(err.Error(), "p TestB/late") {
		t.Error(err)
	}
}

func TestWhatRanInOneMachineOfManyIsNotMissing(t *testing.T) {
	if err := ledgerOf(skippedHere, "skip TestB\npass TestC/kernel", "pass TestB\nskip TestC/kernel").check(); err != nil {
		t.Error(err)
	}
}

// What the build for Windows skips may have run on Linux; what only it has may not be skipped.
func TestWhatRanInAnotherBuildIsNotMissing(t *testing.T) {
	err := ledgerOf("skip TestHere", "skip TestWindowsOnly").check(ledgerOf("pass TestHere"))
	if err == nil || strings.Contains(err.Error(), "TestHere") || !strings.Contains(err.Error(), "p TestWindowsOnly") {
		t.Error(err)
	}
}

func TestADriverNeedNotDoEverything(t *testing.T) {
	if err := ledgerOf("output TestD/Filters     bustest.go:61: this driver has no FilterSetter\nskip TestD/Filters\npass TestD").check(); err != nil {
		t.Error(err)
	}
}

func TestMachinesRunTheTestsThatWereSkipped(t *testing.T) {
	got := ledgerOf(skippedHere).selections()
	if len(got) != 1 || got[0].pkg != "p" || !slices.Equal(got[0].tests, []string{"TestB", "TestC"}) {
		t.Error(got)
	}
	if got := got[0].pattern(); got != "^(TestB|TestC)$" {
		t.Error(got)
	}
}

func TestASelectedTestThatIsNotThereIsNamed(t *testing.T) {
	s := selection{"p", []string{"TestA", "TestGone"}}
	if err := s.unseen(map[string]bool{"TestA": true, "TestGone/sub": true}); err == nil || !strings.Contains(err.Error(), "p has no test TestGone") {
		t.Error(err)
	}
	if err := s.unseen(map[string]bool{"TestA": true, "TestGone": true}); err != nil {
		t.Error(err)
	}
}

func TestSelectionWithoutAnother(t *testing.T) {
	list := []selection{{"a", []string{"One", "Two", "Three"}}, {"b", []string{"One"}}, {"c", []string{"One"}}}
	got := without(list, []selection{{"a", []string{"Two", "Four"}}, {"b", []string{"One"}}})
	if want := "[{a [One Three]} {c [One]}]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(list[0].tests) != 3 {
		t.Errorf("the list has become %v", list)
	}
}
