package stream

import "time"

// KeepAlive says when a PING is sent in a session in which nothing happens.
type KeepAlive struct {
	Off      bool
	Idle     time.Duration // after so long
	Interval time.Duration // and if it is not answered, again after that
	Count    int           // so many without an answer end the session
}

// DefaultKeepAlive is that of net.Dialer.
var DefaultKeepAlive = KeepAlive{Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}

const (
	// OPEN is repeated after firstRetry, twice that and so on up to maxRetry.
	firstRetry = 100 * time.Millisecond
	maxRetry   = time.Second
	// PING is sent after firstProbe when something is to be confirmed or a window
	// is closed, and again after twice that and so on up to maxProbe.
	firstProbe = time.Second
	maxProbe   = 15 * time.Second
	// linger is how long a session that is closed here waits for the peer.
	linger = 3 * time.Second
)

// timing is what a session does in time.
type timing struct {
	keep        KeepAlive
	heard       Time // the last message of the peer
	base        Time // since when the next OPEN or PING is waited for
	backoff     int  // how many there were
	unanswered  int  // how many PINGs have had no answer
	pingSeq     uint16
	unconfirmed bool // the peer has not said that it has got our last DATA or END
	lingerUntil Time
}

// SetKeepAlive changes DefaultKeepAlive.
func (s *Session) SetKeepAlive(k KeepAlive) {
	s.keep = k
	s.schedule()
}

// KeepAlive returns what is set.
func (s *Session) KeepAlive() KeepAlive { return s.keep }

// blocked reports whether there is something to send, and no room for it.
func (s *Session) blocked() bool { return len(s.offer) > 0 && s.sent == s.limit }

// due is when timeout wants to be called.
func (s *Session) due() Time {
	due := never
	switch {
	case s.state == gone:
		return never
	case s.state == opening:
		return s.base.Add(backoff(firstRetry, s.backoff, maxRetry))
	case s.unconfirmed || s.blocked():
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

// backoff doubles a time so often, up to a limit.
func backoff(first time.Duration, times int, limit time.Duration) time.Duration {
	return min(first<<min(times, 8), limit)
}

// schedule has the endpoint heed when the session is due. What makes that later
// need not call it.
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
