package mux

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"example.com/isotp/canbus"
)

var errDown = canbus.Temporary(os.NewSyscallError("read", syscall.ENETDOWN))

// fail has ReadFrames return an error.
func (b *fakeBus) fail(err error) {
	b.in <- input{nil, err}
	synctest.Wait()
}

func TestReadersAreToldOnceThatTheNetworkIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		m := own(t, bus)
		a, b := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
		waits := startReceive(a, nil)
		bus.fail(errDown)
		wantResult(t, waits, syscall.ENETDOWN)
		wantResult(t, start(func() error { _, err := b.Await(); return err }), syscall.ENETDOWN)

		// It is up again.
		late := attach(t, m, pair(0x7E2, 0x7EA))
		results := []<-chan error{startReceive(a, []byte{1}), startReceive(b, []byte{2}), startReceive(late, []byte{3})}
		wantWaiting(t, results...)
		bus.put(t, "7E8#0101", "7E9#0102", "7EA#0103")
		for _, result := range results {
			wantResult(t, result, nil)
		}
	})
}

func TestPeersAreToldOnceThatTheNetworkIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		p, err := own(t, bus).Peers([]*Spec{pair(0x7E0, 0x7E8)}, 1, func(*Endpoint) {})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		receive := func() error { _, err := p.Receive(make([]byte, 10), false); return err }
		result := start(receive)
		bus.fail(errDown)
		wantResult(t, result, syscall.ENETDOWN)
		wantWaiting(t, start(receive))
	})
}

func TestOtherErrorsThatPassAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		result := startReceive(attach(t, own(t, bus), pair(0x7E0, 0x7E8)), nil)
		bus.fail(canbus.Temporary(errors.New("a bad line")))
		wantWaiting(t, result)
	})
}
