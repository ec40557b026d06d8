package candump

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/isotp/canbus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writeLog writes a file, and returns its path.
func writeLog(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.log")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens a log for the time of the test.
func open(t testing.TB, path string, o Options) *Bus {
	t.Helper()
	b, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// readAll reads a bus until its end, over temporary errors, which it returns as
// well.
func readAll(t testing.TB, b canbus.Bus) (frames []canbus.Frame, bad []error) {
	t.Helper()
	buf := make([]canbus.Frame, 7)
	for {
		n, err := b.ReadFrames(buf)
		frames = append(frames, buf[:n]...)
		switch {
		case err == nil && n == 0:
			t.Fatal("no frame and no error")
		case err == nil:
		case errors.Is(err, canbus.ErrTemporary):
			bad = append(bad, err)
		case err == ErrEnd:
			return frames, bad
		default:
			t.Fatal(err)
		}
	}
}

// texts are the frames' texts.
func texts(frames []canbus.Frame) (list []string) {
	for _, f := range frames {
		list = append(list, f.String())
	}
	return list
}

func wantTexts(t testing.TB, frames []canbus.Frame, want ...string) {
	t.Helper()
	if got := texts(frames); !slices.Equal(got, want) {
		t.Errorf("frames are %v, want %v", got, want)
	}
}

func wantError(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want one with %q", err, want)
	}
}

func parse(t testing.TB, text string) canbus.Frame {
	t.Helper()
	f, err := canbus.ParseFrame(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// wantLine wants the error of a line.
func wantLine(t testing.TB, err error, number int, text string) {
	t.Helper()
	line, ok := errors.AsType[*LineError](err)
	if !ok {
		t.Errorf("error is %v, want that of a line", err)
		return
	}
	if line.Line != number || !strings.Contains(line.Text, text) || !errors.Is(err, canbus.ErrTemporary) {
		t.Errorf("error %v, of line %d, temporary: %v; want one of line %d with %q", err, line.Line, errors.Is(err, canbus.ErrTemporary), number, text)
	}
}
