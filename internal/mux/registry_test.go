package mux

import (
	"context"
	"errors"
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
	open func(address string) (canbus.Bus, error)
}

func init() {
	canbus.Register("muxtest", func(address string) (canbus.Bus, error) {
		driver.Lock()
		open := driver.open
		driver.Unlock()
		return open(address)
	})
}

func setDriver(open func(address string) (canbus.Bus, error)) {
	driver.Lock()
	defer driver.Unlock()
	driver.open = open
}

// newBuses has the driver make a new fakeBus each time, and returns them.
func newBuses(t *testing.T) *[]*fakeBus {
	t.Helper()
	buses := new([]*fakeBus)
	setDriver(func(string) (canbus.Bus, error) {
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
		setDriver(func(string) (canbus.Bus, error) { return nil, errBroken })
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

// Whoever has seen the error can dial at once.
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
		setDriver(func(address string) (canbus.Bus, error) {
			if address == "slow" {
				<-gate
			}
			return good(address)
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

// Whoever gives up leaves the attempt to those who come later.
func TestSlowOpenIsOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newBuses(t)
		driver.Lock()
		good := driver.open
		driver.Unlock()
		gate := make(chan struct{})
		var attempts atomic.Int32
		setDriver(func(address string) (canbus.Bus, error) {
			attempts.Add(1)
			<-gate
			return good(address)
		})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, _, err := Open(ctx, "muxtest:x"); err != context.DeadlineExceeded {
				t.Errorf("Open: %v", err)
			}
		}
		if n := attempts.Load(); n != 1 {
			t.Errorf("the driver was called %d times at once", n)
		}
		late := start(func() error {
			_, release, err := Open(t.Context(), "muxtest:x")
			if err == nil {
				release()
			}
			return err
		})
		wantWaiting(t, late)
		close(gate)
		wantResult(t, late, nil)
		if len(*buses) != 1 || !(*buses)[0].isClosed() {
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
		setDriver(func(address string) (canbus.Bus, error) {
			<-gate
			return good(address)
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
		"nobody": func(t *testing.T, m *Mux) { m.Begin() },
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
