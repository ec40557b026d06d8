package engine

import "testing"

// What goes on beyond a deadline that came at 100 ms: a read that was waiting, and one
// that begins later.
func TestDeadlinesExtended(t *testing.T) {
	f := frames1(8, "", 6+2*7)
	for _, tc := range []struct {
		name            string
		play            func(*script)
		waits, newReads bool
	}{
		{"nothing", func(s *script) {}, false, false},
		{"a message begun in time", func(s *script) { s.at(100 * ms).hears(f[0]).sends("30 00 00 CC CC CC CC CC") }, true, true},
		{"a message begun too late", func(s *script) { s.at(101 * ms).hears(f[0]).sends("30 00 00 CC CC CC CC CC") }, false, false},
		{"a message complete in time", func(s *script) { s.hears("02 AA BB") }, true, false},
		{"a message complete too late", func(s *script) { s.at(101 * ms).hears("02 AA BB") }, false, false},
		{"a message begun in time and complete", func(s *script) {
			s.hears(f[0]).sends("30 00 00 CC CC CC CC CC").at(150 * ms).hears(f[1:]...)
		}, true, true},
		{"the rest of it", func(s *script) {
			s.hears(f[0]).sends("30 00 00 CC CC CC CC CC").at(150 * ms).hears(f[1:]...)
			s.e.Read(make([]byte, 1))
		}, true, true},
		{"it was read", func(s *script) {
			s.hears(f[0]).sends("30 00 00 CC CC CC CC CC").at(150 * ms).hears(f[1:]...).readsMessage(20)
		}, false, false},
		{"it stands behind a late one", func(s *script) {
			s.hears(f[0]).sends("30 00 00 CC CC CC CC CC").at(150 * ms).hearsFunctional("02 AA BB").hears(f[1:]...)
		}, true, true},
		{"given up for one that begins late", func(s *script) {
			s.hears(f[0]).sends("30 00 00 CC CC CC CC CC").at(150 * ms).hears(f[0]).sends("30 00 00 CC CC CC CC CC")
		}, false, false},
		{"given up for a late Single Frame", func(s *script) {
			s.hears(f[0]).sends("30 00 00 CC CC CC CC CC").at(150 * ms).hears("02 AA BB")
		}, false, false},
		{"given up, and a read is to be told", func(s *script) {
			s.cfg.ReportAborted = true
			s.readsNothing().hears(f[0]).sends("30 00 00 CC CC CC CC CC").at(150 * ms).hears(f[2])
		}, true, false},
		{"given up by N_Cr", func(s *script) { s.hears(f[0]).sends("30 00 00 CC CC CC CC CC").due(1000 * ms) }, false, false},
		{"thrown away", func(s *script) { s.hears(f[0]).sends("30 00 00 CC CC CC CC CC"); s.e.Drain() }, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScript(t, func(c *Config) { c.DeadlineAtFirstFrame = true })
			tc.play(s)
			at := start.Add(100 * ms)
			if got := s.e.BegunBy(at); got != tc.waits {
				t.Errorf("a read that waits goes on: %v, want %v", got, tc.waits)
			}
			if got := s.e.ExtendsDeadline(at); got != tc.newReads {
				t.Errorf("a read that begins goes on: %v, want %v", got, tc.newReads)
			}
			s.cfg.DeadlineAtFirstFrame = false
			if s.e.BegunBy(at) || s.e.ExtendsDeadline(at) {
				t.Error("without DeadlineAtFirstFrame one goes on")
			}
		})
	}
}

func TestDrainWakesAReadBeyondItsDeadline(t *testing.T) {
	s := newScript(t, func(c *Config) { c.DeadlineAtFirstFrame = true })
	s.hears("10 08 01 02 03 04 05 06").sends("30 00 00 CC CC CC CC CC")
	s.event = 0
	s.e.Drain()
	if s.poll(); s.event&Readable == 0 {
		t.Error("it does not")
	}
}

// What is known of a message before it is complete.
func TestBegun(t *testing.T) {
	f := frames1(8, "", 6+2*7)
	first := func(s *script) *script { return s.hears(f[0]).sends(cts) }
	at := Info{First: start, FrameFirst: start}
	for _, tc := range []struct {
		name      string
		config    func(*Config)
		play      func(*script)
		begun     bool
		size      uint32
		rest      int
		why       Code
		receiving Progress
		coming    bool
	}{
		{"nothing", nil, func(s *script) {}, false, 0, 0, OK, Progress{}, false},
		{"a Single Frame", nil, func(s *script) { s.hears("02 AA BB") }, true, 2, 2, OK, Progress{}, false},
		{"the rest of one", nil, func(s *script) { s.hears("02 AA BB").readsUpTo(1, "AA") }, true, 2, 1, OK, Progress{}, false},
		{"a First Frame", nil, func(s *script) { first(s) }, true, 20, 6, OK, Progress{6, 20}, true},
		{"one that streams", nil, func(s *script) { first(s.reading(ReadStreams)).opens(20).readsPart("01 02 03 04 05 06") }, true, 20, 0, OK, Progress{6, 20}, true},
		{"a First Frame and a part", nil, func(s *script) { first(s).hears(f[1]) }, true, 20, 13, OK, Progress{13, 20}, true},
		{"all of it", nil, func(s *script) { first(s).hears(f[1:]...) }, true, 20, 20, OK, Progress{}, false},
		{"a First Frame behind a message", nil, func(s *script) { first(s.hears("02 AA BB")) }, true, 2, 2, OK, Progress{6, 20}, true},
		{"thrown away", nil, func(s *script) { first(s); s.e.Drain() }, false, 0, 0, OK, Progress{6, 20}, false},
		{"given up", nil, func(s *script) { first(s).hears(f[2]) }, false, 0, 0, OK, Progress{}, false},
		{"given up, and a read is to be told", func(c *Config) { c.ReportAborted = true }, func(s *script) {
			s.readsNothing() // it waits from now on
			first(s).hears(f[2])
		}, true, 0, 0, WrongSN, Progress{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScript(t, tc.config)
			tc.play(s)
			if got := s.e.Receiving(); got != tc.receiving {
				t.Errorf("Receiving is %v, want %v", got, tc.receiving)
			}
			if got := s.e.Coming(); got != tc.coming {
				t.Errorf("Coming is %v", got)
			}
			info, ok := s.e.Begun()
			if ok != tc.begun || info.Why != tc.why || info.Size != tc.size || info.Rest != tc.rest {
				t.Errorf("Begun returns %+v, %v", info, ok)
			}
			if tc.size > 0 && info.First != at.First {
				t.Errorf("it began at %v", info.First.Sub(start))
			}
			if tc.why != OK {
				s.readsNothing() // it was taken out
			}
		})
	}
}

func TestSendingProgress(t *testing.T) {
	s := newScript(t)
	want := func(p Progress, started bool) {
		t.Helper()
		if got := s.e.SendingProgress(); got != p || s.e.Started() != started {
			t.Errorf("at %v: %v, started: %v; want %v, %v", s.now, got, s.e.Started(), p, started)
		}
	}
	want(Progress{}, false)
	s.send(20).sends("10 14 01 02 03 04 05 06")
	want(Progress{6, 20}, true)
	s.hears("30 01 00").sends("21 07 08 09 0A 0B 0C 0D")
	want(Progress{13, 20}, true)
	s.hears("30 00 00").sends("22 0E 0F 10 11 12 13 14").done(OK)
	want(Progress{}, true)
	s.sendAs(20, message1(3))
	want(Progress{0, 20}, false)
}

func TestIdle(t *testing.T) {
	for _, tc := range []struct {
		name string
		idle bool
		play func(*script)
	}{
		{"from the beginning", true, func(s *script) {}},
		{"something is being sent", false, func(s *script) { s.sendAs(20, message1(3)) }},
		{"it is sent", true, func(s *script) { s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK) }},
		{"something comes", false, func(s *script) { s.hears("10 08 01 02 03 04 05 06").sends(cts) }},
		{"it can be read", false, func(s *script) { s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08") }},
		{"it was read", true, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08").readsMessage(8)
		}},
		{"an OVFLW is to be sent", false, func(s *script) {
			s.reading(ReadMessages)
			s.gets("10 00 FF FF FF FF 01 02")
		}},
		{"an OVFLW is on its way", false, func(s *script) { s.reading(ReadMessages).hears("10 00 FF FF FF FF 01 02").hands(ovflw) }},
		{"an OVFLW is on the wire", true, func(s *script) { s.reading(ReadMessages).hears("10 00 FF FF FF FF 01 02").sends(ovflw) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScript(t)
			tc.play(s)
			if got := s.e.Idle(); got != tc.idle {
				t.Errorf("it is idle: %v", got)
			}
		})
	}
}
