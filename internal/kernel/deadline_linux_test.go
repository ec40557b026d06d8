package kernel

import (
	"testing"
	"time"
)

func TestDeadlineWokenIsNotExceeded(t *testing.T) {
	var set time.Time
	d := pollDeadline{set: func(t time.Time) error { set = t; return nil }}
	at := time.Now().Add(time.Hour)
	d.Set(at)
	d.wake()
	if set != longAgo {
		t.Fatalf("set to %v, want one that wakes", set)
	}
	at = at.Add(time.Hour)
	if d.Set(at); set != longAgo {
		t.Error("a new deadline hides wake from the goroutine that waits")
	}
	if !d.restore() || !set.Equal(at) {
		t.Errorf("after wake: %v, want %v", set, at)
	}
	d.wake()
	d.Set(longAgo) // the user's, at the same time
	if d.restore() || !d.exceeded() {
		t.Error("a deadline that is exceeded was taken for wake")
	}
	d.Set(at)
	d.seal()
	if d.wake(); d.restore() {
		t.Error("woken after seal")
	}
	if err := d.Set(at); err == nil || set != longAgo {
		t.Errorf("Set after seal: %v, set to %v", err, set)
	}
}

func TestDeadlineSuspended(t *testing.T) {
	var set time.Time
	d := pollDeadline{set: func(t time.Time) error { set = t; return nil }}
	d.suspend()
	d.Set(longAgo)
	if !set.IsZero() || !d.restore() || !set.IsZero() {
		t.Errorf("the netpoller has %v while the deadline is suspended", set)
	}
	if !d.exceeded() {
		t.Error("not exceeded")
	}
	d.resume()
	if set != longAgo || d.restore() {
		t.Errorf("the netpoller has %v after resume", set)
	}
}
