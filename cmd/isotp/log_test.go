package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest/wiretest"
	"example.com/isotp/canbus/virtual"
)

// networks counts those of tests.
var networks atomic.Int32

// readALog runs each command that reads a log, with flags behind the log's name.
func readALog(t *testing.T, text, options string, check func(t *testing.T, command string, r result)) {
	path := filepath.ToSlash(writeLog(t, text))
	out := filepath.Join(t.TempDir(), "out.log")
	bus := fmt.Sprintf("%s%d", t.Name(), networks.Add(1))
	hear(t, bus, virtual.Options{})
	replay := []string{"replay", "--fast", path, "virtual:" + bus}
	if name, ok := strings.CutPrefix(options, ",interface="); ok {
		replay = append(replay, "--interface", name)
	}
	for _, args := range [][]string{
		{"recv", "--hex", "--listen-only", "candump:" + path + ",fast" + options + "/7E0:7E8"},
		{"record", "candump:" + path + ",fast" + options, out},
		replay,
	} {
		check(t, args[0], isotp(t.Context(), nil, args...))
	}
}

func TestBadLinesMeanTheSameInEveryCommand(t *testing.T) {
	for _, c := range []struct{ log, warning, failure string }{
		{"(1.0) can0 7E8#0101\n(1.1) can0 7E8#01\x00\n(1.2) can0 7E8#0102\n", `test.log, line 2: "(1.1) can0 7E8#01\x00" is no frame: data`, "1 line of "},
		{"(1.0) can0 7E8#0101\n(x) can0 7E8#01AA\n(1.2) can0 7E8#0102\n(1.2) can0 7E8#010", `line 4: "(1.2) can0 7E8#010" is no frame: the log ends`, "2 lines of "},
	} {
		readALog(t, c.log, "", func(t *testing.T, command string, r result) {
			r.want(t, exitFailure, c.failure)
			if !strings.Contains(r.stderr, "candump: ") || !strings.Contains(r.stderr, c.warning) {
				t.Errorf("%s does not say %q: %s", command, c.warning, r.stderr)
			}
			if command == "recv" {
				r.wantStdout(t, "01\n02\n")
			} else if !strings.Contains(r.stderr, "2 frames ") {
				t.Errorf("%s: %s", command, r.stderr)
			}
		})
	}
}

func TestLogOfBadLinesOnly(t *testing.T) {
	readALog(t, "(1.0) can0 7E8#010\n(1.0) can0\n", "", func(t *testing.T, command string, r result) {
		r.want(t, exitFailure, `test.log, line 1: "(1.0) can0 7E8#010" is no frame`)
	})
}

func TestLogsOfEditorsAreRead(t *testing.T) {
	for log, want := range map[string]string{
		"\ufeff# tester\r\n(0) can0 7E8#0101\r\n\r\nDROPCOUNT: dropped 3 CAN frames on 'can0' socket (total drops 3)\r\n(0.123) can0 7E8#0102 R # answer": "01\n02\n",
		"(0000000000.000000) can0 7E8#0101\n; end\n(0000000000.000000) can0 7E8##000080102030405060708\n":                                                 "01\n0102030405060708\n",
	} {
		readALog(t, log, "", func(t *testing.T, command string, r result) {
			r.want(t, exitOK, "")
			if command == "recv" {
				r.wantStdout(t, want)
				if r.stderr != "" {
					t.Errorf("%s says %s", command, r.stderr)
				}
			} else if !strings.HasPrefix(r.stderr, "2 frames ") {
				t.Errorf("%s says %s", command, r.stderr)
			}
		})
	}
}

const ofTwo = "(1.0) can0 7E8#0101\n(1.1) can1 7E8#0102\n(1.2) can0 7E8#0103\n"

func TestMixedInterfacesAreTold(t *testing.T) {
	readALog(t, ofTwo, "", func(t *testing.T, command string, r result) {
		r.want(t, exitOK, "")
		if strings.Count(r.stderr, "several interfaces, can0 and can1") != 1 || !strings.Contains(r.stderr, "interface") {
			t.Errorf("%s says %s", command, r.stderr)
		}
	})
	readALog(t, ofTwo, ",interface=can0", func(t *testing.T, command string, r result) {
		r.want(t, exitOK, "")
		if strings.Contains(r.stderr, "several") {
			t.Errorf("%s of one interface says %s", command, r.stderr)
		}
	})
}

func TestInterfaceThatTheLogHasNot(t *testing.T) {
	readALog(t, ofTwo, ",interface=can9", func(t *testing.T, command string, r result) {
		r.want(t, exitFailure, "has no frames of interface can9, but of can0, can1")
	})
}

func TestLogFromStandardInput(t *testing.T) {
	const log = "(0000000001.000000) can0 7E8#0101\n(0000000001.100000) can0 7E8#0102\n"
	r := isotp(t.Context(), strings.NewReader(log), "recv", "--hex", "--listen-only", "candump:-,fast/7E0:7E8")
	r.want(t, exitOK, "")
	r.wantStdout(t, "01\n02\n")
	r = isotp(t.Context(), strings.NewReader(log), "record", "candump:-,fast", "-")
	r.want(t, exitOK, "")
	r.wantStdout(t, log)
	r = isotp(t.Context(), strings.NewReader("  can0  7E8   01 01\n"), "recv", "--hex", "--listen-only", "candump:-/7E0:7E8")
	r.want(t, exitFailure, "standard input is no log: line 1")
}

// An interrupt ends a recv whose log, on standard input, does not go on.
func TestLogOnStandardInputThatStops(t *testing.T) {
	in, feed := io.Pipe()
	defer feed.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	out, lines := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"recv", "--hex", "--listen-only", "candump:-/7E0:7E8"}, in, lines, io.Discard)
	}()
	if _, err := feed.Write([]byte("(1.0) can0 7E8#0101\n")); err != nil {
		t.Fatal(err)
	}
	if line := make([]byte, 3); !reads(out, line, "01\n") {
		t.Errorf("it wrote %q", line)
	}
	interrupt()
	if status := <-done; status != exitOK {
		t.Errorf("exit status %d", status)
	}
}

func reads(r io.Reader, buf []byte, want string) bool {
	_, err := io.ReadFull(r, buf)
	return err == nil && string(buf) == want
}

// What begins and is not completed would be gone without a word.
func TestRecvTellsMessagesGivenUp(t *testing.T) {
	const (
		first = "(1.000000) can0 7E8#1014626F90574155\n"
		other = "(1.001000) can0 7E8#215A5A5A384B3038\n"
		good  = "(1.003000) can0 7E8#0142\n"
	)
	for name, c := range map[string]struct{ log, why string }{
		"wrong sequence number": {first + other + "(1.002000) can0 7E8#2331323334353637\n" + good, "N_WRONG_SN"},
		"interrupted":           {first + other + good, "N_UNEXP_PDU: interrupted by a single frame"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.ToSlash(writeLog(t, c.log))
			for _, flags := range []string{"", "--trace "} {
				r := isotp(t.Context(), nil, words("recv --hex --listen-only "+flags+"candump:"+path+",fast/7E0:7E8")...)
				r.want(t, exitFailure, "1 message given up before the end")
				r.wantStdout(t, "42\n")
				if line := path + ",fast/7E0:7E8: message given up after 13 bytes at ("; !strings.Contains(r.stderr, line) || strings.Count(r.stderr, c.why) != 1 {
					t.Errorf("it says %s", r.stderr)
				}
			}
			r := isotp(t.Context(), nil, words("recv --hex --listen-only --log warn candump:"+path+",fast/7E0:7E8")...)
			if r.status != exitFailure || strings.Contains(r.stderr, "message given up after") || strings.Count(r.stderr, "reception aborted") != 1 {
				t.Errorf("with --log it says %s", r.stderr)
			}
		})
	}
}

// It has the log's times, and what reads logs reads it whatever the file is called.
func TestTraceOfALogIsALog(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "my drive.log")
	log := strings.ReplaceAll(strings.ReplaceAll(conversation, "(1700000000.001500) can1 123#AA\n", ""), " T\n", "\n")
	if err := os.WriteFile(file, []byte(log), 0o666); err != nil {
		t.Fatal(err)
	}
	r := isotp(t.Context(), nil, "recv", "--hex", "--trace", "--listen-only", "candump:"+filepath.ToSlash(file)+",fast/7E0:7E8")
	r.want(t, exitOK, "")
	trace := writeLog(t, r.stderr)
	r = isotp(t.Context(), nil, "record", "candump:"+filepath.ToSlash(trace)+",fast", "-")
	r.want(t, exitOK, "")
	want, _, _ := strings.Cut(log, "(1700000000.004000) can0 20000080#") // of error frames it does not tell
	if r.stdout != want {
		t.Errorf("recorded from the trace\n%swant\n%s", r.stdout, want)
	}
}

// Of a log that begins at 0, as those do that were recorded by a clock of their own.
func TestTimeZeroIsKept(t *testing.T) {
	const log = "(0000000000.000000) can0 7E8#0101\n(0000000000.000001) can0 7E8#0102\n"
	name := "candump:" + filepath.ToSlash(writeLog(t, log)) + ",fast"
	t.Run("record", func(t *testing.T) {
		r := isotp(t.Context(), nil, "record", name, "-")
		if r.want(t, exitOK, ""); r.stdout != log {
			t.Errorf("it wrote\n%swant\n%s", r.stdout, log)
		}
	})
	t.Run("recv --trace", func(t *testing.T) {
		r := isotp(t.Context(), nil, "recv", "--hex", "--trace", "--listen-only", name+"/7E0:7E8")
		r.want(t, exitOK, "")
		want := regexp.MustCompile(`^\(0000000000\.000000\) \S+ 7E8#0101\n\(0000000000\.000001\) \S+ 7E8#0102\n$`)
		if !want.MatchString(r.stderr) {
			t.Errorf("it traced\n%s", r.stderr)
		}
	})
}

// The first pause is not from the epoch on, nor left out.
func TestReplayOfALogThatBeginsAtZero(t *testing.T) {
	path := writeLog(t, "(0.0) can0 001#\n(1.5) can0 002#\n")
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		begun := time.Now()
		var after []time.Duration
		bus.write = func(canbus.Frame) error {
			after = append(after, time.Since(begun))
			return nil
		}
		isotp(t.Context(), nil, "replay", path, bus.named(t)).want(t, exitOK, "")
		if want := []time.Duration{0, 1500 * time.Millisecond}; !slices.Equal(after, want) {
			t.Errorf("sent after %v, want %v", after, want)
		}
	})
}

func TestTraceOfFramesWithoutATimeHasTheClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight of 2000-01-01
		bus := newFakeBus()
		bus.frames <- canbus.Frame{ID: 0x7E8, Len: 2, Data: [64]byte{1, 0xAA}, Timestamp: 1e9}
		r := isotp(t.Context(), nil, "recv", "--count", "1", "--hex", "--trace", bus.named(t)+"/7E0:7E8")
		if r.want(t, exitOK, ""); !strings.HasPrefix(r.stderr, "(0946684800.000000) ") {
			t.Errorf("it traced %q", r.stderr)
		}
	})
}

// A fakeBus is a bus that a test has made.
type fakeBus struct {
	frames  chan canbus.Frame // to be read
	dropped atomic.Uint64
	write   func(canbus.Frame) error
	flush   func(ctx context.Context) error
	echoes  bool
	opened  func() // called when it is opened
	once    sync.Once
	closed  chan struct{}
}

func newFakeBus() *fakeBus {
	return &fakeBus{frames: make(chan canbus.Frame, 1000), closed: make(chan struct{})}
}

func (b *fakeBus) ReadFrames(frames []canbus.Frame) (int, error) {
	select {
	case frames[0] = <-b.frames:
		return 1, nil
	default:
	}
	select {
	case frames[0] = <-b.frames:
		return 1, nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *fakeBus) WriteFrames(frames []canbus.Frame) (int, error) {
	for i := range frames {
		if err := b.write(frames[i]); err != nil {
			return i, err
		}
	}
	return len(frames), nil
}

func (b *fakeBus) Close() error                  { b.once.Do(func() { close(b.closed) }); return nil }
func (b *fakeBus) Dropped() uint64               { return b.dropped.Load() }
func (b *fakeBus) Properties() canbus.Properties { return canbus.Properties{FD: true, Echo: b.echoes} }
func (b *fakeBus) Flush(ctx context.Context) error {
	if b.flush == nil {
		return nil
	}
	return b.flush(ctx)
}

var fakeBuses sync.Map

func init() {
	canbus.Register("fake", func(_ context.Context, name string) (canbus.Bus, error) {
		b, ok := fakeBuses.LoadAndDelete(name)
		if !ok {
			return nil, fmt.Errorf("fake: no bus %q", name)
		}
		if b, ok := b.(*fakeBus); ok && b.opened != nil {
			b.opened()
		}
		return b.(canbus.Bus), nil
	})
}

// name makes the bus fake:NAME of the test's name, for one Open.
func name(t *testing.T, b canbus.Bus) string {
	fakeBuses.Store(t.Name(), b)
	return "fake:" + t.Name()
}

func (b *fakeBus) named(t *testing.T) string { return name(t, b) }

func TestRecordFailsIfFramesWereDropped(t *testing.T) {
	bus := newFakeBus()
	bus.frames <- canbus.Frame{ID: 1, Flags: canbus.Timed, Timestamp: 1e9}
	bus.dropped.Store(9)
	path := filepath.Join(t.TempDir(), "test.log")
	ctx, interrupt := context.WithCancel(t.Context())
	bus.opened = interrupt // what has come is recorded all the same
	r := isotp(ctx, nil, "record", bus.named(t), path)
	r.want(t, exitFailure, "9 frames not recorded: fake:"+t.Name()+" dropped them")
	for _, want := range []string{"1 frames recorded\n", "candump: "} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("it does not say %q: %s", want, r.stderr)
		}
	}
}

// What was dropped may have been a message, and recv goes on behind it.
func TestRecvFailsIfFramesWereDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		wait := start(t.Context(), nil, "recv", "--hex", "--count", "3", "--stats", name(t, bus)+"/7E8:7E0")
		single := func(b byte) canbus.Frame {
			return canbus.Frame{ID: 0x7E0, Len: 2, Data: [64]byte{1, b}}
		}
		bus.frames <- single(1)
		synctest.Wait()
		bus.dropped.Store(5)
		bus.frames <- single(2)
		synctest.Wait()
		bus.frames <- single(3)
		r := wait()
		r.want(t, exitFailure, "5 received frames dropped by the bus")
		r.wantStdout(t, "01\n02\n03\n")
		if !strings.Contains(r.stderr, "dropped    5 received frames") || !strings.Contains(r.stderr, "messages may be missing") {
			t.Errorf("it says %s", r.stderr)
		}
	})
}

// An ECU's answer may have been among them: those that came are printed, but not as all.
func TestOBDFailsIfFramesWereDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.write = func(canbus.Frame) error { return nil }
		wait := start(t.Context(), nil, "obd", name(t, bus)+"/obd")
		synctest.Wait()
		bus.dropped.Store(5)
		bus.frames <- canbus.Frame{ID: 0x7E8, Len: 3, Data: [64]byte{2, 0x7E, 0}}
		r := wait()
		r.want(t, exitFailure, "dropped 5 received frames")
		if !strings.Contains(r.stdout, "7E 00") {
			t.Errorf("the answer that came is not there: %q", r.stdout)
		}
	})
}

const ofAllKinds = "(1.0) can0 001#\n(1.0) can0 002#R2\n(1.0) can0 003##0\n(1.0) can0 20000080#0000000000000000\n(1.0) can0 004##0\n(1.0) can0 005#\n"

func TestReplayLeavesOutWhatTheBusCannotCarry(t *testing.T) {
	bus := newFakeBus()
	var sent []string
	bus.write = func(f canbus.Frame) error {
		if f.Strip(); f.Flags != 0 {
			return fmt.Errorf("no frames as %v", f)
		}
		sent = append(sent, f.String())
		return nil
	}
	r := isotp(t.Context(), nil, "replay", "--fast", writeLog(t, ofAllKinds), bus.named(t))
	r.want(t, exitOK, "")
	const want = "2 frames sent\n1 remote frames left out: no frames as 002#R2\n2 CAN FD frames left out: no frames as 003##0\n1 error frames left out\n"
	if got := fmt.Sprint(sent); got != "[001# 005#]" || r.stderr != want {
		t.Errorf("sent %s; it says %q, want %q", got, r.stderr, want)
	}
}

func TestReplayToAClassicBus(t *testing.T) {
	heard := hear(t, t.Name(), virtual.Options{Classic: true})
	r := isotp(t.Context(), nil, "replay", "--fast", writeLog(t, ofAllKinds), "virtual:"+t.Name())
	r.want(t, exitOK, "")
	if got := fmt.Sprint(heard(3)); got != "[001# 002#R2 005#]" || !strings.Contains(r.stderr, "2 CAN FD frames left out: virtual: ") {
		t.Errorf("sent %s; it says %s", got, r.stderr)
	}
}

// A data frame every bus can carry: something else is wrong.
func TestReplayToABusThatFails(t *testing.T) {
	for name, c := range map[string]struct{ log, frame string }{
		"a data frame":          {"(1700000000.0) can0 001#\n(1700000001.0) can0 002#\n", "001#"},
		"a bus that was closed": {"(1700000000.0) can0 001##0\n", "001##0"},
	} {
		t.Run(name, func(t *testing.T) {
			bus := newFakeBus()
			cause := fmt.Errorf("no wire")
			if c.frame == "001##0" {
				cause = fmt.Errorf("no wire: %w", net.ErrClosed)
			}
			bus.write = func(canbus.Frame) error { return cause }
			r := isotp(t.Context(), nil, "replay", "--fast", writeLog(t, c.log), bus.named(t))
			r.want(t, exitFailure, "frame "+c.frame+" at 2023-11-14T22:13:20Z: no wire")
		})
	}
}

func TestReplayFailsIfFramesWereRefused(t *testing.T) {
	bus := newFakeBus()
	bus.echoes = true
	bus.write = func(f canbus.Frame) error {
		f.Flags |= canbus.Echo
		if f.ID == 2 {
			f.Flags |= canbus.Refused
		}
		bus.frames <- f
		return nil
	}
	r := isotp(t.Context(), nil, "replay", writeLog(t, "(1.0) can0 001#\n(1.0) can0 002#\n(1.0) can0 003#\n"), bus.named(t))
	r.want(t, exitFailure, "1 frame refused by fake:")
	if !strings.Contains(r.stderr, "2 frames sent\n") {
		t.Errorf("it says %s", r.stderr)
	}
}

// What an adapter has taken may be lost when it is closed.
func TestReplayWaitsUntilAllIsOnTheWire(t *testing.T) {
	for name, cause := range map[string]error{"": nil, "in doubt": fmt.Errorf("3 frames are in doubt")} {
		t.Run(name, func(t *testing.T) {
			bus := newFakeBus()
			written, flushed := 0, -1
			bus.write = func(canbus.Frame) error { written++; return nil }
			bus.flush = func(context.Context) error {
				select {
				case <-bus.closed:
					t.Error("it was closed before")
				default:
				}
				flushed = written
				return cause
			}
			r := isotp(t.Context(), nil, "replay", writeLog(t, "(1.0) can0 001#\n(1.0) can0 002#\n"), bus.named(t))
			if cause == nil {
				r.want(t, exitOK, "")
			} else {
				r.want(t, exitFailure, cause.Error())
			}
			if flushed != 2 {
				t.Errorf("flushed behind %d frames", flushed)
			}
		})
	}
}

// All that is replayed is on the wire, whatever the adapter holds when it is closed, but
// for what it refuses.
func TestReplayBehindAnAdapter(t *testing.T) {
	const count = 300
	var log strings.Builder
	for i := range count {
		fmt.Fprintf(&log, "(1.0) can0 %03X#0102030405060708\n", i)
	}
	path := writeLog(t, log.String())
	for _, c := range []struct {
		name  string
		echo  wiretest.Echo
		every int // this one of so many is refused; 0: none
	}{
		{"no echoes", wiretest.NoEcho, 0},
		{"echoes at hand-over", wiretest.EchoAtHandover, 0},
		{"echoes", wiretest.EchoOnWire, 0},
		{"one refused", wiretest.EchoAtHandover, count},
		{"every tenth refused", wiretest.EchoOnWire, 10},
		{"all refused", wiretest.EchoAtHandover, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire, err := wiretest.New(virtual.Options{Bitrate: 500_000, QueueLen: 16})
				if err != nil {
					t.Fatal(err)
				}
				o := wiretest.Options{Echo: c.echo}
				if c.every > 0 {
					o.Refuse = func(f *canbus.Frame) bool { return f.ID%uint32(c.every) == 0 }
				}
				adapter, err := wire.Adapter(o)
				if err != nil {
					t.Fatal(err)
				}
				listener, err := wire.Adapter(wiretest.Options{})
				if err != nil {
					t.Fatal(err)
				}
				heard := 0
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for frames := make([]canbus.Frame, 64); ; {
						n, err := listener.ReadFrames(frames)
						if heard += n; err != nil {
							return
						}
					}
				}()
				r := isotp(t.Context(), nil, "replay", "--fast", path, name(t, adapter))
				want := count
				if c.every == 0 {
					r.want(t, exitOK, "")
				} else {
					want -= count / c.every
					r.want(t, exitFailure, " refused by fake:")
				}
				synctest.Wait()
				listener.Close()
				<-ended
				if heard != want || !strings.HasPrefix(r.stderr, fmt.Sprintf("%d frames sent\n", want)) {
					t.Errorf("%d frames on the wire, want %d; it says %s", heard, want, r.stderr)
				}
			})
		})
	}
}

// late is a message whose second Consecutive Frame comes so long after the first one,
// and another message.
func late(gap time.Duration) string {
	return fmt.Sprintf("(0.000000) can0 7E8#1014626F90574155\n(0.001000) can0 7E0#300000\n(0.002000) can0 7E8#215A5A5A384B3038\n"+
		"(%.6[1]f) can0 7E8#2231323334353637\n(%.6[1]f) can0 7E8#0142\n", 0.002+gap.Seconds())
}

// Whether a message was in time does not depend on how the log is played.
func TestTimeOfALogIsItsOwn(t *testing.T) {
	for name, options := range map[string]string{"its own pace": "", "fast": ",fast", "slower": ",speed=0.1", "faster": ",speed=100", "short pauses": ",maxpause=10ms"} {
		inTime, tooLate := filepath.ToSlash(writeLog(t, late(950*time.Millisecond))), filepath.ToSlash(writeLog(t, late(1050*time.Millisecond)))
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recv := func(path string) result {
					return isotp(t.Context(), nil, "recv", "--hex", "--listen-only", "candump:"+path+options+"/7E0:7E8")
				}
				r := recv(inTime)
				r.want(t, exitOK, "")
				r.wantStdout(t, answer+"\n42\n")
				r = recv(tooLate)
				r.want(t, exitFailure, "1 message given up before the end")
				r.wantStdout(t, "42\n")
				if want := regexp.MustCompile(`message given up after 13 bytes at \(1\.0[0-9]{5}\): N_TIMEOUT_Cr`); !want.MatchString(r.stderr) {
					t.Errorf("it does not say %q: %s", want, r.stderr)
				}
			})
		})
	}
}

func TestMessageThatTheEndOfTheLogCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.ToSlash(writeLog(t, "(0.000000) can0 7E8#0141\n(0.001000) can0 7E8#1014626F90574155\n"))
		r := isotp(t.Context(), nil, "recv", "--hex", "--listen-only", "candump:"+path+"/7E0:7E8")
		r.want(t, exitFailure, "1 message given up before the end")
		r.wantStdout(t, "41\n")
	})
}

// slowOutput takes a moment for each message.
type slowOutput struct{ messages int }

func (o *slowOutput) Write(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	o.messages++
	return len(p), nil
}

// The log waits for its reader.
func TestLogThroughASlowPipe(t *testing.T) {
	const count = 20_000
	var log bytes.Buffer
	for i := range count {
		fmt.Fprintf(&log, "(%[1]d.0) can0 7E8#1014%012[1]X\n(%[1]d.1) can0 7E8#21%014[1]X\n(%[1]d.2) can0 7E8#22%014[1]X\n", i)
	}
	path := filepath.ToSlash(writeLog(t, log.String()))
	synctest.Test(t, func(t *testing.T) {
		var out slowOutput
		var stderr strings.Builder
		status := run(t.Context(), []string{"recv", "--listen-only", "candump:" + path + ",fast/7E0:7E8"}, nil, &out, &stderr)
		if status != exitOK || out.messages != count {
			t.Errorf("exit status %d, %d messages of %d: %s", status, out.messages, count, &stderr)
		}
	})
}
