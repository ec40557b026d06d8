package engine

import (
	"testing"
	"time"
)

func TestSupply(t *testing.T) {
	t.Run("Cs/send/slices of every size make the same frames", func(t *testing.T) {
		for _, size := range []int{8, 64} {
			f := frames1(size, "", 500)
			for chunk := 1; chunk <= 150; chunk++ {
				s := newScript(t, func(c *Config) { c.FD, c.FrameSize = size > 8, size })
				p := message1(500)
				k := min(chunk, len(p))
				s.sendAs(500, p[:k])
				p = p[k:]
				feed := func() {
					for len(p) > 0 {
						k := min(chunk, len(p))
						q := append([]byte(nil), p[:k]...)
						if !s.e.Supply(q) {
							break
						}
						p = p[k:]
						s.poll()
						if s.e.Supplied() == 0 {
							clear(q) // it belongs to us again
						}
					}
				}
				feed()
				s.sends(f[0]).hears("30 00 00")
				for i := 1; i < len(f); i++ {
					feed()
					s.sends(f[i])
				}
				s.done(OK)
			}
		}
	})
	play(t, []scenario{
		{"Cs/send/the First Frame waits for its data without limit", nil, func(s *script) {
			s.sendAs(20, message1(20)[:5]).idle()
			s.at(time.Hour)
			s.e.Supply(message1(20)[5:])
			s.poll()
			s.sends("10 14 01 02 03 04 05 06")
		}},
		{"Cs/send/data comes within N_Cs", nil, func(s *script) {
			s.sendAs(20, message1(20)[:8]).sends("10 14 01 02 03 04 05 06").hears("30 00 00")
			s.at(899 * ms)
			s.e.Supply(message1(20)[8:])
			s.poll()
			s.sends("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14").done(OK)
		}},
		{"Cs/send/no data within N_Cs of the flow control: the transmission ends", nil, func(s *script) {
			s.sendAs(20, message1(20)[:8]).sends("10 14 01 02 03 04 05 06").at(10 * ms).hears("30 00 00")
			s.due(910 * ms).done(SourceStalled).idle()
		}},
		{"Cs/send/N_Cs runs from the last Consecutive Frame, STmin is part of it", nil, func(s *script) {
			s.sendAs(20, message1(20)[:13]).sends("10 14 01 02 03 04 05 06").at(10 * ms).hears("30 00 7F")
			s.sends("21 07 08 09 0A 0B 0C 0D").due(137 * ms).due(910 * ms).done(SourceStalled)
		}},
		{"Cs/send/N_Cs runs anew from the flow control of the next block", nil, func(s *script) {
			s.sendAs(20, message1(20)[:13]).sends("10 14 01 02 03 04 05 06").hears("30 01 05").sends("21 07 08 09 0A 0B 0C 0D")
			s.at(950 * ms).hears("30 01 05").due(1850 * ms).done(SourceStalled)
		}},
		{"Cs/send/too little data does not restart N_Cs", nil, func(s *script) {
			s.sendAs(20, message1(20)[:6]).sends("10 14 01 02 03 04 05 06").hears("30 00 00")
			s.at(800 * ms)
			s.e.Supply(message1(20)[6:9])
			s.poll()
			s.due(900 * ms).done(SourceStalled)
		}},
		{"Cs/send/data at the last moment counts, though the bus is slow to ask for it", nil, func(s *script) {
			s.sendAs(20, message1(20)[:6]).sends("10 14 01 02 03 04 05 06").hears("30 00 00")
			s.at(899 * ms)
			s.e.Supply(message1(20)[6:])
			s.now = 901 * ms
			s.e.HandleTimeout(s.time())
			s.poll()
			s.sends("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14").done(OK)
		}},
		{"Cs/send/while a flow control is awaited the source may be slow", nil, func(s *script) {
			s.sendAs(20, message1(20)[:6]).sends("10 14 01 02 03 04 05 06")
			for i := range 5 {
				s.at(time.Duration(i+1) * 900 * ms).hears("31 00 00")
			}
			s.hears("30 00 00")
			s.e.Supply(message1(20)[6:])
			s.poll()
			s.sends("21 07 08 09 0A 0B 0C 0D", "22 0E 0F 10 11 12 13 14").done(OK)
		}},
		{"Cs/send/the slice of Send is in use, and no other is asked for", nil, func(s *script) {
			s.send(20)
			if s.e.Supplied() != 1 {
				s.t.Errorf("%d slices are in use", s.e.Supplied())
			}
			s.sends("10 14 01 02 03 04 05 06")
			if s.event&SendSpace != 0 {
				s.t.Error("SendSpace, although the message is whole")
			}
		}},
		{"Cs/send/SendSpace says that a slice is done with", nil, func(s *script) {
			p := message1(300)
			s.sendAs(300, p[:100])
			s.event = 0
			if !s.e.Supply(p[100:200]) || s.e.Supplied() != 2 {
				s.t.Fatalf("a second slice was not taken, %d are in use", s.e.Supplied())
			}
			if s.e.Supply(p[200:]) {
				s.t.Fatal("a third slice was taken")
			}
			f := frames1(8, "", 300)
			s.sends(f[0]).hears("30 0D 00").sends(f[1:14]...)
			if s.event&SendSpace != 0 {
				s.t.Fatal("SendSpace with both slices in use")
			}
			s.hears("30 01 00").sends(f[14])
			if s.event&SendSpace == 0 || s.e.Supplied() != 1 {
				s.t.Fatalf("no SendSpace, %d slices in use", s.e.Supplied())
			}
			if !s.e.Supply(p[200:]) {
				s.t.Fatal("a slice was not taken after SendSpace")
			}
			s.hears("30 00 00").sends(f[15:]...).done(OK)
		}},
		{"Cs/send/an idle sender takes nothing", nil, func(s *script) {
			if s.e.Supply(message1(3)) {
				s.t.Fatal("data was taken")
			}
		}},
		{"Cs/send/an empty slice is taken and changes nothing", nil, func(s *script) {
			s.sendAs(20, message1(3))
			for range 3 {
				if !s.e.Supply(nil) || !s.e.Supply([]byte{}) {
					s.t.Fatal("an empty slice was refused")
				}
			}
			s.e.Supply(message1(20)[3:])
			s.poll()
			s.sends("10 14 01 02 03 04 05 06")
		}},
	})
}
