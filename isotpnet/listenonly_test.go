package isotpnet_test

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// A message that stops in the middle is given up when its sender gives it up.
func TestListenOnlyGivesUpWhatNobodyContinues(t *testing.T) {
	const first = "7E8#1064010203040506"
	block := []string{"7E8#21AAAAAAAAAAAAAA", "7E8#22AAAAAAAAAAAAAA"}
	for _, tc := range []struct {
		name, address string
		frames        []string // all at once
		code          isotpnet.Code
		after         time.Duration
	}{
		{"a First Frame that no peer answers", "/7E0:7E8", []string{first}, isotpnet.CodeTimeoutBs, 300 * ms},
		{"a WAIT and silence", "/7E0:7E8", []string{first, "7E0#310000"}, isotpnet.CodeTimeoutBs, 300 * ms},
		{"no flow control after a block", "/7E0:7E8", append([]string{first, "7E0#300200"}, block...), isotpnet.CodeTimeoutBs, 300 * ms},
		{"a CTS and silence", "/7E0:7E8", []string{first, "7E0#300000"}, isotpnet.CodeTimeoutCr, 700 * ms},
		{"flow control cannot be heard", "/:7E8", append([]string{first, "7E0#300200"}, block...), isotpnet.CodeTimeoutCr, 700 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				var code isotpnet.Code
				var at time.Time
				c := dialOn(t, newTap(t, n), tc.address, isotpnet.Config{
					ListenOnly: true, FlowControlTimeout: 300 * ms, ConsecutiveFrameTimeout: 700 * ms,
					Trace: &isotpnet.Trace{ReceptionAborted: func(e isotpnet.TraceEvent) { code, at = e.Code, e.Time }},
				})
				start := time.Now()
				newNode(t, n).send(tc.frames...)
				time.Sleep(time.Minute)
				s := c.Stats()
				if code != tc.code || at.Sub(start) != tc.after || s.ReceptionsAborted != 1 {
					t.Errorf("given up %d times, after %v: %v; want once after %v: %v", s.ReceptionsAborted, at.Sub(start), code, tc.after, tc.code)
				}
			})
		})
	}
}

func TestListenOnlyPacketConnHearsAGroupOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/7E8:7E0,7E9:7E1,7DF", isotpnet.Config{ListenOnly: true})
		tester := newNode(t, n)
		tester.send("7DF#023E80", "7E1#0111")
		wantReadFrom(t, pc, "\x3E\x80", "/7E8:7E0")
		wantReadFrom(t, pc, "\x11", "/7E9:7E1")
		pc.SetReadDeadline(time.Now().Add(ms))
		if _, _, err := pc.ReadFrom(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one more message: %v", err)
		}
		answering := listenPacketOn(t, newTap(t, n), "/7EA:7E2,7EB:7E3,7DF", isotpnet.Config{})
		tester.send("7DF#023E80")
		wantReadFrom(t, answering, "\x3E\x80", "/7EA:7E2")
		wantReadFrom(t, answering, "\x3E\x80", "/7EB:7E3")
	})
}
