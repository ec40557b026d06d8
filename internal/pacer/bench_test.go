package pacer

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkLateness tells how late a wait of that length ends, in microseconds:
// in an idle process, and in one whose processors always find a goroutine to
// run. The fixed number of waits that -benchtime=1000x gives makes figures that
// can be compared.
func BenchmarkLateness(b *testing.B) {
	for _, load := range []struct {
		name  string
		start func() (stop func())
	}{
		{"idle", func() func() { return func() {} }},
		{"busy", busy},
	} {
		for _, wait := range []time.Duration{100, 500, 1000, 5000, 20000} {
			wait *= time.Microsecond
			for _, by := range []struct {
				name     string
				newAlarm func(ready func() bool) alarm
				set      func(*Pacer, time.Time)
			}{
				{"set", newAlarm, (*Pacer).Set},
				{"spin", newAlarm, (*Pacer).SetSpin},
				{"timer", alarms["timer"], (*Pacer).Set},
			} {
				b.Run(fmt.Sprintf("%s/%v/%s", load.name, wait, by.name), func(b *testing.B) {
					defer load.start()()
					var at time.Time
					fired := make(chan time.Duration)
					p := New(func() { fired <- time.Since(at) })
					p.start(by.newAlarm(p.ready))
					defer p.Close()
					var late []time.Duration
					for b.Loop() {
						at = time.Now().Add(wait)
						by.set(p, at)
						late = append(late, <-fired)
					}
					report(b, late)
				})
			}
		}
	}
}

// busy has twice as many goroutines run as there are processors, each for a few
// microseconds at a time.
func busy() (stop func()) {
	var stopped atomic.Bool
	var wg sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !stopped.Load() {
				for start := time.Now(); time.Since(start) < 10*time.Microsecond; {
				}
				runtime.Gosched()
			}
		})
	}
	return func() {
		stopped.Store(true)
		wg.Wait()
	}
}

func report(b *testing.B, late []time.Duration) {
	slices.Sort(late)
	last := len(late) - 1
	for _, at := range []struct {
		i    int
		unit string
	}{{last / 2, "p50-us"}, {last * 99 / 100, "p99-us"}, {last, "max-us"}} {
		b.ReportMetric(float64(late[at.i])/1e3, at.unit)
	}
	b.ReportMetric(0, "ns/op") // the wait itself says nothing
}

// BenchmarkSet tells what Set costs its caller: if it moves the moment on, and
// if it has to set the alarm.
func BenchmarkSet(b *testing.B) {
	for _, step := range []time.Duration{time.Nanosecond, -time.Nanosecond} {
		name := "later"
		if step < 0 {
			name = "sooner"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			p := New(func() {})
			defer p.Close()
			at := time.Now().Add(12 * time.Hour)
			for b.Loop() {
				at = at.Add(step)
				p.Set(at)
			}
		})
	}
}
