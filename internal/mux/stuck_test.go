package mux

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
)

// stuckBuses are buses that take no frames, or show no sign of what they took.
var stuckBuses = map[string]func() (canbus.Bus, *fakeBus){
	"write never returns": func() (canbus.Bus, *fakeBus) {
		bus := newFakeBus()
		bus.onWrite = bus.never
		return bus, bus
	},
	"try takes nothing, write never returns": func() (canbus.Bus, *fakeBus) {
		bus := newFakeBus()
		bus.onTry, bus.onWrite = none, bus.never
		return tryBus{bus}, bus
	},
	"try takes nothing, write fails once and never returns": func() (canbus.Bus, *fakeBus) {
		bus := newFakeBus()
		bus.onTry = none
		bus.onWrite = func([]canbus.Frame) (int, error) {
			bus.setWrite(bus.never)
			return 0, errTemporary
		}
		return tryBus{bus}, bus
	},
	"temporary errors for ever": func() (canbus.Bus, *fakeBus) {
		bus := newFakeBus()
		bus.onWrite = tempFail
		return bus, bus
	},
	"in memory, try takes nothing, write never returns": func() (canbus.Bus, *fakeBus) {
		bus := newFakeBus()
		bus.onTry, bus.onWrite = none, bus.never
		return memoryBus{tryBus{bus}, false}, bus
	},
	"in memory, no echo": func() (canbus.Bus, *fakeBus) {
		bus := newFakeBus()
		return memoryBus{tryBus{bus}, true}, bus
	},
	"no echo": func() (canbus.Bus, *fakeBus) {
		bus := newEchoBus(0)
		return bus, bus.fakeBus
	},
	"no echo, a queue of one": func() (canbus.Bus, *fakeBus) {
		bus := newEchoBus(1)
		return bus, bus.fakeBus
	},
	"write never returns, a queue of one": func() (canbus.Bus, *fakeBus) {
		bus := newEchoBus(1)
		bus.onWrite = bus.never
		return bus, bus.fakeBus
	},
}

func TestEverySendEndsOnAStuckBus(t *testing.T) {
	for name, newBus := range stuckBuses {
		for _, senders := range []int{1, 2, 100} {
			for _, size := range []int{1, 20} {
				t.Run(fmt.Sprintf("%s/%d senders/%d bytes", name, senders, size), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						bus, _ := newBus()
						m := own(t, bus)
						begun := time.Now()
						var results []<-chan error
						for i := range uint32(senders) {
							ep := attach(t, m, pair(0x100+i, 0x500+i))
							results = append(results, startSend(ep, message(size)))
						}
						for _, result := range results {
							wantResult(t, result, timeoutA)
						}
						// One N_As in line, one on the way.
						if d := time.Since(begun); d > 2100*time.Millisecond {
							t.Errorf("it took %v", d)
						}
					})
				})
			}
		}
	}
}

// More than a batch of them, at the same moment: STmin ends for all.
func TestEverySendEndsIfAllComeAtOnce(t *testing.T) {
	for name, newBus := range stuckBuses {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, fake := newBus()
				try, write := fake.onTry, fake.onWrite
				fake.onTry, fake.onWrite = nil, nil
				m := own(t, bus)
				echo := func() {
					for frames := fake.written(); m.props.Echo && len(frames) > 0; frames = fake.written() {
						fake.echo(t, frames...)
					}
				}
				var results []<-chan error
				for i := range uint32(200) {
					ep := attach(t, m, pair(0x100+i, 0x500+i))
					results = append(results, startSend(ep, message(40)))
					echo()
				}
				for i := range uint32(200) {
					fake.put(t, canbus.Frame{ID: 0x500 + i, Len: 3, Data: [canbus.MaxLen]byte{0x30, 0, 5}}.String())
					echo()
				}
				wantWaiting(t, results...)
				fake.mu.Lock()
				fake.onTry, fake.onWrite = try, write
				fake.mu.Unlock()
				begun := time.Now()
				for _, result := range results {
					wantResult(t, result, timeoutA)
				}
				if d := time.Since(begun); d > 2100*time.Millisecond {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}

// A message under way for long, so that no time-out is waiting for it by chance.
func TestALongSendEndsIfTheBusGetsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		result := startSend(ep, message(1<<20))
		count := 0
		bus.setWrite(func(b []canbus.Frame) (int, error) {
			if count += len(b); count > 50000 {
				return bus.never(b)
			}
			time.Sleep(2 * time.Millisecond)
			return len(b), nil
		})
		bus.put(t, "7E8#300000")
		wantResult(t, result, timeoutA)
	})
}

func TestEndpointsAndBusCloseOnAStuckBus(t *testing.T) {
	for name, newBus := range stuckBuses {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, _ := newBus()
				m, release := Own(bus)
				var eps []*Endpoint
				var results []<-chan error
				for i := range uint32(3) {
					ep := attach(t, m, pair(0x100+i, 0x500+i))
					eps = append(eps, ep)
					results = append(results, startSend(ep, message(20)))
				}
				begun := time.Now()
				eps[0].Close()
				wantResult(t, results[0], net.ErrClosed)
				wantWaiting(t, results[1:]...)
				release()
				wantResult(t, results[1], net.ErrClosed)
				wantResult(t, results[2], net.ErrClosed)
				if d := time.Since(begun); d > 2*pause {
					t.Errorf("it took %v", d)
				}
				time.Sleep(2 * pause)
			})
		})
	}
}

// An endpoint that stands in line for another reason than a send has the whole N_As for its
// next send.
func TestEachSendHasItsNAs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.onWrite = bus.never
		m := own(t, bus)
		first, second := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
		startSend(first, []byte{1})
		bus.put(t, "7E9#0101")
		for range 3 {
			time.Sleep(700 * time.Millisecond)
			begun := time.Now()
			if err := send(second, []byte{1}); err != timeoutA {
				t.Errorf("Send: %v", err)
			}
			if d := time.Since(begun); d != time.Second {
				t.Errorf("it took %v, want N_As", d)
			}
		}
	})
}

// A flow control without echo gives the reception up, and its place in the queue.
func TestLostFlowControlDoesNotBlockTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(1)
		m := own(t, bus)
		receiver, sender := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
		bus.put(t, "7E8#1014010203040506")
		bus.want(t, "7E0#300000") // and no echo
		time.Sleep(1100 * time.Millisecond)
		if got := receiver.Stats().ReceivesAborted; got != 1 {
			t.Errorf("%d receptions aborted, want 1", got)
		}
		result := startSend(sender, []byte{1})
		bus.want(t, "7E1#0101")
		bus.echo(t, "7E1#0101")
		wantResult(t, result, nil)
	})
}

func TestSendWorksAfterTheBusWasStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		release := make(chan struct{})
		bus.onWrite = func(b []canbus.Frame) (int, error) {
			<-release
			return len(b), nil
		}
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		for range 3 {
			if err := send(ep, []byte{1}); !errors.Is(err, timeoutA) {
				t.Errorf("Send: %v, want %v", err, timeoutA)
			}
		}
		close(release)
		synctest.Wait()
		if err := send(ep, []byte{2}); err != nil {
			t.Error(err)
		}
		bus.want(t, "7E0#0101", "7E0#0102") // the one that the bus was at, and the new one
	})
}

func TestFunctionalSendEndsOnAStuckBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.onWrite = bus.never
		m := own(t, bus)
		ep := group(t, m, attach(t, m, pair(0x7E0, 0x7E8)))
		if err := ep.Send([]byte{1}); !errors.Is(err, timeoutA) {
			t.Errorf("Send: %v, want %v", err, timeoutA)
		}
	})
}
