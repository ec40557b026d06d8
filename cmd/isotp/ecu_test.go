package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

const vinAnswer = "49 02 01 57 56 57 5A 5A 5A 31 4A 5A 58 57 30 30 30 30 30 31  \"WVWZZZ1JZXW000001\""

// withoutTimes are the lines without their second word, which is a time; sorted.
func withoutTimes(stdout string) []string {
	var lines []string
	for line := range strings.Lines(stdout) {
		f := strings.Fields(line)
		lines = append(lines, strings.Join(slices.Delete(f, 1, 2), " "))
	}
	slices.Sort(lines)
	return lines
}

func TestECUsAnswerAFunctionalRequest(t *testing.T) {
	for _, tc := range []struct {
		name, ecu, obd string
		want           []string
	}{
		{"11 bits", "--count 2 virtual:ecus/obd", "virtual:ecus/obd",
			[]string{"7E0:7E8 " + vinAnswer, "7E1:7E9 " + vinAnswer}},
		{"29 bits", "--count 2 virtual:ecus/obd29", "virtual:ecus/obd29",
			[]string{"fixed:10:F1 " + vinAnswer, "fixed:11:F1 " + vinAnswer}},
		{"addresses", "virtual:ecus/7E8:7E0,7DF virtual:ecus/fixed::20,func:33", "virtual:ecus/obd",
			[]string{"7E0:7E8 " + vinAnswer}},
		{"another request", "--name Engine virtual:ecus/7E8:7E0,7DF", "virtual:ecus/obd 090A",
			[]string{"7E0:7E8 49 0A 01 45 6E 67 69 6E 65" + strings.Repeat(" 00", 14) + ` "Engine"`}},
		{"one ECU alone", "--count 2 virtual:ecus/obd", "--to 7E1:7E9 virtual:ecus/obd 3E00",
			[]string{"7E1:7E9 7E 00"}},
		{"another group", "virtual:ecus/fixed::20,func:44", "--to func:44:F1 virtual:ecus/fixed::F1 1003",
			[]string{"fixed:20:F1 50 03 00 32 01 F4"}},
		{"so many answers", "virtual:ecus/7E8:7E0,7DF", "--count 1 --timeout 1h virtual:ecus/obd",
			[]string{"7E0:7E8 " + vinAnswer}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				ecu := start(ctx, nil, append([]string{"ecu"}, words(tc.ecu)...)...)
				r := isotp(t.Context(), nil, append([]string{"obd"}, words(tc.obd)...)...)
				r.want(t, exitOK, "")
				if got := withoutTimes(r.stdout); !slices.Equal(got, slices.Sorted(slices.Values(squeeze(tc.want)))) {
					t.Errorf("standard output:\n%s\nwant %q", r.stdout, tc.want)
				}
				cancel()
				ecu().want(t, exitOK, "")
			})
		})
	}
}

// squeeze are lines with single spaces, as withoutTimes has them.
func squeeze(lines []string) []string {
	var out []string
	for _, l := range lines {
		out = append(out, strings.Join(strings.Fields(l), " "))
	}
	return out
}

func TestSimulatedECUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := isotp(t.Context(), nil, "obd", "--simulate", "8", "--stats", "virtual:simulated/obd")
		r.want(t, exitOK, "")
		if got := withoutTimes(r.stdout); len(got) != 8 {
			t.Errorf("%d answers:\n%s", len(got), r.stdout)
		}
		for _, want := range []string{`ECU "ECU 8" listens on virtual:simulated/7EF:7E7,7DF`, "messages   1 sent, 8 received"} {
			if !strings.Contains(r.stderr, want) {
				t.Errorf("standard error does not have %q:\n%s", want, r.stderr)
			}
		}
	})
}

func TestResponsesOfAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "responses")
	text := "22 F1 8C : 62F18C 41424344 # serial number\n31* : 7F3178 | 7101 # after a while\n85* : -\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ecu := start(ctx, nil, "ecu", "--responses", file, "virtual:file/7E8:7E0,7DF")
		for request, want := range map[string]string{
			"22F18C": "7E0:7E8 62 F1 8C 41 42 43 44 \"ABCD\"",
			"3101":   "7E0:7E8 71 01|7E0:7E8 7F 31 78",
			"22F190": "7E0:7E8 62 F1 90 " + vinAnswer[len("49 02 01 "):],
		} {
			r := isotp(t.Context(), nil, "obd", "virtual:file/obd", request)
			r.want(t, exitOK, "")
			if got := strings.Join(withoutTimes(r.stdout), "|"); got != strings.Join(strings.Fields(want), " ") {
				t.Errorf("%s: %q, want %q", request, got, want)
			}
		}
		r := isotp(t.Context(), nil, "obd", "virtual:file/obd", "8502")
		r.want(t, exitTimeout, "isotp: no ECU has answered in time: read isotp virtual:file/obd: i/o timeout")
		cancel()
		ecu().want(t, exitOK, "")
	})
}
