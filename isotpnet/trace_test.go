package isotpnet_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// tracer returns a Trace that writes every step down.
func tracer(start time.Time, steps *[]string) *isotpnet.Trace {
	var mu sync.Mutex
	note := func(format string, f func(ev isotpnet.TraceEvent) []any) func(isotpnet.TraceEvent) {
		return func(ev isotpnet.TraceEvent) {
			mu.Lock()
			defer mu.Unlock()
			*steps = append(*steps, fmt.Sprintf("%v %s", ev.Time.Sub(start), fmt.Sprintf(format, f(ev)...)))
		}
	}
	frame := func(ev isotpnet.TraceEvent) []any { return []any{ev.Frame} }
	size := func(ev isotpnet.TraceEvent) []any { return []any{ev.Size, ev.Functional} }
	code := func(ev isotpnet.TraceEvent) []any { return []any{ev.Code, ev.Size} }
	flow := func(ev isotpnet.TraceEvent) []any { return []any{ev.Status, ev.BlockSize, ev.STmin} }
	return &isotpnet.Trace{
		FrameSent:           note("> %v", frame),
		FrameReceived:       note("< %v", frame),
		FrameIgnored:        note("ignored: %v", func(ev isotpnet.TraceEvent) []any { return []any{ev.Code} }),
		FlowControlSent:     note("sent %v BS %d STmin %v", flow),
		FlowControlReceived: note("received %v BS %d STmin %v", flow),
		MessageStarted:      note("started %d %v", size),
		MessageReceived:     note("received %d %v", size),
		MessageSent:         note("sent %d %v", size),
		ReceptionAborted:    note("reception aborted: %v after %d", code),
		SendAborted:         note("send aborted: %v after %d", code),
	}
}

func wantSteps(t *testing.T, got []string, want ...string) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(got, want) {
		t.Errorf("steps:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestTraceOfASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []string
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{Trace: tracer(time.Now(), &steps)})
		go func() {
			ecu.next()
			time.Sleep(time.Millisecond)
			ecu.send("7E8#310000")
			time.Sleep(time.Millisecond)
			ecu.send("7E8#300203")
		}()
		wantWrite(t, c, "0123456789abcdefghij")
		synctest.Wait()
		wantSteps(t, steps,
			"0s > 7E0#1014303132333435",
			"1ms < 7E8#310000",
			"1ms received WAIT BS 0 STmin 0s",
			"2ms < 7E8#300203",
			"2ms received CTS BS 2 STmin 3ms",
			"2ms > 7E0#2136373839616263",
			"5ms > 7E0#226465666768696A",
			"5ms sent 20 false",
		)
	})
}

func TestTraceOfAReception(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []string
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{
			Trace: tracer(time.Now(), &steps), BlockSize: 1, STmin: 20 * time.Millisecond,
		})
		ecu.send("7E8#1014303132333435")
		ecu.next()
		time.Sleep(time.Millisecond)
		ecu.send("7E8#2136373839616263")
		ecu.next()
		ecu.send("7E8#226465666768696A", "7E8#2399")
		wantRead(t, c, "0123456789abcdefghij")
		synctest.Wait()
		wantSteps(t, steps,
			"0s < 7E8#1014303132333435",
			"0s started 20 false",
			"0s sent CTS BS 1 STmin 20ms",
			"0s > 7E0#300114CCCCCCCCCC",
			"1ms < 7E8#2136373839616263",
			"1ms sent CTS BS 1 STmin 20ms",
			"1ms > 7E0#300114CCCCCCCCCC",
			"1ms < 7E8#226465666768696A",
			"1ms received 20 false",
			"1ms < 7E8#2399",
			"1ms ignored: N_UNEXP_PDU: consecutive frame of no message",
		)
	})
}

func TestTraceOfWhatGoesWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []string
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{
			Trace: tracer(time.Now(), &steps), MaxMessageSize: 20,
		})
		c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		c.Read(make([]byte, 1)) // a reader of whole messages refuses long ones
		for _, f := range []string{
			"7E8#1015303132333435",           // too long
			"7E8#1014303132333435", "7E8#22", // wrong SN
			"7E8#1014303132333435", "7E8#1013303132333435", "7E8#0141", // interrupted
			"7E8#300000", "7E8#00",
		} {
			ecu.send(f)
			synctest.Wait()
		}
		_, err := c.Write(make([]byte, 10))
		wantCode(t, err, "write", c, isotpnet.CodeTimeoutBs)
		c.Close()
		synctest.Wait()
		wantSteps(t, steps,
			"10ms < 7E8#1015303132333435",
			"10ms reception aborted: message too long: longer than Config.MaxMessageSize after 21",
			"10ms sent OVFLW BS 0 STmin 0s",
			"10ms > 7E0#320000CCCCCCCCCC",
			"10ms < 7E8#1014303132333435",
			"10ms started 20 false",
			"10ms sent CTS BS 0 STmin 0s",
			"10ms > 7E0#300000CCCCCCCCCC",
			"10ms < 7E8#22",
			"10ms ignored: invalid frame: not a protocol data unit",
			"10ms < 7E8#1014303132333435",
			"10ms reception aborted: N_UNEXP_PDU: interrupted by a first frame after 6",
			"10ms started 20 false",
			"10ms sent CTS BS 0 STmin 0s",
			"10ms > 7E0#300000CCCCCCCCCC",
			"10ms < 7E8#1013303132333435",
			"10ms reception aborted: N_UNEXP_PDU: interrupted by a first frame after 6",
			"10ms started 19 false",
			"10ms sent CTS BS 0 STmin 0s",
			"10ms > 7E0#300000CCCCCCCCCC",
			"10ms < 7E8#0141",
			"10ms reception aborted: N_UNEXP_PDU: interrupted by a single frame after 6",
			"10ms received 1 false",
			"10ms < 7E8#300000",
			"10ms received CTS BS 0 STmin 0s",
			"10ms ignored: N_UNEXP_PDU: flow control that no message waits for",
			"10ms < 7E8#00",
			"10ms ignored: invalid frame: not a protocol data unit",
			"10ms > 7E0#100A000000000000",
			"1.01s send aborted: N_TIMEOUT_Bs: no flow control came in time after 6",
		)
	})
}

func TestTraceOfAFunctionalMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []string
		n := newNetwork(t, virtual.Options{})
		ln := listenWith(t, isotpnet.ListenConfig{
			Bus: newTap(t, n), Functional: []isotpnet.Addr{isotpnet.MustParseAddr("/7DF:")},
			Config: isotpnet.Config{Trace: tracer(time.Now(), &steps)},
		}, ecuAddr)
		newNode(t, n).send("7DF#023E80")
		accept(t, ln)
		synctest.Wait()
		wantSteps(t, steps, "0s < 7DF#023E80", "0s received 2 true")
	})
}

// Hooks may call the connection: no lock is held.
func TestHooksMayCallTheConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		var events []isotpnet.TraceEvent
		hook := func(ev isotpnet.TraceEvent) {
			events = append(events, ev)
			ev.Conn.Stats()
			ev.Conn.SetDeadline(time.Time{})
			if ev.Size > 0 {
				ev.Conn.Close()
			}
		}
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{Trace: &isotpnet.Trace{
			FrameReceived: hook, FrameSent: hook, MessageReceived: hook, MessageStarted: hook,
		}})
		ecu.send("7E8#0141")
		synctest.Wait()
		if len(events) != 2 || events[0].Conn != c || events[0].Frame == nil {
			t.Errorf("events: %+v", events)
		}
		_, err := c.Write([]byte{1})
		if err == nil {
			t.Error("the hook has not closed the connection")
		}
	})
}

// The frames that hooks are given are theirs to keep.
func TestFramesOfHooksStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var frames []*canbus.Frame
		n := newNetwork(t, virtual.Options{})
		keep := func(ev isotpnet.TraceEvent) { frames = append(frames, ev.Frame) }
		c1, c2 := newPair(t, n, isotpnet.Config{Trace: &isotpnet.Trace{FrameSent: keep}}, isotpnet.Config{})
		wantWrite(t, c1, payload(100))
		wantRead(t, c2, payload(100))
		synctest.Wait()
		if len(frames) != 15 {
			t.Fatalf("%d frames", len(frames))
		}
		for i, f := range frames[1:] {
			if f.Data[0] != 0x20|byte(i+1)%16 {
				t.Errorf("frame %d is %v", i+1, f)
			}
		}
	})
}

func TestLogger(t *testing.T) {
	for _, tc := range []struct {
		level slog.Level
		want  string
	}{
		{slog.LevelDebug, `level=DEBUG msg="isotp: backend chosen" backend=user why="it was asked for" addr=/7E0:7E8
level=DEBUG msg="isotp: frame sent" frame=7E0#100A000000000000 addr=/7E0:7E8
level=WARN msg="isotp: send aborted" why="N_TIMEOUT_Bs: no flow control came in time" size=6 addr=/7E0:7E8
level=DEBUG msg="isotp: frame received" frame=7E8#1014303132333435 addr=/7E0:7E8
level=DEBUG msg="isotp: message started" size=20 addr=/7E0:7E8
level=DEBUG msg="isotp: flow control sent" status=CTS bs=0 stmin=0s addr=/7E0:7E8
level=DEBUG msg="isotp: frame sent" frame=7E0#300000CCCCCCCCCC addr=/7E0:7E8
level=DEBUG msg="isotp: frame received" frame=7E8#300000 addr=/7E0:7E8
level=DEBUG msg="isotp: flow control received" status=CTS bs=0 stmin=0s addr=/7E0:7E8
level=DEBUG msg="isotp: frame ignored" why="N_UNEXP_PDU: flow control that no message waits for" addr=/7E0:7E8
level=DEBUG msg="isotp: frame received" frame=7E8#0141 addr=/7E0:7E8
level=WARN msg="isotp: reception aborted" why="N_UNEXP_PDU: interrupted by a single frame" size=6 addr=/7E0:7E8
level=DEBUG msg="isotp: message received" size=1 addr=/7E0:7E8
level=DEBUG msg="isotp: frame sent" frame=7E0#0141CCCCCCCCCCCC addr=/7E0:7E8
level=DEBUG msg="isotp: message sent" size=1 addr=/7E0:7E8
`},
		{slog.LevelWarn, `level=WARN msg="isotp: send aborted" why="N_TIMEOUT_Bs: no flow control came in time" size=6 addr=/7E0:7E8
level=WARN msg="isotp: reception aborted" why="N_UNEXP_PDU: interrupted by a single frame" size=6 addr=/7E0:7E8
`},
		{slog.LevelError, ""},
	} {
		t.Run(tc.level.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				n := newNetwork(t, virtual.Options{})
				ecu := newNode(t, n)
				c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{
					Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
						Level: tc.level,
						ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
							if a.Key == slog.TimeKey {
								return slog.Attr{}
							}
							return a
						},
					})),
				})
				c.Write(make([]byte, 10))
				for _, f := range []string{"7E8#1014303132333435", "7E8#300000", "7E8#0141"} {
					ecu.send(f)
					synctest.Wait()
				}
				wantRead(t, c, "A")
				wantWrite(t, c, "A")
				synctest.Wait()
				if got := log.String(); got != tc.want {
					t.Errorf("log:\n%s\nwant:\n%s", got, tc.want)
				}
			})
		})
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		c1, c2 := newPair(t, n, isotpnet.Config{}, isotpnet.Config{BlockSize: 2, STmin: 5 * time.Millisecond})
		wantWrite(t, c1, "short")
		wantWrite(t, c1, payload(6+7*4)) // in two blocks
		wantRead(t, c2, "short")
		wantRead(t, c2, payload(6+7*4))
		c1.SetWriteDeadline(time.Now().Add(time.Millisecond))
		c1.Write(make([]byte, 100))
		time.Sleep(time.Minute)
		same := func(who string, got, want isotpnet.Stats) {
			t.Helper()
			if !maps.Equal(got.Errors, want.Errors) {
				t.Errorf("%s: errors %v, want %v", who, got.Errors, want.Errors)
			}
			got.Errors, want.Errors = nil, nil
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s:\n\t%+v, want\n\t%+v", who, got, want)
			}
		}
		gap := 5 * time.Millisecond
		same("sender", c1.Stats(), isotpnet.Stats{
			FramesSent: 1 + 5 + 2, FramesReceived: 2 + 1,
			MessagesSent: 2, BytesSent: 5 + 34,
			SendsAborted: 1,
			Errors:       map[isotpnet.Code]uint64{isotpnet.CodeAborted: 1},
			STminGap:     isotpnet.Gap{Count: 2, Min: gap, Mean: gap, Max: gap},
		})
		same("receiver", c2.Stats(), isotpnet.Stats{
			FramesSent: 2 + 1, FramesReceived: 1 + 5 + 2,
			MessagesReceived: 2, BytesReceived: 5 + 34,
			ReceptionsAborted: 1,
			Errors:            map[isotpnet.Code]uint64{isotpnet.CodeTimeoutCr: 1},
		})
	})
}

func TestCodesHaveTexts(t *testing.T) {
	for code := isotpnet.CodeTimeoutA; code <= isotpnet.CodeFlowControlOwed; code++ {
		if text := code.String(); strings.HasPrefix(text, "Code(") || !strings.Contains(text, ": ") {
			t.Errorf("code %d is %q", code, text)
		}
	}
	if got := isotpnet.Code(200).String(); got != "Code(200)" {
		t.Errorf("an unknown code is %q", got)
	}
}

// Longer than the peer waits, perhaps: it is right for tests of ECUs, so no error.
func TestOverrideSTminAboveTheTimeoutIsWarnedOf(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config isotpnet.Config
		warns  bool
	}{
		{"above the default", isotpnet.Config{OverrideSTmin: time.Second + 1}, true},
		{"as long as the default", isotpnet.Config{OverrideSTmin: time.Second}, false},
		{"above it", isotpnet.Config{OverrideSTmin: 151 * time.Millisecond, ConsecutiveFrameTimeout: 150 * time.Millisecond}, true},
		{"below it", isotpnet.Config{OverrideSTmin: 2 * time.Second, ConsecutiveFrameTimeout: 3 * time.Second}, false},
		{"none", isotpnet.Config{}, false},
	} {
		for name, open := range map[string]func(t *testing.T, c isotpnet.Config){
			"Dial":         func(t *testing.T, c isotpnet.Config) { dialOn(t, newPlainBus(t), testerAddr, c) },
			"Listen":       func(t *testing.T, c isotpnet.Config) { listenOn(t, newPlainBus(t), testerAddr, c) },
			"ListenPacket": func(t *testing.T, c isotpnet.Config) { listenPacketOn(t, newPlainBus(t), "/fixed::F1", c) },
		} {
			t.Run(tc.name+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log bytes.Buffer
					tc.config.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
					open(t, tc.config)
					if got := strings.Contains(log.String(), "OverrideSTmin="); got != tc.warns {
						t.Errorf("logged %q", &log)
					}
				})
			})
		}
	}
}
