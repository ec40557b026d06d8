package mux

import (
	"net"
	"os"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// past is a deadline that has come.
var past = time.Unix(1, 0)

// An Endpoint is one end of one pair of addresses. Any number of its methods may
// be called at the same time; the calls that send take turns, and so do those
// that read.
type Endpoint struct {
	// User and Observer, which may be nil, are set by made (see Attach) only.
	User     any
	Observer Observer

	m *Mux

	// What a frame needs stands together, next to the first fields of the engine: of very
	// many endpoints the processor's caches hold none.
	member   *member   // if it is one of Peers, else nil
	handling *handling // if it has a Handler, else nil
	closed   bool
	touched  bool
	// Whether another endpoint of this bus hears this one, as of routes.changes.
	isHeard    bool
	heardSince uint32
	// The timers' and the writer's.
	isReady, isUrgent     bool
	spin                  bool
	unaccepted            bool // it waits in a Listener's backlog
	late                  bool // see hold
	timerAt               engine.Time
	timerIndex            int
	nextReady, nextUrgent *Endpoint
	readySince            engine.Time
	stallTimeout          time.Duration

	engine engine.Engine

	reading engine.Reading
	index   uint8 // in host.peers
	routes  []route
	host    *host     // that has made it for a peer, else nil
	beside  *Endpoint // see Spec.Beside

	readDeadline, writeDeadline deadline.Deadline
	readTurn, sendTurn          deadline.Turn
	readable, sent              deadline.Signal

	next, previous *Endpoint // in Mux.endpoints

	drops   dropsTold
	err     error // of the bus
	sendErr error // why the bus did not take a frame
}

// enter waits for the turn, for the deadline, or until the endpoint is closed.
// Without an error it returns with mu locked.
func (ep *Endpoint) enter(t *deadline.Turn, d *deadline.Deadline) error {
	m := ep.m
	m.mu.Lock()
	if !ep.closed && d.Exceeded() && !(d == &ep.readDeadline && m.extends(d, ep.engine.ExtendsDeadline)) {
		m.mu.Unlock()
		return os.ErrDeadlineExceeded
	}
	for t.Taken && !ep.closed {
		t.Free.Make()
		m.mu.Unlock()
		if !t.Free.Wait(d) {
			return ep.exceeded()
		}
		m.mu.Lock()
	}
	if ep.closed {
		m.mu.Unlock()
		return net.ErrClosed
	}
	t.Taken = true
	return nil
}

// extends asks an engine whether reads go on after a deadline that has come. They do
// not if it had come when it was set: that is how a call is told to end at once. Under
// mu.
func (m *Mux) extends(d *deadline.Deadline, ask func(at engine.Time) bool) bool {
	at, ok := d.Came()
	return ok && ask(engine.Time(at.Sub(m.epoch)))
}

// exceeded is what a call returns when its deadline has come. Close has all deadlines come.
func (ep *Endpoint) exceeded() error {
	if ep.isClosed() {
		return net.ErrClosed
	}
	return os.ErrDeadlineExceeded
}

// newEndpoint makes an endpoint without any routes yet. Under mu.
func (m *Mux) newEndpoint(s *Spec, made func(*Endpoint)) *Endpoint {
	ep := &Endpoint{
		m:            m,
		timerIndex:   -1,
		beside:       s.Beside,
		spin:         s.Spin,
		stallTimeout: s.Config.NAs,
	}
	var send, listen wire.Address
	if s.Send != nil {
		send = *s.Send
	}
	if s.Listen != nil {
		listen = *s.Listen
	}
	config := *s.Config
	m.describe(&config)
	if m.config == nil || *m.config != config {
		m.config = &config
	}
	ep.engine.Init(m.config, send, listen)
	ep.drops.begin(m)
	ep.engine.Overhears = s.Send != nil && !s.anyPeer() // see routes
	if s.Send != nil && s.Listen != nil && !s.Config.ListenOnly {
		ep.engine.SetDebt(m.takeDebt(send, listen, s.Config.NBs))
	}
	if s.Beside != nil {
		ep.engine.ShareRate(&s.Beside.engine)
	}
	made(ep)
	if ep.Observer != nil {
		ep.engine.Observe = ep.reportStep
	}
	if m.endpoints != nil {
		m.endpoints.previous = ep
	}
	ep.next, m.endpoints = m.endpoints, ep
	return ep
}

// describe tells the engines how the bus says that a frame is on the wire.
func (m *Mux) describe(c *engine.Config) {
	c.Drops = &m.drops.count
	if m.frameTime.used {
		c.FrameTime = &m.frameTime.now
	}
	c.Echoes = m.props.Echo && !m.props.EchoesLag
	if m.props.WireRate {
		c.Bitrate, c.DataBitrate = m.props.Bitrate, m.props.DataBitrate
	}
}

// Attach adds an endpoint to the bus. It is given to made before anything happens
// to it.
func (m *Mux) Attach(s *Spec, made func(*Endpoint)) (*Endpoint, error) {
	defer m.Begin()
	m.mu.Lock()
	if m.err != nil {
		defer m.mu.Unlock()
		return nil, m.err
	}
	ep := m.newEndpoint(s, made)
	for _, rt := range s.routes() {
		rt.endpoint = ep
		ep.routes = append(ep.routes, rt)
		m.routes.add(rt)
	}
	m.mu.Unlock()
	if err := m.applyFilters(); err != nil {
		ep.Close()
		return nil, err
	}
	return ep, nil
}

// SetReadDeadline sets the deadline of Receive, Open and Await; net.ErrClosed.
func (ep *Endpoint) SetReadDeadline(t time.Time) error { return ep.setDeadline(&ep.readDeadline, t) }

// SetWriteDeadline sets the deadline of Send and SendFrom; net.ErrClosed.
func (ep *Endpoint) SetWriteDeadline(t time.Time) error { return ep.setDeadline(&ep.writeDeadline, t) }

func (ep *Endpoint) setDeadline(d *deadline.Deadline, t time.Time) error {
	d.Set(t)
	ep.m.mu.Lock()
	defer ep.m.mu.Unlock()
	if ep.closed {
		d.Set(past) // Close may have done so before
		return net.ErrClosed
	}
	if d == &ep.readDeadline && ep.engine.Extendable() {
		ep.readable.Set() // a read may be waiting beyond the deadline before
	}
	return nil
}

func (ep *Endpoint) isClosed() bool {
	ep.m.mu.Lock()
	defer ep.m.mu.Unlock()
	return ep.closed
}

// Time returns what a time in an Info is on the wall clock.
func (ep *Endpoint) Time(t engine.Time) time.Time { return ep.m.Time(t) }

// Format is how the endpoint writes frames to its peer.
func (ep *Endpoint) Format() *wire.Format { return ep.engine.Format() }

// Stats returns the engine's counts.
func (ep *Endpoint) Stats() engine.Stats {
	ep.m.mu.Lock()
	defer ep.m.mu.Unlock()
	return ep.engine.Stats()
}

// wake wakes the callers that wait for what has happened. Under mu.
func (ep *Endpoint) wake() {
	ev := ep.engine.TakeEvents()
	if ev&engine.Readable != 0 {
		switch {
		case ep.member != nil:
			ep.member.peers.wake(ep)
		case ep.handling != nil:
			ep.handle()
		default:
			ep.readable.Set()
		}
	}
	switch {
	case ev&(engine.SendDone|engine.SendSpace) == 0:
	case ep.handling != nil:
		ep.sendDone()
	default:
		ep.sent.Set()
	}
}

// fail makes every call on the endpoint fail, reads when all is read. What is
// being sent is left to Mux.abortSends. Under mu.
func (ep *Endpoint) fail(err error) {
	ep.err = err
	ep.readable.Set()
	if ep.handling != nil {
		ep.handle()
	}
}

// Close ends the endpoint: calls that wait return net.ErrClosed. Nothing is sent
// any more. It reports false if the endpoint was closed before.
func (ep *Endpoint) Close() bool { return ep.closeIf(func() bool { return true }) }

// CloseEmpty is Close if there is nothing to be read, and no message is coming. It
// reports whether it has closed the endpoint.
func (ep *Endpoint) CloseEmpty() bool { return ep.closeIf(ep.engine.Idle) }

func (ep *Endpoint) closeIf(wanted func() bool) bool {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	if ep.closed || !wanted() {
		m.mu.Unlock()
		return false
	}
	unrouted := ep.end(now)
	m.unlock(now)
	// The deadlines wake the callers that wait for a turn.
	ep.readDeadline.Set(past)
	ep.writeDeadline.Set(past)
	if unrouted {
		m.applyFilters() // an error here does no harm: more frames come than are wanted
	}
	return true
}

// end closes the endpoint. It reports whether routes went with it. Under mu.
func (ep *Endpoint) end(now engine.Time) (unrouted bool) {
	m := ep.m
	ep.closed = true
	m.wasRead(ep)
	ep.engine.Abort(now, engine.Aborted)
	m.keepDebt(now, ep)
	ep.engine.LeaveBudget()
	for _, rt := range ep.routes {
		m.routes.remove(rt)
	}
	unrouted = len(ep.routes) > 0
	if ep.host != nil {
		ep.host.peers[ep.index] = nil
		unrouted = ep.host.keeper.ended(ep)
	}
	if ep.member != nil {
		ep.member.peers.drop(ep)
	}
	m.forget(ep)
	m.unlink(ep)
	ep.readable.Set()
	ep.sent.Set()
	if ep.handling != nil {
		ep.sendDone()
		ep.handle()
	}
	return unrouted
}

// unlink takes an endpoint out of the list. Under mu.
func (m *Mux) unlink(ep *Endpoint) {
	if ep.previous == nil {
		m.endpoints = ep.next
	} else {
		ep.previous.next = ep.next
	}
	if ep.next != nil {
		ep.next.previous = ep.previous
	}
}
