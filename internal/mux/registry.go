package mux

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"example.com/isotp/canbus"
)

// registry finds the Mux that serves a bus in this process: all who name the same
// bus share it, and so do all who bring the same Bus value.
var registry = struct {
	sync.Mutex
	named map[string]*named
	given map[canbus.Bus]*Mux
}{
	named: make(map[string]*named),
	given: make(map[canbus.Bus]*Mux),
}

// named is a bus that was opened here, and is closed with its last user.
type named struct {
	once   sync.Once // opens it, without the registry's lock: that may take long
	opened atomic.Bool
	mux    *Mux // once it is opened
	err    error
	users  int
}

// Open returns the Mux of the bus of that name, and a function that must be
// called when it is no longer needed.
func Open(name string) (m *Mux, release func(), err error) {
	registry.Lock()
	b := registry.named[name]
	if b == nil {
		b = new(named)
		registry.named[name] = b
	}
	b.users++
	registry.Unlock()

	b.once.Do(func() {
		bus, err := canbus.Open(name)
		if err != nil {
			b.err = err
			return
		}
		// Once its reader has ended, a bus is of no use to newcomers.
		b.mux = newMux(bus, false, func() { b.remove(name) })
		if !b.mux.props.InProcess {
			b.mux.name = name
		}
		b.opened.Store(true)
	})
	release = sync.OnceFunc(func() { b.release(name) })
	if b.err != nil {
		release()
		return nil, nil, b.err
	}
	return b.mux, release, nil
}

func (b *named) release(name string) {
	registry.Lock()
	b.users--
	last := b.users == 0
	if last && registry.named[name] == b {
		delete(registry.named, name)
	}
	registry.Unlock()
	if last && b.mux != nil {
		b.mux.end()
		b.mux.bus.Close()
		b.mux.Begin()
	}
}

func (b *named) remove(name string) {
	registry.Lock()
	defer registry.Unlock()
	if registry.named[name] == b {
		delete(registry.named, name)
	}
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
