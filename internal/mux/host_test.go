package mux

import (
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// node is the Spec of the node with that address and any peer, in normal fixed
// addressing, which hears the group 33.
func node(own uint32) *Spec {
	listen := anyPriority(0x18DA0000 | own<<8).FromAny()
	s := spec(anyPriority(0x18DA0000|own), &listen)
	s.Functional = []wire.Address{anyPriority(0x18DB3300).FromAny()}
	return s
}

func peersOf(t *testing.T, m *Mux, ss ...*Spec) *Peers {
	t.Helper()
	p, err := m.Peers(ss, 256, func(*Endpoint) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// What comes after the deadline does not extend it, however much of it there is.
func TestPeersDoNotGatherWhatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		s := pair(0x7E0, 0x7E8)
		s.Config.DeadlineAtFirstFrame = true
		p := peersOf(t, own(t, bus), s)
		p.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		bus.put(t, "7E8#0101")
		if r, err := p.Receive(nil, true); err != nil || !slices.Equal(r.Data, []byte{1}) {
			t.Errorf("received % X, %v", r.Data, err)
		}
		time.Sleep(101 * time.Millisecond)
		bus.put(t, "7E8#0102", "7E8#0103")
		if r, err := p.Receive(nil, true); err != os.ErrDeadlineExceeded {
			t.Errorf("received % X, %v", r.Data, err)
		}
		p.SetReadDeadline(time.Time{})
		if r, err := p.Receive(nil, true); err != nil || !slices.Equal(r.Data, []byte{2}) {
			t.Errorf("received % X, %v", r.Data, err)
		}
	})
}

func TestFiltersOfANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &filterBus{fakeBus: newFakeBus()}
		m := own(t, bus)
		p := peersOf(t, m, node(0xF1))
		const mask = 0x03FFFF00 // neither priority nor N_SA
		wantFilters(t, bus, canbus.Filter{ID: 0x18DAF100, Mask: mask, Extended: true},
			canbus.Filter{ID: 0x18DB3300, Mask: mask, Extended: true})
		p.Close()
		wantFilters(t, bus)
	})
}

func TestAFrameInOurOwnNameIsNotFromAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		p := peersOf(t, own(t, bus), node(0xF1))
		bus.put(t, "18DAF1F1#0101", "18DB33F1#0101", "18DAF1F1#1008010203040506")
		if s := p.Stats(); s.Made != 0 || s.Stray != 0 {
			t.Errorf("%+v", s)
		}
		bus.put(t, "18DAF110#0101")
		if s := p.Stats(); s.Made != 1 {
			t.Errorf("from another: %+v", s)
		}
	})
}

func TestAFrameOfANodeTakesNoMemory(t *testing.T) {
	r := new(routes)
	r.init()
	h := &host{spec: *node(0xF1)}
	for _, rt := range h.spec.routes() {
		rt.host = h
		r.add(rt)
	}
	r.add(route{addr: *anyPriority(0x18DA10F1), role: physical})
	frames := []canbus.Frame{parse(t, "18DAF110#0101"), parse(t, "18DAF111#0101"), parse(t, "18DA10F1#0101")}
	if n := testing.AllocsPerRun(100, func() {
		for i := range frames {
			if len(r.find(&frames[i])) != 1 {
				t.Error("not found")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A Mux remembers whether other endpoints of its bus hear an endpoint, until endpoints come
// or go.
func TestWhoComesLaterHearsEndpointsOfItsBus(t *testing.T) {
	forEachBus(t, func(t *testing.T, bus canbus.Bus) {
		m := own(t, bus)
		tester := attach(t, m, pair(0x7E0, 0x7E8))
		attach(t, m, pair(0x7E1, 0x7E9)) // for the bus to be shared
		wantResult(t, startSend(tester, []byte{1}), nil)
		for range 2 {
			ecu := attach(t, m, pair(0x7E8, 0x7E0))
			there := startReceive(ecu, []byte{2})
			wantResult(t, startSend(tester, []byte{2}), nil)
			wantResult(t, there, nil)
			ecu.Close()
			wantResult(t, startSend(tester, []byte{1}), nil)
		}
	})
}

// A functional address is not where the endpoint sends otherwise.
func TestFunctionalRequestIsHeardOnItsBus(t *testing.T) {
	forEachBus(t, func(t *testing.T, bus canbus.Bus) {
		m := own(t, bus)
		tester := attach(t, m, pair(0x7E0, 0x7EF))
		ecu := attach(t, m, functionally(pair(0x7E8, 0x7E1), addr(0x7DF)))
		wantResult(t, startSend(tester, []byte{1}), nil) // no endpoint hears that
		there := startReceive(ecu, []byte{2})
		wantResult(t, startSend(group(t, m, tester), []byte{2}), nil)
		wantResult(t, there, nil)
	})
}

func TestPeersOfOneBusTalkToEachOther(t *testing.T) {
	forEachBus(t, func(t *testing.T, bus canbus.Bus) {
		m := own(t, bus)
		tester, ecu := peersOf(t, m, node(0xF1)), peersOf(t, m, node(0x10))
		receive := func(p *Peers, want []byte, from uint32) <-chan error {
			return start(func() error {
				r, err := p.Receive(nil, true)
				if err == nil && (!slices.Equal(r.Data, want) || r.From.engine.Format().Address.ID != from) {
					t.Errorf("%d bytes from %X", len(r.Data), r.From.engine.Format().Address.ID)
				}
				return err
			})
		}
		there := receive(ecu, message(300), 0x18DAF110)
		wantResult(t, start(func() error {
			return tester.Send(*anyPriority(0x18DA10F1), *anyPriority(0x18DAF110), message(300))
		}), nil)
		wantResult(t, there, nil)
		there = receive(ecu, message(3), 0x18DAF110)
		wantResult(t, start(func() error { return tester.SendGroup(*anyPriority(0x18DB33F1), message(3)) }), nil)
		wantResult(t, there, nil)
		if s := tester.Stats(); s.Engines.Errors != [engine.NumCodes]uint32{} || s.Refused+s.Stray > 0 {
			t.Errorf("%+v", s)
		}
	})
}
