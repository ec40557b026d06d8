package mux

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// meanings are what the names of the scheme "muxmeans" mean at the moment.
var meanings sync.Map

func init() {
	canbus.Register("muxmeans", func(context.Context, string) (canbus.Bus, error) { return newFakeBus(), nil })
	canbus.RegisterIdentity("muxmeans", func(address string) string {
		id, _ := meanings.Load(address)
		return id.(string)
	})
}

func TestABusIsFoundByWhatItsNameMeans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meanings.Store("can0", "interface 3")
		first, release := open(t, "muxmeans:can0")
		defer release()

		// It gets another name, and another one gets its name.
		meanings.Store("can0", "interface 4")
		meanings.Store("can9", "interface 3")
		renamed, release := open(t, "muxmeans:can9")
		defer release()
		second, release := open(t, "muxmeans:can0")
		defer release()
		if renamed != first {
			t.Error("the new name has another bus")
		}
		if second == first {
			t.Error("the old name still has the first bus, although it means another one")
		}
	})
}

func TestABusWithAnotherNameIsClosedWithItsLastUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meanings.Store("can0", "interface 3")
		m, release := open(t, "muxmeans:can0")
		meanings.Store("can0", "interface 4")
		release()
		if bus := m.bus.(*fakeBus); !bus.isClosed() {
			t.Error("the bus was not closed")
		}
		registry.Lock()
		defer registry.Unlock()
		if len(registry.named) > 0 {
			t.Errorf("left in the registry: %v", registry.named)
		}
	})
}

func TestADebtIsThatOfABusAndNotOfItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		send, listen := wire.Address{ID: 0x7E0}, wire.Address{ID: 0x7E8}
		Owe("interface 3", send, listen, time.Now().Add(time.Second))
		owed := func(id string) bool {
			meanings.Store("can0", id)
			m, release := open(t, "muxmeans:can0")
			defer release()
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.takeDebt(send, listen, time.Second) != nil
		}
		if owed("interface 4") {
			t.Error("another bus of the same name has the debt")
		}
		if !owed("interface 3") {
			t.Error("the bus does not have it")
		}
	})
}
