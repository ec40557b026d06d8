package pacer

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A slowAlarm goes off late, by each of some times in turn.
type slowAlarm struct {
	*timerAlarm
	late  []time.Duration
	sleep time.Duration // what lead returns
	waits []time.Duration
}

func (a *slowAlarm) lead() time.Duration { return a.sleep }

func (a *slowAlarm) set(d time.Duration) {
	a.timerAlarm.set(d + a.late[len(a.waits)%len(a.late)])
	a.waits = append(a.waits, d)
}

// lateBy sets a Pacer with a slow alarm of its own for so many moments, d from now
// each, and returns how late it was.
func lateBy(t *testing.T, a *slowAlarm, d time.Duration, moments int) (late []time.Duration) {
	t.Helper()
	fired := make(chan time.Time)
	p := New(func() { fired <- time.Now() })
	a.timerAlarm = newTimerAlarm(p.ready)
	p.start(a)
	defer p.Close()
	for range moments {
		at := time.Now().Add(d)
		p.Set(at)
		late = append(late, (<-fired).Sub(at))
	}
	if least := slices.Min(late); least < 0 {
		t.Errorf("fired %v early", -least)
	}
	return late
}

func TestUsualLatenessIsMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const usual = 80 * time.Microsecond
		a := &slowAlarm{late: []time.Duration{usual}}
		late := lateBy(t, a, time.Millisecond, 100)
		if late[0] != usual || late[1] != usual/4 || late[99] > usual/10 {
			t.Errorf("at first %v late, then %v, at last %v", late[0], late[1], late[99])
		}
	})
}

func TestVaryingLatenessIsMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const least, most = 60 * time.Microsecond, 110 * time.Microsecond
		a := &slowAlarm{late: []time.Duration{least, 70 * time.Microsecond, most, 65 * time.Microsecond, 90 * time.Microsecond}}
		late := lateBy(t, a, time.Millisecond, 200)[100:]
		slices.Sort(late)
		if median := late[50]; median > 30*time.Microsecond {
			t.Errorf("in the middle %v late", median)
		}
		if worst := late[99]; worst > most {
			t.Errorf("at most %v late", worst)
		}
	})
}

func TestLatenessIsThatOfWaitsAsLong(t *testing.T) {
	var l lateness
	for range 100 {
		l.learn(int64(100*time.Microsecond), 30_000)
		l.learn(int64(10*time.Millisecond), 90_000)
	}
	for d, want := range map[time.Duration]int64{
		0:                        0,
		100 * time.Microsecond:   30_000,
		120 * time.Microsecond:   30_000,
		1 * time.Millisecond:     0,
		12 * time.Millisecond:    90_000,
		24 * time.Hour:           0,
		time.Duration(1<<63 - 1): 0,
	} {
		if got := *l.of(int64(d)); got < want*9/10 || got > want {
			t.Errorf("after a wait of %v it is late by %d ns, want %d", d, got, want)
		}
	}
}

func TestLatenessIsBounded(t *testing.T) {
	var l lateness
	for range 1000 {
		l.learn(0, int64(time.Second))
	}
	if got := *l.of(0); got > maxLateness {
		t.Errorf("%d ns is late", got)
	}
}

// A long wait is one for most of it, and one or two for the rest.
func TestEndOfALongWaitIsWaitedForApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sleep = 200 * time.Microsecond
		for d, want := range map[time.Duration][]time.Duration{
			time.Second:          {time.Second - 5*sleep, 4 * sleep, sleep},
			4 * time.Millisecond: {3500 * time.Microsecond, 500 * time.Microsecond},
			time.Millisecond:     {4 * sleep, sleep},
			3 * sleep:            {3 * sleep},
		} {
			a := &slowAlarm{late: []time.Duration{0}, sleep: sleep}
			lateBy(t, a, d, 1)
			if !slices.Equal(a.waits, want) {
				t.Errorf("the alarm was set for %v, want %v", a.waits, want)
			}
		}
	})
}

// A change between the two waits at the end of a long one counts as it does before.
func TestMomentChangesInTheEndOfALongWait(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(p *Pacer, start time.Time)
		want   []time.Duration
	}{
		"sooner": {func(p *Pacer, start time.Time) { p.Set(start.Add(9500 * time.Microsecond)) }, []time.Duration{9500 * time.Microsecond}},
		"later":  {func(p *Pacer, start time.Time) { p.Set(start.Add(30 * time.Millisecond)) }, []time.Duration{30 * time.Millisecond}},
		"past":   {func(p *Pacer, start time.Time) { p.Set(start) }, []time.Duration{9100 * time.Microsecond}},
		"stop":   {func(p *Pacer, _ time.Time) { p.Stop() }, nil},
		"close":  {func(p *Pacer, _ time.Time) { p.Close() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *Pacer, c *calls) {
				a := &slowAlarm{timerAlarm: newTimerAlarm(p.ready), late: []time.Duration{0}, sleep: 200 * time.Microsecond}
				p.start(a)
				p.Set(c.start.Add(10 * time.Millisecond))
				time.Sleep(9100 * time.Microsecond)
				synctest.Wait()
				if want := []time.Duration{9 * time.Millisecond, 800 * time.Microsecond}; !slices.Equal(a.waits, want) {
					t.Errorf("the alarm was set for %v, want %v", a.waits, want)
				}
				tc.change(p, c.start)
				time.Sleep(time.Second)
				c.want(t, tc.want...)
			})
		})
	}
}

// A pacer that spins wakes up early enough to spin.
func TestLatenessIsMadeUpForBeforeSpinning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lead = 200 * time.Microsecond
		a := silent{sleep: lead}
		p := New(func() {})
		p.start(&a)
		const usual = 60 * time.Microsecond
		*p.late.of(int64(time.Second)) = int64(usual)
		p.SetSpin(time.Now().Add(time.Second))
		p.ready()
		if want := []time.Duration{time.Second - lead - usual - 5*lead}; !slices.Equal(a.waits, want) {
			t.Errorf("the alarm was set for %v, want %v", a.waits, want)
		}
	})
}
