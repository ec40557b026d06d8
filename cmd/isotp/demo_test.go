package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// summary returns the lines of a demo's summary by their names.
func (r result) summary() map[string]string {
	lines := make(map[string]string)
	for line := range strings.Lines(r.stdout) {
		if len(line) > 11 {
			lines[strings.TrimSpace(line[:11])] = strings.TrimSpace(line[11:])
		}
	}
	return lines
}

func (r result) wantSummary(t *testing.T, want map[string]string) {
	t.Helper()
	got := r.summary()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %q, want %q", name, got[name], text)
		}
	}
}

func TestDemoSendsAFile(t *testing.T) {
	for _, c := range []struct {
		name, flags, messages, frames string
	}{
		// 4095 bytes are a First Frame of 6 and 585 Consecutive Frames of 7.
		{"classic", "", "3", "1434: 1431 of data, 3 of flow control"},
		{"CAN FD", "--fd", "3", "164: 161 of data, 3 of flow control"},
		{"in blocks", "--block-size 100", "3", "1446: 1431 of data, 15 of flow control"},
		{"Single Frames", "--max-send-size 7", "1429", "1429: 1429 of data, 0 of flow control"},
		{"separated", "--stmin 1ms", "3", "1434: 1431 of data, 3 of flow control"},
		{"paced", "--bitrate 500000", "3", "1434: 1431 of data, 3 of flow control"},
		{"all of it", "--size 20000", "3", "1434: 1431 of data, 3 of flow control"},
	} {
		t.Run(c.name, func(t *testing.T) {
			content := randomBytes(10000)
			name := writeFile(t, content)
			synctest.Test(t, func(t *testing.T) {
				r := isotp(t.Context(), nil, append([]string{"demo", name}, words(c.flags)...)...)
				r.want(t, exitOK, "")
				digest := fmt.Sprintf("SHA-256 %x", sha256.Sum256([]byte(content)))
				r.wantSummary(t, map[string]string{
					"file": name, "size": "10000 bytes (10 kB)", "sent": digest, "received": digest,
					"match": "yes", "messages": c.messages, "frames": c.frames,
				})
			})
		})
	}
}

func TestDemoSendsItselfWithoutAFile(t *testing.T) {
	r := isotp(t.Context(), nil, "demo", "--size", "50000")
	r.want(t, exitOK, "")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	r.wantSummary(t, map[string]string{
		"file": self, "match": "yes",
		"size":     fmt.Sprintf("50000 bytes, the first of %d (--size for more)", len(content)),
		"received": fmt.Sprintf("SHA-256 %x", sha256.Sum256(content[:50000])),
	})
}

// The bubble's clock moves only while all wait: what the demo shows of its bus is
// exact.
func TestPacedDemoShowsItsShareOfTheLineRate(t *testing.T) {
	for _, c := range []struct {
		flags, rates string
		least        float64 // percent
	}{
		{"--bitrate 500000", "500 kbit/s", 99.9},
		{"--bitrate 125000 --block-size 8", "125 kbit/s", 99.9},
		{"--bitrate 500000 --data-bitrate 2000000 --fd", "500 kbit/s and 2 Mbit/s", 99.9},
		{"--bitrate 1000000 --fd", "1 Mbit/s", 99.9},
	} {
		t.Run(c.flags, func(t *testing.T) {
			name := writeFile(t, randomBytes(5000))
			synctest.Test(t, func(t *testing.T) {
				r := isotp(t.Context(), nil, append([]string{"demo", name}, words(c.flags)...)...)
				r.want(t, exitOK, "")
				line := r.summary()["line rate"]
				share, rest, _ := strings.Cut(line, " % of ")
				percent, err := strconv.ParseFloat(share, 64)
				if err != nil || percent < c.least || percent > 100 || !strings.HasPrefix(rest, c.rates+": ") {
					t.Errorf("line rate: %q, want %v to 100 %% of %s", line, c.least, c.rates)
				}
			})
		})
	}
}

// A bus with STmin is idle most of the time: 126 us of each 1126.
func TestPacedDemoCountsIdleTime(t *testing.T) {
	name := writeFile(t, strings.Repeat("\x55", 4095))
	synctest.Test(t, func(t *testing.T) {
		r := isotp(t.Context(), nil, "demo", "--bitrate", "1000000", "--stmin", "1ms", name)
		r.want(t, exitOK, "")
		var share, onWire float64
		line := r.summary()["line rate"]
		if _, err := fmt.Sscanf(line, "%f %% of 1 Mbit/s: frames were on the wire for %f s", &share, &onWire); err != nil {
			t.Fatalf("line rate: %q: %v", line, err)
		}
		var seconds float64
		if _, err := fmt.Sscanf(r.summary()["time"], "%f s", &seconds); err != nil {
			t.Fatal(err)
		}
		if want := 100 * onWire / seconds; math.Abs(share-want) > 1 || share < 8 || share > 13 {
			t.Errorf("line rate: %q, in %v s", line, seconds)
		}
	})
}

func TestWithoutASizeTheDemoEndsSoon(t *testing.T) {
	name := writeFile(t, "")
	if err := os.Truncate(name, 100<<20); err != nil { // zeros, which are not even written
		t.Fatal(err)
	}
	for _, flags := range []string{
		"--bitrate 20000",
		"--bitrate 500000",
		"--bitrate 500000 --data-bitrate 2000000 --fd",
		"--bitrate 500000 --fd --frame-size 16",
		"--bitrate 250000 --block-size 1",
		"--stmin 10ms",
		"--override-stmin 10ms",
		"--rate-limit 100000",
	} {
		t.Run(flags, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				isotp(t.Context(), nil, append([]string{"demo", name}, words(flags)...)...).want(t, exitOK, "")
				if d := time.Since(begin); d < demoTime/2 || d > 2*demoTime {
					t.Errorf("the demo takes %v, want about %v", d, demoTime)
				}
			})
		})
	}
}

func TestDemoTracesAllFrames(t *testing.T) {
	name := writeFile(t, randomBytes(3000))
	synctest.Test(t, func(t *testing.T) {
		r := isotp(t.Context(), nil, "demo", "--trace", "--fd", name)
		r.want(t, exitOK, "")
		sent := len(regexp.MustCompile(`(?m)^\(\d+\.\d+\) demo 7E0##0[0-9A-F]+ T$`).FindAllString(r.stderr, -1))
		heard := len(regexp.MustCompile(`(?m)^\(\d+\.\d+\) demo 7E8##0[0-9A-F]+$`).FindAllString(r.stderr, -1))
		if got := fmt.Sprintf("%d: %d of data, %d of flow control", sent+heard, sent, heard); got != r.summary()["frames"] {
			t.Errorf("the trace has %s, the summary %s", got, r.summary()["frames"])
		}
	})
}

func TestDemoStats(t *testing.T) {
	r := isotp(t.Context(), nil, "demo", "--stats", writeFile(t, "0123456789"))
	r.want(t, exitOK, "")
	for _, text := range []string{"sender:\nframes     2 sent, 1 received\n", "receiver:\nframes     1 sent, 2 received\n"} {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("no %q in:\n%s", text, r.stderr)
		}
	}
}

func TestDemoNeedsAFileWithContent(t *testing.T) {
	for _, c := range []struct{ name, file, text string }{
		{"not there", filepath.Join(t.TempDir(), "none"), "none"},
		{"directory", t.TempDir(), "is not a regular file"},
		{"empty", writeFile(t, ""), "is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := isotp(t.Context(), nil, "demo", c.file)
			r.want(t, exitUsage, c.text)
			r.wantStdout(t, "")
		})
	}
}

// A gateway damages data, and no CRC notices it.
func TestDemoFailsWhenTheDigestsDiffer(t *testing.T) {
	var frames atomic.Int32
	bus, err := newDemoBus(virtual.Options{Intercept: func(f *canbus.Frame) virtual.Verdict {
		if f.ID == 0x7E0 && frames.Add(1) == 5 {
			f.Data[7] ^= 0x10
		}
		return virtual.Deliver
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	r := demoOn(t, bus, writeFile(t, randomBytes(1000)))
	r.want(t, exitFailure, "the digests differ")
	r.wantSummary(t, map[string]string{"match": "no", "messages": "1"})
	if s := r.summary(); s["sent"] == s["received"] {
		t.Errorf("both digests are %s", s["sent"])
	}
}

func TestDemoFailsWhenAFrameIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var frames atomic.Int32
		bus, err := newDemoBus(virtual.Options{Intercept: func(f *canbus.Frame) virtual.Verdict {
			if f.ID == 0x7E8 {
				return virtual.Lose
			}
			frames.Add(1)
			return virtual.Deliver
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer bus.Close()
		r := demoOn(t, bus, writeFile(t, randomBytes(1000)))
		r.want(t, exitTimeout, "N_TIMEOUT_Bs")
		r.wantStdout(t, "")
		if n := frames.Load(); n != 1 {
			t.Errorf("%d frames were sent, want the First Frame alone", n)
		}
	})
}

// demoOn runs the demo on a bus of the test's.
func demoOn(t *testing.T, bus *demoBus, name string) result {
	t.Helper()
	c := &demoCmd{File: name, configFlags: configFlags{Logger: "off", Pacing: "exact"}}
	file, size, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var stdout, stderr bytes.Buffer
	s := &streams{stdout: &stdout, stderr: &lockedWriter{w: &stderr}}
	status := s.report(c.demo(t.Context(), s, bus, file, size))
	return result{status, stdout.String(), stderr.String()}
}

func TestDemoFailsWhenTheFileShrinks(t *testing.T) {
	bus, err := newDemoBus(virtual.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	c := &demoCmd{File: writeFile(t, "0123456789"), configFlags: configFlags{Logger: "off"}}
	file, size, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := newStreams(nil, new(bytes.Buffer), new(bytes.Buffer))
	err = c.demo(t.Context(), s, bus, file, size+5)
	if err == nil || exitStatus(err) != exitFailure || !strings.Contains(err.Error(), "ended after 10 of 15 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestDemoFailsWhereTheReceiverRefuses(t *testing.T) {
	r := isotp(t.Context(), nil, "demo", "--max-message-size", "100", writeFile(t, randomBytes(1000)))
	r.want(t, exitFailure, "N_BUFFER_OVFLW")
	r.wantStdout(t, "")
}

func TestAnInterruptEndsTheDemo(t *testing.T) {
	name := writeFile(t, randomBytes(10000))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		demo := start(ctx, nil, "demo", "--stmin", "100ms", name)
		time.Sleep(time.Second)
		cancel()
		r := demo()
		r.want(t, exitFailure, "interrupted")
		r.wantStdout(t, "")
	})
}
