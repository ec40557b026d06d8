package isotpnet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// What nobody continues is given up when its sender gives it up.
func TestListenOnlyGivesUpWhatNobodyContinues(t *testing.T) {
	const first = "7E8#1064010203040506"
	block := []string{"7E8#21AAAAAAAAAAAAAA", "7E8#22AAAAAAAAAAAAAA"}
	for _, tc := range []struct {
		name, address string
		frames        []string // all at once
		code          isotpnet.Code
		after         time.Duration
	}{
		{"a First Frame that nobody answers", "/7E0:7E8", []string{first}, isotpnet.TimeoutBs, 300 * ms},
		{"a WAIT and silence", "/7E0:7E8", []string{first, "7E0#310000"}, isotpnet.TimeoutBs, 300 * ms},
		{"no flow control after a block", "/7E0:7E8", append([]string{first, "7E0#300200"}, block...), isotpnet.TimeoutBs, 300 * ms},
		{"a CTS and silence", "/7E0:7E8", []string{first, "7E0#300000"}, isotpnet.TimeoutCr, 700 * ms},
		{"flow control cannot be heard", "/:7E8", append([]string{first, "7E0#300200"}, block...), isotpnet.TimeoutCr, 700 * ms},
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
