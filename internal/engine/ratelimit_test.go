package engine

import (
	"testing"
	"time"
)

func TestRateLimit(t *testing.T) {
	limited := func(frames int) func(*Config) {
		return func(c *Config) { c.RateBits, c.RateWindow = frames*64, 63*ms }
	}
	play(t, []scenario{
		{"so much at once, the rest when the window has passed", limited(2), func(s *script) {
			f := frames1(8, "", 6+3*7)
			s.send(6 + 3*7).sends(f[0]).hears("30 00 00").sends(f[1])
			s.due(63*ms).sends(f[2], f[3]).done(OK)
		}},
		{"a short frame spends little", func(c *Config) { c.RateBits, c.RateWindow, c.MinFrameSize = 64+8, 63*ms, 0 }, func(s *script) {
			s.e.tx.init(&s.cfg)
			s.send(1).sends("01 01").done(OK)
			s.send(1).due(63 * ms).sends("01 01").done(OK)
		}},
		{"it holds across messages", limited(1), func(s *script) {
			s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK)
			s.at(10 * ms).send(2).due(63 * ms).sends("02 01 02 CC CC CC CC CC").done(OK)
		}},
		{"where STmin asks for longer, that holds", limited(1), func(s *script) {
			f := frames1(8, "", 20)
			s.send(20).sends(f[0]).at(100 * ms).hears("30 00 50").sends(f[1]).due(180 * ms).sends(f[2]).done(OK)
		}},
		{"where STmin has passed, the next moment is the limit's", limited(1), func(s *script) {
			f := frames1(8, "", 20)
			s.send(20).sends(f[0]).at(100 * ms).hears("30 00 05").sends(f[1]).due(105 * ms).due(163 * ms).sends(f[2]).done(OK)
		}},
		{"a burst is held for the window, and not longer", func(c *Config) { c.RateBits, c.RateWindow = 128, time.Second }, func(s *script) {
			s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK).send(1).sends("01 01 CC CC CC CC CC CC").done(OK)
			s.send(1).due(1000 * ms).sends("01 01 CC CC CC CC CC CC").done(OK)
		}},
		{"each frame is counted for the window, and not longer", func(c *Config) { c.RateBits, c.RateWindow = 128, time.Second }, func(s *script) {
			s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK).at(3 * ms).send(1).sends("01 01 CC CC CC CC CC CC").done(OK)
			s.send(1).due(1000 * ms).sends("01 01 CC CC CC CC CC CC").done(OK).send(1).due(1003 * ms).sends("01 01 CC CC CC CC CC CC").done(OK)
		}},
		{"a limit that the peer's N_Cr does not outlast ends the message", func(c *Config) { c.RateBits, c.RateWindow = 128, 2*time.Second }, func(s *script) {
			f := frames1(8, "", 27)
			s.send(27).sends(f[0]).at(10 * ms).hears("30 00 00").sends(f[1]).due(910 * ms).done(SourceStalled)
		}},
		{"a slow source and a limit together, each in time", func(c *Config) { c.RateBits, c.RateWindow = 128, time.Second }, func(s *script) {
			f := frames1(8, "", 27)
			s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK).at(500 * ms)
			s.sendAs(27, message1(8)).sends(f[0]).hears("30 00 00").at(1000 * ms)
			s.e.Supply(message1(27)[8:])
			s.poll()
			s.sends(f[1]).due(1500 * ms).sends(f[2]).due(2000 * ms).sends(f[3]).done(OK)
		}},
		{"the wait for a flow control is no part of it", func(c *Config) { c.RateBits, c.RateWindow = 128, 890*ms }, func(s *script) {
			f := frames1(8, "", 13)
			s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK).send(13).sends(f[0]).at(500 * ms).hears("30 00 00")
			s.due(890 * ms).sends(f[1]).done(OK)
		}},
		{"before the First Frame no peer waits", func(c *Config) { c.RateBits, c.RateWindow = 64, 5*time.Second }, func(s *script) {
			s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK).send(1).due(5000 * ms).sends("01 01 CC CC CC CC CC CC").done(OK)
		}},
	})
	t.Run("never more than the limit within any window", func(t *testing.T) {
		const bits, window = 10 * 512, 100 * ms
		r := newRateLimit(bits, window)
		type passed struct {
			at   Time
			bits int
		}
		var log []passed
		total := 0
		now := start
		for i := range 20000 {
			b := 8 + 8*(i*7%64)
			if i%97 == 0 {
				now = now.Add(time.Duration(i*i%(40_000_000)) * time.Nanosecond)
			}
			if next := r.next(now, 512); next > now {
				now = next
				if again := r.next(now, 512); again != now {
					t.Fatalf("frame %d may pass at %v, and then only at %v", i, next, again)
				}
			}
			r.spend(now, b)
			log = append(log, passed{now, b})
			total += b
		}
		sum, first := 0, 0
		for _, p := range log {
			sum += p.bits
			for log[first].at.Add(window) <= p.at {
				sum -= log[first].bits
				first++
			}
			if sum > bits {
				t.Fatalf("%d bits within %v up to %v, the limit is %d", sum, window, p.at.Sub(start), bits)
			}
		}
		if took := now.Sub(start); float64(total)/took.Seconds() < 0.85*bits/window.Seconds() {
			t.Fatalf("%d bits took %v: too slow", total, took)
		}
	})
}
