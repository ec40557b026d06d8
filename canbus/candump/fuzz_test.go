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
// on the pieces, and what is recorded of it plays the same frames. (Package canlog has
// fuzz tests of what is a frame.)
func FuzzLog(f *testing.F) {
	f.Add([]byte(twoInterfaces), 7)
	f.Add([]byte("(1.0) can0 001#\n(garbage\r\n(2.0) can0 7E0#02"), 1)
	f.Add([]byte("\ufeff# a remark\r\n(0) can0 001##1"+strings.Repeat("5A", 10)+" # another\n(1.12345678901) can0 002# t"), 3)
	f.Add([]byte("DROPCOUNT: dropped 1 CAN frame on 'can0' socket (total drops 1)\n\xff\xfe(\n (1.0) - 7E0#R8_9\n(1.0) c 0"), 5)
	f.Add([]byte(strings.Repeat("x", maxLine)+"\n(0.1) - 1FFFFFFF##7.00.11 R\n"), 100)
	f.Fuzz(func(t *testing.T, log []byte, size int) {
		log = append([]byte("(1.0) can0 001#\n"), log...) // else it may be no log at all
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
		if !slices.Equal(texts(frames), texts(again)) || !slices.Equal(bad, badAgain) {
			t.Errorf("in pieces of %d bytes it is %v and errors in lines %d; at once %v, %d", size, texts(again), badAgain, texts(frames), bad)
		}
		if !slices.IsSorted(bad) || len(slices.Compact(slices.Clone(bad))) != len(bad) {
			t.Errorf("errors in lines %v", bad)
		}
		if lines := bytes.Count(log, []byte{'\n'}) + 1; len(frames)+len(bad) > lines {
			t.Errorf("%d lines are %d frames and %d errors", lines, len(frames), len(bad))
		}
		for i := range frames {
			frames[i].Timestamp -= frames[i].Timestamp % 1000
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
