package mux

import (
	"errors"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// recorded is when the log of these tests begins.
var recorded = time.Date(1999, 1, 2, 3, 4, 5, 0, time.UTC)

func newStampedLog() describedBus {
	return describedBus{newFakeBus(), canbus.Properties{OwnTime: true}}
}

// at has the bus read a frame with the stamp of so long after the log's begin.
func (b *fakeBus) at(t testing.TB, after time.Duration, frame string) {
	t.Helper()
	f := parse(t, frame)
	f.Stamp(recorded.Add(after).UnixNano())
	b.in <- input{frames: frames(f)}
	synctest.Wait()
}

const (
	first  = "7E8#1014000102030405"
	second = "7E8#21060708090A0B0C"
	third  = "7E8#220D0E0F10111213"
)

var firstToThird = []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}

// reporting is the Spec of an endpoint that only listens and is told of what is given up.
func reporting() *Spec {
	s := pair(0x7E0, 0x7E8)
	s.Config.ListenOnly, s.Config.ReportAborted = true, true
	return s
}

func TestReceptionsGoByTheStampsOfALog(t *testing.T) {
	for name, tt := range map[string]struct {
		second, third time.Duration // stamps
		wait          time.Duration // by the clock
		want          error
	}{
		"slowly, and in time":      {900 * time.Millisecond, 1800 * time.Millisecond, time.Hour, nil},
		"at once, and too late":    {900 * time.Millisecond, 1950 * time.Millisecond, 0, ResultError(engine.TimeoutCr)},
		"at the very moment":       {0, time.Second, 0, ResultError(engine.TimeoutCr)},
		"just before it":           {0, time.Second - 1, 0, nil},
		"a little back":            {500 * time.Millisecond, 0, 0, nil},
		"back by a second":         {time.Second - 1, -1, time.Minute, nil},
		"back by more than second": {500 * time.Millisecond, -501 * time.Millisecond, 0, ResultError(engine.TimeWentBack)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newStampedLog()
				ep := attach(t, own(t, bus), reporting())
				result := startReceive(ep, firstToThird)
				bus.at(t, 0, first)
				time.Sleep(tt.wait)
				bus.at(t, tt.second, second)
				time.Sleep(tt.wait)
				bus.at(t, tt.third, third)
				wantResult(t, result, tt.want)
			})
		})
	}
}

// 0 is a time, and not one that is unknown: else no time would have passed.
func TestLogThatBeginsAtZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newStampedLog()
		ep := attach(t, own(t, bus), reporting())
		result := startReceive(ep, nil)
		for _, x := range []struct {
			at    time.Duration
			frame string
		}{{0, first}, {0, second}, {time.Second, third}} {
			f := parse(t, x.frame)
			f.Stamp(int64(x.at))
			bus.in <- input{frames: frames(f)}
			synctest.Wait()
		}
		wantResult(t, result, ResultError(engine.TimeoutCr))
	})
}

func TestFrameWithoutATimeComesWithTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newStampedLog()
		ep := attach(t, own(t, bus), reporting())
		result := startReceive(ep, firstToThird)
		bus.at(t, 0, first)
		for _, s := range []string{second, third} {
			f := parse(t, s)
			f.Timestamp = recorded.Add(time.Hour).UnixNano() // means nothing without the flag
			bus.in <- input{frames: frames(f)}
			synctest.Wait()
		}
		wantResult(t, result, nil)
	})
}

func TestOtherFramesShowThatAMessageIsTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newStampedLog()
		m := own(t, bus)
		ep := attach(t, m, reporting())
		result := startReceive(ep, nil)
		bus.at(t, 0, first)
		bus.at(t, 0, second)
		bus.at(t, 999*time.Millisecond, foreign)
		wantWaiting(t, result)
		bus.at(t, time.Second, foreign)
		wantResult(t, result, ResultError(engine.TimeoutCr))
	})
}

// Where the other direction is heard the sender's N_Bs counts, too.
func TestListeningToALogWaitsForTheFlowControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newStampedLog()
		ep := attach(t, own(t, bus), reporting())
		result := startReceive(ep, firstToThird)
		bus.at(t, 0, first)
		bus.at(t, 900*time.Millisecond, "7E0#310000") // WAIT
		bus.at(t, 1800*time.Millisecond, "7E0#300000")
		time.Sleep(time.Hour)
		bus.at(t, 2700*time.Millisecond, second)
		bus.at(t, 2700*time.Millisecond, third)
		wantResult(t, result, nil)
		result = startReceive(ep, nil)
		bus.at(t, 3*time.Second, first)
		bus.at(t, 4*time.Second, foreign)
		wantResult(t, result, ResultError(engine.TimeoutBs))
	})
}

func TestMessagesAndObserversHaveTheTimeOfTheFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newStampedLog()
		m := own(t, bus)
		var seen []time.Time
		ep := attachObserved(t, m, reporting(), &timesObserver{m, &seen})
		bus.at(t, 0, first)
		bus.at(t, 10*time.Millisecond, second)
		time.Sleep(time.Hour)
		bus.at(t, 20*time.Millisecond, third)
		_, info, err := ep.Receive(make([]byte, 100), engine.ReadMessages)
		if err != nil {
			t.Fatal(err)
		}
		if f, l := m.Time(info.FrameFirst), m.Time(info.FrameLast); !f.Equal(recorded) || !l.Equal(recorded.Add(20*time.Millisecond)) {
			t.Errorf("first and last frame at %v and %v", f, l)
		}
		if d := info.Last.Sub(info.First); d < time.Hour {
			t.Errorf("they have come within %v", d)
		}
		for _, at := range seen {
			if after := at.Sub(recorded); after < 0 || after > 20*time.Millisecond {
				t.Errorf("something was observed at %v", at)
			}
		}
		if len(seen) != 6 { // 3 frames, begin, progress, end
			t.Errorf("%d observations", len(seen))
		}
	})
}

type timesObserver struct {
	m    *Mux
	seen *[]time.Time
}

func (o *timesObserver) Frame(at engine.Time, _ *canbus.Frame, _ FrameEvent) {
	*o.seen = append(*o.seen, o.m.Time(at))
}

func (o *timesObserver) Step(s engine.Observation) { *o.seen = append(*o.seen, o.m.Time(s.At)) }

func TestEndOfALogGivesUpWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newStampedLog()
		m, release := openGiven(bus)
		defer release()
		var codes []engine.Code
		ep := attachObserved(t, m, reporting(), &observer{step: func(o engine.Observation) {
			if o.Kind == engine.ReceptionAborted {
				codes = append(codes, o.Code)
			}
		}})
		result := startReceive(ep, nil)
		bus.at(t, 0, first)
		bus.in <- input{err: io.EOF}
		wantResult(t, result, ResultError(engine.BusEnded))
		wantResult(t, startReceive(ep, nil), io.ErrUnexpectedEOF)
		if s := ep.Stats(); s.ReceivesAborted != 1 || s.Errors[engine.BusEnded] != 1 || len(codes) != 1 || codes[0] != engine.BusEnded {
			t.Errorf("aborted %d, of them at the end %d; observed %v", s.ReceivesAborted, s.Errors[engine.BusEnded], codes)
		}
	})
}

// openGiven is On for a bus that the test closes by its end.
func openGiven(bus canbus.Bus) (*Mux, func()) {
	m, err := On(bus)
	if err != nil {
		panic(err)
	}
	return m, func() { bus.Close(); time.Sleep(2 * pause) }
}

func TestDeadlineAtFirstFrameGoesByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newStampedLog()
		s := reporting()
		s.Config.DeadlineAtFirstFrame = true
		ep := attach(t, own(t, bus), s)
		ep.SetReadDeadline(time.Now().Add(time.Second))
		result := startReceive(ep, firstToThird)
		bus.at(t, 0, first) // in time, though its stamp is of another year
		time.Sleep(time.Minute)
		wantWaiting(t, result)
		bus.at(t, 0, second)
		bus.at(t, 0, third)
		wantResult(t, result, nil)
	})
}

func TestStampsOfAnySizeDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newStampedLog()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		for _, stamp := range []int64{math.MaxInt64, math.MinInt64, 0, 1, -1, math.MaxInt64, 0} {
			for _, s := range []string{first, "7E8#0101"} {
				f := parse(t, s)
				f.Stamp(stamp)
				bus.in <- input{frames: frames(f)}
			}
			synctest.Wait()
			if p, err := receive(ep); err != nil || len(p) != 1 {
				t.Errorf("stamp %d: %x, %v", stamp, p, err)
			}
		}
	})
}

func TestDeadlinesAndSendingGoByTheClockOnALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newStampedLog()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		ep.SetReadDeadline(time.Now().Add(time.Second))
		start := time.Now()
		if _, err := receive(ep); err == nil || time.Since(start) != time.Second {
			t.Errorf("Receive: %v after %v", err, time.Since(start))
		}
		start = time.Now()
		if err := send(ep, message(20)); !errors.Is(err, timeoutBs) || time.Since(start) != time.Second {
			t.Errorf("Send: %v after %v", err, time.Since(start))
		}
	})
}
