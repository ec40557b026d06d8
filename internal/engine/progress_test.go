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
		{"given up, and somebody is to be told", func(s *script) {
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
