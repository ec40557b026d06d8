package main

import (
	"io"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// withoutExamples are the commands that cannot have two examples for any computer, and why.
var withoutExamples = map[string]string{
	"link up":   "it needs a CAN interface",
	"link down": "it needs a CAN interface",
	"tun":       "its network interface is Linux's, and needs root",
}

// commands are those of the command line, by their paths, as "link up".
func commands(t *testing.T) map[string]*kong.Node {
	parser := newParser(t.Context(), new(cli), newStreams(nil, io.Discard, io.Discard), func() {})
	all := make(map[string]*kong.Node)
	for _, c := range parser.Model.Leaves(false) {
		all[strings.TrimPrefix(c.FullPath(), "isotp ")] = c
	}
	return all
}

func TestEveryCommandHasTwoExamples(t *testing.T) {
	all := commands(t)
	for name, c := range all {
		examples := examplesOf(c)
		if !c.Hidden && len(examples) < 2 && withoutExamples[name] == "" {
			t.Errorf("isotp %s has %d examples: give its type a method Examples that returns two lines which work as they stand on buses virtual: or udp: (see examples.go)", name, len(examples))
		}
		help := isotp(t.Context(), nil, append(words(name), "--help")...).stdout
		for _, example := range examples {
			if !strings.Contains(help, "\n    "+example+"\n") {
				t.Errorf("isotp %s --help does not have %q:\n%s", name, example, help)
			}
			if !strings.Contains(example, "isotp "+name) {
				t.Errorf("%q is no example of isotp %s", example, name)
			}
		}
	}
	for name := range withoutExamples {
		if all[name] == nil {
			t.Errorf("there is no command %s", name)
		}
	}
}
