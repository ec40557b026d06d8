package stream

import "time"

// KeepAlive says when PINGs are sent in a session of which no message comes.
type KeepAlive struct {
	Off      bool
	Idle     time.Duration // from the peer's last message to the first PING
	Interval time.Duration // from a PING that is not answered to the next
	Count    int           // so many PINGs in a row without an answer end the session
}

// DefaultKeepAlive is that of net.Dialer.
var DefaultKeepAlive = KeepAlive{Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}

const (
	// OPEN is repeated after firstRetry, then after twice that and so on up to maxRetry.
	firstRetry = 100 * time.Millisecond
	maxRetry   = time.Second
	// PING is sent after firstProbe if the peer may have lost a message, or gives no
	// window; and again after twice that and so on up to maxProbe.
	firstProbe = time.Second
	maxProbe   = 15 * time.Second
	// linger is how long a session that is closed here waits for the peer.
	linger = 3 * time.Second
)

// timing says when a session has something to do.
type timing struct {
	keep        KeepAlive
	heard       Time   // when the peer's last message came
	base        Time   // from when the wait for the next OPEN or PING counts
	backoff     int    // how many of these there were
	unanswered  int    // how many PINGs have had no answer
	pingSeq     uint16 // of the last PING
	unreceived  bool   // the peer has not said that it has got our last ACCEPT, DATA or END
	lingerUntil Time   // of a session that is closed
}

// SetKeepAlive replaces the session's KeepAlive, which is DefaultKeepAlive at first.
func (s *Session) SetKeepAlive(k KeepAlive) {
	s.keep = k
	s.schedule()
}

// KeepAlive returns the session's KeepAlive.
func (s *Session) KeepAlive() KeepAlive { return s.keep }

// blocked reports whether the session has bytes to send, for which the peer has no room.
func (s *Session) blocked() bool { return len(s.offer) > 0 && s.sent == s.limit }

// due is when timeout has to be called.
func (s *Session) due() Time {
	due := never
	switch {
	case s.state == gone:
		return never
	case s.state == opening:
		return s.base.Add(backoff(firstRetry, s.backoff, maxRetry))
	case s.unreceived || s.blocked():
		due = s.base.Add(backoff(firstProbe, s.backoff, maxProbe))
	}
	switch {
	case s.keep.Off:
	case s.unanswered > 0:
		due = min(due, s.base.Add(s.keep.Interval))
	default:
		due = min(due, s.heard.Add(s.keep.Idle))
	}
	if s.closed {
		due = min(due, s.lingerUntil)
	}
	return due
}

// backoff is first, doubled a number of times, and limit at most.
func backoff(first time.Duration, times int, limit time.Duration) time.Duration {
	return min(first<<min(times, 8), limit)
}

// schedule has the endpoint call timeout in time. It need not be called when due has
// become later.
func (s *Session) schedule() { s.endpoint.next = min(s.endpoint.next, s.due()) }

// timeout does what is due.
func (s *Session) timeout(now Time) {
	switch {
	case s.state == opening:
		s.backoff++
		s.sendOpen(now)
	case s.closed && now >= s.lingerUntil:
		s.drop()
	case s.unanswered >= s.keep.Count:
		s.sendReset(Aborted)
		s.fail(&Error{Reason: TimedOut})
	default:
		s.unanswered++
		s.backoff++
		s.base = now
		s.want(kindPing)
	}
}

func (s *Session) sendOpen(now Time) {
	s.base = now
	s.want(kindOpen)
	s.schedule()
}
