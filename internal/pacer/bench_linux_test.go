package pacer

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkNanosleep tells how late a thread is that does nothing but sleep, as a
// program in C would: compare BenchmarkLateness with it, and not with figures from
// another machine.
func BenchmarkNanosleep(b *testing.B) {
	const slack = 1 // ns, instead of 50 us
	for _, wait := range []time.Duration{100, 500, 1000, 5000, 20000} {
		wait *= time.Microsecond
		b.Run(fmt.Sprintf("%v", wait), func(b *testing.B) {
			runtime.LockOSThread() // for ever: the thread ends with the goroutine
			if err := unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0); err != nil {
				b.Fatal(err)
			}
			var late []time.Duration
			for b.Loop() {
				at := time.Now().Add(wait)
				spec := unix.NsecToTimespec(int64(wait))
				if err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &spec, nil); err != nil && err != unix.EINTR {
					b.Fatal(err)
				}
				late = append(late, time.Since(at))
			}
			report(b, late)
		})
	}
}
