package mux

import (
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/wire"
)

// twoPeers returns Peers with room for one, and functions that send to either.
func twoPeers(t *testing.T, m *Mux, made func(*Endpoint)) (p *Peers, first, second func() error) {
	t.Helper()
	p, err := m.Peers([]*Spec{pair(0x7E0, 0x7E8), pair(0x7E1, 0x7E9)}, 1, made)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	to := func(send, listen *wire.Address) func() error {
		return func() error { return p.Send(*send, *listen, []byte{1}) }
	}
	return p, to(addr(0x7E0), addr(0x7E8)), to(addr(0x7E1), addr(0x7E9))
}

func TestAPeerGivesItsPlaceToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, first, second := twoPeers(t, own(t, newFakeBus()), func(*Endpoint) {})
		wantResult(t, start(first), nil)
		wantResult(t, start(second), nil)
		if s := p.Stats(); s.Open != 1 || s.Made != 2 || s.Reaped != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A call that is about to send, and waits for its turn, keeps the endpoint, which is idle.
func TestAPeerThatACallSendsToKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := own(t, newFakeBus())
		var ep *Endpoint
		p, first, second := twoPeers(t, m, func(made *Endpoint) { ep = made })
		wantResult(t, start(first), nil)
		if err := ep.enter(&ep.sendTurn, ep.sendDeadline()); err != nil {
			t.Fatal(err)
		}
		m.mu.Unlock()
		sends := start(first)
		wantResult(t, start(second), ErrTooManyPeers)
		time.Sleep(3 * idleTime)
		if s := p.Stats(); s.Open != 1 || s.Made != 1 {
			t.Errorf("%+v", s)
		}
		m.mu.Lock()
		ep.sendTurn.Leave()
		m.mu.Unlock()
		wantResult(t, sends, nil)
		time.Sleep(2 * idleTime)
		if s := p.Stats(); s.Open != 0 || s.Reaped != 1 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}

// A peer that has begun a message, and sent no more of it, is the next to give its place.
func TestAPeerThatHasOnlyBegunGivesItsPlaceToASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		p, _, second := twoPeers(t, own(t, bus), func(*Endpoint) {})
		bus.put(t, "7E8#1014010203040506")
		synctest.Wait()
		wantResult(t, start(second), nil)
		if s := p.Stats(); s.Open != 1 || s.Evicted != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCloseOfPeersEndsEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := own(t, newFakeBus())
		var made []*Endpoint
		p, first, _ := twoPeers(t, m, func(ep *Endpoint) { made = append(made, ep) })
		wantResult(t, start(func() error { return p.SendGroup(*addr(0x7DF), []byte{1}) }), nil)
		wantResult(t, start(first), nil)
		p.Close()
		if len(made) != 2 || !made[0].isClosed() || !made[1].isClosed() {
			t.Errorf("%d endpoints were made, and not all of them are closed", len(made))
		}
	})
}

func TestAGroupTakesNoPlaceOfAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, first, _ := twoPeers(t, own(t, newFakeBus()), func(*Endpoint) {})
		wantResult(t, start(func() error { return p.SendGroup(*addr(0x7DF), []byte{1}) }), nil)
		wantResult(t, start(first), nil)
		if s := p.Stats(); s.Open != 2 || s.Reaped != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// One signal wakes one Receive, which wakes the next if there is more for it.
func TestEveryReceiveThatWaitsIsWoken(t *testing.T) {
	deadline := func(p *Peers, bus *fakeBus) { // that a message extends, for one of them
		bus.put(t, "7E8#1008010203040506")
		time.Sleep(200 * time.Millisecond)
	}
	for _, tt := range []struct {
		name   string
		before func(*Peers, *fakeBus) // with all waiting
		then   func(*Peers, *fakeBus)
		got    int   // so many receive a message,
		failed error // the others this
	}{
		{"messages of one peer at once", nil, func(_ *Peers, bus *fakeBus) {
			bus.put(t, "7E8#0101", "7E8#0102", "7E8#0103")
		}, 3, nil},
		{"messages of several peers at once", nil, func(_ *Peers, bus *fakeBus) {
			bus.put(t, "7E8#0101", "7E9#0102", "7E8#0103")
		}, 3, nil},
		{"the bus fails", nil, func(_ *Peers, bus *fakeBus) {
			bus.in <- input{err: errBroken}
		}, 0, errBroken},
		{"the bus fails behind a message", nil, func(_ *Peers, bus *fakeBus) {
			bus.in <- input{frames: frames(parse(t, "7E8#0101")), err: errBroken}
		}, 1, errBroken},
		{"the end of a message that came beyond the deadline", deadline, func(_ *Peers, bus *fakeBus) {
			bus.put(t, "7E8#210708")
		}, 1, os.ErrDeadlineExceeded},
		{"Drain of such a message", deadline, func(p *Peers, _ *fakeBus) { p.Drain() }, 0, os.ErrDeadlineExceeded},
		{"Close beyond the deadline", deadline, func(p *Peers, _ *fakeBus) { p.Close() }, 0, net.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newFakeBus()
				a, b := pair(0x7E0, 0x7E8), pair(0x7E1, 0x7E9)
				a.Config.DeadlineAtFirstFrame, b.Config.DeadlineAtFirstFrame = true, true
				p := peersOf(t, own(t, bus), a, b)
				p.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				var calls []<-chan error
				for range 3 {
					calls = append(calls, start(func() error { _, err := p.Receive(nil, true); return err }))
				}
				if tt.before != nil {
					tt.before(p, bus)
				}
				wantWaiting(t, calls...)
				tt.then(p, bus)
				synctest.Wait()
				for i, call := range calls {
					select {
					case err := <-call:
						if err == nil {
							tt.got--
						} else if !isFailed(err, tt.failed) && err != tt.failed {
							t.Errorf("call %d fails with %v, want %v", i, err, tt.failed)
						}
					default:
						t.Errorf("call %d still waits", i)
					}
				}
				if tt.got != 0 {
					t.Errorf("%d more have received a message than should", -tt.got)
				}
			})
		})
	}
}

// The message and the failure may have come before the call that they wake has run: then
// there was one signal for both.
func TestAReceiveHandsOnThatTheBusHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		p := peersOf(t, own(t, bus), pair(0x7E0, 0x7E8))
		bus.in <- input{frames: frames(parse(t, "7E8#0101")), err: errBroken}
		synctest.Wait()
		var now deadline.Deadline
		now.Set(past)
		if !p.ready.Wait(&now) {
			t.Error("there was no signal")
		}
		if _, _, err := p.receive(nil, true); err != nil {
			t.Error(err)
		}
		if !p.ready.Wait(&now) {
			t.Error("it does not")
		}
	})
}
