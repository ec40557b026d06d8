package stream

import "encoding/binary"

// A stray is a RESET that waits to be sent. Its session may be unknown, or gone.
type stray struct {
	key    key
	seq    uint16
	reason Reason
}

// An outgoing is the message that Poll has given out, until Sent.
type outgoing struct {
	busy    bool     // there is one
	session *Session // of DATA and END, else nil
	data    int      // how many bytes of the stream are in it; 0: END
	counted bool     // RunOn has counted it as sent
	accepts *Session // of ACCEPT, else nil
}

// A line is a queue of sessions. A session that has nothing to send any more leaves the
// queue when it is the first.
type line struct{ items []*Session }

func (l *line) push(s *Session) { l.items = append(l.items, s) }

func (l *line) pop() {
	n := copy(l.items, l.items[1:])
	l.items[n] = nil
	l.items = l.items[:n]
}

func (e *Endpoint) firstUrgent() *Session {
	for len(e.urgent.items) > 0 {
		s := e.urgent.items[0]
		if s.wanted != 0 {
			return s
		}
		e.urgent.pop()
		s.inUrgent = false
	}
	return nil
}

func (e *Endpoint) firstReady() *Session {
	for len(e.ready.items) > 0 {
		s := e.ready.items[0]
		if s.sendable() {
			return s
		}
		e.ready.pop()
		s.inReady = false
	}
	return nil
}

// Poll writes the next message to b, which must have room for Config.MaxMessage bytes,
// and returns its length, 0 if there is none. Control messages come first; then each
// session in turn sends one DATA or END, and Poll returns the session. Sent must be called
// before Poll gives out another message.
func (e *Endpoint) Poll(b []byte) (int, *Session) {
	if e.out.busy {
		return 0, nil
	}
	if len(e.strays) > 0 {
		e.out = outgoing{busy: true}
		r := e.strays[0]
		e.strays = e.strays[:copy(e.strays, e.strays[1:])]
		return e.putReset(b, &r), nil
	}
	if s := e.firstUrgent(); s != nil {
		e.out = outgoing{busy: true}
		e.urgent.pop()
		s.inUrgent = false
		n := s.pollControl(b)
		s.queueControl()
		return n, nil
	}
	if s := e.firstReady(); s != nil {
		e.ready.pop()
		s.inReady, s.sending = false, true
		n := s.pollStream(b)
		return n, s
	}
	return 0, nil
}

// Sent follows the end of the message that Poll gave out. sent: the peer may have got it;
// else it certainly has not. An error ends the session whose DATA or END it was. Without an
// error a DATA or END that was not sent is given out again, unless it was withdrawn; a
// control message is not, but is asked for again by the peer.
func (e *Endpoint) Sent(now Time, sent bool, err error) {
	f := e.out
	e.out = outgoing{}
	if s := f.accepts; s != nil {
		s.base, s.unreceived = now, true
		s.schedule()
	}
	s := f.session
	if s == nil {
		return
	}
	s.sending = false
	if sent && !f.counted {
		s.count(f.data)
	}
	if sent || f.counted {
		s.base, s.backoff, s.unreceived = now, 0, true
	}
	if f.counted && !sent && err == nil {
		err = &Error{Reason: Aborted} // it would be sent again, but is counted
	}
	if s.withdrawn {
		s.offer, s.withdrawn = nil, false
	}
	if len(s.offer) == 0 {
		s.touch(Written)
	}
	if err != nil && s.state != gone {
		s.sendReset(Aborted)
		s.fail(err)
	}
	s.finish()
	s.queue()
	s.schedule()
}

// count counts the next DATA, of data bytes, or with 0 END, as sent.
func (s *Session) count(data int) {
	s.seq++
	s.numbered++
	if data > 0 {
		s.sent += uint64(data)
		s.offer = s.offer[data:]
	} else {
		s.own = ended
		s.touch(Ended)
	}
}

// put writes a message to b and returns its length.
func (e *Endpoint) put(b []byte, kind kind, k key, seq uint16, payload []byte) int {
	return single(e.cfg.Single).put(b, kind, k, seq, payload)
}

func (e *Endpoint) putReset(b []byte, r *stray) int {
	payload := [2]byte{byte(r.reason), version}
	k := 1
	if r.reason == BadVersion {
		k = 2
	}
	return e.put(b, kindReset, r.key, r.seq, payload[:k])
}

// Offer gives the session bytes to send. p is used until Offered is 0. It must be called
// only if Offered is 0, and not after CloseWrite or Close.
func (s *Session) Offer(now Time, p []byte) {
	s.offer = p
	if s.sent == s.limit {
		s.base, s.backoff = now, 0
	}
	s.queue()
	s.schedule()
}

// Offered is how many of the bytes offered are not yet sent.
func (s *Session) Offered() int { return len(s.offer) }

// SentBytes is how many of the bytes offered since the session began were sent.
func (s *Session) SentBytes() uint64 { return s.sent }

// Withdraw takes back the bytes that were offered and are not yet sent. It reports false if
// a part of them is being sent, and so may still count: that is known with the event
// Written, or after RunOn.
func (s *Session) Withdraw() bool {
	if s.sending && len(s.offer) > 0 && !s.endpoint.out.counted {
		s.withdrawn = true
		return false
	}
	s.offer = nil
	return true
}

// RunOn counts the DATA that is being sent as sent: the transport cannot take it back any
// more, and sends the bytes that Poll has written to their end. Other bytes that were
// offered can be withdrawn. If the message is aborted after all, Sent ends the session.
func (s *Session) RunOn() {
	f := &s.endpoint.out
	if !s.sending || f.data == 0 || f.counted {
		return
	}
	f.counted = true
	s.count(f.data)
	if s.withdrawn {
		s.offer, s.withdrawn = nil, false
	}
	if len(s.offer) == 0 {
		s.touch(Written)
	}
}

// Urgent reports whether a control message waits, which Poll would give out before any DATA.
func (e *Endpoint) Urgent() bool { return len(e.strays) > 0 || e.firstUrgent() != nil }

// CloseWrite ends our direction, after the bytes that were offered. The event Ended tells
// when END was sent.
func (s *Session) CloseWrite() {
	if s.own == streaming {
		s.own = ending
		s.queue()
	}
}

// sendable reports whether the session has a DATA or END that may be sent now.
func (s *Session) sendable() bool {
	switch {
	case s.state != open || s.sending:
		return false
	case len(s.offer) > 0:
		return s.sent < s.limit
	}
	return s.own == ending
}

// queue puts the session in line for DATA or END, if it has one that may be sent.
func (s *Session) queue() {
	if !s.inReady && s.sendable() {
		s.inReady = true
		s.endpoint.ready.push(s)
	}
}

// want has a control message sent, unless the session is gone: another one may have its
// name by now.
func (s *Session) want(k kind) {
	if s.state != gone {
		s.wanted |= 1 << k
		s.queueControl()
	}
}

func (s *Session) queueControl() {
	if !s.inUrgent && s.wanted != 0 {
		s.inUrgent = true
		s.endpoint.urgent.push(s)
	}
}

// pollStream writes the next DATA or END.
func (s *Session) pollStream(b []byte) int {
	e := s.endpoint
	room := single(e.cfg.Single).room(e.cfg.MaxMessage)
	data := min(len(s.offer), room, int(min(s.limit-s.sent, MaxMessage)))
	e.out = outgoing{busy: true, session: s, data: data}
	if data == 0 {
		return e.put(b, kindEnd, s.key, s.seq, nil)
	}
	return e.put(b, kindData, s.key, s.seq, s.offer[:data])
}

// pollControl writes the first of the control messages that are wanted. There is one.
func (s *Session) pollControl(b []byte) int {
	k := kindOpen
	for s.wanted>>k&1 == 0 {
		k++
	}
	s.wanted &^= 1 << k
	e := s.endpoint
	hello := [2]byte{version, byte(e.cfg.Window / windowUnit)}
	switch k {
	case kindOpen:
		return e.put(b, k, s.key, s.seq, hello[:])
	case kindAccept:
		e.out.accepts = s
		return e.put(b, k, s.key, s.first, hello[:])
	case kindPing:
		s.pingSeq = s.seq
	}
	s.wanted &^= 1 << kindWindow
	s.granted = s.mayGrant()
	var limit [2]byte
	binary.BigEndian.PutUint16(limit[:], uint16(s.granted/windowUnit))
	return e.put(b, k, s.key, s.seq, limit[:])
}
