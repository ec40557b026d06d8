package mux

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/internal/engine"
)

// stopped has the process of m stand still for so long: nothing is called at its time.
func stopped(m *Mux, d time.Duration) {
	m.pacer.Close()
	time.Sleep(d)
	synctest.Wait()
}

func TestFlowControlThatWaitedWhileTheProcessStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		result := startSend(ep, message(13))
		stopped(m, time.Second+late+1)
		m.tick()
		wantWaiting(t, result)
		bus.put(t, "7E8#300000")
		wantResult(t, result, nil)
	})
}

func TestConsecutiveFrameThatWaitedWhileTheProcessStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		result := startReceive(ep, []byte{1, 2, 3, 4, 5, 6, 7, 8})
		bus.put(t, "7E8#1008010203040506")
		stopped(m, 3*time.Second)
		m.tick()
		bus.put(t, "7E8#210708")
		wantResult(t, result, nil)
	})
}

func TestTimeoutComesAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := own(t, newFakeBus())
		result := startSend(attach(t, m, pair(0x7E0, 0x7E8)), message(13))
		stopped(m, 2*time.Second)
		m.tick()
		time.Sleep(grace)
		wantWaiting(t, result)
		m.tick()
		wantResult(t, result, ResultError(engine.TimeoutBs))
	})
}

func TestTickThatIsHardlyLateHasNoGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := own(t, newFakeBus())
		result := startSend(attach(t, m, pair(0x7E0, 0x7E8)), message(13))
		stopped(m, time.Second+late)
		m.tick()
		wantResult(t, result, ResultError(engine.TimeoutBs))
	})
}

// What is to be sent need not wait for the grace.
func TestFrameIsSentThoughTheProcessStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		result := startSend(attach(t, m, pair(0x7E0, 0x7E8)), message(20))
		bus.put(t, "7E8#300064") // STmin 100 ms
		if n := len(bus.written()); n != 2 {
			t.Fatalf("%d frames", n)
		}
		stopped(m, 300*time.Millisecond)
		m.tick()
		wantResult(t, result, nil)
	})
}
