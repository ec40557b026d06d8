package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestARunStopsAtTheFirstStepThatFails(t *testing.T) {
	broken := errors.New("broken")
	var out strings.Builder
	err := runSteps(&out, []step{
		{"one", func(*clock) error { return nil }},
		{"two", func(*clock) error { return broken }},
		{"three", func(*clock) error { t.Error("went on"); return nil }},
	})
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "two: ") {
		t.Error(err)
	}
	for _, want := range []string{"== 1 of 3: one\n", "== 2 of 3: two\n", "processor time  two\n", "processor time  all\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

func TestProcessorTimeIsThatOfCommands(t *testing.T) {
	var c clock
	if err := c.run("go", "version"); err != nil || c.processor <= 0 {
		t.Errorf("%v, %v", c.processor, err)
	}
}

func TestACommandThatFailsIsNamed(t *testing.T) {
	var c clock
	if _, err := c.output("go", "tool", "-n", "nonesuch"); err == nil || !strings.HasPrefix(err.Error(), "go tool -n nonesuch: ") {
		t.Error(err)
	}
}

// What passed is not printed; a test that never ended is, as the one that hangs.
func TestOnlyFailuresArePrinted(t *testing.T) {
	var out strings.Builder
	err := readEvents(strings.NewReader(`
{"Action":"output","Package":"p","Test":"TestGood","Output":"good\n"}
{"Action":"output","Package":"p","Test":"TestHangs","Output":"hangs\n"}
{"Action":"output","Package":"q","Test":"TestOther","Output":"other\n"}
{"Action":"pass","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Output":"panic\n"}
{"Action":"fail","Package":"p","Elapsed":1.5}
{"ImportPath":"r","Action":"build-output","Output":"does not compile\n"}
`[1:]), func(event) {}, &out)
	if got, want := out.String(), "hangs\npanic\nfail     1.5 s  p\ndoes not compile\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestPackagesAreFoundByTheirTests(t *testing.T) {
	t.Chdir("../..")
	for _, tt := range []struct {
		pattern   *regexp.Regexp
		has, lack string
	}{
		{connectionTest, "./canbus/socketcan", "./test/run"},
		{benchmark, "./isotpnet", "./test/bench"}, // a module of its own
	} {
		got, err := packagesWith(tt.pattern)
		if err != nil || !slices.Contains(got, tt.has) || slices.Contains(got, tt.lack) {
			t.Errorf("%v: %v, %v", tt.pattern, got, err)
		}
	}
}
