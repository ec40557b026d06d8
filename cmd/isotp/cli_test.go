package main

import (
	"bytes"
	"context"
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
	for _, text := range []string{"0  done", "1  failed", "2  the command line", "3  timed out", "demo", "send", "recv", "proxy"} {
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

func TestUsageErrors(t *testing.T) {
	const addr = "virtual:usage/7E0:7E8"
	for _, c := range []struct {
		args string
		text string
	}{
		{"", "expected one of"},
		{"listen", "unexpected argument listen"},
		{"send", "<address>"},
		{"recv --nonsense " + addr, "unknown flag --nonsense"},
		{"send virtual:usage", "no slash"},
		{"send virtual:usage/7E0", "no colon"},
		{"send /7E0:7E8", "names no bus"},
		{"send virtual:usage/fixed::10", "pattern for listeners"},
		{"recv virtual:usage/:7E8", "--listen-only"},
		{"recv virtual:usage/7DF:", "only sends"},
		{"send nobus:usage/7E0:7E8", "nobus"},
		{"send --network tcp " + addr, "unknown network tcp"},

		{"send --stmin 150us " + addr, "--stmin 150µs: "},
		{"send --stmin fast " + addr, "--stmin: "},
		{"send --transmit-timeout -1s " + addr, "--transmit-timeout -1s: "},
		{"recv --flow-control-timeout -1s " + addr, "--flow-control-timeout -1s: "},
		{"recv --flow-control-hold 2s " + addr, "--flow-control-hold 2s: it must be below --flow-control-timeout (1s)"},
		{"recv --consecutive-frame-timeout -1s " + addr, "--consecutive-frame-timeout -1s: "},
		{"recv --block-size 256 " + addr, "--block-size 256: it must be from 0 to 255"},
		{"send --frame-size 9 " + addr, "--frame-size 9: "},
		{"send --frame-size 64 " + addr, "--frame-size 64: above 8 it needs --fd"},
		{"send --min-frame-size 9 " + addr, "--min-frame-size 9: "},
		{"send --min-frame-size 8 --padding none " + addr, "--min-frame-size 8: it must be 0 with --padding none"},
		{"recv --max-message-size 4294967296 " + addr, "--max-message-size 4294967296: "},
		{"send --max-send-size -1 " + addr, "--max-send-size -1: "},
		{"recv --read-buffer -1 " + addr, "--read-buffer -1: "},
		{"send --padding 1CC " + addr, "--padding: "},
		{"send --brs " + addr, "--brs: it needs --fd"},
		{"send --rate-limit -1 " + addr, "--rate-limit -1: "},
		{"send --rate-limit 10 " + addr, "--rate-limit 10: with a --rate-window of 200ms it lets 2 bits pass"},
		{"send --rate-window -1s " + addr, "--rate-window -1s: "},
		{"send --rate-window 1s " + addr, "--rate-window 1s: it needs --rate-limit"},
		{"send --pacing slow " + addr, "--pacing must be one of"},
		{"send --log all " + addr, "--log must be one of"},

		{"send --hex --single " + addr, "--hex and --single can't be used together"},
		{"send --size 5 --functional 7DF: " + addr, "Single Frame"},
		{"send --size -1 " + addr, "--size -1: "},
		{"send --message-size -1 " + addr, "--message-size -1: "},
		{"send --timeout -1s " + addr, "--timeout -1s: "},
		{"send --functional 7DF " + addr, "--functional 7DF: "},
		{"send --functional 7E0:7E8 " + addr, "must be an address that only sends"},
		{"recv --count -1 " + addr, "--count -1: "},
		{"recv --timeout -1s " + addr, "--timeout -1s: "},
		{"recv --hex --long " + addr, "--hex and --long can't be used together"},
		{"recv --hex --stream " + addr, "--hex and --stream can't be used together"},
		{"recv --count 1 --stream " + addr, "--stream and --count can't be used together"},
		{"send --single --stream " + addr, "--single and --stream can't be used together"},
		{"send --stream --functional 7DF: " + addr, "--stream and --functional can't be used together"},
		{"send --network isotp-stream " + addr, "--network isotp-stream carries connections: it needs --stream"},
		{"proxy --network isotp tcp::80 " + addr, "--network isotp carries messages"},
		{"proxy tcp::80 nothing", "nothing"},
		{"proxy --timeout -1s tcp::80 " + addr, "--timeout -1s"},

		{"demo --size -1", "--size -1: "},
		{"demo --bitrate -1", "--bitrate -1: "},
		{"demo --data-bitrate -1", "--data-bitrate -1: "},
		{"demo --data-bitrate 2000000 --fd", "--data-bitrate 2000000: it needs --bitrate and --fd"},
		{"demo --data-bitrate 2000000 --bitrate 500000", "--data-bitrate 2000000: it needs --bitrate and --fd"},
		{"demo --frame-size -5", "--frame-size -5: "},
		{"demo one two", "of two arguments the first is the address"},
	} {
		r := isotp(t.Context(), strings.NewReader("AB"), strings.Fields(c.args)...)
		if r.want(t, exitUsage, c.text); t.Failed() {
			t.Fatalf("in: isotp %s", c.args)
		}
		r.wantStdout(t, "")
	}
}
