package cannelloni

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/netns"
)

func init() {
	canbus.Register("cannelloni", func(ctx context.Context, name string) (canbus.Bus, error) {
		return Open(ctx, name)
	})
	canbus.RegisterIdentity("cannelloni", identity)
}

// identity is what a name means, in the network namespace where that is.
func identity(name string) string {
	if a, err := parseAddress(name); err == nil {
		name = fmt.Sprintf("%+v", *a)
	}
	return "cannelloni:" + name + " in " + netns.Current()
}

// Open opens this end of a tunnel, as in the package's documentation without "cannelloni:":
// "udp:192.168.0.2:20000". The bus is a [*UDP] or a [*TCP].
//
// A peer of TCP has 10 s to be reached, and 10 s to begin as the protocol wants it. As a
// server Open waits for a client until ctx ends. The error is ctx.Err() to errors.Is then.
func Open(ctx context.Context, name string) (canbus.Bus, error) {
	a, err := parseAddress(name)
	if err != nil {
		return nil, &canbus.NameError{Err: err}
	}
	return open(ctx, a)
}

func open(ctx context.Context, a *address) (bus canbus.Bus, err error) {
	switch a.transport {
	case transportUDP:
		bus, err = openUDP(ctx, a)
	case transportTCP:
		bus, err = dialTCP(ctx, a)
	default:
		bus, err = acceptTCP(ctx, a)
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // and not what it has caused
	}
	if err != nil {
		return nil, fmt.Errorf("cannelloni: open %v: %w", a, err)
	}
	return bus, nil
}

// leftOut counts what a bus has left out for one reason. The first is logged.
type leftOut struct {
	count  atomic.Uint64
	logged sync.Once
}

func (l *leftOut) add(message string, args ...any) {
	l.count.Add(1)
	l.logged.Do(func() { slog.Warn("cannelloni: "+message, args...) })
}
