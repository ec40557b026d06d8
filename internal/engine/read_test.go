package engine

import (
	"fmt"
	"testing"
)

func TestReportAborted(t *testing.T) {
	report := func(c *Config) { c.ReportAborted = true }
	play(t, []scenario{
		{"a waiting read learns that the message was given up: N_Cr", report, func(s *script) {
			s.readsNothing().hears("10 14 01 02 03 04 05 06").sends(cts).due(1000 * ms).readFails(TimeoutCr).readsNothing()
		}},
		{"wrong SN", report, func(s *script) {
			s.readsNothing().hears("10 14 01 02 03 04 05 06").sends(cts).hears("22 00 00 00 00 00 00 00").readFails(WrongSN).readsNothing()
		}},
		{"interrupted by a Single Frame, which follows", report, func(s *script) {
			s.readsNothing().hears("10 14 01 02 03 04 05 06").sends(cts).hears("01 AA").readFails(InterruptedBySingleFrame).reads("AA")
		}},
		{"a waiting read learns that a message was refused", func(c *Config) { report(c); c.MaxMessageSize = 19 }, func(s *script) {
			s.reading(ReadMessages).readsNothing()
			s.hears("10 14 01 02 03 04 05 06").sends("32 00 00 CC CC CC CC CC").readFails(MessageTooLong).readsNothing()
		}},
		{"where no read waits, none is told", report, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends(cts).due(1000 * ms).readsNothing()
		}},
		{"one read is told once", report, func(s *script) {
			s.readsNothing().hears("10 14 01 02 03 04 05 06").sends(cts).hears("22 00 00 00 00 00 00 00")
			s.hears("10 14 01 02 03 04 05 06").sends(cts).due(1000 * ms).readFails(WrongSN).readsNothing()
		}},
		{"without ReportAborted no read is told", nil, func(s *script) {
			s.readsNothing().hears("10 14 01 02 03 04 05 06").sends(cts).due(1000 * ms).readsNothing()
		}},
	})
}

func TestReadWhole(t *testing.T) {
	play(t, []scenario{
		{"what does not fit stays for the next read", nil, func(s *script) {
			s.hears("05 01 02 03 04 05").readsUpTo(2, "01 02").readsUpTo(1, "03").reads("04 05").readsNothing()
		}},
		{"a message is not read before it is complete", nil, func(s *script) {
			s.reading(ReadMessages).hears("10 08 01 02 03 04 05 06").sends(cts).readsNothing().hears("21 07 08").readsMessage(8)
		}},
		{"an empty p reads nothing", nil, func(s *script) {
			s.hears("01 AA")
			if _, _, ok := s.e.Read(nil); ok {
				s.t.Fatal("a read of nothing was ok")
			}
			s.reads("AA")
		}},
		{"messages come in the order of their ends", nil, func(s *script) {
			s.hears("01 AA", "10 08 01 02 03 04 05 06").sends(cts).hearsFunctional("01 BB").hears("21 07 08").hears("01 CC")
			s.reads("AA").reads("BB").readsMessage(8).reads("CC").readsNothing()
		}},
		{"the rest is told", nil, func(s *script) {
			s.hears("05 01 02 03 04 05")
			if _, info, _ := s.e.Read(make([]byte, 2)); info.Rest != 3 || info.Size != 5 || info.End {
				s.t.Fatalf("info %+v", info)
			}
		}},
		{"what is read makes room byte by byte", func(c *Config) { c.HighMark = overhead + 3 }, func(s *script) {
			s.hears("05 01 02 03 04 05", "10 08 01 02 03 04 05 06").readsUpTo(1, "01").readsUpTo(1, "02").sends(cts)
		}},
	})
}

func TestReadWholeSaysWhatWasLost(t *testing.T) {
	for _, tc := range []struct {
		room       int
		grow       bool
		rest, want int
	}{{5, false, 0, 3}, {3, false, 0, 3}, {2, false, 1, 2}, {0, false, 3, 0}, {2, true, 0, 3}} {
		s := newScript(t)
		p, info, ok := s.hears("03 01 02 03").e.ReadWhole(make([]byte, tc.room), tc.grow)
		if !ok || info.Why != OK || len(p) != tc.want || info.Size != 3 || info.Rest != tc.rest {
			t.Errorf("into %d bytes, or more: %v: read %d, %+v, %v", tc.room, tc.grow, len(p), info, ok)
		}
		s.readsNothing()
	}
}

func TestFirst(t *testing.T) {
	s := newScript(t).reading(ReadMessages)
	want := func(message string, code Code) {
		t.Helper()
		p, info, ok := s.e.First()
		if ok != (message != "" || code != OK) || text(p) != message || info.Why != code {
			t.Errorf("First returns %s, code %v, %v; want %q, code %v", text(p), info.Why, ok, message, code)
		}
		if ok {
			s.e.RemoveFirst()
		}
	}
	want("", OK)
	s.hears("10 08 01 02 03 04 05 06").sends(cts)
	want("", OK)
	s.hears("21 07 08")
	s.hears("02 AA BB").readsUpTo(7, "01 02 03 04 05 06 07")
	want("08", OK)
	want("AA BB", OK)
	s.cfg.HardLimit = 0
	s.hears("01 CC")
	want("", ReceiverFull)
	want("", OK)
}

// What is lost since there was no room for it is nothing that the bus has dropped.
func TestLossForLackOfRoomIsNotTheBuss(t *testing.T) {
	s := newScript(t, func(c *Config) { c.HardLimit = 0 })
	s.cfg.Drops.Total = 7
	if _, info, ok := s.hears("01 CC").e.Read(make([]byte, 1)); !ok || info.Why != ReceiverFull || info.Dropped != 0 {
		t.Errorf("read %+v, %v", info, ok)
	}
}

func TestInMidMessage(t *testing.T) {
	s := newScript(t)
	want := func(want bool) {
		t.Helper()
		if got := s.e.InMidMessage(); got != want {
			t.Errorf("in mid-message: %v", got)
		}
	}
	want(false)
	s.hears("02 AA BB")
	want(false)
	s.readsUpTo(1, "AA")
	want(true)
	s.reads("BB")
	want(false)
	s.hears("01 CC").opens(1)
	want(true)
}

func TestReadUndecided(t *testing.T) {
	// The message is longer than MaxMessageSize, and no caller has said yet whether it
	// reads messages or streams.
	small := func(c *Config) { c.MaxMessageSize, c.Window = 19, 28 }
	const grant = "30 04 00 CC CC CC CC CC"
	play(t, []scenario{
		{"CTS is held back, WAITs say so", small, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").due(800 * ms).sends("31 04 00 CC CC CC CC CC").due(1600 * ms).sends("31 04 00 CC CC CC CC CC").readsNothing()
		}},
		{"to a reader of messages: OVFLW", small, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").at(100*ms).reading(ReadMessages).sends(ovflw).idle().readsNothing().counts(MessageTooLong, 1)
		}},
		{"a reader of streams gets it", small, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").at(100 * ms).reading(ReadUndecided).reading(ReadStreams).sends(grant).reading(ReadStreams)
			s.hears("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14").opens(20).readsMessage(20).idle()
		}},
		{"Consecutive Frames before that are ignored", small, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06", "21 07 08 09 0A 0B 0C 0D").counts(UnexpectedConsecutive, 1).reading(ReadMessages).sends(ovflw)
		}},
		{"no caller reads: OVFLW after N_WFTmax WAITs", func(c *Config) { small(c); c.MaxSendWaits = 0 }, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").due(800*ms).sends(ovflw).idle().counts(WaitOverrun, 1)
			s.reading(ReadStreams).idle().readsNothing()
		}},
		{"a Single Frame ends it", small, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06", "01 AA").idle().reading(ReadStreams).reads("AA")
		}},
		{"shorter messages are taken whole", small, func(s *script) {
			s.hears("10 13 01 02 03 04 05 06").sends(cts).hears("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13").readsMessage(19)
		}},
	})
}

func TestReadStreams(t *testing.T) {
	// A window of 4 Consecutive Frames.
	window := func(c *Config) { c.MaxMessageSize, c.Window = 20, 28 }
	const grant = "30 04 00 CC CC CC CC CC"
	f := frames1(8, "", 6+12*7)
	play(t, []scenario{
		{"larger than the window: BS is what fits, whatever Config.BlockSize says; a slow reader holds CTS back", window, func(s *script) {
			s.reading(ReadStreams).hears(f[0]).opens(90).readsPart("01 02 03 04 05 06").sends(grant)
			s.hears(f[1:5]...).at(100*ms).readsUpTo(27, text(message1(33)[6:])).readsUpTo(1, "22").sends(grant)
			s.hears(f[5:9]...).readsPart(text(message1(62)[34:])).sends(grant)
			s.hears(f[9:]...).reads(text(message1(90)[62:])).readsNothing().idle()
		}},
		{"the First Frame's own bytes take room in the window", window, func(s *script) {
			s.reading(ReadStreams).hears(f[0]).at(10*ms).opens(90).readsUpTo(5, "01 02 03 04 05").readsUpTo(1, "06").sends(grant)
		}},
		{"a window with room for more than a block grants at once", func(c *Config) { c.MaxMessageSize, c.Window = 20, 34; c.BlockSize = 4 }, func(s *script) {
			s.reading(ReadStreams).hears(f[0]).sends(grant).hears(f[1:5]...).due(800*ms).sends("31 04 00 CC CC CC CC CC").opens(90).readsUpTo(28, text(message1(28))).sends(grant)
		}},
		{"Config.BlockSize 8 is kept where the window has room for it", func(c *Config) { c.MaxMessageSize, c.Window, c.BlockSize = 20, 8*7, 8 }, func(s *script) {
			s.reading(ReadStreams).hears(f[0]).opens(90).readsPart("01 02 03 04 05 06").sends("30 08 00 CC CC CC CC CC")
		}},
		{"a block never counts more than 255", func(c *Config) { c.MaxMessageSize = 20 }, func(s *script) {
			s.reading(ReadStreams).hears("10 00 00 01 00 00 01 02").sends("30 FF 00 CC CC CC CC CC")
		}},
		{"a reader too slow for all WAITs loses the message, and is told", func(c *Config) { window(c); c.MaxSendWaits = 1 }, func(s *script) {
			s.reading(ReadStreams).hears(f[0]).opens(90).readsPart("01 02 03 04 05 06").sends(grant).hears(f[1:5]...)
			s.due(800 * ms).sends("31 04 00 CC CC CC CC CC").due(1600 * ms).idle()
			s.readsPart(text(message1(34)[6:])).readFails(WaitOverrun).readsNothing()
		}},
		{"one that no caller has begun to read is not reported", func(c *Config) { window(c); c.MaxSendWaits = 0 }, func(s *script) {
			s.reading(ReadStreams).hears(f[0]).due(800 * ms).sends(ovflw).readsNothing().idle()
		}},
		{"what remains of a block's message at its end fits, so CTS need not wait", window, func(s *script) {
			s.reading(ReadStreams).hears(frames1(8, "", 6+5*7)[0]).opens(41).readsPart("01 02 03 04 05 06").sends(grant)
			s.hears(f[1:5]...).readsUpTo(6, text(message1(12)[6:])).readsUpTo(1, "0D").sends(grant)
			s.hears(f[5]).reads(text(message1(41)[13:]))
		}},
		{"a small message is read as it comes, too", nil, func(s *script) {
			s.reading(ReadStreams).hears("10 08 01 02 03 04 05 06").sends(cts).opens(8).readsPart("01 02 03 04 05 06").readsNothing()
			s.hears("21 07 08").reads("07 08")
		}},
		{"a Single Frame is opened like any other", nil, func(s *script) {
			s.reading(ReadStreams).hears("02 AA BB").opens(2).reads("AA BB")
		}},
		{"nothing to open", nil, func(s *script) {
			if info, ok := s.e.Open(); ok || info.Why != OK {
				s.t.Fatalf("code %v, ok %v", info.Why, ok)
			}
		}},
		{"the abort of a message begun is told after its bytes: N_Cr", nil, func(s *script) {
			s.reading(ReadStreams).hears("10 14 01 02 03 04 05 06").sends(cts).opens(20).due(1000 * ms).readsPart("01 02 03 04 05 06").readFails(TimeoutCr).readsNothing()
		}},
		{"the abort of a message begun is told after its bytes: First Frame, which follows", nil, func(s *script) {
			s.reading(ReadStreams).hears("10 14 AA AA AA AA AA AA").sends(cts).opens(20)
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08")
			s.readsPart("AA AA AA AA AA AA").readFails(InterruptedByFirstFrame).opens(8).readsMessage(8)
		}},
		{"the abort of one that no caller has begun to read leaves no trace", nil, func(s *script) {
			s.reading(ReadStreams).hears("10 14 AA AA AA AA AA AA").sends(cts).hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08").opens(8).readsMessage(8)
		}},
		{"opening the next message skips the rest of a complete one", nil, func(s *script) {
			s.reading(ReadStreams).hears("03 AA BB CC", "01 DD").opens(3).readsUpTo(1, "AA").opens(1).reads("DD").readsNothing()
		}},
		{"opening the next message skips what is still to come of a running one", window, func(s *script) {
			s.reading(ReadStreams).hears(f[0]).opens(90).readsUpTo(3, "01 02 03").hearsFunctional("01 DD").opens(1).sends(grant)
			s.hears(f[1:5]...).sends(grant).hears(f[5:9]...).sends(grant).reads("DD").hears(f[9:]...).readsNothing().idle()
			s.hears("01 EE").reads("EE")
		}},
		{"a skipped message that is aborted leaves no trace", window, func(s *script) {
			s.reading(ReadStreams).hears(f[0]).opens(90).readsUpTo(3, "01 02 03").hearsFunctional("01 DD").opens(1).sends(grant)
			s.hears("25 00 00 00 00 00 00 00").reads("DD").readsNothing().idle()
		}},
		{"what Read has left of a message is opened first", nil, func(s *script) {
			s.hears("03 AA BB CC").readsUpTo(1, "AA").reading(ReadStreams).opens(3).reads("BB CC")
		}},
		{"Rest says what is there", nil, func(s *script) {
			s.reading(ReadStreams).hears("10 14 01 02 03 04 05 06").sends(cts)
			if info, _ := s.e.Open(); info.Rest != 6 || info.Size != 20 {
				s.t.Fatalf("info %+v", info)
			}
		}},
		{"a peer that does not wait for CTS is cut off at twice the window", window, func(s *script) {
			s.reading(ReadStreams).hears(f[0]).opens(90)
			for _, cf := range f[1:] {
				s.hears(cf)
				if n := s.e.queue.first().unread(); n > 2*28 {
					s.t.Fatalf("%d bytes wait to be read", n)
				}
			}
			s.counts(ReceiverFull, 1).readsPart(text(message1(55))).readFails(ReceiverFull)
		}},
		{"a streamed message's buffer stays small", func(c *Config) { c.MaxMessageSize, c.Window, c.BlockSize = 20, 64, 1 }, func(s *script) {
			s.reading(ReadStreams).hears("10 00 00 10 00 00 01 02").sends("30 01 00 CC CC CC CC CC").opens(1 << 20)
			s.readsPart("01 02")
			for i := range 40000 {
				s.hears(fmt.Sprintf("2%X 01 02 03 04 05 06 07", (i+1)&0xF)).sends("30 01 00 CC CC CC CC CC")
				if i%3 == 0 {
					s.e.Read(make([]byte, 100))
				}
			}
			if n := cap(s.e.queue.first().buf); n > maxPooled {
				s.t.Fatalf("the buffer has %d bytes", n)
			}
		}},
		{"a reader that changes to whole messages keeps the one that streams", window, func(s *script) {
			s.reading(ReadStreams).hears(f[0]).reading(ReadMessages).readsPart("01 02 03 04 05 06").sends(grant)
		}},
	})
}

func TestFirstThatFindsNothingWaits(t *testing.T) {
	s := newScript(t)
	if _, _, ok := s.e.First(); ok || !s.e.Awaited() {
		t.Errorf("found: %v; awaited: %v", ok, s.e.Awaited())
	}
	s.hears("01 AA")
	if p, _, ok := s.e.First(); !ok || text(p) != "AA" || s.e.Awaited() {
		t.Errorf("found %v: %v; awaited: %v", ok, p, s.e.Awaited())
	}
	s.e.RemoveFirst()
}
