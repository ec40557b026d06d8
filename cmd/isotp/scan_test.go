package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scanned runs scan on a bus of its own, in time that passes at once.
func scanned(t *testing.T, flags string) (r result) {
	synctest.Test(t, func(t *testing.T) {
		r = isotp(t.Context(), nil, append([]string{"scan", "virtual:" + t.Name()}, words(flags)...)...)
	})
	return r
}

func TestScan(t *testing.T) {
	r := scanned(t, "--simulate 7E8:7E0 --simulate fixed::10 --simulate 610#F1:6F1#10 --simulate 7E9#99:7E1#99 --simulate mixed::20#99"+
		" --ids 7D0-7EF --fixed 00-1F --extended 6F1#00-1F --mixed 7E1#98-9A,20#99")
	r.want(t, exitOK, "")
	want := []string{
		"7E0:7E8                  normal, CTS, BS 0, STmin 0s, padding CC, after 0s",
		"6F1#10:610#F1            extended, CTS, BS 0, STmin 0s, padding CC, after 0s",
		"fixed:10:F1              fixed or normal 29, CTS, BS 0, STmin 0s, padding CC, after 0s",
		"7E1#99:7E9#99            mixed or extended, CTS, BS 0, STmin 0s, padding CC, after 0s",
		"mixed:20:F1#99           mixed 29 or extended 29, CTS, BS 0, STmin 0s, padding CC, after 0s",
	}
	for _, line := range want {
		if !strings.Contains(r.stdout, line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if n := strings.Count(r.stdout, "\n"); n != len(want) {
		t.Errorf("%d lines, want %d:\n%s", n, len(want), r.stdout)
	}
	// Each endpoint's address is one that the other commands take.
	for line := range strings.Lines(r.stdout) {
		if _, err := parseEndpoint("", words(line)[0]); err != nil {
			t.Error(err)
		}
	}
	if want := "5 endpoints found, 100 addresses probed with 110 frames\n"; !strings.HasSuffix(r.stderr, want) {
		t.Errorf("standard error: %s\nwant %s", r.stderr, want)
	}
}

func TestScanPrintsJSON(t *testing.T) {
	r := scanned(t, "--simulate 7E8:7E0,7DF --ids 7DF-7E0 --probe 3e --intrusive --json")
	r.want(t, exitOK, "")
	var got []endpointJSON
	var last summaryJSON
	for line := range strings.Lines(r.stdout) {
		var e endpointJSON
		err := json.Unmarshal([]byte(line), &e)
		if e.Address == "" {
			err = json.Unmarshal([]byte(line), &last)
		} else {
			got = append(got, e)
		}
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	if len(got) != 2 {
		t.Fatalf("endpoints %+v", got)
	}
	if got[0].Address != "7DF:7E8" {
		got[0], got[1] = got[1], got[0]
	}
	if e := got[0]; e.Address != "7DF:7E8" || !e.Functional || e.Flow != nil || e.Short != nil {
		t.Errorf("%+v", e)
	}
	if e := got[1]; e.Address != "7E0:7E8" || e.Functional || e.Flow == nil || e.Flow.Status != "CTS" || !*e.Short || *e.Padding != "CC" || e.Longest != 1<<24 {
		t.Errorf("%+v", e)
	}
	if last.Endpoints != 2 || last.Probed != 2 || last.Busy == nil || last.Next != "" {
		t.Errorf("summary %+v", last)
	}
}

func TestScanThatFindsNothing(t *testing.T) {
	r := scanned(t, "--ids 7E0-7E7")
	r.want(t, exitTimeout, "no ECU has answered")
	r.wantStdout(t, "")
}

func TestAnInterruptedScanTellsWhereToGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The first 256 of 2048 addresses are done after 2 s of listening, 5.12 s of probes,
		// and what it takes to be sure of an ECU.
		ctx, cancel := context.WithTimeout(t.Context(), 14*time.Second)
		defer cancel()
		r := isotp(ctx, nil, words("scan virtual:interrupted --simulate 018:010")...)
		r.want(t, exitFailure, "interrupted: the same command with --from 100 goes on")
		if !strings.HasPrefix(r.stdout, "010:018 ") || !strings.Contains(r.stderr, "1 endpoint found") {
			t.Errorf("standard output: %s\nstandard error: %s", r.stdout, r.stderr)
		}
	})
}

// Whether a bus is virtual is not known where it cannot be found.
func TestScanWarns(t *testing.T) {
	for _, bus := range []string{"can99", "slcan:/dev/nonesuch@500000", "socketcand:localhost:1/can0", "udp:239.74.163.2:43113"} {
		r := isotp(t.Context(), nil, "scan", bus)
		r.want(t, exitUsage, bus+" is not a virtual bus, and scan sends 2048 frames or more on it, in 42s")
		if !strings.Contains(r.stderr, "--yes") {
			t.Errorf("no --yes in %s", r.stderr)
		}
	}
	r := isotp(t.Context(), nil, "scan", "--yes", "slcan:/dev/nonesuch@500000")
	r.want(t, exitUsage, "nonesuch")
	if !strings.HasPrefix(r.stderr, "Warning: slcan:/dev/nonesuch@500000 is not a virtual bus") {
		t.Errorf("standard error: %s", r.stderr)
	}
}
