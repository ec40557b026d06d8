package canbus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

var (
	driversMu sync.Mutex
	drivers   = make(map[string]func(address string) (Bus, error))
)

// Register makes a driver known to [Open] under a scheme, the part of a bus's
// name before its first colon; the driver's open function gets the part after
// it. The empty scheme serves names without a colon. Register is for the init
// functions of drivers and panics if the scheme is taken.
func Register(scheme string, open func(address string) (Bus, error)) {
	driversMu.Lock()
	defer driversMu.Unlock()
	if _, taken := drivers[scheme]; taken {
		panic("canbus: Register called twice for scheme " + scheme)
	}
	drivers[scheme] = open
}

// Open opens the bus of that name: "virtual:NAME", or what another imported
// driver has registered. Each call returns a Bus of its own on the same wire.
func Open(name string) (Bus, error) {
	scheme, address, found := strings.Cut(name, ":")
	if !found {
		scheme, address = "", name
	}
	driversMu.Lock()
	open := drivers[scheme]
	known := slices.Sorted(maps.Keys(drivers))
	driversMu.Unlock()
	if open == nil {
		return nil, &UnknownBusError{Name: name, Schemes: known}
	}
	return open(address)
}

// UnknownBusError is what [Open] returns for a name that no imported driver
// knows.
type UnknownBusError struct {
	Name    string   // the bus's name
	Schemes []string // the schemes that are known
}

func (e *UnknownBusError) Error() string {
	known := make([]string, len(e.Schemes))
	for i, scheme := range e.Schemes {
		if known[i] = scheme + ":"; scheme == "" {
			known[i] = "names without a colon"
		}
	}
	if len(known) == 0 {
		known = []string{"none"}
	}
	return fmt.Sprintf("canbus: no driver for bus %q (known: %s); is the driver's package imported?",
		e.Name, strings.Join(known, ", "))
}
