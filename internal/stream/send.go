package stream

import "encoding/binary"

// A stray is a RESET, whose session the endpoint does not know.
type stray struct {
	key    key
	seq    uint16
	reason Reason
}

// A flight is the message that Poll has given out.
type flight struct {
	busy    bool
	session *Session // of DATA and END, else nil
	data    int      // bytes of the stream; 0: END
	counted bool     // RunOn has counted it
	accepts *Session // of ACCEPT, else nil
}

// A line is a queue of sessions. Those that have nothing to send any more are
// taken out when they are first.
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

// Poll writes the next message to b, which must have room for Config.MaxMessage
// bytes, and returns its length, 0 if there is none: control messages first, then
// one DATA or END of each session in turn, which it returns. Sent must be called
// before the next Poll.
func (e *Endpoint) Poll(b []byte) (int, *Session) {
	if e.flight.busy {
		return 0, nil
	}
	if len(e.strays) > 0 {
		e.flight = flight{busy: true}
		r := e.strays[0]
		e.strays = e.strays[:copy(e.strays, e.strays[1:])]
		return e.putReset(b, &r), nil
	}
	if s := e.firstUrgent(); s != nil {
		e.flight = flight{busy: true}
		e.urgent.pop()
		s.inUrgent = false
		n := s.pollControl(b)
		s.queueControl()
		return n, nil
	}
	if s := e.firstReady(); s != nil {
		e.ready.pop()
		s.inReady, s.inFlight = false, true
		n := s.pollStream(b)
		return n, s
	}
	return 0, nil
}

// Sent is told what has become of the message that Poll gave out: whether it was
// handed over, so that the peer may have got it, or certainly not. An error ends
// the session that it belongs to. Without one, what was not handed over is sent
// again, unless it was withdrawn.
func (e *Endpoint) Sent(now Time, handed bool, err error) {
	f := e.flight
	e.flight = flight{}
	if s := f.accepts; s != nil {
		s.base, s.unconfirmed = now, true
		s.schedule()
	}
	s := f.session
	if s == nil {
		return
	}
	s.inFlight = false
	if handed && !f.counted {
		s.count(f.data)
	}
	if handed || f.counted {
		s.base, s.backoff, s.unconfirmed = now, 0, true
	}
	if f.counted && !handed && err == nil {
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

// count follows the handing over of the next DATA, of so many bytes, or of END.
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

// Offer gives the session bytes to send. They are used until Offered is 0. There
// must be none from before, nor after CloseWrite or Close.
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

// SentBytes is how many bytes were handed over since the session began.
func (s *Session) SentBytes() uint64 { return s.sent }

// Withdraw takes back what was offered and is not yet sent. It reports false if a
// part is being sent just now, and so may still count: until Written, or RunOn.
func (s *Session) Withdraw() bool {
	if s.inFlight && len(s.offer) > 0 && !s.endpoint.flight.counted {
		s.withdrawn = true
		return false
	}
	s.offer = nil
	return true
}

// RunOn counts the DATA that is being sent as handed over: the transport cannot take it
// back any more, and sends it to its end from the bytes that Poll has written. What else
// was offered can be withdrawn. If the message fails after all, Sent ends the session.
func (s *Session) RunOn() {
	f := &s.endpoint.flight
	if !s.inFlight || f.data == 0 || f.counted {
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

// Urgent reports whether there is a message that Poll would give out before any DATA.
func (e *Endpoint) Urgent() bool { return len(e.strays) > 0 || e.firstUrgent() != nil }

// CloseWrite ends our direction, after what was offered. The event Ended tells when
// END was handed over.
func (s *Session) CloseWrite() {
	if s.own == streaming {
		s.own = ending
		s.queue()
	}
}

// sendable reports whether there is a DATA or END that may be sent.
func (s *Session) sendable() bool {
	switch {
	case s.state != open || s.inFlight:
		return false
	case len(s.offer) > 0:
		return s.sent < s.limit
	}
	return s.own == ending
}

// queue puts the session in line if it has something to send.
func (s *Session) queue() {
	if !s.inReady && s.sendable() {
		s.inReady = true
		s.endpoint.ready.push(s)
	}
}

// want has a control message sent. The name of a session that is gone may belong
// to another by now.
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
	e.flight = flight{busy: true, session: s, data: data}
	if data == 0 {
		return e.put(b, kindEnd, s.key, s.seq, nil)
	}
	return e.put(b, kindData, s.key, s.seq, s.offer[:data])
}

// pollControl writes one of the control messages that are wanted. At least one is.
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
		e.flight.accepts = s
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
