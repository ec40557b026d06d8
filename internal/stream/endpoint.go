package stream

import (
	"errors"
	"slices"
	"time"

	"example.com/isotp/internal/monotime"
)

// Time is the time that the owner tells the Endpoint.
type Time = monotime.Time

const never = monotime.Never

// Config has the parameters of an Endpoint. Nothing in it has a default.
type Config struct {
	// MaxMessage is the longest message that is sent: from MinMessage(Single) to
	// the constant MaxMessage.
	MaxMessage int
	// Single is the longest message that fits in a Single Frame of classic CAN to
	// the peer, even if frames are longer: 7, or 6 where the address takes a byte of
	// the frame. PeerSingle is the same of the peer's messages.
	Single, PeerSingle int
	// Window is how many bytes of a session may wait to be read, from MinWindow to
	// MaxWindow. It is rounded down to a multiple of 256.
	Window int
	// MaxSessions is how many sessions there can be at once, less than 65536.
	MaxSessions int
	// Random returns a random number, for a new session.
	Random func() uint32
	// Windows, if it is not nil, bounds the bytes of all peers that can wait to be read,
	// at several endpoints together.
	Windows Windows
}

// Windows are a number of windows for the sessions that peers open, at any number of
// endpoints. An Endpoint calls the methods, which must not call it back. A session is
// confirmed once a message of its opener has come after its OPEN: a forged OPEN makes a
// session that stays unconfirmed.
type Windows interface {
	// Take takes a window for a new session. If none is left it may take that of the
	// oldest unconfirmed session, for which Session.Evict has to be called soon. It
	// reports false if it takes none.
	Take(*Session) bool
	// Confirm keeps the session's window from being taken. It reports false if that has
	// happened already.
	Confirm(*Session) bool
	// Give returns the session's window.
	Give(*Session)
}

// Events are what the user of a session may wait for, as a set of bits.
type Events uint8

const (
	Opened   Events = 1 << iota // Session.Opened has become true, or the session is over
	Readable                    // there are bytes to read, or the end, or an error
	Written                     // Session.Offered has become 0, or the session is over
	Ended                       // our END was sent, or the session is over
)

// An Endpoint is one end of one pair of addresses, with all its sessions. Its methods,
// and those of its sessions, must not be called at the same time: the owner has a lock.
type Endpoint struct {
	cfg      Config
	sessions map[key]*Session
	list     []*Session // the same, in a reproducible order
	next     Time       // nothing is due before
	touched  []*Session // those with events

	backlog int        // how many sessions may wait for Accept; 0: OPEN is refused
	waiting []*Session // the accept queue

	// What is to be sent: RESETs without a session, the sessions with control messages
	// (urgent), and the sessions with DATA or END (ready). out is being sent.
	strays        []stray
	urgent, ready line
	out           outgoing

	// tokens are how many RESETs may be sent for unknown sessions now; the next one is
	// due strayInterval after tokensFrom.
	tokens     int
	tokensFrom Time
}

const (
	// maxStrays messages of unknown sessions are answered at once, then one each
	// strayInterval.
	maxStrays     = 16
	strayInterval = 10 * time.Millisecond
)

// ErrTooManySessions is the error of Endpoint.Dial if there are Config.MaxSessions.
var ErrTooManySessions = errors.New("too many sessions on one pair of addresses")

// Init makes an endpoint ready.
func (e *Endpoint) Init(cfg Config) {
	cfg.Window -= cfg.Window % windowUnit
	*e = Endpoint{
		cfg:      cfg,
		sessions: make(map[key]*Session),
		next:     never,
		tokens:   maxStrays,
	}
}

// Dial begins a session. The event Opened comes when the peer has accepted or refused it.
// A peer that does not answer is asked until Session.Close. ErrTooManySessions is the only
// error.
func (e *Endpoint) Dial(now Time) (*Session, error) {
	if !e.makeRoom() {
		return nil, ErrTooManySessions
	}
	s := &Session{endpoint: e, state: opening}
	s.name()
	e.add(now, s)
	s.sendOpen(now)
	return s, nil
}

// Listen lets the peer open sessions, of which backlog may wait for Accept.
func (e *Endpoint) Listen(backlog int) { e.backlog = backlog }

// StopListening refuses the sessions that the peer would open, and resets those that wait
// for Accept.
func (e *Endpoint) StopListening() {
	e.backlog = 0
	waiting := e.waiting
	e.waiting = nil
	for _, s := range waiting {
		s.giveWindow() // if the session is over, which reset leaves alone
		s.reset(Aborted)
	}
}

// Accept returns the session that has waited for it longest, nil if there is none. The
// session may be over already: what the peer has sent before can be read. But one that was
// over before it was confirmed does not wait any more.
func (e *Endpoint) Accept() *Session {
	if len(e.waiting) == 0 {
		return nil
	}
	s := e.waiting[0]
	e.waiting[0] = nil
	e.waiting = e.waiting[1:]
	if s.state == gone {
		s.giveWindow()
	}
	return s
}

// Waiting is how many sessions wait for Accept.
func (e *Endpoint) Waiting() int { return len(e.waiting) }

// Sessions is how many sessions there are, with those that are closed on this side but
// not yet over.
func (e *Endpoint) Sessions() int { return len(e.list) }

// TakeEvents returns a session with events, and its events since it was returned last;
// nil if there is none.
func (e *Endpoint) TakeEvents() (*Session, Events) {
	last := len(e.touched) - 1
	if last < 0 {
		return nil, 0
	}
	s := e.touched[last]
	e.touched[last] = nil
	e.touched = e.touched[:last]
	ev := s.events
	s.events = 0
	return s, ev
}

// Fail ends all sessions with err, the error of the transport.
func (e *Endpoint) Fail(err error) {
	for len(e.list) > 0 {
		e.list[0].fail(err)
	}
}

// HandleMessage takes a message p that has come from the peer at now. It does not keep p.
func (e *Endpoint) HandleMessage(now Time, p []byte) {
	var m message
	if !m.parse(p, single(e.cfg.PeerSingle)) {
		return
	}
	s := e.sessions[m.key]
	switch {
	case m.kind == kindOpen:
		e.handleOpen(now, s, &m)
	case s != nil:
		s.handle(now, &m)
	case m.kind != kindReset:
		e.refuse(now, &m, Unknown)
	}
}

// handleOpen takes an OPEN, the first of a session or a repetition.
func (e *Endpoint) handleOpen(now Time, s *Session, m *message) {
	if s != nil {
		if s.peerFirst == m.seq {
			s.want(kindAccept)
			return
		}
		s.fail(&Error{Reason: Restarted})
	}
	switch {
	case m.payload[0] != version:
		e.refuse(now, m, BadVersion)
	case e.backlog == 0:
		e.refuse(now, m, Refused)
	case e.makeWaitingRoom() && e.makeRoom():
		first := uint16(e.cfg.Random() >> 16)
		s = &Session{
			endpoint: e, state: open, opened: true, key: m.key,
			first: first, seq: first,
			peerFirst: m.seq, expect: m.seq,
		}
		s.limit = uint64(m.payload[1]) * windowUnit
		if e.cfg.Windows != nil {
			if s.holds = e.cfg.Windows.Take(s); !s.holds {
				return
			}
		}
		e.add(now, s)
		s.want(kindAccept)
		e.waiting = append(e.waiting, s)
	}
}

func (e *Endpoint) add(now Time, s *Session) {
	s.heard, s.base = now, now
	s.keep = DefaultKeepAlive
	s.granted = uint64(e.cfg.Window)
	s.index = len(e.list)
	e.list = append(e.list, s)
	e.sessions[s.key] = s
	s.schedule()
}

func (e *Endpoint) remove(s *Session) {
	last := len(e.list) - 1
	e.list[last].index = s.index
	e.list[s.index] = e.list[last]
	e.list[last] = nil
	e.list = e.list[:last]
	delete(e.sessions, s.key)
}

// unlist removes a session that has ended from the accept queue, if it is there.
func (e *Endpoint) unlist(s *Session) {
	if i := slices.Index(e.waiting, s); i >= 0 {
		e.waiting = slices.Delete(e.waiting, i, i+1)
	}
}

// makeWaitingRoom reports whether one more session may wait for Accept. If need be it ends
// the oldest one that waits and is not confirmed.
func (e *Endpoint) makeWaitingRoom() bool {
	return len(e.waiting) < e.backlog || evictOldest(e.waiting)
}

// evictOldest ends the oldest unconfirmed session of the peer's with a RESET, so that an
// honest opener may try again. It reports false if there is none.
func evictOldest(sessions []*Session) bool {
	var oldest *Session
	for _, s := range sessions {
		// While it is unconfirmed heard is when it was made.
		if s.key&acceptedKey != 0 && !s.confirmed && !s.closed && (oldest == nil || s.heard < oldest.heard) {
			oldest = s
		}
	}
	if oldest == nil {
		return false
	}
	oldest.reset(Aborted)
	return true
}

// makeRoom reports whether there is room for one more session. If need be it drops one
// that is closed on this side, or ends the oldest unconfirmed one.
func (e *Endpoint) makeRoom() bool {
	if len(e.list) < e.cfg.MaxSessions {
		return true
	}
	for _, s := range e.list {
		if s.closed {
			s.drop()
			return true
		}
	}
	return evictOldest(e.list)
}

// refuse answers a message with RESET, if there are tokens left.
func (e *Endpoint) refuse(now Time, m *message, why Reason) {
	if more := (now - e.tokensFrom) / Time(strayInterval); more > 0 {
		e.tokens = int(min(Time(e.tokens)+more, maxStrays))
		e.tokensFrom += more * Time(strayInterval)
	}
	if e.tokens > 0 {
		e.tokens--
		e.queueReset(stray{m.key, m.seq, why})
	}
}

// queueReset has a RESET sent. It drops the RESET if the transport has taken nothing for
// so long that too many wait.
func (e *Endpoint) queueReset(r stray) {
	if len(e.strays) < e.cfg.MaxSessions+maxStrays {
		e.strays = append(e.strays, r)
	}
}

// PollTimeout returns when HandleTimeout has to be called, or a moment before that. It
// reports false if nothing will be due.
func (e *Endpoint) PollTimeout() (Time, bool) { return e.next, e.next != never }

// HandleTimeout does what is due at now. If nothing is due yet it does nothing.
func (e *Endpoint) HandleTimeout(now Time) {
	if now < e.next {
		return
	}
	e.next = never
	for i := len(e.list) - 1; i >= 0; i-- { // backwards: timeout may remove the session
		s := e.list[i]
		if s.due() <= now {
			s.timeout(now)
		}
		s.schedule()
	}
}
