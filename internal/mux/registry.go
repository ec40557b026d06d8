package mux

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/netns"
)

// registry finds the Mux that serves a bus in this process: all who name the same
// bus share it, and so do all who bring the same Bus value.
var registry = struct {
	sync.Mutex
	named map[string]*named // by the bus's identity
	given map[canbus.Bus]*Mux
}{
	named: make(map[string]*named),
	given: make(map[canbus.Bus]*Mux),
}

// named is a bus that was opened here, and is closed with its last user. It may take
// long to open. Then all who name it wait for the same attempt, those too who come after
// others have given up, and no more than one goroutine is at it.
type named struct {
	id     string        // see canbus.Identity
	users  int           // under the registry's lock
	opened chan struct{} // closed when the rest is set
	mux    *Mux          // nil if it cannot be opened
	err    error
}

// Open returns the Mux of the bus of that name, and a function that must be
// called when it is no longer needed. The context bounds the wait: a bus that is open
// too late is closed, unless somebody else waits for it. Only on a thread in a network
// namespace of its own the driver may take as long as it likes.
func Open(ctx context.Context, name string) (m *Mux, release func(), err error) {
	id := canbus.Identity(name)
	registry.Lock()
	b := registry.named[id]
	first := b == nil
	if first {
		b = &named{id: id, opened: make(chan struct{})}
		registry.named[id] = b
	}
	b.users++
	registry.Unlock()

	switch {
	case !first:
	case ctx.Done() == nil || netns.Away(): // another goroutine would open another bus
		b.open(name)
	default:
		go b.open(name)
	}
	release = sync.OnceFunc(b.release)
	select {
	case <-b.opened:
		err = b.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return b.mux, release, nil
}

// open opens the bus, without the registry's lock.
func (b *named) open(name string) {
	bus, err := canbus.Open(name)
	if err == nil {
		// Once its reader has ended, a bus is of no use to newcomers.
		b.mux = newMux(bus, false, b.remove)
		if !b.mux.props.InProcess {
			b.mux.id = b.id
		}
	}
	b.err = err
	registry.Lock()
	close(b.opened)
	unused := b.users == 0
	if unused || err != nil {
		b.forget() // the next one tries again
	}
	registry.Unlock()
	if unused {
		b.close()
	}
}

// isOpen reports whether the rest is set, with a Mux.
func (b *named) isOpen() bool {
	select {
	case <-b.opened:
		return b.mux != nil
	default:
		return false
	}
}

func (b *named) release() {
	registry.Lock()
	b.users--
	last := b.users == 0 && b.isOpen() // else open sees to the rest
	if last {
		b.mux.leaveDebts() // before anybody can open the bus anew
		b.forget()
	}
	registry.Unlock()
	if last {
		b.close()
	}
}

func (b *named) close() {
	if b.mux != nil {
		b.mux.bus.Close()
		b.mux.Begin()
	}
}

// forget has the bus opened anew. Under the registry's lock.
func (b *named) forget() {
	if registry.named[b.id] == b {
		delete(registry.named, b.id)
	}
}

func (b *named) remove() {
	registry.Lock()
	defer registry.Unlock()
	b.forget()
}

// On returns the Mux of a bus that the caller has opened and will close. Who does not
// come to listen on it calls Begin.
func On(bus canbus.Bus) (*Mux, error) {
	if !reflect.ValueOf(bus).Comparable() {
		return nil, fmt.Errorf("a %T cannot be compared with other buses; use a pointer", bus)
	}
	registry.Lock()
	defer registry.Unlock()
	m := registry.given[bus]
	if m == nil {
		m = newMux(bus, false, func() {
			registry.Lock()
			defer registry.Unlock()
			delete(registry.given, bus)
		})
		registry.given[bus] = m
	}
	return m, nil
}

// Own returns a new Mux for a bus that nobody else has, and whose io.EOF is the
// other end's Close. Release closes it.
func Own(bus canbus.Bus) (m *Mux, release func()) {
	m = newMux(bus, true, func() {})
	return m, func() { bus.Close(); m.Begin() }
}
