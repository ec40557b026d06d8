package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const convertible = "(1700000000.123456) can0 7E0#0322F190\n(1700000001.123456) vcan1 7E8##1AABB T\n(1700000002.000000) can0 7E0#R8\n"

func TestConvertToEveryFormatAndBack(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{
		"a.log":       convertible,
		"a.log.gz":    convertible,
		"a.txt":       convertible,
		"a.pcapng":    convertible,
		"a.pcapng.gz": convertible,
		"a.asc":       strings.ReplaceAll(convertible, "vcan1", "can1"),
		"a.trc":       strings.ReplaceAll(convertible, "vcan1", "can1"),
		"a.blf":       strings.ReplaceAll(convertible, "vcan1", "can1"),
		"a.pcap":      strings.NewReplacer("vcan1", "can0", " T", "").Replace(convertible),
	} {
		out := filepath.Join(dir, name)
		isotp(t.Context(), strings.NewReader(convertible), "convert", "-", out).want(t, exitOK, "")
		r := isotp(t.Context(), nil, "convert", out, "-")
		r.want(t, exitOK, "")
		r.wantStdout(t, want)
		if !strings.Contains(r.stderr, "3 frames converted, from ") {
			t.Errorf("%s: it says %q", name, r.stderr)
		}
	}
}

func TestConvertTellsWhatIsLost(t *testing.T) {
	for format, want := range map[string][]string{
		"asc":  {"from candump to asc", "asc has numbers for interfaces: can0 is 1, vcan1 is 2"},
		"pcap": {"pcap cannot say of 1 frame: that they were sent", "pcap cannot say of 1 frame: which of several"},
	} {
		r := isotp(t.Context(), strings.NewReader(convertible), "convert", "--format", format, "-", "-")
		r.want(t, exitOK, "")
		for _, text := range want {
			if !strings.Contains(r.stderr, text) {
				t.Errorf("%s: it says %q, want %q", format, r.stderr, text)
			}
		}
	}
}

func TestConvertOneInterface(t *testing.T) {
	r := isotp(t.Context(), strings.NewReader(convertible), "convert", "--interface", "vcan1", "--rename", "vcan1=can7", "-", "-")
	r.want(t, exitOK, "")
	r.wantStdout(t, "(1700000001.123456) can7 7E8##1AABB T\n")
	r = isotp(t.Context(), strings.NewReader(convertible), "convert", "--interface", "can9", "-", "-")
	r.want(t, exitFailure, "standard input has no frames of interface can9, but of can0, vcan1")
	// A name may have a comma, as elsewhere; several are given one by one.
	both := isotp(t.Context(), strings.NewReader(convertible), "convert", "--interface", "vcan1", "--interface", "can0", "-", "-")
	both.want(t, exitOK, "")
	both.wantStdout(t, convertible)
	r = isotp(t.Context(), strings.NewReader(convertible), "convert", "--interface", "vcan1,can0", "-", "-")
	r.want(t, exitFailure, "no frames of interface vcan1,can0, but of can0, vcan1")
}

func TestConvertGoesOnBehindBadLines(t *testing.T) {
	r := isotp(t.Context(), strings.NewReader("(1.000000) can0 001#\n(x) can0 1#\n(2.000000) can0 002#\n"), "convert", "-", "-")
	r.want(t, exitFailure, "1 line of standard input was no frame")
	r.wantStdout(t, "(0000000001.000000) can0 001#\n(0000000002.000000) can0 002#\n")
	if !strings.Contains(r.stderr, `standard input: line 2: "(x) can0 1#" is no frame`) {
		t.Errorf("it says %q", r.stderr)
	}
}

func TestConvertDoesNotReplaceFiles(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "a.log"), filepath.Join(dir, "b.asc")
	for _, file := range []string{in, out} {
		if err := os.WriteFile(file, []byte(convertible), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	isotp(t.Context(), nil, "convert", in, out).want(t, exitUsage, "b.asc is there already (--force replaces it)")
	isotp(t.Context(), nil, "convert", "--force", in, in).want(t, exitUsage, "the same file")
	isotp(t.Context(), nil, "convert", in, filepath.Join(dir, "c.doc")).want(t, exitUsage, "does not tell the format")
	isotp(t.Context(), nil, "convert", filepath.Join(dir, "nothing"), "-").want(t, exitUsage, "nothing")
	isotp(t.Context(), nil, "convert", "--format", "doc", in, "-").want(t, exitUsage, `"doc"`)
	isotp(t.Context(), strings.NewReader("what is this"), "convert", "-", "-").want(t, exitFailure, "standard input: line 1")
	if text, err := os.ReadFile(out); string(text) != convertible || err != nil {
		t.Errorf("the file is now %q, %v", text, err)
	}
	isotp(t.Context(), nil, "convert", "--force", in, out).want(t, exitOK, "")
}

// What comes through a pipe goes on at once.
func TestConvertOfALiveLog(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, feed := io.Pipe()
	out, w := io.Pipe()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"convert", "-", "-"}, in, w, io.Discard) }()
	const line = "(0000000001.000000) can0 001#\n"
	for range 3 {
		io.WriteString(feed, line)
		got := make([]byte, len(line))
		if _, err := io.ReadFull(out, got); string(got) != line || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	cancel()
	if status := <-ended; status != exitFailure {
		t.Errorf("interrupted, exit status %d", status)
	}
}
