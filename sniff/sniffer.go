package sniff

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"example.com/isotp/canbus"
)

// Options say what a Sniffer follows and whom it tells. One of Message and Frame must be there.
type Options struct {
	// Pairs are those to follow, on every interface; none: all that the traffic shows.
	Pairs []Pair
	// Message is called with each message when it has ended.
	Message func(*Message)
	// Frame is called with each frame. Of a message that a frame ends, Frame is called first;
	// of one that is given up because of it, Message. While it is open whether a frame
	// is of a pair, others may overtake it.
	Frame func(*FrameEvent)
	// NBs and NCr are how long the flow control and the Consecutive Frames of a message may
	// take. 0: 1 s.
	NBs, NCr time.Duration
	// MaxData is how many bytes of a message are kept; the others are counted only.
	// 0: 16 MiB. All messages under way may have four times as many.
	MaxData int
}

const (
	defaultTimeout = time.Second
	defaultMaxData = 16 << 20

	// What is remembered at most.
	maxInterfaces    = 1 << 10
	maxConversations = 1 << 14
	maxUnknown       = 1 << 12 // identifiers of no pair, and the frames that are kept of them
)

// Stats count what a Sniffer was given.
type Stats struct {
	Frames   uint64
	Messages uint64 // whole ones
	GivenUp  uint64
	// Unassigned counts frames that are of no pair; of an identifier that may still become
	// one, when it does not.
	Unassigned uint64
	// Forgotten counts how often there were more identifiers than could be remembered, so
	// that a pair may have been missed, and frames of pairs beyond the 16384th, or of
	// interfaces beyond the 1024th, which were not followed.
	Forgotten uint64
}

// A Sniffer finds messages in frames. Its methods are for one goroutine at a time; they are
// not to be called by the functions of its Options.
type Sniffer struct {
	o     Options
	stats Stats

	interfaces map[string]uint32
	lastName   string // of an interface, and its number
	lastNumber uint32

	ids           map[idKey]*identifier
	unknown       int // how many of them have no lane
	conversations []*conversation
	found         int // how many conversations there ever were
	byPair        map[pairKey]*conversation
	asking        []*ask // those with a First Frame, oldest first

	active   []*lane // those with a reception
	buffers  [][]byte
	buffered int // bytes in the buffers of active lanes

	closed   bool
	now      int64 // the newest stamp
	timed    bool  // there was one
	sweepAt  int64
	held     uint64 // frames that were kept, to number them
	messages uint64
	event    FrameEvent // the one that Frame is called with
}

// An idKey is an identifier on an interface.
type idKey uint64

const extendedKey = 1 << 31

func keyOf(bus uint32, f *canbus.Frame) idKey {
	k := idKey(bus)<<32 | idKey(f.ID)
	if f.Flags&canbus.Extended != 0 {
		k |= extendedKey
	}
	return k
}

type pairKey struct {
	bus  uint32
	pair Pair
}

// New returns a Sniffer. An error names what is wrong with the Options.
func New(o Options) (*Sniffer, error) {
	if o.Message == nil && o.Frame == nil {
		return nil, errors.New("sniff: neither Options.Message nor Options.Frame: nothing could be told")
	}
	for _, v := range []struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{{"NBs", &o.NBs, defaultTimeout}, {"NCr", &o.NCr, defaultTimeout}} {
		if *v.value < 0 {
			return nil, fmt.Errorf("sniff: %s %v is negative (0: %v)", v.name, *v.value, v.standard)
		}
		if *v.value == 0 {
			*v.value = v.standard
		}
	}
	switch {
	case o.MaxData < 0:
		return nil, fmt.Errorf("sniff: MaxData %d is negative (0: %d)", o.MaxData, defaultMaxData)
	case o.MaxData == 0:
		o.MaxData = defaultMaxData
	}
	for i, p := range o.Pairs {
		if err := p.check(); err != nil {
			return nil, err
		}
		if slices.Contains(o.Pairs[:i], p) {
			return nil, fmt.Errorf("sniff: the pair %v is there twice", p)
		}
	}
	o.Pairs = slices.Clone(o.Pairs)
	return &Sniffer{
		o:          o,
		interfaces: make(map[string]uint32),
		ids:        make(map[idKey]*identifier),
		byPair:     make(map[pairKey]*conversation),
		sweepAt:    math.MinInt64,
	}, nil
}

// Frame takes the next frame of an interface, which may be "". It keeps no reference to f.
// It leaves out a frame of our own that a bus has refused ([canbus.Refused]): it was never sent.
func (s *Sniffer) Frame(f *canbus.Frame, ifi string) {
	if s.closed || f.Has(canbus.Echo|canbus.Refused) {
		return
	}
	s.stats.Frames++
	if f.Flags&canbus.Timed != 0 {
		s.advance(f.Timestamp)
	}
	bus, known := s.interfaceNumber(ifi)
	if !known || f.Flags&(canbus.Remote|canbus.ErrorFrame) != 0 {
		s.unassigned(f, ifi)
		return
	}
	key := keyOf(bus, f)
	id := s.ids[key]
	if id == nil {
		id = s.newIdentifier(bus, f, ifi)
	}
	s.dispatch(id, f)
}

// dispatch gives a frame to the lane of its address.
func (s *Sniffer) dispatch(id *identifier, f *canbus.Frame) {
	l := id.lane(f)
	if l == nil && len(s.o.Pairs) == 0 {
		l = s.standardLane(id, f)
	}
	switch {
	case l == nil && len(s.o.Pairs) > 0:
		s.unassigned(f, id.name)
	case l == nil:
		s.guess(id, f)
	default:
		if l.peer == nil && l.open {
			s.seekPeer(id, l, f)
		}
		l.handle(f)
	}
}

// unassigned tells of a frame that is of no pair.
func (s *Sniffer) unassigned(f *canbus.Frame, ifi string) {
	s.stats.Unassigned++
	if s.o.Frame != nil {
		s.event = FrameEvent{Frame: f, Interface: ifi, PCI: Decode(f, false)}
		s.o.Frame(&s.event)
	}
}

// interfaceNumber returns the number of an interface; false: there are too many.
func (s *Sniffer) interfaceNumber(name string) (uint32, bool) {
	if name == s.lastName && s.lastNumber > 0 {
		return s.lastNumber, true
	}
	n, ok := s.interfaces[name]
	if !ok {
		if len(s.interfaces) == maxInterfaces {
			s.stats.Forgotten++
			return 0, false
		}
		n = uint32(len(s.interfaces) + 1)
		s.interfaces[name] = n
	}
	s.lastName, s.lastNumber = name, n
	return n, true
}

// maxBack is how far a stamp may go back, as stamps of several sources do. A stamp that
// goes back further is of another recording, or of a clock that was set back.
const maxBack = int64(time.Second)

// wentBack reports whether at is too far before now.
func wentBack(now, at int64) bool { return at < now && uint64(now)-uint64(at) > uint64(maxBack) }

// sweepEvery is how often the time-outs of lanes that have no frames are looked for.
const sweepEvery = int64(100 * time.Millisecond)

// Advance says that it is t, and no frame came by then: messages that have waited too long are
// given up. It is for a bus that is quiet; a frame's own time does the same.
func (s *Sniffer) Advance(t time.Time) {
	if at := t.UnixNano(); s.timed && !s.closed && at > s.now {
		s.now = at
		s.sweep()
	}
}

func (s *Sniffer) advance(at int64) {
	switch {
	case !s.timed:
		s.timed, s.now = true, at
	case wentBack(s.now, at):
		s.giveUpAll(TimeWentBack)
		s.now, s.sweepAt = at, at
	case at > s.now:
		s.now = at
	}
	if s.now >= s.sweepAt {
		s.sweep()
	}
}

// sweep gives up the messages that have waited too long.
func (s *Sniffer) sweep() {
	for i := len(s.active) - 1; i >= 0; i-- {
		s.active[i].expire(s.now)
	}
	s.sweepAt = later(s.now, sweepEvery)
}

// later returns a time d behind t, d not negative.
func later(t, d int64) int64 {
	if t > math.MaxInt64-d {
		return math.MaxInt64
	}
	return t + d
}

func (s *Sniffer) giveUpAll(why Result) {
	for len(s.active) > 0 {
		s.active[len(s.active)-1].giveUp(why, s.now)
	}
}

// Close says that there are no more frames: messages under way are given up, Unfinished. After it
// Frame, Advance and Close do nothing; Stats and Conversations say what they said when it returned.
func (s *Sniffer) Close() {
	if s.closed {
		return
	}
	s.sweep()
	slices.SortFunc(s.active, func(a, b *lane) int { return cmp.Compare(b.msg.Number, a.msg.Number) })
	for i, l := range s.active {
		l.place = i
	}
	s.giveUpAll(Unfinished)
	s.release()
	s.closed = true
}

// Stats returns what was counted.
func (s *Sniffer) Stats() Stats { return s.stats }

// Conversations returns the pairs that were found or given and seen, in the order of their
// Number.
func (s *Sniffer) Conversations() []*Conversation {
	list := make([]*Conversation, len(s.conversations))
	for i, c := range s.conversations {
		list[i] = &c.Conversation
	}
	return list
}
