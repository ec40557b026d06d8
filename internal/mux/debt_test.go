package mux

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

const (
	ownFirst = "7E0#101400070E151C23"
	lateCTS  = "7E8#300000"
)

// giveUp has ep send the First Frame of a message and then give that up.
func giveUp(t *testing.T, bus *fakeBus, ep *Endpoint) {
	t.Helper()
	result := startSend(ep, message(20))
	ep.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	wantResult(t, result, os.ErrDeadlineExceeded)
	if frames := bus.written(); len(frames) != 1 || !strings.Contains(frames[0], "1014") {
		t.Fatalf("the bus took %q, want a First Frame", frames)
	}
	ep.SetWriteDeadline(time.Time{})
}

// wantHeld has ep send a message, whose First Frame must come after that time.
func wantHeld(t *testing.T, bus *fakeBus, ep *Endpoint, want time.Duration) {
	t.Helper()
	begun := time.Now()
	startSend(ep, message(20))
	if want > 0 {
		time.Sleep(want - 1)
		synctest.Wait()
		bus.want(t)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
	}
	if frames := bus.written(); len(frames) != 1 || !strings.Contains(frames[0], "1014") {
		t.Errorf("%v after the call the bus took %q, want a First Frame", time.Since(begun), frames)
	}
}

func TestOwedFlowControlHoldsTheNextMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		giveUp(t, bus, ep)
		result := startSend(ep, message(20))
		bus.want(t)
		bus.put(t, lateCTS)
		if frames := bus.written(); len(frames) != 1 {
			t.Fatalf("the late flow control let %q go, want the First Frame only", frames)
		}
		bus.put(t, lateCTS)
		wantResult(t, result, nil)
	})
}

func TestSingleFrameDoesNotWaitForWhatIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		giveUp(t, bus, ep)
		wantResult(t, startSend(ep, []byte{1}), nil)
		bus.want(t, "7E0#0101")
		wantHeld(t, bus, ep, 950*time.Millisecond)
	})
}

func TestDeadlineWhileAFlowControlIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		begun := time.Now()
		giveUp(t, bus, ep)
		ep.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		err := send(ep, message(20))
		owed, ok := errors.AsType[*OwedError](err)
		if !ok || !errors.Is(err, os.ErrDeadlineExceeded) || owed.Until.Sub(begun) != time.Second {
			t.Errorf("the error is %v (%+v)", err, owed)
		}
		bus.want(t)
		if n := ep.Stats().Errors[engine.FlowControlOwed]; n != 1 {
			t.Errorf("counted %d", n)
		}
	})
}

// What is owed may be over at the very moment of the deadline, before the writer has had
// its turn.
func TestDeadlineWhenWhatIsOwedIsOver(t *testing.T) {
	for _, c := range []struct {
		name string
		late time.Duration // the deadline, after the debt's end
	}{
		{"before", -1},
		{"at the same time", 0},
		{"after", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newFakeBus()
				ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
				giveUp(t, bus, ep)
				startSend(ep, message(20))
				synctest.Wait()
				bus.setWrite(tempFail) // the First Frame does not leave, whose turn it ever is
				ep.m.mu.Lock()
				over := ep.engine.Debt(ep.m.now()).Until()
				ep.m.mu.Unlock()
				time.Sleep(over.Sub(ep.m.now()) + c.late)
				err := ep.expire()
				if _, owed := errors.AsType[*OwedError](err); owed != (c.late < 0) || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the error is %v (%T)", err, err)
				}
				if n := ep.Stats().Errors[engine.FlowControlOwed]; (n == 1) != (c.late < 0) {
					t.Errorf("%d counted as waiting for a flow control that is owed", n)
				}
			})
		})
	}
}

func TestPairThatIsOpenedAgainRemembersWhatIsOwed(t *testing.T) {
	fixed := func(id uint32) *wire.Address { return anyPriority(id) }
	for _, c := range []struct {
		name          string
		first, second *Spec
		cts           string
	}{
		{"11 bits", pair(0x7E0, 0x7E8), pair(0x7E0, 0x7E8), lateCTS},
		{"an address byte", spec(addrByte(0x641, 0x55), addrByte(0x642, 0xF1)), spec(addrByte(0x641, 0x55), addrByte(0x642, 0xF1)), "642#F1300000"},
		{"normal fixed, and its identifiers", spec(fixed(0x18DA10F1), fixed(0x18DAF110)), pair(0x18DA10F1, 0x18DAF110), "18DAF110#300000"},
		{"identifiers, and normal fixed", pair(0x18DA10F1, 0x18DAF110), spec(fixed(0x18DA10F1), fixed(0x18DAF110)), "18DAF110#300000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Run("nothing comes", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newFakeBus()
					m := own(t, bus)
					ep := attach(t, m, c.first)
					giveUp(t, bus, ep)
					ep.Close()
					wantHeld(t, bus, attach(t, m, c.second), 950*time.Millisecond)
				})
			})
			t.Run("it comes before the second Dial", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newFakeBus()
					m := own(t, bus)
					ep := attach(t, m, c.first)
					giveUp(t, bus, ep)
					ep.Close()
					bus.put(t, c.cts)
					wantHeld(t, bus, attach(t, m, c.second), 0)
				})
			})
			t.Run("it comes after", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newFakeBus()
					m := own(t, bus)
					ep := attach(t, m, c.first)
					giveUp(t, bus, ep)
					ep.Close()
					ep = attach(t, m, c.second)
					result := startSend(ep, message(20))
					bus.want(t)
					bus.put(t, c.cts)
					if len(bus.written()) != 1 {
						t.Error("not the First Frame alone")
					}
					bus.put(t, c.cts)
					wantResult(t, result, nil)
				})
			})
		})
	}
}

func TestAnotherPairOwesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		giveUp(t, bus, ep)
		ep.Close()
		wantHeld(t, bus, attach(t, m, pair(0x7E1, 0x7E9)), 0)
	})
}

func TestCloseInMidMessageLeavesADebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		startSend(ep, message(20))
		bus.want(t, ownFirst)
		ep.Close()
		wantHeld(t, bus, attach(t, m, pair(0x7E0, 0x7E8)), time.Second)
	})
}

func TestFilterHearsWhatIsOwedToAClosedPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &filterBus{fakeBus: newFakeBus()}
		m := own(t, bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		giveUp(t, bus.fakeBus, ep)
		ep.Close()
		f := parse(t, lateCTS)
		if !slices.ContainsFunc(bus.filters, func(filter canbus.Filter) bool { return filter.Match(&f) }) {
			t.Errorf("the filters are %v", bus.filters)
		}
		attach(t, m, pair(0x7E0, 0x7E8)).Close()
		time.Sleep(2 * time.Second)
		attach(t, m, pair(0x7E1, 0x7E9))
		if slices.ContainsFunc(bus.filters, func(filter canbus.Filter) bool { return filter.Match(&f) }) {
			t.Errorf("with nothing owed the filters are %v", bus.filters)
		}
	})
}

// Both ends on one bus without echoes: what one writes the Mux hands to the other.
func TestLateFlowControlOfTheSameBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		ecu := pair(0x7E8, 0x7E0)
		ecu.Config.HighMark, ecu.Config.HardLimit = 10, 10000
		other := attach(t, m, ecu)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		wantResult(t, startSend(ep, []byte{1}), nil) // unread, so that the CTS is held back
		startSend(ep, message(20))
		ep.Close()
		if _, err := receive(other); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		bus.written()
		wantHeldFirst := attach(t, m, pair(0x7E0, 0x7E8))
		wantResult(t, startSend(wantHeldFirst, message(20)), nil)
	})
}

func TestWithdrawnFirstFrameOwesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		bus.setWrite(tempFail)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		startSend(ep, message(20))
		ep.Close()
		next := attach(t, m, pair(0x7E0, 0x7E8))
		startSend(next, message(20))
		bus.setWrite(nil)
		time.Sleep(2 * pause)
		synctest.Wait()
		bus.want(t, ownFirst)
	})
}

func TestRefusedFirstFrameOwesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		bus.setWrite(refuse(0x7E0))
		if err := send(ep, message(20)); err != errBroken {
			t.Fatalf("Send: %v", err)
		}
		bus.setWrite(nil)
		wantHeld(t, bus, ep, 0)
	})
}

// The First Frame waits in the driver's queue when its message is given up.
func TestDebtRunsFromTheEcho(t *testing.T) {
	for _, reopened := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			bus := newEchoBus(0)
			m := own(t, bus)
			ep := attach(t, m, pair(0x7E0, 0x7E8))
			giveUp(t, bus.fakeBus, ep)
			if reopened {
				ep.Close()
				ep = attach(t, m, pair(0x7E0, 0x7E8))
			}
			time.Sleep(550 * time.Millisecond)
			bus.echo(t, ownFirst)
			wantHeld(t, bus.fakeBus, ep, time.Second)
		})
	}
}

func TestReapedPeerStillOwes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		p, err := m.Peers([]*Spec{pair(0x7E0, 0x7E8), pair(0x7E1, 0x7E9)}, 1, func(*Endpoint) {})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		p.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if err := p.Send(*addr(0x7E0), *addr(0x7E8), message(20)); err != os.ErrDeadlineExceeded {
			t.Fatal(err)
		}
		p.SetWriteDeadline(time.Time{})
		if err := p.Send(*addr(0x7E1), *addr(0x7E9), []byte{1}); err != nil { // takes the place
			t.Fatal(err)
		}
		bus.want(t, ownFirst, "7E1#0101")
		start(func() error { return p.Send(*addr(0x7E0), *addr(0x7E8), message(20)) })
		time.Sleep(950*time.Millisecond - 1)
		synctest.Wait()
		bus.want(t)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		bus.want(t, ownFirst)
	})
}

// forgetDebts has no other test know of this one's: in each bubble it is the same time.
func forgetDebts(t *testing.T) {
	t.Cleanup(func() { clear(leftDebts.until) })
}

// A bus that is opened anew may still bring what is owed.
func TestDebtOutlivesTheMux(t *testing.T) {
	for _, c := range []struct {
		name      string
		inProcess bool
		want      time.Duration
	}{{"muxtest:debt", false, 950 * time.Millisecond}, {"muxtest:within", true, 0}} {
		t.Run(c.name, func(t *testing.T) {
			forgetDebts(t)
			synctest.Test(t, func(t *testing.T) {
				var buses []describedBus
				setDriver(func(context.Context, string) (canbus.Bus, error) {
					buses = append(buses, describedBus{newFakeBus(), canbus.Properties{InProcess: c.inProcess}})
					return buses[len(buses)-1], nil
				})
				m, release := open(t, c.name)
				ep := attach(t, m, pair(0x7E0, 0x7E8))
				giveUp(t, buses[0].fakeBus, ep)
				ep.Close()
				release()
				synctest.Wait()
				m, release = open(t, c.name)
				ep = attach(t, m, pair(0x7E0, 0x7E8))
				wantHeld(t, buses[1].fakeBus, ep, c.want)
				ep.Close()
				release()
			})
		})
	}
}

// Linux's sockets share the pairs of an interface with the engine.
func TestDebtsAreSharedWithTheKernelsSockets(t *testing.T) {
	forgetDebts(t)
	synctest.Test(t, func(t *testing.T) {
		buses := newBuses(t)
		m, release := open(t, "muxtest:kernel")
		defer release()
		begun := time.Now()
		Owe("muxtest:kernel", *addr(0x7E0), *addr(0x7E8), begun.Add(time.Second))
		if got := Owed("muxtest:kernel", *addr(0x7E0), *addr(0x7E8)); got.Sub(begun) != time.Second {
			t.Errorf("owed until %v", got.Sub(begun))
		}
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		wantHeld(t, (*buses)[0], ep, time.Second)
		ep.Close() // in mid-message
		if got := Owed("muxtest:kernel", *addr(0x7E0), *addr(0x7E8)); got.Sub(begun) != 2*time.Second {
			t.Errorf("after Close owed until %v", got.Sub(begun))
		}
		(*buses)[0].put(t, lateCTS)
		if got := Owed("muxtest:kernel", *addr(0x7E0), *addr(0x7E8)); got.After(time.Now()) {
			t.Errorf("after the flow control owed until %v", got.Sub(begun))
		}
		if got := Owed("muxtest:other", *addr(0x7E0), *addr(0x7E8)); !got.IsZero() {
			t.Errorf("on another bus owed until %v", got)
		}
	})
}
