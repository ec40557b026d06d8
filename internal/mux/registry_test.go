package mux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	_ "example.com/isotp/canbus/virtual"
	"example.com/isotp/internal/engine"
)

// A driver is what canbus.Open finds under the scheme "muxtest".
var driver struct {
	sync.Mutex
	open func(ctx context.Context, address string) (canbus.Bus, error)
}

func init() {
	canbus.Register("muxtest", func(ctx context.Context, address string) (canbus.Bus, error) {
		driver.Lock()
		open := driver.open
		driver.Unlock()
		return open(ctx, address)
	})
}

func setDriver(open func(ctx context.Context, address string) (canbus.Bus, error)) {
	driver.Lock()
	defer driver.Unlock()
	driver.open = open
}

// newBuses has the driver make a new fakeBus each time, and returns them.
func newBuses(t *testing.T) *[]*fakeBus {
	t.Helper()
	buses := new([]*fakeBus)
	setDriver(func(context.Context, string) (canbus.Bus, error) {
		*buses = append(*buses, newFakeBus())
		return (*buses)[len(*buses)-1], nil
	})
	t.Cleanup(func() {
		registry.Lock()
		defer registry.Unlock()
		if len(registry.named)+len(registry.given) > 0 {
			t.Errorf("left in the registry: %v, %v", registry.named, registry.given)
		}
	})
	return buses
}

func open(t *testing.T, name string) (*Mux, func() error) {
	t.Helper()
	m, release, err := Open(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return m, release
}

func (b *fakeBus) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

func TestOneNameIsOneBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newBuses(t)
		a, releaseA := open(t, "muxtest:x")
		b, releaseB := open(t, "muxtest:x")
		other, releaseOther := open(t, "muxtest:y")
		if a != b || a == other || len(*buses) != 2 {
			t.Errorf("%p, %p and %p on %d buses", a, b, other, len(*buses))
		}
		releaseOther()
		releaseA()
		releaseA() // does nothing
		if (*buses)[0].isClosed() {
			t.Fatal("closed with a user left")
		}
		releaseB()
		if !(*buses)[0].isClosed() || !(*buses)[1].isClosed() {
			t.Error("not closed with the last user")
		}
		again, release := open(t, "muxtest:x")
		if again == a || len(*buses) != 3 {
			t.Error("a closed bus was found again")
		}
		synctest.Wait() // the readers have ended by now
		if m, release := open(t, "muxtest:x"); m != again {
			t.Error("the new one was not found")
		} else {
			release()
		}
		release()
	})
}

func TestFailedOpenIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newBuses(t)
		driver.Lock()
		good := driver.open
		driver.Unlock()
		setDriver(func(context.Context, string) (canbus.Bus, error) { return nil, errBroken })
		for range 2 {
			if m, release, err := Open(context.Background(), "muxtest:x"); err != errBroken || m != nil || release != nil {
				t.Errorf("Open: %v", err)
			}
		}
		if _, _, err := Open(context.Background(), "no such scheme:x"); !errors.As(err, new(*canbus.UnknownBusError)) {
			t.Errorf("Open: %v", err)
		}
		setDriver(good)
		_, release := open(t, "muxtest:x")
		release()
		if len(*buses) != 1 {
			t.Errorf("%d buses, want 1", len(*buses))
		}
	})
}

func TestDeadBusIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newBuses(t)
		dead, releaseDead := open(t, "muxtest:x")
		(*buses)[0].in <- input{err: errBroken}
		synctest.Wait()
		m, release := open(t, "muxtest:x")
		if m == dead {
			t.Fatal("the dead one was found")
		}
		releaseDead() // must not take the new one along
		if again, release := open(t, "muxtest:x"); again != m {
			t.Error("the new one was not found")
		} else {
			release()
		}
		if (*buses)[1].isClosed() {
			t.Error("the new one was closed")
		}
		release()
		if !(*buses)[0].isClosed() || !(*buses)[1].isClosed() {
			t.Error("not closed with the last user")
		}
	})
}

// A caller that has seen the error can dial at once.
func TestWhoIsToldThatTheBusIsDeadGetsANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newBuses(t)
		dead, releaseDead := open(t, "muxtest:x")
		var again *Mux
		ep := attachObserved(t, dead, pair(0x7E0, 0x7E8), &observer{step: func(o engine.Observation) {
			if o.Kind == engine.SendAborted {
				m, release := open(t, "muxtest:x")
				again = m
				defer release()
				if _, err := m.Attach(pair(0x7E0, 0x7E8), func(*Endpoint) {}); err != nil {
					t.Error("Attach:", err)
				}
			}
		}})
		result := startSend(ep, message(20))
		(*buses)[0].in <- input{err: errBroken}
		wantResult(t, result, errBroken)
		synctest.Wait()
		if again == nil || again == dead {
			t.Error("the dead bus was found")
		}
		releaseDead()
	})
}

func TestSlowOpenDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newBuses(t)
		driver.Lock()
		good := driver.open
		driver.Unlock()
		gate := make(chan struct{})
		setDriver(func(ctx context.Context, address string) (canbus.Bus, error) {
			if address == "slow" {
				<-gate
			}
			return good(ctx, address)
		})
		slow := start(func() error {
			_, release, err := Open(context.Background(), "muxtest:slow")
			if err == nil {
				release()
			}
			return err
		})
		_, release := open(t, "muxtest:quick")
		release()
		wantWaiting(t, slow)
		close(gate)
		wantResult(t, slow, nil)
	})
}

// gateDriver has openings wait for the gate, or for the end of their context, and counts
// them.
func gateDriver() (gate chan struct{}, openings *atomic.Int32) {
	driver.Lock()
	good := driver.open
	driver.Unlock()
	gate, openings = make(chan struct{}), new(atomic.Int32)
	setDriver(func(ctx context.Context, address string) (canbus.Bus, error) {
		openings.Add(1)
		select {
		case <-gate:
			return good(ctx, address)
		case <-ctx.Done():
			return nil, fmt.Errorf("open %s: %w", address, ctx.Err())
		}
	})
	return gate, openings
}

// openAndRelease is Open and the release of what it returns.
func openAndRelease(ctx context.Context, name string) error {
	_, release, err := Open(ctx, name)
	if err == nil {
		release()
	}
	return err
}

// The first user, whose call began it, is one of those that give up.
func TestOneOpeningServesAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newBuses(t)
		gate, openings := gateDriver()
		patient := make(chan (<-chan error), 1)
		for i := range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if i == 0 {
				time.AfterFunc(time.Millisecond, func() {
					patient <- start(func() error { return openAndRelease(t.Context(), "muxtest:x") })
				})
			}
			began := time.Now()
			if err := openAndRelease(ctx, "muxtest:x"); err != context.DeadlineExceeded || time.Since(began) != time.Second {
				t.Errorf("Open: %v, after %v", err, time.Since(began))
			}
		}
		result := <-patient
		wantWaiting(t, result)
		close(gate)
		wantResult(t, result, nil)
		if openings.Load() != 1 || len(*buses) != 1 || !(*buses)[0].isClosed() {
			t.Errorf("%d openings of %d buses, or one that is still open", openings.Load(), len(*buses))
		}
	})
}

func TestOpeningEndsWithTheLastThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newBuses(t)
		gate, openings := gateDriver()
		ctx, cancel := context.WithCancel(t.Context())
		result := start(func() error { return openAndRelease(ctx, "muxtest:x") })
		wantWaiting(t, result)
		cancel()
		wantResult(t, result, context.Canceled)
		// The next one begins anew.
		next := start(func() error { return openAndRelease(t.Context(), "muxtest:x") })
		wantWaiting(t, next)
		if n := openings.Load(); n != 2 {
			t.Errorf("%d openings, want 2", n)
		}
		close(gate)
		wantResult(t, next, nil)
	})
}

// On a thread of another network namespace the opening has the context of the user whose
// thread that is.
func TestOpeningThatOneUserHasCanceledIsBegunAnewForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newBuses(t)
		gate, openings := gateDriver()
		ctx, cancel := context.WithCancel(t.Context())
		b, first, err := join(ctx, "muxtest:x")
		if !first || err != nil {
			t.Fatal(first, err)
		}
		canceled := start(func() error { b.open(ctx, "muxtest:x"); return b.await(ctx) })
		other := start(func() error { return openAndRelease(t.Context(), "muxtest:x") })
		wantWaiting(t, other)
		cancel()
		wantResult(t, canceled, context.Canceled)
		b.release()
		wantWaiting(t, other)
		close(gate)
		wantResult(t, other, nil)
		if n := openings.Load(); n != 2 {
			t.Errorf("%d openings, want 2", n)
		}
	})
}

// A driver that does not heed its context is waited for before the bus is opened anew.
func TestBusIsNotOpenedTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newBuses(t)
		driver.Lock()
		good := driver.open
		driver.Unlock()
		gate := make(chan struct{})
		setDriver(func(ctx context.Context, address string) (canbus.Bus, error) {
			<-gate
			return good(ctx, address)
		})
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := openAndRelease(ctx, "muxtest:x"); err != context.DeadlineExceeded {
				t.Errorf("Open: %v", err)
			}
		}
		late := start(func() error { return openAndRelease(t.Context(), "muxtest:x") })
		wantWaiting(t, late)
		close(gate)
		wantResult(t, late, nil)
		if len(*buses) != 2 || !(*buses)[0].isClosed() || !(*buses)[1].isClosed() {
			t.Errorf("%d buses, or one that is still open", len(*buses))
		}
	})
}

func TestBusThatIsOpenTooLateIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newBuses(t)
		driver.Lock()
		good := driver.open
		driver.Unlock()
		gate := make(chan struct{})
		setDriver(func(ctx context.Context, address string) (canbus.Bus, error) {
			<-gate
			return good(ctx, address)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := Open(ctx, "muxtest:x"); err != context.DeadlineExceeded {
			t.Errorf("Open: %v", err)
		}
		close(gate)
		synctest.Wait()
		if len(*buses) != 1 || !(*buses)[0].isClosed() {
			t.Errorf("%d buses, or one that is still open", len(*buses))
		}
		_, release := open(t, "muxtest:x")
		release()
		if len(*buses) != 2 {
			t.Errorf("%d buses, want another", len(*buses))
		}
	})
}

func TestUsersComeAndGo(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range uint32(4) {
		wg.Go(func() {
			for range 100 {
				m, release := open(t, "virtual:users-come-and-go")
				ep, err := m.Attach(pair(0x7E0+i, 0x7E8+i), func(*Endpoint) {})
				if err != nil {
					t.Error(err)
				} else {
					if err := send(ep, []byte{1}); err != nil {
						t.Error(err)
					}
					ep.Close()
				}
				release()
			}
		})
	}
	wg.Wait()
	for runtime.NumGoroutine() > goroutines {
		runtime.Gosched() // until the readers have seen that all is over
	}
}

func TestSameBusIsOneMux(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newBuses(t)
		bus, other := newFakeBus(), newFakeBus()
		a, err := On(bus)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := On(bus)
		c, _ := On(other)
		if a != b || a == c {
			t.Errorf("%p, %p and %p", a, b, c)
		}
		bus.Close()
		other.Close()
		synctest.Wait()
	})
}

// incomparable buses would panic as map keys.
type (
	sliceBus  []int
	insideBus struct{ canbus.Bus }
)

func (sliceBus) ReadFrames([]canbus.Frame) (int, error)  { return 0, io.EOF }
func (sliceBus) WriteFrames([]canbus.Frame) (int, error) { return 0, io.EOF }
func (sliceBus) Close() error                            { return nil }

func TestBusThatCannotBeCompared(t *testing.T) {
	for name, bus := range map[string]canbus.Bus{
		"sliceBus":  sliceBus{},
		"insideBus": insideBus{sliceBus{}},
	} {
		if _, err := On(bus); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("On(%T): %v", bus, err)
		}
	}
}

func TestOnAClosedBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newBuses(t)
		bus := newFakeBus()
		m, err := On(bus)
		if err != nil {
			t.Fatal(err)
		}
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		bus.Close()
		if _, err := receive(ep); !isFailed(err, net.ErrClosed) {
			t.Errorf("Receive: %v", err)
		}
		again, err := On(bus)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // its reader has found out
		if _, err := again.Attach(pair(0x7E0, 0x7E8), func(*Endpoint) {}); err != net.ErrClosed {
			t.Errorf("Attach: %v", err)
		}
	})
}

func TestReleaseEndsWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newBuses(t)
		m, release := open(t, "muxtest:x")
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		results := []<-chan error{startReceive(ep, nil), startSend(ep, message(20))}
		time.Sleep(time.Millisecond)
		release()
		for _, result := range results {
			wantResult(t, result, net.ErrClosed)
		}
	})
}

// A bus may have frames at once, as a log that is played has.
func TestFramesThatAreThereBeforeTheFirstListener(t *testing.T) {
	for name, listen := range map[string]func(t *testing.T, m *Mux){
		"an endpoint": func(t *testing.T, m *Mux) {
			ep := attach(t, m, pair(0x7E0, 0x7E8))
			if got, err := receive(ep); err != nil || got[0] != 1 {
				t.Errorf("received % X, %v", got, err)
			}
			if _, err := receive(ep); !isFailed(err, io.ErrNoProgress) {
				t.Errorf("Receive: %v", err)
			}
		},
		"no endpoint": func(t *testing.T, m *Mux) { m.Begin() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newBuses(t)
				bus := newFakeBus()
				bus.in <- input{frames(parse(t, "7E8#0101")), nil}
				bus.in <- input{nil, io.ErrNoProgress} // the end
				m, err := On(bus)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				listen(t, m)
				synctest.Wait() // or the reader is left behind
			})
		})
	}
}

// The caller because of whom the opening was canceled is told of its context's end, not of
// what the driver made of that.
func TestTheCallerThatHasCanceledIsToldOfItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &named{opened: make(chan struct{}), canceled: true, err: errBroken}
	close(b.opened)
	for range 100 { // both have happened, and await sees either
		if err := b.await(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}
