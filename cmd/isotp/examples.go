package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// An exampler is a command with examples: lines for a shell that work as they stand, on any
// computer, on buses virtual: and udp:. Each command has two or more, which --help and the
// manual show, and TestExamples runs. A line that ends in untilInterrupted goes on until
// Ctrl-C.
type exampler interface{ Examples() []string }

const untilInterrupted = "  # until Ctrl-C"

// examplesOf returns the examples of a command, nil if it has none.
func examplesOf(command *kong.Node) []string {
	if e, ok := command.Target.Addr().Interface().(exampler); ok {
		return e.Examples()
	}
	return nil
}

// addExamples adds the examples of all commands to their help.
func addExamples(k *kong.Kong) error {
	for _, command := range k.Model.Leaves(false) {
		if examples := examplesOf(command); examples != nil {
			command.Detail = strings.TrimRight(command.Detail, "\n") + "\n\nThese work as they stand, anywhere:\n\n\t" + strings.Join(examples, "\n\t") + "\n"
		}
	}
	return nil
}
