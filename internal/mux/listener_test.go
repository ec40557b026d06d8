package mux

import (
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// startAccept returns where the endpoint accepted or the error will be.
func startAccept(l *Listener) (<-chan *Endpoint, <-chan error) {
	eps := make(chan *Endpoint, 1)
	return eps, start(func() error {
		ep, err := l.Accept()
		if ep != nil {
			eps <- ep
		}
		return err
	})
}

func accept(t *testing.T, l *Listener) *Endpoint {
	t.Helper()
	ep, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	return ep
}

func inListenerBubble(t *testing.T, f func(t *testing.T, bus *fakeBus, m *Mux, l *Listener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		f(t, bus, m, listen(t, m, functionally(pair(0x7E8, 0x7E0), addr(0x7DF))))
	})
}

func TestFirstMessageMakesTheEndpointAndIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		frames []string
		want   []byte
	}{
		"Single Frame": {[]string{"7E0#0101"}, []byte{1}},
		"First Frame":  {[]string{"7E0#1008010203040506", "7E0#210708"}, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		"functional":   {[]string{"7DF#023E00"}, []byte{0x3E, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
				eps, result := startAccept(l)
				wantWaiting(t, result)
				bus.put(t, c.frames...)
				wantResult(t, result, nil)
				ep := <-eps
				defer ep.Close()
				if got, err := receive(ep); err != nil || !slices.Equal(got, c.want) {
					t.Errorf("received % X, %v; want % X", got, err, c.want)
				}
				if err := send(ep, []byte{0x50}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestOnlyABeginMakesAnEndpoint(t *testing.T) {
	inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
		bus.put(t, "7E0#2101020304050607", "7E0#300000", "7E0#", "7E0#00", "7E0#40", "7DF#1008010203040506",
			"7E1#0101", "000007E0#0101")
		if m.endpoints != nil {
			t.Error("an endpoint was made")
		}
		if s := l.Stats(); s != (ListenerStats{Stray: 6}) { // the others are not for it
			t.Errorf("%+v", s)
		}
		bus.want(t)
	})
}

func TestOneEndpointAtATime(t *testing.T) {
	inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
		bus.put(t, "7E0#0101", "7E0#0102")
		ep := accept(t, l)
		bus.put(t, "7E0#0103")
		eps, result := startAccept(l)
		wantWaiting(t, result)
		for want := byte(1); want <= 3; want++ {
			if got, err := receive(ep); err != nil || got[0] != want {
				t.Errorf("received % X, %v; want %02X", got, err, want)
			}
		}
		ep.Close()
		wantWaiting(t, result)
		bus.put(t, "7E0#0104")
		wantResult(t, result, nil)
		ep = <-eps
		if got, err := receive(ep); err != nil || got[0] != 4 {
			t.Errorf("received % X, %v; want 04", got, err)
		}
		ep.Close()
	})
}

func TestMadeSeesTheEndpointBeforeItsFirstFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		var seen []string
		l, err := m.Listen([]*Spec{pair(0x7E8, 0x7E0)}, 128, func(ep *Endpoint) {
			ep.User = "user"
			ep.Observer = &observer{
				frame: func(f *canbus.Frame, _ FrameEvent) { seen = append(seen, f.String()) },
				step:  func(o engine.Observation) { seen = append(seen, "received") },
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		bus.put(t, "7E0#0101")
		if want := []string{"7E0#0101", "received"}; !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q", seen, want)
		}
		if ep := accept(t, l); ep.User != "user" {
			t.Errorf("User is %v", ep.User)
		}
		l.Close()
	})
}

func TestCloseReturnsWhatWasNotAccepted(t *testing.T) {
	inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
		bus.put(t, "7E0#0101")
		waiting, ok := l.Close()
		if !ok || len(waiting) != 1 {
			t.Fatalf("Close() = %v, %v", waiting, ok)
		}
		if again, ok := l.Close(); ok || again != nil {
			t.Errorf("the second Close() = %v, %v", again, ok)
		}
		if !m.routes.any() {
			t.Error("the endpoint has lost its routes")
		}
		waiting[0].Close()
		if m.routes.any() || m.endpoints != nil || m.routes.hosts != 0 {
			t.Error("something is left")
		}
	})
}

func TestAcceptedEndpointOutlivesItsListener(t *testing.T) {
	inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
		bus.put(t, "7E0#0101")
		ep := accept(t, l)
		l.Close()
		bus.put(t, "7E0#0102")
		for want := byte(1); want <= 2; want++ {
			if got, err := receive(ep); err != nil || got[0] != want {
				t.Errorf("received % X, %v; want %02X", got, err, want)
			}
		}
		ep.Close()
		bus.put(t, "7E0#0103")
		if m.endpoints != nil {
			t.Error("a closed listener has made an endpoint")
		}
		listen(t, m, pair(0x7E8, 0x7E0))
	})
}

func TestCloseWakesEveryAccept(t *testing.T) {
	inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
		var results []<-chan error
		for range 5 {
			_, result := startAccept(l)
			results = append(results, result)
		}
		wantWaiting(t, results...)
		l.Close()
		for _, result := range results {
			wantResult(t, result, net.ErrClosed)
		}
		if _, err := l.Accept(); err != net.ErrClosed {
			t.Errorf("Accept: %v", err)
		}
		if err := l.SetDeadline(time.Time{}); err != net.ErrClosed {
			t.Errorf("SetDeadline: %v", err)
		}
		_, result := startAccept(l)
		wantResult(t, result, net.ErrClosed)
	})
}

func TestEachMessageWakesOneAccept(t *testing.T) {
	inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
		accepted := make(chan *Endpoint)
		for range 3 {
			go func() {
				ep, err := l.Accept()
				if err != nil {
					t.Error(err)
				}
				accepted <- ep
			}()
		}
		for range 3 {
			bus.put(t, "7E0#0101")
			(<-accepted).Close()
		}
	})
}

func TestBusErrorWakesEveryAccept(t *testing.T) {
	inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
		var results []<-chan error
		for range 3 {
			_, result := startAccept(l)
			results = append(results, result)
		}
		bus.in <- input{err: errBroken}
		for _, result := range results {
			wantResult(t, result, errBroken)
		}
		if _, err := l.Accept(); !isFailed(err, errBroken) {
			t.Errorf("Accept: %v", err)
		}
	})
}

func TestWhatCameBeforeTheBusErrorIsAccepted(t *testing.T) {
	inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
		bus.in <- input{frames(parse(t, "7E0#0101")), errBroken}
		synctest.Wait()
		ep := accept(t, l)
		if got, err := receive(ep); err != nil || got[0] != 1 {
			t.Errorf("received % X, %v", got, err)
		}
		if _, err := receive(ep); !isFailed(err, errBroken) {
			t.Errorf("Receive: %v", err)
		}
		if _, err := l.Accept(); !isFailed(err, errBroken) {
			t.Errorf("Accept: %v", err)
		}
	})
}

// failToWrite has the bus tell a write that its adapter is gone, which ends the Mux before its
// reader has noticed.
func failToWrite(t *testing.T, bus *fakeBus, m *Mux) {
	t.Helper()
	bus.setWrite(func([]canbus.Frame) (int, error) { return 0, &canbus.GoneError{Bus: "a bus", Err: errBroken} })
	ep := attach(t, m, pair(0x700, 0x708))
	wantResult(t, startSend(ep, []byte{1}), errBroken)
	ep.Close()
}

// What the reader had read by then makes no endpoint, which nothing would tell of the end.
func TestNoEndpointIsMadeOnceTheBusHasFailedToWrite(t *testing.T) {
	t.Run("Listener", func(t *testing.T) {
		inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
			failToWrite(t, bus, m)
			bus.put(t, "7E0#0101")
			if _, err := l.Accept(); !isFailed(err, errBroken) {
				t.Errorf("Accept: %v", err)
			}
			if m.endpoints != nil {
				t.Error("an endpoint was made")
			}
		})
	})
	t.Run("Peers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newFakeBus()
			m := own(t, bus)
			p := peersOf(t, m, pair(0x7E8, 0x7E0))
			failToWrite(t, bus, m)
			bus.put(t, "7E0#0101")
			if _, err := p.Receive(make([]byte, 8), false); !isFailed(err, errBroken) {
				t.Errorf("Receive: %v", err)
			}
			if s := p.Stats(); s.Made != 0 {
				t.Errorf("%d endpoints were made", s.Made)
			}
		})
	})
}

func TestAcceptDeadline(t *testing.T) {
	inListenerBubble(t, func(t *testing.T, bus *fakeBus, m *Mux, l *Listener) {
		begun := time.Now()
		l.SetDeadline(begun.Add(time.Second))
		for range 3 {
			if _, err := l.Accept(); err != os.ErrDeadlineExceeded {
				t.Errorf("Accept: %v", err)
			}
		}
		if d := time.Since(begun); d != time.Second {
			t.Errorf("it took %v", d)
		}
		bus.put(t, "7E0#0101")
		if _, err := l.Accept(); err != os.ErrDeadlineExceeded {
			t.Errorf("past the deadline, with one waiting: %v", err)
		}
		l.SetDeadline(time.Time{})
		accept(t, l)

		_, result := startAccept(l)
		wantWaiting(t, result)
		l.SetDeadline(time.Now())
		wantResult(t, result, os.ErrDeadlineExceeded)
	})
}

// Users with a deadline that keep closing and dialling must not lose a wake-up.
func TestAcceptsAndClosesAtOnce(t *testing.T) {
	for range 200 {
		bus := newFakeBus()
		m, release := Own(bus)
		l := listen(t, m, pair(0x7E8, 0x7E0))
		results := make(chan error)
		for range 4 {
			go func() {
				_, err := l.Accept()
				results <- err
			}()
		}
		go l.SetDeadline(time.Time{})
		go l.SetDeadline(time.Now().Add(time.Hour))
		go l.Close()
		for range 4 {
			if err := <-results; err != net.ErrClosed {
				t.Errorf("Accept: %v", err)
			}
		}
		release()
	}
}

func TestListenOnADeadBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		bus.in <- input{err: errBroken}
		synctest.Wait()
		if _, err := m.Listen([]*Spec{pair(0x7E8, 0x7E0)}, 128, func(*Endpoint) {}); err != errBroken {
			t.Errorf("Listen: %v", err)
		}
		if _, err := m.Attach(pair(0x7E8, 0x7E0), func(*Endpoint) {}); err != errBroken {
			t.Errorf("Attach: %v", err)
		}
	})
}

func TestAClosedListenerLeavesNoRoutes(t *testing.T) {
	m := own(t, newFakeBus())
	l := listen(t, m, pair(0x7E8, 0x7E0))
	l.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.routes.hosts != 0 {
		t.Errorf("%d routes of hosts are left", m.routes.hosts)
	}
}
