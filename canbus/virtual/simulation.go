package virtual

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/errorframe"
	"example.com/isotp/internal/pacer"
)

// A simulation is a bus on which frames take time and go wrong. It is a list of
// events, each with its exact time; advance handles all whose time has come. It does
// not matter how late that is: the next frame starts when the last one ended, not
// when we noticed. The network's lock guards it.
type simulation struct {
	network *Network
	start   time.Time    // the times below are nanoseconds after it
	pacer   *pacer.Pacer // nil while there is no tap
	alarm   int64        // what it is set to
	rng     *rand.Rand

	// On the wire, while sender is not nil: a frame as the taps will receive it
	// and its echo, until end.
	sender      *Tap
	frame, echo canbus.Frame
	fate        fate
	end         int64

	// free is when the last frame ended, or later: since when there is room in
	// every tap.
	free    int64
	stalled bool // waiting for room in a tap

	held []held
}

// A held frame waits for others to overtake it.
type held struct {
	frame  canbus.Frame
	sender *Tap
	others int   // how many more
	until  int64 // at the latest
}

// A controller is a tap's transmit side.
type controller struct {
	queue []queued
	// off: not on the bus, until the time.
	off   bool
	until int64
}

// A queued frame waits for the bus.
type queued struct {
	frame canbus.Frame
	since int64
}

const (
	never   = math.MaxInt64
	maxHeld = 4

	// need is the room in a tap's ring, besides that for the frames held, that a
	// frame may take on a network with faults: itself, its duplicate, an error
	// frame, and a report of a controller's going on or off the bus.
	need    = 4
	maxNeed = need + maxHeld
)

func newSimulation(n *Network) *simulation {
	return &simulation{
		network: n,
		start:   time.Now(),
		rng:     rand.New(rand.NewPCG(n.options.Seed, 0)),
	}
}

func (s *simulation) now() int64 { return int64(time.Since(s.start)) }

// join is called before a tap is added.
func (s *simulation) join() {
	if s.pacer == nil {
		s.pacer = pacer.New(s.network.tick)
		s.alarm = never
	}
	s.advance(s.now()) // what has happened already is not for the new tap
}

// tick is called by the pacer.
func (n *Network) tick() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sim.advance(n.sim.now())
}

// enqueue hands frames to the tap's controller and returns how many it took.
func (s *simulation) enqueue(t *Tap, b []canbus.Frame) int {
	now := s.now()
	s.advance(now)
	taken := 0
	for taken < len(b) {
		room := s.network.options.QueueLen - len(t.tx.queue)
		if room == 0 {
			break
		}
		for _, f := range b[taken:min(taken+room, len(b))] {
			t.tx.queue = append(t.tx.queue, queued{f, now})
			t.tx.queue[len(t.tx.queue)-1].frame.Strip()
			taken++
		}
		s.advance(now) // may empty the queue at once: on a bus without a bit rate
	}
	return taken
}

// leave forgets what the tap wanted to send, as a controller does that is
// switched off. What it has sent arrives.
func (s *simulation) leave(t *Tap) {
	now := s.now()
	s.advance(now)
	s.silence(t, now)
	for i := 0; i < len(s.held); {
		if s.held[i].sender == t {
			s.release(i)
		} else {
			i++
		}
	}
	if len(s.network.taps) == 0 {
		s.pacer.Close()
		s.pacer, s.stalled = nil, false
		return
	}
	s.resume()
}

// silence ends the tap's frame on the wire and drops those in its queue.
func (s *simulation) silence(t *Tap, now int64) {
	t.tx.queue = t.tx.queue[:0]
	if s.sender == t {
		s.sender = nil
		s.free = now
	}
}

// resume goes on after a tap got room or left.
func (s *simulation) resume() {
	now := s.now()
	if s.stalled {
		s.stalled = false
		s.free = max(s.free, now)
	}
	s.advance(now)
}

// advance lets everything happen that is due by now, in its order, and has
// tick called for what is next.
func (s *simulation) advance(now int64) {
	for {
		e := s.next()
		if e.at > now {
			if e.at != never && e.at != s.alarm {
				s.alarm = e.at
				s.pacer.Set(s.start.Add(time.Duration(e.at)))
			}
			return
		}
		switch {
		case e.held >= 0:
			s.release(e.held)
		case e.back != nil:
			s.recover(e.back, e.at)
		case s.sender != nil:
			s.finish(e.at)
		default:
			s.transmit(e.at)
		}
	}
}

// An event is a held frame's release, a tap's coming back from bus-off, or the
// end or the start of a frame on the wire.
type event struct {
	at   int64
	held int // -1 for none
	back *Tap
}

// next returns the event that is next.
func (s *simulation) next() event {
	next := event{never, -1, nil}
	consider := func(e event) {
		if e.at < next.at {
			next = e
		}
	}
	if s.sender != nil {
		consider(event{s.end, -1, nil})
	}
	for i := range s.held {
		consider(event{s.held[i].until, i, nil})
	}
	for _, t := range s.network.taps {
		switch {
		case t.tx.off:
			consider(event{t.tx.until, -1, t})
		case s.sender == nil && !s.stalled && len(t.tx.queue) > 0:
			consider(event{max(s.free, t.tx.queue[0].since), -1, nil})
		}
	}
	return next
}

// transmit starts the frame that wins the arbitration.
func (s *simulation) transmit(at int64) {
	var winner *Tap
	for _, t := range s.network.taps {
		if t.tx.off || len(t.tx.queue) == 0 || t.tx.queue[0].since > at {
			continue
		}
		if winner == nil || precedence(&t.tx.queue[0].frame) < precedence(&winner.tx.queue[0].frame) {
			winner = t
		}
	}
	o := &s.network.options
	head := &winner.tx.queue[0].frame
	if s.stall(winner, head) {
		return
	}
	s.frame, s.echo = *head, *head
	s.fate = fate{distance: 1}
	if o.Faults.any() {
		s.fate = o.Faults.draw(s.rng, &s.frame)
	}
	if o.Intercept != nil {
		s.fate.verdict |= o.Intercept(&s.frame)
		s.frame.Len = min(s.frame.Len, canbus.MaxLen)
	}
	if s.fate.verdict&BusOff != 0 {
		s.busOff(winner, at, o.Faults.BusOffTime)
		return
	}
	s.sender = winner
	s.end = at + int64(s.fate.delay) + int64(canbus.WireTime(&s.echo, o.Bitrate, o.DataBitrate))
	if s.fate.errorFrame && o.Bitrate > 0 {
		s.end += errorFrameBits * int64(time.Second) / int64(o.Bitrate)
	}
}

// precedence orders frames as the arbitration does, by the bits of their
// identifiers in the order of the wire; the lowest wins. Between equals, which a
// real bus must not have, it is the tap that came first.
func precedence(f *canbus.Frame) uint32 {
	var remote uint32
	if f.Has(canbus.Remote) {
		remote = 1
	}
	if f.Has(canbus.Extended) {
		const srr, ide = 1 << 20, 1 << 19
		return f.ID>>18<<21 | srr | ide | f.ID&(1<<18-1)<<1 | remote
	}
	return f.ID<<21 | remote<<20
}

// stall reports whether a tap has no room for what this frame may bring, and if
// so, has the bus wait for it.
func (s *simulation) stall(sender *Tap, f *canbus.Frame) bool {
	faulty, room := s.network.options.faulty(), 1
	if faulty {
		room = need + len(s.held)
	}
	for _, t := range s.network.taps {
		if t.observer || !faulty && t != sender && !t.wants(f) {
			continue
		}
		if t.rx.room() < room {
			t.rx.awaited.Store(true)
			if t.rx.room() < room { // else its reader was faster than awaited
				s.stalled = true
				return true
			}
		}
	}
	return false
}

// finish delivers the frame on the wire.
func (s *simulation) finish(at int64) {
	sender := s.sender
	s.sender = nil
	s.free = at
	s.frame.Stamp(s.timestamp(at))
	s.echo.Stamp(s.frame.Timestamp)
	if s.fate.errorFrame {
		report := s.errorFrame(errorframe.Protocol|errorframe.BusError, at)
		for _, t := range s.network.taps {
			if !t.tx.off {
				t.report(report)
			}
		}
	}
	sender.receive([]canbus.Frame{s.echo}, canbus.Echo)
	sender.tx.queue = slices.Delete(sender.tx.queue, 0, 1)
	s.network.room.Broadcast()

	switch v := s.fate.verdict; {
	case v&Lose != 0:
	case v&Reorder != 0 && len(s.held) < maxHeld:
		s.held = append(s.held, held{s.frame, sender, s.fate.distance, at + heldFor})
	default:
		s.deliver(sender, s.frame)
		if v&Duplicate != 0 {
			s.deliver(sender, s.frame)
		}
		overtake(&s.frame, s.held)
	}
}

// deliver has all taps but the sender receive the frame.
func (s *simulation) deliver(sender *Tap, f canbus.Frame) {
	for _, t := range s.network.taps {
		if t != sender && !t.tx.off {
			t.receive([]canbus.Frame{f}, 0)
		}
	}
}

// overtake counts a frame that overtakes the held frames. A held frame that has waited
// for its last one is due at once.
func overtake(f *canbus.Frame, held []held) {
	for i := range held {
		h := &held[i]
		if h.frame.ID != f.ID || h.frame.Has(canbus.Extended) != f.Has(canbus.Extended) {
			continue
		}
		if h.others--; h.others <= 0 {
			h.until = 0
		}
	}
}

func (s *simulation) release(i int) {
	h := s.held[i]
	s.held = slices.Delete(s.held, i, i+1)
	s.deliver(h.sender, h.frame)
	overtake(&h.frame, s.held[:i])
}

func (s *simulation) errorFrame(class uint32, at int64) canbus.Frame {
	f := errorframe.New(class, 0)
	f.Stamp(s.timestamp(at))
	return f
}

// busOff takes the tap's controller off the bus and drops what it has to send.
func (s *simulation) busOff(t *Tap, at int64, d time.Duration) {
	t.tx.off, t.tx.until = true, never
	if d > 0 {
		t.tx.until = at + int64(d)
	}
	s.silence(t, at)
	t.report(s.errorFrame(errorframe.BusOff, at))
	s.network.room.Broadcast()
}

// recover puts it back.
func (s *simulation) recover(t *Tap, at int64) {
	t.tx.off = false
	s.free = max(s.free, at)
	t.report(s.errorFrame(errorframe.Restarted, at))
}

func (s *simulation) timestamp(at int64) int64 { return s.start.UnixNano() + at }
