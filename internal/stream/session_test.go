package stream

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestOpenIsRepeatedUntilAccepted(t *testing.T) {
	sc := newScript(t)
	s, _ := sc.e.Dial(sc.now)
	const open = ">OPEN 0001 1000 02 10"
	sc.sends(open)
	for _, ms := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		sc.after(ms*time.Millisecond - 1)
		sc.sends()
		sc.after(1)
		sc.sends(open)
	}
	if s.Opened() {
		t.Fatal("open without an ACCEPT")
	}
	sc.gets("<ACCEPT 0001 3000 02 10")
	if !s.Opened() {
		t.Fatal("not open")
	}
	sc.after(time.Second)
	sc.sends()
}

func TestOpenIsRefused(t *testing.T) {
	sc := newScript(t)
	s, _ := sc.e.Dial(sc.now)
	sc.sends(">OPEN 0001 1000 02 10")
	sc.gets("<RESET 0001 1001 01") // for another OPEN
	if s.Err() != nil {
		t.Fatal("a RESET with a wrong SEQ has ended it")
	}
	sc.gets("<RESET 0001 1000 01")
	sc.gone(s, "reset by the peer: it has no listener")
	sc.sends()
}

func TestGivingUpOpeningSendsReset(t *testing.T) {
	sc := newScript(t)
	s, _ := sc.e.Dial(sc.now)
	sc.sends(">OPEN 0001 1000 02 10")
	s.Close(sc.now)
	sc.sends(">RESET 0001 1000 07")
	sc.gets("<ACCEPT 0001 3000 02 10") // it comes too late
	sc.sends(">RESET 0001 3000 02")
}

// A message that was sent in part cannot be ended well: the peer must know.
func TestAbortSendsReset(t *testing.T) {
	sc := newScript(t)
	s := sc.accept(7)
	s.Abort()
	sc.sends("<RESET 0007 2000 07")
	sc.gone(s, "given up")
}

func TestOpenIsRefusedWithoutAListener(t *testing.T) {
	sc := newScript(t)
	sc.gets(">OPEN 0007 2000 02 10")
	sc.sends("<RESET 0007 2000 01")
}

func TestRepeatedOpenIsAcceptedAgain(t *testing.T) {
	sc := newScript(t)
	s := sc.accept(7)
	sc.gets(">OPEN 0007 2000 02 10")
	sc.sends("<ACCEPT 0007 1000 02 10")
	if sc.e.Accept() != nil || s.Err() != nil {
		t.Fatal("it has made another session")
	}
}

// An ACCEPT is confirmed as DATA is: it is from when it was handed over that a PING is due.
func TestLostAcceptIsNoticed(t *testing.T) {
	sc := newScript(t)
	sc.e.Listen(4)
	sc.gets(">OPEN 0007 2000 02 10")
	sc.after(500 * time.Millisecond)
	sc.sends("<ACCEPT 0007 1000 02 10")
	sc.after(time.Second - 1)
	sc.sends()
	sc.after(1)
	sc.sends("<PING 0007 1000 00 10")
}

func TestAcceptorMaySpeakFirst(t *testing.T) {
	sc := newScript(t)
	sc.e.Listen(4)
	sc.gets(">OPEN 0007 2000 02 10")
	s := sc.e.Accept()
	s.Offer(sc.now, []byte("hi"))
	sc.sends("<ACCEPT 0007 1000 02 10", "<DATA 0007 1000 68 69")
}

// The first ACCEPT was lost, and with it what the server has said after it.
// As of a TCP connection: nothing of what the peer has sent is lost unseen.
func TestSessionThatEndsBeforeItIsAccepted(t *testing.T) {
	for _, c := range []struct{ name, message, want string }{
		{"with data", ">RESET 0001 1000 07", "AA reset by the peer: given up"},
		{"without data", ">RESET 0001 1000 07", "reset by the peer: given up"},
		{"with a loss", ">DATA 0001 2005 BB", "a message was lost on the way"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc := newScript(t)
			sc.e.Listen(4)
			sc.gets(">OPEN 0001 2000 02 10")
			sc.sends("<ACCEPT 0001 1000 02 10")
			if c.name == "with data" {
				sc.gets(">DATA 0001 2000 AA")
			}
			sc.gets(c.message)
			s := sc.e.Accept()
			if s == nil {
				t.Fatal("nothing to accept")
			}
			sc.reads(s, c.want)
		})
	}
}

// An opener that has given up does not know that it was accepted.
func TestSessionThatItsOpenerHasGivenUpIsNotAccepted(t *testing.T) {
	sc := newScript(t)
	sc.e.Listen(4)
	sc.gets(">OPEN 0001 2000 02 10", ">RESET 0001 2000 07")
	if n := sc.e.Waiting(); n != 0 || sc.e.Accept() != nil {
		t.Errorf("%d wait for Accept", n)
	}
}

func TestDataBeforeAcceptIsLost(t *testing.T) {
	sc := newScript(t)
	s, _ := sc.e.Dial(sc.now)
	sc.sends(">OPEN 0001 1000 02 10")
	sc.gets("<DATA 0001 3000 68 69", "<ACCEPT 0001 3000 02 10")
	if !s.Opened() || s.Err() != nil {
		t.Fatal("not open")
	}
	sc.gets("<PING 0001 3001 00 10")
	sc.sends(">RESET 0001 3000 03")
	sc.gone(s, "a message was lost on the way")
}

// The acceptor knows nothing of the session any more, and an OPEN that was late has
// made another.
func TestAnotherAcceptIsALoss(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	sc.gets("<ACCEPT 0001 3000 02 10")
	sc.sends()
	sc.gets("<ACCEPT 0001 3001 02 10")
	sc.sends(">RESET 0001 3000 03")
	sc.gone(s, "a message was lost on the way")
}

func TestUnknownVersionIsRefused(t *testing.T) {
	sc := newScript(t)
	sc.e.Listen(1)
	for _, version := range []string{"01", "03"} {
		sc.gets(">OPEN 0007 2000 " + version + " 10 99")
		sc.sends("<RESET 0007 2000 06 02")
	}
}

// The error names both versions, if the peer has said which is its own.
func TestPeerOfAnotherVersion(t *testing.T) {
	for _, tt := range []struct{ answer, want string }{
		{"<RESET 0001 1000 06 01", "reset by the peer: it speaks version 1 of the protocol, and this side version 2"},
		{"<RESET 0001 1000 06 03", "reset by the peer: it speaks version 3 of the protocol, and this side version 2"},
		{"<RESET 0001 1000 06 00", "reset by the peer: the version of the protocol is not known there"},
		{"<RESET 0001 1000 06", "reset by the peer: the version of the protocol is not known there"},
		{"<ACCEPT 0001 3000 01 10", "it speaks version 1 of the protocol, and this side version 2"},
	} {
		t.Run(tt.answer, func(t *testing.T) {
			sc := newScript(t)
			s, _ := sc.e.Dial(sc.now)
			sc.sends(">OPEN 0001 1000 02 10")
			sc.gets(tt.answer)
			sc.gone(s, tt.want)
		})
	}
}

func TestBacklogIsLimited(t *testing.T) {
	sc := newScript(t)
	sc.e.Listen(2)
	sc.gets(">OPEN 0001 2000 02 10", ">OPEN 0002 2000 02 10")
	sc.sends("<ACCEPT 0001 1000 02 10", "<ACCEPT 0002 1000 02 10")
	sc.gets(">DATA 0001 2000 AA", ">DATA 0002 2000 BB", ">OPEN 0003 2000 02 10")
	sc.sends()
	sc.e.Accept()
	sc.gets(">OPEN 0003 2000 02 10") // the peer has tried again
	sc.sends("<ACCEPT 0003 1000 02 10")
}

// A session whose OPEN may be forged makes room for a later one.
func TestOldestUnconfirmedGivesWayInTheBacklog(t *testing.T) {
	sc := newScript(t)
	sc.e.Listen(2)
	sc.gets(">OPEN 0001 2000 02 10")
	sc.now++
	sc.gets(">OPEN 0002 2000 02 10")
	sc.now++
	sc.gets(">DATA 0001 2000 AA", ">OPEN 0003 2000 02 10")
	sc.sends("<RESET 0002 2000 07", "<ACCEPT 0001 1000 02 10", "<ACCEPT 0003 1000 02 10")
	if a, b := sc.e.Accept(), sc.e.Accept(); a.key != 1|acceptedKey || b.key != 3|acceptedKey {
		t.Errorf("accepted %X and %X", a.key, b.key)
	}
}

func TestOldestUnconfirmedGivesWayAfterAccept(t *testing.T) {
	sc := newScript(t, func(c *Config) { c.MaxSessions = 2 })
	first := sc.accept(1)
	sc.now++
	second := sc.accept(2)
	sc.gets(">OPEN 0003 2000 02 10")
	sc.sends("<RESET 0001 2000 07", "<ACCEPT 0003 1000 02 10")
	sc.gone(first, "given up")
	if second.Err() != nil {
		t.Error("the younger one has given way, too")
	}
}

// fakeWindows are a number of windows, of which none is taken from a session but that of
// the one that is stale.
type fakeWindows struct {
	left  int
	stale *Session // was given away
}

func (w *fakeWindows) Take(*Session) bool {
	if w.left == 0 {
		return false
	}
	w.left--
	return true
}
func (w *fakeWindows) Confirm(s *Session) bool { return s != w.stale }
func (w *fakeWindows) Give(*Session)           { w.left++ }

// A session that is over holds its window as long as it waits for Accept.
func TestStopListeningReturnsTheWindowsOfSessionsThatAreOver(t *testing.T) {
	w := &fakeWindows{left: 1}
	sc := newScript(t, func(c *Config) { c.Windows = w })
	sc.e.Listen(1)
	sc.gets(">OPEN 0001 2000 02 10")
	sc.sends("<ACCEPT 0001 1000 02 10")
	sc.gets(">DATA 0001 2000 AA")
	sc.e.Fail(errors.New("the bus has failed"))
	if w.left != 0 {
		t.Error("its data can still be read, and it has no window")
	}
	sc.e.StopListening()
	if w.left != 1 {
		t.Error("its window was not returned")
	}
}

func TestOpenWithoutAWindowIsNotAnswered(t *testing.T) {
	w := &fakeWindows{left: 1}
	sc := newScript(t, func(c *Config) { c.Windows = w })
	s := sc.accept(1)
	sc.gets(">DATA 0001 2000 AA", ">OPEN 0002 2000 02 10")
	sc.sends()
	sc.reads(s, "AA")
	s.Close(sc.now)
	if w.left != 1 {
		t.Error("a session that is closed holds a window")
	}
	sc.sends("<END 0001 1000")
	sc.gets(">OPEN 0002 2000 02 10")
	sc.sends("<ACCEPT 0002 1000 02 10")
	sc.gets(">END 0001 2000")
	if w.left != 0 {
		t.Errorf("%d windows are left", w.left)
	}
}

// What waits for Accept holds what it has received, even if it is over.
func TestSessionThatIsOverHoldsItsWindowUntilAccept(t *testing.T) {
	w := &fakeWindows{left: 1}
	sc := newScript(t, func(c *Config) { c.Windows = w })
	sc.e.Listen(4)
	sc.gets(">OPEN 0001 2000 02 10", ">DATA 0001 2000 AA", ">RESET 0001 1000 07", ">OPEN 0002 2000 02 10")
	sc.sends()
	sc.reads(sc.e.Accept(), "AA reset by the peer: given up")
	if w.left != 1 {
		t.Errorf("%d windows are left", w.left)
	}
}

func TestWindowOfAnEvictedSessionIsNotReturned(t *testing.T) {
	w := &fakeWindows{left: 1}
	sc := newScript(t, func(c *Config) { c.Windows = w })
	s := sc.accept(1)
	s.Evict() // its window is another's by now
	sc.gone(s, "given up")
	if w.left != 0 {
		t.Errorf("%d windows are left", w.left)
	}
}

func TestSessionWhoseWindowWasGivenAway(t *testing.T) {
	w := &fakeWindows{left: 1}
	sc := newScript(t, func(c *Config) { c.Windows = w })
	s := sc.accept(1)
	w.stale = s
	sc.gets(">DATA 0001 2000 AA")
	sc.sends("<RESET 0001 2000 07")
	sc.reads(s, "given up")
	s.Evict() // it is told later
	if w.left != 0 {
		t.Error("it has returned a window that it did not hold")
	}
}

func TestStopListeningResetsWhatWaits(t *testing.T) {
	sc := newScript(t)
	live := sc.accept(1)
	sc.gets(">OPEN 0002 2000 02 10")
	sc.e.StopListening()
	sc.sends("<RESET 0002 2000 07")
	if live.Err() != nil {
		t.Error("an accepted session has ended")
	}
	sc.gets(">OPEN 0003 2000 02 10")
	sc.sends("<RESET 0003 2000 01")
}

func TestSessionsAreLimited(t *testing.T) {
	sc := newScript(t, func(c *Config) { c.MaxSessions = 2 })
	first, _ := sc.dial(), sc.accept(7)
	sc.gets(">DATA 0007 2000 AA")
	if _, err := sc.e.Dial(sc.now); err != ErrTooManySessions {
		t.Fatalf("Dial: %v", err)
	}
	sc.gets(">OPEN 0008 2000 02 10")
	sc.sends()
	first.Close(sc.now) // it lingers, but gives way
	sc.sends(">END 0001 1000")
	sc.gets(">OPEN 0008 2000 02 10")
	sc.sends("<ACCEPT 0008 1000 02 10")
	if n := sc.e.Sessions(); n != 2 {
		t.Errorf("there are %d sessions", n)
	}
}

// Both sides open a session at the same time, with the same number.
func TestSimultaneousOpensWithTheSameNumber(t *testing.T) {
	sc := newScript(t)
	sc.e.Listen(1)
	ours, _ := sc.e.Dial(sc.now)
	sc.gets(">OPEN 0001 1000 02 10")
	sc.sends(">OPEN 0001 1000 02 10", "<ACCEPT 0001 1000 02 10")
	sc.gets("<ACCEPT 0001 3000 02 10", "<DATA 0001 3000 AA", ">DATA 0001 1000 BB")
	theirs := sc.e.Accept()
	sc.reads(ours, "AA")
	sc.reads(theirs, "BB")
	ours.Offer(sc.now, []byte{0xCC})
	theirs.Offer(sc.now, []byte{0xDD})
	sc.sends(">DATA 0001 1000 CC", "<DATA 0001 1000 DD")
}

func TestNumbersInUseAreNotChosenAgain(t *testing.T) {
	sc := newScript(t, func(c *Config) { c.Random = func() uint32 { return 0x10000001 } })
	for number := range 3 {
		if s := sc.dial(); s.key != key(number+1) {
			t.Fatalf("session %d has the number %d", number, s.key)
		}
	}
}

func TestRestartedClientEndsItsOldSession(t *testing.T) {
	sc := newScript(t)
	old := sc.accept(7)
	sc.gets(">DATA 0007 2000 AA")
	sc.gets(">OPEN 0007 3000 02 10")
	sc.sends("<ACCEPT 0007 1000 02 10")
	sc.gone(old, "the peer was restarted")
	sc.reads(old, "AA the peer was restarted")
	sc.gets(">DATA 0007 3000 BB")
	sc.reads(sc.e.Accept(), "BB")
}

func TestRestartedServerResets(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Offer(sc.now, []byte{1})
	sc.sends(">DATA 0001 1000 01")
	sc.gets("<RESET 0001 1000 02")
	sc.gone(s, "reset by the peer: the session is not known there")
}

// A RESET that is late does not end the next session with the same number.
func TestResetOfAnEarlierSessionIsIgnored(t *testing.T) {
	sc := newScript(t)
	s := sc.accept(7)
	s.Offer(sc.now, []byte{1})
	sc.sends("<DATA 0007 1000 01")
	sc.gets(">RESET 0007 0FFF 02", ">RESET 0007 1002 02")
	if s.Err() != nil {
		t.Fatal("it has ended the session")
	}
	sc.gets(">RESET 0007 1001 03")
	sc.gone(s, "reset by the peer: a message was lost on the way")
}

// The opener has given up before it had our ACCEPT.
func TestResetWithTheSEQOfOpen(t *testing.T) {
	sc := newScript(t)
	s := sc.accept(7)
	sc.gets(">RESET 0007 2000 07")
	sc.gone(s, "reset by the peer: given up")
}

func TestUnknownSessionsAreReset(t *testing.T) {
	sc := newScript(t)
	sc.gets(">DATA 0007 2000 AA", "<PING 0007 2000 00 10", "<END 0009 2001")
	sc.sends("<RESET 0007 2000 02", ">RESET 0007 2000 02", ">RESET 0009 2001 02")
	sc.gets("<RESET 0007 2000 02", ">RESET 0007 2000 02")
	sc.sends() // or two endpoints would go on for ever
}

func TestResetsAreRateLimited(t *testing.T) {
	sc := newScript(t)
	flood := func() (answers int) {
		for range 1000 {
			sc.gets(">DATA 0007 2000 AA")
			if sc.poll() != "" {
				sc.e.Sent(sc.now, true, nil)
				answers++
			}
		}
		return answers
	}
	if n := flood(); n != 16 {
		t.Errorf("%d of 1000 were answered at once, want 16", n)
	}
	sc.now = sc.now.Add(50 * time.Millisecond)
	if n := flood(); n != 5 {
		t.Errorf("%d were answered 50 ms later, want 5", n)
	}
	sc.now = sc.now.Add(time.Hour)
	if n := flood(); n != 16 {
		t.Errorf("%d were answered an hour later, want 16", n)
	}
}

func TestResetsThatTheTransportDoesNotTakeAreBounded(t *testing.T) {
	sc := newScript(t)
	for range 3 {
		for range 16 {
			sc.gets(">DATA 0007 2000 AA")
		}
		sc.now = sc.now.Add(time.Hour)
	}
	n := 0
	for sc.poll() != "" {
		sc.e.Sent(sc.now, true, nil)
		n++
	}
	if n != 24 { // one for each of 8 sessions, and 16
		t.Errorf("%d have waited, want 24", n)
	}
}

func TestSequenceNumbers(t *testing.T) {
	const (
		good = ""
		lost = "a message was lost on the way"
	)
	for _, tt := range []struct {
		name, message, want string
		read                string
	}{
		{"the next", "<DATA 0001 3002 CC", good, "AABBCC"},
		{"the last once more", "<DATA 0001 3001 BB", good, "AABB"},
		{"the one before once more", "<DATA 0001 3000 AA", good, "AABB"},
		{"the ACCEPT once more", "<ACCEPT 0001 3000 02 10", good, "AABB"},
		{"16 behind", "<DATA 0001 2FF2 EE", good, "AABB"},
		{"17 behind", "<DATA 0001 2FF1 EE", lost, "AABB " + lost},
		{"DATA lost before DATA", "<DATA 0001 3003 DD", lost, "AABB " + lost},
		{"DATA lost before END", "<END 0001 3003", lost, "AABB " + lost},
		{"DATA lost before PING", "<PING 0001 3003 00 10", lost, "AABB " + lost},
		{"DATA lost before PONG", "<PONG 0001 3003 00 10", lost, "AABB " + lost},
		{"DATA lost before WINDOW", "<WINDOW 0001 3003 00 10", lost, "AABB " + lost},
		{"65281 lost", "<PING 0001 2F03 00 10", lost, "AABB " + lost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sc := newScript(t)
			s := sc.dial()
			sc.gets("<DATA 0001 3000 AA", "<DATA 0001 3001 BB", tt.message)
			if tt.want == good {
				sc.sends()
			} else {
				sc.sends(">RESET 0001 3002 03")
				sc.gone(s, tt.want)
			}
			sc.reads(s, tt.read)
		})
	}
}

func TestSequenceNumbersWrap(t *testing.T) {
	sc := newScript(t, func(c *Config) { c.Random = func() uint32 { return 0xFFFF0001 } })
	s, _ := sc.e.Dial(sc.now)
	sc.sends(">OPEN 0001 FFFF 02 10")
	sc.gets("<ACCEPT 0001 FFFF 02 10", "<DATA 0001 FFFF AA", "<DATA 0001 0000 BB")
	sc.reads(s, "AABB")
	for _, want := range []string{">DATA 0001 FFFF 01", ">DATA 0001 0000 01"} {
		s.Offer(sc.now, []byte{1})
		sc.sends(want)
	}
}

func TestAbortedMessageGivesItsNumberBack(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Offer(sc.now, []byte{1, 2, 3})
	if got := sc.poll(); got != ">DATA 0001 1000 01 02 03" {
		t.Fatal(got)
	}
	if s.Withdraw() {
		t.Fatal("withdrawn while it is being sent")
	}
	sc.e.Sent(sc.now, false, nil)
	if s.SentBytes() != 0 || s.Offered() != 0 {
		t.Fatalf("%d bytes count as sent, %d as offered", s.SentBytes(), s.Offered())
	}
	s.Offer(sc.now, []byte{4})
	sc.sends(">DATA 0001 1000 04")
}

func TestMessageHandedOverCountsThoughWithdrawn(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Offer(sc.now, []byte{1, 2, 3})
	sc.poll()
	s.Withdraw()
	sc.e.Sent(sc.now, true, nil)
	if s.SentBytes() != 3 {
		t.Fatalf("%d bytes count as sent", s.SentBytes())
	}
	s.Offer(sc.now, []byte{4})
	sc.sends(">DATA 0001 1001 04")
}

func TestWrittenWhenAllThatWasOfferedIsHandedOver(t *testing.T) {
	sc := newScript(t, func(c *Config) { c.MaxMessage = MinMessage(c.Single) })
	s := sc.dial()
	sc.e.TakeEvents()
	s.Offer(sc.now, []byte{1, 2, 3})
	sc.poll()
	sc.e.Sent(sc.now, true, nil)
	if of, ev := sc.e.TakeEvents(); of != nil {
		t.Errorf("with a byte left the events are %b", ev)
	}
	sc.sends(">DATA 0001 1001 03")
	if of, ev := sc.e.TakeEvents(); of != s || ev != Written {
		t.Errorf("the events are %b", ev)
	}
}

// Nothing can be withdrawn of an END, and it counts when it is handed over.
func TestEndThatIsBeingSent(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.RunOn() // nothing is being sent
	s.CloseWrite()
	if got := sc.poll(); got != ">END 0001 1000" {
		t.Fatal(got)
	}
	if !s.Withdraw() {
		t.Error("there is something to wait for")
	}
	if s.RunOn(); s.Ended() {
		t.Error("it counts already")
	}
	sc.e.Sent(sc.now, false, nil)
	sc.sends(">END 0001 1000")
	if !s.Ended() {
		t.Error("it does not count")
	}
}

// The transport cannot take back what has begun: it counts at once, and the rest need not
// wait for its end.
func TestMessageThatRunsOnCounts(t *testing.T) {
	sc := newScript(t, func(c *Config) { c.MaxMessage = MinMessage(c.Single) })
	s := sc.dial()
	s.Offer(sc.now, []byte{1, 2, 3})
	sc.poll()
	if s.Withdraw() {
		t.Fatal("the bytes that are being sent count as withdrawn")
	}
	s.RunOn()
	if s.SentBytes() != 2 || s.Offered() != 0 || s.events&Written == 0 {
		t.Fatalf("%d bytes count as sent, %d as offered", s.SentBytes(), s.Offered())
	}
	s.Offer(sc.now, []byte{4, 5, 6})
	if sc.poll() != "" {
		t.Fatal("two messages are under way")
	}
	if !s.Withdraw() {
		t.Fatal("what is not being sent cannot be withdrawn")
	}
	s.Offer(sc.now, []byte{4})
	sc.e.Sent(sc.now, true, nil)
	sc.sends(">DATA 0001 1001 04")
	if s.SentBytes() != 3 {
		t.Errorf("%d bytes count as sent", s.SentBytes())
	}
}

func TestMessageThatRunsOnAndFailsEndsTheSession(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{{errors.New("no flow control"), "no flow control"}, {nil, "given up"}} {
		sc := newScript(t)
		s := sc.dial()
		s.Offer(sc.now, []byte{1, 2, 3})
		sc.poll()
		s.Withdraw()
		s.RunOn()
		sc.e.Sent(sc.now, false, tt.err)
		sc.gone(s, tt.want)
		sc.sends(">RESET 0001 3000 07")
	}
}

func TestUrgentMessagesAreTold(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Offer(sc.now, []byte{1})
	sc.poll()
	if sc.e.Urgent() {
		t.Error("DATA is urgent")
	}
	sc.gets("<PING 0001 3000 00 10")
	if !sc.e.Urgent() {
		t.Error("PONG is not")
	}
	sc.e.Sent(sc.now, false, nil)
	sc.sends(">PONG 0001 1000 00 10", ">DATA 0001 1000 01")
	sc.gets("<PING 0009 3000 00 10") // of an unknown session
	if !sc.e.Urgent() {
		t.Error("RESET is not")
	}
}

func TestFailureOfTheTransportEndsTheSession(t *testing.T) {
	sc := newScript(t)
	s, other := sc.dial(), sc.dial()
	s.Offer(sc.now, []byte{1})
	sc.poll()
	sc.e.Sent(sc.now, false, errors.New("no flow control"))
	sc.gone(s, "no flow control")
	sc.sends(">RESET 0001 3000 07")
	if other.Err() != nil {
		t.Error("another session has ended too")
	}
	sc.e.Fail(errors.New("the bus is gone"))
	sc.gone(other, "the bus is gone")
}

func TestNobodySendsPastTheWindow(t *testing.T) {
	sc := newScript(t)
	s := sc.dial() // the peer has said 0x10 times 256
	s.Offer(sc.now, make([]byte, 5000))
	sc.sends(
		">DATA 0001 1000 00 00 00 00 00 00 00 00 and 4076 more",
		">DATA 0001 1001 00 00 00 00 00 00 00 00 and 4 more")
	if s.SentBytes() != 4096 || s.Offered() != 904 {
		t.Fatalf("sent %d, %d to go", s.SentBytes(), s.Offered())
	}
	sc.gets("<WINDOW 0001 3000 00 0F") // a limit never goes back
	sc.sends()
	sc.gets("<WINDOW 0001 3000 00 11")
	sc.sends(">DATA 0001 1002 00 00 00 00 00 00 00 00 and 248 more")
	sc.gets("<PONG 0001 3000 00 20")
	sc.sends(">DATA 0001 1003 00 00 00 00 00 00 00 00 and 640 more")
	if s.Offered() != 0 {
		t.Error("not all is sent")
	}
}

func TestWindowIsSentWhenThreeQuartersOfItAreFree(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	fill := func(n int) {
		p := make([]byte, MaxMessage)
		sc.e.HandleMessage(sc.now, p[:normal.put(p, kindData, s.key|acceptedKey, s.expect, make([]byte, n))])
	}
	fill(3071)
	s.Read(make([]byte, 3071))
	sc.sends() // the limit would be 0x1B: limits are multiples of 256
	fill(257)
	s.Read(make([]byte, 1))
	sc.sends(">WINDOW 0001 1000 00 1C")
	fill(0x1C00 - 3071 - 257)
	if s.Err() != nil {
		t.Fatal("the window was not to be used to its end")
	}
	fill(1)
	sc.gone(s, "a breach of the protocol")
	sc.sends(">RESET 0001 3003 05")
}

func TestWhatIsAwaitedComesToItsPlace(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	p := make([]byte, 3+1)[:3] // what is behind its end must stay as it is
	s.Await(p)
	sc.gets("<DATA 0001 3000 01 02")
	if s.events&Readable == 0 {
		t.Error("no reader is told")
	}
	sc.gets("<DATA 0001 3001 03 04 05")
	if n := s.Arrived(); n != 3 || !bytes.Equal(p[:4], []byte{1, 2, 3, 0}) {
		t.Fatalf("%d bytes of %X have arrived", n, p[:4])
	}
	if n := s.Arrived(); n != 0 {
		t.Errorf("%d bytes have arrived again", n)
	}
	sc.reads(s, "0405")
	sc.gets("<DATA 0001 3002 06")
	sc.reads(s, "06")
}

func TestWindowIsSentWhenThreeQuartersHaveArrived(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	p := make([]byte, 0xC00)
	s.Await(p)
	m := make([]byte, MaxMessage)
	sc.e.HandleMessage(sc.now, m[:normal.put(m, kindData, s.key|acceptedKey, s.expect, p)])
	sc.sends() // not before they are read
	s.Arrived()
	sc.sends(">WINDOW 0001 1000 00 1C")
}

func TestNobodySendsPastTheWindowWhileItIsAwaited(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Await(make([]byte, 0x2000))
	for _, n := range []int{0xC00, 0x400, 1} { // nothing is granted before Arrived
		m := make([]byte, MaxMessage)
		sc.e.HandleMessage(sc.now, m[:normal.put(m, kindData, s.key|acceptedKey, s.expect, make([]byte, n))])
	}
	sc.gone(s, "a breach of the protocol")
	if n := s.Arrived(); n != 0x1000 {
		t.Errorf("%#x bytes have arrived, want the window's", n)
	}
}

func TestWhatHasArrivedIsReadBeforeTheError(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Await(make([]byte, 8))
	sc.gets("<DATA 0001 3000 01 02", "<RESET 0001 1000 07")
	if n := s.Arrived(); n != 2 {
		t.Errorf("%d bytes have arrived, want 2", n)
	}
	sc.sends()
	sc.reads(s, "reset by the peer: given up")
}

// A peer's limit wraps after 16 MiB.
func TestWindowsWrap(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	chunk := make([]byte, 32<<10)
	for round := range 40 << 20 / len(chunk) {
		limit := (round + 1) * len(chunk) / 256
		sc.gets(fmt.Sprintf("<WINDOW 0001 3000 %04X", uint16(limit)))
		s.Offer(sc.now, chunk)
		for sc.poll() != "" {
			sc.e.Sent(sc.now, true, nil)
		}
		if s.Offered() != 0 {
			t.Fatalf("stuck after %d bytes", s.SentBytes())
		}
	}
}

func TestLostWindowIsAskedFor(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Offer(sc.now, make([]byte, 4097))
	sc.sends(
		">DATA 0001 1000 00 00 00 00 00 00 00 00 and 4076 more",
		">DATA 0001 1001 00 00 00 00 00 00 00 00 and 4 more")
	wait := time.Second
	for range 7 {
		sc.after(wait - 1)
		sc.sends()
		sc.after(1)
		sc.sends(">PING 0001 1002 00 10")
		sc.gets("<PONG 0001 3000 00 10")
		wait = min(2*wait, 15*time.Second)
	}
	sc.after(wait)
	sc.sends(">PING 0001 1002 00 10")
	sc.gets("<PONG 0001 3000 00 11")
	sc.sends(">DATA 0001 1002 00")
}

// A window that was closed from the beginning is asked for as any other, however often
// the opener has had to ask to be let in.
func TestWindowThatIsClosedAtAcceptIsAskedFor(t *testing.T) {
	sc := newScript(t)
	s, _ := sc.e.Dial(sc.now)
	s.Offer(sc.now, []byte{1})
	for _, wait := range []time.Duration{0, 100, 200, 400} {
		sc.after(wait * time.Millisecond)
		sc.sends(">OPEN 0001 1000 02 10")
	}
	sc.gets("<ACCEPT 0001 3000 02 00")
	sc.after(time.Second - 1)
	sc.sends()
	sc.after(1)
	sc.sends(">PING 0001 1000 00 10")
}

// How often the peer was asked for a confirmation is forgotten when it is asked for room.
func TestWindowIsAskedForASecondAfterAnOffer(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Offer(sc.now, make([]byte, 4096))
	sc.sends(
		">DATA 0001 1000 00 00 00 00 00 00 00 00 and 4076 more",
		">DATA 0001 1001 00 00 00 00 00 00 00 00 and 4 more")
	for _, wait := range []time.Duration{1, 2, 4} {
		sc.after(wait * time.Second)
		sc.sends(">PING 0001 1002 00 10")
	}
	sc.gets("<PONG 0001 3000 00 10")
	sc.after(5 * time.Second)
	s.Offer(sc.now, []byte{1})
	sc.after(time.Second - 1)
	sc.sends()
	sc.after(1)
	sc.sends(">PING 0001 1002 00 10")
}

// The transport has other things to do when there is room at last.
func TestWindowPutsOffTheNextPing(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Offer(sc.now, make([]byte, 4097))
	sc.sends(
		">DATA 0001 1000 00 00 00 00 00 00 00 00 and 4076 more",
		">DATA 0001 1001 00 00 00 00 00 00 00 00 and 4 more")
	sc.after(time.Second)
	sc.sends(">PING 0001 1002 00 10")
	sc.after(1500 * time.Millisecond)
	sc.gets("<WINDOW 0001 3000 00 11")
	sc.after(time.Second - 1)
	if sc.e.Urgent() {
		t.Error("it comes sooner")
	}
	sc.after(1)
	sc.sends(">PING 0001 1002 00 10", ">DATA 0001 1002 00")
}

func TestLostTailIsNoticed(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Offer(sc.now, []byte{1})
	sc.sends(">DATA 0001 1000 01")
	sc.after(time.Second)
	sc.sends(">PING 0001 1001 00 10")
	sc.gets("<RESET 0001 1000 03")
	sc.gone(s, "reset by the peer: a message was lost on the way")
}

func TestConfirmedTailIsLeftAlone(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.SetKeepAlive(KeepAlive{Off: true, Count: 9})
	s.Offer(sc.now, []byte{1})
	sc.sends(">DATA 0001 1000 01")
	sc.after(time.Second)
	sc.sends(">PING 0001 1001 00 10")
	s.Offer(sc.now, []byte{2})
	sc.sends(">DATA 0001 1001 02")
	sc.gets("<PONG 0001 3000 00 10") // this says nothing about the second
	sc.after(time.Second)
	sc.sends(">PING 0001 1002 00 10")
	sc.gets("<PONG 0001 3000 00 10")
	sc.after(time.Hour)
	sc.sends()
}

func TestPingIsAnswered(t *testing.T) {
	sc := newScript(t)
	sc.dial()
	sc.gets("<PING 0001 3000 00 10")
	sc.sends(">PONG 0001 1000 00 10")
}

func TestSilentPeerIsGivenUp(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Offer(sc.now, []byte{1})
	sc.sends(">DATA 0001 1000 01")
	for _, seconds := range []time.Duration{1, 2, 4, 8, 15, 15, 15, 15, 15} {
		sc.after(seconds*time.Second - 1)
		sc.sends()
		sc.after(1)
		sc.sends(">PING 0001 1001 00 10")
	}
	sc.after(15 * time.Second)
	sc.gone(s, "no answer")
	sc.sends(">RESET 0001 3000 07")
}

func TestKeepAlive(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.SetKeepAlive(KeepAlive{Idle: 10 * time.Second, Interval: 3 * time.Second, Count: 2})
	const ping = ">PING 0001 1000 00 10"
	sc.after(10*time.Second - 1)
	sc.sends()
	sc.after(1)
	sc.sends(ping)
	sc.gets("<PONG 0001 3000 00 10")
	sc.after(9 * time.Second)
	sc.gets("<DATA 0001 3000 AA") // anything from the peer will do
	sc.after(9 * time.Second)
	sc.sends()
	sc.after(time.Second)
	sc.sends(ping)
	sc.after(3 * time.Second)
	sc.sends(ping)
	sc.after(3*time.Second - 1)
	if s.Err() != nil {
		t.Fatal("given up too early")
	}
	sc.after(1)
	sc.gone(s, "no answer")
}

// A short keep-alive also shortens the wait for the PONG of unreceived data.
func TestKeepAliveWithUnconfirmedData(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.SetKeepAlive(KeepAlive{Idle: 100 * time.Millisecond, Interval: 200 * time.Millisecond, Count: 2})
	s.Offer(sc.now, []byte{1})
	sc.sends(">DATA 0001 1000 01")
	sc.after(100 * time.Millisecond)
	sc.sends(">PING 0001 1001 00 10")
	sc.after(200 * time.Millisecond)
	sc.sends(">PING 0001 1001 00 10")
	sc.after(200*time.Millisecond - 1)
	if s.Err() != nil {
		t.Fatal("given up too early")
	}
	sc.after(1)
	sc.gone(s, "no answer")
}

func TestHalfClose(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Offer(sc.now, []byte{1})
	s.CloseWrite()
	sc.sends(">DATA 0001 1000 01", ">END 0001 1001")
	sc.gets("<DATA 0001 3000 AA")
	sc.reads(s, "AA")
	sc.gets("<DATA 0001 3001 BB", "<END 0001 3002")
	sc.reads(s, "BB EOF")
	sc.gone(s, "")
	if sc.e.Sessions() != 0 {
		t.Error("the endpoint still has it")
	}
	sc.after(time.Hour)
	sc.sends()
}

func TestPeerEndsFirst(t *testing.T) {
	sc := newScript(t)
	s := sc.accept(7)
	sc.gets(">DATA 0007 2000 AA", ">END 0007 2001")
	sc.reads(s, "AA EOF")
	s.Offer(sc.now, []byte{1})
	sc.sends("<DATA 0007 1000 01")
	s.Close(sc.now)
	sc.sends("<END 0007 1001")
	sc.gone(s, "")
}

func TestDataAfterTheEndIsAViolation(t *testing.T) {
	for _, message := range []string{">DATA 0007 2001 AA", ">END 0007 2001"} {
		sc := newScript(t)
		s := sc.accept(7)
		sc.gets(">END 0007 2000", message)
		sc.sends("<RESET 0007 2001 05")
		sc.reads(s, "EOF") // all that it has sent was read
	}
}

func TestDataAfterCloseIsReset(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.Close(sc.now)
	sc.sends(">END 0001 1000")
	sc.gets("<DATA 0001 3000 AA")
	sc.sends(">RESET 0001 3000 04")
	if sc.e.Sessions() != 0 {
		t.Error("the endpoint still has it")
	}
}

func TestCloseWithUnreadDataResets(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	sc.gets("<DATA 0001 3000 AA")
	s.Close(sc.now)
	sc.sends(">RESET 0001 3001 04")
}

// A session that is closed stays until the peer has got the END.
func TestCloseLingers(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(*script)
	}{
		{"until the peer's END", func(sc *script) { sc.gets("<END 0001 3000") }},
		{"until its RESET", func(sc *script) { sc.gets("<RESET 0001 1001 02") }},
		{"until a PONG", func(sc *script) {
			sc.after(time.Second)
			sc.sends(">PING 0001 1001 00 10")
			sc.gets("<PONG 0001 3000 00 10")
		}},
		{"for 3 s at most", func(sc *script) {
			sc.after(3*time.Second - 1)
			sc.sends(">PING 0001 1001 00 10")
			if sc.e.Sessions() == 0 {
				t.Error("it is gone already")
			}
			sc.after(1)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sc := newScript(t)
			sc.dial().Close(sc.now)
			sc.sends(">END 0001 1000")
			if sc.e.Sessions() != 1 {
				t.Fatal("the endpoint has forgotten it")
			}
			tt.then(sc)
			if sc.e.Sessions() != 0 {
				t.Error("the endpoint still has it")
			}
			sc.sends()
		})
	}
}

// Close of a session whose end the peer has confirmed has nothing to wait for.
func TestCloseAfterAConfirmedEnd(t *testing.T) {
	sc := newScript(t)
	s := sc.dial()
	s.CloseWrite()
	sc.sends(">END 0001 1000")
	sc.after(time.Second)
	sc.sends(">PING 0001 1001 00 10")
	sc.gets("<PONG 0001 3000 00 10")
	s.Close(sc.now)
	if sc.e.Sessions() != 0 {
		t.Error("it lingers")
	}
}

// It ends when its time is over, not when something else is due.
func TestLingeringEndsInTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(*script)
	}{
		{"with the END on its way since a while", func(sc *script) {
			sc.after(500 * time.Millisecond)
			sc.sends(">END 0001 1000")
			sc.after(time.Second)
			sc.sends(">PING 0001 1001 00 10") // and the next one 2 s later
			sc.after(1500*time.Millisecond - 1)
		}},
		{"with an END that the transport does not take", func(sc *script) { sc.after(3*time.Second - 1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sc := newScript(t)
			s := sc.dial()
			sc.after(time.Second)
			s.Close(sc.now)
			tt.then(sc)
			if sc.e.Sessions() != 1 {
				t.Error("it is gone already")
			}
			sc.after(1)
			if sc.e.Sessions() != 0 {
				t.Error("the endpoint still has it")
			}
		})
	}
}

func TestSessionsTakeTurns(t *testing.T) {
	sc := newScript(t)
	a, b, c := sc.dial(), sc.dial(), sc.dial()
	a.Offer(sc.now, make([]byte, 4096))
	b.Offer(sc.now, []byte{0xBB})
	c.Offer(sc.now, []byte{0xCC})
	sc.gets("<PING 0002 3000 00 10")
	sc.sends(
		">PONG 0002 1000 00 10",
		">DATA 0001 1000 00 00 00 00 00 00 00 00 and 4076 more",
		">DATA 0002 1000 BB",
		">DATA 0003 1000 CC",
		">DATA 0001 1001 00 00 00 00 00 00 00 00 and 4 more")
}

func TestShortMessagesOnRequest(t *testing.T) {
	sc := newScript(t, func(c *Config) { c.MaxMessage = MinMessage(c.Single) })
	s := sc.dial()
	s.Offer(sc.now, []byte{1, 2, 3})
	sc.sends(">DATA 0001 1000 01 02", ">DATA 0001 1001 03")
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	a, b := newScript(t), newScript(t)
	b.e.Listen(1)
	sa, _ := a.e.Dial(a.now)
	a.poll()
	b.e.HandleMessage(b.now, a.out[:7])
	a.e.Sent(a.now, true, nil)
	sb := b.e.Accept()
	p := make([]byte, 3000)
	allocs := testing.AllocsPerRun(1000, func() {
		sa.Offer(a.now, p)
		for sa.Offered() > 0 {
			for _, way := range [][2]*script{{a, b}, {b, a}} {
				n, _ := way[0].e.Poll(way[0].out[:])
				if n > 0 {
					way[0].e.Sent(a.now, true, nil)
					way[1].e.HandleMessage(b.now, way[0].out[:n])
				}
				for s, _ := way[1].e.TakeEvents(); s != nil; s, _ = way[1].e.TakeEvents() {
				}
			}
			sb.Read(p)
		}
		for n, _ := sb.Read(p); n > 0; n, _ = sb.Read(p) {
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for each 3000 bytes", allocs)
	}
}
