//go:build linux

package canutils

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
	"example.com/isotp/canbus/socketcan"
)

// logFrames are frames of every kind that can be sent.
var logFrames = []string{
	"7E0#021003", "000#", "7FF#0102030405060708", "18DAF110#AABB", "00000123#",
	"7E0#R", "7E0#R8", "18DAF110#R3",
	"456##0000102030405060708090A0B", "18DAF110##1AABB", "7E0##1" + strings.Repeat("C3", 64),
}

func parseFrames(t *testing.T) (frames []canbus.Frame) {
	t.Helper()
	for _, text := range logFrames {
		f, err := canbus.ParseFrame(text)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	return frames
}

func texts(frames []canbus.Frame) (list []string) {
	for _, f := range frames {
		list = append(list, f.String())
	}
	return list
}

func openInterface(t *testing.T, name string) *socketcan.Bus {
	t.Helper()
	b, err := socketcan.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestWePlayWhatCandumpRecords(t *testing.T) {
	need(t, "candump")
	name, dir := newInterface(t), t.TempDir()
	// It writes to a file of its own choice in the working directory.
	dump := start(t, "sh", "-c", "cd '"+dir+"' && exec candump -l -n "+strconv.Itoa(len(logFrames))+" "+name)
	awaitReceiver(t, name, "000", "raw")
	bus := openInterface(t, name)
	for rest := parseFrames(t); len(rest) > 0; {
		n, err := bus.WriteFrames(rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	dump.rest()
	files, err := filepath.Glob(filepath.Join(dir, "candump-*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("its files are %v, %v", files, err)
	}
	log, err := candump.Open(t.Context(), files[0], candump.Options{Interface: name})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var got []canbus.Frame
	for buf := make([]canbus.Frame, 4); ; {
		n, err := log.ReadFrames(buf)
		got = append(got, buf[:n]...)
		if err == candump.ErrEnd {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(texts(got), logFrames) {
		t.Errorf("we play %v, want %v", texts(got), logFrames)
	}
}

// ourLog records logFrames, every other one as sent by us.
func ourLog(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ours.log")
	r, err := candump.Create(path, candump.RecorderOptions{OnError: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range parseFrames(t) {
		f.Stamp(1_700_000_000_000_000_000 + int64(i)*1_000_000)
		if i%2 == 1 {
			f.Flags |= canbus.Echo
		}
		r.Record([]canbus.Frame{f}, "can0")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCanplayerPlaysWhatWeRecord(t *testing.T) {
	need(t, "canplayer")
	name := newInterface(t)
	bus := openInterface(t, name)
	late := time.AfterFunc(patience, func() { bus.Close() })
	defer late.Stop()
	play := start(t, "canplayer", "-I", ourLog(t), name+"=can0")
	var got []canbus.Frame
	for buf := make([]canbus.Frame, 4); len(got) < len(logFrames); {
		n, err := bus.ReadFrames(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			t.Fatal(err)
		}
	}
	play.rest()
	if !slices.Equal(texts(got), logFrames) {
		t.Errorf("it plays %v, want %v", texts(got), logFrames)
	}
}

// editedLog is one that people have edited, of five frames.
const editedLog = "\ufeff# Monday\r\n(1700000000.000000) can0 7E0#021003\r\n\r\n; by hand\n" +
	"DROPCOUNT: dropped 3 CAN frames on 'can0' socket (total drops 3)\n" +
	"(1700000000.000001) can0 7E8#0650030032 T # the answer\n(1700000000.000002) can0   18DAF110#AA.BB R\nno frame\n" +
	"(1700000000.000003) can0 7E0#R8_9\n(1700000000.000004) can0 456##10102"

func TestCanplayerReadsOfAnEditedLogWhatWeRead(t *testing.T) {
	need(t, "canplayer")
	name := newInterface(t)
	bus := openInterface(t, name)
	late := time.AfterFunc(patience, func() { bus.Close() })
	defer late.Stop()
	path := filepath.Join(t.TempDir(), "edited.log")
	if err := os.WriteFile(path, []byte(editedLog), 0o666); err != nil {
		t.Fatal(err)
	}
	log, err := candump.Open(t.Context(), path, candump.Options{Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var ours []canbus.Frame
	for buf := make([]canbus.Frame, 4); ; {
		n, err := log.ReadFrames(buf)
		ours = append(ours, buf[:n]...)
		if err == candump.ErrEnd {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	play := start(t, "canplayer", "-I", path, name+"=can0")
	var its []canbus.Frame
	for buf := make([]canbus.Frame, 4); len(its) < 5; {
		n, err := bus.ReadFrames(buf)
		its = append(its, buf[:n]...)
		if err != nil {
			t.Fatal(err)
		}
	}
	play.rest()
	if got, want := texts(ours), texts(its); !slices.Equal(got, want) {
		t.Errorf("we play %v, it plays %v", got, want)
	}
}

// Of data that no DLC can say the length of, it makes the same frame.
func TestCansendFillsFramesAsWeDo(t *testing.T) {
	need(t, "cansend")
	name := newInterface(t)
	bus := openInterface(t, name)
	late := time.AfterFunc(patience, func() { bus.Close() })
	defer late.Stop()
	for n := range canbus.MaxLen + 1 {
		text := "123##1" + strings.Repeat("5A", n)
		ours, _, err := canbus.ParseLogLine("(1.0) can0 " + text)
		if err != nil {
			t.Fatal(err)
		}
		start(t, "cansend", name, text).rest()
		var its [1]canbus.Frame
		if _, err := bus.ReadFrames(its[:]); err != nil {
			t.Fatal(err)
		}
		if ours.String() != its[0].String() {
			t.Errorf("of %s we make %v, it makes %v", text, ours, its[0])
		}
	}
}

func TestLog2ascReadsWhatWeRecord(t *testing.T) {
	// How wide its columns are depends on its version.
	out := strings.Join(strings.Fields(start(t, "log2asc", "-I", ourLog(t), "can0").rest()), " ")
	for _, want := range []string{
		"0.000000 1 7E0 Rx d 3 02 10 03",
		"0.003000 1 18DAF110x Tx d 2 AA BB",
		"0.006000 1 7E0 Rx r",
		"0.009000 CANFD 1 Tx 18DAF110x",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}
