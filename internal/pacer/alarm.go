package pacer

import "time"

// An alarm wakes up a Pacer's goroutine.
type alarm interface {
	// set has the alarm go off once, after d or a little later, or at once if d
	// is 0. It replaces what was set before.
	set(d time.Duration)

	// wait calls the Pacer's ready, and again each time the alarm has gone off,
	// perhaps also for no reason, until it returns true. It returns false, soon,
	// once the alarm is closed.
	wait() bool

	// lead is how early to set the alarm in order to spin after it, or to set it once
	// more for the rest; 0 where that is no use.
	lead() time.Duration

	// close is called once, and set not after it.
	close()
}

// timerAlarm is an alarm of Go's timers.
type timerAlarm struct {
	ready  func() bool
	timer  *time.Timer
	closed chan struct{}
}

func newTimerAlarm(ready func() bool) *timerAlarm {
	a := &timerAlarm{ready, time.NewTimer(time.Duration(maxWait)), make(chan struct{})}
	a.timer.Stop()
	return a
}

func (a *timerAlarm) set(d time.Duration) { a.timer.Reset(d) }

func (a *timerAlarm) wait() bool {
	for !a.ready() {
		select {
		case <-a.timer.C:
		case <-a.closed:
			return false
		}
	}
	return true
}

// lead: fake time would stand still while a goroutine spins, and timers that
// are a millisecond late would have it spin for milliseconds, and be as late again.
func (a *timerAlarm) lead() time.Duration { return 0 }

func (a *timerAlarm) close() {
	a.timer.Stop()
	close(a.closed)
}
