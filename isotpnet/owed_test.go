package isotpnet_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// The tests of this file run in a bubble: see timers_test.go. In each a message is given
// up while its flow control is awaited. That comes late, and the next message must not
// take it for its own.

// tail are the frames on the bus since the last call, but for those of the ECU.
type tail struct {
	rec  *recorder
	seen int
}

func (l *tail) frames() (frames []string) {
	taken := l.rec.taken()
	for _, f := range taken[l.seen:] {
		if text := f.frame.String(); !strings.Contains(text, "300000") {
			frames = append(frames, text)
		}
	}
	l.seen = len(taken)
	return frames
}

// want checks how many frames there are, and that the first one is a First Frame.
func (l *tail) want(t *testing.T, when string, count int) {
	t.Helper()
	frames := l.frames()
	if len(frames) != count || count > 0 && !strings.Contains(frames[0], "10C8") {
		t.Fatalf("%s: on the bus is %q, want %d frames", when, frames, count)
	}
}

// ends are the ways in which a Write of 200 bytes ends in the wait for the flow control.
// again opens the pair anew. What is returned writes the next message.
var ends = []struct {
	name   string
	giveUp func(t *testing.T, c *isotpnet.Conn, again func() *isotpnet.Conn) *isotpnet.Conn
}{
	{"a deadline", func(t *testing.T, c *isotpnet.Conn, _ func() *isotpnet.Conn) *isotpnet.Conn {
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := c.Write([]byte(payload(200))); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Write: %d, %v", n, err)
		}
		c.SetWriteDeadline(time.Time{})
		return c
	}},
	{"Close and Dial", func(t *testing.T, c *isotpnet.Conn, again func() *isotpnet.Conn) *isotpnet.Conn {
		beside(t, func() {
			if _, err := c.Write([]byte(payload(200))); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write: %v", err)
			}
		})
		time.Sleep(50 * time.Millisecond)
		c.Close()
		return again()
	}},
	{"SendFrom's deadline", func(t *testing.T, c *isotpnet.Conn, _ func() *isotpnet.Conn) *isotpnet.Conn {
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if err := c.SendFrom(strings.NewReader(payload(200)), 200); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("SendFrom: %v", err)
		}
		c.SetWriteDeadline(time.Time{})
		return c
	}},
}

func TestLateFlowControlIsNotTheNextMessages(t *testing.T) {
	for _, mode := range []struct {
		name    string
		address string
		config  isotpnet.Config
		options virtual.Options
		cts     string
		whole   int // frames that follow a First Frame of 200 bytes
	}{
		{"classic", "/7E0:7E8", isotpnet.Config{}, virtual.Options{}, "7E8#300000", 28},
		{"FD", "/7E0:7E8", isotpnet.Config{FD: true}, virtual.Options{}, "7E8##0300000", 3},
		{"echoes", "/7E0:7E8", isotpnet.Config{}, virtual.Options{Echo: true}, "7E8#300000", 28},
		{"500 kbit/s", "/7E0:7E8", isotpnet.Config{}, virtual.Options{Bitrate: 500_000}, "7E8#300000", 28},
		{"extended", "/641#55:642#F1", isotpnet.Config{}, virtual.Options{}, "642#F1300000", 33},
		{"normal fixed", "/fixed:10:F1", isotpnet.Config{}, virtual.Options{}, "18DAF110#300000", 28},
		{"mixed", "/mixed:10:F1#99", isotpnet.Config{}, virtual.Options{}, "18CEF110#99300000", 33},
	} {
		for _, end := range ends {
			t.Run(mode.name+"/"+end.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNetwork(t, mode.options)
					log := &tail{rec: record(t, n)}
					ecu, tap := newNode(t, n), newTap(t, n)
					again := func() *isotpnet.Conn { return dialOn(t, tap, mode.address, mode.config) }
					c := end.giveUp(t, again(), again)
					log.want(t, "the message given up", 1)
					beginWrite(t, c, payload(200))
					time.Sleep(10 * time.Millisecond)
					log.want(t, "before the late flow control", 0)
					ecu.send(mode.cts)
					time.Sleep(10 * time.Millisecond)
					log.want(t, "after the late flow control", 1)
					ecu.send(mode.cts)
					time.Sleep(100 * time.Millisecond)
					if frames := log.frames(); len(frames) != mode.whole {
						t.Errorf("after its own flow control %d frames follow, want %d", len(frames), mode.whole)
					}
				})
			})
		}
	}
}

func TestNextMessageWaitsForNBs(t *testing.T) {
	for _, timeout := range []time.Duration{0, 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, virtual.Options{})
			log := &tail{rec: record(t, n)}
			c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{FlowControlTimeout: timeout})
			c = ends[0].giveUp(t, c, nil)
			log.frames()
			nbs := timeout
			if nbs == 0 {
				nbs = time.Second
			}
			beside(t, func() { c.Write([]byte(payload(200))) })
			time.Sleep(nbs - 50*time.Millisecond - 1)
			log.want(t, "before N_Bs", 0)
			time.Sleep(time.Nanosecond)
			log.want(t, "after N_Bs", 1)
			c.Close()
		})
	}
}

func TestWriteSaysThatItWaitedForWhatIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		log := &tail{rec: record(t, n)}
		var aborted []isotpnet.Code
		begun := time.Now()
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{Trace: &isotpnet.Trace{
			SendAborted: func(ev isotpnet.TraceEvent) { aborted = append(aborted, ev.Code) },
		}})
		c = ends[0].giveUp(t, c, nil)
		log.frames()
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := c.Write([]byte(payload(200)))
		wantErr(t, err, "write", c, os.ErrDeadlineExceeded)
		owed, ok := errors.AsType[*isotpnet.OwedError](err)
		if !ok || owed.Until.Sub(begun) != time.Second || !strings.Contains(err.Error(), "nothing was sent") {
			t.Errorf("the error is %v", err)
		}
		if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
			t.Errorf("%v is no time-out", err)
		}
		log.want(t, "the second message", 0)
		if n := c.Stats().Errors[isotpnet.CodeFlowControlOwed]; n != 1 {
			t.Errorf("Stats count %d", n)
		}
		if want := []isotpnet.Code{isotpnet.CodeAborted, isotpnet.CodeFlowControlOwed}; fmt.Sprint(aborted) != fmt.Sprint(want) {
			t.Errorf("Trace told %v", aborted)
		}
	})
}

// A tester that polls a silent ECU with short deadlines sees it within N_Bs and a poll.
func TestPollingASilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		log := &tail{rec: record(t, n)}
		tap := newTap(t, n)
		c := dialOn(t, tap, testerAddr, isotpnet.Config{})
		poll := func() error {
			c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			_, err := c.Write([]byte(payload(200)))
			time.Sleep(50 * time.Millisecond)
			return err
		}
		for range 50 { // 5 s
			if err := poll(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
		}
		if frames := log.frames(); len(frames) != 5 {
			t.Errorf("%d First Frames in 5 s, want one in each N_Bs", len(frames))
		}
		ecu := dialOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
		beside(t, func() { ecu.Read(make([]byte, 1000)) })
		back := time.Now()
		for poll() != nil {
		}
		if d := time.Since(back); d > 1100*time.Millisecond {
			t.Errorf("the ECU is seen %v after it came back", d)
		}
	})
}

func TestPacketConnRemembersWhatAPeerOwes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		log := &tail{rec: record(t, n)}
		ecu := newNode(t, n)
		c := listenPacketOn(t, newTap(t, n), "/7E0:7E8,7E1:7E9", isotpnet.Config{})
		peer, other := isotpnet.MustParseAddr("/7E0:7E8"), isotpnet.MustParseAddr("/7E1:7E9")
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.WriteTo([]byte(payload(200)), peer); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		log.want(t, "the message given up", 1)
		c.SetWriteDeadline(time.Now().Add(5 * time.Second))
		beside(t, func() { c.WriteTo([]byte(payload(200)), peer) })
		synctest.Wait()
		log.want(t, "to the peer that owes", 0)
		beside(t, func() { c.WriteTo([]byte(payload(200)), other) })
		synctest.Wait()
		log.want(t, "to another peer", 1)
		ecu.send("7E8#300000")
		synctest.Wait()
		log.want(t, "after the late flow control", 1)
		c.Close()
	})
}

func TestFunctionalFrameGoesBetweenConsecutiveFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		rec := record(t, n)
		ecu := newNode(t, n)
		c := dialWith(t, isotpnet.Dialer{Bus: newTap(t, n), Functional: isotpnet.MustParseAddr("/7DF:")}, testerAddr)
		beginWrite(t, c, payload(700))
		synctest.Wait()
		ecu.send("7E8#30007F")
		time.Sleep(time.Second)
		start := time.Now()
		if _, err := c.WriteFunctional([]byte{0x3E, 0x80}); err != nil {
			t.Fatal(err)
		}
		wantSince(t, start, 0)
		frames := rec.taken()
		if last := frames[len(frames)-1]; last.at != time.Second || last.frame.String() != "7DF#023E80CCCCCCCCCC" {
			t.Errorf("the last frame is %v %v", last.at, last.frame)
		}
		if _, sent := c.Progress(); sent.Size != 700 || sent.Done >= 100 {
			t.Errorf("the message has come to %+v", sent)
		}
		if s := c.Stats(); s.MessagesSent != 1 || s.FramesSent != uint64(len(frames)-1) {
			t.Errorf("Stats count %d messages and %d frames of %d", s.MessagesSent, s.FramesSent, len(frames)-1)
		}
	})
}

func TestWriteFunctionalHasTheWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{Bitrate: 500_000})
		tap := newTap(t, n)
		c := dialWith(t, isotpnet.Dialer{Bus: tap, Functional: isotpnet.MustParseAddr("/7DF:")}, testerAddr)
		if err := tap.BusOff(0); err != nil {
			t.Fatal(err)
		}
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		start := time.Now()
		_, err := c.WriteFunctional([]byte{0x3E, 0x80})
		wantErr(t, err, "write", c, os.ErrDeadlineExceeded)
		wantSince(t, start, 100*time.Millisecond)
		c.SetWriteDeadline(time.Time{})
		failed := make(chan error, 1)
		go func() {
			_, err := c.WriteFunctional([]byte{0x3E, 0x80})
			failed <- err
		}()
		synctest.Wait()
		c.Close()
		wantErr(t, <-failed, "write", c, net.ErrClosed)
		_, err = c.WriteFunctional([]byte{0x3E, 0x80})
		wantErr(t, err, "write", c, net.ErrClosed)
	})
}

func TestRateLimitIsOneForBothAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		limit := isotpnet.RateLimit{BitsPerSecond: 128, Window: time.Second}
		c := dialWith(t, isotpnet.Dialer{Bus: newTap(t, n), Functional: isotpnet.MustParseAddr("/7DF:"), Config: isotpnet.Config{RateLimit: limit}}, testerAddr)
		start := time.Now()
		wantWrite(t, c, "1234567")
		if _, err := c.WriteFunctional([]byte{0x3E, 0x80}); err != nil {
			t.Fatal(err)
		}
		wantSince(t, start, 0)
		wantWrite(t, c, "1234567")
		wantSince(t, start, time.Second)
	})
}

// The peer would give up before the limit lets the next frame pass.
func TestRateLimitSlowerThanThePeersPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		limit := isotpnet.RateLimit{BitsPerSecond: 64, Window: 2 * time.Second}
		c, ecu := newPair(t, n, isotpnet.Config{RateLimit: limit}, isotpnet.Config{ReportAborted: true})
		beside(t, func() {
			_, err := ecu.Read(make([]byte, 100))
			wantCode(t, err, "read", ecu, isotpnet.CodeTimeoutCr)
		})
		_, err := c.Write([]byte(payload(100)))
		wantCode(t, err, "write", c, isotpnet.CodeSourceStalled)
	})
}

// As an ECU that hears two testers, whose flow controls come twice.
func TestSecondFlowControlLetsNoBlockGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{Bitrate: 500_000})
		rec := record(t, n)
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		beginWrite(t, c, payload(6+7*32))
		time.Sleep(10 * time.Millisecond)
		for range 4 {
			before := len(rec.taken())
			ecu.send("7E8#300800", "7E8#300800")
			time.Sleep(20 * time.Millisecond)
			if got := len(rec.taken()) - before - 2; got != 8 {
				t.Fatalf("%d Consecutive Frames for two flow controls of 8, want 8", got)
			}
		}
		if n := c.Stats().Errors[isotpnet.CodeUnexpectedFlowControl]; n != 4 {
			t.Errorf("%d flow controls were ignored, want 4", n)
		}
	})
}
