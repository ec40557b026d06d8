package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
	"example.com/isotp/test/scale"
)

// A tape is what a fuzzer wrote; after its end there are zeros.
type tape []byte

func (t *tape) byte() byte {
	if len(*t) == 0 {
		return 0
	}
	b := (*t)[0]
	*t = (*t)[1:]
	return b
}

// config reads a Config with limits so small that runs meet them.
func (t *tape) config() (cfg Config, hasByte bool) {
	sizes := []int{8, 12, 16, 20, 24, 32, 48, 64}
	b := t.byte()
	cfg = Config{
		Drops:            new(Drops),
		FrameSize:        sizes[b&7],
		FD:               b&7 > 0,
		BRS:              b&7 > 1,
		Fill:             0xCC,
		BlockSize:        []uint8{0, 1, 3, 255}[b>>3&3],
		FirstFlowControl: b>>5&1 != 0,
		NeverHold:        b>>6&1 != 0,
		ReportAborted:    b>>7&1 != 0,
	}
	b = t.byte()
	cfg.MinFrameSize = []int{0, 8, cfg.FrameSize}[b%3]
	hasByte = b>>2&1 != 0
	cfg.ListenOnly = b>>3&7 == 7
	cfg.MaxWaits = int(b>>6) - 1
	b = t.byte()
	cfg.MaxSendWaits = int(b & 3)
	cfg.OverrideSTmin = []time.Duration{-1, -1, 0, 300 * us}[b>>2&3]
	cfg.STmin = b
	cfg.MaxMessageSize = []uint32{20, 100, 500, 5000}[b>>4&3]
	if b>>6&1 != 0 {
		cfg.RateBits, cfg.RateWindow = 512, 5*ms
	}
	b = t.byte()
	cfg.NAs = time.Duration(1+b&7) * 3 * ms
	cfg.NBs = time.Duration(1+b>>3&7) * 5 * ms
	cfg.NCr = time.Duration(1+b>>6) * 7 * ms
	cfg.NCs, cfg.NBr = cfg.NCr*9/10, cfg.NBs*8/10
	b = t.byte()
	cfg.HighMark = int(b&15) * 40
	cfg.HardLimit = cfg.HighMark * 4
	cfg.Window = 64 << (b >> 4 & 3)
	return cfg, hasByte
}

// play has a model do what the tape says.
func (m *model) play(t *tape) {
	m.t.Helper()
	m.settle()
	for len(*t) > 0 {
		switch op := t.byte(); op % 20 {
		case 0: // time passes
			m.pass(time.Duration(t.byte()) * 100 * us)
		case 1: // the next moment comes
			if due, ok := m.e.PollTimeout(); ok && due > m.now {
				m.now = due
			}
		case 2: // any frame
			f := canbus.Frame{ID: ecu.ID, Len: t.byte() % 70, Flags: canbus.Flags(t.byte() & 0x1F)}
			for i := range f.Payload() {
				f.Data[i] = t.byte()
			}
			m.frame(&f, op >= 240)
		case 3:
			f := m.format(canbus.PadLen(int(t.byte()%64) + 1))
			var fr canbus.Frame
			f.FlowControl(&fr, wire.FlowStatus(t.byte()&3), t.byte()&7, t.byte())
			m.frame(&fr, false)
		case 4, 5: // CTS
			var fr canbus.Frame
			m.format(8).FlowControl(&fr, wire.ContinueToSend, op/20, t.byte()&1*0xF5)
			m.frame(&fr, false)
		case 6:
			n := int(t.byte())
			f := m.format([]int{8, 12, 64}[op/20%3])
			var fr canbus.Frame
			m.random(f.SingleFrame(&fr, 1+n%f.MaxSingle()))
			m.frame(&fr, op >= 120)
		case 7:
			f := m.format([]int{8, 12, 64}[op/20%3])
			var fr canbus.Frame
			m.random(f.FirstFrame(&fr, uint32(f.MaxSingle()+1)+uint32(t.byte())<<(op/20&7)))
			m.frame(&fr, false)
		case 8, 9, 10: // the Consecutive Frames that are wanted
			for range 1 + op/20 {
				c := m.current
				if c == nil {
					break
				}
				f := m.format(int(c.frameSize))
				var fr canbus.Frame
				m.random(f.ConsecutiveFrame(&fr, c.sn, min(f.ConsecutiveData(), c.size-len(c.data))))
				m.frame(&fr, false)
				m.settle()
			}
		case 11: // on the wire
			for range 1 + op/20 {
				m.echo()
			}
		case 12: // never on the wire
			if len(m.inFlight) > 0 {
				m.inFlight = m.inFlight[1:]
			}
		case 13:
			n := 1 + int(t.byte())<<(op/20&3)
			m.send(n, int(t.byte())<<(op/20&3))
		case 14:
			m.supply(int(t.byte()))
		case 15:
			m.e.Abort(m.now, Aborted)
		case 16, 17:
			m.read(int(t.byte()))
		case 18:
			if m.reading != ReadStreams && op >= 100 {
				m.setReading(ReadStreams)
			}
			m.open()
		case 19:
			switch op / 20 % 5 {
			case 0:
				m.setReading(ReadMessages)
			case 1:
				m.setReading(ReadStreams)
			case 2:
				m.readWaiting = true
				m.e.reader = waitsForMessage
			case 3:
				m.seen = nil
				m.e.HandleStalled(m.now)
				m.learn()
			case 4:
				var fr canbus.Frame
				f := m.cfg.Format(m.e.format.Address)
				f.FlowControl(&fr, wire.FlowStatus(t.byte()&3), t.byte()&7, 0)
				if m.cfg.ListenOnly {
					m.seen = nil
					m.e.HandleOverheard(m.now, &fr)
					m.learn()
				}
			}
		}
		m.settle()
	}
}

// pass lets time pass, with all that falls due.
func (m *model) pass(d time.Duration) {
	m.t.Helper()
	end := m.now.Add(d)
	for range 100000 {
		due, ok := m.e.PollTimeout()
		if !ok || due > end {
			m.now = end
			return
		}
		m.now = max(m.now, due)
		m.settle()
	}
	m.t.Fatalf("too much falls due up to %d", end)
}

// format is how the peer writes frames of that size.
func (m *model) format(size int) *wire.Format {
	f := wire.Format{Address: ecu, FrameSize: size, MinFrameSize: min(size, m.cfg.MinFrameSize), FD: true}
	f.Address.HasByte = m.e.listen > 0
	return &f
}

func (m *model) random(p []byte) {
	for i := range p {
		p[i] = byte(m.rng.Uint32())
	}
}

// FuzzEngine reads a Config and then one operation after the other from what the
// fuzzer writes, and compares the engine with the model after each.
func FuzzEngine(f *testing.F) {
	const plain = "\x00\x01\x40\xFF\xFF"
	for _, s := range []string{
		"",
		plain + "\x06\x05\x10\xFF", // a Single Frame, read
		plain + "\x07\x20\x0B\x08\x08\x08\x08\x08\x08\x08\x08\x10\xFF",                                             // a long message, read
		plain + "\x0D\x30\xFF\x0B\x04\x00\x0B\x0B\x0B\x0B\x0B\x0B\x0B\x0B\x0B",                                     // one sent
		plain + "\x0D\x30\x01\x0E\x01\x0E\x01\x0E\x01\x0E\x01\x0E\x01\x0E\x01\x0B\x04\x01\x0E\x09\x01\x01\x0E\xFF", // streamed
		plain + "\x07\xFF\x13\x27\x12\x08\x10\x05\x08\x01\x01\x01\x10\xFF\x08\x08",                                 // WAITs
		"\x07\x38\x00\xFF\xFF\x07\xFF\xF3\x08\x08\x13\x13\x08\x10\xFF",                                             // only listening
		"\x08\x01\x40\xFF\x00\x06\x01\x06\x01\x06\x01\x07\x09\x01\x01\x01\x01\x10\xFF\x10\xFF",                     // a full queue
		"\x88\x05\x03\x00\x15\x3B\x07\x09\x01\x01\x12\x10\xFF\x10\xFF",                                             // reports
		plain + "\x02\x08\x00\x10\x08\x01\x02\x03\x04\x05\x06\x02\x03\x00\x21\x07\x08",
	} {
		f.Add([]byte(s), uint64(len(s)))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		tp := tape(data[:min(len(data), 4096)])
		cfg, hasByte := tp.config()
		m := newModel(t, cfg, hasByte, seed)
		m.play(&tp)
	})
}

// TestRandomOperations is FuzzEngine with random tapes, for every test run; fewer in short runs.
func TestRandomOperations(t *testing.T) {
	for seed := range scale.Down[uint64](1000, 200) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			tp := make(tape, 300)
			for i := range tp {
				tp[i] = byte(rng.Uint32())
			}
			cfg, hasByte := tp.config()
			newModel(t, cfg, hasByte, seed).play(&tp)
		})
	}
}
