package engine

import (
	"testing"
	"time"
)

func TestReceiveHold(t *testing.T) {
	// A message that is not read fills the queue.
	full := func(c *Config) { c.HighMark = 10 }
	fill := func(s *script) *script { return s.hears("01 AA") }
	play(t, []scenario{
		{"Br/receive/above the high mark CTS is held back until there is room", full, func(s *script) {
			fill(s).hears("10 08 01 02 03 04 05 06").at(500 * ms).reads("AA").sends(cts).hears("21 07 08").readsMessage(8)
		}},
		{"Br/receive/at the high mark it is not", func(c *Config) { c.HighMark = overhead + 1 }, func(s *script) {
			fill(s).hears("10 08 01 02 03 04 05 06").sends(cts)
		}},
		{"Br/receive/at the high mark nothing is refused either", func(c *Config) { c.HighMark, c.NeverHold = overhead+1, true }, func(s *script) {
			fill(s).hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08").reads("AA").readsMessage(8)
		}},
		{"Br/receive/at the hard limit a sender that does not wait is heard", func(c *Config) { c.HighMark, c.HardLimit = 10, overhead+1 }, func(s *script) {
			fill(s).hears("10 08 01 02 03 04 05 06").hears("21 07 08").reads("AA").readsMessage(8)
		}},
		{"WAIT/receive/after N_Br, and again after each N_Br", full, func(s *script) {
			fill(s).at(100 * ms).hears("10 08 01 02 03 04 05 06")
			for i := range 10 {
				s.due(900*ms + time.Duration(i)*800*ms).sends(wft)
			}
			s.at(8500 * ms).reads("AA").sends(cts).hears("21 07 08").readsMessage(8)
		}},
		{"WAIT/receive/after N_WFTmax of them the reception ends: OVFLW to a First Frame", func(c *Config) { c.HighMark, c.MaxSendWaits = 10, 2 }, func(s *script) {
			fill(s).hears("10 14 01 02 03 04 05 06").due(800 * ms).sends(wft).due(1600 * ms).sends(wft)
			s.due(2400*ms).sends(ovflw).idle().counts(WaitOverrun, 1)
			s.reads("AA").readsNothing()
		}},
		{"WAIT/receive/after N_WFTmax of them within a message it ends, and nothing is sent", func(c *Config) { c.HighMark, c.MaxSendWaits, c.BlockSize = 60, 1, 1 }, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends("30 01 00 CC CC CC CC CC").hearsFunctional("01 AA").hears("21 07 08 09 0A 0B 0C 0D")
			s.due(800*ms).sends("31 01 00 CC CC CC CC CC").due(1600*ms).idle().counts(WaitOverrun, 1)
			s.reads("AA").readsNothing()
		}},
		{"WAIT/receive/the same where the block ends with SN 0", func(c *Config) { c.HighMark, c.MaxSendWaits, c.BlockSize = 60, 0, 16 }, func(s *script) {
			f := frames1(8, "", 6+20*7)
			s.hears(f[0]).sends("30 10 00 CC CC CC CC CC").hearsFunctional("01 AA").hears(f[1:17]...)
			s.due(800*ms).idle().counts(WaitOverrun, 1)
		}},
		{"WAIT/receive/MaxSendWaits 0: none at all", func(c *Config) { c.HighMark, c.MaxSendWaits = 10, 0 }, func(s *script) {
			fill(s).hears("10 14 01 02 03 04 05 06").due(800*ms).sends(ovflw).idle().counts(WaitOverrun, 1)
		}},
		{"WAIT/receive/CTS resets the count", func(c *Config) { c.HighMark, c.MaxSendWaits, c.BlockSize = 64, 1, 1 }, func(s *script) {
			fill(s).hears("10 14 01 02 03 04 05 06").due(800 * ms).sends("31 01 00 CC CC CC CC CC").reads("AA").sends("30 01 00 CC CC CC CC CC")
			s.hearsFunctional("01 BB").hears("21 07 08 09 0A 0B 0C 0D").due(1600 * ms).sends("31 01 00 CC CC CC CC CC").reads("BB").sends("30 01 00 CC CC CC CC CC")
			s.hears("22 0E 0F 10 11 12 13 14").readsMessage(20)
		}},
		{"WAIT/receive/room before it is handed over makes it a CTS", full, func(s *script) {
			fill(s).hears("10 08 01 02 03 04 05 06").now = 800 * ms
			s.e.HandleTimeout(s.time())
			s.e.Read(make([]byte, 10))
			s.poll()
			s.sends(cts).hears("21 07 08").readsMessage(8)
		}},
		{"Ar/receive/the echo of a WAIT is not that of the CTS after it", full, func(s *script) {
			fill(s).hears("10 14 01 02 03 04 05 06").due(800 * ms).hands(wft).at(900 * ms).reads("AA").hands(cts)
			s.at(1000*ms).echo().at(1500*ms).echo().due(2500*ms).idle().counts(TimeoutCr, 1)
		}},
		{"Ar/receive/nor is it where that CTS still waits to be handed over", full, func(s *script) {
			fill(s).hears("10 14 01 02 03 04 05 06").due(800 * ms).hands(wft).at(900 * ms)
			s.e.Read(make([]byte, 10))
			s.e.HandleTransmitted(s.time(), s.named, s.named)
			s.poll()
			s.hands(cts).echo() // of the WAIT again: nothing
			s.at(1000*ms).echo().due(2000*ms).idle().counts(TimeoutCr, 1)
		}},
		{"Ar/receive/a WAIT that does not get on the wire ends the reception", func(c *Config) { c.HighMark, c.NAs = 10, 300*ms }, func(s *script) {
			fill(s).hears("10 14 01 02 03 04 05 06").due(800*ms).hands(wft).due(1100*ms).idle().counts(TimeoutA, 1)
		}},
		{"FC/receive/a Consecutive Frame while CTS is held back is taken as granted", full, func(s *script) {
			fill(s).hears("10 14 01 02 03 04 05 06", "21 07 08 09 0A 0B 0C 0D").due(1000*ms).idle().counts(TimeoutCr, 1)
			s.hears("10 14 01 02 03 04 05 06", "21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14").reads("AA").readsMessage(20)
		}},
		{"FC/receive/and the CTS is sent no more", full, func(s *script) {
			fill(s).hears("10 14 01 02 03 04 05 06", "21 07 08 09 0A 0B 0C 0D").reads("AA").hears("22 0E 0F 10 11 12 13 14").readsMessage(20)
		}},
		{"FC/receive/nor is a CTS that was still to be handed over", nil, func(s *script) {
			s.gets("10 14 01 02 03 04 05 06", "21 07 08 09 0A 0B 0C 0D")
			s.poll()
			s.hears("22 0E 0F 10 11 12 13 14").readsMessage(20)
		}},
		{"FC/receive/a CTS withheld from an aborted message may serve the next one (crossing)", full, func(s *script) {
			// The peer gave up its first message and began another while our CTS
			// for the first was on its way.
			fill(s).hears("10 14 AA AA AA AA AA AA").at(10 * ms).reads("AA").hands(cts)
			s.hears("02 55 55", "10 14 01 02 03 04 05 06") // full again: held back
			s.echo().hears("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14").reads("55 55").readsMessage(20)
		}},
		{"FC/receive/a wrong SN while CTS is held back ends the reception", full, func(s *script) {
			fill(s).hears("10 14 01 02 03 04 05 06", "22 07 08 09 0A 0B 0C 0D").idle().reads("AA").readsNothing().counts(WrongSN, 1)
		}},
		{"FC/receive/NeverHold: what there is no room for is refused with OVFLW", func(c *Config) { c.HighMark, c.NeverHold = 10, true }, func(s *script) {
			fill(s).hears("10 08 01 02 03 04 05 06").sends(ovflw).idle().counts(ReceiverFull, 1)
			s.reads("AA").hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08").readsMessage(8)
		}},
		{"FC/receive/NeverHold: a message once begun is never held up", func(c *Config) { c.HighMark, c.NeverHold, c.BlockSize = 10, true, 1 }, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends("30 01 00 CC CC CC CC CC").hearsFunctional("01 AA").hears("21 07 08 09 0A 0B 0C 0D")
			s.sends("30 01 00 CC CC CC CC CC").hears("22 0E 0F 10 11 12 13 14").reads("AA").readsMessage(20)
		}},
		{"FC/receive/NeverHold: too long a message is refused although no caller has read yet", func(c *Config) { c.MaxMessageSize, c.NeverHold = 10, true }, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends(ovflw).idle().counts(MessageTooLong, 1)
		}},
	})
}

func TestReceiveHoldOfStreams(t *testing.T) {
	// Messages of 8 bytes are longer than MaxMessageSize, and the window has room for all of one.
	streamed := func(c *Config) { c.MaxMessageSize, c.Window, c.HighMark = 7, 28, 10 }
	const grant = "30 04 00 CC CC CC CC CC"
	play(t, []scenario{
		{"a message that fits in the window waits as any other where the queue is full", streamed, func(s *script) {
			s.reading(ReadStreams).hears("10 08 01 02 03 04 05 06").sends(grant).hears("21 07 08")
			s.hears("10 08 11 12 13 14 15 16").at(100 * ms).opens(8).readsMessage(8).sends(grant)
			s.hears("21 17 18").opens(8).reads("11 12 13 14 15 16 17 18")
		}},
		{"so does one that began before it was known to be a stream", streamed, func(s *script) {
			s.hears("01 AA", "10 08 01 02 03 04 05 06").reading(ReadStreams).at(100 * ms).opens(1).reads("AA").sends(grant)
			s.hears("21 07 08").opens(8).readsMessage(8)
		}},
		{"a sender that does not wait is heard up to the hard limit", func(c *Config) { streamed(c); c.HardLimit = overhead + 7 }, func(s *script) {
			s.reading(ReadStreams).hears("10 08 01 02 03 04 05 06").sends(grant).hears("21 07 08")
			s.hears("10 08 11 12 13 14 15 16", "21 17 18").idle().opens(8).readsMessage(8).readFails(ReceiverFull).readsNothing()
		}},
		{"what stands behind the message being read does not hold it up", streamed, func(s *script) {
			s.reading(ReadStreams).hears("10 28 01 02 03 04 05 06").opens(40).readsPart("01 02 03 04 05 06").sends(grant)
			s.hearsFunctional("01 AA").hears(frames1(8, "", 40)[1:5]...).readsPart(text(message1(34)[6:])).sends(grant)
			s.hears(frames1(8, "", 40)[5:]...).reads(text(message1(40)[34:])).opens(1).reads("AA")
		}},
		{"nor does it where the message is kept whole", func(c *Config) { c.HighMark, c.BlockSize = 10, 1 }, func(s *script) {
			const grant = "30 01 00 CC CC CC CC CC"
			s.reading(ReadStreams).hears("10 14 01 02 03 04 05 06").sends(grant).opens(20).readsPart("01 02 03 04 05 06")
			s.hearsFunctional("01 AA").hears("21 07 08 09 0A 0B 0C 0D").sends(grant).hears("22 0E 0F 10 11 12 13 14")
			s.reads(text(message1(20)[6:])).opens(1).reads("AA")
		}},
		{"it is the next to be read once the end of the one before is told", func(c *Config) { c.HighMark, c.BlockSize = 10, 1 }, func(s *script) {
			const grant = "30 01 00 CC CC CC CC CC"
			s.reading(ReadStreams).hears("10 14 AA AA AA AA AA AA").sends(grant).opens(20).readsPart("AA AA AA AA AA AA")
			s.hears("10 14 01 02 03 04 05 06").sends(grant).hearsFunctional("01 BB").hears("21 07 08 09 0A 0B 0C 0D")
			s.at(100 * ms).readFails(InterruptedByFirstFrame)
			s.sends(grant).hears("22 0E 0F 10 11 12 13 14").opens(20).readsMessage(20).opens(1).reads("BB")
		}},
		{"also once Open tells of a loss", func(c *Config) { c.HighMark, c.HardLimit, c.BlockSize = 10, overhead+1, 1 }, func(s *script) {
			const grant = "30 01 00 CC CC CC CC CC"
			s.reading(ReadStreams).hears("01 AA", "01 BB").hears("10 14 01 02 03 04 05 06").at(100 * ms).opens(1).reads("AA").sends(grant)
			s.hearsFunctional("01 CC").hears("21 07 08 09 0A 0B 0C 0D").at(200 * ms)
			if info, ok := s.e.Open(); !ok || info.Why != ReceiverFull {
				s.t.Fatalf("Open returns %+v, %v", info, ok)
			}
			s.poll()
			s.sends(grant).hears("22 0E 0F 10 11 12 13 14").opens(20).readsMessage(20).opens(1).reads("CC")
		}},
	})
}

// A bus that can wait is not held up by what stands behind the message that is being read,
// once its reader waits for the next frame.
func TestFullBehindTheMessageBeingRead(t *testing.T) {
	s := newScript(t, func(c *Config) { c.HighMark = 10 })
	s.reading(ReadStreams).hears("10 14 01 02 03 04 05 06").sends(cts).opens(20).hearsFunctional("01 AA")
	if !s.e.Full() {
		t.Error("not full with a part of the message to be read")
	}
	s.readsPart("01 02 03 04 05 06")
	if s.e.Full() {
		t.Error("full with nothing to be read")
	}
	s.hears("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14")
	if !s.e.Full() {
		t.Error("not full with all there to be read")
	}
}

func TestReceiveLoss(t *testing.T) {
	// Room for two messages of one byte.
	two := func(c *Config) { c.HardLimit = 2 * (overhead + 1) }
	play(t, []scenario{
		{"Single Frames past the hard limit are lost, and that is said where they would have been", two, func(s *script) {
			s.hears("01 01", "01 02", "01 03", "01 04").counts(ReceiverFull, 2)
			s.reads("01").hears("01 05", "01 06")
			s.reads("02").readFails(ReceiverFull).reads("05").readFails(ReceiverFull).readsNothing()
		}},
		{"functional ones too", two, func(s *script) {
			s.hears("01 01", "01 02").hearsFunctional("01 03").reads("01").reads("02").readFails(ReceiverFull)
		}},
		{"a lost one ends a reception as any other does", two, func(s *script) {
			s.hears("01 01", "01 02", "10 14 01 02 03 04 05 06").sends(cts).hears("01 03").counts(InterruptedBySingleFrame, 1)
			s.hears("21 07 08 09 0A 0B 0C 0D").counts(UnexpectedConsecutive, 1)
		}},
		{"a loss is told even if there was nothing to read", func(c *Config) { c.HardLimit = 0 }, func(s *script) {
			s.hears("01 01")
			if s.event&Readable == 0 {
				s.t.Fatal("the user was not told")
			}
			s.readFails(ReceiverFull).readsNothing()
		}},
		{"a peer that does not wait for flow control cannot fill the memory", func(c *Config) { c.HighMark, c.HardLimit = 10, 200 }, func(s *script) {
			f := frames1(8, "", 100)
			for range 100 {
				s.hears(f[0])
				s.sent = nil
				s.hears(f[1:]...)
				s.sent = nil
			}
			if s.e.queue.level > 200+100+overhead {
				s.t.Fatalf("%d bytes wait to be read", s.e.queue.level)
			}
			s.inFlight = nil
			s.readsMessage(100).readsMessage(100).readFails(ReceiverFull)
		}},
		{"Open says what was lost as Read does", two, func(s *script) {
			s.hears("01 01", "01 02", "01 03").opens(1).reads("01").opens(1).reads("02")
			if info, ok := s.e.Open(); !ok || info.Why != ReceiverFull {
				s.t.Fatalf("Open: code %v, ok %v", info.Why, ok)
			}
		}},
	})
}
