package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

// A conversation: a request, and an answer of several frames.
const conversation = `(1700000000.000000) can0 7E0#0322F190CCCCCCCC
(1700000000.001000) can0 7E8#1014626F90574155
(1700000000.001500) can1 123#AA
(1700000000.002000) can0 7E0#300000CCCCCCCCCC T
(1700000000.003000) can0 7E8#215A5A5A384B3038
(1700000000.004000) can0 7E8#2231323334353637
(1700000000.004000) can0 20000080#0000000000000000
`

const answer = "626F905741555A5A5A384B303831323334353637"

func writeLog(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.log")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRecvOfALog(t *testing.T) {
	path := filepath.ToSlash(writeLog(t, conversation))
	for _, args := range []string{
		"--listen-only candump:" + path + "/7E0:7E8",
		"--listen-only candump:" + path + ",fast/7E0:7E8",
		"--listen-only candump:" + path + ",fast,interface=can0/:7E8",
		"candump:" + path + ",fast/7E0:7E8", // no ECU hears what it sends
		"--count 1 candump:" + path + "/7E0:7E8",
	} {
		r := isotp(t.Context(), nil, append([]string{"recv", "--hex"}, words(args)...)...)
		r.want(t, exitOK, "")
		r.wantStdout(t, answer+"\n")
	}
	isotp(t.Context(), nil, "recv", "--hex", "--count", "2", "candump:"+path+"/7E0:7E8").want(t, exitFailure, "the log has ended")
	isotp(t.Context(), nil, "recv", "candump:nothing.log/7E0:7E8").want(t, exitUsage, "nothing.log")
}

// hear joins a named network and reads it, until the function is called that
// returns what it has heard, once that are so many frames.
func hear(t *testing.T, name string, o virtual.Options) func(count int) []string {
	t.Helper()
	n, err := virtual.Create(name, o)
	if err != nil {
		t.Fatal(err)
	}
	tap, err := n.Tap()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close(); n.Close() })
	return func(count int) (list []string) {
		t.Helper()
		buf := make([]canbus.Frame, 64)
		for len(list) < count {
			n, err := tap.ReadFrames(buf)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range buf[:n] {
				list = append(list, f.String())
			}
		}
		return list
	}
}

func TestReplay(t *testing.T) {
	path := writeLog(t, conversation)
	can0 := []string{"7E0#0322F190CCCCCCCC", "7E8#1014626F90574155", "7E0#300000CCCCCCCCCC", "7E8#215A5A5A384B3038", "7E8#2231323334353637"}
	all := slices.Insert(slices.Clone(can0), 2, "123#AA")
	for i, c := range []struct {
		flags string
		o     virtual.Options
		want  []string
	}{
		{"", virtual.Options{}, all},
		{"--fast", virtual.Options{}, all},
		{"--speed 1000 --max-pause 1ms", virtual.Options{Echo: true}, all},
		{"--fast --interface can0", virtual.Options{Bitrate: 500_000, QueueLen: 2}, can0},
	} {
		name := fmt.Sprintf("replay%d", i)
		heard := hear(t, name, c.o)
		r := isotp(t.Context(), nil, append([]string{"replay", path, "virtual:" + name}, words(c.flags)...)...)
		r.want(t, exitOK, "")
		r.wantStdout(t, "")
		if want := fmt.Sprintf("%d frames sent\n1 error frames left out\n", len(c.want)); !strings.HasSuffix(r.stderr, want) {
			t.Errorf("it says %q, want %q", r.stderr, want)
		}
		if told := strings.Contains(r.stderr, path+" has the frames of several interfaces, can0 and can1"); told != (len(c.want) == len(all)) {
			t.Errorf("it says %q", r.stderr)
		}
		if got := heard(len(c.want)); !slices.Equal(got, c.want) {
			t.Errorf("%s: sent %v, want %v", c.flags, got, c.want)
		}
	}
}

func TestReplayOfStandardInput(t *testing.T) {
	heard := hear(t, "replaystdin", virtual.Options{})
	r := isotp(t.Context(), strings.NewReader("(1.0) can0 001#\n(1.1) can0 002#AA\n"), "replay", "-", "virtual:replaystdin")
	r.want(t, exitOK, "")
	if got := heard(2); got[0] != "001#" || got[1] != "002#AA" {
		t.Errorf("sent %v", got)
	}
}

func TestReplayTellsLinesThatAreNoFrames(t *testing.T) {
	heard := hear(t, "replaybad", virtual.Options{})
	path := writeLog(t, "(1.0) can0 001#\n(garbage\n(1.0) can0 002#AA\n(1.0) can0 00")
	r := isotp(t.Context(), nil, "replay", path, "virtual:replaybad")
	r.want(t, exitFailure, "2 lines of "+path+" were no frames")
	for _, want := range []string{`line 2: "(garbage"`, `line 4: "(1.0) can0 00"`, "2 frames sent"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("standard error does not say %q: %s", want, r.stderr)
		}
	}
	heard(2)
}

func TestReplayIsInterrupted(t *testing.T) {
	path := writeLog(t, "(1.0) can0 001#\n(1000000.0) can0 002#AA\n")
	synctest.Test(t, func(t *testing.T) {
		heard := hear(t, "replaylong", virtual.Options{})
		ctx, interrupt := context.WithCancel(t.Context())
		wait := start(ctx, nil, "replay", path, "virtual:replaylong")
		heard(1)
		interrupt()
		wait().want(t, exitFailure, "interrupted")
	})
}

// record records a network, in the test's bubble, while do is called. What do has sent has
// been heard, and is in the file, when do returns from write.
func record(t *testing.T, name string, do func(write func(canbus.Frame)), args ...string) result {
	t.Helper()
	n, err := virtual.Create(name, virtual.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	tap, err := n.Tap()
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	wait := start(ctx, nil, append([]string{"record", "virtual:" + name}, args...)...)
	do(func(f canbus.Frame) {
		if _, err := tap.WriteFrames([]canbus.Frame{f}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // longer than a recorder keeps a frame in memory
	})
	interrupt()
	return wait()
}

func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	synctest.Test(t, func(t *testing.T) {
		r := record(t, "record", func(write func(canbus.Frame)) {
			write(canbus.Frame{ID: 0x7E0, Len: 1})
			wantLines(t, path, "can0 7E0#00")
			write(canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended | canbus.FD})
			wantLines(t, path, "can0 7E0#00", "can0 18DAF110##0")
		}, path)
		r.want(t, exitOK, "")
		r.wantStdout(t, "")
		if r.stderr != "2 frames recorded\n" {
			t.Errorf("it says %q", r.stderr)
		}
	})
}

// wantLines checks the lines of a log, but for their times.
func wantLines(t *testing.T, path string, want ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", path, got, want)
	}
}

// A line has 45 bytes, so that a file of 1024 has 22.
func TestRecordRotates(t *testing.T) {
	const perFile = 22
	path := filepath.Join(t.TempDir(), "test.log")
	synctest.Test(t, func(t *testing.T) {
		r := record(t, "recordrotate", func(write func(canbus.Frame)) {
			for range 3*perFile + 1 {
				write(canbus.Frame{ID: 0x7E0, Len: 8})
			}
		}, "--rotate", "1K", "--keep", "2", "--interface", "my0", "--sync", "-1s", path)
		r.want(t, exitOK, "")
	})
	wantLines(t, path, "my0 7E0#0000000000000000")
	wantLines(t, path+".000003", slices.Repeat([]string{"my0 7E0#0000000000000000"}, perFile)...)
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 2 {
		t.Errorf("there are %v, %v; want 2 files", files, err)
	}
}

// A log is a bus: recording ends with it.
func TestRecordOfALogToStandardOutput(t *testing.T) {
	path := writeLog(t, conversation)
	r := isotp(t.Context(), nil, "record", "candump:"+path+",fast,interface=can0", "-")
	r.want(t, exitOK, "")
	if want := strings.ReplaceAll(strings.ReplaceAll(conversation, "(1700000000.001500) can1 123#AA\n", ""), " T\n", "\n"); r.stdout != want {
		t.Errorf("it wrote\n%s\nwant\n%s", r.stdout, want)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, fmt.Errorf("no space: %w", io.ErrShortWrite) }

func TestRecordTellsWhatIsLost(t *testing.T) {
	path := writeLog(t, conversation)
	var stderr strings.Builder
	status := run(t.Context(), []string{"record", "candump:" + path + ",fast", "-"}, nil, fullDisk{}, &stderr)
	if want := "isotp: candump: 7 frames were not recorded: candump: no space"; status != exitFailure || !strings.Contains(stderr.String(), want) {
		t.Errorf("exit status %d: %s", status, stderr.String())
	}
}

func TestInterfaceNames(t *testing.T) {
	for bus, want := range map[string]string{"vcan0": "vcan0", "virtual:demo": "can0", "averyveryverylongname": "can0"} {
		if got := interfaceName("", bus); got != want {
			t.Errorf("%s is called %s", bus, got)
		}
	}
	if got := interfaceName("x", "vcan0"); got != "x" {
		t.Errorf("--interface x is called %s", got)
	}
}
