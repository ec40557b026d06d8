package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// inCode is the code of a document: blocks, with their language, and spans.
	inCode = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$|`([^`\n]+)`")
	// inShell is a command in a line, up to what another program, the shell or a reader is
	// told.
	inShell = regexp.MustCompile(`(?:^|[|;&] *|sudo |go run \./cmd/)isotp +([^|;&><#]*)`)
	// inComment is the code of a program's comment.
	inComment = regexp.MustCompile(`(?m)^//\t(.*)$`)
	remark    = regexp.MustCompile(`   .*$`)
)

// The commands of documents and examples have flags and addresses that there are.
func TestCommandsInDocuments(t *testing.T) {
	t.Setenv(busVariable, "virtual:documents") // for those that name no bus
	files := []string{"../../README.md", "../../CONTRIBUTING.md"}
	for _, pattern := range []string{"../../docs/*.md", "../../examples/*/main.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	all := commands(t)
	parser := newParser(t.Context(), new(cli), newStreams(nil, io.Discard, io.Discard), func() {})
	tried := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(file) == ".go" {
			text = inComment.ReplaceAll(text, []byte("```\n$1\n```"))
		}
		for _, command := range commandsIn(string(text)) {
			tried++
			if all[strings.TrimSuffix(command, " --help")] != nil {
				continue // its name alone
			}
			if _, err := parser.Parse(commandHelp(words(command))); err != nil {
				t.Errorf("%s: isotp %s: %v", file, command, err)
			}
		}
	}
	if tried < 50 {
		t.Errorf("the documents have %d commands", tried)
	}
}

// commandsIn returns what stands behind isotp in the code of a document, but for what is no
// whole command.
func commandsIn(document string) (commands []string) {
	for _, code := range inCode.FindAllStringSubmatch(document, -1) {
		if code[1] != "" {
			continue // it is no shell's
		}
		for line := range strings.Lines(code[2] + code[3]) {
			for _, m := range inShell.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
				command := strings.TrimSpace(remark.ReplaceAllString(m[1], ""))
				if command != "" && !strings.Contains(command, "...") && !strings.Contains(command, "COMMAND") {
					commands = append(commands, command)
				}
			}
		}
	}
	return commands
}
