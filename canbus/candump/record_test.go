package candump

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
)

// An errorList is an OnError that keeps what it is told.
type errorList struct {
	mu   sync.Mutex
	list []error
}

func (l *errorList) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, err)
}

func (l *errorList) take() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// create begins a log that is to have no errors.
func create(t testing.TB, path string, o RecorderOptions) *Recorder {
	t.Helper()
	if o.OnError == nil {
		o.OnError = func(err error) { t.Error(err) }
	}
	r, err := Create(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func closeRecorder(t testing.TB, r *Recorder) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// at is a frame with a time.
func at(t testing.TB, ns int64, text string) canbus.Frame {
	t.Helper()
	f := parse(t, text)
	f.Stamp(ns)
	return f
}

func wantFile(t testing.TB, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	} else if string(got) != want {
		t.Errorf("%s is\n%s\nwant\n%s", filepath.Base(path), got, want)
	}
}

func TestRecordsFramesOfEveryKind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	r := create(t, path, RecorderOptions{})
	echo := at(t, 1_700_000_000_000_001_999, "7E8#0650030032")
	echo.Flags |= canbus.Echo
	r.Record([]canbus.Frame{at(t, 1_700_000_000_000_000_000, "7E0#021003"), echo}, "can0")
	r.Record([]canbus.Frame{
		at(t, 1_700_000_000_250_000_000, "18DAF110##3AABBCC"), at(t, 1_700_003_600_250_000_000, "7E0#R8"),
		at(t, 1_700_003_600_250_000_000, "20000080#0000000000000000"),
	}, "my  can\t1 ")
	closeRecorder(t, r)
	wantFile(t, path, `(1700000000.000000) can0 7E0#021003
(1700000000.000001) can0 7E8#0650030032 T
(1700000000.250000) my_can_1 18DAF110##3AABBCC
(1700003600.250000) my_can_1 7E0#R8
(1700003600.250000) my_can_1 20000080#0000000000000000
`)
	if got, want := r.Stats(), (Stats{Recorded: 5}); got != want {
		t.Errorf("Stats are %+v, want %+v", got, want)
	}
}

func TestTimeZeroIsRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	r := create(t, path, RecorderOptions{})
	r.Record([]canbus.Frame{at(t, 0, "001#")}, "can0")
	closeRecorder(t, r)
	wantFile(t, path, "(0000000000.000000) can0 001#\n")
}

func TestFramesWithoutATimeGetThatOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight of 2000-01-01
		path := filepath.Join(t.TempDir(), "test.log")
		r := create(t, path, RecorderOptions{})
		time.Sleep(1500 * time.Millisecond)
		r.Record([]canbus.Frame{parse(t, "001#")}, "can0")
		closeRecorder(t, r)
		wantFile(t, path, "(0946684801.500000) can0 001#\n")
	})
}

// What is counted is in the file, without Close.
func TestRecordedFramesAreInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	r := create(t, path, RecorderOptions{})
	defer r.Close()
	for i := range 20 {
		r.Record([]canbus.Frame{at(t, int64(i), "001#"), at(t, int64(i), "002#")}, "can0")
		if i%4 == 0 {
			await(t, func() bool { return r.Stats().Waiting == 0 })
		}
		recorded := r.Stats().Recorded
		text, err := os.ReadFile(path)
		if lines := bytes.Count(text, []byte("\n")); err != nil || uint64(lines) < recorded {
			t.Fatalf("%d are recorded, and %d in the file: %v", recorded, lines, err)
		}
	}
}

// await waits for what another goroutine does.
func await(t testing.TB, done func() bool) {
	t.Helper()
	for late := time.Now().Add(time.Minute); !done(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(late) {
			t.Fatal("this takes too long")
		}
	}
}

func TestGoesOnWithALog(t *testing.T) {
	path := writeLog(t, "(1.000000) can0 001#\n")
	r := create(t, path, RecorderOptions{})
	r.Record([]canbus.Frame{at(t, 2e9, "002#")}, "can0")
	closeRecorder(t, r)
	wantFile(t, path, "(1.000000) can0 001#\n(0000000002.000000) can0 002#\n")
}

func TestHalfALineIsCutOff(t *testing.T) {
	for name, c := range map[string]struct{ before, left string }{
		"behind others": {"(1.000000) can0 001#\n(2.000000) can0 7E0#02", "(1.000000) can0 001#\n"},
		"the first":     {"(2.000000) can0 7E0#02", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeLog(t, c.before)
			var errs errorList
			r := create(t, path, RecorderOptions{OnError: errs.add})
			r.Record([]canbus.Frame{at(t, 3e9, "003#")}, "can0")
			closeRecorder(t, r)
			wantFile(t, path, c.left+"(0000000003.000000) can0 003#\n")
			if list := errs.take(); len(list) != 1 {
				t.Errorf("OnError was told %v", list)
			} else {
				wantError(t, list[0], `"(2.000000) can0 7E0#02"`)
			}
		})
	}
}

func TestFileThatIsNoLogIsNotTouched(t *testing.T) {
	for _, text := range []string{"a letter to a friend", "a letter\nto a friend\n", "\n(", "(1.0) can0 001#\n(" + strings.Repeat("x", 2000)} {
		path := writeLog(t, text)
		r, err := Create(path, RecorderOptions{})
		if err == nil {
			t.Errorf("%.20q is taken for a log", text)
			r.Close()
		}
		wantFile(t, path, text)
	}
	if _, err := Create(filepath.Join(t.TempDir(), "no", "folder.log"), RecorderOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Create(t.TempDir(), RecorderOptions{}); err == nil {
		t.Error("a folder was opened")
	}
}

func TestRecorderOptionsAreChecked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	for want, o := range map[string]RecorderOptions{
		"MaxSize -1":              {MaxSize: -1},
		"MaxFiles -1":             {MaxSize: 1, MaxFiles: -1},
		"MaxFiles 2 without":      {MaxFiles: 2},
		"QueueLen -1 is negative": {QueueLen: -1},
	} {
		_, err := Create(path, o)
		wantError(t, err, want)
	}
	for want, o := range map[string]RecorderOptions{
		"MaxSize 1":   {MaxSize: 1},
		"MaxFiles 1":  {MaxFiles: 1},
		"Sync 1s":     {Sync: time.Second},
		"QueueLen -1": {QueueLen: -1},
	} {
		_, err := NewRecorder(io.Discard, o)
		wantError(t, err, want)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made")
	}
}

// numbered makes frames that are all different, and as long in a log.
func numbered(n int) []canbus.Frame {
	list := make([]canbus.Frame, n)
	for i := range list {
		list[i] = canbus.Frame{ID: 0x123, Flags: canbus.Timed, Timestamp: int64(i+1) * 1000, Len: 4}
		copy(list[i].Data[:], []byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
	}
	return list
}

const numberedLine = len("(0000000000.000001) can0 123#00000001\n")

// logs returns the paths of a log's files, the oldest first.
func logs(t testing.TB, path string) []string {
	t.Helper()
	list, err := filepath.Glob(path + ".*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return append(list, path)
}

// recorded returns the frames of all files of a log.
func recorded(t testing.TB, path string) (frames []canbus.Frame) {
	t.Helper()
	for _, path := range logs(t, path) {
		b := open(t, path, Options{Fast: true})
		more, bad := readAll(t, b)
		if len(bad) > 0 {
			t.Errorf("%s: %v", path, bad)
		}
		frames = append(frames, more...)
		b.Close() // Windows gives no file that is open another name
	}
	return frames
}

func TestRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	r := create(t, path, RecorderOptions{MaxSize: int64(3*numberedLine + 5)})
	r.Record(numbered(10), "can0")
	closeRecorder(t, r)
	list := logs(t, path)
	for i, want := range []string{path + ".000001", path + ".000002", path + ".000003", path} {
		if i >= len(list) || list[i] != want {
			t.Fatalf("files are %v", list)
		}
	}
	if got := recorded(t, path); !slices.Equal(got, numbered(10)) {
		t.Errorf("%v", texts(got))
	}

	// Another one goes on where this one has ended, and counts on.
	r = create(t, path, RecorderOptions{MaxSize: int64(3 * numberedLine), MaxFiles: 3})
	r.Record(numbered(9), "can0")
	closeRecorder(t, r)
	if got, want := logs(t, path), []string{path + ".000005", path + ".000006", path}; !slices.Equal(got, want) {
		t.Fatalf("files are %v, want %v", got, want)
	}
	if got := recorded(t, path); !slices.Equal(got, numbered(9)[2:]) {
		t.Errorf("%v", texts(got))
	}
}

func TestOneFileAtMost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	r := create(t, path, RecorderOptions{MaxSize: int64(2 * numberedLine), MaxFiles: 1})
	r.Record(numbered(5), "can0")
	closeRecorder(t, r)
	if list := logs(t, path); len(list) != 1 {
		t.Errorf("files are %v", list)
	}
	if got := recorded(t, path); !slices.Equal(got, numbered(5)[4:]) {
		t.Errorf("%v", texts(got))
	}
}

func TestFileSmallerThanALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	r := create(t, path, RecorderOptions{MaxSize: 1})
	r.Record(numbered(3), "can0")
	closeRecorder(t, r)
	if got := recorded(t, path); !slices.Equal(got, numbered(3)) || len(logs(t, path)) != 3 {
		t.Errorf("%v in %d files", texts(got), len(logs(t, path)))
	}
}

func TestRotatesUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	const buses, each = 4, 1000
	r := create(t, path, RecorderOptions{MaxSize: 20_000, Sync: -1})
	var writers sync.WaitGroup
	for bus := range buses {
		writers.Go(func() {
			list := numbered(each)
			for i := range list {
				list[i].ID = uint32(bus)
			}
			for some := range slices.Chunk(list, 1+bus*7) {
				r.Record(some, fmt.Sprintf("can%d", bus))
			}
		})
	}
	writers.Wait()
	closeRecorder(t, r)
	var next [buses]int
	all := recorded(t, path)
	want := numbered(each)
	for _, f := range all {
		bus := f.ID
		if f.ID = 0x123; f != want[next[bus]] {
			t.Fatalf("frame %d of bus %d is %v", next[bus], bus, f)
		}
		next[bus]++
	}
	if len(all) != buses*each {
		t.Errorf("%d frames", len(all))
	}
	for _, path := range logs(t, path) {
		if info, err := os.Stat(path); err != nil || info.Size() > 20_000 {
			t.Errorf("%s: %d bytes, %v", path, info.Size(), err)
		}
	}
}

// Where the file cannot be given another name it grows on, and nothing is lost.
func TestRotationThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	var errs errorList
	r := create(t, path, RecorderOptions{MaxSize: int64(2 * numberedLine), OnError: errs.add})
	r.log.rename = func(string, string) error { return syscall.EACCES }
	r.Record(numbered(10), "can0")
	closeRecorder(t, r)
	frames, _ := readAll(t, open(t, path, Options{Fast: true}))
	if !slices.Equal(frames, numbered(10)) {
		t.Errorf("%v", texts(frames))
	}
	list := errs.take()
	if len(list) != 1 || !errors.Is(list[0], syscall.EACCES) {
		t.Errorf("OnError was told %v", list)
	}
}

// A flakyWriter fails while fail is not nil, behind as many bytes as there is room for.
type flakyWriter struct {
	mu   sync.Mutex
	text bytes.Buffer
	fail error
	room int
}

func (w *flakyWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail == nil {
		return w.text.Write(p)
	}
	n := min(w.room, len(p))
	w.room -= n
	w.text.Write(p[:n])
	return n, w.fail
}

func (w *flakyWriter) set(fail error, room int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail, w.room = fail, room
}

// played returns the frames in a text, and how many lines are none.
func played(t *testing.T, text string) (frames []canbus.Frame, bad int) {
	t.Helper()
	b, err := New(strings.NewReader(text), "the text", Options{Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	frames, errs := readAll(t, b)
	return frames, len(errs)
}

// Wherever it is cut: what is written again is not read twice, nor half of it.
func TestDiskThatIsFullForAWhile(t *testing.T) {
	for room := range 3 * numberedLine {
		synctest.Test(t, func(t *testing.T) {
			var w flakyWriter
			var errs errorList
			r, err := NewRecorder(&w, RecorderOptions{OnError: errs.add})
			if err != nil {
				t.Fatal(err)
			}
			list := numbered(6)
			w.set(syscall.ENOSPC, room)
			r.Record(list[:3], "can0")
			synctest.Wait()
			if got, want := r.Stats(), (Stats{Recorded: uint64(room / numberedLine), Waiting: 3 - room/numberedLine}); got != want {
				t.Errorf("room for %d: Stats are %+v, want %+v", room, got, want)
			}
			w.set(syscall.ENOSPC, 3) // in the middle of the mark
			r.Record(list[3:5], "can0")
			time.Sleep(interval + interval/2)
			w.set(nil, 0)
			time.Sleep(interval)
			if got, want := r.Stats(), (Stats{Recorded: 5}); got != want {
				t.Errorf("room for %d: Stats are %+v, want %+v", room, got, want)
			}
			r.Record(list[5:], "can0")
			closeRecorder(t, r)
			frames, bad := played(t, w.text.String())
			if !slices.Equal(frames, list) || bad > 1 {
				t.Errorf("room for %d: %d bad, in\n%s", room, bad, w.text.String())
			}
			if told := errs.take(); len(told) != 2 || !errors.Is(told[0], syscall.ENOSPC) {
				t.Errorf("OnError was told %v", told)
			}
		})
	}
}

func TestDiskThatStaysFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := flakyWriter{fail: syscall.ENOSPC}
		var errs errorList
		r, err := NewRecorder(&w, RecorderOptions{QueueLen: 10, OnError: errs.add})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for i := range 50 {
			r.Record(numbered(1), "can0")
			if i%10 == 0 {
				synctest.Wait()
			}
		}
		if got, want := r.Stats(), (Stats{Waiting: 10, Lost: 40}); got != want {
			t.Errorf("Stats are %+v, want %+v", got, want)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Record waited %v", took)
		}
		time.Sleep(10*interval + interval/2)
		var lost uint64
		told := errs.take()
		for _, err := range told {
			if e, ok := errors.AsType[*LostError](err); ok {
				lost += e.Frames
			} else if !errors.Is(err, syscall.ENOSPC) {
				t.Error(err)
			}
		}
		if lost != 40 || len(told) > 13 {
			t.Errorf("told of %d lost frames, in %d errors", lost, len(told))
		}
		err = r.Close()
		if e, ok := err.(*LostError); !ok || e.Frames != 50 || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Close: %v", err)
		}
		if again := r.Close(); again == nil || again.Error() != err.Error() {
			t.Errorf("a second Close: %v", again)
		}
		if got, want := r.Stats(), (Stats{Lost: 50}); got != want {
			t.Errorf("Stats are %+v, want %+v", got, want)
		}
	})
}

// The operating system's own full disk.
func TestDeviceThatIsFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	var errs errorList
	r := create(t, "/dev/full", RecorderOptions{OnError: errs.add})
	r.Record(numbered(3), "can0")
	err := r.Close()
	full := syscall.ENOSPC
	if runtime.GOOS == "windows" { // Wine has the device
		full = syscall.Errno(112) // ERROR_DISK_FULL
	}
	if e, ok := err.(*LostError); !ok || e.Frames != 3 || !errors.Is(err, full) {
		t.Errorf("Close: %v", err)
	}
}

func TestFileThatIsMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	var errs errorList
	r := create(t, path, RecorderOptions{OnError: errs.add, Sync: time.Millisecond})
	list := numbered(4)
	r.Record(list[:1], "can0")
	await(t, func() bool { return r.Stats().Recorded == 1 })
	if err := os.Rename(path, path+".moved"); err != nil {
		closeRecorder(t, r)
		t.Skip(err) // a system where this cannot happen
	}
	var told []error
	await(t, func() bool {
		r.Record(list[1:2], "can0") // a sync follows a write
		told = append(told, errs.take()...)
		return len(told) > 0
	})
	wantError(t, told[0], "test.log was moved or deleted")
	r.Record(list[2:], "can0")
	closeRecorder(t, r)
	frames, _ := readAll(t, open(t, path, Options{Fast: true}))
	if n := len(frames); n < 2 || !slices.Equal(frames[n-2:], list[2:]) {
		t.Errorf("the new file has %v", texts(frames))
	}
	moved, _ := readAll(t, open(t, path+".moved", Options{Fast: true}))
	if len(moved) == 0 || moved[0] != list[0] {
		t.Errorf("the old file has %v", texts(moved))
	}
}

func TestFramesThatAreNotValidAreLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.log")
	var errs errorList
	r := create(t, path, RecorderOptions{OnError: errs.add})
	r.Record([]canbus.Frame{at(t, 1, "001#"), {ID: 0x800}, {ID: 1, Len: 9}, at(t, 1, "002#")}, "can0")
	err := r.Close()
	if e, ok := err.(*LostError); !ok || e.Frames != 2 {
		t.Errorf("Close: %v", err)
	}
	wantFile(t, path, "(0000000000.000000) can0 001#\n(0000000000.000000) can0 002#\n")
}

func TestFramesAfterCloseAreLost(t *testing.T) {
	r := create(t, filepath.Join(t.TempDir(), "test.log"), RecorderOptions{})
	closeRecorder(t, r)
	r.Record(numbered(2), "can0")
	if got, want := r.Stats(), (Stats{Lost: 2}); got != want {
		t.Errorf("Stats are %+v, want %+v", got, want)
	}
}

// An endlessWriter always brings more to write.
type endlessWriter struct {
	r    *Recorder
	stop atomic.Bool
}

func (w *endlessWriter) Write(p []byte) (int, error) {
	if !w.stop.Load() {
		w.r.Record(numbered(1), "can0")
	}
	return len(p), nil
}

func TestLossesAreToldUnderLoad(t *testing.T) {
	var w endlessWriter
	told := make(chan error, 1)
	r, err := NewRecorder(&w, RecorderOptions{OnError: func(err error) { told <- err }})
	if err != nil {
		t.Fatal(err)
	}
	w.r = r
	r.Record([]canbus.Frame{at(t, 1, "001#"), {ID: 0x800}}, "can0")
	if e, ok := (<-told).(*LostError); !ok || e.Frames != 1 {
		t.Errorf("OnError was told %v", e)
	}
	w.stop.Store(true)
	r.Close()
}

// With nothing left to write there is nothing to try again.
func TestErrorBehindTheLastByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w flakyWriter
		var errs errorList
		r, err := NewRecorder(&w, RecorderOptions{OnError: errs.add})
		if err != nil {
			t.Fatal(err)
		}
		w.set(syscall.EIO, 3*numberedLine)
		r.Record(numbered(3), "can0")
		time.Sleep(10 * interval)
		if got, want := r.Stats(), (Stats{Recorded: 3}); got != want {
			t.Errorf("Stats are %+v, want %+v", got, want)
		}
		if told := errs.take(); len(told) != 1 || !errors.Is(told[0], syscall.EIO) {
			t.Errorf("OnError was told %v", told)
		}
		closeRecorder(t, r)
	})
}
