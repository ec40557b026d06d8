package engine

import (
	"fmt"
	"math"
	"testing"
	"time"
)

const (
	// longFirst begins a message of 100,000 bytes.
	longFirst = "10 00 00 01 86 A0 01 02"
	longSize  = 100000
	longBlock = "30 FF 00 CC CC CC CC CC"
	waitFrame = "31 FF 00 CC CC CC CC CC"
)

func TestLongMessagesComeInBlocks(t *testing.T) {
	long := func(c *Config) { c.MaxMessageSize = 1 << 20 }
	play(t, []scenario{
		{"without a Config.BlockSize of 255", long, func(s *script) {
			s.reading(ReadMessages).hears(longFirst).sends(longBlock)
		}},
		{"or of Config.BlockSize", func(c *Config) { long(c); c.BlockSize = 8 }, func(s *script) {
			s.reading(ReadMessages).hears(longFirst).sends("30 08 00 CC CC CC CC CC")
		}},
		{"one of 65535 bytes does not", long, func(s *script) {
			s.hears("10 00 00 00 FF FF 01 02").sends(cts)
		}},
		{"with NeverHold none does: OBD forbids it", func(c *Config) { long(c); c.NeverHold = true }, func(s *script) {
			s.hears(longFirst).sends(cts)
		}},
		{"before the first read they are held up, and taken when messages are read", long, func(s *script) {
			s.hears(longFirst).at(100 * ms).reading(ReadMessages).sends(longBlock)
		}},
		{"the same by parts", long, func(s *script) {
			s.hears(longFirst).at(100 * ms).reading(ReadStreams).sends(longBlock).opens(longSize)
		}},
		{"and refused if no caller reads", func(c *Config) { long(c); c.MaxSendWaits = 1 }, func(s *script) {
			s.hears(longFirst).due(800*ms).sends("31 FF 00 CC CC CC CC CC").due(1600*ms).sends(ovflw).counts(WaitOverrun, 1)
		}},
		{"one longer than MaxMessageSize is refused as soon as messages are read", long, func(s *script) {
			s.hears("10 00 00 10 00 01 01 02").reading(ReadMessages).sends(ovflw)
		}},
		{"an engine that only listens takes them", func(c *Config) { long(c); c.ListenOnly = true }, func(s *script) {
			s.hears(longFirst).hears("21 01 02 03 04 05 06 07")
			if got := s.e.Receiving().Done; got != 9 {
				s.t.Errorf("%d bytes have come", got)
			}
		}},
		{"an unread one does not use up the room of Single Frames", func(c *Config) { long(c); c.HighMark, c.HardLimit = 1000, 4000 }, func(s *script) {
			s.reading(ReadMessages).hearsLong(longFirst, longSize)
			for range 3 {
				s.hears("02 AA BB")
			}
			s.counts(ReceiverFull, 0)
			if _, info, ok := s.e.ReadWhole(make([]byte, longSize), false); !ok || info.Size != longSize {
				s.t.Errorf("read %+v, %v", info, ok)
			}
			s.reads("AA BB").reads("AA BB").reads("AA BB").readsNothing()
		}},
		{"and Single Frames alone are limited", func(c *Config) { c.HighMark, c.HardLimit = 1000, 4000 }, func(s *script) {
			for range 61 { // of 66 bytes each
				s.hears("02 AA BB")
			}
			s.counts(ReceiverFull, 1)
		}},
	})
}

// hearsLong has a long message come that has begun with first. Every CTS is read, none
// checked.
func (s *script) hearsLong(first string, size int) *script {
	s.t.Helper()
	s.hears(first)
	s.sent = nil
	for got, sn := 2, 1; got < size; got, sn = got+7, sn+1 {
		s.hears(fmt.Sprintf("%02X 01 02 03 04 05 06 07", 0x20|sn&0xF))
		s.sent = nil
	}
	return s
}

// sharing returns scripts whose engines share a Budget with room for n long messages.
func sharing(t *testing.T, n, scripts int, configs ...func(*Config)) []*script {
	b := &Budget{Limit: int64(n) * longSize}
	ss := make([]*script, scripts)
	for i := range ss {
		ss[i] = newScript(t, append(configs, func(c *Config) { c.MaxMessageSize = longSize })...)
		ss[i].e.SetBudget(b)
		ss[i].reading(ReadMessages)
	}
	b.Wake = func(e *Engine) {
		for _, s := range ss {
			if &s.e == e {
				s.poll()
			}
		}
	}
	return ss
}

// waitsAt lets the hold of a CTS end in a WAIT.
func (s *script) waitsAt(d time.Duration) *script { return s.due(d).sends(waitFrame) }

func TestBudget(t *testing.T) {
	t.Run("what is beyond it is held up, then refused", func(t *testing.T) {
		ss := sharing(t, 1, 2, func(c *Config) { c.MaxSendWaits = 1; c.NCr = time.Hour })
		ss[0].hears(longFirst).sends(longBlock)
		ss[1].hears(longFirst)
		// 255 frames a second are fast enough.
		ss[1].waitsAt(800 * ms)
		for i := range 254 {
			ss[0].hears(fmt.Sprintf("%02X 01 02 03 04 05 06 07", 0x20|(i+1)&0xF))
		}
		ss[0].now = 1600 * ms
		ss[1].due(1600*ms).sends(ovflw).counts(WaitOverrun, 1).readsNothing()
		ss[0].counts(ReceiverFull, 0)
	})
	t.Run("at 65535 bytes nothing is refused", func(t *testing.T) {
		ss := sharing(t, 1, 3)
		ss[0].hears(longFirst).sends(longBlock)
		ss[1].hears(longFirst)
		ss[2].hears("10 00 00 00 FF FF 01 02").sends(cts)
	})
	t.Run("a message that was read makes room, one that is unread does not", func(t *testing.T) {
		ss := sharing(t, 1, 3)
		ss[0].hearsLong(longFirst, longSize)
		ss[1].hears(longFirst)
		ss[2].hears(longFirst)
		ss[0].e.ReadWhole(nil, false)
		ss[1].sends(longBlock)
		ss[2].nothingMore()
		ss[1].hears("22 01 02 03 04 05 06 07") // given up
		ss[2].sends(longBlock)
	})
	t.Run("so does one that is thrown away", func(t *testing.T) {
		ss := sharing(t, 1, 2)
		ss[0].hears(longFirst).sends(longBlock)
		ss[1].hears(longFirst)
		ss[0].e.Drain()
		ss[1].sends(longBlock)
	})
	t.Run("so does an engine that ends", func(t *testing.T) {
		ss := sharing(t, 1, 2)
		ss[0].hearsLong(longFirst, longSize)
		ss[1].hears(longFirst)
		ss[0].e.LeaveBudget()
		ss[1].sends(longBlock)
		ss[0].e.ReadWhole(nil, false) // it has nothing to give back
	})
	t.Run("an engine that ends gives back what it has, not what it had", func(t *testing.T) {
		ss := sharing(t, 2, 4)
		ss[0].hearsLong(longFirst, longSize).hearsLong(longFirst, longSize)
		ss[0].e.ReadWhole(nil, false)
		ss[0].e.LeaveBudget()
		ss[1].hears(longFirst).sends(longBlock)
		ss[2].hears(longFirst).sends(longBlock)
		ss[3].hears(longFirst).nothingMore()
	})
	t.Run("one that waits no more leaves its place", func(t *testing.T) {
		for name, leave := range map[string]func(*script){
			"interrupted":    func(s *script) { s.hears("01 AA") },
			"thrown away":    func(s *script) { s.e.Drain(); s.poll(); s.sends(longBlock) },
			"ended":          func(s *script) { s.e.LeaveBudget() },
			"read as stream": func(s *script) { s.reading(ReadStreams).sends(longBlock) },
		} {
			t.Run(name, func(t *testing.T) {
				ss := sharing(t, 1, 3)
				ss[0].hearsLong(longFirst, longSize)
				ss[1].hears(longFirst)
				ss[2].hears(longFirst)
				leave(ss[1])
				ss[2].nothingMore()
				ss[0].e.ReadWhole(nil, false)
				ss[2].sends(longBlock)
			})
		}
	})
	t.Run("a slow one gives way to one that waits", func(t *testing.T) {
		ss := sharing(t, 1, 2, func(c *Config) { c.NCr = time.Hour })
		ss[0].hears(longFirst).sends(longBlock)
		ss[1].hears(longFirst)
		ss[0].now = 800 * ms
		ss[1].waitsAt(800 * ms)
		ss[0].hears("21 01 02 03 04 05 06 07")
		ss[0].now = 1600 * ms
		ss[1].due(1600 * ms).sends(longBlock)
		ss[0].counts(ReceiverFull, 1).readsNothing()
	})
	t.Run("a slow one does not give way if there is room", func(t *testing.T) {
		ss := sharing(t, 2, 2, func(c *Config) { c.NCr = time.Hour })
		ss[0].hears(longFirst).sends(longBlock)
		ss[0].now, ss[1].now = 2*time.Second, 2*time.Second
		ss[0].e.budget.claims[&ss[0].e].since = start // its rate has been looked at
		ss[1].hears(longFirst).sends(longBlock)
		ss[0].counts(ReceiverFull, 0)
	})
	t.Run("a second is enough to know that it is slow", func(t *testing.T) {
		ss := sharing(t, 1, 2, func(c *Config) { c.NCr, c.NBr = time.Hour, time.Second })
		ss[0].hears(longFirst).sends(longBlock)
		ss[1].hears(longFirst)
		ss[0].now = time.Second
		ss[1].due(time.Second).sends(longBlock)
		ss[0].counts(ReceiverFull, 1).readsNothing()
	})
	t.Run("not one that we hold up", func(t *testing.T) {
		ss := sharing(t, 1, 2, func(c *Config) { c.NCr, c.HighMark, c.BlockSize = time.Hour, 10, 1 })
		ss[0].hears(longFirst).sends("30 01 00 CC CC CC CC CC").hearsFunctional("02 AA BB").hears("21 01 02 03 04 05 06 07")
		ss[1].hears(longFirst)
		for d := 800 * ms; d <= 4000*ms; d += 800 * ms {
			ss[0].due(d).sends("31 01 00 CC CC CC CC CC")
			ss[1].due(d).sends("31 01 00 CC CC CC CC CC")
		}
		ss[0].counts(ReceiverFull, 0)
	})
	t.Run("an engine that cannot hold a message up refuses it", func(t *testing.T) {
		ss := sharing(t, 1, 2, func(c *Config) { c.NeverHold = true })
		ss[0].hears(longFirst).sends(cts)
		ss[1].hears(longFirst).sends(ovflw).counts(ReceiverFull, 1)
	})
	t.Run("and nothing is left of what it has refused", func(t *testing.T) {
		ss := sharing(t, 1, 2, func(c *Config) { c.NeverHold = true })
		ss[0].hears(longFirst).sends(cts)
		ss[1].hears(longFirst).sends(ovflw).idle().hears("21 01 02 03 04 05 06 07").counts(UnexpectedConsecutive, 1)
	})
	t.Run("an engine that only listens loses the message, and that is said", func(t *testing.T) {
		ss := sharing(t, 1, 2, func(c *Config) { c.ListenOnly = true })
		ss[0].hears(longFirst)
		ss[1].hears(longFirst).readFails(ReceiverFull).idle()
	})
	t.Run("read by parts a message needs no room", func(t *testing.T) {
		ss := sharing(t, 1, 2)
		ss[0].hears(longFirst).sends(longBlock)
		ss[1].reading(ReadStreams).hears(longFirst).sends(longBlock)
	})
}

func TestAQueueThatIsEmptyKeepsNoPlaceForVeryManyMessages(t *testing.T) {
	s := newScript(t)
	for range 1000 {
		s.hears("01 AA")
	}
	for range 1000 {
		s.reads("AA")
	}
	if n := cap(s.e.queue.items); n > keptItems {
		t.Errorf("it has place for %d", n)
	}
}

func TestAReceptionThatHasEndedHoldsNoMessage(t *testing.T) {
	s := newScript(t)
	s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("21 07 08")
	if s.e.rx.msg != nil {
		t.Error("it does when it is complete")
	}
	s.hears("10 08 01 02 03 04 05 06").sends(cts).hears("22 07 08")
	if s.e.rx.msg != nil {
		t.Error("it does when it was given up")
	}
}

// An int of 32 bits does not hold its size.
func TestABufferOfTheLongestMessageGrowsInLargeSteps(t *testing.T) {
	m := newMessage(math.MaxUint32)
	m.buf = nil // the pool may have had a large one
	m.add(make([]byte, 63))
	if cap(m.buf) != leastBuffer {
		t.Errorf("its first buffer has %d bytes, want %d", cap(m.buf), leastBuffer)
	}
}

func TestABufferGrowsWithWhatComes(t *testing.T) {
	const size = 1 << 20
	for _, run := range []int{63, 64 * 63} { // one frame at a time, and many
		m := newMessage(size)
		m.buf = nil // the pool may have had a large one
		allocated, was := 0, 0
		for got := 0; got < size; {
			data := make([]byte, min(run, size-got))
			m.add(data)
			got += len(data)
			if cap(m.buf) != was {
				was = cap(m.buf)
				allocated += was
				if was > max(leastBuffer, 2*got) {
					t.Fatalf("it has room for %d bytes when %d have come", was, got)
				}
			}
		}
		if was != size || allocated > 2*size {
			t.Errorf("with %d bytes at a time it has grown to %d bytes, %d with those before", run, was, allocated)
		}
	}
}
