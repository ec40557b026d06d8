package engine

import "testing"

func TestListenOnly(t *testing.T) {
	listen := func(c *Config) { c.ListenOnly = true }
	f := frames1(8, "", 6+4*7)
	play(t, []scenario{
		{"it hears a message and sends nothing", listen, func(s *script) {
			s.hears(f...).readsMessage(34).idle()
		}},
		{"no OVFLW for too long a message", func(c *Config) { listen(c); c.MaxMessageSize = 10 }, func(s *script) {
			s.reading(ReadMessages).hears(f...).idle().readsNothing().counts(MessageTooLong, 1)
		}},
		{"no OVFLW when a caller reads messages after the First Frame", func(c *Config) { listen(c); c.MaxMessageSize = 10 }, func(s *script) {
			s.hears(f[0]).reading(ReadMessages).idle()
		}},
		{"no OVFLW and no WAIT when the queue is full", func(c *Config) { listen(c); c.HighMark, c.NeverHold = 0, true }, func(s *script) {
			s.hears("01 AA").hears(f...).reads("AA").readsMessage(34).idle()
		}},
		{"nothing of ours is sent", listen, func(s *script) {
			s.send(3).done(Aborted).idle()
			s.send(30).done(Aborted).idle()
		}},
		{"without overheard flow control N_Cr runs on", listen, func(s *script) {
			s.hears(f[0]).at(900*ms).hears(f[1]).due(1900*ms).idle().counts(TimeoutCr, 1)
		}},
		{"overheard flow control says when to expect a frame: within N_Bs at block ends", listen, func(s *script) {
			s.hears(f[0]).at(10*ms).overhears("30 02 00").at(20*ms).hears(f[1], f[2])
			s.at(1000*ms).overhears("30 00 00").at(1900*ms).hears(f[3]).due(2900*ms).idle().counts(TimeoutCr, 1)
		}},
		{"without a flow control after a block it is given up at N_Bs", listen, func(s *script) {
			s.hears(f[0]).at(10*ms).overhears("30 02 00").at(20*ms).hears(f[1], f[2])
			s.due(1020*ms).idle().counts(TimeoutBs, 1).counts(TimeoutCr, 0).readsNothing()
		}},
		{"a WAIT begins N_Bs again", listen, func(s *script) {
			s.hears(f[0]).at(10 * ms).overhears("31 00 00").at(1000 * ms).overhears("31 00 00")
			s.at(1500*ms).overhears("30 00 00").due(2500*ms).idle().counts(TimeoutCr, 1)
		}},
		{"after a WAIT and nothing more it is given up at N_Bs", func(c *Config) { listen(c); c.NBs = 300 * ms }, func(s *script) {
			s.hears(f[0]).at(10*ms).overhears("31 00 00").at(200*ms).overhears("31 00 00").due(500*ms).idle().counts(TimeoutBs, 1)
		}},
		{"once flow control was overheard, it is waited for after every First Frame", func(c *Config) { listen(c); c.NBs = 3000 * ms }, func(s *script) {
			s.hears(f[0]).overhears("30 00 00").hears(f[1:]...).readsMessage(34)
			s.hears(f[0]).at(2900*ms).overhears("30 00 00").due(3900*ms).counts(TimeoutCr, 1)
		}},
		{"a First Frame that no peer answers is given up at N_Bs", func(c *Config) { listen(c); c.NBs = 300 * ms }, func(s *script) {
			s.hears(f[0]).overhears("30 00 00").hears(f[1:]...).readsMessage(34)
			s.at(100*ms).hears(f[0]).due(400*ms).idle().counts(TimeoutBs, 1)
		}},
		{"where flow control can be overheard the first First Frame is no exception", func(c *Config) { listen(c); c.NBs = 300 * ms }, func(s *script) {
			s.e.Overhears = true
			s.hears(f[0]).due(300*ms).idle().counts(TimeoutBs, 1)
		}},
		{"where it cannot, a First Frame waits for N_Bs if that is longer than N_Cr", func(c *Config) { listen(c); c.NBs = 3000 * ms }, func(s *script) {
			s.hears(f[0]).at(2900*ms).hears(f[1]).due(3900*ms).idle().counts(TimeoutCr, 1)
		}},
		{"a flow control is not needed where a frame comes all the same", listen, func(s *script) {
			s.e.Overhears = true
			s.hears(f[0]).at(900*ms).hears(f[1]).at(1800*ms).hears(f[2]).due(2800*ms).counts(TimeoutCr, 1)
		}},
		{"a Consecutive Frame whose CTS was missed is taken", listen, func(s *script) {
			s.hears(f[0]).overhears("30 01 00").hears(f[1]).hears(f[2]).due(1000 * ms)
		}},
		{"an overheard OVFLW ends the reception", listen, func(s *script) {
			s.hears(f[0]).overhears("32 00 00").idle().counts(BufferOverflow, 1).hears(f[1]).counts(UnexpectedConsecutive, 1)
		}},
		{"what else is overheard changes nothing", listen, func(s *script) {
			s.overhears("30 00 00").overhears("01 AA").idle().hears(f[0]).overhears("01 AA").overhears("10 14 01 02 03 04 05 06").overhears("30").overhears("35 00 00")
			s.due(1000 * ms).readsNothing()
		}},
		{"flow control on the address that it hears is ignored", listen, func(s *script) {
			s.hears("30 00 00").idle()
		}},
		{"past the hard limit messages are lost, and that is said", func(c *Config) { listen(c); c.HardLimit = 150 }, func(s *script) {
			for range 10 {
				s.hears(f...)
			}
			s.readsMessage(34).readsMessage(34).readFails(ReceiverFull).readsNothing()
		}},
		{"a stream that no caller reads is lost, and that is said", func(c *Config) { listen(c); c.MaxMessageSize, c.Window = 20, 14 }, func(s *script) {
			s.reading(ReadStreams).hears(f...).readFails(ReceiverFull).readsNothing()
		}},
	})
}
