package mux

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/internal/engine"
)

// A dropBus has dropped frames.
type dropBus struct {
	*fakeBus
	dropped atomic.Uint64
}

func newDropBus() *dropBus { return &dropBus{fakeBus: newFakeBus()} }

func (b *dropBus) Dropped() uint64 { return b.dropped.Load() }

// drop has n frames dropped before these are read.
func (b *dropBus) drop(t testing.TB, n uint64, frames ...string) {
	t.Helper()
	b.dropped.Add(n)
	b.put(t, frames...)
}

// foreign is a frame that is for no endpoint.
const foreign = "123#00"

// wantDropped waits for a result, which must be that so many frames were dropped.
func wantDropped(t testing.TB, result <-chan error, frames uint32) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		if dropped, ok := err.(*DroppedError); !ok || dropped.Frames != frames {
			t.Errorf("the result is %v, want that %d frames were dropped", err, frames)
		}
	default:
		t.Error("the call has not ended")
	}
}

func TestEveryReaderIsToldOnceOfDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newDropBus()
		m := own(t, bus)
		a, b := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
		bus.drop(t, 3, "7E8#0101")
		bus.drop(t, 4, "7E8#0102")
		wantDropped(t, startReceive(a, nil), 7)
		wantResult(t, startReceive(a, []byte{1}), nil)
		wantResult(t, startReceive(a, []byte{2}), nil)
		wantDropped(t, start(func() error { _, err := b.Await(); return err }), 7)
		wantWaiting(t, startReceive(b, nil))
		if n := b.Dropped(); n != 7 {
			t.Errorf("%d dropped, want 7", n)
		}
		late := attach(t, m, pair(0x7E2, 0x7EA))
		wantWaiting(t, startReceive(late, nil))
		if n := late.Dropped(); n != 0 {
			t.Errorf("%d dropped before it was there", n)
		}
	})
}

func TestReadersThatWaitAreWokenForDropsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newDropBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		result := startReceive(ep, nil)
		bus.drop(t, 1, foreign)
		wantDropped(t, result, 1)
		result = startReceive(ep, nil)
		bus.drop(t, 2, foreign)
		time.Sleep(wakeEvery - time.Nanosecond)
		bus.drop(t, 3, foreign)
		wantWaiting(t, result)
		time.Sleep(time.Nanosecond)
		wantDropped(t, result, 5)
		result = startReceive(ep, nil)
		time.Sleep(5 * time.Second)
		wantWaiting(t, result)
		bus.drop(t, 1, foreign)
		wantDropped(t, result, 1)
	})
}

func TestDropsAreNotToldInMidMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newDropBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		bus.put(t, "7E8#03010203")
		p := make([]byte, 2)
		ep.Receive(p, engine.ReadMessages)
		bus.drop(t, 1, foreign)
		if n, info, err := ep.Receive(p, engine.ReadMessages); n != 1 || !info.End || err != nil {
			t.Errorf("the rest: %d, %v, %v", n, info.End, err)
		}
		wantDropped(t, startReceive(ep, nil), 1)
	})
}

func TestPeersAreToldOfDropsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newDropBus()
		m := own(t, bus)
		p, err := m.Peers([]*Spec{pair(0x7E0, 0x7E8), pair(0x7E1, 0x7E9)}, 2, func(*Endpoint) {})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		receive := func() error { _, err := p.Receive(make([]byte, 10), false); return err }
		bus.put(t, "7E8#0101", "7E9#0102")
		for range 2 {
			if err := receive(); err != nil {
				t.Error(err)
			}
		}
		result := start(receive)
		bus.drop(t, 6, foreign)
		wantDropped(t, result, 6)
		wantWaiting(t, start(receive))
		if n := p.Stats().Dropped; n != 6 {
			t.Errorf("%d dropped, want 6", n)
		}
	})
}

func TestHandlersAreNotToldOfDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newDropBus()
		h := handle(t, attach(t, own(t, bus), pair(0x7E0, 0x7E8)))
		bus.drop(t, 6, foreign)
		h.want(t)
	})
}

func TestReceptionsThatEndAfterADropSaySo(t *testing.T) {
	for name, tt := range map[string]struct {
		frames []string // after the First Frame
		code   engine.Code
	}{
		"N_Cr":                {[]string{foreign}, engine.TimeoutCr},
		"a gap":               {[]string{"7E8#2300000000000000"}, engine.WrongSN},
		"a gap in one batch":  {nil, engine.WrongSN},
		"another First Frame": {[]string{"7E8#1014000102030405"}, engine.InterruptedByFirstFrame},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newDropBus()
				s := pair(0x7E0, 0x7E8)
				s.Config.ReportAborted = true
				var seen []engine.Observation
				m := own(t, bus)
				ep := attachObserved(t, m, s, &observer{step: func(o engine.Observation) {
					if o.Kind == engine.ReceptionAborted {
						seen = append(seen, o)
					}
				}})
				bus.drop(t, 1, foreign) // before the message: nothing to it
				wantDropped(t, startReceive(ep, nil), 1)
				result := startReceive(ep, nil)
				if tt.frames == nil {
					bus.drop(t, 5, "7E8#1014000102030405", "7E8#2300000000000000")
				} else {
					bus.put(t, "7E8#1014000102030405")
					bus.drop(t, 5, tt.frames...)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if len(seen) == 0 || seen[0].Code != tt.code || seen[0].Dropped != 5 {
					t.Errorf("observed: %+v", seen)
				}
				<-result
			})
		})
	}
}

func TestReportedAbortSaysHowMuchWasDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newDropBus()
		s := pair(0x7E0, 0x7E8)
		s.Config.ReportAborted = true
		ep := attach(t, own(t, bus), s)
		result := startReceive(ep, nil)
		bus.put(t, "7E8#1014000102030405")
		bus.drop(t, 5, foreign)
		wantDropped(t, result, 5)
		err := <-startReceive(ep, nil)
		if want := (DroppedResult{ResultError(engine.TimeoutCr), 5}); !isDroppedResult(err, want) {
			t.Errorf("then %#v, want %#v", err, want)
		}
	})
}

// A read that has been told of drops waits no more, so it is not told of what is aborted
// later.
func TestAReadToldOfDropsIsNotToldOfAborts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newDropBus()
		s := pair(0x7E0, 0x7E8)
		s.Config.ReportAborted = true
		ep := attach(t, own(t, bus), s)
		result := startReceive(ep, nil)
		bus.drop(t, 3, foreign)
		wantDropped(t, result, 3)
		bus.put(t, "7E8#1014010203040506")
		bus.put(t, "7E8#2501020304050607")
		synctest.Wait()
		wantWaiting(t, startReceive(ep, nil))
		if n := ep.Stats().Errors[engine.WrongSN]; n != 1 {
			t.Errorf("%d receptions aborted, want 1", n)
		}
	})
}

func TestSendThatEndsAfterADropSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newDropBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		bus.drop(t, 1, foreign)
		result := startSend(ep, message(20))
		bus.drop(t, 2, foreign)
		if err, want := <-result, (DroppedResult{ResultError(engine.TimeoutBs), 2}); !isDroppedResult(err, want) {
			t.Errorf("Send: %#v, want %#v", err, want)
		}
		wantResult(t, startSend(ep, message(20)), timeoutBs)
	})
}

func isDroppedResult(err error, want DroppedResult) bool {
	got, ok := errors.AsType[*DroppedResult](err)
	return ok && *got == want
}

var timeoutBs = ResultError(engine.TimeoutBs)
