// Package pacer waits for a moment more exactly than Go's timers do.
//
// In an idle process on Linux the runtime waits in epoll_wait, which counts in
// milliseconds: a timer for 100 us goes off after 1.1 ms. A [Pacer] waits for a
// timerfd as well, which the runtime's poller watches like a socket, so that a
// waiting Pacer holds no thread.
//
// A timerfd is late too: by 5 to 20 us on most machines, by 50 to 200 us on virtual
// ones, and the more the longer a processor has slept. So a Pacer sets it a little
// before the moment, by as much as it has learnt that it is late, and waits once more if
// it wakes up too early. A long wait is split: its last eighth (at most 1 ms) is a second
// sleep, its last 200 us a third, because a processor wakes faster from a short sleep.
//
// How late it is, on Linux: mostly 5 to 40 us, whether the other goroutines
// sleep or run and wait by turns. If they compute without a pause on all
// processors, a Pacer waits as they all do until the scheduler interrupts one,
// which takes 10 to 20 ms.
//
// Elsewhere a Pacer is a Go timer, set earlier in the same way. On macOS and the BSDs,
// where the runtime waits in nanoseconds, that is as good. What follows of Windows was not
// measured: it is what Microsoft writes, and what Go's runtime asks for. From Windows 10
// version 1803 on the runtime has timers of a high resolution, good to 0.5 ms
// (CREATE_WAITABLE_TIMER_HIGH_RESOLUTION); before they are good to 15.6 ms. The clock itself
// goes in such steps, because the runtime reads the time of the last interrupt.
package pacer

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A Pacer calls a function when a moment has come. All its methods can be
// called from any goroutine, from the function too.
type Pacer struct {
	fire func()

	mu     sync.Mutex
	closed bool
	alarm  alarm     // nil until the first Set
	base   time.Time // the moments below are nanoseconds of the monotonic clock after it
	lead   int64     // how long before the moment set to wake up and spin
	wakeAt int64     // when the goroutine looks at the other fields next, by itself
	wait   int64     // how long the wait until wakeAt was to be, before it was cut short
	late   lateness

	// at is the moment set, never if there is none. It is written under mu, and
	// read without by the goroutine while it spins.
	at atomic.Int64

	spinLead int64 // the goroutine's own: the lead it woke up with
}

const (
	never = math.MaxInt64
	awake = math.MinInt64 // a wakeAt: the goroutine does not wait

	// maxWait bounds what an alarm is set for: the seconds of some timespecs
	// have only 32 bits, and sums of moments and waits must not overflow.
	maxWait = int64(24 * time.Hour)
)

// New returns a Pacer that calls fire when a moment set has come, on a
// goroutine of its own, one call after another. Until the first Set it holds
// neither goroutine nor descriptor; from then on it must be closed.
//
// Inside a testing/synctest bubble the first Set must be the bubble's: the
// Pacer then goes by its fake clock, exactly.
func New(fire func()) *Pacer {
	p := &Pacer{fire: fire, wakeAt: awake}
	p.at.Store(never)
	return p
}

// Set has fire called once when t has come by the monotonic clock, never
// before; at once if t is now or past. It replaces the moment set before, which
// then causes no call unless its time had come: that call may be under way or
// about to begin when Set returns, and the one for t follows it.
//
// Set is cheap, and cheapest from fire or if it moves the moment to a later one:
// then it makes no system call. It does nothing after Close.
func (p *Pacer) Set(t time.Time) { p.set(t, false) }

// SetSpin is Set for users that would rather burn a processor than be late: the
// goroutine wakes up early, and sees the last 200 us of the wait out in a busy
// loop. Where there is no timerfd it is the same as Set.
func (p *Pacer) SetSpin(t time.Time) { p.set(t, true) }

func (p *Pacer) set(t time.Time, spin bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.alarm == nil {
		p.start(newAlarm(p.ready))
	}
	now := time.Now()
	// By way of now, so that a t without a monotonic reading (which is compared
	// by the wall clock) is right even if the wall clock was set since base.
	elapsed := int64(now.Sub(p.base))
	at := elapsed + min(max(int64(t.Sub(now)), 0), never/2)
	p.at.Store(at)
	p.lead = 0
	if spin {
		p.lead = int64(p.alarm.lead())
	}
	// If the goroutine wakes up earlier it will see the new moment then. To wake
	// up once for nothing costs less than a system call in each Set that moves
	// the moment on.
	if wake := at - p.lead; wake < p.wakeAt {
		p.setAlarm(wake, elapsed)
	}
}

func (p *Pacer) start(a alarm) {
	p.alarm = a
	p.base = time.Now()
	go p.run()
}

// Stop makes the Pacer forget the moment set. A call of fire whose time had
// come may be under way or about to begin when Stop returns.
func (p *Pacer) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at.Store(never)
}

// Close ends the Pacer for good: it forgets the moment set and releases the
// descriptor, and the goroutine as soon as fire is not running. It does not
// wait for a call of fire: one whose time had come may be under way or about
// to begin when Close returns, and none comes after that one.
func (p *Pacer) Close() {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.at.Store(never)
	p.mu.Unlock()
	if !closed && p.alarm != nil {
		p.alarm.close()
	}
}

// run is the goroutine.
func (p *Pacer) run() {
	for p.alarm.wait() {
		if p.take() {
			p.fire()
		}
	}
}

// ready reports whether the moment set has come, or is near enough to spin. If
// not, it sets the alarm. The goroutine calls it from alarm.wait.
func (p *Pacer) ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	wakeAt := p.wakeAt
	p.wakeAt = awake
	at := p.at.Load()
	if at == never {
		p.wakeAt = never
		return false
	}
	now := int64(time.Since(p.base))
	if wakeAt != awake && wakeAt <= now {
		p.late.learn(p.wait, now-wakeAt)
	}
	if at-p.lead <= now {
		p.spinLead = p.lead
		return true
	}
	p.setAlarm(at-p.lead, now)
	return false
}

// setAlarm has the goroutine wake up at a moment, or before. Under mu.
func (p *Pacer) setAlarm(wake, now int64) {
	d := min(max(wake-now, 0), maxWait)
	p.wait = d
	d -= min(*p.late.of(d), d/2)
	// The end of a long wait is waited for apart, by the alarms to come.
	if last := int64(p.alarm.lead()); d > 3*last {
		d -= max(last, min(d/8, 5*last))
	}
	p.wakeAt = now + d
	p.alarm.set(time.Duration(d))
}

// take waits in a busy loop for a moment that is near, and takes it. It reports
// false if there is none any more.
func (p *Pacer) take() bool {
	for {
		at := p.at.Load()
		switch d := at - int64(time.Since(p.base)); {
		case d > p.spinLead:
			return false
		case d <= 0 && p.at.CompareAndSwap(at, never):
			return true
		}
	}
}
