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
	fits    [2]uint32           // those that may be of ISO-TP, without and with an address byte
	kept    []keptFrame         // the last of them: a ring that is full when one was dropped
	dropped uint64              // those before
	stray   [2]bool             // flow control came that no First Frame waited for
	asks    [1 + maxTargets]ask // the last First Frame without an address byte, and those of several with one
}

// A keptFrame is one that may turn out to be of a pair.
type keptFrame struct {
	number uint64 // in the order in which they came
	frame  canbus.Frame
}

// An ask is a First Frame whose answer is looked for.
type ask struct {
	id      *identifier
	from    wire.Address
	at      int64 // when it or the last WAIT came
	sn      uint8 // of the next Consecutive Frame, 1 or 2; 0: there is no First Frame
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
	maxTargets = 3  // address bytes of an identifier whose First Frames wait at once
	maxAsking  = 64 // First Frames whose first Consecutive Frames are to come
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
	s.found++
	c.Number, c.Interface, c.Pair = s.found, name, p
	c.asked = p.Alone && len(s.o.Pairs) > 0
	c.lanes[0] = &lane{c: c, address: p.A.wire(), sent: &c.A}
	if !p.Alone {
		c.addPeer(&lane{c: c, address: p.B.wire(), sent: &c.B, fromB: true})
	}
	s.conversations = append(s.conversations, c)
	s.byPair[key] = c
	return c
}

// addPeer gives a conversation the lane of its other side.
func (c *conversation) addPeer(l *lane) {
	first := c.lanes[0]
	c.lanes[1], l.peer = l, first
	first.peer, first.open = l, false
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
	var p [2]PCI
	var fit [2]bool
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
	for o := range p {
		if fit[o] && s.look(id, f, o, &p[o]) {
			return
		}
	}
}

// look looks at what a frame may say of pairs, and reports whether it shows one.
func (s *Sniffer) look(id *identifier, f *canbus.Frame, overhead int, p *PCI) bool {
	switch p.Type {
	case FirstFrame:
		from := id.with(overhead, f.Data[0])
		s.begin(id.room(from), id, from)
	case FlowControl:
		s.offer(id, f, overhead, p)
	case ConsecutiveFrame:
		k := id.waiting(id.with(overhead, f.Data[0]))
		if k == nil {
			return false
		}
		if p.SN == k.sn && s.now <= later(k.at, int64(s.o.NBs+s.o.NCr)) {
			return s.goOn(k)
		}
		s.drop(k)
	}
	return false
}

// waiting returns the First Frame of an address, nil if there is none.
func (id *identifier) waiting(from wire.Address) *ask {
	for i := range id.asks {
		if k := &id.asks[i]; k.sn > 0 && k.from == from {
			return k
		}
	}
	return nil
}

// room returns where a First Frame is noted: in the place of the same address's one before,
// or of the oldest.
func (id *identifier) room(from wire.Address) *ask {
	if from.Overhead() == 0 {
		return &id.asks[0]
	}
	if k := id.waiting(from); k != nil {
		return k
	}
	k := &id.asks[1]
	for i := range id.asks[1:] {
		other := &id.asks[1+i]
		if other.sn == 0 {
			return other
		}
		if other.at < k.at {
			k = other
		}
	}
	return k
}

// begin notes a First Frame.
func (s *Sniffer) begin(k *ask, id *identifier, from wire.Address) {
	s.drop(k)
	*k = ask{id: id, from: from, at: s.now, sn: 1, answers: k.answers[:0]}
	if len(s.asking) == maxAsking {
		s.drop(s.asking[0])
	}
	s.asking = append(s.asking, k)
}

// drop forgets a First Frame.
func (s *Sniffer) drop(k *ask) {
	if k.sn == 0 {
		return
	}
	k.sn = 0
	if i := slices.Index(s.asking, k); i >= 0 {
		s.asking = slices.Delete(s.asking, i, i+1)
	}
}

// offer notes flow control for each First Frame that it may answer.
func (s *Sniffer) offer(id *identifier, f *canbus.Frame, overhead int, p *PCI) {
	stray := true
	for _, k := range s.asking {
		if k.id == id || k.id.bus != id.bus || s.now > later(k.at, int64(s.o.NBs)) {
			continue
		}
		stray = false
		if p.Status == Wait {
			k.at = s.now
		}
		k.note(answer{id: id, overhead: overhead, byte: f.Data[0], status: p.Status, clean: isFiller(f.Payload()[overhead+3:])})
	}
	if stray {
		id.stray[overhead] = true
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

// goOn takes the next Consecutive Frame behind a First Frame, and reports whether it shows a
// pair: the first one does if there was an answer, the second one shows one side of a pair.
func (s *Sniffer) goOn(k *ask) bool {
	if !k.id.plausible(k.from.Overhead()) {
		return false
	}
	if k.sn == 1 {
		if a := k.best(); a != nil {
			s.drop(k)
			return s.join(k.id, k.from, a)
		}
		k.sn = 2
		return false
	}
	s.drop(k)
	return s.joinAlone(k.id, k.from)
}

// plausible reports whether most frames of the identifier may be of ISO-TP.
func (id *identifier) plausible(overhead int) bool {
	return uint64(id.fits[overhead])*4 >= uint64(id.frames)*3
}

// best returns the answer to go by. It is nil if there is none, or several look alike: then a
// later First Frame shows it. One that looks like no other frame is before others, one with
// the N_PCI where the First Frame has it, one with an identifier as long, one whose address is
// as those of pairs are, and one that came only when it was waited for.
func (k *ask) best() *answer {
	var best *answer
	score, tied := -1, false
	for i := range k.answers {
		a := &k.answers[i]
		if a.status != ContinueToSend || !a.id.plausible(a.overhead) || a.id.taken(a.address()) {
			continue
		}
		points := 0
		if a.clean {
			points += 16
		}
		if a.overhead == k.from.Overhead() {
			points += 8
		}
		if a.id.address.Extended == k.from.Extended {
			points += 4
		}
		if related(k.from, a.address()) {
			points += 2
		}
		if !a.id.stray[a.overhead] {
			points++
		}
		switch {
		case points > score:
			best, score, tied = a, points, false
		case points == score:
			tied = true
		}
	}
	if tied {
		return nil
	}
	return best
}

// related reports whether two addresses are as those of a pair often are. Identifiers of 11
// bits are 8 apart then, and those of 29 bits have both nodes' addresses in turn. In extended
// addressing each side's byte is the end of the other's identifier, in mixed addressing both
// bytes are the same.
func related(a, b wire.Address) bool {
	switch {
	case a.HasByte != b.HasByte:
		return false
	case a.HasByte:
		return a.Byte == b.Byte || a.Byte == byte(b.ID) && b.Byte == byte(a.ID)
	case a.Extended && b.Extended:
		return a.ID>>16 == b.ID>>16 && byte(a.ID) == byte(b.ID>>8) && byte(b.ID) == byte(a.ID>>8)
	}
	return !a.Extended && !b.Extended && a.ID^b.ID == 8
}

func (a *answer) address() wire.Address { return a.id.with(a.overhead, a.byte) }

// taken reports whether frames of that address have a lane that seeks no peer.
func (id *identifier) taken(a wire.Address) bool {
	return slices.ContainsFunc(id.lanes, func(l *lane) bool { return !l.open && l.address.Overlaps(a) })
}

// seeking returns the lane of that address that seeks a peer, nil if there is none.
func (id *identifier) seeking(a wire.Address) *lane {
	for _, l := range id.lanes {
		if l.open && l.address == a {
			return l
		}
	}
	return nil
}

// seekPeer looks for the other side of a lane that has none, before it takes a frame.
func (s *Sniffer) seekPeer(id *identifier, l *lane, f *canbus.Frame) {
	o := l.address.Overhead()
	p, ok := decode(f, o)
	if !ok {
		return
	}
	if p.Type == ConsecutiveFrame {
		if k := id.waiting(l.address); k == nil || k.sn != 1 {
			return
		}
	}
	s.look(id, f, o, &p)
}

// join makes a pair of an address and what has answered it. Each of them may have a lane.
func (s *Sniffer) join(id *identifier, from wire.Address, a *answer) bool {
	to := a.address()
	if from.Overlaps(to) {
		return false
	}
	asked, answered := id.seeking(from), a.id.seeking(to)
	switch {
	case asked != nil && answered != nil:
		s.merge(asked, answered)
	case asked != nil:
		s.completePair(asked.c, a.id, to)
	case answered != nil:
		s.completePair(answered.c, id, from)
	default:
		p := Pair{A: addressOf(from), B: addressOf(to)}
		if a.id.firstKept(to) < id.firstKept(from) {
			p.A, p.B = p.B, p.A
		}
		c := s.conversation(id.bus, id.name, p)
		if c == nil {
			return false
		}
		s.settle(c, id, a.id)
	}
	return true
}

// joinAlone makes a pair of one side.
func (s *Sniffer) joinAlone(id *identifier, from wire.Address) bool {
	c := s.conversation(id.bus, id.name, Pair{A: addressOf(from), Alone: true})
	if c == nil {
		return false
	}
	c.lanes[0].open = true
	s.settle(c, id)
	return true
}

// completePair gives a conversation its other side.
func (s *Sniffer) completePair(c *conversation, id *identifier, a wire.Address) {
	s.rename(c, Pair{A: c.Pair.A, B: addressOf(a)})
	c.addPeer(&lane{c: c, address: a, sent: &c.B, fromB: true})
	s.settle(c, id)
}

// merge makes one conversation of two that have one side each, that of l.
func (s *Sniffer) merge(l, other *lane) {
	c, gone := l.c, other.c
	delete(s.byPair, pairKey{gone.bus, gone.Pair})
	s.conversations = slices.DeleteFunc(s.conversations, func(c *conversation) bool { return c == gone })
	s.rename(c, Pair{A: c.Pair.A, B: gone.Pair.A})
	c.B, c.Forgotten = gone.A, c.Forgotten+gone.Forgotten
	other.c, other.sent, other.fromB, other.open = c, &c.B, true, false
	other.msg.Conversation, other.msg.FromB = &c.Conversation, true
	c.addPeer(other)
}

// rename gives a conversation another pair.
func (s *Sniffer) rename(c *conversation, p Pair) {
	delete(s.byPair, pairKey{c.bus, c.Pair})
	c.Pair = p
	s.byPair[pairKey{c.bus, p}] = c
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
