package engine

import (
	"fmt"
	"testing"
	"time"
)

func TestSendSingleFrame(t *testing.T) {
	play(t, []scenario{
		{"SF/send/1 byte, padded to 8 (10.4.2)", nil, func(s *script) {
			s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK).idle()
		}},
		{"SF/send/7 bytes is the longest (9.6.2.1)", nil, func(s *script) {
			s.send(7).sends("07 01 02 03 04 05 06 07").done(OK)
		}},
		{"SF/send/without padding the frame is as short as the message", func(c *Config) { c.MinFrameSize = 0 }, func(s *script) {
			s.send(3).sends("03 01 02 03").done(OK)
		}},
		{"SF/send/CAN FD: 7 bytes have SF_DL in the first byte (9.6.2.1)", fd(64), func(s *script) {
			s.send(7).sends("07 01 02 03 04 05 06 07").done(OK)
		}},
		{"SF/send/CAN FD: 8 bytes have the escape and are padded to a DLC (9.6.2.2)", fd(64), func(s *script) {
			s.send(8).sends("00 08 01 02 03 04 05 06 07 08 CC CC").done(OK)
		}},
		{"SF/send/CAN FD: TX_DL - 2 bytes is the longest", fd(20), func(s *script) {
			s.send(18).sends("00 12 " + text(message1(18))).done(OK)
		}},
		{"SF/send/CAN FD: MinFrameSize above 8 makes the escape", func(c *Config) { fd(64)(c); c.MinFrameSize = 12 }, func(s *script) {
			s.send(2).sends("00 02 01 02 CC CC CC CC CC CC CC CC").done(OK)
		}},
		{"SF/send/it is sent when it is on the wire, not before (N_As)", nil, func(s *script) {
			s.send(1).hands("01 01 CC CC CC CC CC CC").sending()
			s.at(999 * ms).sending().echo().done(OK).idle()
		}},
		{"SF/send/N_As passes without the frame on the wire: N_TIMEOUT_A", nil, func(s *script) {
			s.at(5 * ms).send(1).hands("01 01 CC CC CC CC CC CC")
			s.due(1005 * ms).done(TimeoutA).idle()
		}},
		{"SF/send/its echo after N_TIMEOUT_A changes nothing", nil, func(s *script) {
			s.send(1).hands("01 01 CC CC CC CC CC CC").due(1000 * ms).done(TimeoutA)
			s.send(2).hands("02 01 02 CC CC CC CC CC")
			s.echo().sending() // of the first
			s.echo().done(OK)
		}},
		{"SF/send/a flow control for it is ignored", nil, func(s *script) {
			s.send(1).hands("01 01 CC CC CC CC CC CC")
			s.hears("32 00 00").counts(UnexpectedFlowControl, 1).sending().echo().done(OK)
		}},
	})
}

func TestSendFirstFrame(t *testing.T) {
	play(t, []scenario{
		{"FF/send/8 bytes is the shortest segmented message (9.6.3.1)", nil, func(s *script) {
			s.send(8).sends("10 08 01 02 03 04 05 06")
			s.hears("30 00 00").sends("21 07 08 CC CC CC CC CC").done(OK).idle()
		}},
		{"FF/send/4095 bytes is the longest of 12 bits (9.6.3.1)", nil, func(s *script) {
			s.send(4095).sends("1F FF 01 02 03 04 05 06")
		}},
		{"FF/send/4096 bytes needs the escape of 32 bits (9.6.3.1)", nil, func(s *script) {
			s.send(4096).sends("10 00 00 00 10 00 01 02").hears("30 01 00").sends("21 03 04 05 06 07 08 09")
		}},
		{"FF/send/2^32-1 bytes", nil, func(s *script) {
			s.sendAs(1<<32-1, message1(9)).sends("10 00 FF FF FF FF 01 02").hears("30 01 00").sends("21 03 04 05 06 07 08 09")
		}},
		{"FF/send/CAN FD: TX_DL - 1 bytes is the shortest, and the frame is full", fd(12), func(s *script) {
			s.send(11).sends("10 0B 01 02 03 04 05 06 07 08 09 0A").hears("30 00 00").sends("21 0B CC CC CC CC CC CC").done(OK)
		}},
		{"FF/send/N_As passes without the frame on the wire: N_TIMEOUT_A", nil, func(s *script) {
			s.send(8).hands("10 08 01 02 03 04 05 06").due(1000 * ms).done(TimeoutA)
		}},
		{"FF/send/N_Bs runs from the moment it is on the wire", nil, func(s *script) {
			s.send(8).hands("10 08 01 02 03 04 05 06").at(300 * ms).echo().due(1300 * ms).done(TimeoutBs).idle()
		}},
		{"FF/send/a flow control may be handled before the echo", nil, func(s *script) {
			s.send(8).hands("10 08 01 02 03 04 05 06").hears("30 00 00").hands("21 07 08 CC CC CC CC CC")
			s.echo().sending().echo().done(OK)
		}},
		{"FF/send/STmin counts from the echo of the Consecutive Frame, not from one of the First Frame that comes late", nil, func(s *script) {
			s.send(20).hands("10 14 01 02 03 04 05 06").hears("30 00 0A").hands("21 07 08 09 0A 0B 0C 0D")
			s.at(1 * ms).echo() // the First Frame's
			s.at(5 * ms).echo().due(15 * ms).sends("22 0E 0F 10 11 12 13 14").done(OK)
		}},
		{"FF/send/N_As runs for each frame by itself", nil, func(s *script) {
			s.send(8).hands("10 08 01 02 03 04 05 06").hears("30 00 00").hands("21 07 08 CC CC CC CC CC")
			s.at(900 * ms).echo().due(1900 * ms).done(TimeoutA)
		}},
	})
}

func TestSendConsecutiveFrames(t *testing.T) {
	play(t, []scenario{
		{"CF/send/SN begins at 1, is 0 after 15, and runs on (9.6.4.4)", nil, func(s *script) {
			f := frames1(8, "", 6+17*7)
			s.send(6 + 17*7).sends(f[0]).hears("30 00 00").sends(f[1:]...).done(OK)
			if f[16][:2] != "20" || f[17][:2] != "21" {
				s.t.Fatalf("the test is wrong: %q", f[16:])
			}
		}},
		{"CF/send/SN runs on across blocks", nil, func(s *script) {
			s.send(6 + 4*7).sends("10 22 01 02 03 04 05 06")
			s.hears("30 02 00").sends("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14")
			s.hears("30 02 00").sends("23 15 16 17 18 19 1A 1B", "24 1C 1D 1E 1F 20 21 22").done(OK)
		}},
		{"CF/send/the last is as short as it can be without padding", func(c *Config) { c.MinFrameSize = 0 }, func(s *script) {
			s.send(14).sends("10 0E 01 02 03 04 05 06").hears("30 00 00").sends("21 07 08 09 0A 0B 0C 0D", "22 0E").done(OK)
		}},
		{"CF/send/CAN FD: the last has the next length that a DLC can say", fd(64), func(s *script) {
			f := frames1(64, "", 62+63+30)
			s.send(62 + 63 + 30).sends(f[0]).hears("30 00 00").sends(f[1:]...).done(OK)
			if n := frame(f[2]).Len; n != 32 {
				s.t.Fatalf("the test is wrong: the last frame has %d bytes", n)
			}
		}},
		{"CF/send/the message is sent when the last is on the wire", nil, func(s *script) {
			s.send(8).sends("10 08 01 02 03 04 05 06").hears("30 00 00").hands("21 07 08 CC CC CC CC CC").sending()
			s.at(400 * ms).sending().echo().done(OK).idle()
		}},
		{"CF/send/the last is not on the wire within N_As: N_TIMEOUT_A", nil, func(s *script) {
			s.send(8).sends("10 08 01 02 03 04 05 06").at(10 * ms).hears("30 00 00").hands("21 07 08 CC CC CC CC CC")
			s.due(1010 * ms).done(TimeoutA)
		}},
		{"CF/send/N_As restarts with every frame that gets on the wire", nil, func(s *script) {
			f := frames1(8, "", 27)
			s.send(27).sends(f[0]).hears("30 00 00").hands(f[1:]...)
			s.at(700 * ms).echo().at(1400 * ms).echo().due(2400 * ms).done(TimeoutA)
		}},
	})
	for _, size := range []int{8, 12, 16, 20, 24, 32, 48, 64} {
		t.Run(fmt.Sprintf("CF/send/TX_DL %d: a message of 300 bytes", size), func(t *testing.T) {
			s := newScript(t, func(c *Config) { c.FD, c.FrameSize = size > 8, size })
			f := frames1(size, "", 300)
			s.send(300).sends(f[0]).hears("30 00 00").sends(f[1:]...).done(OK)
		})
	}
}

func TestSendBlocks(t *testing.T) {
	for _, bs := range []int{1, 2, 8, 15, 16, 17, 254, 255} {
		t.Run(fmt.Sprintf("FC/send/BS %d: that many Consecutive Frames, then a flow control is awaited (9.6.5.3)", bs), func(t *testing.T) {
			s := newScript(t)
			f := frames1(8, "", 4095)
			s.send(4095).sends(f[0])
			for f = f[1:]; len(f) > 0; {
				s.hears(fmt.Sprintf("30 %02X 00", bs))
				n := min(bs, len(f))
				s.sends(f[:n]...)
				f = f[n:]
			}
			s.done(OK)
		})
	}
	play(t, []scenario{
		{"FC/send/BS 0: all the others without another flow control", nil, func(s *script) {
			f := frames1(8, "", 4095)
			s.send(4095).sends(f[0]).hears("30 00 00").sends(f[1:]...).done(OK)
		}},
		{"FC/send/BS 0 in a later flow control: all the others", nil, func(s *script) {
			f := frames1(8, "", 4095)
			s.send(4095).sends(f[0]).hears("30 02 00").sends(f[1:3]...).hears("30 00 00").sends(f[3:]...).done(OK)
		}},
		{"FC/send/N_Bs runs from the end of the block's last frame", nil, func(s *script) {
			f := frames1(8, "", 100)
			s.send(100).sends(f[0]).hears("30 02 00").hands(f[1:3]...).at(100 * ms).echo().at(200 * ms).echo()
			s.due(1200 * ms).done(TimeoutBs)
		}},
		{"FC/send/no flow control is awaited after the last frame, also where it fills a block", nil, func(s *script) {
			s.send(20).sends("10 14 01 02 03 04 05 06").hears("30 02 00")
			s.sends("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14").done(OK).idle()
		}},
		{"FC/send/the flow control may come before the echo of the block's last frame", nil, func(s *script) {
			f := frames1(8, "", 20)
			s.send(20).sends(f[0]).hears("30 01 00").hands(f[1]).hears("30 01 00").hands(f[2]).echo().sending().echo().done(OK)
		}},
	})
}

func TestSendFlowStatus(t *testing.T) {
	wait := func(s *script) *script { return s.send(20).sends("10 14 01 02 03 04 05 06") }
	rest := []string{"21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14"}
	play(t, []scenario{
		{"FC/send/WAIT restarts N_Bs, each time (9.6.5.1)", nil, func(s *script) {
			wait(s)
			s.at(900 * ms).hears("31 00 00").at(1800 * ms).hears("31 00 00").due(2800 * ms).done(TimeoutBs)
		}},
		{"FC/send/WAITs without end are accepted by default", nil, func(s *script) {
			wait(s)
			for i := range 1000 {
				s.at(time.Duration(i+1) * 500 * ms).hears("31 00 00")
			}
			s.hears("30 00 00").sends(rest...).done(OK)
		}},
		{"FC/send/as many WAITs in a row as MaxWaits are accepted", func(c *Config) { c.MaxWaits = 2 }, func(s *script) {
			wait(s)
			s.hears("31 00 00", "31 00 00").sending().hears("30 00 00").sends(rest...).done(OK)
		}},
		{"FC/send/one more is N_WFT_OVRN (9.7)", func(c *Config) { c.MaxWaits = 2 }, func(s *script) {
			wait(s)
			s.hears("31 00 00", "31 00 00").sending().hears("31 00 00").done(WaitOverrun).idle()
		}},
		{"FC/send/CTS resets the count of WAITs", func(c *Config) { c.MaxWaits = 1 }, func(s *script) {
			wait(s)
			s.hears("31 00 00", "30 01 00").sends(rest[0]).hears("31 00 00").sending().hears("30 01 00").sends(rest[1]).done(OK)
		}},
		{"FC/send/MaxWaits 0 accepts no WAIT", func(c *Config) { c.MaxWaits = 0 }, func(s *script) {
			wait(s)
			s.hears("31 00 00").done(WaitRefused).idle()
		}},
		{"FC/send/BS and STmin of a WAIT have no meaning", nil, func(s *script) {
			wait(s)
			s.hears("31 01 7F", "30 00 00").sends(rest...).done(OK)
		}},
		{"FC/send/OVFLW ends the transmission: N_BUFFER_OVFLW (9.6.5.1)", nil, func(s *script) {
			wait(s)
			s.hears("32 00 00").done(BufferOverflow).idle()
		}},
		{"FC/send/idle: ignored", nil, func(s *script) {
			s.hears("30 00 00", "31 00 00", "32 00 00", "35 00 00").counts(UnexpectedFlowControl, 4).idle()
		}},
		{"FC/send/before the First Frame is handed over: ignored", nil, func(s *script) {
			s.sendAs(20, message1(2)).hears("32 00 00").sending().counts(UnexpectedFlowControl, 1)
		}},
		{"FC/send/in mid-block: ignored, OVFLW and reserved ones too", nil, func(s *script) {
			wait(s)
			s.hears("30 00 14").sends(rest[0])
			s.at(5*ms).hears("30 01 7F", "31 00 00", "32 00 00", "3F 00 00").counts(UnexpectedFlowControl, 4).sending()
			s.due(20 * ms).sends(rest[1]).done(OK)
		}},
		{"FC/send/after the last frame: ignored", nil, func(s *script) {
			wait(s)
			s.hears("30 00 00").hands(rest...).hears("32 00 00").sending().echo().echo().done(OK)
		}},
		{"FC/send/shorter than 3 bytes: ignored", nil, func(s *script) {
			wait(s)
			s.hears("30", "30 00", "32", "35 00").counts(InvalidFrame, 4).sending()
			s.hears("30 00 00").sends(rest...).done(OK)
		}},
		{"FC/send/bytes beyond the third have no meaning", nil, func(s *script) {
			wait(s)
			s.hears("30 00 00 FF FF FF FF FF").sends(rest...).done(OK)
		}},
		{"FC/send/sent to a group: ignored", nil, func(s *script) {
			wait(s)
			s.hearsFunctional("30 00 00").hearsFunctional("32 00 00").sending().counts(InvalidFrame, 2)
		}},
	})
	for fs := 3; fs <= 15; fs++ {
		t.Run(fmt.Sprintf("FC/send/reserved FlowStatus %X ends the transmission: N_INVALID_FS (9.6.5.2)", fs), func(t *testing.T) {
			s := newScript(t)
			wait(s).hears(fmt.Sprintf("3%X 00 00", fs)).done(InvalidFS).idle()
		})
	}
}

func TestSendSeparationTime(t *testing.T) {
	for _, row := range []struct {
		stmin uint8
		want  time.Duration
	}{
		{0x01, 1 * ms}, {0x0A, 10 * ms}, {0x7F, 127 * ms},
		{0xF1, 100 * us}, {0xF2, 200 * us}, {0xF3, 300 * us}, {0xF4, 400 * us}, {0xF5, 500 * us},
		{0xF6, 600 * us}, {0xF7, 700 * us}, {0xF8, 800 * us}, {0xF9, 900 * us},
		{0x80, 127 * ms}, {0xA5, 127 * ms}, {0xF0, 127 * ms}, {0xFA, 127 * ms}, {0xFF, 127 * ms},
	} {
		t.Run(fmt.Sprintf("STmin/send/%02X separates Consecutive Frames by %v (9.6.5.4)", row.stmin, row.want), func(t *testing.T) {
			s := newScript(t)
			f := frames1(8, "", 27)
			s.send(27).sends(f[0]).at(3 * ms).hears(fmt.Sprintf("30 00 %02X", row.stmin))
			s.sends(f[1]) // a CTS and the frame after it are not separated
			s.due(3*ms + row.want).hands(f[2])
			// It runs from the moment a frame is on the wire.
			s.at(3*ms + row.want + 70*us).echo()
			s.due(3*ms + row.want + 70*us + row.want).sends(f[3]).done(OK)
			if st := s.e.Stats(); st.Gaps != 2 || st.GapMin != row.want || st.GapMax != row.want || st.GapSum != 2*row.want {
				t.Fatalf("Stats: %d gaps of %v to %v, %v together", st.Gaps, st.GapMin, st.GapMax, st.GapSum)
			}
		})
	}
	play(t, []scenario{
		{"STmin/send/0: no separation, no waiting for echoes", nil, func(s *script) {
			f := frames1(8, "", 27)
			s.send(27).sends(f[0]).hears("30 00 00").hands(f[1:]...)
		}},
		{"STmin/send/it separates frames of different blocks too", nil, func(s *script) {
			f := frames1(8, "", 20)
			s.send(20).sends(f[0]).hears("30 01 14").sends(f[1]).at(5 * ms).hears("30 01 14").due(20 * ms).sends(f[2]).done(OK)
		}},
		{"STmin/send/a CTS that comes later than STmin is obeyed at once", nil, func(s *script) {
			f := frames1(8, "", 20)
			s.send(20).sends(f[0]).hears("30 01 14").sends(f[1]).at(50 * ms).hears("30 01 14").sends(f[2]).done(OK)
			if st := s.e.Stats(); st.Gaps != 0 {
				s.t.Fatalf("the wait for a flow control was counted as a separation: %d", st.Gaps)
			}
		}},
		{"STmin/send/every CTS brings a new one", nil, func(s *script) {
			f := frames1(8, "", 6+6*7)
			s.send(6 + 6*7).sends(f[0]).hears("30 02 0A").sends(f[1]).due(10 * ms).sends(f[2])
			s.at(30 * ms).hears("30 02 F5").sends(f[3]).due(30*ms + 500*us).sends(f[4])
			s.at(60*ms).hears("30 00 00").sends(f[5], f[6]).done(OK)
		}},
		{"STmin/send/with FirstFlowControl the first CTS's BS and STmin hold to the end", func(c *Config) { c.FirstFlowControl = true }, func(s *script) {
			f := frames1(8, "", 6+4*7)
			s.send(6 + 4*7).sends(f[0]).hears("30 02 0A").sends(f[1]).due(10 * ms).sends(f[2])
			s.at(30 * ms).hears("30 00 00").sends(f[3]).due(40 * ms).sends(f[4]).done(OK)
		}},
		{"STmin/send/with FirstFlowControl a WAIT is not the first", func(c *Config) { c.FirstFlowControl = true }, func(s *script) {
			f := frames1(8, "", 6+3*7)
			s.send(6+3*7).sends(f[0]).hears("31 00 00", "30 01 00").sends(f[1])
			s.hears("30 00 00").sends(f[2]).hears("30 00 00").sends(f[3]).done(OK)
		}},
		{"STmin/send/with FirstFlowControl the next message has a first of its own", func(c *Config) { c.FirstFlowControl = true }, func(s *script) {
			f := frames1(8, "", 20)
			s.send(20).sends(f[0]).hears("30 01 00").sends(f[1]).hears("30 01 00").sends(f[2]).done(OK)
			s.send(20).sends(f[0]).hears("30 00 00").sends(f[1:]...).done(OK)
		}},
		{"STmin/send/OverrideSTmin 0: none, whatever the peer asks for", func(c *Config) { c.OverrideSTmin = 0 }, func(s *script) {
			f := frames1(8, "", 27)
			s.send(27).sends(f[0]).hears("30 00 7F").hands(f[1:]...)
		}},
		{"STmin/send/OverrideSTmin 3 ms, whatever the peer asks for", func(c *Config) { c.OverrideSTmin = 3 * ms }, func(s *script) {
			f := frames1(8, "", 20)
			s.send(20).sends(f[0]).hears("30 00 00").sends(f[1]).due(3 * ms).sends(f[2]).done(OK)
		}},
		{"STmin/send/a frame on its way holds back the next one, however long", nil, func(s *script) {
			f := frames1(8, "", 20)
			s.send(20).sends(f[0]).hears("30 00 01").hands(f[1]).at(500 * ms).echo().due(501 * ms).sends(f[2]).done(OK)
		}},
		{"STmin/send/without echoes the end of a frame is said to be in the future", nil, func(s *script) {
			f := frames1(8, "", 20)
			s.send(20).sends(f[0]).hears("30 00 01").hands(f[1])
			s.e.HandleTransmitted(start.Add(250*us), 2, 2) // its time on the wire
			s.poll()
			s.due(1250 * us).sends()
			s.hands(f[2])
		}},
	})
}
