// Package wiretest simulates a CAN bus behind an adapter: a controller with a queue of its
// own, which refuses frames, loses frames that it has no room for, and stops at once when
// it is closed. It is for tests of programs that use buses. In a testing/synctest bubble it
// goes by the bubble's clock.
//
//	wire, err := wiretest.New(virtual.Options{Bitrate: 500_000, QueueLen: 16})
//	a, err := wire.Adapter(wiretest.Options{Echo: wiretest.EchoAtHandover})
//	b, err := wire.Adapter(wiretest.Options{})
//
// The wire itself is that of package virtual: frames take exactly their time, see
// [canbus.WireTime].
package wiretest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

// A Wire is what adapters are on.
type Wire struct {
	network *virtual.Network
}

// New returns a new wire. In the options Bitrate must be above 0, and QueueLen is how many
// frames to be sent each adapter holds, with the one on the wire.
func New(o virtual.Options) (*Wire, error) {
	if o.Bitrate <= 0 {
		return nil, fmt.Errorf("wiretest: Bitrate is %d, it must be above 0", o.Bitrate)
	}
	network, err := virtual.New(o)
	if err != nil {
		return nil, err
	}
	return &Wire{network}, nil
}

// Network returns the virtual network that the wire is, so that others can join it.
func (w *Wire) Network() *virtual.Network { return w.network }

// Echo says when an adapter gives frames back that were written to it.
type Echo uint8

const (
	// NoEcho: never. What is refused is gone without a word.
	NoEcho Echo = iota
	// EchoAtHandover: when the adapter has taken them (see canbus.Properties).
	EchoAtHandover
	// EchoOnWire: when they have left the wire.
	EchoOnWire
)

// Options say what an adapter is like. The zero value is one that has no echoes, refuses
// and loses nothing, and has a Flush.
type Options struct {
	Echo Echo
	// Refuse, if not nil, is called for each frame that the adapter has taken, and
	// decides whether it will not send it. Where there are echoes the frame comes back
	// with Echo and Refused, in order with them. The goroutine that writes calls it.
	Refuse func(f *canbus.Frame) bool
	// ReceiveLen is how many frames may wait to be read; those beyond are lost and
	// counted in Dropped. Echoes are not. 0: any number.
	ReceiveLen int
	// NoFlush: the bus is no canbus.Flusher.
	NoFlush bool
}

// Adapter adds a bus to the wire: a [*Adapter], or with Options.NoFlush one without a
// Flush that holds it.
func (w *Wire) Adapter(o Options) (canbus.Bus, error) {
	tap, err := w.network.Tap()
	if err != nil {
		return nil, err
	}
	a := &Adapter{tap: tap, options: o}
	a.news.L = &a.mu
	go a.listen()
	if o.NoFlush {
		return &noFlusher{a}, nil
	}
	return a, nil
}

// A noFlusher is an adapter without a Flush.
type noFlusher struct{ flusher *Adapter }

func (n *noFlusher) ReadFrames(b []canbus.Frame) (int, error)  { return n.flusher.ReadFrames(b) }
func (n *noFlusher) WriteFrames(b []canbus.Frame) (int, error) { return n.flusher.WriteFrames(b) }
func (n *noFlusher) Close() error                              { return n.flusher.Close() }
func (n *noFlusher) Properties() canbus.Properties             { return n.flusher.Properties() }
func (n *noFlusher) Dropped() uint64                           { return n.flusher.Dropped() }

var (
	_ canbus.Describer   = (*Adapter)(nil)
	_ canbus.DropCounter = (*Adapter)(nil)
	_ canbus.Flusher     = (*Adapter)(nil)
)

// An Adapter is a [canbus.Bus].
type Adapter struct {
	tap     *virtual.Tap
	options Options

	mu   sync.Mutex
	news sync.Cond // any of the following has changed
	// pending are the frames taken that are not on the wire yet, and those refused
	// behind them.
	pending []pending
	settled uint64 // how many have been on the wire or refused
	// unread is what ReadFrames returns next; frames are those of it that are no echoes.
	unread  []canbus.Frame
	frames  int
	dropped uint64
	err     error // of the end
}

type pending struct {
	frame   canbus.Frame
	refused bool
}

// listen takes frames from the wire, whether there is a reader or not.
func (a *Adapter) listen() {
	frames := make([]canbus.Frame, 64)
	for {
		n, err := a.tap.ReadFrames(frames)
		a.mu.Lock()
		for _, f := range frames[:n] {
			if f.Has(canbus.Echo) {
				a.left(f)
			} else {
				a.received(f)
			}
		}
		if err != nil && a.err == nil {
			a.err = err
		}
		a.news.Broadcast()
		a.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// left is called when a frame has left the wire. Under mu.
func (a *Adapter) left(echo canbus.Frame) {
	// A tap sends its frames in order; those before went with a controller off the bus.
	sent := echo
	sent.Strip()
	for found := false; !found && len(a.pending) > 0; {
		found = !a.pending[0].refused && a.pending[0].frame == sent
		a.pending = a.pending[1:]
		a.settled++
	}
	if a.options.Echo == EchoOnWire {
		a.unread = append(a.unread, echo)
	}
	a.refuse()
}

// refuse gives the frames back that are refused and next. Under mu.
func (a *Adapter) refuse() {
	for len(a.pending) > 0 && a.pending[0].refused {
		if a.options.Echo == EchoOnWire {
			a.answer(a.pending[0])
		}
		a.pending = a.pending[1:]
		a.settled++
	}
}

// answer gives a frame back. Under mu.
func (a *Adapter) answer(p pending) {
	f := p.frame
	f.Flags |= canbus.Echo
	if p.refused {
		f.Flags |= canbus.Refused
	}
	a.unread = append(a.unread, f)
}

// received takes another's frame. Under mu.
func (a *Adapter) received(f canbus.Frame) {
	if limit := a.options.ReceiveLen; limit > 0 && !f.Has(canbus.ErrorFrame) {
		if a.frames >= limit {
			a.dropped++
			return
		}
	}
	a.frames++
	a.unread = append(a.unread, f)
}

// ReadFrames implements [canbus.Bus].
func (a *Adapter) ReadFrames(b []canbus.Frame) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.unread) == 0 && a.err == nil && len(b) > 0 {
		a.news.Wait()
	}
	if a.err != nil {
		return 0, a.err
	}
	n := copy(b, a.unread)
	a.unread = slices.Delete(a.unread, 0, n)
	for _, f := range b[:n] {
		if !f.Has(canbus.Echo) {
			a.frames--
		}
	}
	return n, nil
}

// WriteFrames implements [canbus.Bus]. It waits while the adapter's queue is full.
func (a *Adapter) WriteFrames(b []canbus.Frame) (n int, err error) {
	for i := range b {
		if err := a.write(b[i]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func (a *Adapter) write(f canbus.Frame) error {
	f.Strip()
	clear(f.Data[min(int(f.Len), canbus.MaxLen):])
	if err := f.Validate(); err != nil {
		return err
	}
	if !a.Properties().FD && f.Has(canbus.FD) {
		return errors.New("wiretest: a CAN FD frame on a classic CAN bus")
	}
	p := pending{f, a.options.Refuse != nil && a.options.Refuse(&f)}
	a.mu.Lock()
	if a.err != nil {
		defer a.mu.Unlock()
		return a.err
	}
	a.pending = append(a.pending, p) // before its echo can come
	a.mu.Unlock()
	var err error
	if !p.refused {
		_, err = a.tap.WriteFrames([]canbus.Frame{f})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.news.Broadcast()
	if err != nil {
		a.pending = a.pending[:len(a.pending)-1]
		return err
	}
	if a.options.Echo == EchoAtHandover {
		a.answer(p)
	}
	a.refuse()
	return nil
}

// Flush implements [canbus.Flusher].
func (a *Adapter) Flush(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.news.Broadcast()
	})()
	a.mu.Lock()
	defer a.mu.Unlock()
	until := a.settled + uint64(len(a.pending))
	for a.err == nil && a.settled < until && ctx.Err() == nil {
		a.news.Wait()
	}
	switch {
	case a.err != nil:
		return a.err
	case a.settled < until:
		return ctx.Err()
	}
	return nil
}

// Close implements [canbus.Bus]: the adapter stops at once. What is in its queue, the
// frame on the wire too, is lost.
func (a *Adapter) Close() error {
	a.mu.Lock()
	a.err = net.ErrClosed
	a.news.Broadcast()
	a.mu.Unlock()
	return a.tap.Close()
}

// Properties implements [canbus.Describer].
func (a *Adapter) Properties() canbus.Properties {
	p := a.tap.Properties()
	p.Echo = a.options.Echo != NoEcho
	p.EchoAtHandover = a.options.Echo == EchoAtHandover
	return p
}

// Dropped implements [canbus.DropCounter].
func (a *Adapter) Dropped() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dropped
}
