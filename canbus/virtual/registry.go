package virtual

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"example.com/isotp/canbus"
)

// registry holds the networks that have a name.
var registry struct {
	// mu is locked before any Network.mu.
	mu       sync.Mutex
	networks map[string]*Network
}

func init() {
	registry.networks = make(map[string]*Network)
	canbus.Register("virtual", func(_ context.Context, name string) (canbus.Bus, error) {
		t, err := Open(name)
		if err != nil {
			return nil, err
		}
		return t, nil
	})
}

var errNoName = &canbus.NameError{Err: errors.New(`virtual: a bus needs a name, as in "virtual:demo"`)}

// Create makes a network that [Open] and canbus.Open of "virtual:NAME" join. It
// fails if there is one of that name. The name is free again after Close of the
// network and of its last tap.
func Create(name string, o Options) (*Network, error) {
	if name == "" {
		return nil, errNoName
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.networks[name] != nil {
		return nil, fmt.Errorf("virtual: there is a network %q already (close it and its taps first)", name)
	}
	n, err := newNetwork(name, o)
	if err != nil {
		return nil, err
	}
	registry.networks[name] = n
	return n, nil
}

// Open joins the network of that name, as [Network.Tap] does. Where there is
// none it makes an ideal one, which vanishes with its last tap.
func Open(name string) (*Tap, error) { return openNamed(name, false) }

// Observe is [Open] with a tap that never holds the network up, as
// [Network.Observe] makes them.
func Observe(name string) (*Tap, error) { return openNamed(name, true) }

func openNamed(name string, observer bool) (*Tap, error) {
	if name == "" {
		return nil, errNoName
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	n := registry.networks[name]
	if n == nil {
		var err error
		if n, err = newNetwork(name, Options{}); err != nil {
			return nil, err
		}
		n.closed = true // only its taps hold it
		registry.networks[name] = n
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.join(observer), nil
}

// forget removes the network's name if it is closed and has no taps. It is called with
// both locks held.
func (n *Network) forget() {
	if n.closed && len(n.taps) == 0 && registry.networks[n.name] == n {
		delete(registry.networks, n.name)
	}
}
