package deadline

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSignalBeforeWaitIsNotLost(t *testing.T) {
	var s Signal
	s.Make()
	s.Set()
	s.Set() // one is as good as two
	if !s.Wait(new(Deadline)) {
		t.Error("the deadline that there is not has come")
	}
	var d Deadline
	d.Set(time.Now())
	if s.Wait(&d) {
		t.Error("the signal came twice")
	}
}

func TestSignalWithoutAnybodyWaitingIsForgotten(t *testing.T) {
	var s Signal
	s.Set()
	s.Make()
	var d Deadline
	d.Set(time.Now())
	if s.Wait(&d) {
		t.Error("a signal that no caller waited for was kept")
	}
}

func TestSignalGoesBeforeAPastDeadline(t *testing.T) {
	var s Signal
	var d Deadline
	s.Make()
	s.Set()
	d.Set(time.Now())
	if !s.Wait(&d) {
		t.Error("the deadline went first")
	}
}

func TestSignalWaitsForTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Signal
		var d Deadline
		s.Make()
		d.Set(time.Now().Add(time.Second))
		start := time.Now()
		if s.Wait(&d) || time.Since(start) != time.Second {
			t.Errorf("it took %v", time.Since(start))
		}
	})
}

// waits are the two ways to wait for a signal.
var waits = map[string]func(*Signal, *Deadline) bool{"Wait": (*Signal).Wait, "WaitAlone": (*Signal).WaitAlone}

// waiting calls f once a goroutine waits for the signal, and returns what it was told.
func waiting(wait func(*Signal, *Deadline) bool, s *Signal, d *Deadline, f func()) bool {
	s.Make()
	told := make(chan bool)
	go func() { told <- wait(s, d) }()
	synctest.Wait()
	f()
	return <-told
}

func TestSignalWakes(t *testing.T) {
	for name, wait := range waits {
		synctest.Test(t, func(t *testing.T) {
			var s Signal
			if !waiting(wait, &s, new(Deadline), s.Set) {
				t.Errorf("%s: the deadline that there is not has come", name)
			}
		})
	}
}

func TestDeadlineSetWhileASignalIsWaitedFor(t *testing.T) {
	for name, wait := range waits {
		for _, ahead := range []time.Duration{-time.Second, 0, time.Second} {
			synctest.Test(t, func(t *testing.T) {
				var s Signal
				var d Deadline
				d.Set(time.Now().Add(time.Hour))
				start := time.Now()
				if waiting(wait, &s, &d, func() { d.Set(time.Now().Add(ahead)) }) {
					t.Errorf("%s: a signal for nothing", name)
				}
				if took := time.Since(start); took != max(ahead, 0) {
					t.Errorf("%s: a deadline %v ahead came after %v", name, ahead, took)
				}
			})
		}
	}
}

func TestDeadlineTakenBackWhileASignalIsWaitedFor(t *testing.T) {
	for name, wait := range waits {
		synctest.Test(t, func(t *testing.T) {
			var s Signal
			var d Deadline
			d.Set(time.Now().Add(time.Second))
			if !waiting(wait, &s, &d, func() {
				d.Set(time.Time{})
				time.Sleep(time.Minute)
				s.Set()
			}) {
				t.Errorf("%s: the deadline came that was taken back", name)
			}
		})
	}
}

func TestSignalsShareADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		told := make(chan bool)
		for range 3 {
			s := new(Signal)
			s.Make()
			go func() { told <- s.WaitAlone(&d) }()
		}
		synctest.Wait()
		d.Set(time.Now())
		for range 3 {
			if <-told {
				t.Error("a signal for nothing")
			}
		}
	})
}

func TestDeadlineLeavesSignalsThatAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Signal
		var d Deadline
		if !waiting((*Signal).WaitAlone, &s, &d, s.Set) {
			t.Error("the deadline that there is not has come")
		}
		d.Set(time.Now())
		d.Set(time.Time{})
		start := time.Now()
		if !waiting((*Signal).WaitAlone, &s, &d, func() {
			time.Sleep(time.Minute)
			s.Set()
		}) || time.Since(start) != time.Minute {
			t.Error("it was woken for nothing")
		}
	})
}

// TestSignalAfterAPassedDeadlineIsNotLost: what the deadline left does not stand in the way
// of the signal.
func TestSignalAfterAPassedDeadlineIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Signal
		var d Deadline
		waiting((*Signal).WaitAlone, &s, &d, func() {
			s.Set()
			d.Set(time.Now()) // before the goroutine has noticed the signal
			d.Set(time.Time{})
		})
		s.Set()
		if !s.WaitAlone(&d) {
			t.Error("the deadline came that was taken back")
		}
	})
}

func TestTurnWakesOneWhoWaits(t *testing.T) {
	turn := Turn{Taken: true}
	turn.Free.Make()
	turn.Leave()
	if turn.Taken || !turn.Free.Wait(new(Deadline)) {
		t.Error("no caller was let in")
	}
}
