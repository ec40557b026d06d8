package canbus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

var (
	driversMu  sync.Mutex
	drivers    = make(map[string]func(ctx context.Context, address string) (Bus, error))
	identities = make(map[string]func(address string) string)
)

// Register makes a driver known to [Open] under a scheme, the part of a bus's
// name before its first colon; the driver's open function gets the part after
// it. The empty scheme serves names without a colon. Register is for the init
// functions of drivers and panics if the scheme is taken. A driver begins with the sample in
// this package's comment; canbus/bustest tests whether it keeps the contract of a [Bus]. The
// drivers of this module are no samples for other modules, which cannot import the internal
// packages that they use.
//
// For an address that it cannot read, the open function returns a *[NameError].
//
// When ctx ends before the bus is open, the open function returns an error that is
// ctx.Err() to errors.Is, promptly, and leaves nothing open: no goroutine, no
// descriptor, no channel of an adapter. Once it has returned, ctx means nothing any
// more to the bus.
func Register(scheme string, open func(ctx context.Context, address string) (Bus, error)) {
	driversMu.Lock()
	defer driversMu.Unlock()
	if _, taken := drivers[scheme]; taken {
		panic("canbus: Register called twice for scheme " + scheme)
	}
	drivers[scheme] = open
}

// Open opens the bus of that name: "virtual:NAME", or what another imported
// driver has registered. Each call returns a Bus of its own on the same wire.
// ctx bounds the opening, not the life of the bus: when it ends first, the error is
// ctx.Err() to errors.Is, and nothing stays open.
func Open(ctx context.Context, name string) (Bus, error) {
	scheme, address := SplitName(name)
	driversMu.Lock()
	open := drivers[scheme]
	known := slices.Sorted(maps.Keys(drivers))
	driversMu.Unlock()
	if open == nil {
		return nil, &UnknownBusError{Name: name, Schemes: known, Driver: driverOf(scheme)}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("canbus: open %s: %w", name, err)
	}
	bus, err := open(ctx, address)
	if opened, ok := ctx.Value(openedKey{}).(func(string, Bus) Bus); ok && err == nil {
		bus = opened(name, bus)
	}
	return bus, err
}

type openedKey struct{}

// WithOpened returns a context with which [Open] calls a function for each bus that it has
// opened, with its name, and returns the bus that the function returns: the same, or one that
// wraps it. So a program can watch or record the buses that a library opens for it, as
// isotpnet.Dialer.Dial and its listeners do on the backend isotp:user. A bus that isotpnet has
// open already is not opened anew. The function may be called by several goroutines at once.
func WithOpened(ctx context.Context, opened func(name string, bus Bus) Bus) context.Context {
	return context.WithValue(ctx, openedKey{}, opened)
}

// SplitName splits a bus's name at its first colon into the scheme, which finds the
// driver, and the address, which the driver gets. A name without a colon, or with nothing
// before it, has no scheme and is the address: that of a network interface.
func SplitName(name string) (scheme, address string) {
	scheme, address, _ = strings.Cut(name, ":")
	if scheme == "" || scheme == name {
		return "", name
	}
	return scheme, address
}

// packages are the drivers of this module. Package all imports them all.
var packages = map[string]string{
	"":           "socketcan",
	"candump":    "candump",
	"cannelloni": "cannelloni",
	"j2534":      "j2534",
	"kvaser":     "kvaser",
	"pcan":       "pcan",
	"slcan":      "slcan",
	"socketcand": "socketcand",
	"udp":        "udpmulticast",
	"virtual":    "virtual",
}

const root = "example.com/isotp/canbus/"

// driverOf returns the import path of the driver of this module that has a scheme; "" if
// there is none.
func driverOf(scheme string) string {
	if p := packages[scheme]; p != "" {
		return root + p
	}
	return ""
}

// RegisterIdentity is for drivers whose names alone do not tell which bus they mean: a
// network interface's name means another one in another network namespace, and an
// interface can get another name. The driver's function gets the address as open does,
// and returns a text that two names share while they mean the same bus, and no other
// scheme's has. It does not block. Like Register it is for init functions.
func RegisterIdentity(scheme string, identity func(address string) string) {
	driversMu.Lock()
	defer driversMu.Unlock()
	identities[scheme] = identity
}

// Identity returns a text that tells the bus which a name means, here and now, from all
// others: the name itself, unless its driver knows better (see [RegisterIdentity]).
// It is for programs that share the buses that [Open] returns. On Linux the answer depends
// on the network namespace of the calling thread, so call Open on the same thread.
func Identity(name string) string {
	scheme, address := SplitName(name)
	driversMu.Lock()
	identity := identities[scheme]
	driversMu.Unlock()
	if identity == nil {
		return name
	}
	return identity(address)
}

// NameError is what [Open] returns for a name that its driver cannot read: no bus of that
// kind can have it, whatever is connected.
type NameError struct {
	Err error // says what is wrong with the name, and what would be right
}

func (e *NameError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *NameError) Unwrap() error { return e.Err }

// UnknownBusError is what [Open] returns for a name that no imported driver
// knows.
type UnknownBusError struct {
	Name    string   // the bus's name
	Schemes []string // the schemes that are known
	Driver  string   // the import path of its driver; "" if this module has none
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
	remedy := "no driver of this module has that scheme"
	if e.Driver != "" {
		remedy = fmt.Sprintf("import _ %q, or _ %q for all drivers", e.Driver, root+"all")
	}
	return fmt.Sprintf("canbus: no driver for bus %q (known: %s): %s", e.Name, strings.Join(known, ", "), remedy)
}
