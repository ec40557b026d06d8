package engine

import "testing"

func TestFullDuplex(t *testing.T) {
	play(t, []scenario{
		{"a message each way at once", nil, func(s *script) {
			s.send(20).sends("10 14 01 02 03 04 05 06")
			s.hears("10 14 01 02 03 04 05 06").sends("30 00 00 CC CC CC CC CC")
			s.hears("30 01 00").sends("21 07 08 09 0A 0B 0C 0D")
			s.hears("21 07 08 09 0A 0B 0C 0D")
			s.hears("30 01 00").sends("22 0E 0F 10 11 12 13 14").done(OK)
			s.hears("22 0E 0F 10 11 12 13 14").readsMessage(20).idle()
		}},
		{"a flow control overtakes data that waits to be handed over", nil, func(s *script) {
			s.send(8)
			first := s.sent
			s.sent = nil
			s.named++
			s.e.HandleTransmitted(s.time(), s.named, s.named)
			if len(first) != 1 {
				s.t.Fatal("no First Frame")
			}
			s.gets("30 00 00", "10 14 01 02 03 04 05 06")
			if !s.e.FlowControlPending() {
				s.t.Fatal("FlowControlPending says there is none")
			}
			s.poll()
			s.hands("30 00 00 CC CC CC CC CC", "21 07 08 CC CC CC CC CC")
		}},
		{"the echo of a flow control is not that of a data frame: STmin", nil, func(s *script) {
			// Two flow controls are on their way, so only one is the newest.
			f := frames1(8, "", 27)
			s.send(27).sends(f[0]).hears("30 00 0A").sends(f[1])
			s.at(9 * ms).hears("10 14 01 02 03 04 05 06").hands("30 00 00 CC CC CC CC CC")
			s.hears("10 14 01 02 03 04 05 06").hands("30 00 00 CC CC CC CC CC")
			s.due(10 * ms).hands(f[2])
			s.at(11 * ms).echo().at(12 * ms).echo().at(15 * ms).echo()
			s.due(25 * ms).sends(f[3]).done(OK)
		}},
		{"the echo of a flow control is not that of a data frame: N_Bs", func(c *Config) { c.NBs = 2000 * ms }, func(s *script) {
			s.send(20).sends("10 14 01 02 03 04 05 06")
			s.at(500 * ms).hears("10 08 01 02 03 04 05 06").hands("30 00 00 CC CC CC CC CC")
			s.hears("10 08 01 02 03 04 05 06").hands("30 00 00 CC CC CC CC CC").echo().echo().hears("21 07 08")
			s.due(2000 * ms).done(TimeoutBs)
		}},
		{"the echo of a flow control is not that of a data frame: the message's end", nil, func(s *script) {
			s.send(1).hands("01 01 CC CC CC CC CC CC")
			s.hears("10 14 01 02 03 04 05 06").hands("30 00 00 CC CC CC CC CC")
			s.hears("10 14 01 02 03 04 05 06").hands("30 00 00 CC CC CC CC CC")
			s.e.HandleTransmitted(s.time(), 2, 2)
			s.sending()
			s.e.HandleTransmitted(s.time(), 1, 1)
			s.poll()
			s.done(OK)
		}},
	})
}
