// Package mux lets many endpoints use one CAN bus: it hands each received frame
// to the engines that listen for it, sends what they want to send, flow control
// first and the rest in turn, and wakes them when their time has come.
//
// # Goroutines
//
// However many endpoints there are, a bus has three goroutines that stay. Others are the
// callers': of Send, Receive, Close and so on.
//
//	the reader  Mux.read: reads frames, has the engines handle them, and wakes the
//	            callers that wait for the outcome. It never waits for the bus to take a
//	            frame. Only on a log or a replay (see hold) does it wait until an
//	            endpoint has room, and then it releases Mux.mu.
//	the timers  Mux.tick, called by the pacer: what is due in the engines
//	the writer  writer.loop: where a write may block. On a canbus.TryWriter the
//	            goroutine that has made a frame writes it, while the bus takes it at
//	            once. One goroutine writes at a time.
//
// Each of them, and each caller, does the same: lock Mux.mu, change an engine, touch its
// endpoint, and call Mux.unlock. That wakes the callers of the endpoints touched, puts
// these in the writer's line, calls Handlers, writes, and at last tells Observers.
//
// # Locks
//
// Mux.mu guards a Mux, its endpoints, listeners and peers, their engines, the routes, the
// timers and the writer's queue. The order is registry, Mux.filterMu (held while the bus's
// filters are computed and set), Mux.mu, and then the locks of the bus, of the pacer, of
// deadlines, of leftDebts and of what is given to Listen as made, under which no other lock
// is taken. Owe and Owed are called under kernel.Conn.mu, which comes before all of these.
// So do an endpoint's readTurn and sendTurn, which a call holds while it waits. See Locks in
// docs/architecture.md, which has those of the other packages.
//
// "Under mu" in a comment means that the caller holds Mux.mu when it calls the function,
// and still holds it when the function returns. A function that releases the lock meanwhile
// says so. Nothing blocks under mu: see the field.
package mux

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/pacer"
)

const (
	// batch is how many frames are read or written at once.
	batch = 64
	// pause is how long to wait after a temporary error of the bus.
	pause = 500 * time.Microsecond
)

// A Mux shares one bus among endpoints.
type Mux struct {
	bus   canbus.Bus
	props canbus.Properties
	id    string // the identity of a bus that may be opened again; "" for others
	epoch time.Time
	pacer *pacer.Pacer
	onEnd func() // once: the reader has ended
	// hangsUp: io.EOF of the bus is the other end's Close. Of any other bus it is an
	// error like all others.
	hangsUp bool
	// begun is closed by Begin: frames that are read before wait for that. A log that
	// is played begins at once, and would be over.
	begun     chan struct{}
	beginOnce sync.Once

	// mu guards the fields from err to handlers, and the endpoints, listeners and peers of
	// the Mux with their engines. Nothing blocks under it: no bus is read or written, and
	// no hook, logger or Handler is called.
	mu        sync.Mutex
	err       error          // why the bus is of no more use
	endpoints *Endpoint      // a list
	config    *engine.Config // the last one, shared by endpoints that need the same
	routes    routes
	debts     map[pairKey]pairDebt
	touched   []*Endpoint // to be served before the lock is released
	timers    timers
	writer    writer
	reports   reports
	drops     drops
	downs     downs
	hold      hold
	frameTime frameTime
	handlers  handlers

	filterMu   sync.Mutex // held over computing and setting the bus's filters
	filtersOff bool       // everything is received; under filterMu
}

func newMux(bus canbus.Bus, hangsUp bool, onEnd func()) *Mux {
	m := &Mux{
		bus:     bus,
		props:   canbus.PropertiesOf(bus),
		epoch:   time.Now().Add(-1), // an engine.Time of 0 stands for none
		onEnd:   sync.OnceFunc(onEnd),
		hangsUp: hangsUp,
		begun:   make(chan struct{}),
	}
	m.drops.counter, _ = canbus.As[canbus.DropCounter](bus)
	m.pacer = pacer.New(m.tick)
	m.hold.look = make(chan struct{}, 1)
	m.frameTime = frameTime{used: m.props.OwnTime || m.props.Waits, next: math.MaxInt64}
	m.routes.init()
	m.writer.init(m)
	m.handlers.init()
	go m.read()
	return m
}

// Properties are the bus's.
func (m *Mux) Properties() canbus.Properties { return m.props }

// Begin lets the reader deliver frames. Call it once an endpoint or a listener is there,
// or has failed to be. A second call does nothing.
func (m *Mux) Begin() { m.beginOnce.Do(func() { close(m.begun) }) }

// Time returns what an engine's time is on the wall clock.
func (m *Mux) Time(t engine.Time) time.Time { return m.epoch.Add(time.Duration(t)) }

func (m *Mux) now() engine.Time { return engine.Time(time.Since(m.epoch)) }

// unlock settles what has happened, releases mu and tells observers.
func (m *Mux) unlock(now engine.Time) {
	m.settle(now)
	m.release()
}

// settle serves the endpoints that something has happened to, calls handlers, and sends what
// there is to send. Under mu, which it releases for the calls.
//
// It sends last. On an in-process bus sending wakes the peer's reader, and the scheduler
// runs the goroutine woken last first: waking our readers afterwards would delay the peer.
func (m *Mux) settle(now engine.Time) {
	m.serve(now)
	handle := m.handlers.wanted()
	if handle {
		m.handlers.run(m, now)
	}
	if m.writer.wanted() {
		if handle {
			now = m.now()
		}
		m.writer.run(now)
	}
}

// release releases mu and tells observers.
func (m *Mux) release() {
	report := m.reportsWanted()
	m.mu.Unlock()
	if report {
		m.reports.run(&m.mu)
	}
}

// reportsWanted reports whether observers are to be told of something now: not within a
// call of a handler, as they may want what has to be handled first. Under mu.
func (m *Mux) reportsWanted() bool { return m.reports.wanted() && !m.handlers.running }

// shared reports whether there is more than one endpoint, or any host or debt. Under mu.
func (m *Mux) shared() bool {
	return m.endpoints != nil && m.endpoints.next != nil || m.routes.hosts > 0 || len(m.debts) > 0
}

// hearsItself reports whether a frame that an endpoint has sent may be for another
// one. Under mu.
func (m *Mux) hearsItself(from *Endpoint, f *canbus.Frame) bool {
	if from.heardSince != m.routes.changes {
		from.heardSince = m.routes.changes
		from.isHeard = len(m.routes.find(f)) > 0
	}
	return from.isHeard
}

// touch has an endpoint served before the lock is released. Under mu.
func (m *Mux) touch(ep *Endpoint) {
	if !ep.touched {
		ep.touched = true
		m.touched = append(m.touched, ep)
	}
}

// serve wakes the callers that wait for the endpoints touched, and puts those in line that
// may have something to send. Under mu.
func (m *Mux) serve(now engine.Time) {
	for i, ep := range m.touched {
		m.touched[i] = nil
		ep.touched = false
		ep.wake()
		if ep.engine.Sendable() {
			m.writer.enqueue(now, ep)
		} else {
			m.reschedule(ep)
		}
	}
	m.touched = m.touched[:0]
}

// read is the goroutine that reads the bus.
func (m *Mux) read() {
	frames := make([]canbus.Frame, batch)
	begun := false
	for {
		n, err := m.bus.ReadFrames(frames)
		var dropped uint64
		if c := m.drops.counter; c != nil {
			dropped = c.Dropped()
		}
		if n > 0 && !begun {
			<-m.begun
			begun = true
		}
		now := m.now()
		if err != nil && !errors.Is(err, canbus.ErrTemporary) {
			m.leaveDebts()
			m.onEnd() // first: a caller that is told of the error may open the bus anew
		}
		m.mu.Lock()
		m.countDrops(now, dropped)
		for came := frames[:n]; len(came) > 0; {
			if m.frameTime.used {
				now = m.awaitFrame(now, &came[0])
			}
			came = came[m.received(now, came):]
		}
		switch {
		case err == nil:
		case errors.Is(err, canbus.ErrTemporary):
			m.countDowns(err)
		default:
			m.fail(err)
		}
		over := m.err != nil
		m.unlock(now)
		switch {
		case over:
			m.onEnd()
			m.stopDrops()
			m.writer.finish()
			m.pacer.Close()
			m.writer.stop()
			return
		case err != nil:
			time.Sleep(pause) // for whatever it is to pass
		}
	}
}

// received takes the first of the frames that the bus has read, or a run of them. It returns
// how many it has taken. Under mu.
func (m *Mux) received(now engine.Time, frames []canbus.Frame) int {
	f := &frames[0]
	switch {
	case !f.Has(canbus.Echo):
		return m.deliver(now, frames, nil)
	case f.Has(canbus.Refused):
		m.writer.refused(now, f)
	default:
		m.deliver(now, frames[:1], m.writer.echoed(now, f))
	}
	return 1
}

// flush waits until what was written is on the wire. It is called when the bus has no
// users left, before it is closed. The error says what is in doubt.
func (m *Mux) flush() error {
	flusher, ok := canbus.As[canbus.Flusher](m.bus)
	if !ok {
		return nil
	}
	if !m.writer.awaitIdle() {
		return errors.New("a write to the bus has not ended: whether its frames are sent is not known")
	}
	m.mu.Lock()
	failed := m.err != nil
	m.mu.Unlock()
	if failed {
		return nil // all were told
	}
	return flusher.Flush(context.Background())
}

// fail makes the error that of every endpoint and listener. Under mu.
func (m *Mux) fail(err error) {
	if m.err != nil {
		return
	}
	err = m.busError(err)
	m.err = err
	m.look()
	m.giveUpReceptions(m.now(), engine.BusEnded)
	if !m.hungUp() {
		err = &FailedError{err}
	}
	for ep := m.endpoints; ep != nil; ep = ep.next {
		ep.fail(err)
	}
	m.routes.eachHost(func(h *host) { h.keeper.fail(err) })
	// Frames in a call that writes may be on the wire already, and the message
	// sent: Pipe's other end may have read it before it was closed.
	if !m.writer.busy {
		m.abortSends()
	}
}

// abortSends ends what can no longer be sent. Under mu.
func (m *Mux) abortSends() {
	now := m.now()
	for ep := m.endpoints; ep != nil; ep = ep.next {
		ep.giveUp(now, engine.Aborted)
	}
}

// busError is what endpoints are told of an error of the bus.
func (m *Mux) busError(err error) error {
	if !m.hangsUp && errors.Is(err, io.EOF) {
		return endError{err}
	}
	return err
}

// hungUp reports whether what the bus has failed with is the other end's Close.
func (m *Mux) hungUp() bool { return m.hangsUp && errors.Is(m.err, io.EOF) }

// A FailedError is what the calls on endpoints, listeners and peers return once their
// bus has failed: for good, where an error of a single frame is not.
type FailedError struct{ Err error }

func (e *FailedError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *FailedError) Unwrap() error { return e.Err }

// An endError is that of a bus that has ended with io.EOF. To errors.Is it is
// io.ErrUnexpectedEOF instead, and all else that it was.
type endError struct{ err error }

func (e endError) Error() string {
	if e.err == io.EOF {
		return "the bus has ended: EOF"
	}
	return e.err.Error()
}

func (e endError) Is(target error) bool {
	return target == io.ErrUnexpectedEOF || target != io.EOF && errors.Is(e.err, target)
}

func (e endError) As(target any) bool { return errors.As(e.err, target) }
