package main

import (
	"runtime"
	"strings"
	"testing"
)

func TestLinkOfAnInterfaceThatIsNotThere(t *testing.T) {
	status, want := exitUsage, "there is no interface no-such-can"
	if runtime.GOOS != "linux" {
		status, want = exitFailure, "only Linux has CAN interfaces"
	}
	for _, args := range []string{"link up no-such-can --bitrate 500000", "link down no-such-can"} {
		isotp(t.Context(), nil, strings.Fields(args)...).want(t, status, want)
	}
}

func TestLinkHelpTellsOfIP(t *testing.T) {
	r := isotp(t.Context(), nil, "link", "up", "--help")
	r.want(t, exitOK, "")
	for _, text := range []string{"--bitrate", "--listen-only", "dbitrate", "restart-ms"} {
		if !strings.Contains(r.stdout, text) {
			t.Errorf("help does not tell %q:\n%s", text, r.stdout)
		}
	}
}
