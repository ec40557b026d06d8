// Package deadline has read and write deadlines for connections that wait on
// channels, with the meaning that net.Conn gives them, and what such connections
// wait for: signals and turns.
package deadline

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Deadline is a moment after which calls fail. The zero value is ready to
// use and has none. A Deadline must not be copied after its first use; all
// its methods can be called from any goroutine.
//
// It takes a channel when a goroutine waits, and a timer when one waits for a
// moment to come. Connections that are open and idle can be many.
type Deadline struct {
	isSet atomic.Bool // to tell without mu that there is none
	mu    sync.Mutex
	past  bool          // it had come when it was set
	at    time.Duration // after base; only if isSet
	timer *time.Timer   // calls expire; armed if a goroutine waits and at is to come
	c     chan struct{} // passed if at has come; nil until a goroutine waits
	ends  *Signal       // whose Wait it ends, see WaitAlone; nil: of none
}

// base is what moments are measured from: numbers are smaller than a time.Time.
var base = time.Now()

// passed is the channel of every deadline that has come.
var passed = make(chan struct{})

func init() { close(passed) }

// maxLeft is how far off a deadline can be: beyond it is never.
const maxLeft = 100 * 365 * 24 * time.Hour

// Set sets the deadline to t, or to none if t is zero. With a t that is now or
// past the deadline is exceeded when Set returns; with one in the future, or
// none, it is not, even if the one before was.
//
// Set(time.Time{}) also lets go of the timer: a connection does so when it is
// closed, or it stays in memory until the deadline.
func (d *Deadline) Set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.c == passed {
		d.c = nil // goroutines that have the closed channel keep it
	}
	d.isSet.Store(!t.IsZero())
	if t.IsZero() {
		d.stop()
		return
	}
	now := time.Now()
	left := max(0, min(t.Sub(now), maxLeft))
	// What was right by the clocks now stays so if the wall clock is set.
	d.at = now.Sub(base) + left
	d.past = left == 0
	switch {
	case left == 0:
		d.pass()
	case d.c != nil || d.ends != nil:
		d.arm(left)
	}
}

// Wait returns a channel that is closed when the deadline is exceeded. It holds
// for deadlines set later too, until one has come: get it anew for each call
// that waits.
func (d *Deadline) Wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	left, set := d.check()
	if d.c == nil {
		d.c = make(chan struct{})
		if set {
			d.arm(left)
		}
	}
	return d.c
}

// end has the signal woken when the deadline is exceeded, until letGo. It reports false if
// the deadline is exceeded, or another signal is to be woken: then Wait does.
func (d *Deadline) end(s *Signal) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	left, set := d.check()
	if d.c == passed || d.ends != nil {
		return false
	}
	d.ends = s
	if set {
		d.arm(left)
	}
	return true
}

// letGo undoes end.
func (d *Deadline) letGo() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ends = nil
}

// Exceeded reports whether the deadline has come. It asks the clock, and so
// does not wait for a timer that is late; if it is true the channel of Wait is
// closed.
func (d *Deadline) Exceeded() bool {
	if !d.isSet.Load() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.check()
	return d.c == passed
}

// Came returns when the deadline came. ok is false if it has not, and if it was past
// when it was set: that is how calls are told to end at once.
func (d *Deadline) Came() (at time.Time, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.check()
	return base.Add(d.at), d.c == passed && !d.past
}

// expire is called by the timer, perhaps by one that was for an earlier
// deadline, set anew or stopped too late. So it goes by the clock only.
func (d *Deadline) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.check()
}

// The methods below are called under mu.

// check closes the channel if the deadline has come. Otherwise it returns how
// far off it is, and whether there is one.
func (d *Deadline) check() (left time.Duration, set bool) {
	if d.c == passed || !d.isSet.Load() {
		return 0, false
	}
	if left = d.at - time.Since(base); left > 0 {
		return left, true
	}
	d.pass()
	return 0, false
}

func (d *Deadline) pass() {
	if d.c != nil {
		close(d.c)
	}
	d.c = passed
	if d.ends != nil {
		d.ends.send(false)
	}
	d.stop()
}

func (d *Deadline) arm(left time.Duration) {
	if d.timer == nil {
		d.timer = time.AfterFunc(left, d.expire)
		return
	}
	d.timer.Reset(left)
}

func (d *Deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
