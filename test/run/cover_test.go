package main

import (
	"strings"
	"testing"
)

// profileOf merges profiles as go test writes them.
func profileOf(t *testing.T, files ...string) *profile {
	t.Helper()
	p := newProfile()
	for _, text := range files {
		if err := p.read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

const (
	coveredHere      = "mode: set\nm/isotpnet/a.go:1.1,2.2 90 1\nm/isotpnet/a.go:3.1,4.2 10 0\nm/internal/kernel/k.go:1.1,2.2 4 0\n"
	coveredInMachine = "mode: set\nm/isotpnet/a.go:1.1,2.2 90 0\nm/isotpnet/a.go:3.1,4.2 10 7\nm/internal/kernel/k.go:1.1,2.2 4 1\n"
)

func TestWhatAnyTestRunsIsCovered(t *testing.T) {
	p := profileOf(t, coveredHere, coveredInMachine)
	if got := p.totals(); got["m/isotpnet"] != (total{100, 100}) || got["m/internal/kernel"] != (total{4, 4}) {
		t.Error(got)
	}
	var left strings.Builder
	if p.uncovered(&left); left.Len() > 0 {
		t.Error(left.String())
	}
}

func TestWhatNoTestRunsIsListed(t *testing.T) {
	var left strings.Builder
	profileOf(t, coveredHere).uncovered(&left)
	if got, want := left.String(), "m/internal/kernel/k.go:1.1,2.2\nm/isotpnet/a.go:3.1,4.2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCoverageBelowALimitFails(t *testing.T) {
	p := profileOf(t, coveredHere)
	if err := p.check("m", "here", []limit{{"isotpnet", 90}}); err != nil {
		t.Error(err)
	}
	err := p.check("m", "here", []limit{{"isotpnet", 90.1}, {"gone", 1}})
	if err == nil || err.Error() != "tests here run 90.0 % of isotpnet, want 90.1 %\ntests here run 0.0 % of gone, want 1 %" {
		t.Error(err)
	}
}

func TestALineThatIsNoProfilesIsRefused(t *testing.T) {
	for _, text := range []string{"a.go:1.1,2.2 1", "a.go:1.1,2.2 x 1"} {
		if err := newProfile().read(strings.NewReader(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
