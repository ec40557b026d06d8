package main

import (
	"strings"
	"testing"
)

// completions are what the last word of a line may become, in one line.
func completions(t *testing.T, line string) string {
	parser := newParser(t.Context(), new(cli), newStreams(nil, nil, nil), func() {})
	var list []string
	for _, c := range complete(parser.Model, words(line)) {
		list = append(list, c.text)
	}
	return strings.Join(list, " ")
}

func TestComplete(t *testing.T) {
	t.Setenv(busVariable, "virtual:mine")
	for line, want := range map[string]string{
		"rec":                          "recv record",
		"send --flow":                  "--flow-control-timeout --flow-control-hold",
		"send --network isotp-stream:": "isotp-stream:user isotp-stream:kernel",
		"send --log=":                  "--log=off --log=warn --log=debug",
		"send --log= --pac":            "--pacing",
		"send --log warn virt":         "virtual:mine/",
		"send --hex virt":              "virtual:mine/",
		"send --padding virt":          "",
		"send --padding=CC virt":       "virtual:mine/",
		"send virtual:mine/7E0:7E8 vi": "",
		"record v":                     "virtual:mine",
		"record vcan0 v":               "",
		"serve-bus vcan0 virt":         "virtual:mine",
		"proxy tcp::80 v":              "virtual:mine/",
		"convert --format pcap":        "pcap pcapng",
		"send --generate c":            "count",
		"link d":                       "down",
		"link up --bit":                "--bitrate",
		"link --vc":                    "--vcan",
		"completion z":                 "zsh",
		"help add":                     "addresses",
		"help rep":                     "replay",
		"nosuch --ver":                 "--version",
		"comple":                       "completion",
		"request --js":                 "--json",
	} {
		if got := completions(t, line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	if got := completions(t, ""); !strings.HasPrefix(got, "demo send recv ") {
		t.Errorf("of nothing: %q", got)
	}
}
