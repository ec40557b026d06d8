package stream

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// A session's states, and what takes it from one to another:
//
//	opening  ACCEPT: open; RESET, Close, a failure of the transport: gone
//	open     both directions have ended, RESET, a loss, no answer, a failure of the
//	         transport: gone. Close with unread data: gone, with a RESET. Else the session
//	         is closed here and lingers: the peer has ended its direction, or has got our
//	         END, three seconds have passed, or Dial or an OPEN needs room: gone; DATA is
//	         answered by RESET: gone
//	gone     the endpoint does not know it any more; what has arrived can be read
//
// A session that the peer has opened begins in open.
//
// The states of our direction, in open:
//
//	streaming  CloseWrite, Close: ending
//	ending     all bytes offered are sent, and then END: ended
//	ended
type state uint8

const (
	opening state = iota
	open
	gone
)

type direction uint8

const (
	streaming direction = iota
	ending
	ended
)

// A Session is a connection. Its methods are called under the lock of its Endpoint's owner.
type Session struct {
	User any // the Endpoint's owner sets it

	endpoint *Endpoint
	index    int // in Endpoint.list
	key      key
	first    uint16 // our first SEQ
	state    state
	// confirmed: the peer, which has opened the session, has answered our ACCEPT.
	confirmed bool
	opened    bool  // it is open, or was
	closed    bool  // Close or Abort was called
	holds     bool  // it has one of Config.Windows
	err       error // why it is gone; nil if both directions have ended
	events    Events

	// Sending.
	wanted      uint8 // control messages to be sent, a bit for each kind
	inUrgent    bool  // the session is in Endpoint.urgent
	inReady     bool  // the session is in Endpoint.ready
	sending     bool  // Endpoint.out is its DATA or END
	own         direction
	seq         uint16 // of the next DATA or END
	numbered    uint64 // how many DATA and END were counted as sent
	sent, limit uint64 // bytes of the stream: counted as sent, and granted by the peer
	offer       []byte // of Offer, without what was counted as sent
	withdrawn   bool   // Withdraw was called while a part of offer was being sent

	// Receiving.
	buf       buffer
	into      []byte // of Await: as many bytes as its length have come
	peerFirst uint16 // the SEQ of the peer's OPEN or ACCEPT
	expect    uint16 // the SEQ of its next DATA or END
	received  uint64 // bytes of the stream
	granted   uint64 // how many bytes we have let the peer send since the beginning
	peerEnded bool   // its END has come

	timing
}

// An Error says why a session is over.
type Error struct {
	Reason  Reason
	ByPeer  bool  // a RESET of the peer has ended it
	Version uint8 // with BadVersion: the peer's; 0 if it is not known
}

func (e *Error) Error() string {
	why := e.Reason.String()
	if e.Reason == BadVersion && e.Version > 0 {
		why = fmt.Sprintf("it speaks version %d of the protocol, and this side version %d", e.Version, version)
	}
	if e.ByPeer {
		return "reset by the peer: " + why
	}
	return why
}

// Opened reports whether the session was accepted, by the peer or by us.
func (s *Session) Opened() bool { return s.opened }

// Ended reports whether our END was sent, or will not be any more.
func (s *Session) Ended() bool { return s.own == ended || s.state == gone }

// Err returns why the session is over: an *Error, or the error given to Endpoint.Fail or
// Endpoint.Sent. It is nil if the session is not over, or both sides have ended it.
func (s *Session) Err() error { return s.err }

// Read moves bytes that have arrived to p. If there are none it returns 0, and if there
// will be none any more also io.EOF or Err.
func (s *Session) Read(p []byte) (int, error) {
	n := s.buf.take(p)
	switch {
	case n > 0:
		s.grant()
		return n, nil
	case s.peerEnded:
		return 0, io.EOF
	}
	return 0, s.err
}

// Await has the bytes that come next copied to p at once, without a detour through the
// buffer: the caller waits for them because Read has found none. p is used until Arrived is
// called, which must be before the next Read.
func (s *Session) Await(p []byte) { s.into = p[:0:len(p)] }

// Arrived ends Await and returns how many bytes have come to its p. If p is full there may
// be more for Read.
func (s *Session) Arrived() int {
	n := len(s.into)
	s.into = nil
	if n > 0 {
		s.grant()
	}
	return n
}

// grant lets the peer send more, if much of its window was read.
func (s *Session) grant() {
	if !s.peerEnded && s.mayGrant()-s.granted >= uint64(s.endpoint.cfg.Window)*3/4 {
		s.want(kindWindow)
	}
}

// mayGrant is up to which offset of the stream there is room.
func (s *Session) mayGrant() uint64 {
	limit := s.received - uint64(s.buf.len()) + uint64(s.endpoint.cfg.Window)
	return max(s.granted, limit-limit%windowUnit)
}

// Close ends the session on this side: our direction as CloseWrite does, after the
// message that is being sent, and the peer's for Read. If there is unread data, or the
// session is not open yet, Close resets it. The session stays at the endpoint until the
// peer has ended it too, or has got our END, or three seconds have passed.
func (s *Session) Close(now Time) {
	if s.closed {
		return
	}
	s.closed = true
	switch {
	case s.state == gone:
	case s.state == opening:
		s.reset(Aborted)
	case s.buf.len() > 0:
		s.reset(Closed)
	default:
		s.giveWindow() // data is answered by RESET from now on
		s.Withdraw()
		s.CloseWrite()
		s.lingerUntil = now.Add(linger)
		s.finish()
		s.schedule()
	}
}

// Abort ends the session on this side with a RESET, so that the peer does not take what it
// has got for all.
func (s *Session) Abort() {
	s.closed = true
	s.reset(Aborted)
}

// reset ends the session with a RESET.
func (s *Session) reset(why Reason) {
	if s.state == gone {
		return
	}
	s.sendReset(why)
	s.fail(&Error{Reason: why})
}

func (s *Session) sendReset(why Reason) {
	seq := s.expect
	if s.state == opening {
		seq = s.first // the peer's is not known yet
	}
	s.endpoint.queueReset(stray{s.key, seq, why})
}

// fail ends the session with an error.
func (s *Session) fail(err error) {
	if s.state != gone {
		s.err = err
		s.drop()
	}
}

// drop takes the session out of the endpoint.
func (s *Session) drop() {
	s.endpoint.remove(s)
	if !s.confirmed {
		s.endpoint.unlist(s)
	}
	if !slices.Contains(s.endpoint.waiting, s) {
		s.giveWindow() // else Accept does so: what has arrived can still be read
	}
	s.state = gone
	s.wanted = 0
	s.Withdraw()
	s.touch(Opened | Readable | Written | Ended)
}

// giveWindow returns the session's window to Config.Windows, if it has one.
func (s *Session) giveWindow() {
	if s.holds {
		s.holds = false
		s.endpoint.cfg.Windows.Give(s)
	}
}

// Evict ends a session whose window Windows.Take has taken for another one.
func (s *Session) Evict() {
	s.holds = false
	s.reset(Aborted)
}

// confirm notes that the peer has answered our ACCEPT. It reports false if that comes too
// late: another session has the window.
func (s *Session) confirm() bool {
	if !s.confirmed && s.holds && !s.endpoint.cfg.Windows.Confirm(s) {
		s.holds = false
		return false
	}
	s.confirmed = true
	return true
}

// finish drops the session if both directions have ended, or the peer has got the end of
// one that is closed.
func (s *Session) finish() {
	if s.state == open && s.own == ended && (s.peerEnded || s.closed && !s.unreceived) {
		s.drop()
	}
}

// touch adds events for TakeEvents.
func (s *Session) touch(ev Events) {
	if s.events == 0 {
		s.endpoint.touched = append(s.endpoint.touched, s)
	}
	s.events |= ev
}

// handle takes a message of the session, other than OPEN.
func (s *Session) handle(now Time, m *message) {
	switch {
	case m.kind == kindReset:
		s.handleReset(m)
		return
	case s.state == opening:
		if m.kind == kindAccept {
			s.handleAccept(now, m)
		}
		return
	}
	if m.kind == kindAccept {
		if m.seq != s.peerFirst { // the peer has lost the session and made another one
			s.reset(Lost)
		}
		return
	}
	s.heard = now
	s.unanswered = 0
	if !s.confirm() {
		s.reset(Aborted)
		return
	}
	if m.seq != s.expect {
		if behind := s.expect - m.seq; behind > maxBehind {
			s.reset(Lost)
		}
		return
	}
	switch m.kind {
	case kindData:
		s.handleData(m.payload)
	case kindEnd:
		if s.peerEnded {
			s.reset(Violation)
			return
		}
		s.expect++
		s.peerEnded = true
		s.wanted &^= 1 << kindWindow
		s.touch(Readable)
		s.finish()
	case kindWindow:
		s.handleLimit(now, m)
	case kindPing:
		s.handleLimit(now, m)
		s.want(kindPong)
	case kindPong:
		s.handleLimit(now, m)
		if s.pingSeq == s.seq {
			s.unreceived = false
		}
		s.finish()
	}
}

// maxBehind is how far the SEQ of a message that came twice can be behind the one expected.
const maxBehind = 16

func (s *Session) handleAccept(now Time, m *message) {
	if v := m.payload[0]; v != version {
		s.sendReset(BadVersion)
		s.fail(&Error{Reason: BadVersion, Version: v})
		return
	}
	s.state, s.opened = open, true
	s.wanted &^= 1 << kindOpen
	s.peerFirst, s.expect = m.seq, m.seq
	s.limit = uint64(m.payload[1]) * windowUnit
	s.heard, s.base, s.backoff = now, now, 0
	s.touch(Opened)
	s.queue()
	s.schedule()
}

// name gives a session a number that no other has, and a first SEQ.
func (s *Session) name() {
	r := s.endpoint.cfg.Random()
	s.key = key(r & 0xFFFF)
	for s.endpoint.sessions[s.key] != nil { // there are less than 65536
		s.key = (s.key + 1) & 0xFFFF
	}
	s.first = uint16(r >> 16)
	s.seq = s.first
}

// handleReset ends the session, unless the RESET is for an earlier one of the same name.
func (s *Session) handleReset(m *message) {
	ours := uint64(s.seq-m.seq) <= s.numbered
	if !ours && (s.state != open || m.seq != s.peerFirst) {
		return
	}
	if ours {
		s.confirm()
	}
	err := &Error{Reason: Reason(m.payload[0]), ByPeer: true}
	if err.Reason == BadVersion && len(m.payload) > 1 {
		err.Version = m.payload[1]
	}
	s.fail(err)
}

func (s *Session) handleData(p []byte) {
	switch {
	case s.peerEnded, s.received+uint64(len(p)) > s.granted:
		s.reset(Violation)
	case s.closed:
		s.reset(Closed)
	default:
		s.expect++
		s.received += uint64(len(p))
		if room := cap(s.into) - len(s.into); room > 0 {
			k := min(room, len(p))
			s.into = append(s.into, p[:k]...)
			p = p[k:]
		}
		s.buf.write(p)
		s.touch(Readable)
	}
}

// handleLimit takes the LIMIT of a WINDOW, PING or PONG.
func (s *Session) handleLimit(now Time, m *message) {
	units := binary.BigEndian.Uint16(m.payload)
	if more := int16(units - uint16(s.limit/windowUnit)); more > 0 {
		s.limit += uint64(more) * windowUnit
		s.backoff = 0
		s.base = now
		s.queue()
	}
}
