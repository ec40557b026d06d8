package mux

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

func listenOnly(s *Spec) *Spec {
	s.Config.ListenOnly = true
	return s
}

func functionally(s *Spec, groups ...*wire.Address) *Spec {
	for _, a := range groups {
		s.Functional = append(s.Functional, *a)
	}
	return s
}

func TestFramesReachThoseWhoListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		var heard []string
		for name, s := range map[string]*Spec{
			"11":         pair(0x7E0, 0x7E8),
			"29":         spec(addr(0x18DA10F1), addr(0x18DAF110)),
			"29 as 11":   spec(addr(0x10007E0), &wire.Address{ID: 0x7E8, Extended: true}),
			"fixed":      spec(addr(0x18DA20F1), anyPriority(0x18DAF120)),
			"55":         spec(addrByte(0x641, 0x10), addrByte(0x642, 0x55)),
			"F1":         spec(addrByte(0x641, 0x11), addrByte(0x642, 0xF1)),
			"mixed":      spec(addrByte(0x18CE10F1, 0x99), &wire.Address{ID: 0x18CEF110, Extended: true, HasByte: true, Byte: 0x99, Open: wire.OpenPriority}),
			"group":      functionally(pair(0x700, 0x708), addr(0x7DF), anyPriority(0x18DB33F1)),
			"group too":  functionally(pair(0x701, 0x709), addr(0x7DF)),
			"spy":        listenOnly(pair(0x7E0, 0x7E8)),
			"half a spy": listenOnly(spec(nil, addr(0x7E8))),
		} {
			attachObserved(t, m, s, &observer{frame: func(*canbus.Frame, FrameEvent) { heard = append(heard, name) }})
		}
		for _, c := range []struct {
			frame string
			want  string
		}{
			{"7E8#0101", "11, half a spy, spy"},
			{"7E0#0101", "spy"},
			{"000007E8#0101", "29 as 11"},
			{"18DAF110#0101", "29"},
			{"10DAF110#0101", ""},
			{"18DAF120#0101", "fixed"},
			{"00DAF120#0101", "fixed"},
			{"1CDAF120#0101", "fixed"},
			{"18DAF121#0101", ""},
			{"642#550101", "55"},
			{"642#F10101", "F1"},
			{"642#560101", ""},
			{"642#", ""},
			{"0CCEF110#990101", "mixed"},
			{"0CCEF110#980101", ""},
			{"7DF#0101", "group, group too"},
			{"0CDB33F1#0101", "group"},
			{"7E8#R", ""},
		} {
			heard = nil
			bus.put(t, c.frame)
			slices.Sort(heard)
			if got := strings.Join(heard, ", "); got != c.want {
				t.Errorf("%s was for %q, want %q", c.frame, got, c.want)
			}
		}
		// An error frame's ID can be anything.
		heard = nil
		bus.in <- input{frames: frames(canbus.Frame{ID: 0x7E8, Flags: canbus.ErrorFrame, Len: 8})}
		synctest.Wait()
		if heard != nil {
			t.Errorf("an error frame was for %q", heard)
		}
	})
}

// TestFramesOfOneBatchGoTheirOwnWays: it does not matter which frames the bus returns at once.
func TestFramesOfOneBatchGoTheirOwnWays(t *testing.T) {
	var frames []string
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 2000 {
		heads := []string{"7E8#", "7E9#", "000007E8#", "7E8#R", "7DF#", "642#55", "642#56", "18DAF110#", "0CDAF110#", "18DAF111#"}
		head := heads[rng.IntN(len(heads))]
		for range 1 + rng.IntN(4) {
			n := 1 + rng.IntN(4) // 3: a Consecutive Frame, and for a peer without an endpoint a stray
			f := fmt.Sprintf("%s%02X%04X", head, []byte{0x02, 0x02, 0x21, 0x40}[n-1], i)
			if strings.HasSuffix(head, "R") {
				f = head
			}
			frames = append(frames, f)
		}
	}
	heard := func(most int) (heard []string) {
		synctest.Test(t, func(t *testing.T) {
			bus := newFakeBus()
			m := own(t, bus)
			peers := peersOf(t, m, node(0xF1))
			endpoints := []*Endpoint{
				attach(t, m, functionally(pair(0x7E0, 0x7E8), addr(0x7DF))),
				attach(t, m, functionally(pair(0x7E1, 0x7E9), addr(0x7DF))),
				attach(t, m, spec(addrByte(0x641, 0x10), addrByte(0x642, 0x55))),
			}
			for _, s := range []*Spec{listenOnly(spec(nil, addr(0x7E9))), spec(addr(0x10007E0), &wire.Address{ID: 0x7E8, Extended: true})} {
				endpoints = append(endpoints, attachObserved(t, m, s, &observer{
					frame: func(f *canbus.Frame, _ FrameEvent) { heard = append(heard, f.String()) },
				}))
			}
			for left := frames; len(left) > 0; {
				n := min(most, len(left))
				bus.put(t, left[:n]...)
				left = left[n:]
			}
			for i, ep := range endpoints {
				stats := ep.Stats()
				heard = append(heard, fmt.Sprint(i, stats))
				for range stats.MessagesReceived {
					p, err := receive(ep)
					heard = append(heard, fmt.Sprintf("% X, %v", p, err))
				}
			}
			stats := peers.Stats()
			heard = append(heard, fmt.Sprint(stats))
			for range stats.Engines.MessagesReceived {
				r, err := peers.Receive(nil, true)
				heard = append(heard, fmt.Sprintf("% X, %v", r.Data, err))
			}
		})
		return heard
	}
	if batches, singly := heard(50), heard(1); !slices.Equal(batches, singly) {
		t.Errorf("of batches was heard\n%q, of single frames\n%q", batches, singly)
	}
}

func (r *routes) any() bool {
	return slices.ContainsFunc(r.tables[:], func(t map[key][]route) bool { return len(t) > 0 })
}

// The tables and the entry kept of the last look-up against a plain search.
func TestRoutesAgainstAPlainSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var r routes
	r.init()
	var all []route
	endpoints := make([]Endpoint, 4)
	randomAddr := func() wire.Address {
		ids := []uint32{0x7E8, 0x7E9, 0x18DAF110, 0x0CDAF110, 0x18DAF111}
		a := *addr(ids[rng.IntN(len(ids))])
		if a.Extended {
			a.Open = wire.Open(rng.IntN(int(wire.NumOpen)))
		}
		a.HasByte = rng.IntN(3) == 0
		a.Byte = byte(rng.IntN(2))
		if !a.HasByte {
			a.Byte = 0
		}
		return a
	}
	for step := range 20000 {
		switch rng.IntN(6) {
		case 0:
			rt := route{addr: randomAddr(), role: role(rng.IntN(3)), endpoint: &endpoints[rng.IntN(4)]}
			if len(all) < 20 && !slices.Contains(all, rt) {
				all = append(all, rt)
				r.add(rt)
			}
		case 1:
			if len(all) > 0 {
				i := rng.IntN(len(all))
				r.remove(all[i])
				all = slices.Delete(all, i, i+1)
			}
		default:
			a := randomAddr()
			f := canbus.Frame{ID: a.ID, Len: 1}
			if a.Extended {
				f.Flags = canbus.Extended
			}
			a.HasByte = false
			var want int
			for _, rt := range all {
				rt.addr.HasByte = false
				if rt.addr.Match(&f) {
					want++
				}
			}
			got := r.find(&f)
			for _, rt := range got {
				if !slices.Contains(all, rt) {
					t.Fatalf("step %d: found %+v, which was removed", step, rt)
				}
			}
			if len(got) != want {
				t.Fatalf("step %d: %d routes for %v, want %d", step, len(got), f, want)
			}
		}
	}
	for _, rt := range all {
		r.remove(rt)
	}
	if r.any() {
		t.Errorf("left in the tables: %v", r.tables)
	}
}

// deliver may be going through what find returned.
func TestRemovalLeavesWhatWasFound(t *testing.T) {
	var r routes
	r.init()
	endpoints := make([]Endpoint, 3)
	for i := range endpoints {
		r.add(route{addr: *addr(0x7E8), endpoint: &endpoints[i]})
	}
	found := r.find(&canbus.Frame{ID: 0x7E8})
	want := slices.Clone(found)
	r.remove(found[0])
	r.remove(want[2])
	if !slices.Equal(found, want) {
		t.Error("what was found has changed")
	}
	if left := r.find(&canbus.Frame{ID: 0x7E8}); len(left) != 1 || left[0].endpoint != &endpoints[1] {
		t.Errorf("left %+v", left)
	}
}

func TestEndpointsComeAndGoWhileFramesAreDelivered(t *testing.T) {
	bus := &filterBus{fakeBus: newFakeBus()}
	m := own(t, bus)
	stop := make(chan struct{})
	var feeder, users sync.WaitGroup
	feeder.Go(func() {
		frames := make([]canbus.Frame, 8)
		for i := range frames {
			frames[i] = parse(t, "7E8#0101")
			frames[i].ID += uint32(i % 4)
		}
		for {
			select {
			case bus.in <- input{frames: frames}:
			case <-stop:
				return
			}
		}
	})
	for i := range uint32(4) {
		users.Go(func() {
			for range 50 {
				ep, err := m.Attach(pair(0x7E0+i, 0x7E8+i), func(*Endpoint) {})
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := receive(ep); err != nil || !slices.Equal(got, []byte{1}) {
					t.Errorf("received % X, %v", got, err)
				}
				ep.Close()
			}
		})
	}
	users.Wait()
	close(stop)
	feeder.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.routes.any() || m.endpoints != nil {
		t.Error("something is left of closed endpoints")
	}
}

func wantFilters(t *testing.T, bus *filterBus, want ...canbus.Filter) {
	t.Helper()
	less := func(a, b canbus.Filter) int { return int(a.ID) - int(b.ID) }
	got := slices.SortedFunc(slices.Values(bus.filters), less)
	slices.SortFunc(want, less)
	if !slices.Equal(got, want) {
		t.Errorf("filters %+v, want %+v", got, want)
	}
}

func TestFiltersAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &filterBus{fakeBus: newFakeBus()}
		m := own(t, bus)
		a := attach(t, m, functionally(pair(0x7E0, 0x7E8), addr(0x7DF)))
		b := attach(t, m, spec(addrByte(0x641, 1), addrByte(0x642, 1)))
		attach(t, m, spec(addrByte(0x641, 2), addrByte(0x642, 2)))
		attach(t, m, spec(addr(0x18DA10F1), anyPriority(0x18DAF110)))
		attach(t, m, listenOnly(pair(0x7E0, 0x7E8)))
		const std, ext = canbus.MaxStandardID, canbus.MaxExtendedID
		rest := []canbus.Filter{
			{ID: 0x642, Mask: std}, {ID: 0x18DAF110, Mask: ext &^ 0x1C000000, Extended: true},
			{ID: 0x7E8, Mask: std}, {ID: 0x7E0, Mask: std},
		}
		wantFilters(t, bus, append([]canbus.Filter{{ID: 0x7DF, Mask: std}}, rest...)...)
		b.Close()
		a.Close()
		wantFilters(t, bus, rest...)
	})
}

func TestFiltersGoWithTheLastWhoWantsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &filterBus{fakeBus: newFakeBus()}
		m := own(t, bus)
		l := listen(t, m, pair(0x7E8, 0x7E0))
		wantFilters(t, bus, canbus.Filter{ID: 0x7E0, Mask: canbus.MaxStandardID})
		bus.put(t, "7E0#0101")
		ep, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		wantFilters(t, bus, canbus.Filter{ID: 0x7E0, Mask: canbus.MaxStandardID})
		ep.Close()
		wantFilters(t, bus)
	})
}

func TestManyIdentifiersAreNotFiltered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &filterBus{fakeBus: newFakeBus()}
		m := own(t, bus)
		var eps []*Endpoint
		more := func() {
			i := uint32(len(eps))
			eps = append(eps, attach(t, m, spec(addr(0x10000+i), addr(0x20000+i))))
		}
		for range maxFilters {
			more()
		}
		if len(bus.filters) != maxFilters {
			t.Errorf("%d filters, want %d", len(bus.filters), maxFilters)
		}
		everything := []canbus.Filter{{}, {Extended: true}}
		more()
		wantFilters(t, bus, everything...)
		calls := bus.calls
		more()
		eps[0].Close()
		if bus.calls != calls {
			t.Errorf("filters were set %d times for nothing", bus.calls-calls)
		}
		eps[1].Close()
		if len(bus.filters) != maxFilters {
			t.Errorf("%d filters, want %d again", len(bus.filters), maxFilters)
		}
		for i := range uint32(maxFilters) {
			if !slices.ContainsFunc(bus.filters, func(f canbus.Filter) bool { return f.ID == 0x20002+i }) {
				t.Errorf("%X is filtered out", 0x20002+i)
			}
		}
	})
}

func TestFailedFilterFailsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &filterBus{fakeBus: newFakeBus(), filterErr: errBroken}
		m := own(t, bus)
		if _, err := m.Attach(pair(0x7E0, 0x7E8), func(*Endpoint) {}); err != errBroken {
			t.Errorf("Attach: %v", err)
		}
		if _, err := m.Listen([]*Spec{pair(0x7E0, 0x7E8)}, 128, func(*Endpoint) {}); err != errBroken {
			t.Errorf("Listen: %v", err)
		}
		bus.filterErr = nil
		attach(t, m, pair(0x7E0, 0x7E8)) // nothing is left in its way
		wantFilters(t, bus, canbus.Filter{ID: 0x7E8, Mask: canbus.MaxStandardID})
	})
}

// A filter that could not be set is not taken as set by endpoints that come at the same
// time.
func TestFailedFilterIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &filterBus{fakeBus: newFakeBus(), filterErr: errBroken}
		m := own(t, bus)
		var others Endpoint // which are about to set filters too
		m.mu.Lock()
		for i := range uint32(maxFilters + 1) {
			m.routes.add(route{addr: *addr(0x20000 + i), endpoint: &others})
		}
		m.mu.Unlock()
		if _, err := m.Attach(pair(0x7E0, 0x7E8), func(*Endpoint) {}); err != errBroken {
			t.Errorf("Attach: %v", err)
		}
		bus.filterErr = nil
		attach(t, m, pair(0x7E0, 0x7E8))
		wantFilters(t, bus, canbus.Filter{}, canbus.Filter{Extended: true})
	})
}

func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		b.Run(fmt.Sprintf("%d endpoints", n), func(b *testing.B) {
			var r routes
			r.init()
			endpoints := make([]Endpoint, n)
			for i := range endpoints {
				r.add(route{addr: *addr(0x10000 + uint32(i)), endpoint: &endpoints[i]})
			}
			frames := [2]canbus.Frame{{ID: 0x10000, Flags: canbus.Extended}, {ID: 0x10000 + uint32(n-1), Flags: canbus.Extended}}
			i := 0
			for b.Loop() {
				if len(r.find(&frames[i&1])) != 1 {
					b.Fatal("not found")
				}
				i++
			}
		})
	}
}
