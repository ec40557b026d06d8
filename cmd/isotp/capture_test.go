package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// captured returns the frames of a capture without their times, sorted.
func captured(t *testing.T, file string) (frames []string) {
	t.Helper()
	r := isotp(t.Context(), nil, "convert", file, "-")
	r.want(t, exitOK, "")
	for line := range strings.Lines(r.stdout) {
		_, frame, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		frames = append(frames, frame)
	}
	slices.Sort(frames)
	return frames
}

func TestCaptureHasBothDirections(t *testing.T) {
	for _, ending := range []string{"pcapng", "log", "blf.gz"} {
		t.Run(ending, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "a."+ending)
			synctest.Test(t, func(t *testing.T) { // the answer is in time, however slow the computer is
				isotp(t.Context(), nil, "obd", "--simulate", "1", "--capture", file, "virtual:x/obd", "0902").want(t, exitOK, "")
			})
			name := "virtual:x "
			if ending == "blf.gz" {
				name = "can0 "
			}
			want := []string{
				name + "7DF#020902CCCCCCCCCC T", name + "7E0#300000CCCCCCCCCC T",
				name + "7E8#1014490201575657 T", name + "7E8#215A5A5A314A5A58 T", name + "7E8#2257303030303031 T",
			}
			if got := captured(t, file); !slices.Equal(got, want) {
				t.Errorf("captured %q, want %q", got, want)
			}
		})
	}
}

// The scan's own bus hears the ECU that it simulates: no frame is there twice.
func TestCaptureOfAScanOfSimulatedECUs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.log")
	synctest.Test(t, func(t *testing.T) {
		isotp(t.Context(), nil, "scan", "--capture", file, "--simulate", "7E8:7E0", "--ids", "7E0-7E1", "virtual:x").want(t, exitOK, "")
	})
	probe, answer := "virtual:x 7E0#1008CCCCCCCCCCCC T", "virtual:x 7E8#300000CCCCCCCCCC"
	want := []string{probe, probe, probe, "virtual:x 7E1#1008CCCCCCCCCCCC T", answer, answer, answer}
	if got := captured(t, file); !slices.Equal(got, want) {
		t.Errorf("captured %q, want %q", got, want)
	}
}

// A bus that a command opens itself, and one that it shares with others.
func TestCaptureOfOtherCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.pcapng")
	isotp(t.Context(), strings.NewReader("(1.0) can0 001#AA\n"), "replay", "--capture", file, "-", "virtual:"+t.Name()).want(t, exitOK, "")
	if got, want := captured(t, file), []string{"virtual:" + t.Name() + " 001#AA T"}; !slices.Equal(got, want) {
		t.Errorf("captured %q, want %q", got, want)
	}
	s := newStreams(nil, nil, os.Stderr)
	var err error
	if s.capture, err = s.startCapture(filepath.Join(t.TempDir(), "b.asc")); err != nil {
		t.Fatal(err)
	}
	bus, err := s.openCaptured(t.Context(), "virtual:"+t.Name())
	if err != nil {
		t.Fatal(err)
	}
	bus.Close()
	if err := s.capture.end(false); err != nil || s.capture.buses != 1 {
		t.Errorf("%d buses, %v", s.capture.buses, err)
	}
}

func TestCaptureErrors(t *testing.T) {
	dir := t.TempDir()
	there, other := filepath.Join(dir, "a.pcapng"), filepath.Join(dir, "b.pcapng")
	if err := os.WriteFile(there, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	replay := func(file string) result {
		return isotp(t.Context(), strings.NewReader(""), "replay", "--capture", file, "-", "virtual:"+t.Name())
	}
	replay(there).want(t, exitUsage, "a.pcapng: it is there already, and is not replaced")
	replay(filepath.Join(dir, "a.doc")).want(t, exitUsage, "does not tell the format")
	replay(filepath.Join(dir, "none", "a.log")).want(t, exitUsage, "none")
	isotp(t.Context(), strings.NewReader(convertible), "convert", "--capture", other, "-", "-").want(t, exitUsage, "has opened no bus")
	isotp(t.Context(), nil, "replay", "--capture", other, filepath.Join(dir, "nothing"), "virtual:x").want(t, exitUsage, "nothing")
	if _, err := os.Stat(other); err == nil {
		t.Error("a command that has opened no bus leaves a capture behind")
	}
}
