package vendorlib

import (
	"testing"
	"time"
)

// start is when the adapters of the tests began to count.
var start = time.Unix(1_800_000_000, 0)

// at gives the clock a frame that was on the wire at a time and heard late, and returns how
// far off its time is.
func at(c *Clock, timestamp, late time.Duration) time.Duration {
	return time.Duration(c.At(int64(timestamp), start.Add(timestamp+late)) - start.Add(timestamp).UnixNano())
}

func TestTheFrameThatIsLeastLateTellsTheTime(t *testing.T) {
	var c Clock
	for i, x := range []struct{ late, want time.Duration }{
		{3 * time.Millisecond, 3 * time.Millisecond},
		{9 * time.Millisecond, 3 * time.Millisecond},
		{time.Millisecond, time.Millisecond},
		{40 * time.Millisecond, time.Millisecond},
	} {
		if got := at(&c, time.Duration(i)*time.Second, x.late); got != x.want {
			t.Errorf("frame %d is off by %v, want %v", i, got, x.want)
		}
	}
}

// An adapter's clock that is slow by 100 millionths would be off by 9 s after a day.
func TestAClockThatDriftsIsFollowed(t *testing.T) {
	var c Clock
	var worst time.Duration
	for real := time.Duration(0); real < 24*time.Hour; real += time.Second {
		timestamp := real - real/10_000
		heard := start.Add(real + time.Millisecond)
		off := time.Duration(c.At(int64(timestamp), heard) - start.Add(real).UnixNano())
		worst = max(worst, off.Abs())
	}
	if worst > 3*time.Millisecond {
		t.Errorf("times are off by up to %v", worst)
	}
}

func TestAPauseIsForgotten(t *testing.T) {
	var c Clock
	at(&c, 0, 0)
	const drift = 300 * time.Millisecond
	if got := at(&c, time.Hour, drift); got != drift {
		t.Errorf("the first frame after an hour is off by %v, want that the clock has drifted by %v", got, drift)
	}
}

// An adapter that begins to count anew, or a computer whose clock was set or that was asleep.
func TestAJumpIsFollowed(t *testing.T) {
	for _, c := range []struct{ jump, after time.Duration }{{time.Hour, 0}, {11 * time.Second, 0}, {9 * time.Second, 22 * time.Second}} {
		var clock Clock
		at(&clock, time.Hour, time.Millisecond)
		var off time.Duration
		for d := time.Duration(0); d <= c.after; d += 11 * time.Second {
			now := start.Add(time.Hour + d)
			off = time.Duration(clock.At(int64(time.Hour-c.jump+d), now) - now.UnixNano())
		}
		if off != 0 {
			t.Errorf("off by %v, %v after a jump of %v", off, c.after, c.jump)
		}
	}
}

// What is read late keeps its time.
func TestAFrameThatIsLateKeepsItsTime(t *testing.T) {
	var c Clock
	at(&c, time.Hour, time.Millisecond)
	if off := at(&c, time.Hour+time.Second, 9*time.Second); off != time.Millisecond {
		t.Errorf("off by %v", off)
	}
}
