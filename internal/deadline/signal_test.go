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

func TestTurnWakesOneWhoWaits(t *testing.T) {
	turn := Turn{Taken: true}
	turn.Free.Make()
	turn.Leave()
	if turn.Taken || !turn.Free.Wait(new(Deadline)) {
		t.Error("no caller was let in")
	}
}
