package kernel

import (
	"net"
	"sync"
	"time"
)

// A pollDeadline is a deadline of the netpoller by which a goroutine that waits there can
// also be woken: the netpoller then says that the deadline is exceeded, and the goroutine
// asks restore whether it is.
type pollDeadline struct {
	set func(time.Time) error // of the netpoller

	mu        sync.Mutex // guards the fields below, and set
	at        time.Time
	suspended bool // the netpoller has none
	waking    bool // the goroutine that waits has not heard of wake yet
	sealed    bool
}

// longAgo is a deadline that is exceeded by any clock.
var longAgo = time.Unix(1, 0)

// Set sets the deadline.
func (d *pollDeadline) Set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sealed {
		return net.ErrClosed
	}
	d.at = t
	if !t.IsZero() {
		// What is right by the clocks now stays so if the wall clock is set.
		now := time.Now()
		d.at = now.Add(t.Sub(now))
	}
	if d.suspended || d.waking {
		return nil
	}
	return d.set(t)
}

// exceeded reports whether the deadline has come.
func (d *pollDeadline) exceeded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sealed || !d.at.IsZero() && time.Until(d.at) <= 0
}

// restore is for a goroutine to which the netpoller has said that the deadline is exceeded.
// It reports whether it is not, and the goroutine is to wait again.
func (d *pollDeadline) restore() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waking = false
	switch {
	case d.sealed:
		return false
	case d.suspended:
		d.set(time.Time{})
		return true
	case !d.at.IsZero() && time.Until(d.at) <= 0:
		return false
	}
	d.set(d.at)
	return true
}

// seal makes all calls fail from now on.
func (d *pollDeadline) seal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sealed = true
	d.set(longAgo)
}

// wake wakes the goroutine that waits, or the next one that does.
func (d *pollDeadline) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.sealed {
		d.waking = true
		d.set(longAgo)
	}
}

// suspend lets goroutines wait without the deadline.
func (d *pollDeadline) suspend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.suspended, d.waking = true, false
	if !d.sealed {
		d.set(time.Time{})
	}
}

// resume ends that, and wakes the goroutine that waits.
func (d *pollDeadline) resume() {
	d.mu.Lock()
	d.suspended = false
	d.mu.Unlock()
	d.wake()
}
