package isotpnet_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// The tests of this file run in a bubble and are exact: what they wait for
// happens at that nanosecond.

func TestFrameThatGetsNoEchoIsTimeoutA(t *testing.T) {
	for _, tc := range []struct {
		config, want time.Duration
	}{{0, time.Second}, {300 * time.Millisecond, 300 * time.Millisecond}} {
		for _, size := range []int{3, 100} {
			t.Run(fmt.Sprintf("%v/%dbytes", tc.want, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNetwork(t, virtual.Options{Bitrate: 500_000})
					tap := newTap(t, n)
					c := dialOn(t, tap, testerAddr, isotpnet.Config{TransmitTimeout: tc.config})
					if err := tap.BusOff(0); err != nil {
						t.Fatal(err)
					}
					start := time.Now()
					_, err := c.Write(make([]byte, size))
					wantSince(t, start, tc.want)
					wantCode(t, err, "write", c, isotpnet.CodeTimeoutA)
				})
			})
		}
	}
}

func TestWriteOutlastsShortBusOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{Bitrate: 500_000})
		tap := newTap(t, n)
		rec := record(t, n)
		c := dialOn(t, tap, testerAddr, isotpnet.Config{})
		if err := tap.BusOff(200 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		wantWrite(t, c, "\x3E\x00")
		frame := mustParseFrames("7E0#023E00CCCCCCCCCC")[0]
		on := 200*time.Millisecond + canbus.WireTime(&frame, 500_000, 500_000)
		wantSince(t, start, on)
		rec.want(t, fmt.Sprintf("%v 7E0#023E00CCCCCCCCCC", on))
	})
}

func TestNoFlowControlIsTimeoutBs(t *testing.T) {
	for _, tc := range []struct{ config, want time.Duration }{
		{0, time.Second},
		{75 * time.Millisecond, 75 * time.Millisecond},
	} {
		t.Run(tc.want.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				newTap(t, n)
				c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{FlowControlTimeout: tc.config})
				start := time.Now()
				k, err := c.Write(make([]byte, 100))
				wantSince(t, start, tc.want)
				wantCode(t, err, "write", c, isotpnet.CodeTimeoutBs)
				if k != 0 {
					t.Errorf("Write returned %d", k)
				}
			})
		})
	}
}

// N_Bs runs from when the frame is on the wire, which takes its time.
func TestTimeoutBsCountsFromTheEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bitrate = 125_000
		n := newNetwork(t, virtual.Options{Bitrate: bitrate})
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		first := mustParseFrames("7E0#1064000000000000")[0]
		start := time.Now()
		_, err := c.Write(make([]byte, 100))
		wantSince(t, start, time.Second+canbus.WireTime(&first, bitrate, bitrate))
		wantCode(t, err, "write", c, isotpnet.CodeTimeoutBs)
	})
}

func TestEachWaitRestartsTimeoutBs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		go func() {
			ecu.next()
			for range 5 {
				time.Sleep(999 * time.Millisecond)
				ecu.send("7E8#310000")
			}
		}()
		start := time.Now()
		_, err := c.Write(make([]byte, 100))
		wantSince(t, start, 5*999*time.Millisecond+time.Second)
		wantCode(t, err, "write", c, isotpnet.CodeTimeoutBs)
		if got := c.Stats().WaitFramesReceived; got != 5 {
			t.Errorf("%d WAITs counted, want 5", got)
		}
	})
}

func TestMaxWaitFrames(t *testing.T) {
	for _, tc := range []struct {
		max, waits int
		want       isotpnet.Code
	}{
		{-1, 1, isotpnet.CodeWaitRefused},
		{1, 2, isotpnet.CodeWaitOverrun},
		{3, 4, isotpnet.CodeWaitOverrun},
	} {
		t.Run(fmt.Sprint(tc.max), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				ecu := newNode(t, n)
				c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{MaxWaitFramesReceived: tc.max})
				go func() {
					ecu.next()
					for range tc.waits {
						time.Sleep(100 * time.Millisecond)
						ecu.send("7E8#310000")
					}
				}()
				start := time.Now()
				_, err := c.Write(make([]byte, 100))
				wantSince(t, start, time.Duration(tc.waits)*100*time.Millisecond)
				wantCode(t, err, "write", c, tc.want)
			})
		})
	}
}

func TestWaitsInARowAreCountedAnewAfterCTS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{MaxWaitFramesReceived: 2})
		go func() {
			ecu.next()
			ecu.send("7E8#310000", "7E8#310000", "7E8#300100") // one frame a block
			ecu.next()
			ecu.send("7E8#310000", "7E8#310000", "7E8#300000")
		}()
		wantWrite(t, c, payload(20))
	})
}

func TestRefusedByThePeer(t *testing.T) {
	for _, tc := range []struct {
		flowControl string
		want        isotpnet.Code
	}{
		{"7E8#320000", isotpnet.CodeBufferOverflow},
		{"7E8#330000", isotpnet.CodeInvalidFS},
		{"7E8#3F0000", isotpnet.CodeInvalidFS},
	} {
		t.Run(tc.flowControl, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				ecu := newNode(t, n)
				c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
				go func() {
					ecu.next()
					ecu.send(tc.flowControl)
				}()
				start := time.Now()
				_, err := c.Write(make([]byte, 100))
				wantSince(t, start, 0)
				wantCode(t, err, "write", c, tc.want)
			})
		})
	}
}

// What a peer does not finish is not an error of Read: the next message is good.
func TestNextMessageIsReadAfterTimeoutCr(t *testing.T) {
	for _, timeout := range []time.Duration{0, 150 * time.Millisecond} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var aborted []isotpnet.TraceEvent
				n := newNetwork(t, virtual.Options{})
				ecu := newNode(t, n)
				c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{
					ConsecutiveFrameTimeout: timeout,
					Trace: &isotpnet.Trace{ReceptionAborted: func(ev isotpnet.TraceEvent) {
						aborted = append(aborted, ev)
					}},
				})
				ecu.send("7E8#1064010203040506")
				ecu.hear("7E0#300000CCCCCCCCCC")
				time.Sleep(100 * time.Millisecond)
				ecu.send("7E8#2101020304050607")
				last := time.Now()
				go func() {
					time.Sleep(3 * time.Second)
					ecu.send("7E8#02ABCD")
				}()
				wantRead(t, c, "\xAB\xCD")
				wantSince(t, last, 3*time.Second)
				want := cmp.Or(timeout, time.Second)
				synctest.Wait()
				if len(aborted) != 1 || aborted[0].Code != isotpnet.CodeTimeoutCr || aborted[0].Size != 13 || aborted[0].Time.Sub(last) != want {
					t.Errorf("aborted: %+v; want one N_TIMEOUT_Cr after 13 bytes and %v", aborted, want)
				}
				stats := c.Stats()
				if stats.ReceptionsAborted != 1 || stats.Errors[isotpnet.CodeTimeoutCr] != 1 || stats.MessagesReceived != 1 {
					t.Errorf("Stats: %+v", stats)
				}
			})
		})
	}
}

func TestReportAbortedTellsAWaitingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{ReportAborted: true})
		start := time.Now()
		go ecu.send("7E8#1064010203040506")
		_, err := c.Read(make([]byte, 100))
		wantSince(t, start, time.Second)
		wantCode(t, err, "read", c, isotpnet.CodeTimeoutCr)

		// No Read waits, so none is told, then or later.
		ecu.send("7E8#1064010203040506")
		time.Sleep(2 * time.Second)
		ecu.send("7E8#02ABCD")
		wantRead(t, c, "\xAB\xCD")
	})
}

func TestSlowReaderSendsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		rec := record(t, n)
		tester, ecu := newPair(t, n, isotpnet.Config{}, isotpnet.Config{ReadBuffer: 100})
		wantWrite(t, tester, payload(50)) // with 64 for itself more than 100
		began := len(rec.taken())
		time.Sleep(time.Second)

		go func() {
			time.Sleep(2 * time.Second)
			wantRead(t, ecu, payload(50))
		}()
		start := time.Now()
		wantWrite(t, tester, payload(8))
		wantSince(t, start, 2*time.Second)
		wantRead(t, ecu, payload(8))

		var got []string
		for _, f := range rec.taken()[began:] {
			got = append(got, fmt.Sprintf("%v %.5v", f.at, f.frame.String()))
		}
		want := []string{"1s 7E0#1", "1.8s 7E8#3", "2.6s 7E8#3", "3s 7E8#3", "3s 7E0#2"}
		if !slices.Equal(got, want) {
			t.Errorf("on the bus %q, want %q", got, want)
		}
		if waits := ecu.Stats().WaitFramesSent; waits != 2 {
			t.Errorf("%d WAITs sent, want 2", waits)
		}
	})
}

func TestMaxSendWaitFramesThenOverflow(t *testing.T) {
	for _, tc := range []struct {
		max, waits int
	}{{0, 10}, {3, 3}, {-1, 0}} {
		t.Run(fmt.Sprint(tc.max), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const hold = 300 * time.Millisecond
				n := newNetwork(t, virtual.Options{})
				tester, ecu := newPair(t, n, isotpnet.Config{},
					isotpnet.Config{ReadBuffer: 100, FlowControlHold: hold, MaxWaitFramesSent: tc.max})
				wantWrite(t, tester, payload(50))
				start := time.Now()
				_, err := tester.Write(make([]byte, 50))
				wantSince(t, start, time.Duration(tc.waits+1)*hold)
				wantCode(t, err, "write", tester, isotpnet.CodeBufferOverflow)
				if got := tester.Stats().WaitFramesReceived; got != uint64(tc.waits) {
					t.Errorf("%d WAITs came, want %d", got, tc.waits)
				}
				if got := ecu.Stats().Errors[isotpnet.CodeWaitOverrun]; got != 1 {
					t.Errorf("the receiver counts %d N_WFT_OVRN, want 1", got)
				}
				wantRead(t, ecu, payload(50)) // is not touched by that
			})
		})
	}
}

func TestNegativeFlowControlHoldRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tester, ecu := newPair(t, n, isotpnet.Config{}, isotpnet.Config{ReadBuffer: 100, FlowControlHold: -1})
		wantWrite(t, tester, payload(50))
		start := time.Now()
		_, err := tester.Write(make([]byte, 50))
		wantSince(t, start, 0)
		wantCode(t, err, "write", tester, isotpnet.CodeBufferOverflow)
		wantRead(t, ecu, payload(50))
		wantWrite(t, tester, payload(51))
		wantRead(t, ecu, payload(51))
	})
}

func TestSTminSeparatesConsecutiveFrames(t *testing.T) {
	const (
		ideal   = 0
		bitrate = 500_000
	)
	for _, tc := range []struct {
		name             string
		bitrate          int
		sender, receiver isotpnet.Config
		gap              time.Duration
	}{
		{"none", ideal, isotpnet.Config{}, isotpnet.Config{}, 0},
		{"100us", ideal, isotpnet.Config{}, isotpnet.Config{STmin: 100 * time.Microsecond}, 100 * time.Microsecond},
		{"900us", ideal, isotpnet.Config{}, isotpnet.Config{STmin: 900 * time.Microsecond}, 900 * time.Microsecond},
		{"5ms", ideal, isotpnet.Config{}, isotpnet.Config{STmin: 5 * time.Millisecond}, 5 * time.Millisecond},
		{"127ms", ideal, isotpnet.Config{}, isotpnet.Config{STmin: 127 * time.Millisecond}, 127 * time.Millisecond},
		{"in blocks", ideal, isotpnet.Config{}, isotpnet.Config{STmin: 5 * time.Millisecond, BlockSize: 2}, 5 * time.Millisecond},
		{"overridden", ideal, isotpnet.Config{OverrideSTmin: 30 * time.Microsecond}, isotpnet.Config{STmin: 5 * time.Millisecond}, 30 * time.Microsecond},
		{"overridden by none", ideal, isotpnet.Config{OverrideSTmin: -1}, isotpnet.Config{STmin: 5 * time.Millisecond}, 0},
		{"from the echo", bitrate, isotpnet.Config{}, isotpnet.Config{STmin: 5 * time.Millisecond}, 5 * time.Millisecond},
		{"from the echo, in blocks", bitrate, isotpnet.Config{}, isotpnet.Config{STmin: 5 * time.Millisecond, BlockSize: 1}, 5 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{Bitrate: tc.bitrate})
				rec := record(t, n)
				tester, ecu := newPair(t, n, tc.sender, tc.receiver)
				wantWrite(t, tester, payload(60))
				wantRead(t, ecu, payload(60))
				var last time.Duration
				gaps := 0
				for _, f := range rec.taken() {
					if f.frame.ID != 0x7E0 || f.frame.Data[0]>>4 != 2 {
						continue
					}
					begin := f.at
					if tc.bitrate > 0 { // the time recorded is that of its end
						begin -= canbus.WireTime(&f.frame, tc.bitrate, tc.bitrate)
					}
					if last > 0 || gaps > 0 {
						if got := begin - last; tc.bitrate == 0 && got != tc.gap || tc.bitrate > 0 && got < tc.gap || got > tc.gap+500*time.Microsecond {
							t.Errorf("gap %d is %v, want %v", gaps, got, tc.gap)
						}
					}
					gaps++
					last = f.at
				}
				if gaps != 8 {
					t.Errorf("%d consecutive frames, want 8", gaps)
				}
				gap := tester.Stats().STminGap
				wantGap := isotpnet.Gap{}
				if tc.gap > 0 && tc.receiver.BlockSize == 0 {
					wantGap = isotpnet.Gap{Count: 7, Min: tc.gap, Mean: tc.gap, Max: tc.gap}
					if gap != wantGap {
						t.Errorf("STminGap is %+v, want %+v", gap, wantGap)
					}
				}
			})
		})
	}
}

// A CTS may be followed at once, even if the frame before it is not long ago.
func TestSTminDoesNotDelayTheFirstFrameOfAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		rec := record(t, n)
		tester, ecu := newPair(t, n, isotpnet.Config{}, isotpnet.Config{STmin: 100 * time.Millisecond})
		wantWrite(t, tester, payload(8))
		wantWrite(t, tester, payload(9))
		wantRead(t, ecu, payload(8))
		wantRead(t, ecu, payload(9))
		for _, f := range rec.taken() {
			if f.at != 0 {
				t.Errorf("%v at %v, want 0s", f.frame, f.at)
			}
		}
	})
}

func TestKeepFirstFlowControl(t *testing.T) {
	for _, tc := range []struct {
		keep bool
		want time.Duration // between the last two frames
	}{{false, 2 * time.Millisecond}, {true, 50 * time.Millisecond}} {
		t.Run(fmt.Sprint(tc.keep), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				ecu := newNode(t, n)
				c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{KeepFirstFlowControl: tc.keep})
				times := make(chan time.Time, 4)
				go func() {
					ecu.next()
					ecu.send("7E8#300232") // BS 2, STmin 50 ms
					ecu.next()
					ecu.next()
					ecu.send("7E8#300002")
					for range 2 {
						ecu.next()
						times <- time.Now()
					}
				}()
				wantWrite(t, c, payload(6+4*7))
				last := <-times
				if got := (<-times).Sub(last); got != tc.want {
					t.Errorf("gap is %v, want %v", got, tc.want)
				}
			})
		})
	}
}

func TestReadDeadline(t *testing.T) {
	for _, tc := range []struct {
		name string
		read func(c *isotpnet.Conn) error
	}{
		{"Read", func(c *isotpnet.Conn) error { _, err := c.Read(make([]byte, 1)); return err }},
		{"NextReader", func(c *isotpnet.Conn) error { _, _, err := c.NextReader(); return err }},
		{"WriteTo", func(c *isotpnet.Conn) error { _, err := c.WriteTo(io.Discard); return err }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				tester, ecu := newPair(t, n, isotpnet.Config{}, isotpnet.Config{})
				for _, d := range []time.Duration{-time.Hour, 0, 1, time.Millisecond, time.Hour} {
					start := time.Now()
					ecu.SetReadDeadline(start.Add(d))
					wantErr(t, tc.read(ecu), "read", ecu, os.ErrDeadlineExceeded)
					wantSince(t, start, max(d, 0))
				}
				ecu.SetReadDeadline(time.Time{})
				wantWrite(t, tester, "still good")
				wantRead(t, ecu, "still good")
			})
		})
	}
}

// A read of the inner reader obeys the deadline too, and can go on after it.
func TestReadDeadlineWithinAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		go func() {
			ecu.send("7E8#100A010203040506")
			ecu.next()
			time.Sleep(900 * time.Millisecond)
			ecu.send("7E8#210708090A")
		}()
		r, _, err := c.NextReader()
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 100)
		if k, err := r.Read(p); k != 6 || err != nil {
			t.Errorf("Read: %d, %v", k, err)
		}
		start := time.Now()
		c.SetReadDeadline(start.Add(300 * time.Millisecond))
		_, err = r.Read(p)
		wantSince(t, start, 300*time.Millisecond)
		wantErr(t, err, "read", c, os.ErrDeadlineExceeded)
		c.SetReadDeadline(time.Time{})
		if got, err := io.ReadAll(r); !bytes.Equal(got, []byte{7, 8, 9, 10}) || err != nil {
			t.Errorf("the rest: %x, %v", got, err)
		}
		wantSince(t, start, 900*time.Millisecond)
	})
}

func TestWriteDeadlineAbortsTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		rec := record(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		start := time.Now()
		c.SetWriteDeadline(start.Add(250 * time.Millisecond))
		k, err := c.Write([]byte(payload(100)))
		wantSince(t, start, 250*time.Millisecond)
		wantErr(t, err, "write", c, os.ErrDeadlineExceeded)
		if k != 0 {
			t.Errorf("Write returned %d, want 0", k)
		}
		ecu.send("7E8#300000") // comes too late
		synctest.Wait()
		if frames := rec.taken(); len(frames) != 2 {
			t.Errorf("on the bus: %v; want the First Frame and the flow control only", frames)
		}
		_, err = c.Write([]byte("past"))
		wantErr(t, err, "write", c, os.ErrDeadlineExceeded)
		c.SetWriteDeadline(time.Time{})
		wantWrite(t, c, "hello")
		frames := rec.taken()
		if got := frames[len(frames)-1].frame.String(); len(frames) != 3 || got != "7E0#0568656C6C6FCCCC" {
			t.Errorf("on the bus: %v", frames)
		}
	})
}

func TestWriteDeadlineWaitingForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{FlowControlTimeout: time.Hour})
		done := make(chan error)
		for range 3 {
			go func() {
				_, err := c.Write(make([]byte, 100))
				done <- err
			}()
		}
		synctest.Wait()
		start := time.Now()
		c.SetWriteDeadline(start.Add(time.Minute))
		for range 3 {
			wantErr(t, <-done, "write", c, os.ErrDeadlineExceeded)
			wantSince(t, start, time.Minute)
		}
	})
}

// A stalledReader gives n bytes, then waits.
type stalledReader struct {
	n    int
	gone chan struct{}
}

func (r *stalledReader) Read(p []byte) (int, error) {
	if r.n == 0 {
		<-r.gone
		return len(p), nil
	}
	k := min(len(p), r.n)
	r.n -= k
	return k, nil
}

func TestSendFromStalledReaderAborts(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, 150 * time.Millisecond} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var aborted []isotpnet.TraceEvent
				n := newNetwork(t, virtual.Options{})
				tester, _ := newPair(t, n, isotpnet.Config{
					ConsecutiveFrameTimeout: timeout,
					Trace: &isotpnet.Trace{SendAborted: func(ev isotpnet.TraceEvent) {
						aborted = append(aborted, ev)
					}},
				}, isotpnet.Config{MaxMessageSize: -1})
				r := &stalledReader{n: 30_000, gone: make(chan struct{})}
				go func() {
					time.Sleep(time.Minute)
					close(r.gone)
				}()
				err := tester.SendFrom(r, 60_000)
				wantSince(t, start, time.Minute)
				wantCode(t, err, "write", tester, isotpnet.CodeSourceStalled)
				synctest.Wait()
				if len(aborted) != 1 || aborted[0].Time.Sub(start) != timeout*9/10 || aborted[0].Code != isotpnet.CodeSourceStalled {
					t.Errorf("aborted: %+v, want after %v", aborted, timeout*9/10)
				}
			})
		})
	}
}

// A trickle is a source that gives a few bytes now and then.
type trickle struct {
	each  int
	every time.Duration
}

func (r trickle) Read(p []byte) (int, error) {
	time.Sleep(r.every)
	p = p[:min(len(p), r.each)]
	clear(p)
	return len(p), nil
}

// A source that is slow but always in time for the next frame does not stall.
func TestSendFromSlowReaderIsNotStalled(t *testing.T) {
	for _, each := range []int{3, 7, 100} {
		t.Run(fmt.Sprint(each), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				tester, ecu := newPair(t, n, isotpnet.Config{}, isotpnet.Config{})
				const size = 20_000
				if err := tester.SendFrom(trickle{each, 250 * time.Millisecond}, size); err != nil {
					t.Fatal(err)
				}
				wantRead(t, ecu, string(make([]byte, size)))
			})
		})
	}
}

func TestSendFromSendsNothingAfterTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		rec := record(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		c.SetWriteDeadline(time.Now().Add(time.Second))
		err := c.SendFrom(trickle{100, 2 * time.Second}, 100)
		wantErr(t, err, "write", c, os.ErrDeadlineExceeded)
		rec.want(t)
	})
}

func TestRateLimitHoldsInEveryWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 100 * time.Millisecond
		const perWindow = 10 // frames of 64 bits
		n := newNetwork(t, virtual.Options{})
		rec := record(t, n)
		tester, ecu := newPair(t, n, isotpnet.Config{RateLimit: isotpnet.RateLimit{
			BitsPerSecond: perWindow * 64 * int(time.Second/window), Window: window,
		}}, isotpnet.Config{})
		start := time.Now()
		wantWrite(t, tester, payload(6+7*99))
		took := time.Since(start)
		wantRead(t, ecu, payload(6+7*99))
		var sent []time.Duration
		for _, f := range rec.taken() {
			if f.frame.ID == 0x7E0 {
				sent = append(sent, f.at)
			}
		}
		if len(sent) != 100 {
			t.Fatalf("%d frames, want 100", len(sent))
		}
		for i := perWindow; i < len(sent); i++ {
			if d := sent[i] - sent[i-perWindow]; d < window {
				t.Errorf("frames %d to %d are sent within %v", i-perWindow, i, d)
			}
		}
		// 10 at once, and then 9 times 10 more; as much as a 63rd may be lost.
		if took < 9*window || took > 9*window*64/63 {
			t.Errorf("it took %v, want %v", took, 9*window)
		}
	})
}

func TestFunctionalRequestWaitsForTheRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		c := dialOn(t, newTap(t, n), "/7DF:", isotpnet.Config{
			RateLimit: isotpnet.RateLimit{BitsPerSecond: 640, Window: 100 * time.Millisecond}})
		start := time.Now()
		wantWrite(t, c, "\x3E\x80")
		wantSince(t, start, 0)
		wantWrite(t, c, "\x3E\x80")
		if took := time.Since(start); took < 100*time.Millisecond || took > 102*time.Millisecond {
			t.Errorf("the second took %v, want 100ms", took)
		}
	})
}

func TestSupervisedByNCrWhileTheSenderPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{BlockSize: 1})
		var want bytes.Buffer
		want.WriteString("\x01\x02\x03\x04\x05\x06")
		go func() {
			ecu.send("7E8#1014010203040506")
			for i := range 2 {
				ecu.hear("7E0#300100CCCCCCCCCC")
				time.Sleep(999_999_999) // a nanosecond less than N_Cr
				ecu.send(fmt.Sprintf("7E8#2%d0A0B0C0D0E0F10", i+1))
			}
		}()
		wantRead(t, c, "\x01\x02\x03\x04\x05\x06\x0A\x0B\x0C\x0D\x0E\x0F\x10\x0A\x0B\x0C\x0D\x0E\x0F\x10")
	})
}
