package sniff

import (
	"cmp"
	"slices"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// An identifier is what is known of one CAN identifier on one interface.
type identifier struct {
	bus     uint32
	name    string // of the interface
	address wire.Address
	lanes   []*lane // of one without an address byte, or of several with

	// What follows serves to find out whether frames of no lane are those of a pair.
	frames  uint32
	fits    [2]uint32   // those that may be of ISO-TP, without and with an address byte
	kept    []keptFrame // the last of them: a ring that is full when one was dropped
	dropped uint64      // those before
	first   ask
}

// A keptFrame is one that may turn out to be of a pair.
type keptFrame struct {
	number uint64 // in the order in which they came
	frame  canbus.Frame
}

// An ask is a First Frame whose answer is looked for.
type ask struct {
	fits    [2]bool // it is one without, with an address byte
	byte    byte    // its first one
	at      int64   // when it or the last WAIT came
	sn      uint8   // of the next Consecutive Frame, 1 or 2; 0: there is no First Frame
	answers []answer
}

// An answer is flow control that may answer a First Frame.
type answer struct {
	id       *identifier
	overhead int
	byte     byte
	status   FlowStatus
	clean    bool // nothing is behind it, or bytes that are all the same
}

const (
	maxKept    = 32 // frames of an identifier
	maxAnswers = 8  // of one First Frame
	maxAsking  = 64 // identifiers whose First Frame has no answer yet
)

// with returns the address of frames with this identifier.
func (id *identifier) with(overhead int, b byte) wire.Address {
	a := id.address
	if overhead > 0 {
		a.HasByte, a.Byte = true, b
	}
	return a
}

// lane returns the lane of a frame with this identifier, nil if there is none.
func (id *identifier) lane(f *canbus.Frame) *lane {
	for _, l := range id.lanes {
		if l.address.MatchByte(f) {
			return l
		}
	}
	return nil
}

// newIdentifier returns the identifier of a frame, with the lanes that Options.Pairs have
// for it.
func (s *Sniffer) newIdentifier(bus uint32, f *canbus.Frame, name string) *identifier {
	if s.unknown >= maxUnknown {
		s.stats.Forgotten++
		s.forget()
	}
	id := &identifier{bus: bus, name: name, address: wire.Address{ID: f.ID, Extended: f.Has(canbus.Extended)}}
	s.ids[keyOf(bus, f)] = id
	s.unknown++
	for _, p := range s.o.Pairs {
		if id.isOf(p.A.wire()) || !p.Alone && id.isOf(p.B.wire()) {
			if c := s.conversation(bus, name, p); c != nil {
				s.attach(id, c)
			}
		}
	}
	// Addresses with a byte are the narrower ones.
	slices.SortStableFunc(id.lanes, func(a, b *lane) int { return b.address.Overhead() - a.address.Overhead() })
	return id
}

func (id *identifier) isOf(a wire.Address) bool {
	return a.Extended == id.address.Extended && (a.ID^id.address.ID)&a.Mask() == 0
}

// attach gives an identifier the lanes of a conversation that have it.
func (s *Sniffer) attach(id *identifier, c *conversation) {
	if len(id.lanes) == 0 {
		s.unknown--
	}
	for _, l := range c.lanes {
		if l != nil && id.isOf(l.address) && !slices.Contains(id.lanes, l) {
			id.lanes = append(id.lanes, l)
		}
	}
}

// conversation returns that of a pair, nil if there are too many.
func (s *Sniffer) conversation(bus uint32, name string, p Pair) *conversation {
	key := pairKey{bus, p}
	c := s.byPair[key]
	if c != nil {
		return c
	}
	if len(s.conversations) == maxConversations {
		s.stats.Forgotten++
		return nil
	}
	c = &conversation{s: s, bus: bus, now: s.now}
	c.Number, c.Interface, c.Pair = len(s.conversations)+1, name, p
	c.asked = p.Alone && len(s.o.Pairs) > 0
	c.lanes[0] = &lane{c: c, address: p.A.wire(), sent: &c.A}
	if !p.Alone {
		c.addPeer(p.B.wire())
	}
	s.conversations = append(s.conversations, c)
	s.byPair[key] = c
	return c
}

// addPeer gives a conversation its other side.
func (c *conversation) addPeer(a wire.Address) {
	first := c.lanes[0]
	c.lanes[1] = &lane{c: c, address: a, sent: &c.B, fromB: true, peer: first}
	first.peer, first.open = c.lanes[1], false
}

// standardLane returns the lane of a frame whose identifier a standard has given to ISO-TP;
// nil if it has not, or the frame is none of ISO-TP.
func (s *Sniffer) standardLane(id *identifier, f *canbus.Frame) *lane {
	p, ok := Standard(f)
	if !ok {
		return nil
	}
	if _, ok := decode(f, p.A.wire().Overhead()); !ok {
		return nil
	}
	c := s.conversation(id.bus, id.name, p)
	if c == nil {
		return nil
	}
	s.attach(id, c)
	return id.lane(f)
}

// guess takes a frame of no lane. If it shows a pair, the frames that were kept go to the
// pair's lanes.
func (s *Sniffer) guess(id *identifier, f *canbus.Frame) {
	id.frames++
	var fit [2]bool
	var p [2]PCI
	for o := range p {
		if p[o], fit[o] = decode(f, o); fit[o] {
			id.fits[o]++
		}
	}
	if !fit[0] && !fit[1] {
		s.unassigned(f, id.name)
		return
	}
	s.keep(id, f)
	is := func(o int, t Type) bool { return fit[o] && p[o].Type == t }
	if is(0, FirstFrame) || is(1, FirstFrame) {
		s.begin(id, f, [2]bool{is(0, FirstFrame), is(1, FirstFrame)})
		return
	}
	for o := range p {
		switch {
		case is(o, FlowControl):
			s.offer(id, f, o, &p[o])
		case is(o, ConsecutiveFrame) && id.first.sn != 0:
			if id.first.goesOn(f, o, &p[o]) {
				s.goOn(id, f, o)
				return
			}
			if id.first.fits[o] {
				s.drop(id)
			}
		}
	}
}

// begin notes a First Frame.
func (s *Sniffer) begin(id *identifier, f *canbus.Frame, fits [2]bool) {
	s.drop(id)
	id.first = ask{fits: fits, byte: f.Data[0], at: s.now, sn: 1, answers: id.first.answers[:0]}
	if len(s.asking) == maxAsking {
		s.drop(s.asking[0])
	}
	s.asking = append(s.asking, id)
}

// drop forgets a First Frame.
func (s *Sniffer) drop(id *identifier) {
	if i := slices.Index(s.asking, id); i >= 0 {
		s.asking = slices.Delete(s.asking, i, i+1)
	}
	id.first.sn = 0
}

// offer notes flow control for each First Frame that it may answer.
func (s *Sniffer) offer(id *identifier, f *canbus.Frame, overhead int, p *PCI) {
	for _, from := range s.asking {
		if from == id || from.bus != id.bus || s.now > later(from.first.at, int64(s.o.NBs)) {
			continue
		}
		a := answer{id: id, overhead: overhead, byte: f.Data[0], status: p.Status, clean: isFiller(f.Payload()[overhead+3:])}
		if p.Status == Wait {
			from.first.at = s.now
		}
		from.first.note(a)
	}
}

// note adds an answer, in the place of the same address's one before.
func (k *ask) note(a answer) {
	k.answers = slices.DeleteFunc(k.answers, func(b answer) bool {
		return b.id == a.id && b.overhead == a.overhead && b.byte == a.byte
	})
	if len(k.answers) == maxAnswers {
		k.answers = slices.Delete(k.answers, 0, 1)
	}
	k.answers = append(k.answers, a)
}

func isFiller(p []byte) bool {
	for _, b := range p {
		if b != p[0] {
			return false
		}
	}
	return true
}

// goesOn reports whether a Consecutive Frame is the next one behind the First Frame.
func (k *ask) goesOn(f *canbus.Frame, overhead int, p *PCI) bool {
	return k.fits[overhead] && p.SN == k.sn && (overhead == 0 || f.Data[0] == k.byte)
}

// goOn takes the next Consecutive Frame behind a First Frame. With the first of them a pair
// is found, if there was an answer; with the second one side of a pair.
func (s *Sniffer) goOn(id *identifier, f *canbus.Frame, overhead int) {
	if !id.plausible(overhead) {
		return
	}
	if a := id.first.best(overhead); a != nil && id.first.sn == 1 {
		s.join(id, overhead, f.Data[0], a)
		s.drop(id)
		return
	}
	id.first.fits = [2]bool{overhead == 0, overhead == 1}
	if id.first.sn++; id.first.sn == 3 {
		s.joinAlone(id, overhead, f.Data[0])
		s.drop(id)
	}
}

// plausible reports whether most frames of the identifier may be of ISO-TP.
func (id *identifier) plausible(overhead int) bool {
	return uint64(id.fits[overhead])*4 >= uint64(id.frames)*3
}

// best returns the answer to go by, nil if there is none: one that looks like no other
// frame, with the N_PCI where the First Frame has it, and the last of several.
func (k *ask) best(overhead int) *answer {
	var best *answer
	score := -1
	for i := range k.answers {
		a := &k.answers[i]
		if a.status != ContinueToSend || !a.id.plausible(a.overhead) || a.id.taken(a.overhead, a.byte) {
			continue
		}
		points := 0
		if a.clean {
			points += 2
		}
		if a.overhead == overhead {
			points++
		}
		if points >= score {
			best, score = a, points
		}
	}
	return best
}

// taken reports whether frames of that address have a lane.
func (id *identifier) taken(overhead int, b byte) bool {
	a := id.with(overhead, b)
	return slices.ContainsFunc(id.lanes, func(l *lane) bool { return l.address.Overlaps(a) })
}

// seekPeer looks for the other side of a lane that has none, before it takes a frame.
func (s *Sniffer) seekPeer(id *identifier, l *lane, f *canbus.Frame) {
	o := l.address.Overhead()
	switch p, ok := decode(f, o); {
	case !ok:
	case p.Type == FirstFrame:
		s.begin(id, f, [2]bool{o == 0, o == 1})
	case p.Type == ConsecutiveFrame && id.first.sn == 1:
		if a := id.first.best(o); a != nil && id.first.goesOn(f, o, &p) {
			s.completePair(l, a)
		}
		s.drop(id)
	}
}

// join makes a pair of an identifier and what has answered it.
func (s *Sniffer) join(id *identifier, overhead int, b byte, a *answer) {
	from, to := id.with(overhead, b), a.id.with(a.overhead, a.byte)
	if from.Overlaps(to) {
		return
	}
	p := Pair{A: addressOf(from), B: addressOf(to)}
	if a.id.firstKept(to) < id.firstKept(from) {
		p.A, p.B = p.B, p.A
	}
	if c := s.conversation(id.bus, id.name, p); c != nil {
		s.settle(c, id, a.id)
	}
}

// joinAlone makes a pair of one side.
func (s *Sniffer) joinAlone(id *identifier, overhead int, b byte) {
	c := s.conversation(id.bus, id.name, Pair{A: addressOf(id.with(overhead, b)), Alone: true})
	if c != nil {
		c.lanes[0].open = true
		s.settle(c, id)
	}
}

// completePair gives a lane its other side.
func (s *Sniffer) completePair(l *lane, a *answer) {
	c := l.c
	to := a.id.with(a.overhead, a.byte)
	delete(s.byPair, pairKey{c.bus, c.Pair})
	c.Pair = Pair{A: c.Pair.A, B: addressOf(to)}
	s.byPair[pairKey{c.bus, c.Pair}] = c
	c.addPeer(to)
	s.settle(c, a.id)
}

func addressOf(w wire.Address) Address {
	return Address{ID: w.ID, Extended: w.Extended, HasByte: w.HasByte, Byte: w.Byte}
}

// settle gives identifiers their lanes of a new pair, and these the frames that were kept.
func (s *Sniffer) settle(c *conversation, ids ...*identifier) {
	type late struct {
		keptFrame
		lane *lane
	}
	var frames []late
	for _, id := range ids {
		s.attach(id, c)
		c.Forgotten += id.dropped
		var others []keptFrame
		for _, k := range id.kept {
			if l := id.lane(&k.frame); l != nil {
				frames = append(frames, late{k, l})
			} else {
				others = append(others, k)
			}
		}
		slices.SortFunc(others, func(a, b keptFrame) int { return cmp.Compare(a.number, b.number) })
		id.kept, id.dropped = others, 0
	}
	slices.SortFunc(frames, func(a, b late) int { return cmp.Compare(a.number, b.number) })
	c.now = 0
	for i := range frames {
		frames[i].lane.handle(&frames[i].frame)
	}
}

// firstKept returns the number of the first frame of an address that was kept.
func (id *identifier) firstKept(a wire.Address) uint64 {
	first := ^uint64(0)
	for i := range id.kept {
		if k := &id.kept[i]; k.number < first && a.MatchByte(&k.frame) {
			first = k.number
		}
	}
	return first
}

// keep keeps a frame that may be of a pair.
func (s *Sniffer) keep(id *identifier, f *canbus.Frame) {
	s.held++
	if len(id.kept) < maxKept {
		id.kept = append(id.kept, keptFrame{s.held, *f})
		return
	}
	oldest := &id.kept[id.dropped%maxKept]
	s.unassigned(&oldest.frame, id.name)
	*oldest = keptFrame{s.held, *f}
	id.dropped++
}

// forget forgets the identifiers of no pair.
func (s *Sniffer) forget() {
	s.release()
	for key, id := range s.ids {
		if len(id.lanes) == 0 {
			delete(s.ids, key)
		}
	}
	s.unknown = 0
	for len(s.asking) > 0 {
		s.drop(s.asking[0])
	}
}

// release tells of the frames that were kept, which are of no pair.
func (s *Sniffer) release() {
	type late struct {
		keptFrame
		name string
	}
	var frames []late
	for _, id := range s.ids {
		for _, k := range id.kept {
			frames = append(frames, late{k, id.name})
		}
		id.kept, id.dropped = id.kept[:0], 0
	}
	slices.SortFunc(frames, func(a, b late) int { return cmp.Compare(a.number, b.number) })
	for i := range frames {
		s.unassigned(&frames[i].frame, frames[i].name)
	}
}
