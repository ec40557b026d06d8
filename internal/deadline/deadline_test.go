package deadline

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// closed reports whether c is closed, now.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func check(t *testing.T, d *Deadline, exceeded bool) {
	t.Helper()
	if got := d.Exceeded(); got != exceeded {
		t.Errorf("Exceeded() = %v, want %v", got, exceeded)
	}
	if got := closed(d.Wait()); got != exceeded {
		t.Errorf("Wait's channel closed: %v, want %v", got, exceeded)
	}
}

// waited tells for how long a caller waits for the deadline.
func waited(d *Deadline) time.Duration {
	start := time.Now()
	<-d.Wait()
	return time.Since(start)
}

func wantWaited(t *testing.T, d *Deadline, want time.Duration) {
	t.Helper()
	if got := waited(d); got != want {
		t.Errorf("waited %v, want %v", got, want)
	}
	check(t, d, true)
}

func TestZeroValueHasNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		check(t, &d, false)
		time.Sleep(1000 * time.Hour)
		check(t, &d, false)
	})
}

func TestExceededAtTheVeryMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		d.Set(time.Now().Add(time.Second))
		c := d.Wait()
		time.Sleep(time.Second - 1)
		synctest.Wait()
		if closed(c) {
			t.Error("closed a nanosecond too soon")
		}
		check(t, &d, false)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !closed(c) {
			t.Error("not closed when the deadline had come")
		}
		check(t, &d, true)
	})
}

func TestExceededWithoutAnyoneWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		d.Set(time.Now().Add(time.Second))
		time.Sleep(time.Second)
		if !d.Exceeded() {
			t.Error("not exceeded when the deadline had come")
		}
	})
}

func TestPastDeadlineIsExceededWhenSetReturns(t *testing.T) {
	for name, past := range map[string]func() time.Time{
		"now":          time.Now,
		"a second ago": func() time.Time { return time.Now().Add(-time.Second) },
		"epoch":        func() time.Time { return time.Unix(0, 0) },
		"year 1":       func() time.Time { return time.Time{}.Add(1) },
	} {
		t.Run(name, func(t *testing.T) {
			var idle Deadline
			idle.Set(past())
			check(t, &idle, true)

			var waiting Deadline
			c := waiting.Wait()
			waiting.Set(past())
			if !closed(c) {
				t.Error("the channel of one already waiting is open")
			}
			check(t, &waiting, true)
		})
	}
}

func TestSetTwiceInThePast(t *testing.T) {
	var d Deadline
	d.Wait()
	d.Set(time.Unix(1, 0))
	d.Set(time.Unix(2, 0))
	check(t, &d, true)
}

func TestDeadlineSetWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		go func() {
			time.Sleep(time.Second)
			d.Set(time.Now().Add(time.Second))
		}()
		wantWaited(t, &d, 2*time.Second)
	})
}

func TestDeadlineMovedWhileWaiting(t *testing.T) {
	for name, to := range map[string]time.Duration{
		"later": time.Hour, "sooner": 2 * time.Second, "same": time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d Deadline
				start := time.Now()
				d.Set(start.Add(time.Minute))
				go func() {
					time.Sleep(time.Second)
					d.Set(start.Add(to))
				}()
				wantWaited(t, &d, to)
			})
		})
	}
}

func TestDeadlineTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		d.Set(time.Now().Add(time.Second))
		c := d.Wait()
		d.Set(time.Time{})
		time.Sleep(time.Hour)
		if closed(c) {
			t.Error("closed although the deadline was taken back")
		}
		check(t, &d, false)
	})
}

func TestRevivedAfterExpiry(t *testing.T) {
	for name, expire := range map[string]func(d *Deadline){
		"by the timer":     func(d *Deadline) { d.Set(time.Now().Add(time.Second)); <-d.Wait() },
		"by a past moment": func(d *Deadline) { d.Set(time.Now()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d Deadline
				expire(&d)
				old := d.Wait()
				d.Set(time.Now().Add(time.Minute))
				check(t, &d, false)
				if !closed(old) {
					t.Error("the channel of the old deadline is open again")
				}
				wantWaited(t, &d, time.Minute)

				d.Set(time.Time{})
				check(t, &d, false)
			})
		})
	}
}

func TestAllWhoWaitAreWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { <-d.Wait() })
		}
		synctest.Wait()
		d.Set(time.Now().Add(time.Second))
		wg.Wait()
	})
}

// A deadline without a monotonic reading, as from time.Parse.
func TestDeadlineByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		d.Set(time.Now().Add(time.Second).Round(0))
		wantWaited(t, &d, time.Second)
	})
}

func TestDeadlineFarAway(t *testing.T) {
	var d Deadline
	c := d.Wait()
	d.Set(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
	if closed(c) {
		t.Error("closed 8000 years too soon")
	}
	check(t, &d, false)
	d.Set(time.Time{})
}

// What an old timer's goroutine does when it was held up until another deadline
// had been set.
func TestLateTimerLeavesNewDeadlineAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		d.Set(time.Now().Add(time.Second))
		c := d.Wait()
		d.Set(time.Now().Add(time.Minute))
		d.expire()
		if closed(c) {
			t.Error("the old timer closed the new deadline's channel")
		}
		wantWaited(t, &d, time.Minute)

		d.Set(time.Time{})
		d.expire()
		check(t, &d, false)
	})
}

// The timer and Set meet at the same instant, and either may win.
func TestSetAsTheTimerFires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		for range 1000 {
			d.Set(time.Now().Add(time.Millisecond))
			d.Wait()
			time.Sleep(time.Millisecond)
			d.Set(time.Now().Add(time.Second))
			check(t, &d, false)
			wantWaited(t, &d, time.Second)
		}
	})
}

// With the system's clock, for the race detector.
func TestConcurrentUse(t *testing.T) {
	var d Deadline
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 500 {
				d.Set(time.Now().Add(time.Duration((i+j)%5-1) * 10 * time.Microsecond))
				if c := d.Wait(); d.Exceeded() && j%50 == 0 {
					d.Set(time.Time{})
				} else {
					closed(c)
				}
			}
		})
	}
	wg.Wait()
	d.Set(time.Now().Add(time.Millisecond))
	<-d.Wait()
	d.Set(time.Now().Add(time.Hour))
	check(t, &d, false)
	d.Set(time.Time{})
}

func TestNoAllocationOnceInUse(t *testing.T) {
	var d Deadline
	d.Wait()
	d.Set(time.Now().Add(time.Hour)) // now it has its channel and its timer
	if n := testing.AllocsPerRun(100, func() {
		d.Set(time.Now().Add(time.Hour))
		d.Wait()
		d.Exceeded()
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	d.Set(time.Time{})
}

func TestNoAllocationUntilSomebodyWaits(t *testing.T) {
	var d Deadline
	if n := testing.AllocsPerRun(100, func() {
		d.Set(time.Now().Add(time.Hour))
		d.Exceeded()
		d.Set(time.Unix(1, 0))
		d.Wait() // too late to need a channel of its own
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkSet(b *testing.B) {
	at := time.Now().Add(time.Hour)
	b.Run("idle", func(b *testing.B) {
		b.ReportAllocs()
		var d Deadline
		for b.Loop() {
			d.Set(at)
		}
	})
	b.Run("waited for", func(b *testing.B) {
		b.ReportAllocs()
		var d Deadline
		d.Wait()
		for b.Loop() {
			d.Set(at)
		}
		d.Set(time.Time{})
	})
	b.Run("past", func(b *testing.B) {
		b.ReportAllocs()
		var d Deadline
		for b.Loop() {
			d.Set(time.Unix(1, 0))
		}
	})
}

func BenchmarkWait(b *testing.B) {
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var d Deadline
			d.Wait()
		}
	})
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		var d Deadline
		d.Set(time.Now().Add(time.Hour))
		for b.Loop() {
			d.Wait()
		}
		d.Set(time.Time{})
	})
}

func BenchmarkExceeded(b *testing.B) {
	b.ReportAllocs()
	var d Deadline
	d.Set(time.Now().Add(time.Hour))
	for b.Loop() {
		d.Exceeded()
	}
}

func TestCameTellsAPastDeadlineFromOneThatCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		want := func(want time.Time, wantOK bool) {
			t.Helper()
			if at, ok := d.Came(); ok != wantOK || ok && !at.Equal(want) {
				t.Errorf("Came() = %v, %v; want %v, %v", at, ok, want, wantOK)
			}
		}
		want(time.Time{}, false)
		at := time.Now().Add(time.Second)
		d.Set(at)
		want(time.Time{}, false)
		time.Sleep(time.Minute)
		want(at, true)
		d.Set(time.Now())
		want(time.Time{}, false)
		d.Set(time.Now().Add(time.Second))
		want(time.Time{}, false)
		d.Set(time.Time{})
		want(time.Time{}, false)
	})
}

func TestFarOffDeadlines(t *testing.T) {
	var d Deadline
	for _, tt := range []struct {
		at       time.Time
		exceeded bool
	}{
		{time.Unix(0, 0), true},
		{time.Time{}.Add(1), true},
		{time.Now().Add(99 * 365 * 24 * time.Hour), false},
		{time.Unix(1<<40, 0), false},
		{time.Unix(1<<62, 0), false},
	} {
		if d.Set(tt.at); d.Exceeded() != tt.exceeded {
			t.Errorf("%v: exceeded is %t", tt.at, !tt.exceeded)
		}
	}
}
