package mux

import (
	"os"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// Flow controls that peers owe (see engine.Debt) outlive the endpoints that they are
// owed to: the pair of addresses has to remember. While a pair has an endpoint its
// engine has the debt; then the Mux, which goes on listening for the flow control; and
// when the bus is closed here but lives on, leftDebts.

// A pairKey names a pair of addresses, however it is written: the same identifier is
// heard with any priority by one address, and with one by another.
type pairKey struct{ send, listen wire.Address }

func newPairKey(send, listen wire.Address) pairKey {
	return pairKey{send.WithoutPriority(), listen.WithoutPriority()}
}

// A pairDebt is that of a pair without an endpoint.
type pairDebt struct {
	*engine.Debt
	route route // on which the flow control would come
}

// keepDebt follows the end of an endpoint. Under mu.
func (m *Mux) keepDebt(now engine.Time, ep *Endpoint) {
	d := ep.engine.Debt(now)
	if d == nil {
		return
	}
	send, listen := ep.pair()
	key := newPairKey(send, listen)
	if m.err != nil {
		leaveDebt(m.id, key, m.Time(d.Until()))
		return
	}
	m.dropDebts(now, key)
	if m.debts == nil {
		m.debts = make(map[pairKey]pairDebt)
	}
	kept := pairDebt{d, route{addr: listen, role: owing, debt: d}}
	m.debts[key] = kept
	m.routes.add(kept.route)
}

// pair returns where the endpoint sends and where it hears its peer. Only those that do
// both are owed anything.
func (ep *Endpoint) pair() (send, listen wire.Address) {
	if ep.host != nil {
		return ep.host.pair(ep.index)
	}
	for _, rt := range ep.routes {
		if rt.role == physical {
			listen = rt.addr
		}
	}
	return ep.Format().Address, listen
}

// takeDebt returns the debt of a pair that gets an endpoint, nil if there is none.
// Under mu.
func (m *Mux) takeDebt(send, listen wire.Address, nbs time.Duration) *engine.Debt {
	key := newPairKey(send, listen)
	if until := takeLeftDebt(m.id, key); !until.IsZero() {
		return engine.NewDebt(engine.Time(until.Sub(m.epoch)), nbs)
	}
	d := m.debts[key].Debt
	m.dropDebts(m.now(), key)
	return d
}

// dropDebts forgets that of one pair and those that are over, and stops to listen for
// them. Under mu.
func (m *Mux) dropDebts(now engine.Time, one pairKey) {
	for key, d := range m.debts {
		if key == one || d.Over(now) {
			m.routes.remove(d.route)
			delete(m.debts, key)
		}
	}
}

// retryHeld follows the withdrawal of a frame, perhaps of an endpoint that is closed:
// another one of the pair may have waited for what it would have been answered. Under mu.
func (m *Mux) retryHeld(now engine.Time) {
	for ep := m.endpoints; ep != nil; ep = ep.next {
		if ep.engine.Held() {
			m.writer.enqueue(now, ep)
		}
	}
}

// leaveDebts follows the end of the Mux's last user, or of its bus.
func (m *Mux) leaveDebts() {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, d := range m.debts {
		if !d.Over(now) {
			leaveDebt(m.id, key, m.Time(d.Until()))
		}
	}
}

// handleOwed takes a frame for a pair without an endpoint that is owed a flow control.
// Under mu.
func (rt *route) handleOwed(now engine.Time, f *canbus.Frame) {
	var p wire.PDU
	if p.Parse(f, rt.addr.Overhead()) == wire.OK && p.Kind == wire.FlowControl {
		rt.debt.HandleFlowControl(now, p.Status)
	}
}

// leftDebts say until when flow controls are owed on buses without a Mux in this process,
// by the bus's identity (see canbus.Identity). Its lock is a leaf.
var leftDebts = struct {
	sync.Mutex
	until map[leftKey]time.Time
}{until: make(map[leftKey]time.Time)}

type leftKey struct {
	bus  string
	pair pairKey
}

// leaveDebt keeps a debt beyond the Mux, or that of a bus without one. Without an identity
// the bus ends with its Mux, and so do its debts.
func leaveDebt(bus string, pair pairKey, until time.Time) {
	if bus == "" {
		return
	}
	leftDebts.Lock()
	defer leftDebts.Unlock()
	for key, until := range leftDebts.until {
		if time.Until(until) <= 0 {
			delete(leftDebts.until, key)
		}
	}
	leftDebts.until[leftKey{bus, pair}] = until
}

// takeLeftDebt returns until when there is a debt, and forgets it; the zero Time: there
// is none.
func takeLeftDebt(bus string, pair pairKey) time.Time {
	if bus == "" {
		return time.Time{}
	}
	leftDebts.Lock()
	defer leftDebts.Unlock()
	key := leftKey{bus, pair}
	until := leftDebts.until[key]
	delete(leftDebts.until, key)
	return until
}

// Owe says that the peer of a pair of addresses may send a flow control until that
// moment for a message given up: one of Linux's sockets was closed while it sent. bus is
// the identity of a network interface.
func Owe(bus string, send, listen wire.Address, until time.Time) {
	leaveDebt(bus, newPairKey(send, listen), until)
}

// Owed returns until when no First Frame may be sent to the peer of a pair of addresses
// that no endpoint has: see engine.Debt. It may be over sooner, and be asked again. The
// zero Time, or one that is past: now.
func Owed(bus string, send, listen wire.Address) time.Time {
	key := newPairKey(send, listen)
	leftDebts.Lock()
	until := leftDebts.until[leftKey{bus, key}]
	leftDebts.Unlock()
	registry.Lock()
	b := registry.named[bus]
	registry.Unlock()
	if b == nil || !b.isOpen() {
		return until
	}
	b.mux.mu.Lock()
	defer b.mux.mu.Unlock()
	if d, ok := b.mux.debts[key]; ok && d.Until() > 0 {
		until = b.mux.Time(d.Until())
	}
	return until
}

// An OwedError is the os.ErrDeadlineExceeded of a message whose First Frame had to wait
// for the end of a debt. Nothing was sent.
type OwedError struct{ Until time.Time }

func (e *OwedError) Error() string { return "a flow control is owed" }

// Is makes it the error of a deadline.
func (e *OwedError) Is(target error) bool { return target == os.ErrDeadlineExceeded }
