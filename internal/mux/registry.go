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
	id    string // see canbus.Identity
	users int    // under the registry's lock, as closing
	// closing: it is being closed, and newcomers wait for closed before they open it
	// anew. A serial line, for one, cannot be open twice.
	closing bool
	closed  chan struct{}
	opened  chan struct{} // closed when the rest is set
	mux     *Mux          // nil if it cannot be opened
	err     error
}

// Open returns the Mux of the bus of that name, and a function that must be
// called when it is no longer needed. For the last user it waits until what was written
// is on the wire, and returns what is in doubt: see canbus.Flusher. The context bounds the wait: a bus that is open
// too late is closed, unless somebody else waits for it. Only on a thread in a network
// namespace of its own the driver may take as long as it likes.
func Open(ctx context.Context, name string) (m *Mux, release func() error, err error) {
	id := canbus.Identity(name)
	registry.Lock()
	b := registry.named[id]
	for b != nil && b.closing {
		registry.Unlock()
		select {
		case <-b.closed:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		registry.Lock()
		b = registry.named[id]
	}
	first := b == nil
	if first {
		b = &named{id: id, opened: make(chan struct{}), closed: make(chan struct{})}
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
	release = sync.OnceValue(b.release)
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

func (b *named) release() error {
	registry.Lock()
	b.users--
	last := b.users == 0 && b.isOpen() // else open sees to the rest
	b.closing = last
	registry.Unlock()
	if !last {
		return nil
	}
	err := b.mux.flush()
	b.mux.leaveDebts() // before anybody can open the bus anew
	b.close()
	b.remove()
	close(b.closed)
	return err
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
// other end's Close. Release closes it, when all is on the wire.
func Own(bus canbus.Bus) (m *Mux, release func() error) {
	m = newMux(bus, true, func() {})
	return m, func() error {
		err := m.flush()
		bus.Close()
		m.Begin()
		return err
	}
}
