package mux

import (
	"fmt"
	"testing"
	"testing/synctest"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/internal/wire"
)

// forEachBus runs a test on buses that tell us what we sent and on others.
func forEachBus(t *testing.T, f func(t *testing.T, bus canbus.Bus)) {
	for name, newBus := range map[string]func(t *testing.T) canbus.Bus{
		"plain": func(*testing.T) canbus.Bus { return newFakeBus() },
		"try":   func(*testing.T) canbus.Bus { return tryBus{newFakeBus()} },
		"echo": func(*testing.T) canbus.Bus {
			bus := newEchoBus(0)
			bus.echoAll()
			return bus
		},
		"virtual":              func(t *testing.T) canbus.Bus { return virtualTaps(t, virtual.Options{}, 1)[0] },
		"virtual with echo":    func(t *testing.T) canbus.Bus { return virtualTaps(t, virtual.Options{Echo: true}, 1)[0] },
		"virtual at 500kbit/s": func(t *testing.T) canbus.Bus { return virtualTaps(t, virtual.Options{Bitrate: 500e3}, 1)[0] },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, newBus(t)) })
		})
	}
}

func TestEndpointsOfOneBusTalkToEachOther(t *testing.T) {
	forEachBus(t, func(t *testing.T, bus canbus.Bus) {
		m := own(t, bus)
		tester, ecu := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E8, 0x7E0))
		for _, n := range []int{1, 7, 8, 1000, 5000} {
			there, back := startReceive(ecu, message(n)), startReceive(tester, message(n/2+1))
			results := []<-chan error{startSend(tester, message(n)), startSend(ecu, message(n/2+1)), there, back}
			for i, result := range results {
				if err := <-result; err != nil {
					t.Errorf("%d bytes: result %d: %v", n, i, err)
				}
			}
		}
	})
}

func TestListenerHearsEndpointsOfItsBus(t *testing.T) {
	forEachBus(t, func(t *testing.T, bus canbus.Bus) {
		m := own(t, bus)
		l := listen(t, m, pair(0x7E8, 0x7E0))
		tester := attach(t, m, pair(0x7E0, 0x7E8))
		sent := startSend(tester, message(100))
		ep, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer ep.Close()
		wantResult(t, startReceive(ep, message(100)), nil)
		wantResult(t, sent, nil)
	})
}

func TestListenerOnlyHearsBothSidesOfItsBus(t *testing.T) {
	forEachBus(t, func(t *testing.T, bus canbus.Bus) {
		m := own(t, bus)
		tester, ecu := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E8, 0x7E0))
		s := pair(0x7E0, 0x7E8)
		s.Config.ListenOnly = true
		spy := attach(t, m, s)
		heard := startReceive(spy, message(50))
		results := []<-chan error{startReceive(tester, message(50)), startSend(ecu, message(50)), heard}
		for i, result := range results {
			if err := <-result; err != nil {
				t.Errorf("result %d: %v", i, err)
			}
		}
		if n := spy.Stats().FramesSent; n != 0 {
			t.Errorf("%d frames sent", n)
		}
	})
}

func TestFunctionalRequestReachesAllEndpointsOfItsBus(t *testing.T) {
	forEachBus(t, func(t *testing.T, bus canbus.Bus) {
		m := own(t, bus)
		tester := attach(t, m, pair(0x7E0, 0x7E8))
		var received []<-chan error
		for i := range uint32(3) {
			s := pair(0x7E8+i, 0x7E0+i)
			s.Functional = []wire.Address{*addr(0x7DF)}
			received = append(received, startReceive(attach(t, m, s), []byte{0x3E, 0}))
		}
		if err := group(t, m, tester).Send([]byte{0x3E, 0}); err != nil {
			t.Fatal(err)
		}
		for i, result := range received {
			if err := <-result; err != nil {
				t.Errorf("endpoint %d: %v", i, err)
			}
		}
	})
}

// Sending where it listens makes no sense, but an endpoint must not take its own
// frames for those of a peer.
func TestEndpointNeverHearsItself(t *testing.T) {
	forEachBus(t, func(t *testing.T, bus canbus.Bus) {
		m := own(t, bus)
		s := pair(0x7E0, 0x7E0)
		s.Functional = []wire.Address{*addr(0x7E0)}
		ep := attach(t, m, s)
		attach(t, m, pair(0x7E1, 0x7E9)) // so that frames are looped back
		if err := send(ep, []byte{1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := ep.Stats().FramesReceived; n != 0 {
			t.Errorf("%d frames received", n)
		}
	})
}

func TestEndpointDoesNotHearItsLateEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E0))
		if err := send(ep, []byte{1}); err != timeoutA {
			t.Fatalf("Send: %v", err)
		}
		bus.echo(t, "7E0#0101")
		if n := ep.Stats().FramesReceived; n != 0 {
			t.Errorf("%d frames received", n)
		}
	})
}

func TestManyPairsOnOneBus(t *testing.T) {
	forEachBus(t, func(t *testing.T, bus canbus.Bus) {
		m := own(t, bus)
		var results []<-chan error
		var names []string
		for i := range uint32(20) {
			a, b := attach(t, m, pair(0x100+i, 0x500+i)), attach(t, m, pair(0x500+i, 0x100+i))
			results = append(results,
				startReceive(a, message(200+int(i))), startReceive(b, message(300+int(i))),
				startSend(b, message(200+int(i))), startSend(a, message(300+int(i))))
			for _, what := range []string{"receive", "receive back", "send back", "send"} {
				names = append(names, fmt.Sprintf("%s of pair %d", what, i))
			}
		}
		for i, result := range results {
			if err := <-result; err != nil {
				t.Errorf("%s: %v", names[i], err)
			}
		}
	})
}
