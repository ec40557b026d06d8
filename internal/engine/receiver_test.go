package engine

import (
	"fmt"
	"testing"
)

const (
	cts   = "30 00 00 CC CC CC CC CC"
	wft   = "31 00 00 CC CC CC CC CC"
	ovflw = "32 00 00 CC CC CC CC CC"
)

func TestReceiveSingleFrame(t *testing.T) {
	play(t, []scenario{
		{"SF/receive/1 to 7 bytes (9.6.2.1)", nil, func(s *script) {
			s.hears("01 AA").reads("AA").hears("07 01 02 03 04 05 06 07").readsMessage(7).idle()
		}},
		{"SF/receive/padding is not part of the message", nil, func(s *script) {
			s.hears("02 AA BB 55 55 55 55 55").reads("AA BB")
		}},
		{"SF/receive/SF_DL 0 in a frame of 8 bytes: ignored (9.6.2.2)", nil, func(s *script) {
			s.hears("00 03 AA BB CC DD EE FF").readsNothing().counts(InvalidFrame, 1)
		}},
		{"SF/receive/SF_DL longer than the frame: ignored (9.6.2.2)", nil, func(s *script) {
			s.hears("03 AA BB").readsNothing().counts(InvalidFrame, 1)
		}},
		{"SF/receive/SF_DL 8 to 15: ignored (9.6.2.2)", nil, func(s *script) {
			for dl := 8; dl <= 15; dl++ {
				s.hears(fmt.Sprintf("0%X 01 02 03 04 05 06 07", dl))
			}
			s.readsNothing().counts(InvalidFrame, 8)
		}},
		{"SF/receive/CAN FD: the escape", nil, func(s *script) {
			s.hears("00 08 01 02 03 04 05 06 07 08 CC CC").readsMessage(8)
			s.hears("00 3E " + text(message1(62))).readsMessage(62)
		}},
		{"SF/receive/CAN FD: a longer frame than needed is accepted", nil, func(s *script) {
			s.hears("00 01 AA CC CC CC CC CC CC CC CC CC").reads("AA")
		}},
		{"SF/receive/CAN FD: more than 8 bytes without the escape: ignored (9.6.2.2)", nil, func(s *script) {
			s.hears("07 01 02 03 04 05 06 07 CC CC CC CC").readsNothing().counts(MissingEscape, 1)
		}},
		{"SF/receive/CAN FD: escaped SF_DL 0 or longer than the frame: ignored", nil, func(s *script) {
			s.hears("00 00 CC CC CC CC CC CC CC CC CC CC", "00 0B 01 02 03 04 05 06 07 08 09 0A").readsNothing().counts(InvalidFrame, 2)
		}},
		{"SF/receive/the message says when it came, and whether to the functional address", nil, func(s *script) {
			s.at(7 * ms).hears("01 AA")
			if info := s.readsInfo("AA"); info != (Info{
				Size: 1, First: start.Add(7 * ms), Last: start.Add(7 * ms),
				FrameFirst: start.Add(7 * ms), FrameLast: start.Add(7 * ms), End: true,
			}) {
				s.t.Fatalf("info is %+v", info)
			}
			s.hearsFunctional("01 BB")
			if info := s.readsInfo("BB"); !info.Functional {
				s.t.Fatalf("info is %+v", info)
			}
		}},
	})
}

func TestReceiveFirstFrame(t *testing.T) {
	play(t, []scenario{
		{"FF/receive/8 bytes, the smallest FF_DL: CTS, then the message (9.6.3.1)", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08").readsMessage(8).idle()
		}},
		{"FF/receive/FF_DL 7 and below: ignored, no flow control (9.6.3.2)", nil, func(s *script) {
			for dl := 1; dl <= 7; dl++ {
				s.hears(fmt.Sprintf("10 %02X 01 02 03 04 05 06", dl))
			}
			s.idle().counts(InvalidFrame, 7)
		}},
		{"FF/receive/CAN FD: the smallest FF_DL is RX_DL - 1", nil, func(s *script) {
			s.hears("10 0A 01 02 03 04 05 06 07 08 09 0A").idle().counts(InvalidFrame, 1)
			s.hears("10 0B 01 02 03 04 05 06 07 08 09 0A").sends(cts).hears("21 0B").readsMessage(11)
		}},
		{"FF/receive/shorter than 8 bytes: ignored", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05", "10 14", "10").idle().counts(InvalidFirstFrameLength, 3)
		}},
		{"FF/receive/a length that no DLC has: ignored", nil, func(s *script) {
			s.hears("10 20 01 02 03 04 05 06 07", "10 20 01 02 03 04 05 06 07 08 09 0A 0B").idle().counts(InvalidFirstFrameLength, 2)
		}},
		{"FF/receive/the escape with 4095 bytes or less: ignored (9.6.3.2)", nil, func(s *script) {
			s.hears("10 00 00 00 0F FF 01 02", "10 00 00 00 00 00 01 02").idle().counts(InvalidFrame, 2)
		}},
		{"FF/receive/the escape with 4096 bytes", nil, func(s *script) {
			f := frames1(8, "", 4096)
			s.hears(f[0]).sends(cts).hears(f[1:]...).readsMessage(4096)
		}},
		{"FF/receive/to a group: ignored", nil, func(s *script) {
			s.hearsFunctional("10 14 01 02 03 04 05 06").idle().counts(FunctionalFirstFrame, 1)
		}},
		{"FF/receive/an ignored one does not end a running reception", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("10 07 01 02 03 04 05 06", "10 14 01 02 03").hearsFunctional("10 14 01 02 03 04 05 06")
			s.hears("21 07 08").readsMessage(8)
		}},
		{"FF/receive/longer than the limit: OVFLW (9.6.5.1)", func(c *Config) { c.MaxMessageSize = 100 }, func(s *script) {
			s.reading(ReadMessages).hears("10 65 01 02 03 04 05 06").sends(ovflw).idle().readsNothing().counts(MessageTooLong, 1)
			f := frames1(8, "", 100)
			s.hears(f[0]).sends(cts).hears(f[1:]...).readsMessage(100)
		}},
		{"FF/receive/2^32-1 bytes: OVFLW, and no memory is taken", nil, func(s *script) {
			s.reading(ReadMessages).hears("10 00 FF FF FF FF 01 02").sends(ovflw).idle()
		}},
		{"FF/receive/2^32-1 bytes without a limit: memory grows with what comes only", func(c *Config) { c.MaxMessageSize = 1<<32 - 1 }, func(s *script) {
			const block = "30 FF 00 CC CC CC CC CC"
			s.reading(ReadMessages).hears("10 00 FF FF FF FF 01 02").sends(block)
			for i := range 1000 {
				s.hears(fmt.Sprintf("%02X 01 02 03 04 05 06 07", 0x20|(i+1)&0xF))
				if (i+1)%255 == 0 {
					s.sends(block)
				}
			}
			if n := cap(s.e.rx.msg.buf); n > 4*7002 && n > maxPooled {
				s.t.Fatalf("the buffer has %d bytes for 7002", n)
			}
		}},
	})
}

func TestReceiveConsecutiveFrames(t *testing.T) {
	play(t, []scenario{
		{"CF/receive/SN wraps from 15 to 0", nil, func(s *script) {
			f := frames1(8, "", 4095)
			s.hears(f[0]).sends(cts).hears(f[1:]...).readsMessage(4095)
		}},
		{"CF/receive/wrong SN aborts the reception (9.6.4.4)", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends(cts).hears("21 07 08 09 0A 0B 0C 0D").hears("23 0E 0F 10 11 12 13 14")
			s.idle().readsNothing().counts(WrongSN, 1)
			s.hears("22 0E 0F 10 11 12 13 14").counts(UnexpectedConsecutive, 1).readsNothing()
		}},
		{"CF/receive/the same SN twice aborts the reception", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends(cts).hears("21 07 08 09 0A 0B 0C 0D", "21 07 08 09 0A 0B 0C 0D").idle().counts(WrongSN, 1)
		}},
		{"CF/receive/SN 0 first aborts the reception", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends(cts).hears("20 07 08 09 0A 0B 0C 0D").idle().counts(WrongSN, 1)
		}},
		{"CF/receive/idle: ignored (9.8.3)", nil, func(s *script) {
			s.hears("21 01 02 03 04 05 06 07").idle().readsNothing().counts(UnexpectedConsecutive, 1)
		}},
		{"CF/receive/to a group: ignored", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hearsFunctional("22 07 08").hears("21 07 08").readsMessage(8)
		}},
		{"CF/receive/without data: ignored", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21").counts(InvalidFrame, 1).hears("21 07 08").readsMessage(8)
		}},
		{"CF/receive/shorter than RX_DL and not the last: ignored, N_Cr goes on", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends(cts).at(500*ms).hears("21 07 08 09 0A 0B 0C").counts(ChangedFrameLength, 1)
			s.due(1000*ms).idle().counts(TimeoutCr, 1)
		}},
		{"CF/receive/longer than RX_DL: ignored", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends(cts).hears("21 07 08 09 0A 0B 0C 0D 0E 0F 10 11").counts(ChangedFrameLength, 1)
			s.hears("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14").readsMessage(20)
		}},
		{"CF/receive/the last is longer than RX_DL: ignored", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08 CC CC CC CC CC CC CC CC CC").counts(ChangedFrameLength, 1)
			s.hears("21 07 08 CC CC CC CC CC").readsMessage(8)
		}},
		{"CF/receive/the last may have padding or not", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08").readsMessage(8)
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08 55 55").readsMessage(8)
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08 AA AA AA AA AA").readsMessage(8)
		}},
		{"CF/receive/the last is too short for what is left: ignored", nil, func(s *script) {
			s.hears("10 09 01 02 03 04 05 06").sends(cts).hears("21 07 08").counts(ChangedFrameLength, 1).hears("21 07 08 09").readsMessage(9)
		}},
		{"CF/receive/after the message's end: ignored", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08").readsMessage(8).hears("22 09 0A").idle().readsNothing()
		}},
		{"CF/receive/the first one may come before the echo of the CTS", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").hands(cts).at(2 * ms).hears("21 07 08 09 0A 0B 0C 0D").at(3 * ms).echo()
			s.at(4 * ms).hears("22 0E 0F 10 11 12 13 14").readsMessage(20)
		}},
		{"CF/receive/the message says when its first and its last frame came", nil, func(s *script) {
			s.at(1 * ms).hears("10 08 01 02 03 04 05 06").sends(cts).at(5 * ms).hears("21 07 08")
			if info := s.readsInfo(text(message1(8))); info != (Info{
				Size: 8, First: start.Add(1 * ms), Last: start.Add(5 * ms),
				FrameFirst: start.Add(1 * ms), FrameLast: start.Add(5 * ms), End: true,
			}) {
				s.t.Fatalf("info is %+v", info)
			}
		}},
	})
	for _, size := range []int{8, 12, 16, 20, 24, 32, 48, 64} {
		t.Run(fmt.Sprintf("CF/receive/RX_DL %d is the First Frame's length", size), func(t *testing.T) {
			s := newScript(t)
			f := frames1(size, "", 300)
			s.hears(f[0]).sends(cts).hears(f[1:]...).readsMessage(300)
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08").readsMessage(8) // and the next one's is its own
		})
	}
}

func TestReceiveBlocks(t *testing.T) {
	for _, bs := range []int{1, 2, 8, 16, 17, 255} {
		t.Run(fmt.Sprintf("FC/receive/BS %d: a flow control after that many Consecutive Frames", bs), func(t *testing.T) {
			s := newScript(t, func(c *Config) { c.BlockSize, c.STmin = uint8(bs), 0xF3 })
			grant := fmt.Sprintf("30 %02X F3 CC CC CC CC CC", bs)
			f := frames1(8, "", 4095)
			s.hears(f[0])
			for f = f[1:]; len(f) > 0; {
				s.sends(grant)
				n := min(bs, len(f))
				s.hears(f[:n]...)
				f = f[n:]
			}
			s.readsMessage(4095).idle()
		})
	}
	play(t, []scenario{
		{"FC/receive/none after the last Consecutive Frame, also where it fills a block", func(c *Config) { c.BlockSize = 2 }, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends("30 02 00 CC CC CC CC CC")
			s.hears("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14").readsMessage(20).idle()
		}},
		{"FC/receive/without padding it has 3 bytes", func(c *Config) { c.MinFrameSize = 0 }, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends("30 00 00")
		}},
		{"FC/receive/CAN FD: it is as short as in classic CAN", fd(64), func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts)
		}},
		{"FC/receive/what a peer says in the frames' padding has no effect", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08 30 00 00 31 01").readsMessage(8)
		}},
	})
}

func TestReceiveTimeouts(t *testing.T) {
	play(t, []scenario{
		{"Cr/receive/it runs from the moment the CTS is on the wire (Table 16)", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").hands(cts).at(300*ms).echo().due(1300*ms).idle().readsNothing().counts(TimeoutCr, 1)
		}},
		{"Cr/receive/it restarts with each Consecutive Frame", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends(cts).at(999*ms).hears("21 07 08 09 0A 0B 0C 0D").due(1999*ms).idle().counts(TimeoutCr, 1)
		}},
		{"Cr/receive/a frame at the last moment is in time", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).at(1000*ms - 1).hears("21 07 08").readsMessage(8).idle()
		}},
		{"Cr/receive/it restarts with the CTS of the next block", func(c *Config) { c.BlockSize = 1 }, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends("30 01 00 CC CC CC CC CC").at(100 * ms).hears("21 07 08 09 0A 0B 0C 0D")
			s.hands("30 01 00 CC CC CC CC CC").at(600*ms).echo().due(1600*ms).counts(TimeoutCr, 1)
		}},
		{"Cr/receive/ignored frames do not restart it", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends(cts).at(500*ms).hears("30 00 00", "40 01", "10 07 01 02 03 04 05 06").hearsFunctional("01 3E").due(1000*ms).counts(TimeoutCr, 1)
		}},
		{"Cr/receive/a message that comes after it is as good as any", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").sends(cts).due(1000 * ms)
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08").readsMessage(8)
		}},
		{"Ar/receive/a CTS that does not get on the wire ends the reception: N_TIMEOUT_A", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").hands(cts).due(1000*ms).idle().counts(TimeoutA, 1)
		}},
		{"Ar/receive/its echo after that changes nothing", nil, func(s *script) {
			s.hears("10 14 01 02 03 04 05 06").hands(cts).due(1000 * ms).echo().idle()
		}},
		{"Ar/receive/an OVFLW that does not get on the wire does no harm", func(c *Config) { c.MaxMessageSize = 10 }, func(s *script) {
			s.reading(ReadMessages).hears("10 14 01 02 03 04 05 06").hands(ovflw).due(1000*ms).idle().counts(TimeoutA, 0)
		}},
	})
}

func TestReceiveInterrupted(t *testing.T) {
	play(t, []scenario{
		{"UNEXP_PDU/receive/a First Frame ends the reception and begins its own (9.8.3)", nil, func(s *script) {
			s.hears("10 14 AA AA AA AA AA AA").sends(cts).hears("21 AA AA AA AA AA AA AA")
			s.hears("10 08 01 02 03 04 05 06").sends(cts).counts(InterruptedByFirstFrame, 1).hears("21 07 08").readsMessage(8).readsNothing()
		}},
		{"UNEXP_PDU/receive/a Single Frame ends the reception (9.8.3)", nil, func(s *script) {
			s.hears("10 14 AA AA AA AA AA AA").sends(cts).hears("01 01").reads("01").idle().counts(InterruptedBySingleFrame, 1)
			s.hears("21 AA AA AA AA AA AA AA").counts(UnexpectedConsecutive, 1)
		}},
		{"UNEXP_PDU/receive/a functional Single Frame does not: it is delivered beside", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hearsFunctional("02 3E 80").reads("3E 80").hears("21 07 08").readsMessage(8)
		}},
		{"UNEXP_PDU/receive/a flow control does not", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("30 00 00", "32 00 00").hears("21 07 08").readsMessage(8)
		}},
		{"UNEXP_PDU/receive/an unknown N_PCI does not: ignored (9.8.3)", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts)
			for pci := 4; pci <= 15; pci++ {
				s.hears(fmt.Sprintf("%X1 00 00", pci))
			}
			s.counts(InvalidFrame, 12).hears("21 07 08").readsMessage(8)
		}},
		{"UNEXP_PDU/receive/a malformed Single Frame does not", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("00", "05 01", "0F 01 02 03 04 05 06 07", "").hears("21 07 08").readsMessage(8)
		}},
		{"UNEXP_PDU/receive/the echo of the old CTS does not start the new reception's N_Cr", nil, func(s *script) {
			s.hears("10 14 AA AA AA AA AA AA").hands(cts).at(100 * ms).hears("10 08 01 02 03 04 05 06").hands(cts)
			s.at(200 * ms).echo()   // of the old
			s.due(1100 * ms).idle() // N_Ar of the new
			s.counts(TimeoutA, 1)
		}},
		{"UNEXP_PDU/receive/an OVFLW not yet sent does not hit the message after", func(c *Config) { c.MaxMessageSize, c.HighMark = 10, 0 }, func(s *script) {
			s.reading(ReadMessages).hears("01 AA") // so that CTS is held back
			s.gets("10 14 01 02 03 04 05 06", "10 08 01 02 03 04 05 06")
			s.poll()
			s.reads("AA").sends(cts).hears("21 07 08").readsMessage(8)
		}},
	})
}
