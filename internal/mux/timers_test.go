package mux

import (
	"container/heap"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/pacer"
)

func TestTimersComeInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h timerHeap
	var want []engine.Time
	var all []*Endpoint
	for range 500 {
		ep := &Endpoint{timerAt: engine.Time(rng.IntN(1000))}
		all = append(all, ep)
		heap.Push(&h, ep)
	}
	for _, ep := range all[:200] { // some go, some are wanted earlier
		if rng.IntN(2) == 0 {
			heap.Remove(&h, ep.timerIndex)
			if ep.timerIndex != -1 {
				t.Errorf("one taken out has the index %d", ep.timerIndex)
			}
			continue
		}
		ep.timerAt /= 2
		heap.Fix(&h, ep.timerIndex)
	}
	for i, ep := range h {
		if ep.timerIndex != i {
			t.Fatalf("the index is %d, want %d", ep.timerIndex, i)
		}
		want = append(want, ep.timerAt)
	}
	slices.Sort(want)
	var got []engine.Time
	for len(h) > 0 {
		got = append(got, heap.Pop(&h).(*Endpoint).timerAt)
	}
	if !slices.Equal(got, want) {
		t.Errorf("they come at %v, want %v", got, want)
	}
}

// countTicks returns where the calls of a Mux's tick are counted.
func countTicks(m *Mux) *atomic.Int64 {
	ticks := new(atomic.Int64)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pacer = pacer.New(func() {
		ticks.Add(1)
		m.tick()
	})
	return ticks
}

func wantTicks(t *testing.T, ticks *atomic.Int64, least, most int64) {
	t.Helper()
	synctest.Wait()
	if n := ticks.Swap(0); n < least || n > most {
		t.Errorf("%d ticks, want %d to %d", n, least, most)
	}
}

func TestNothingTicksWhileNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		ticks := countTicks(m)
		for i := range uint32(100) {
			attach(t, m, pair(0x100+i, 0x500+i))
		}
		time.Sleep(time.Hour)
		wantTicks(t, ticks, 0, 0)
		bus.put(t, "500#0101")
		time.Sleep(time.Hour)
		wantTicks(t, ticks, 0, 0)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		for range 10 {
			if err := send(ep, []byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		wantTicks(t, ticks, 0, 1)
	})
}

// Each Consecutive Frame moves N_Cr on; the timer is set about once in N_Cr.
func TestTimeoutsThatMoveOnCostNoTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		ticks := countTicks(m)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		bus.put(t, "7E8#17D6010203040506") // 6 and 286 times 7 bytes
		for i := range 280 {
			time.Sleep(100 * time.Millisecond)
			f := parse(t, "7E8#2001020304050607")
			f.Data[0] |= byte(i+1) & 0xF
			bus.in <- input{frames: frames(f)}
			synctest.Wait()
		}
		wantTicks(t, ticks, 20, 62) // in 28 s, for N_As of the flow control too
		if n := ep.Stats().ReceivesAborted; n != 0 {
			t.Fatalf("%d receptions aborted", n)
		}
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if n := ep.Stats().ReceivesAborted; n != 0 {
			t.Error("N_Cr ended too soon")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := ep.Stats().Errors[engine.TimeoutCr]; n != 1 {
			t.Errorf("%d N_Cr time-outs, want 1", n)
		}
		ticks.Store(0)
		time.Sleep(time.Hour)
		wantTicks(t, ticks, 0, 1)
	})
}

func TestSeparationTimeTicksOncePerFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		ticks := countTicks(m)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		result := startSend(ep, message(6+7*100))
		begun := time.Now()
		bus.put(t, "7E8#300005")
		wantResult(t, result, nil)
		if d := time.Since(begun); d != 99*5*time.Millisecond {
			t.Errorf("it took %v, want 99 times 5 ms", d)
		}
		wantTicks(t, ticks, 99, 102)
	})
}

func TestStuckBusTicksSeldom(t *testing.T) {
	for name, newBus := range stuckBuses {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, fake := newBus()
				m := own(t, bus)
				ticks := countTicks(m)
				a, b := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
				results := []<-chan error{startSend(a, []byte{1}), startSend(b, []byte{1})}
				fake.put(t, "7E8#1014010203040506", "7E9#0101")
				wantResult(t, results[0], timeoutA)
				wantResult(t, results[1], timeoutA)
				wantTicks(t, ticks, 1, 10)
				time.Sleep(time.Minute)
				wantTicks(t, ticks, 0, 2*60)
				a.Close()
				b.Close()
				time.Sleep(time.Minute)
				wantTicks(t, ticks, 0, 1)
			})
		})
	}
}

func TestClosedEndpointIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		ticks := countTicks(m)
		var eps []*Endpoint
		for i := range uint32(10) {
			s := pair(0x100+i, 0x500+i)
			s.Config.NCr = time.Duration(10-i) * time.Second
			eps = append(eps, attach(t, m, s))
			bus.in <- input{frames: frames(parse(t, "500#1014010203040506"))}
			f := parse(t, "500#1014010203040506")
			f.ID += i
			bus.in <- input{frames: frames(f)}
			synctest.Wait()
		}
		for _, ep := range eps {
			if ep.timerIndex < 0 {
				t.Error("no timer for N_Cr")
			}
			ep.Close()
		}
		if len(m.timers.heap) > 0 {
			t.Errorf("%d timers left", len(m.timers.heap))
		}
		time.Sleep(time.Hour)
		wantTicks(t, ticks, 0, 1)
	})
}

func TestTimeoutsOfManyEndpointsAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		begun := time.Now()
		for i := range 50 {
			i = i * 37 % 50 // not in their order
			s := pair(0x100+uint32(i), 0x500+uint32(i))
			s.Config.NBs = time.Duration(i+1) * 100 * time.Millisecond
			s.Spin = i%2 == 0
			ep := attach(t, m, s)
			go func() {
				if err := send(ep, message(20)); err != ResultError(engine.TimeoutBs) {
					t.Errorf("Send: %v", err)
				}
				if d := time.Since(begun); d != s.Config.NBs {
					t.Errorf("it took %v, want %v", d, s.Config.NBs)
				}
			}()
		}
		time.Sleep(10 * time.Second)
	})
}

// A timer that comes while an endpoint stands in line is not set anew before its turn, or
// before what it stands there for is given up.
func TestTimeoutAfterAMessageWasGivenUpInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		s := pair(0x7E0, 0x7E8)
		s.Config.NCr = 100 * time.Millisecond
		ep, other := attach(t, m, s), attach(t, m, pair(0x7E1, 0x7E9))
		bus.put(t, "7E8#1014010203040506")
		bus.setWrite(bus.never)
		startSend(other, []byte{1})
		time.Sleep(50 * time.Millisecond)
		bus.put(t, "7E8#210708090A0B0C0D") // N_Cr begins anew
		ep.SetWriteDeadline(time.Now().Add(70 * time.Millisecond))
		wantResult(t, startSend(ep, []byte{1}), os.ErrDeadlineExceeded)
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		if got := ep.Stats().ReceivesAborted; got != 1 {
			t.Errorf("%d receptions aborted, want 1", got)
		}
	})
}
