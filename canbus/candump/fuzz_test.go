package candump

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"example.com/isotp/canbus"
)

// chunks reads at most so many bytes at a time.
type chunks struct {
	r    io.Reader
	size int
}

func (c chunks) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.size)]) }

// FuzzLog plays anything as a log, in pieces of any size: what comes does not depend
// on the pieces; each line is a frame, blank or an error that names it; and what is
// recorded of it plays the same frames.
func FuzzLog(f *testing.F) {
	f.Add([]byte(twoInterfaces), 7)
	f.Add([]byte("(1.0) can0 001#\ngarbage\r\n(2.0) can0 7E0#02"), 1)
	f.Add([]byte(strings.Repeat("x", maxLine)+"\n(0.1) - 1FFFFFFF##7.00.11 R\n"), 100)
	f.Fuzz(func(t *testing.T, log []byte, size int) {
		play := func(r io.Reader) (frames []canbus.Frame, bad []int) {
			b, err := New(r, "the log", Options{Fast: true})
			if err != nil {
				t.Fatal(err)
			}
			frames, errs := readAll(t, b)
			for _, err := range errs {
				line, ok := errors.AsType[*LineError](err)
				if !ok {
					t.Fatal(err)
				}
				bad = append(bad, line.Line)
			}
			return frames, bad
		}
		frames, bad := play(bytes.NewReader(log))
		again, badAgain := play(chunks{iotest.DataErrReader(bytes.NewReader(log)), max(size, 1)})
		if !slices.Equal(frames, again) || !slices.Equal(bad, badAgain) {
			t.Errorf("in pieces of %d bytes it is %v and errors in lines %d; at once %v, %d", size, texts(again), badAgain, texts(frames), bad)
		}
		if !slices.IsSorted(bad) || len(slices.Compact(slices.Clone(bad))) != len(bad) {
			t.Errorf("errors in lines %v", bad)
		}
		number, blank := 0, 0
		for line := range bytes.Lines(log) {
			number++
			if len(bytes.TrimSpace(line)) == 0 && line[len(line)-1] == '\n' && len(line) <= maxLine {
				blank++
			}
		}
		if len(frames)+len(bad)+blank != number {
			t.Errorf("%d lines are %d frames, %d errors and %d blank ones", number, len(frames), len(bad), blank)
		}
		for i := range frames {
			frames[i].Timestamp -= frames[i].Timestamp % 1000
			if frames[i].Timestamp == 0 {
				frames[i].Timestamp = 1000 // 0 would be recorded as now
			}
		}
		var text bytes.Buffer
		r, err := NewRecorder(&text, RecorderOptions{OnError: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		r.Record(frames, "can0")
		closeRecorder(t, r)
		if again, bad := play(&text); !slices.Equal(frames, again) || len(bad) > 0 {
			t.Errorf("recorded %v, played %v and errors in lines %v", texts(frames), texts(again), bad)
		}
	})
}
