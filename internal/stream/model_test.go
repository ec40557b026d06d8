package stream

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"example.com/isotp/test/scale"
)

// A model is two endpoints, what is on its way between them, and, for each session,
// what was written: two queues of bytes, of which what is read must be a prefix.
type model struct {
	rng       *rand.Rand
	now       Time
	ends      [2]Endpoint
	ways      [2][][]byte // messages from each end
	begun     [2][][]byte // the last ones, given up or not
	single    single
	lose, dup float64
	reorder   float64
	damage    float64
	mix       float64 // a message's beginning is that of one before
	pairs     map[*Session]*side
	all       []*side
	out, in   [MaxMessage]byte
	log       []entry
	mixes     int
}

// An entry of the log is a message sent, or lost.
type entry struct {
	at      Time
	what    string
	message []byte
}

// A side is one end of a session.
type side struct {
	s        *Session
	end      int
	wrote    []byte
	offered  []byte
	base     uint64
	read     []byte
	awaits   []byte // what was given to Await, nil if nothing is awaited
	eof      bool
	closed   bool
	endWrite bool
}

// newModel makes a model whose sessions have the numbers that a mask leaves, and of
// which there can be only so many.
func newModel(seed uint64, numbers uint32, sessions int) *model {
	m := &model{rng: rand.New(rand.NewPCG(seed, 1)), pairs: make(map[*Session]*side), single: normal}
	if seed%2 == 1 {
		m.single = withByte
	}
	for i := range m.ends {
		m.ends[i].Init(Config{
			MaxMessage:  MinMessage(int(m.single)) + m.rng.IntN(100),
			Single:      int(m.single),
			PeerSingle:  int(m.single),
			Window:      256 * (1 + m.rng.IntN(8)),
			MaxSessions: sessions,
			Random:      func() uint32 { return m.rng.Uint32() & (0xFFFF0000 | numbers) },
		})
		m.ends[i].Listen(min(sessions, 100)) // with few sessions some give way
	}
	return m
}

func (m *model) add(s *Session, end int) {
	x := &side{s: s, end: end}
	m.pairs[s] = x
	m.all = append(m.all, x)
}

// any returns a session that is in use, nil if there is none.
func (m *model) any() *side {
	for range 4 {
		if len(m.all) == 0 {
			return nil
		}
		if x := m.all[m.rng.IntN(len(m.all))]; !x.closed {
			return x
		}
	}
	return nil
}

// step does something at random.
func (m *model) step() {
	end := m.rng.IntN(2)
	x := m.any()
	switch op := m.rng.IntN(100); {
	case op < 2:
		if s, err := m.ends[end].Dial(m.now); err == nil {
			m.add(s, end)
		}
	case op < 5:
		if s := m.ends[end].Accept(); s != nil {
			m.add(s, end)
		}
	case op < 25 && x != nil:
		m.write(x)
	case op < 26 && x != nil && x.s.Opened():
		x.s.CloseWrite()
		x.endWrite = true
	case op < 27 && x != nil:
		m.settle(x)
		x.s.Close(m.now)
		x.closed = true
	case op < 29 && x != nil:
		x.s.Withdraw()
	case op < 50 && x != nil:
		m.read(x)
	case op < 70:
		m.send(end)
	case op < 98:
		m.deliver(end)
	default:
		m.pass(time.Duration(m.rng.IntN(1000)) * time.Millisecond)
	}
}

// settle notes which bytes of an offer were sent.
func (m *model) settle(x *side) {
	if n := x.s.SentBytes() - x.base; x.offered != nil && x.s.Offered() == 0 {
		x.wrote = append(x.wrote, x.offered[:n]...)
		x.base += n
		x.offered = nil
	}
}

func (m *model) write(x *side) {
	m.settle(x)
	if x.offered != nil || x.endWrite || !x.s.Opened() || x.s.Err() != nil {
		return
	}
	x.offered = make([]byte, 1+m.rng.IntN(600))
	for i := range x.offered {
		x.offered[i] = byte(m.rng.Uint32())
	}
	x.s.Offer(m.now, x.offered)
}

func (m *model) read(x *side) {
	n := x.s.Arrived()
	x.read = append(x.read, x.awaits[:n]...)
	x.awaits = nil
	p := m.in[:1+m.rng.IntN(1000)]
	n, err := x.s.Read(p)
	x.read = append(x.read, p[:n]...)
	x.eof = x.eof || err == io.EOF
	if n == 0 && err == nil && m.rng.IntN(2) == 0 {
		x.awaits = make([]byte, 1+m.rng.IntN(5000))
		x.s.Await(x.awaits)
	}
}

// send takes a message from an end, and says that it was sent, or was not.
func (m *model) send(end int) (sent bool) {
	e := &m.ends[end]
	n, s := e.Poll(m.out[:])
	if n == 0 {
		return false
	}
	p := bytes.Clone(m.out[:n])
	m.log = append(m.log, entry{m.now, [2]string{"0:", "1:"}[end], p})
	m.begun[end] = append(m.begun[end][max(0, len(m.begun[end])-16):], p)
	handed := m.rng.Float64() >= m.lose/4
	if s != nil && m.rng.IntN(20) == 0 && !s.Withdraw() && m.rng.IntN(2) == 0 {
		s.RunOn()
		handed = true
	}
	if handed {
		m.ways[end] = append(m.ways[end], p)
	}
	e.Sent(m.now, handed, nil)
	if s != nil && m.pairs[s] != nil {
		m.settle(m.pairs[s])
	}
	return true
}

// deliver brings a message to its destination, if nothing goes wrong.
func (m *model) deliver(from int) {
	way := m.ways[from]
	if len(way) == 0 {
		return
	}
	i := 0
	if m.rng.Float64() < m.reorder {
		i = m.rng.IntN(min(len(way), 8))
	}
	p := way[i]
	if m.rng.Float64() >= m.dup {
		m.ways[from] = append(way[:i], way[i+1:]...)
	}
	switch {
	case m.rng.Float64() < m.lose:
		m.log = append(m.log, entry{m.now, "lost:", p})
		return
	case m.rng.Float64() < m.mix:
		p = m.mixed(from, p)
	case m.rng.Float64() < m.damage:
		p = append(bytes.Clone(p), 0xCC, 0xCC, 0xCC)[:m.rng.IntN(len(p)+4)]
	}
	m.ends[1-from].HandleMessage(m.now, p)
}

// mixed is a message of several frames whose first ones were lost, behind one as long
// of which only the first ones have come, given up or not.
func (m *model) mixed(from int, p []byte) []byte {
	var others [][]byte
	for _, q := range m.begun[from] {
		if len(q) == len(p) && !bytes.Equal(p, q) {
			others = append(others, q)
		}
	}
	borders := frameBorders(len(p), m.single)
	if len(others) == 0 || len(p) <= int(m.single) {
		return p
	}
	at := borders[m.rng.IntN(len(borders))]
	p = append(bytes.Clone(others[m.rng.IntN(len(others))][:at]), p[at:]...)
	m.log = append(m.log, entry{m.now, "mixed:", p})
	m.mixes++
	return p
}

func (m *model) pass(d time.Duration) {
	m.now = m.now.Add(d)
	for i := range m.ends {
		m.ends[i].HandleTimeout(m.now)
	}
}

// drain lets everything that is under way come to its end, without new faults.
func (m *model) drain() {
	m.lose, m.dup, m.reorder, m.damage, m.mix = 0, 0, 0, 0, 0
	for _, x := range m.all {
		if !x.s.Opened() { // as Dial does after its time-out
			x.s.Close(m.now)
			x.closed = true
		}
	}
	for range 300 {
		for busy := true; busy; {
			busy = false
			for end := range m.ends {
				busy = m.send(end) || busy
				busy = busy || len(m.ways[end]) > 0
				m.deliver(end)
				if s := m.ends[end].Accept(); s != nil {
					m.add(s, end)
				}
			}
		}
		for _, x := range m.all {
			if !x.closed {
				m.read(x)
			}
			m.settle(x)
		}
		m.pass(time.Second)
	}
}

// peers finds the other side of a session. There can be more than one: if the first
// was reset before the opener had its ACCEPT, the next OPEN makes another.
func (m *model) peers(x *side) (found []*side) {
	for _, y := range m.all {
		if y.end != x.end && y.s.key^x.s.key == acceptedKey && (y.s.peerFirst == x.s.first || y.s.first == x.s.peerFirst) {
			found = append(found, y)
		}
	}
	return found
}

// peer returns the last of them.
func (m *model) peer(x *side) *side {
	found := m.peers(x)
	if len(found) == 0 {
		return nil
	}
	return found[len(found)-1]
}

// written is the bytes that a side has sent.
func (m *model) written(x *side) []byte {
	m.settle(x)
	return append(bytes.Clone(x.wrote), x.offered[:min(uint64(len(x.offered)), x.s.SentBytes()-x.base)]...)
}

// check compares what was read with what was written.
func (m *model) check() error {
	for _, x := range m.all {
		good := len(x.read) == 0 && !x.eof
		for _, y := range m.peers(x) {
			wrote := m.written(y)
			good = good || bytes.HasPrefix(wrote, x.read) && (!x.eof || len(x.read) == len(wrote))
		}
		if !good {
			return fmt.Errorf("end %d, session %X/%04X: read %d bytes (end: %v) that are no prefix of those written", x.end, x.s.key, x.s.first, len(x.read), x.eof)
		}
	}
	return nil
}

// settled checks, after drain, that every session is in order or over.
func (m *model) settled() error {
	for _, x := range m.all {
		y := m.peer(x)
		if x.closed || x.s.Err() != nil {
			continue
		}
		// This side thinks that all is well.
		switch {
		case !x.s.Opened():
			return fmt.Errorf("session %X/%04X: still being opened", x.s.key, x.s.first)
		case y == nil:
			return fmt.Errorf("session %X/%04X: open without a peer", x.s.key, x.s.first)
		case x.s.state == open && y.s.Err() != nil:
			return fmt.Errorf("session %X/%04X: the peer has failed with %q and this side does not know", x.s.key, x.s.first, y.s.Err())
		case x.s.state == open && !y.closed && len(x.read) != len(y.wrote):
			return fmt.Errorf("session %X/%04X: read %d bytes of %d", x.s.key, x.s.first, len(x.read), len(y.wrote))
		case x.s.Offered() > 0 && y.s.state == open:
			return fmt.Errorf("session %X/%04X: %d bytes are stuck", x.s.key, x.s.first, x.s.Offered())
		}
	}
	return nil
}

// Two endpoints do things at random over transports that are good, or lose, repeat,
// reorder and damage messages, and make one of two. The bytes read are always the bytes
// written, up to an error, and no session waits for ever.
func TestModel(t *testing.T) {
	for _, tt := range []struct {
		name                       string
		numbers                    uint32
		sessions                   int
		lose, dup, reorder, damage float64
		mix                        float64
	}{
		{"good", 0xFFFF, 1000, 0, 0, 0, 0, 0},
		{"collisions", 3, 4, 0, 0, 0, 0, 0},
		{"duplicates", 0xFFFF, 8, 0, 0.05, 0, 0, 0},
		{"loss of 1 %", 0xFFFF, 8, 0.01, 0, 0, 0, 0},
		{"loss of 20 %", 0xFFFF, 8, 0.20, 0, 0, 0, 0},
		{"damage", 0xFFFF, 8, 0, 0, 0, 0.05, 0},
		{"mixed", 0xFFFF, 8, 0, 0, 0, 0, 0.1},
		{"all of it", 3, 4, 0.02, 0.02, 0.02, 0.02, 0.1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mixes := 0
			for seed := range scale.Down[uint64](15, 3) {
				m := newModel(seed, tt.numbers, tt.sessions)
				m.lose, m.dup, m.reorder, m.damage, m.mix = tt.lose, tt.dup, tt.reorder, tt.damage, tt.mix
				for step := range 3000 {
					m.step()
					if step%100 == 0 {
						m.verify(t, seed, m.check())
					}
				}
				m.verify(t, seed, m.check())
				m.drain()
				m.verify(t, seed, m.check())
				m.verify(t, seed, m.settled())
				mixes += m.mixes
				if tt.name == "good" {
					m.verify(t, seed, m.clean())
				}
			}
			if tt.mix > 0 && mixes < scale.Down(100, 20) {
				t.Errorf("only %d messages were mixed", mixes)
			}
		})
	}
}

// clean checks that no session has failed but for a Close that came too early. Only
// openers count: an OPEN that was repeated and is late can make a second session,
// which ends with an error as soon as anything happens in it.
func (m *model) clean() error {
	for _, x := range m.all {
		closed := x.closed || x.s.key&acceptedKey != 0
		for _, y := range m.peers(x) {
			closed = closed || y.closed
		}
		if err := x.s.Err(); err != nil && !closed && m.peer(x) != nil {
			return fmt.Errorf("session %X/%04X: %v", x.s.key, x.s.first, err)
		}
	}
	return nil
}

func (m *model) verify(t *testing.T, seed uint64, err error) {
	t.Helper()
	if err != nil {
		for _, line := range m.log[max(0, len(m.log)-100):] {
			t.Log(line.at/1e6, "ms", line.what, text(line.message))
		}
		t.Fatalf("seed %d: %v", seed, err)
	}
}
