package slcan

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
)

// An adapter that does not tell its version answers no fence. What it says of frames is taken
// as it comes.
func TestAnswersWithoutFences(t *testing.T) {
	all := func(*canbus.Frame) bool { return true }
	for name, c := range map[string]struct {
		refuse  func(*canbus.Frame) bool
		surplus string
	}{
		"one is refused":       {refuse: nth(3)},
		"the first is refused": {refuse: nth(1)},
		"all are refused":      {refuse: all},
		"an answer too many":   {surplus: "\r"},
		"a refusal too many":   {surplus: "\a"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := newWire(t, 500_000, 0)
				heard := record(t, wire)
				s := newSim(wire, "Lawicel")
				s.version, s.refuse = "", c.refuse
				b := openSim(t, s, Options{Bitrate: 500_000})
				back := echoes(b)
				s.mu.Lock()
				s.say(c.surplus)
				s.mu.Unlock()
				time.Sleep(time.Millisecond)
				stuck := time.AfterFunc(time.Minute, func() { b.Close() })
				const count = 200
				write(t, b, numbered(count))
				stuck.Stop()
				b.Close()
				s.unplug()
				checkFates(t, heard(), <-back, count)
			})
		})
	}
}

// nth reports true at the call of that number.
func nth(n int) func(*canbus.Frame) bool {
	return func(*canbus.Frame) bool { n--; return n == 0 }
}

// A refusal of an adapter that answers nothing else does not say of which frame it is: all in
// flight are given up, and the next ones are not.
func TestAdapterThatAnswersOnlyWhatItRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(newWire(t, 500_000, 0), "Lawicel")
		s.version, s.sent, s.refuse = "", "", nth(3)
		b := openSim(t, s, Options{Bitrate: 500_000})
		back := echoes(b)
		for range 3 {
			write(t, b, numbered(10))
			time.Sleep(time.Second)
		}
		b.Close()
		s.unplug()
		frames := <-back
		for i := range frames {
			if frames[i].Has(canbus.Refused) != (i < 10) {
				t.Errorf("frame %d: refused is %v", i, frames[i].Has(canbus.Refused))
			}
		}
		if len(frames) != 30 {
			t.Errorf("%d of 30 frames came back", len(frames))
		}
	})
}
