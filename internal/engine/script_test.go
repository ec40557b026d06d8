package engine

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

const (
	us = time.Microsecond
	ms = time.Millisecond
)

// start is when the scripts' clocks stand at 0: not 0 itself, so that nothing
// passes because a Time was never set.
const start Time = 1e12

// A script plays the peer, the bus and the user of one engine, at exact times.
// Frames are written as hexadecimal bytes. Three things are checked all the time:
// that the engine sends nothing that the script does not name, that no moment of
// which PollTimeout speaks is passed over, and that PollTimeout never speaks of
// the past.
type script struct {
	t   *testing.T
	e   Engine
	cfg Config
	now time.Duration

	sent     []canbus.Frame // by the engine, and not yet named by the script
	inFlight []uint32       // numbers of the frames named by hands, not yet echoed
	named    uint32         // number of the newest frame named
	event    Events
}

// testConfig is what scripts begin with.
func testConfig() Config {
	return Config{
		Drops:     new(Drops),
		FrameSize: 8, MinFrameSize: 8, Fill: 0xCC,
		OverrideSTmin: -1,
		NAs:           1000 * ms, NBs: 1000 * ms, NCr: 1000 * ms, NCs: 900 * ms, NBr: 800 * ms,
		MaxWaits: -1, MaxSendWaits: 10,
		MaxMessageSize: 65535, HighMark: 64 << 10, HardLimit: 256 << 10, Window: 32 << 10,
		RateWindow: time.Second,
	}
}

// fd makes the engine send CAN FD frames of that TX_DL.
func fd(size int) func(*Config) {
	return func(c *Config) { c.FD, c.BRS, c.FrameSize = true, true, size }
}

var (
	tester = wire.Address{ID: 0x7E0}
	ecu    = wire.Address{ID: 0x7E8}
)

// newScript returns the script of an engine that sends to 7E0 and hears 7E8.
func newScript(t *testing.T, configs ...func(*Config)) *script {
	return newScriptBetween(t, tester, ecu, configs...)
}

func newScriptBetween(t *testing.T, send, listen wire.Address, configs ...func(*Config)) *script {
	s := &script{t: t, cfg: testConfig()}
	for _, c := range configs {
		if c != nil {
			c(&s.cfg)
		}
	}
	s.e.Init(&s.cfg, send, listen)
	t.Cleanup(s.nothingMore)
	return s
}

func (s *script) time() Time { return start.Add(s.now) }

// at moves the clock on.
func (s *script) at(d time.Duration) *script {
	s.t.Helper()
	s.nothingMore()
	if d < s.now {
		s.t.Fatalf("the script goes back from %v to %v", s.now, d)
	}
	if due, ok := s.e.PollTimeout(); ok && due < start.Add(d) {
		s.t.Fatalf("at %v: passes over the engine's moment %v", d, due.Sub(start))
	}
	s.now = d
	return s
}

// due checks that the engine's next moment is at d, and lets it come.
func (s *script) due(d time.Duration) *script {
	s.t.Helper()
	s.nothingMore()
	due, ok := s.e.PollTimeout()
	if !ok {
		s.t.Fatalf("at %v: the engine waits for no moment, want %v", s.now, d)
	}
	if due != start.Add(d) {
		s.t.Fatalf("at %v: the engine's next moment is %v, want %v", s.now, due.Sub(start), d)
	}
	// One nanosecond before, nothing must happen.
	if before := d - 1; before > s.now {
		s.now = before
		s.e.HandleTimeout(s.time())
		s.poll()
		s.nothingMore()
	}
	s.now = d
	s.e.HandleTimeout(s.time())
	s.poll()
	return s
}

// idle checks that the engine waits for no moment.
func (s *script) idle() *script {
	s.t.Helper()
	s.nothingMore()
	if due, ok := s.e.PollTimeout(); ok {
		s.t.Fatalf("at %v: the engine's next moment is %v, want none", s.now, due.Sub(start))
	}
	return s
}

// poll collects what the engine sends, a few frames at a time.
func (s *script) poll() {
	s.t.Helper()
	var frames [3]canbus.Frame
	for {
		n := s.e.PollTransmit(s.time(), frames[:])
		if n == 0 {
			break
		}
		s.sent = append(s.sent, frames[:n]...)
	}
	s.event |= s.e.TakeEvents()
	if due, ok := s.e.PollTimeout(); ok && due < s.time() {
		s.t.Fatalf("at %v: the engine's next moment is %v, in the past", s.now, due.Sub(start))
	}
}

func (s *script) nothingMore() {
	s.t.Helper()
	if len(s.sent) > 0 {
		f := s.sent[0]
		s.sent = nil
		s.t.Fatalf("at %v: the engine sent %s, which the script does not want", s.now, text(f.Payload()))
	}
}

// hears gives the engine frames from its peer.
func (s *script) hears(frames ...string) *script {
	s.t.Helper()
	for _, f := range frames {
		s.hearsFrame(frame(f), false)
	}
	return s
}

// hearsFunctional gives the engine a frame sent to a group.
func (s *script) hearsFunctional(f string) *script {
	s.t.Helper()
	return s.hearsFrame(frame(f), true)
}

func (s *script) hearsFrame(f canbus.Frame, functional bool) *script {
	s.t.Helper()
	s.nothingMore()
	s.e.HandleFrames(s.time(), []canbus.Frame{f}, functional)
	s.poll()
	return s
}

// gets gives the engine frames from its peer in one call, and does not poll it.
func (s *script) gets(frames ...string) *script {
	s.t.Helper()
	run := make([]canbus.Frame, len(frames))
	for i, f := range frames {
		run[i] = frame(f)
	}
	s.e.HandleFrames(s.time(), run, false)
	return s
}

// overhears gives the engine a frame of the other direction.
func (s *script) overhears(f string) *script {
	s.t.Helper()
	s.nothingMore()
	fr := frame(f)
	s.e.HandleOverheard(s.time(), &fr)
	s.poll()
	return s
}

// hands checks that the engine has handed over these frames next. They are then on
// their way.
func (s *script) hands(frames ...string) *script {
	s.t.Helper()
	for _, want := range frames {
		if len(s.sent) == 0 {
			s.t.Fatalf("at %v: the engine sent nothing, want %s", s.now, want)
		}
		got := s.sent[0]
		s.sent = s.sent[1:]
		if text(got.Payload()) != want {
			s.t.Fatalf("at %v: the engine sent\n\t%s, want\n\t%s", s.now, text(got.Payload()), want)
		}
		if got.ID != s.e.format.Address.ID || got.Has(canbus.FD) != s.cfg.FD || got.Has(canbus.BRS) != s.cfg.BRS {
			s.t.Fatalf("at %v: the engine sent %v to the wrong address or of the wrong kind", s.now, got)
		}
		s.named++
		s.inFlight = append(s.inFlight, s.named)
	}
	return s
}

// echo says that the oldest frame on its way is on the wire.
func (s *script) echo() *script {
	s.t.Helper()
	if len(s.inFlight) == 0 {
		s.t.Fatalf("at %v: no frame is on its way", s.now)
	}
	number := s.inFlight[0]
	s.inFlight = s.inFlight[1:]
	s.e.HandleTransmitted(s.time(), number, number)
	s.poll()
	return s
}

// sends checks that the engine sends these frames next, each of which is on the
// wire at once.
func (s *script) sends(frames ...string) *script {
	s.t.Helper()
	for _, f := range frames {
		s.hands(f).echo()
	}
	return s
}

// send begins the transmission of a message of n bytes: 1, 2, 3 and so on.
func (s *script) send(n int) *script {
	s.t.Helper()
	return s.sendAs(uint32(n), message1(n))
}

// sendAs begins the transmission of a message of which p is the first part.
func (s *script) sendAs(n uint32, p []byte) *script {
	s.t.Helper()
	s.event &^= SendDone
	s.e.Send(s.time(), n, p)
	s.poll()
	return s
}

// done checks that the transmission has just ended, and how.
func (s *script) done(want Code) *script {
	s.t.Helper()
	if s.event&SendDone == 0 || s.e.Sending() {
		s.t.Fatalf("at %v: the transmission has not ended, want %v", s.now, want)
	}
	s.event &^= SendDone
	if got := s.e.SendResult(); got != want {
		s.t.Fatalf("at %v: the transmission ended with %v, want %v", s.now, got, want)
	}
	return s
}

// sending checks that the transmission has not ended.
func (s *script) sending() *script {
	s.t.Helper()
	if s.event&SendDone != 0 || !s.e.Sending() {
		s.t.Fatalf("at %v: the transmission has ended with %v", s.now, s.e.SendResult())
	}
	return s
}

// reading says how the user reads.
func (s *script) reading(how Reading) *script {
	s.t.Helper()
	s.e.SetReading(s.time(), how)
	s.poll()
	return s
}

// reads checks that there is a message of these bytes.
func (s *script) reads(want string) *script {
	s.t.Helper()
	s.readsInfo(want)
	return s
}

// readsMessage checks that there is the message 1, 2, 3 and so on of n bytes.
func (s *script) readsMessage(n int) *script {
	s.t.Helper()
	return s.reads(text(message1(n)))
}

func (s *script) readsInfo(want string) Info {
	s.t.Helper()
	if s.event&Readable == 0 {
		s.t.Fatalf("at %v: the user was not told that there is something to read, want %s", s.now, want)
	}
	p := make([]byte, 1<<17)
	n, info, ok := s.e.Read(p)
	if !ok || info.Why != OK || !info.End || text(p[:n]) != want {
		s.t.Fatalf("at %v: read %q (end %v, code %v, ok %v), want %q", s.now, text(p[:n]), info.End, info.Why, ok, want)
	}
	s.poll()
	return info
}

// readsPart checks that these bytes, and no more, are there to be read of a
// message that goes on.
func (s *script) readsPart(want string) *script {
	s.t.Helper()
	return s.readsUpTo(1<<17, want)
}

// readsUpTo reads at most n bytes, after which the message goes on.
func (s *script) readsUpTo(n int, want string) *script {
	s.t.Helper()
	p := make([]byte, n)
	n, info, ok := s.e.Read(p)
	if !ok || info.Why != OK || info.End || text(p[:n]) != want {
		s.t.Fatalf("at %v: read %q (end %v, code %v, ok %v), want %q and more to come", s.now, text(p[:n]), info.End, info.Why, ok, want)
	}
	s.poll()
	return s
}

// readsNothing checks that there is nothing to read.
func (s *script) readsNothing() *script {
	s.t.Helper()
	if n, info, ok := s.e.Read(make([]byte, 100)); ok {
		s.t.Fatalf("at %v: read %d bytes, code %v, want nothing", s.now, n, info.Why)
	}
	return s
}

// readFails checks that a read reports this.
func (s *script) readFails(want Code) *script {
	s.t.Helper()
	n, info, ok := s.e.Read(make([]byte, 100))
	if !ok || n != 0 || info.Why != want {
		s.t.Fatalf("at %v: read %d bytes, code %v, ok %v, want code %v", s.now, n, info.Why, ok, want)
	}
	s.poll()
	return s
}

// opens checks that there is a message of that size to begin with.
func (s *script) opens(size uint32) *script {
	s.t.Helper()
	info, ok := s.e.Open()
	if !ok || info.Why != OK || info.Size != size {
		s.t.Fatalf("at %v: opened a message of %d bytes, code %v, ok %v, want %d bytes", s.now, info.Size, info.Why, ok, size)
	}
	s.poll()
	return s
}

// counts checks how often something has happened.
func (s *script) counts(why Code, want uint32) *script {
	s.t.Helper()
	if got := s.e.Stats().Errors[why]; got != want {
		s.t.Fatalf("at %v: counted %d of %v, want %d", s.now, got, why, want)
	}
	return s
}

// message1 returns the bytes 1, 2, 3 and so on.
func message1(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i + 1)
	}
	return p
}

// frames1 returns the frames, of size bytes with ahead bytes before the N_PCI,
// that carry the message 1, 2, 3 and so on of n bytes.
func frames1(size int, ahead string, n int) (frames []string) {
	if ahead != "" {
		ahead += " "
	}
	used := len(strings.Fields(ahead))
	p := message1(n)
	cut := func(room int) string {
		k := min(room, len(p))
		part := text(p[:k])
		p = p[k:]
		return part
	}
	if n <= 4095 {
		frames = append(frames, fmt.Sprintf("%s%02X %02X %s", ahead, 0x10|n>>8, n&0xFF, cut(size-used-2)))
	} else {
		frames = append(frames, fmt.Sprintf("%s10 00 %s %s", ahead, text([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), cut(size-used-6)))
	}
	for sn := 1; len(p) > 0; sn++ {
		f := fmt.Sprintf("%s%02X %s", ahead, 0x20|sn&0xF, cut(size-used-1))
		padded := canbus.PadLen(max(8, len(strings.Fields(f))))
		for len(strings.Fields(f)) < padded {
			f += " CC"
		}
		frames = append(frames, f)
	}
	return frames
}

// frame returns the frame that a script writes as hexadecimal bytes.
func frame(s string) canbus.Frame {
	p, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil || len(p) > canbus.MaxLen {
		panic("script: not a frame: " + s)
	}
	f := canbus.Frame{ID: ecu.ID, Len: uint8(len(p))}
	if len(p) > canbus.MaxClassicLen {
		f.Flags = canbus.FD
	}
	copy(f.Data[:], p)
	return f
}

// text writes bytes as scripts do.
func text(p []byte) string { return fmt.Sprintf("% X", p) }
