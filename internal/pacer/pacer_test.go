package pacer

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A calls records when fire is called, by the time since it was made.
type calls struct {
	start time.Time
	mu    sync.Mutex
	at    []time.Duration
}

// fire returns how many calls there have been.
func (c *calls) fire() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Since(c.start))
	return len(c.at)
}

func (c *calls) want(t *testing.T, want ...time.Duration) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.at, want) {
		t.Errorf("fired at %v, want %v", c.at, want)
	}
}

// In a bubble the Pacer goes by the fake clock, so these tests hold to the
// nanosecond, and synctest.Test fails unless Close ends the goroutine.
func inBubble(t *testing.T, f func(t *testing.T, p *Pacer, c *calls)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &calls{start: time.Now()}
		p := New(func() { c.fire() })
		defer p.Close()
		f(t, p, c)
	})
}

func TestFiresOnceAtTheMoment(t *testing.T) {
	for name, set := range map[string]func(*Pacer, time.Time){"Set": (*Pacer).Set, "SetSpin": (*Pacer).SetSpin} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *Pacer, c *calls) {
				set(p, c.start.Add(123456789))
				time.Sleep(123456788)
				c.want(t)
				time.Sleep(time.Nanosecond)
				c.want(t, 123456789)
				time.Sleep(time.Hour)
				c.want(t, 123456789)
			})
		})
	}
}

func TestFiresAtOnceForThePast(t *testing.T) {
	for name, past := range map[string]func() time.Time{
		"now":          time.Now,
		"a second ago": func() time.Time { return time.Now().Add(-time.Second) },
		"zero Time":    func() time.Time { return time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *Pacer, c *calls) {
				p.Set(past())
				c.want(t, 0)
				p.SetSpin(past())
				c.want(t, 0, 0)
			})
		})
	}
}

func TestSetReplacesTheMoment(t *testing.T) {
	for name, to := range map[string]time.Duration{
		"sooner": time.Second, "later": time.Hour, "same": time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *Pacer, c *calls) {
				p.Set(c.start.Add(time.Minute))
				time.Sleep(time.Millisecond)
				p.Set(c.start.Add(to))
				time.Sleep(2 * time.Hour)
				c.want(t, to)
			})
		})
	}
}

func TestLaterThenSooner(t *testing.T) {
	inBubble(t, func(t *testing.T, p *Pacer, c *calls) {
		for _, d := range []time.Duration{10, 30, 20, 15} { // wakes up at 10 for nothing
			p.Set(c.start.Add(d * time.Second))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		c.want(t, 15*time.Second)
	})
}

func TestSetFromFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &calls{start: time.Now()}
		var p *Pacer
		p = New(func() {
			if n := c.fire(); n < 3 {
				p.Set(c.start.Add(time.Duration(n) * 100 * time.Microsecond))
			}
		})
		p.Set(c.start)
		time.Sleep(time.Second)
		c.want(t, 0, 100*time.Microsecond, 200*time.Microsecond)
		p.Close()
	})
}

func TestNeverTwoAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &calls{start: time.Now()}
		p := New(func() {
			c.fire()
			time.Sleep(time.Second)
		})
		p.Set(c.start)
		synctest.Wait()
		p.Set(c.start) // a call is under way, so this one is for after it
		c.want(t, 0)
		time.Sleep(time.Minute)
		c.want(t, 0, time.Second)
		p.Close()
	})
}

func TestStop(t *testing.T) {
	inBubble(t, func(t *testing.T, p *Pacer, c *calls) {
		p.Stop()
		p.Set(c.start.Add(time.Second))
		p.Stop()
		time.Sleep(time.Minute)
		c.want(t)
		p.Set(c.start.Add(time.Hour))
		time.Sleep(time.Hour)
		c.want(t, time.Hour)
	})
}

func TestNoCallAfterClose(t *testing.T) {
	inBubble(t, func(t *testing.T, p *Pacer, c *calls) {
		p.Set(c.start.Add(time.Second))
		p.Close()
		p.Close()
		p.Set(c.start)
		p.Stop()
		time.Sleep(time.Minute)
		c.want(t)
	})
}

func TestCloseBeforeSet(t *testing.T) {
	inBubble(t, func(t *testing.T, p *Pacer, c *calls) {
		p.Close()
		p.Set(c.start)
		time.Sleep(time.Minute)
		c.want(t)
	})
}

func TestCloseFromFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &calls{start: time.Now()}
		var p *Pacer
		p = New(func() {
			c.fire()
			p.Set(c.start)
			p.Close()
		})
		p.Set(c.start)
		time.Sleep(time.Minute)
		c.want(t, 0)
	})
}

func TestCloseDoesNotWaitForFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := New(func() { <-release })
		p.Set(time.Now())
		synctest.Wait()
		p.Close()
		close(release)
	})
}

// A moment without a monotonic reading, as from time.Parse.
func TestMomentByTheWallClock(t *testing.T) {
	inBubble(t, func(t *testing.T, p *Pacer, c *calls) {
		p.Set(c.start.Add(time.Second).Round(0))
		time.Sleep(time.Minute)
		c.want(t, time.Second)
	})
}

func TestMomentFarAway(t *testing.T) {
	inBubble(t, func(t *testing.T, p *Pacer, c *calls) {
		p.Set(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
		time.Sleep(10000 * time.Hour)
		c.want(t)
		p.Set(c.start.Add(20000 * time.Hour))
		time.Sleep(20000 * time.Hour)
		c.want(t, 20000*time.Hour)
	})
}
