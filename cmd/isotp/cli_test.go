package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
)

// A result is how a run of the program ended.
type result struct {
	status         int
	stdout, stderr string
}

// isotp runs the program.
func isotp(ctx context.Context, stdin io.Reader, args ...string) result {
	var stdout, stderr bytes.Buffer
	status := run(ctx, args, stdin, &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// want checks the exit status, and that an error is one line which contains text.
func (r result) want(t *testing.T, status int, text string) {
	t.Helper()
	if r.status != status {
		t.Errorf("exit status %d, want %d; standard error: %s", r.status, status, r.stderr)
	}
	if status == exitOK {
		return
	}
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "isotp: ") || !strings.Contains(last, text) {
		t.Errorf("standard error ends in %q, want a line \"isotp: ...\" with %q", last, text)
	}
	if n := strings.Count(r.stderr, "isotp: "); n != 1 {
		t.Errorf("%d lines of errors, want 1:\n%s", n, r.stderr)
	}
}

func (r result) wantStdout(t *testing.T, want string) {
	t.Helper()
	if r.stdout != want {
		t.Errorf("standard output is %.80q (%d bytes), want %.80q (%d bytes)", r.stdout, len(r.stdout), want, len(want))
	}
}

func TestHelpTellsTheExitStatuses(t *testing.T) {
	r := isotp(t.Context(), nil, "--help")
	r.want(t, exitOK, "")
	for _, text := range []string{"0  done", "1  failed", "2  the command line", "3  timed out", "4  the ECU has answered", "demo", "send", "recv", "proxy"} {
		if !strings.Contains(r.stdout, text) {
			t.Errorf("help does not say %q:\n%s", text, r.stdout)
		}
	}
	if r.stderr != "" {
		t.Errorf("standard error: %s", r.stderr)
	}
}

func TestHelpOfACommandNeedsNoArguments(t *testing.T) {
	for _, command := range []string{"demo", "send", "recv", "proxy"} {
		r := isotp(t.Context(), nil, command, "--help")
		r.want(t, exitOK, "")
		if !strings.Contains(r.stdout, "--flow-control-timeout") || r.stderr != "" {
			t.Errorf("%s --help: %s\n%s", command, r.stdout, r.stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	r := isotp(t.Context(), nil, "--version")
	r.want(t, exitOK, "")
	if !strings.HasPrefix(r.stdout, "isotp ") || r.stderr != "" {
		t.Errorf("version %q, standard error %q", r.stdout, r.stderr)
	}
}

// A parser that knows one command alone says what that of all commands says.
func TestOneCommandIsParsedAsAmongAll(t *testing.T) {
	parse := func(grammar any, args []string) string {
		var out bytes.Buffer
		_, err := newParser(t.Context(), grammar, newStreams(nil, &out, &out), func() {}).Parse(args)
		return fmt.Sprint(out.String(), err)
	}
	for _, line := range []string{
		"serve-bus --help", "link --help", "link up --help", "send --nonesuch", "send --version", "recv", "link nonesuch",
		"servebus", "serve--bus", "version", "nonesuch", "SEND --help",
	} {
		args := strings.Fields(line)
		if got, want := parse(grammar(args), args), parse(new(cli), args); got != want {
			t.Errorf("isotp %s: got\n%s\nwant\n%s", line, got, want)
		}
	}
}
