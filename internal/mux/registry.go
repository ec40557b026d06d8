package mux

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/netns"
)

// registry finds the Mux that serves a bus in this process: all callers that
// name the same bus share it, and so do all that bring the same Bus value.
var registry = struct {
	sync.Mutex
	named map[string]*named // by the bus's identity
	given map[canbus.Bus]*Mux
}{
	named: make(map[string]*named),
	given: make(map[canbus.Bus]*Mux),
}

// named is a bus that was opened here, and is closed with its last user. It may take
// long to open. Then all users wait for the same opening, and the last one that stops
// waiting cancels it.
type named struct {
	id    string // see canbus.Identity
	users int    // under the registry's lock, as closing
	// closing: it is being closed, or its opening is canceled, and newcomers wait for
	// closed before they open it anew. A serial line, for one, cannot be open twice.
	closing bool
	closed  chan struct{}
	cancel  context.CancelFunc // ends the opening
	opened  chan struct{}      // closed when the rest is set
	mux     *Mux               // nil if it cannot be opened
	err     error
	// canceled: err is that of a context that has ended. It is not the error of users
	// whose own context has not.
	canceled bool
}

// Open returns the Mux of the bus of that name, and a function that must be
// called when it is no longer needed. For the last user it waits until what was written
// is on the wire, and returns what is in doubt: see canbus.Flusher.
//
// When ctx ends first, Open returns ctx.Err() at once, and the bus stays for others that
// wait for it. On a thread in a network namespace of its own it returns when the driver
// does.
func Open(ctx context.Context, name string) (m *Mux, release func() error, err error) {
	for {
		b, first, err := join(ctx, canbus.Identity(name))
		if err != nil {
			return nil, nil, err
		}
		if first {
			b.startOpening(ctx, name)
		}
		release := sync.OnceValue(b.release)
		err = b.await(ctx)
		if err == nil {
			return b.mux, release, nil
		}
		release()
		if !b.isCanceled() || ctx.Err() != nil {
			return nil, nil, err
		}
	}
}

// join makes the caller a user of the bus, the first one perhaps. It waits while the bus is
// being closed.
func join(ctx context.Context, id string) (b *named, first bool, err error) {
	registry.Lock()
	defer registry.Unlock()
	for b = registry.named[id]; b != nil && b.closing; b = registry.named[id] {
		registry.Unlock()
		select {
		case <-b.closed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		registry.Lock()
		if err != nil {
			return nil, false, err
		}
	}
	if first = b == nil; first {
		b = &named{id: id, opened: make(chan struct{}), closed: make(chan struct{})}
		registry.named[id] = b
	}
	b.users++
	return b, first, nil
}

// startOpening has the bus opened, by a goroutine of its own if it can be that of any
// thread: then it goes on when ctx ends, for others.
func (b *named) startOpening(ctx context.Context, name string) {
	if ctx.Done() == nil || netns.Away() { // another thread may open another bus
		b.open(ctx, name)
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	registry.Lock()
	b.cancel = cancel
	registry.Unlock()
	go func() {
		defer cancel()
		b.open(ctx, name)
	}()
}

// await waits until the bus is open.
func (b *named) await(ctx context.Context) error {
	select {
	case <-b.opened:
		if b.canceled && ctx.Err() != nil {
			return ctx.Err()
		}
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open opens the bus, without the registry's lock.
func (b *named) open(ctx context.Context, name string) {
	bus, err := canbus.Open(ctx, name)
	if err == nil {
		// Once its reader has ended, a bus is of no use to newcomers.
		b.mux = newMux(bus, false, b.remove)
		if !b.mux.props.InProcess {
			b.mux.id = b.id
		}
	}
	b.err = err
	b.canceled = err != nil && ctx.Err() != nil
	registry.Lock()
	close(b.opened)
	unused := b.closing
	if err != nil {
		b.forget() // the next one tries again
	}
	registry.Unlock()
	if unused {
		b.close()
		b.remove()
		close(b.closed)
	}
}

// isOpened reports whether the opening has ended.
func (b *named) isOpened() bool {
	select {
	case <-b.opened:
		return true
	default:
		return false
	}
}

// isOpen reports whether the rest is set, with a Mux.
func (b *named) isOpen() bool { return b.isOpened() && b.mux != nil }

// isCanceled reports whether the opening has ended because it was canceled.
func (b *named) isCanceled() bool { return b.isOpened() && b.canceled }

func (b *named) release() error {
	registry.Lock()
	b.users--
	opened := b.isOpened()
	failed := opened && b.mux == nil
	last := b.users == 0 && !failed
	b.closing = last
	registry.Unlock()
	switch {
	case !last:
		return nil
	case !opened:
		b.cancel() // open sees to the rest
		return nil
	}
	err := b.mux.flush()
	b.mux.leaveDebts() // before the bus can be opened anew
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

// On returns the Mux of a bus that the caller has opened and will close. A caller that
// adds neither an endpoint nor a listener calls Begin.
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

// Own returns a new Mux for a bus that no other caller has, and whose io.EOF is the
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
