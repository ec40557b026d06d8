package engine

import (
	"fmt"
	"testing"
)

func TestAbort(t *testing.T) {
	f := frames1(8, "", 27)
	abort := func(s *script) *script {
		s.t.Helper()
		s.e.Abort(s.time(), Aborted)
		s.poll()
		return s.done(Aborted).idle()
	}
	again := func(s *script) { // the next message is as good as any
		s.send(8).sends("10 08 01 02 03 04 05 06").hears("30 00 00").sends("21 07 08 CC CC CC CC CC").done(OK)
	}
	play(t, []scenario{
		{"idle: nothing happens", nil, func(s *script) {
			s.e.Abort(s.time(), Aborted)
			s.poll()
			if s.event != 0 {
				s.t.Fatalf("events %b", s.event)
			}
			again(s)
		}},
		{"with the Single Frame on its way", nil, func(s *script) {
			s.send(1).hands("01 01 CC CC CC CC CC CC")
			abort(s).echo()
			again(s)
		}},
		{"before the First Frame", nil, func(s *script) {
			s.sendAs(20, message1(3))
			abort(s)
			again(s)
		}},
		{"while a flow control is awaited", nil, func(s *script) {
			s.send(27).sends(f[0])
			abort(s).hears("30 00 00").counts(UnexpectedFlowControl, 1)
			again(s)
		}},
		{"within a block, between two frames", nil, func(s *script) {
			s.send(27).sends(f[0]).hears("30 00 0A").sends(f[1])
			abort(s)
			again(s)
		}},
		{"within a block, with frames on their way", nil, func(s *script) {
			s.send(27).sends(f[0]).hears("30 00 00").hands(f[1:]...)
			abort(s).echo().echo().echo()
			again(s)
		}},
		{"while the source is slow", nil, func(s *script) {
			s.sendAs(27, message1(7)).sends(f[0]).hears("30 00 00")
			abort(s)
			again(s)
		}},
	})

	t.Run("the echoes of an aborted message do not count for the next one", func(t *testing.T) {
		s := newScript(t)
		s.send(27).sends(f[0]).hears("30 00 00").hands(f[1:]...)
		s.e.Abort(s.time(), Aborted)
		s.poll()
		s.done(Aborted)
		s.send(1).hands("01 01 CC CC CC CC CC CC")
		s.echo().echo().echo().sending().echo().done(OK)
	})
	t.Run("frames of an aborted message are withdrawn, those of the next one and the newest flow control are not", func(t *testing.T) {
		s := newScript(t)
		s.send(27).sends(f[0]).hears("30 00 00").hands(f[1:]...) // 2, 3, 4
		for n := uint32(2); n <= 4; n++ {
			if s.e.Withdrawn(n) {
				t.Fatalf("frame %d is withdrawn though its message is being sent", n)
			}
		}
		s.e.Abort(s.time(), Aborted)
		if !s.e.Withdrawn(2) || !s.e.Withdrawn(4) {
			t.Fatal("frames of an aborted message are not withdrawn")
		}
		s.hears("10 14 01 02 03 04 05 06").hands("30 00 00 CC CC CC CC CC") // 5
		s.send(1).hands("01 01 CC CC CC CC CC CC")                          // 6
		for n := uint32(2); n <= 6; n++ {
			if got, want := s.e.Withdrawn(n), n <= 4; got != want {
				t.Fatalf("frame %d: withdrawn is %v, want %v", n, got, want)
			}
		}
		if s.e.Handed() != 6 {
			t.Fatalf("Handed is %d, want 6", s.e.Handed())
		}
	})
	t.Run("a flow control is withdrawn with its reception", func(t *testing.T) {
		s := newScript(t)
		s.hears("10 14 01 02 03 04 05 06").hands("30 00 00 CC CC CC CC CC")
		s.hears("01 AA")
		if !s.e.Withdrawn(1) {
			t.Fatal("a CTS for a reception that has ended may still be sent")
		}
	})
	t.Run("an OVFLW is not withdrawn, though there is no reception", func(t *testing.T) {
		s := newScript(t, func(c *Config) { c.MaxMessageSize = 10 })
		s.reading(ReadMessages).hears("10 14 01 02 03 04 05 06").hands("32 00 00 CC CC CC CC CC")
		if s.e.Withdrawn(1) {
			t.Fatal("an OVFLW was withdrawn")
		}
	})
}

func TestFrameNumbersWrap(t *testing.T) {
	for before := range uint32(12) {
		t.Run(fmt.Sprintf("%d frames before 2^32", before), func(t *testing.T) {
			s := newScript(t)
			s.e.handed = -before - 1
			s.e.tx.base, s.named = s.e.handed, s.e.handed
			f := frames1(8, "", 20)
			s.send(20).sends(f[0]).hears("30 01 00").hands(f[1])
			s.hears("10 14 01 02 03 04 05 06").hands("30 00 00 CC CC CC CC CC")
			for n := s.named - 1; n != s.named+1; n++ {
				if s.e.Withdrawn(n) {
					t.Fatalf("frame %d is withdrawn", n)
				}
			}
			s.echo().echo().hears("30 00 00").hands(f[2])
			s.hears(f[1]).hears(f[2]).readsMessage(20)
			s.echo().done(OK)
			s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK)
			s.send(2).sends("02 01 02 CC CC CC CC CC").done(OK).idle()
		})
	}
	t.Run("2^32 frames without any flow control", func(t *testing.T) {
		s := newScript(t)
		s.e.handed = 1<<32 - 1
		s.named = s.e.handed
		s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK)
	})
	t.Run("2^32 frames after a flow control", func(t *testing.T) {
		s := newScript(t)
		s.hears("10 08 01 02 03 04 05 06").sends("30 00 00 CC CC CC CC CC").hears("21 07 08").readsMessage(8) // frame 1
		s.e.handed = 1<<32 - 1
		s.named = s.e.handed
		s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK) // frame 0
		s.send(1).sends("01 01 CC CC CC CC CC CC").done(OK) // frame 1 again
	})
}

func TestStalledBus(t *testing.T) {
	play(t, []scenario{
		{"the transmission ends with N_TIMEOUT_A", nil, func(s *script) {
			s.send(20).sends("10 14 01 02 03 04 05 06")
			s.e.HandleStalled(s.time())
			s.poll()
			s.done(TimeoutA).idle()
		}},
		{"a reception whose flow control waits ends too", nil, func(s *script) {
			s.gets("10 14 01 02 03 04 05 06")
			s.e.HandleStalled(s.time())
			s.poll()
			s.idle().counts(TimeoutA, 1)
		}},
		{"an OVFLW that waits is forgotten", func(c *Config) { c.MaxMessageSize = 10 }, func(s *script) {
			s.reading(ReadMessages)
			s.gets("10 14 01 02 03 04 05 06")
			s.e.HandleStalled(s.time())
			if s.e.FlowControlPending() {
				s.t.Fatal("it is still to be sent")
			}
			s.poll()
			s.idle()
		}},
		{"a reception that sends nothing goes on", nil, func(s *script) {
			s.hears("10 08 01 02 03 04 05 06").sends("30 00 00 CC CC CC CC CC")
			s.e.HandleStalled(s.time())
			s.hears("21 07 08").readsMessage(8)
		}},
	})
}

// Retract is for a message of which nothing was given out.
func TestRetract(t *testing.T) {
	s := newScript(t)
	retract := func(want bool) {
		t.Helper()
		if got := s.e.Retract(); got != want {
			t.Errorf("at %v: retracted: %v", s.now, got)
		}
	}
	retract(false)
	s.sendAs(20, message1(3))
	retract(true)
	if s.e.Sending() || s.e.SendResult() != Aborted || s.e.Stats().SendsAborted != 0 {
		t.Errorf("sending: %v, %v, %+v", s.e.Sending(), s.e.SendResult(), s.e.Stats())
	}
	s.idle().send(20).sends("10 14 01 02 03 04 05 06")
	retract(false)
	s.sending().hears(cts).sends("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14").done(OK)
	retract(false)
	if s.e.SendResult() != OK {
		t.Errorf("a message that was sent ends with %v", s.e.SendResult())
	}
	s.send(1).hands("01 01 CC CC CC CC CC CC")
	retract(false)
	if !s.e.Started() {
		t.Error("a message of one byte that was handed over has not started")
	}
}

// A frame that is refused after its message was aborted is counted, and changes nothing else.
func TestRefusedFrameOfAnEndedMessageIsCounted(t *testing.T) {
	s := newScript(t)
	s.send(1).hands("01 01 CC CC CC CC CC CC")
	s.e.Abort(s.time(), Aborted)
	s.e.HandleRefused(s.time(), 1)
	s.poll()
	s.done(Aborted).counts(Refused, 1)
}

// Frames of an earlier message, and flow controls, are none of the one under way.
func TestTransmits(t *testing.T) {
	s := newScript(t)
	s.send(1).hands("01 01 CC CC CC CC CC CC")
	s.e.Abort(s.time(), Aborted)
	s.poll()
	s.hears("10 08 01 02 03 04 05 06").hands(cts).send(20).hands("10 14 01 02 03 04 05 06")
	for number, want := range map[uint32]bool{1: false, 2: false, 3: true} {
		if got := s.e.Transmits(number); got != want {
			t.Errorf("frame %d: %v", number, got)
		}
	}
	s.e.Abort(s.time(), Aborted)
	s.poll()
	if s.e.Transmits(3) {
		t.Error("it does when it is given up")
	}
}
