package main

import (
	"strings"
	"testing"
)

func TestNetworkForAJob(t *testing.T) {
	for _, tc := range []struct {
		name  string
		asked string
		job   job
		limit int64
		want  string
	}{
		{"nothing special", "isotp", job{}, 8300, "isotp"},
		{"as long as the kernel can", "isotp", job{longest: 8300}, 8300, "isotp"},
		{"too long for the kernel", "isotp", job{longest: 8301}, 8300, "isotp:user"},
		{"not for one of another limit", "isotp", job{longest: 4 << 20}, 5 << 20, "isotp"},
		{"received while it arrives", "isotp", job{streamed: true}, 8300, "isotp:user"},
		{"no ISO-TP in the kernel", "isotp", job{longest: 4 << 20, streamed: true}, 0, "isotp"},
		{"the kernel was asked for", "isotp:kernel", job{longest: 4 << 20, streamed: true}, 8300, "isotp:kernel"},
		{"the engine was asked for", "isotp:user", job{longest: 4 << 20}, 8300, "isotp:user"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			network, why := networkFor(tc.asked, tc.job, tc.limit)
			if network != tc.want {
				t.Errorf("%s, want %s", network, tc.want)
			}
			if chosen := network != tc.asked; chosen != strings.Contains(why, "max_pdu_size") {
				t.Errorf("%s was chosen with the reason %q", network, why)
			}
		})
	}
}

func TestJobOfSend(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cmd    sendCmd
		single int
		want   int64
	}{
		{"parts", sendCmd{}, 0, 4095},
		{"parts of a size", sendCmd{MessageSize: 20_000}, 0, 20_000},
		{"a size", sendCmd{Size: sizeRange{4 << 20, 4 << 20}}, 0, 4 << 20},
		{"the whole", sendCmd{Single: true}, 9000, 9000},
		{"the whole in parts", sendCmd{Single: true, connFlags: connFlags{configFlags: configFlags{SplitWrites: true}}}, 9000, 4095},
		{"lines, of which nothing is known", sendCmd{Hex: true}, 0, 0},
	} {
		if got := tc.cmd.job(make([]byte, tc.single)); got.longest != tc.want {
			t.Errorf("%s: %d bytes, want %d", tc.name, got.longest, tc.want)
		}
	}
}
