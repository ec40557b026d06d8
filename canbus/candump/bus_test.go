package candump

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/canlog"
)

const twoInterfaces = `(1700000000.000000) can0 7E0#021003
(1700000000.000500) can1 123#AA
(1700000000.001000) can0 7E8#0650030032 T
(1700000000.251000) can1 18DAF110##3AABBCC

(1700003600.251000) can0 7E0#R8
(1700003600.251001) can0 20000080#0000000000000000 R
`

func TestPlaysEveryFrameOfALog(t *testing.T) {
	b := open(t, writeLog(t, twoInterfaces), Options{Fast: true})
	frames, bad := readAll(t, b)
	wantTexts(t, frames, "7E0#021003", "123#AA", "7E8#0650030032", "18DAF110##3AABBCC", "7E0#R8", "20000080#0000000000000000")
	if len(bad) > 0 {
		t.Error(bad)
	}
	for i, f := range frames {
		if f.Has(canbus.Echo) {
			t.Errorf("frame %d has the flag Echo, although this program has not sent it", i)
		}
	}
	if got := frames[3].Timestamp; got != 1_700_000_000_251_000_000 {
		t.Errorf("Timestamp is %d, not the log's", got)
	}
	for range 2 {
		if n, err := b.ReadFrames(make([]canbus.Frame, 1)); n != 0 || err != ErrEnd || !errors.Is(err, io.EOF) {
			t.Errorf("behind the end: %d, %v", n, err)
		}
	}
}

func TestPlaysOneInterface(t *testing.T) {
	b := open(t, writeLog(t, twoInterfaces), Options{Fast: true, Interface: "can1"})
	frames, _ := readAll(t, b)
	wantTexts(t, frames, "123#AA", "18DAF110##3AABBCC")
}

// when reads a log, a frame at a time, and returns how long after the first call
// each frame came.
func when(t *testing.T, log string, o Options) (list []time.Duration) {
	t.Helper()
	b := open(t, writeLog(t, log), o)
	time.Sleep(time.Minute) // it begins with the first call
	start := time.Now()
	for {
		var one [1]canbus.Frame
		if _, err := b.ReadFrames(one[:]); err != nil {
			if err != ErrEnd {
				t.Fatal(err)
			}
			return list
		}
		list = append(list, time.Since(start))
	}
}

const minutes = `(100.000000) can0 001#
(100.000001) can0 002#
(100.250000) can0 003#
(100.250000) can1 004#
(160.000001) can0 005#
`

func TestPace(t *testing.T) {
	backwards := "(100.5) can0 001#\n(100.7) can0 002#\n(3.0) can0 003#\n(3.1) can0 004#\n"
	apart := "(0.0) can0 001#\n(9000000000.0) can0 002#\n(0.0) can0 003#\n(9000000000.0) can0 004#\n"
	for name, c := range map[string]struct {
		log  string
		o    Options
		want []time.Duration
	}{
		"its own":               {minutes, Options{}, []time.Duration{0, 1000, 250e6, 250e6, 60e9 + 1000}},
		"ten times":             {minutes, Options{Speed: 10}, []time.Duration{0, 100, 25e6, 25e6, 6e9 + 100}},
		"half":                  {minutes, Options{Speed: 0.5}, []time.Duration{0, 2000, 500e6, 500e6, 120e9 + 2000}},
		"fast":                  {minutes, Options{Fast: true}, []time.Duration{0, 0, 0, 0, 0}},
		"one interface":         {minutes, Options{Interface: "can1"}, []time.Duration{0}},
		"no long pause":         {minutes, Options{MaxPause: time.Second}, []time.Duration{0, 1000, 250e6, 250e6, 1250e6}},
		"both":                  {minutes, Options{MaxPause: time.Second, Speed: 10}, []time.Duration{0, 100, 25e6, 25e6, 125e6}},
		"backwards":             {backwards, Options{}, []time.Duration{0, 200e6, 200e6, 300e6}},
		"285 years twice, fast": {apart, Options{Speed: 1e12}, []time.Duration{0, 9e6, 9e6, 9223372}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := when(t, c.log, c.o); fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Errorf("frames come after %v, want %v", got, c.want)
				}
			})
		})
	}
}

// A reader that comes late gets at once what is due, and the rest in time.
func TestSlowReaderDoesNotDelayWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, writeLog(t, minutes), Options{})
		start := time.Now()
		buf := make([]canbus.Frame, 8)
		if n, err := b.ReadFrames(buf); n != 1 || err != nil {
			t.Fatalf("first %d frames, %v", n, err)
		}
		time.Sleep(time.Second)
		n, err := b.ReadFrames(buf)
		if err != nil {
			t.Fatal(err)
		}
		wantTexts(t, buf[:n], "002#", "003#", "004#")
		if n, err := b.ReadFrames(buf); n != 1 || err != nil || time.Since(start) != 60*time.Second+time.Microsecond {
			t.Errorf("then %d frames, %v, after %v", n, err, time.Since(start))
		}
	})
}

func TestInterfacesOfALog(t *testing.T) {
	log := twoInterfaces + "(1700003601.0) can2 001#\n"
	for _, o := range []Options{{Fast: true}, {Fast: true, Interface: "can1"}} {
		b := open(t, writeLog(t, log), o)
		if got := b.Interfaces(); len(got) > 0 {
			t.Errorf("nothing was read, and it has %v", got)
		}
		readAll(t, b)
		if got, want := b.Interfaces(), []string{"can0", "can1", "can2"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func TestInterfaceThatALogHasNot(t *testing.T) {
	for log, want := range map[string]error{
		twoInterfaces: &InterfaceError{Interface: "can9", There: []string{"can0", "can1"}},
		"":            ErrEnd,
	} {
		b := open(t, writeLog(t, log), Options{Interface: "can9"})
		for range 2 {
			n, err := b.ReadFrames(make([]canbus.Frame, 4))
			if got, ok := err.(*InterfaceError); ok {
				got.File = ""
			}
			if n != 0 || !reflect.DeepEqual(err, want) {
				t.Errorf("%d, %v, want %v", n, err, want)
			}
		}
	}
	wantError(t, &InterfaceError{"a.log", "can9", []string{"can0", "can1"}}, "a.log has no frames of interface can9, but of can0, can1")
}

// One that comes behind many others is there as well.
func TestInterfaceBehindManyOthers(t *testing.T) {
	var log strings.Builder
	for i := range 50 {
		fmt.Fprintf(&log, "(1.0) can%d 001#\n", i)
	}
	frames, bad := readAll(t, open(t, writeLog(t, log.String()), Options{Fast: true, Interface: "can49"}))
	if len(frames) != 1 || len(bad) > 0 {
		t.Errorf("%d frames, %v", len(frames), bad)
	}
	b := open(t, writeLog(t, log.String()), Options{Fast: true, Interface: "can50"})
	if n, err := b.ReadFrames(make([]canbus.Frame, 1)); err == ErrEnd || len(b.Interfaces()) != maxInterfaces {
		t.Errorf("%d, %v, %d interfaces", n, err, len(b.Interfaces()))
	}
}

// What candump, canplayer, log2asc and people's editors make.
func TestLinesThatAreSkipped(t *testing.T) {
	const bom = "\ufeff"
	for name, log := range map[string]string{
		"comments":        "# drive of Monday\n(1.0) can0 001#\n; and\n// then\nsome words\n  # it went on\n(2.0) can0 002#AA\n# the end",
		"DROPCOUNT":       "(1.0) can0 001#\nDROPCOUNT: dropped 3 CAN frames on 'can0' socket (total drops 3)\n(2.0) can0 002#AA\n",
		"blank lines":     "\n\n(1.0) can0 001#\n \t\n(2.0) can0 002#AA\n\n\n",
		"BOM":             bom + "(1.0) can0 001#\n(2.0) can0 002#AA\n",
		"BOMs":            bom + "# one\n(1.0) can0 001#\n" + bom + "(2.0) can0 002#AA\n" + bom,
		"no last end":     "(1.0) can0 001#\n(2.0) can0 002#AA",
		"CRLF":            bom + "(1.0) can0 001#\r\n\r\n(2.0) can0 002#AA\r\n",
		"CRLF, no end":    "(1.0) can0 001#\r\n(2.0) can0 002#AA\r",
		"remarks":         "(1.0) can0 001# # first\n(2.0) can0 002#AA T // second\n",
		"times":           "(0) can0 001#\n(2.123456789012) can0 002#AA\n",
		"a long comment":  "# " + strings.Repeat("x", 3*checkLen) + "\n(1.0) can0 001#\n" + strings.Repeat("# ", maxLine) + "\n(2.0) can0 002#AA\n",
		"what is no text": "(1.0) can0 001#\n\x00\xff\xfe\n(2.0) can0 002#AA\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, writeLog(t, log), Options{Fast: true})
			frames, bad := readAll(t, b)
			wantTexts(t, frames, "001#", "002#AA")
			if len(bad) > 0 || b.Malformed() > 0 {
				t.Errorf("%d malformed, %v", b.Malformed(), bad)
			}
		})
	}
}

func TestLinesThatAreNoFrames(t *testing.T) {
	log := "(1.0) can0 001#\n(garbage\n(2.0) can0 002#0\n(2.0) can0 003#AA\n" +
		"(" + strings.Repeat("x", 3*checkLen) + "\n(1.0) can0 004#" + strings.Repeat("00", maxLine) + "\n(\x00\xff\n(3.0) can0 005#\n"
	b := open(t, writeLog(t, log), Options{Fast: true})
	frames, bad := readAll(t, b)
	wantTexts(t, frames, "001#", "003#AA", "005#")
	if len(bad) != 5 || b.Malformed() != 5 {
		t.Fatalf("%d errors, %d counted: %v", len(bad), b.Malformed(), bad)
	}
	wantLine(t, bad[0], 2, "(garbage")
	wantLine(t, bad[1], 3, "002#0")
	wantLine(t, bad[2], 5, "(xxx")
	wantLine(t, bad[3], 6, "(1.0) can0 004#00")
	wantLine(t, bad[4], 7, "(\x00\xff")
	for _, err := range bad {
		if len(err.Error()) > 400 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
	wantError(t, bad[1], `test.log, line 3: "(2.0) can0 002#0" is no frame: data end in "0"`)
}

// What a crash has left is told, unless it is a whole frame: editors leave such lines,
// too.
func TestLastLineThatIsCut(t *testing.T) {
	const first, last = "(1.0) can0 001#\n", "(2.0) can0 7E0#021003"
	for cut := 1; cut <= len(last); cut++ {
		b := open(t, writeLog(t, first+last[:cut]), Options{Fast: true})
		frames, bad := readAll(t, b)
		if _, text, _ := strings.Cut(last[:cut], "#"); strings.Contains(last[:cut], "#") && len(text)%2 == 0 {
			wantTexts(t, frames, "001#", "7E0#"+text)
			if len(bad) > 0 {
				t.Errorf("cut at %d: %v", cut, bad)
			}
			continue
		}
		wantTexts(t, frames, "001#")
		if len(bad) != 1 {
			t.Fatalf("cut at %d: %v", cut, bad)
		}
		wantLine(t, bad[0], 2, last[:cut])
		wantError(t, bad[0], "ends in the middle")
	}
}

// The end comes in a call of its own, after the last frame: once it has come, no program can
// dial any more.
func TestEndComesAfterTheLastFrame(t *testing.T) {
	b := open(t, writeLog(t, "(1.0) can0 001#\n\n"), Options{})
	if n, err := b.ReadFrames(make([]canbus.Frame, 4)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := b.ReadFrames(make([]canbus.Frame, 4)); n != 0 || err != ErrEnd {
		t.Errorf("%d, %v", n, err)
	}
}

func TestEmptyLogEndsAtOnce(t *testing.T) {
	for _, text := range []string{"", "\n", "\r\n \n", "\ufeff", "# of a quiet bus\n", "DROPCOUNT: dropped 1 CAN frame on 'can0' socket (total drops 1)\n"} {
		frames, bad := readAll(t, open(t, writeLog(t, text), Options{}))
		if len(frames)+len(bad) > 0 {
			t.Errorf("%q: %v, %v", text, frames, bad)
		}
	}
}

// What comes from a pipe is seen to be no log only at its end.
func TestPipeThatIsNoLog(t *testing.T) {
	b, err := New(strings.NewReader("  can0  7E0   02 10 03\n"), "standard input", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n, err := b.ReadFrames(make([]canbus.Frame, 4))
		wantError(t, err, `standard input is no log: line 1: "  can0  7E0   02 10 03" is no frame`)
		if n != 0 || errors.Is(err, canbus.ErrTemporary) || errors.Is(err, io.EOF) {
			t.Errorf("%d, %v", n, err)
		}
	}
}

// What canlog reads is played: the format is found by content.
func TestLogsInOtherFormats(t *testing.T) {
	for i := canlog.Candump; i <= canlog.PCAPNG; i++ {
		var text bytes.Buffer
		w, err := canlog.NewWriter(&text, i)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"(1.000000) 1 7E0#021003", "(1.000001) 1 7E8#065003 T"} {
			f, bus, err := canbus.ParseLogLine(line)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.WriteFrame(&f, bus); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		b := open(t, writeLog(t, text.String()), Options{Fast: true, Interface: "1"})
		frames, bad := readAll(t, b)
		wantTexts(t, frames, "7E0#021003", "7E8#065003")
		if len(bad) > 0 || frames[1].Timestamp-frames[0].Timestamp != 1000 {
			t.Errorf("%v: %+v, %v", i, frames, bad)
		}
	}
}

// Where a record of a binary log is wrong is told in bytes.
func TestRecordsThatAreNoFrames(t *testing.T) {
	var text bytes.Buffer
	w, err := canlog.NewWriter(&text, canlog.PCAP)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.WriteFrame(&canbus.Frame{ID: 1, Len: 1}, "can0")
	}
	w.Close()
	text.Truncate(text.Len() - 1)
	_, bad := readAll(t, open(t, writeLog(t, text.String()), Options{Fast: true}))
	if len(bad) != 1 {
		t.Fatalf("errors %v", bad)
	}
	wantError(t, bad[0], "test.log, at byte 56: no frame")
}

func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(strings.NewReader("(5.0) c 001#\n(5.0) c 002#\n(99.0) c 003#\n"), "the log", Options{Gap: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		begun := time.Now()
		frames, _ := readAll(t, b)
		wantTexts(t, frames, "001#", "002#", "003#")
		if d := time.Since(begun); d != 2*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

func TestReadFramesOfTellsTheInterfaces(t *testing.T) {
	b := open(t, writeLog(t, "(1.0) can0 001#\n(1.0) can1 002#\n(1.0) can0 003#\n"), Options{Fast: true})
	frames, interfaces := make([]canbus.Frame, 8), make([]string, 8)
	n, err := b.ReadFramesOf(frames, interfaces)
	if want := []string{"can0", "can1", "can0"}; n != 3 || err != nil || !slices.Equal(interfaces[:n], want) {
		t.Errorf("%d frames, %q, %v", n, interfaces, err)
	}
}

// A frame without a time comes with the one before it.
func TestLogWithoutTimes(t *testing.T) {
	var p pace
	for i, c := range []struct {
		text   string
		offset int64
	}{{"(5.0) c 001#", 0}, {"", 0}, {"(7.0) c 001#", 2e9}, {"", 2e9}} {
		var f canbus.Frame
		if c.text != "" {
			f, _, _ = canbus.ParseLogLine(c.text)
		}
		if p.pass(&f); p.offset != c.offset {
			t.Errorf("frame %d is at %d, want %d", i, p.offset, c.offset)
		}
	}
}

// A log may begin at 0, which is a time, and known.
func TestTimeZero(t *testing.T) {
	frames, _ := readAll(t, open(t, writeLog(t, "(0.000000) can0 001#\n(0.000001) can0 002#\n"), Options{Fast: true}))
	if len(frames) != 2 || frames[0].Time().IsZero() || frames[0].Time().UnixMicro() != 0 || frames[1].Time().UnixMicro() != 1 {
		t.Errorf("%+v", frames)
	}
}

func TestStandardInputIsALog(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := os.Stdin
	os.Stdin = r
	defer func() { os.Stdin = before }()
	b, err := canbus.Open(t.Context(), "candump:-,fast")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("(1.0) can0 001#\n(garbage\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	frames, bad := readAll(t, b)
	wantTexts(t, frames, "001#")
	if len(bad) != 1 {
		t.Fatal(bad)
	}
	wantError(t, bad[0], "standard input, line 2")
	b.Close()
}

func TestLogWaitsAndHasItsOwnTime(t *testing.T) {
	if p := canbus.PropertiesOf(open(t, writeLog(t, twoInterfaces), Options{})); !p.Waits || !p.OwnTime || !p.FD || p.Echo {
		t.Errorf("%+v", p)
	}
}

func TestFilesThatAreNoLogsAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "nothing.log"):       "nothing.log",
		dir:                                     "directory",
		writeLog(t, "  can0  7E0   02 10 03\n"): "line 1: \"  can0  7E0   02 10 03\" is no frame: no line of a log",
		writeLog(t, "# remarks\n  can0  7E0   02 10 03\n"):                    "line 2",
		writeLog(t, "\xff\xfe(\x001\x00)\x00 \x00c\x00 \x001\x00#\x00\n\x00"): "it is UTF-16",
		writeLog(t, strings.Repeat("\x7fELF", 1<<20)):                         "line 1",
		writeLog(t, "(1.0) can0 001"):                                         "ends in the middle of the line",
	} {
		b, err := Open(t.Context(), path, Options{})
		if err == nil {
			b.Close()
		}
		if path == dir && err != nil {
			continue // each system has words of its own
		}
		wantError(t, err, want)
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "nothing.log"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]struct {
		file string
		o    Options
	}{
		"drive.log":                        {"drive.log", Options{}},
		"/var/log/can.log,fast":            {"/var/log/can.log", Options{Fast: true}},
		`C:\logs\can.log,speed=0.25`:       {`C:\logs\can.log`, Options{Speed: 0.25}},
		"a,b=c.log,interface=can1,speed=2": {"a,b=c.log", Options{Interface: "can1", Speed: 2}},
		"a.log,maxpause=500ms,fast":        {"a.log", Options{MaxPause: 500 * time.Millisecond, Fast: true}},
	} {
		if file, o, err := ParseName(name); err != nil || file != want.file || o != want.o {
			t.Errorf("%q: %q, %+v, %v", name, file, o, err)
		}
	}
	for name, want := range map[string]string{
		"":                   "name of a log file",
		",fast":              "name of a log file",
		"a.log,speed=0":      "above 0",
		"a.log,speed=-1":     "above 0",
		"a.log,speed=NaN":    "above 0",
		"a.log,speed=Inf":    "above 0",
		"a.log,speed=x":      `"x"`,
		"a.log,fast,speed=2": "one of them",
		"a.log,interface=":   "can0",
		"a.log,gap=1":        `"1"`,
		"a.log,gap=0s":       "above 0",
		"a.log,gap=1s,fast":  "one of them",
		"a.log,maxpause=1":   `"1"`,
		"a.log,maxpause=-1s": "above 0",
	} {
		_, _, err := ParseName(name)
		wantError(t, err, want)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]Options{
		"Speed -1":       {Speed: -1},
		"Speed NaN":      {Speed: math.NaN()},
		"Speed +Inf":     {Speed: math.Inf(1)},
		"Fast and Speed": {Fast: true, Speed: 1},
		"MaxPause -1ns":  {MaxPause: -1},
		"Gap -1ns":       {Gap: -1},
		"Gap 1ns beside": {Gap: 1, Speed: 2},
	} {
		_, err := New(strings.NewReader(""), "x", o)
		wantError(t, err, want)
		_, err = Open(t.Context(), "nothing.log", o)
		wantError(t, err, want)
	}
}

func TestOpenByName(t *testing.T) {
	b, err := canbus.Open(t.Context(), "candump:"+writeLog(t, twoInterfaces)+",fast,interface=can1")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	frames, _ := readAll(t, b)
	wantTexts(t, frames, "123#AA", "18DAF110##3AABBCC")
	if b, err := canbus.Open(t.Context(), "candump:nothing.log"); err == nil || b != nil {
		t.Errorf("%v, %v", b, err)
	}
}

func TestWritesAreUnheard(t *testing.T) {
	b := open(t, writeLog(t, twoInterfaces), Options{Fast: true})
	list := []canbus.Frame{parse(t, "7E0#023E00"), parse(t, "7E0##1AA"), {ID: 0x800}, parse(t, "7E0#023E00")}
	if n, err := b.WriteFrames(list); n != 2 || err == nil {
		t.Errorf("WriteFrames took %d, %v", n, err)
	}
	if n, err := b.TryWriteFrames(list[3:]); n != 1 || err != nil {
		t.Errorf("TryWriteFrames took %d, %v", n, err)
	}
	if b.Unheard() != 3 {
		t.Errorf("%d are unheard", b.Unheard())
	}
	if frames, _ := readAll(t, b); len(frames) != 6 {
		t.Errorf("read %d frames", len(frames))
	}
}

func TestCloseEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, writeLog(t, "(0.0) can0 001#\n(1000000.0) can0 002#\n"), Options{})
		if _, err := b.ReadFrames(make([]canbus.Frame, 4)); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Hour, func() { b.Close() })
		if n, err := b.ReadFrames(make([]canbus.Frame, 4)); n != 0 || err != net.ErrClosed {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestCloseEndsAReadOfTheSource(t *testing.T) {
	r, w := io.Pipe()
	b, err := New(r, "a pipe", Options{})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		_, err := b.ReadFrames(make([]canbus.Frame, 4))
		result <- err
	}()
	// It is reading once it has taken this.
	if _, err := w.Write([]byte("(1.0) can0 ")); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := <-result; err != net.ErrClosed {
		t.Error(err)
	}
}

// A frame of a live log does not wait for the next line.
func TestFramesComeWithTheirLines(t *testing.T) {
	r, w := io.Pipe()
	b, err := New(r, "a pipe", Options{Interface: "can0"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	go w.Write([]byte("(1.0) can0 001#\n(1.0) can1 002#\n\n(1.0) c"))
	buf := make([]canbus.Frame, 4)
	n, err := b.ReadFrames(buf)
	if err != nil {
		t.Fatal(err)
	}
	wantTexts(t, buf[:n], "001#")
}

// A failingReader fails behind a text.
type failingReader struct {
	text io.Reader
	err  error
}

func (r failingReader) Read(p []byte) (int, error) {
	n, err := r.text.Read(p)
	if err == io.EOF {
		err = r.err
	}
	return n, err
}

func TestFileThatCannotBeReadAnyMore(t *testing.T) {
	for _, cause := range []error{os.ErrPermission, fmt.Errorf("the disk: %w", io.EOF)} {
		b, err := New(failingReader{strings.NewReader("(1.0) can0 001#\n(1.0) can"), cause}, "test.log", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := b.ReadFrames(make([]canbus.Frame, 4)); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		for range 2 {
			_, err = b.ReadFrames(make([]canbus.Frame, 4))
			wantError(t, err, "test.log: canlog: read behind line 2")
			if errors.Is(err, io.EOF) || errors.Is(err, canbus.ErrTemporary) {
				t.Errorf("%v is an end, or passes", err)
			}
		}
	}
}

// On a system where that can be done: what is open is read to its end.
func TestFileThatIsDeletedIsPlayedToItsEnd(t *testing.T) {
	path := writeLog(t, strings.Repeat("(1.0) can0 001#\n", 10000))
	b := open(t, path, Options{})
	if err := os.Remove(path); err != nil {
		t.Skip(err)
	}
	if frames, _ := readAll(t, b); len(frames) != 10000 {
		t.Errorf("%d frames", len(frames))
	}
}
