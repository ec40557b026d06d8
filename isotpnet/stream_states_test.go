package isotpnet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/internal/stream"
)

// These tests hold streamPair and outgoing against the tables of their states.

// A heldBackend sends nothing, but for the handshake of a stream: the test says what
// becomes of each message and of each call of recall.
type heldBackend struct {
	gatedBackend
	held    bool // a message was started and has not ended
	recalls chan bool
	closing chan struct{} // if not nil close waits for it
	closed  int
}

func newHeldBackend() *heldBackend {
	b := &heldBackend{recalls: make(chan bool)}
	b.peer.Init(stream.Config{MaxMessage: stream.MaxMessage, Single: 7, PeerSingle: 7, Window: stream.MaxWindow, MaxSessions: 8, Random: rand.Uint32})
	b.peer.Listen(8)
	return b
}

func (b *heldBackend) recall(bool) (left bool) { return <-b.recalls }

func (b *heldBackend) close() error {
	b.closed++
	if b.closing != nil {
		<-b.closing
	}
	return nil
}

// hold keeps all messages from now on.
func (b *heldBackend) hold() { b.onStart = func([]byte) bool { b.held = true; return true } }

// end ends the message that was started.
func (b *heldBackend) end(handed bool, err error) {
	b.held = false
	b.by.Sent(0, handed, err)
}

func openHeld(t *testing.T, b *heldBackend) *streamPair {
	p := newStreamPair(pairKey{}, MustParseAddr("/7E0:7E8"), new(Config))
	mustDo(t, p.open(func() (*Conn, error) { return &Conn{backend: b, maxSend: 4095}, nil }))
	return p
}

// An outgoingWalk provokes what can happen to the message that a pair sends, at random.
type outgoingWalk struct {
	b       *heldBackend
	p       *streamPair
	c       *StreamConn
	writes  int  // Writes that wait
	recalls int  // calls of recall that wait
	asked   bool // recall has returned false for the message under way
}

// The states of a message, with that of a control message and the recalls that are running
// told apart.
func (w *outgoingWalk) state() string {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	s := [...]string{"idle", "started", "postponed", "givenUp", "left"}[w.p.out.state.Load()]
	if s == "started" && w.p.out.session == nil {
		s = "control"
	}
	w.recalls = w.p.out.recalls
	if w.recalls > 0 {
		s += " recalling"
	}
	return s
}

// outgoingEvents are what may happen, with when it can.
var outgoingEvents = []struct {
	name     string
	possible func(w *outgoingWalk) bool
	provoke  func(w *outgoingWalk)
}{
	{"a Write", func(w *outgoingWalk) bool { return w.writes == 0 }, func(w *outgoingWalk) {
		w.writes++
		w.c.SetWriteDeadline(time.Time{})
		go func() {
			w.c.Write(make([]byte, 100))
			w.writes--
		}()
	}},
	{"its deadline", func(w *outgoingWalk) bool { return w.writes > 0 }, func(w *outgoingWalk) { w.c.SetWriteDeadline(past) }},
	{"a control message", func(*outgoingWalk) bool { return true }, func(w *outgoingWalk) {
		time.Sleep(10 * time.Millisecond)                               // for more of those the answer is no RESET
		go w.p.message(w.p.now(), []byte{0x67, 0xBE, 0xEF, 0, 1, 0, 0}) // a PING of an unknown session
	}},
	{"sent", func(w *outgoingWalk) bool { return w.b.held }, func(w *outgoingWalk) { go w.b.end(true, nil) }},
	{"taken back", func(w *outgoingWalk) bool { return w.b.held && w.asked }, func(w *outgoingWalk) {
		go w.b.end(false, os.ErrDeadlineExceeded)
	}},
	{"recall: not left", func(w *outgoingWalk) bool { return w.recalls > 0 }, func(w *outgoingWalk) {
		w.asked = true
		w.b.recalls <- false
	}},
	{"recall: left", func(w *outgoingWalk) bool { return w.recalls > 0 && !w.asked }, func(w *outgoingWalk) {
		w.b.recalls <- true
	}},
}

// outgoingTable has each step from a state by an event to a state, as outgoing's comment
// has it, with what is to be sent next when a message has ended.
var outgoingTable = map[string][]string{
	"idle, a Write":           {"started"},
	"idle, a control message": {"control"},

	"started, its deadline":      {"givenUp recalling"},
	"started, a control message": {"postponed recalling"},
	"started, sent":              {"idle"},

	"control, a Write":           {"control"},
	"control, its deadline":      {"control"},
	"control, a control message": {"control"},
	"control, sent":              {"idle", "control", "started"},

	"postponed recalling, its deadline":      {"postponed recalling"},
	"postponed recalling, a control message": {"postponed recalling"},
	"postponed recalling, sent":              {"idle recalling"},
	"postponed recalling, recall: not left":  {"postponed"},
	"postponed recalling, recall: left":      {"left"},
	"postponed, its deadline":                {"postponed"},
	"postponed, a control message":           {"postponed"},
	"postponed, sent":                        {"control"},
	"postponed, taken back":                  {"control"},

	"givenUp recalling, its deadline":      {"givenUp recalling"},
	"givenUp recalling, a control message": {"givenUp recalling"},
	"givenUp recalling, sent":              {"idle recalling"},
	"givenUp recalling, recall: not left":  {"givenUp"},
	"givenUp recalling, recall: left":      {"left"},
	"givenUp, its deadline":                {"givenUp"},
	"givenUp, a control message":           {"givenUp"},
	"givenUp, sent":                        {"idle", "control"},
	"givenUp, taken back":                  {"idle", "control"},

	// Nothing is started until recall returns.
	"idle recalling, a Write":           {"idle recalling"},
	"idle recalling, its deadline":      {"idle recalling"},
	"idle recalling, a control message": {"idle recalling"},
	"idle recalling, recall: not left":  {"idle", "control"},
	"idle recalling, recall: left":      {"idle", "control"},

	"left, a Write":           {"left"},
	"left, its deadline":      {"left"},
	"left, a control message": {"left"},
	"left, sent":              {"idle", "control", "started"},
}

func TestOutgoingGoesByItsTable(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) { walkOutgoing(t, rand.New(rand.NewPCG(seed, 0)), seen) })
	}
	for _, step := range slices.Sorted(maps.Keys(outgoingTable)) {
		for _, to := range outgoingTable[step] {
			if !seen[step+": "+to] {
				t.Errorf("%s: %s: never happened", step, to)
			}
		}
	}
}

func walkOutgoing(t *testing.T, rng *rand.Rand, seen map[string]bool) {
	b := newHeldBackend()
	p := openHeld(t, b)
	c, err := p.dial(t.Context(), streamNetwork, stream.KeepAlive{Off: true})
	mustDo(t, err)
	b.hold()
	w := &outgoingWalk{b: b, p: p, c: c}
	var trail []string
	for range 40 {
		from := w.state()
		e := outgoingEvents[rng.IntN(len(outgoingEvents))]
		if !e.possible(w) {
			continue
		}
		number := p.out.number
		e.provoke(w)
		synctest.Wait()
		to := w.state()
		if p.out.number != number || to == "idle" {
			w.asked = false
		}
		step := from + ", " + e.name
		trail = append(trail, step+": "+to)
		seen[step+": "+to] = true
		if !slices.Contains(outgoingTable[step], to) {
			t.Errorf("%s: %s is not in the table: %q", step, to, trail)
			break
		}
	}
	w.finish()
}

// finish lets everything end.
func (w *outgoingWalk) finish() {
	w.c.SetWriteDeadline(past)
	for done := false; !done; synctest.Wait() {
		switch w.state(); {
		case w.recalls > 0:
			w.b.recalls <- false
		case w.b.held:
			go w.b.end(false, errors.New("the test is over"))
		default:
			done = true
		}
	}
	go w.p.fail(net.ErrClosed)
	w.c.Close()
	synctest.Wait()
}

// lifeOf returns the state of a pair.
func lifeOf(p *streamPair) string {
	done := func(c chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !done(p.opened):
		return "opening"
	case done(p.ended):
		return "gone"
	case p.err != nil:
		return "over"
	}
	return "open"
}

var errTransport = errors.New("the bus has failed")

// Each way through the table of a pair's states.
func TestPairGoesByItsTable(t *testing.T) {
	for _, tt := range []struct {
		name    string
		openErr error
		end     func(p *streamPair)
		err     error
		walk    []string
	}{
		{"nothing uses it any more", nil, func(p *streamPair) { go p.leave() }, net.ErrClosed, []string{"opening", "open", "over", "gone"}},
		{"the transport fails", nil, func(p *streamPair) { go p.fail(errTransport) }, errTransport, []string{"opening", "open", "over", "gone"}},
		{"the transport fails twice", nil, func(p *streamPair) {
			go p.fail(errTransport)
			go p.fail(errTransport)
		}, errTransport, []string{"opening", "open", "over", "gone"}},
		{"the transport fails when nothing uses it any more", nil, func(p *streamPair) {
			go p.leave()
			synctest.Wait()
			go p.fail(errTransport)
		}, net.ErrClosed, []string{"opening", "open", "over", "gone"}},
		{"it cannot be opened", errTransport, nil, errTransport, []string{"opening", "gone"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newHeldBackend()
				b.closing = make(chan struct{})
				goOn := make(chan struct{})
				p := newStreamPair(pairKey{id: t.Name()}, MustParseAddr("/7E0:7E8"), new(Config))
				var walk []string
				note := func() {
					synctest.Wait()
					walk = append(walk, lifeOf(p))
				}
				if !p.enlist() {
					t.Fatal("the pair is there already")
				}
				go p.open(func() (*Conn, error) {
					<-goOn
					return &Conn{backend: b, maxSend: 4095}, tt.openErr
				})
				note()
				joined := joinLater(p)
				if mustWait(t, joined); tt.openErr == nil {
					close(goOn)
					note()
					if ok := <-joined; !ok {
						t.Error("an open pair was not joined")
					}
					p.leave()
					tt.end(p)
					note()
					joined = joinLater(p)
					mustWait(t, joined)
					p.message(0, []byte{0x67, 0xBE, 0xEF, 0, 1, 0, 0}) // starts nothing
					close(b.closing)
				} else {
					close(goOn)
				}
				note()
				if ok := <-joined; ok {
					t.Error("a pair that is gone was joined")
				}
				if fmt.Sprint(walk) != fmt.Sprint(tt.walk) || p.err != tt.err {
					t.Errorf("%v, %v; want %v, %v", walk, p.err, tt.walk, tt.err)
				}
				if want := len(tt.walk) / 4; b.closed != want {
					t.Errorf("the transport was closed %d times, want %d", b.closed, want)
				}
				if b.held {
					t.Error("a message was started")
				}
				next := newStreamPair(p.key, p.addr, new(Config))
				if !next.enlist() {
					t.Error("another pair cannot be opened")
				}
				next.forget()
			})
		})
	}
}

// joinLater joins a pair, and returns a channel that has whether it did so.
func joinLater(p *streamPair) chan bool {
	joined := make(chan bool, 1)
	go func() {
		ok, _ := p.join(context.Background(), streamNetwork, new(Config))
		joined <- ok
	}()
	synctest.Wait()
	return joined
}

func mustWait(t *testing.T, joined chan bool) {
	t.Helper()
	if len(joined) > 0 {
		t.Fatal("a caller that joins did not wait")
	}
}

// What keeps a pair open.
func TestPairIsOpenWhileItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newHeldBackend()
		p := openHeld(t, b)
		streamPairs.Lock()
		streamPairs.open[p.key] = p
		streamPairs.Unlock()
		want := func(state, when string) {
			t.Helper()
			synctest.Wait()
			if got := lifeOf(p); got != state {
				t.Errorf("%s: %s, want %s", when, got, state)
			}
		}
		want("open", "a caller has joined it")
		c, err := p.dial(t.Context(), streamNetwork, stream.KeepAlive{Off: true})
		mustDo(t, err)
		want("open", "there is a stream")
		b.hold()
		c.SetLinger(0)
		c.Close()
		want("open", "a RESET is being sent")
		b.end(true, nil)
		want("gone", "it was sent")
	})
}
