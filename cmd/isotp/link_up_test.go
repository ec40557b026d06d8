package main

import (
	"runtime"
	"strings"
	"testing"
)

func TestLinkUsageErrors(t *testing.T) {
	for args, text := range map[string]string{
		"link up":                                  "<interface>",
		"link down":                                "<interface>",
		"link up can0 can1":                        "unexpected argument can1",
		"link up can0 --bitrate":                   "--bitrate",
		"link up can0 --bitrate fast":              "--bitrate",
		"link up can0 --bitrate -1":                "--bitrate",
		"link up can0 --bitrate 5000000000":        "--bitrate",
		"link up can0 --data-bitrate 2000000":      "unknown flag --data-bitrate",
		"link down can0 --bitrate 500000":          "unknown flag --bitrate",
		"link sideways can0":                       "unexpected argument sideways",
		"link up can0 --listen-only --vcan vcan0":  "unknown flag --vcan",
		"link up --bitrate 500000 --listen-only=x": "--listen-only",
	} {
		r := isotp(t.Context(), nil, strings.Fields(args)...)
		if r.want(t, exitUsage, text); t.Failed() {
			t.Fatalf("in: isotp %s", args)
		}
	}
}

func TestLinkOfAnInterfaceThatIsNotThere(t *testing.T) {
	want := "there is no interface no-such-can"
	if runtime.GOOS != "linux" {
		want = "only Linux has CAN interfaces"
	}
	for _, args := range []string{"link up no-such-can --bitrate 500000", "link down no-such-can"} {
		isotp(t.Context(), nil, strings.Fields(args)...).want(t, exitFailure, want)
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
