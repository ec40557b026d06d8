package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/test/netns"
)

// TestExamples runs the examples of all commands, those that need a shell in one, on the
// multicast of a network namespace of the tests' own.
func TestExamples(t *testing.T) {
	netns.Need(t)
	program := programFolder(t)
	for name, command := range commands(t) {
		for _, example := range examplesOf(command) {
			t.Run(name, func(t *testing.T) {
				t.Chdir(t.TempDir())
				runExample(t, program, example)
			})
		}
	}
}

// programFolder is a folder with this test binary as the program isotp.
func programFolder(t *testing.T) string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "isotp")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runExample runs an example in this process, perhaps with the output of a shell as its
// input, if it is one command, and in a shell if it is more: a process takes longer.
func runExample(t *testing.T, program, example string) {
	const marks = "|&;<>$("
	input, command, piped := strings.Cut(example, " | ")
	switch {
	case !strings.ContainsAny(example, marks) && strings.Contains(example, "virtual:") && !strings.HasSuffix(example, untilInterrupted):
		synctest.Test(t, func(t *testing.T) { runHere(t, example, "") }) // in no time
	case !strings.ContainsAny(example, marks):
		runHere(t, example, "")
	case piped && !strings.ContainsAny(command, marks) && !strings.Contains(input, "isotp"):
		output, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", input).Output()
		if err != nil {
			t.Fatal(err)
		}
		runHere(t, command, string(output))
	default:
		runInShell(t, program, example)
	}
}

func runInShell(t *testing.T, program, example string) {
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", example)
	cmd.Env = append(os.Environ(), "PATH="+program+":"+os.Getenv("PATH"), asProgram+"=1")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s\n%v:\n%s", example, err, output)
	}
}

// runHere runs a command with that input, and if it goes on for ever interrupts it.
func runHere(t *testing.T, example, input string) {
	line, forever := strings.CutSuffix(example, untilInterrupted)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var output lockedBuffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, shellWords(line)[1:], strings.NewReader(input), &output, &output) }()
	for forever && !hasBegun(&output) {
		select {
		case status := <-ended:
			t.Fatalf("%s\nends by itself with status %d:\n%s", example, status, output.String())
		case <-time.After(time.Millisecond):
		}
	}
	if forever {
		interrupt()
	}
	// It may be interrupted while it opens a bus.
	if status := <-ended; status != exitOK && !(forever && strings.HasSuffix(output.String(), "isotp: interrupted\n")) {
		t.Errorf("%s\nexit status %d:\n%s", example, status, output.String())
	}
}

// shellWords are the words of a line, whose quotes are single ones around whole words.
func shellWords(line string) (list []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, words(part)...)
		}
	}
	return list
}

// hasBegun reports whether a program that goes on until it is interrupted does so: it has
// said something, or has joined the multicast group of its bus.
func hasBegun(output *lockedBuffer) bool {
	groups, err := os.ReadFile("/proc/net/igmp")
	return err != nil || output.String() != "" || bytes.Contains(groups, []byte("02A34AEF")) // 239.74.163.2
}

// A lockedBuffer is read while a program writes to it.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
