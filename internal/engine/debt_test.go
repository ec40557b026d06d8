package engine

import (
	"testing"
	"time"

	"example.com/isotp/internal/wire"
)

// A flow control that is owed when a message is given up must not be taken for that
// of the next one.
func TestOwedFlowControl(t *testing.T) {
	const (
		cts   = "30 00 00 CC CC CC CC CC"
		wait  = "31 00 00 CC CC CC CC CC"
		ovflw = "32 00 00 CC CC CC CC CC"
		first = "10 14 01 02 03 04 05 06"
		cf1   = "21 07 08 09 0A 0B 0C 0D"
		cf2   = "22 0E 0F 10 11 12 13 14"
	)
	giveUp := func(s *script, why Code) *script {
		s.t.Helper()
		s.e.Abort(s.time(), why)
		s.poll()
		return s.done(why)
	}
	// owing has a message of 20 bytes given up at 50 ms.
	owing := func(s *script) *script {
		s.t.Helper()
		s.send(20).sends(first).at(50 * ms)
		return giveUp(s, Aborted)
	}
	whole := func(s *script) *script { // the next message needs a CTS of its own
		s.t.Helper()
		return s.sends(first).hears(cts).sends(cf1, cf2).done(OK)
	}
	echoes := func(c *Config) { c.Echoes = true }
	wire500 := func(c *Config) { c.Bitrate, c.Echoes = 500_000, true }

	play(t, []scenario{
		{"given up at a deadline: the late CTS lets the First Frame go, not the rest", nil, func(s *script) {
			owing(s).send(20).at(60 * ms).hears(cts).sends(first).sending()
			s.hears(cts).sends(cf1, cf2).done(OK)
		}},
		{"the late CTS comes before the next message: it owes nothing", nil, func(s *script) {
			owing(s).at(60*ms).hears(cts).counts(UnexpectedFlowControl, 1).send(20)
			whole(s)
		}},
		{"OVFLW ends it", nil, func(s *script) {
			owing(s).send(20).at(60 * ms).hears(ovflw)
			whole(s)
		}},
		{"a reserved FlowStatus ends it", nil, func(s *script) {
			owing(s).send(20).at(60 * ms).hears("3F 00 00")
			whole(s)
		}},
		{"nothing comes: over after N_Bs", nil, func(s *script) {
			owing(s).send(20).due(1000 * ms)
			whole(s)
		}},
		{"WAITs make it last, each for N_Bs", nil, func(s *script) {
			owing(s)
			for i := range 11 {
				s.at(time.Duration(i+1) * 800 * ms).hears(wait)
			}
			s.send(20).at(9000 * ms).due(9800 * ms)
			whole(s)
		}},
		{"a flow control shorter than 3 bytes changes nothing", nil, func(s *script) {
			owing(s).at(60 * ms).hears("30 00").send(20).due(1000 * ms)
			whole(s)
		}},
		{"after N_Bs nothing is owed", nil, func(s *script) {
			s.send(20).sends(first).due(1000 * ms).done(TimeoutBs).send(20)
			whole(s)
		}},
		{"after OVFLW nothing is owed", nil, func(s *script) {
			s.send(20).sends(first).at(10 * ms).hears(ovflw).done(BufferOverflow).send(20)
			whole(s)
		}},
		{"after a reserved FlowStatus nothing is owed", nil, func(s *script) {
			s.send(20).sends(first).at(10 * ms).hears("35 00 00").done(InvalidFS).send(20)
			whole(s)
		}},
		{"after a WAIT that is refused a CTS is owed", func(c *Config) { c.MaxWaits = 0 }, func(s *script) {
			s.send(20).sends(first).at(100 * ms).hears(wait).done(WaitRefused).send(20).due(1100 * ms)
			whole(s)
		}},
		{"after one WAIT too many a CTS is owed", func(c *Config) { c.MaxWaits = 1 }, func(s *script) {
			s.send(20).sends(first).at(100 * ms).hears(wait).at(200 * ms).hears(wait).done(WaitOverrun).send(20).at(300 * ms).hears(cts)
			whole(s)
		}},
		{"after the source has failed it is owed", nil, func(s *script) {
			s.sendAs(20, message1(20)[:8]).sends(first).at(10 * ms)
			giveUp(s, SourceFailed).send(20).at(60 * ms).hears(cts)
			whole(s)
		}},
		{"given up within a block: nothing is owed", nil, func(s *script) {
			s.send(20).sends(first).hears("30 00 05").sends(cf1).at(3 * ms)
			giveUp(s, Aborted).send(20)
			whole(s)
		}},
		{"given up at the end of a block: it is owed", nil, func(s *script) {
			s.send(20).sends(first).hears("30 01 00").sends(cf1).at(50 * ms)
			giveUp(s, Aborted).send(20).due(1000 * ms)
			whole(s)
		}},
		{"given up before the First Frame: nothing is owed", nil, func(s *script) {
			s.sendAs(20, message1(3))
			giveUp(s, Aborted).send(20)
			whole(s)
		}},
		{"given up with the last frame on its way: nothing is owed", nil, func(s *script) {
			s.send(8).sends("10 08 01 02 03 04 05 06").hears(cts).hands("21 07 08 CC CC CC CC CC")
			giveUp(s, Aborted).send(20)
			s.hands(first).echo().echo().hears(cts).sends(cf1, cf2).done(OK)
		}},
		{"Single Frames neither wait nor clear it", nil, func(s *script) {
			owing(s).send(1).sends("01 01 CC CC CC CC CC CC").done(OK).send(20).due(1000 * ms)
			whole(s)
		}},
		{"the frame is withdrawn before the bus has it: nothing is owed", nil, func(s *script) {
			s.send(20).hands(first).at(50 * ms)
			giveUp(s, Aborted).send(20)
			s.e.HandleWithdrawn(1)
			s.poll()
			s.hands(first)
		}},
		{"the frame reaches the bus late: N_Bs from then", nil, func(s *script) {
			s.send(20).hands(first).at(50 * ms)
			giveUp(s, Aborted).at(600 * ms).echo().send(20).due(1600 * ms)
			whole(s)
		}},
		{"it is not known whether the frame reaches the bus: N_As and N_Bs", nil, func(s *script) {
			s.send(20).hands(first).at(50 * ms)
			giveUp(s, Aborted).send(20).due(2000 * ms).hands(first)
		}},
		{"not on the wire within N_As: N_Bs more", nil, func(s *script) {
			s.send(20).hands(first).due(1000 * ms).done(TimeoutA).send(20).due(2000 * ms).hands(first)
		}},
		{"the wait itself given up: another code, and the debt stays", nil, func(s *script) {
			owing(s).send(20).at(100 * ms)
			s.e.Abort(s.time(), Aborted)
			s.poll()
			s.done(FlowControlOwed).counts(FlowControlOwed, 1).send(20).at(200 * ms).hears(cts)
			whole(s)
		}},
		{"the peer in full duplex: its own message goes on", nil, func(s *script) {
			owing(s).send(20).hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08").readsMessage(8)
			s.hears(cts)
			whole(s)
		}},
		{"both give up: our CTS to the peer's message goes out, though ours waits", nil, func(s *script) {
			s.send(20).hands(first).hears("10 08 01 02 03 04 05 06").echo().sends(cts).at(50 * ms)
			giveUp(s, Aborted).send(20).hears("10 08 01 02 03 04 05 06").sends(cts).due(1000 * ms).sends(first)
			s.hears(cts).sends(cf1, cf2).done(OK)
		}},
		{"a CTS that comes before the frame can have left pays nothing", wire500, func(s *script) {
			s.send(20).hands(first)
			giveUp(s, Aborted).hears(cts).echo().send(20).due(1000 * ms).sends(first)
			s.at(1001*ms).hears(cts).sends(cf1, cf2).done(OK)
		}},
		{"CAN FD", fd(64), func(s *script) {
			s.send(100)
			f := frames1(64, "", 100)
			s.sends(f[0]).at(50 * ms)
			giveUp(s, Aborted).send(100).at(60 * ms).hears("30 00 00").sends(f[0]).sending()
			s.hears("30 00 00").sends(f[1]).done(OK)
		}},
		{"echoes: a CTS before that of the newest frame pays if it is the only one on its way", echoes, func(s *script) {
			s.send(20).hands(first).at(5 * ms)
			giveUp(s, Aborted).hears(cts).send(20).hands(first)
		}},
		{"echoes: with several on their way, it pays once that of the last but one has come", echoes, func(s *script) {
			f := frames1(8, "", 6+16*7)
			s.send(6 + 16*7).sends(f[0]).hears("30 08 00").hands(f[1:9]...).at(50 * ms)
			giveUp(s, Aborted).send(20).hears(cts)
			for range 6 {
				s.echo().hears(cts)
			}
			s.echo().hears(cts).hands(first)
		}},
	})

	t.Run("it goes with the pair to another engine", func(t *testing.T) {
		s := newScript(t)
		owing(s)
		next := newScript(t)
		next.now = s.now
		next.e.SetDebt(s.e.Debt(s.time()))
		next.send(20).at(60 * ms).hears(cts)
		whole(next)
	})
	t.Run("and follows the frame that the first one has handed over", func(t *testing.T) {
		s := newScript(t)
		s.send(20).hands(first).at(50 * ms)
		giveUp(s, Aborted)
		next := newScript(t)
		next.now = s.now
		next.e.SetDebt(s.e.Debt(s.time()))
		s.at(100 * ms).echo()
		next.at(100 * ms).send(20).due(1100 * ms)
		whole(next)
	})
	t.Run("without an engine it is settled by the flow control alone", func(t *testing.T) {
		d := NewDebt(start.Add(time.Second), time.Second)
		d.HandleFlowControl(start.Add(900*ms), wire.Wait)
		if d.Over(start.Add(1899*ms)) || d.Until() != start.Add(1900*ms) {
			t.Errorf("WAIT makes it last until %v", d.Until().Sub(start))
		}
		d.HandleFlowControl(start.Add(time.Second), wire.ContinueToSend)
		if !d.Over(start.Add(time.Second)) {
			t.Error("CTS does not end it")
		}
	})
}

// A flow control answers frames that have reached the wire.
func TestFlowControlBeforeItsTime(t *testing.T) {
	f := frames1(8, "", 6+16*7)
	const block = "30 08 00 CC CC CC CC CC"
	twice := func(s *script) {
		s.t.Helper()
		s.send(6 + 16*7).sends(f[0]).at(ms).hears(block).hands(f[1:9]...)
	}
	echoes := func(c *Config) { c.Echoes = true }
	wireRate := func(c *Config) { c.Bitrate = 500_000 }
	play(t, []scenario{
		{"with echoes: not while more than one frame is on its way", echoes, func(s *script) {
			twice(s)
			s.hears(block).counts(UnexpectedFlowControl, 1)
			for range 6 {
				s.echo()
			}
			s.hears(block).counts(UnexpectedFlowControl, 2).echo().echo()
			s.hears(block).hands(f[9:]...)
		}},
		{"with echoes: it may overtake that of the last one", echoes, func(s *script) {
			twice(s)
			for range 7 {
				s.echo()
			}
			s.hears(block).hands(f[9:]...)
		}},
		{"with the wire's bit rate: not before the frames can have left, whatever the echoes", func(c *Config) { wireRate(c); echoes(c) }, func(s *script) {
			twice(s)
			s.at(2*ms).hears(block).counts(UnexpectedFlowControl, 1)
			s.at(3200 * us).hears(block).hands(f[9:]...) // 8 frames of 230 us and more
		}},
		{"with the wire's bit rate: as soon as they can have left", wireRate, func(s *script) {
			twice(s)
			leaves := s.e.tx.leaves.Sub(start)
			s.at(leaves-1).hears(block).counts(UnexpectedFlowControl, 1).at(leaves).hears(block).hands(f[9:]...)
		}},
		{"without echoes, by the bit rate", wireRate, func(s *script) {
			twice(s)
			s.hears(block).counts(UnexpectedFlowControl, 1).at(3200 * us).hears(block).hands(f[9:]...)
		}},
		{"nothing is known: it counts", nil, func(s *script) {
			twice(s)
			s.hears(block).hands(f[9:]...)
		}},
		{"OVFLW, reserved and WAIT before their time neither end it nor make it last", echoes, func(s *script) {
			twice(s)
			s.hears("32 00 00", "3A 00 00", "31 00 00").sending().counts(UnexpectedFlowControl, 3)
			for range 8 {
				s.echo()
			}
			s.hears(block).hands(f[9:]...)
		}},
		{"before the First Frame can have left", wireRate, func(s *script) {
			s.send(6+16*7).hands(f[0]).hears(block).counts(UnexpectedFlowControl, 1)
			s.at(100*us).hears(block).counts(UnexpectedFlowControl, 2).at(300 * us).hears(block).hands(f[1:9]...)
		}},
	})
}
