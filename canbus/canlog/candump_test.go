package canlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
)

// readLog reads a log and returns its frames as the lines of candump -L, and its errors.
func readLog(t testing.TB, r io.Reader) (frames []string, errs []error) {
	t.Helper()
	log, err := NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	for {
		var f canbus.Frame
		bus, err := log.ReadFrame(&f)
		switch {
		case err == io.EOF:
			return frames, errs
		case errors.Is(err, canbus.ErrTemporary):
			errs = append(errs, err)
		case err != nil:
			t.Fatal(err)
		default:
			if err := valid(&f); err != nil {
				t.Errorf("%+v: %v", f, err)
			}
			frames = append(frames, string(canbus.AppendLogLine(nil, &f, bus)))
		}
	}
}

// wantFrames fails the test if a log has other frames, or anything that is wrong.
func wantFrames(t testing.TB, log string, want ...string) {
	t.Helper()
	frames, errs := readLog(t, strings.NewReader(log))
	if len(errs) > 0 {
		t.Errorf("errors %v", errs)
	}
	if !slices.Equal(frames, want) {
		t.Errorf("frames\n%s\nwant\n%s", strings.Join(frames, "\n"), strings.Join(want, "\n"))
	}
}

const candumpLog = `(1436509052.249713) vcan0 044#2A366C2BBA
(1436509052.449847) can1 18DA10F1##3000102030405060708090A0B T
(1436509052.650004) vcan0 7E0#R8
(1436509052.650104) vcan0 20000080#0000000000000000
`

func TestCandumpLog(t *testing.T) {
	wantFrames(t, candumpLog, strings.Split(strings.TrimSpace(candumpLog), "\n")...)
}

func TestCandumpLogSkipsWhatIsNoFrame(t *testing.T) {
	wantFrames(t, "\ufeff# a remark\n\nDROPCOUNT: dropped 1 CAN frame on 'can0' socket (total drops 1)\n(1.5) can0 123#01\r\nhello\n(2.5) can0 123#02",
		"(0000000001.500000) can0 123#01", "(0000000002.500000) can0 123#02")
}

// The lines are those of candump in the modes that its options name.
func TestCandumpScreen(t *testing.T) {
	for name, c := range map[string]struct{ log, want string }{
		"plain":      {"  vcan0  123   [3]  11 22 33\n", "(0000000000.000000) vcan0 123#112233"},
		"no data":    {"  vcan0  123   [0] \n", "(0000000000.000000) vcan0 123#"},
		"-t a":       {" (1345212884.318850)  vcan0  12345678   [1]  FF\n", "(1345212884.318850) vcan0 12345678#FF"},
		"-t A":       {" (2012-08-17 16:14:44.318850)  vcan0  123   [1]  FF\n", "(1345227284.318850) vcan0 123#FF"},
		"-x":         {" (1345212884.318850)  can0  TX B E  123  [12]  00 01 02 03 04 05 06 07 08 09 0A 0B\n", "(1345212884.318850) can0 123##3000102030405060708090A0B T"},
		"-x, FD 8":   {"  can0  RX - -  123  [08]  00 01 02 03 04 05 06 07\n", "(0000000000.000000) can0 123##00001020304050607"},
		"remote":     {"  can0  123   [4]  remote request\n", "(0000000000.000000) can0 123#R4"},
		"error":      {"  can0  20000088   [8]  00 00 08 00 00 00 00 00   ERRORFRAME\n\tprotocol-violation{{}{}}\n", "(0000000000.000000) can0 20000088#0000080000000000"},
		"-a":         {"  can0  123   [3]  41 42 00            'AB.'\n", "(0000000000.000000) can0 123#414200"},
		"-8":         {"  can0  123   {E}  01 02 03 04 05 06 07 08\n", "(0000000000.000000) can0 123#0102030405060708"},
		"-8, short":  {"  can0  123   {2}  01 02\n", "(0000000000.000000) can0 123#0102"},
		"-i":         {"  can0  123   [2]  00000001 10000000\n", "(0000000000.000000) can0 123#0180"},
		"-S -a":      {"  can0  123   [3]  33`22`11            `..\"`\n", "(0000000000.000000) can0 123#112233"},
		"-c":         {" \x1b[34m (1345212884.318850)  can0\x1b[0m  123   [1]  11\n", "(1345212884.318850) can0 123#11"},
		"-c -c -c":   {" \x1b[1m\x1b[31m(1345212884.318850)  can0  123   [1]  11\x1b[0m\n", "(1345212884.318850) can0 123#11"},
		"pasted":     {"can0 123 [2] 11 22\n", "(0000000000.000000) can0 123#1122"},
		"indented":   {"  can0       123   [1]  11\n", "(0000000000.000000) can0 123#11"},
		"with -H -N": {" (1345212884.318850123)  vcan0  123   [1]  FF\n", "(1345212884.318850) vcan0 123#FF"},
	} {
		t.Run(name, func(t *testing.T) {
			local := time.Local
			time.Local = time.FixedZone("two hours behind", -2*3600)
			defer func() { time.Local = local }()
			wantFrames(t, c.log, c.want)
		})
	}
}

func TestCandumpScreenTimes(t *testing.T) {
	frame := func(at float64) string { return fmt.Sprintf(" (%07.3f)  can0  123   [1]  11\n", at) }
	line := func(at float64) string { return fmt.Sprintf("(%017.6f) can0 123#11", at) }
	t.Run("-t z", func(t *testing.T) {
		wantFrames(t, frame(0)+frame(1)+frame(1)+frame(3), line(0), line(1), line(1), line(3))
	})
	t.Run("-t d", func(t *testing.T) {
		wantFrames(t, frame(0)+frame(1)+frame(.5)+frame(3), line(0), line(1), line(1.5), line(4.5))
	})
}

func TestCandumpErrors(t *testing.T) {
	for _, c := range []struct{ line, names string }{
		{"(1.0) can0 7E0", "no #"},
		{"(1.0) can0 7E0#02100", "half a byte"},
		{"(1.0) can0 7E0#" + strings.Repeat("00", maxLine/2), "more than 1024 bytes"},
		{"(1.0) can0 7E0#01\r(2.0) can0 7E0#02", "no end of a line"},
		{"\x00\x00\x00(1.0) can0 7E0#01", "NUL"},
		{" can0 800 [1] 11", "identifier 800"},
		{" can0 123 [9] 11", "[9]"},
		{" can0 123 [2] 11", "number 2"},
		{" can0 123 [1] 1", "number 1"},
		{" can0 123 [1] 11 22", `"22" behind`},
		{" can0 123 [0064] (00|81:00:12345678) 00", "CAN XL"},
		{" can0 123 [08]  remote request", "remote"},
		{" (x)  can0 123 [1] 11", `"x"`},
		{" (2012-99-17 16:14:44.3)  can0 123 [1] 11", "2012-99"},
		{" 123 [1] 11", "interface"},
	} {
		frames, errs := readLog(t, strings.NewReader("(1.0) can0 001#\n"+c.line+"\n(2.0) can0 002#\n"))
		if len(frames) != 2 || len(errs) != 1 {
			t.Errorf("%q: frames %q, errors %v", c.line, frames, errs)
			continue
		}
		bad, ok := errors.AsType[*RecordError](errs[0])
		if !ok || bad.Line != 2 || bad.Offset != 16 || !strings.Contains(bad.Error(), c.names) {
			t.Errorf("%q: %v; want it to name line 2 and %s", c.line, errs[0], c.names)
		}
	}
}

func TestALogThatEndsInMidLine(t *testing.T) {
	frames, errs := readLog(t, strings.NewReader("(1.0) can0 001#\n(2.0) can0 7E0#021"))
	if len(frames) != 1 || len(errs) != 1 || !errors.Is(errs[0], errCut) {
		t.Errorf("frames %q, errors %v", frames, errs)
	}
}

// What Ready reads ReadFrame returns, and nothing is lost between them.
func TestReadyReadsAhead(t *testing.T) {
	r, w := io.Pipe()
	go io.WriteString(w, "(1.0) can0 001#\n# a remark\n(2.0) can0 002#\n# another\n(3.0)")
	log, err := NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint32{1, 2} {
		var f canbus.Frame
		for range 2 {
			if !log.Ready() {
				t.Fatal("no frame is ready")
			}
		}
		if _, err := log.ReadFrame(&f); err != nil || f.ID != want {
			t.Fatalf("frame %v, %v; want %d", f, err, want)
		}
	}
	if log.Ready() {
		t.Error("half a line is ready")
	}
	w.Close()
}

func TestCandumpAllocatesNothing(t *testing.T) {
	text := strings.Repeat("(1436509052.249713) vcan0 7E8#2A366C2BBA112233\n(1436509052.249713) vcan1 7E8##12A366C2BBA112233 T\n", 2000)
	log, err := NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var f canbus.Frame
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := log.ReadFrame(&f); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkReadCandump(b *testing.B) {
	text := bytes.Repeat([]byte("(1436509052.249713) vcan0 7E8#2A366C2BBA112233\n"), 10000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		log, err := NewReader(bytes.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		var f canbus.Frame
		for err == nil {
			_, err = log.ReadFrame(&f)
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/frame")
}
