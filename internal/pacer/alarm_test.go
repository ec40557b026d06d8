package pacer

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Outside a bubble: whatever alarm the system has, and Go's timers, which stand
// in for it. Nothing here depends on how long things take.
func forEachAlarm(t *testing.T, f func(t *testing.T, newPacer func(fire func()) *Pacer)) {
	for name, newAlarm := range alarms {
		t.Run(name, func(t *testing.T) {
			f(t, func(fire func()) *Pacer {
				p := New(fire)
				p.start(newAlarm(p.ready))
				t.Cleanup(p.Close)
				return p
			})
		})
	}
}

var alarms = map[string]func(ready func() bool) alarm{
	"system": newAlarm,
	"timer":  func(ready func() bool) alarm { return newTimerAlarm(ready) },
}

func TestNeverEarly(t *testing.T) {
	forEachAlarm(t, func(t *testing.T, newPacer func(func()) *Pacer) {
		fired := make(chan time.Time)
		p := newPacer(func() { fired <- time.Now() })
		for i := range 100 {
			at := time.Now().Add(time.Duration(i) * 10 * time.Microsecond)
			if i%2 == 0 {
				p.Set(at)
			} else {
				p.SetSpin(at)
			}
			if early := at.Sub(<-fired); early > 0 {
				t.Errorf("fired %v early", early)
			}
		}
	})
}

func TestSoonerWhileWaiting(t *testing.T) {
	forEachAlarm(t, func(t *testing.T, newPacer func(func()) *Pacer) {
		fired := make(chan struct{})
		p := newPacer(func() { fired <- struct{}{} })
		for range 20 {
			p.Set(time.Now().Add(time.Hour))
			p.Set(time.Now().Add(time.Minute))
			p.SetSpin(time.Now().Add(time.Millisecond))
			<-fired
			p.Set(time.Now().Add(time.Hour))
			p.Set(time.Now())
			<-fired
		}
	})
}

func TestEveryMomentFiresWhenSetFromFire(t *testing.T) {
	forEachAlarm(t, func(t *testing.T, newPacer func(func()) *Pacer) {
		const n = 50
		left, done := n, make(chan struct{})
		var p *Pacer
		p = newPacer(func() {
			if left--; left == 0 {
				close(done)
				return
			}
			p.Set(time.Now().Add(time.Duration(left%3) * 50 * time.Microsecond))
		})
		p.Set(time.Now())
		<-done
	})
}

func TestLastMomentFiresWhenManySet(t *testing.T) {
	forEachAlarm(t, func(t *testing.T, newPacer func(func()) *Pacer) {
		fired := make(chan time.Time, 1)
		p := newPacer(func() {
			select {
			case <-fired: // only the last call counts
			default:
			}
			fired <- time.Now()
		})
		for range 20 {
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for i := range 50 {
						p.Set(time.Now().Add(time.Duration((g+i)%7) * 20 * time.Microsecond))
						if i%10 == 0 {
							p.Stop()
						}
					}
				})
			}
			wg.Wait()
			at := time.Now().Add(100 * time.Microsecond)
			p.Set(at)
			for (<-fired).Before(at) { // calls for moments set before
			}
		}
	})
}

func TestAlarmGoesOffEachTimeItIsSet(t *testing.T) {
	for name, newAlarm := range alarms {
		t.Run(name, func(t *testing.T) {
			var a alarm
			calls := 0
			a = newAlarm(func() bool {
				calls++
				if calls%10 == 0 {
					return true
				}
				a.set(time.Duration(calls) * time.Microsecond)
				return false
			})
			defer a.close()
			for want := 10; want <= 50; want += 10 {
				if !a.wait() || calls != want {
					t.Fatalf("wait ended after %d calls of ready, want %d", calls, want)
				}
			}
		})
	}
}

// silent is an alarm that never goes off.
type silent struct {
	waits []time.Duration
	sleep time.Duration // what lead returns
}

func (a *silent) set(d time.Duration) { a.waits = append(a.waits, d) }
func (a *silent) wait() bool          { return false }
func (a *silent) lead() time.Duration { return a.sleep }
func (a *silent) close()              {}

func TestAlarmIsSetAgainIfItGoesOffTooSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a silent
		p := New(func() {})
		p.start(&a)
		p.Set(time.Now().Add(10 * time.Second))
		for range 3 {
			if p.ready() {
				t.Error("ready too soon")
			}
			time.Sleep(time.Second)
		}
		if want := []time.Duration{10 * time.Second, 9 * time.Second, 8 * time.Second}; !slices.Equal(a.waits, want) {
			t.Errorf("the alarm was set for %v, want %v", a.waits, want)
		}
	})
}

func TestAlarmIsLeftAloneIfTheMomentMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a silent
		p := New(func() {})
		p.start(&a)
		p.ready()
		for i := range 100 {
			p.Set(time.Now().Add(time.Duration(i+1) * time.Second))
		}
		p.Stop()
		if want := []time.Duration{time.Second}; !slices.Equal(a.waits, want) {
			t.Errorf("the alarm was set for %v, want %v", a.waits, want)
		}
	})
}

func TestCloseEndsTheWait(t *testing.T) {
	for name, newAlarm := range alarms {
		t.Run(name, func(t *testing.T) {
			waiting := make(chan struct{}, 1)
			a := newAlarm(func() bool {
				waiting <- struct{}{}
				return false
			})
			ended := make(chan bool)
			go func() { ended <- a.wait() }()
			<-waiting
			a.close()
			if <-ended {
				t.Error("wait reported that the moment had come")
			}
		})
	}
}

func TestCloseWhileOthersSet(t *testing.T) {
	forEachAlarm(t, func(t *testing.T, newPacer func(func()) *Pacer) {
		for range 20 {
			p := newPacer(func() {})
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					for i := range 20 {
						p.Set(time.Now().Add(time.Duration(i%3) * time.Microsecond))
					}
				})
			}
			wg.Go(p.Close)
			wg.Wait()
		}
	})
}
