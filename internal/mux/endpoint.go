package mux

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// past is a deadline that has come.
var past = time.Unix(1, 0)

// A Spec says what an endpoint is.
type Spec struct {
	Config *engine.Config
	// Send is where the endpoint sends, Listen where it hears its peer. One of
	// them may be missing (nil): a functional address, or listening only. For
	// Mux.Listen and Mux.Peers, Listen and Functional may leave the peer open, all of
	// them or none (wire.OpenPeer). Then N_TA in Send is 0.
	Send, Listen *wire.Address
	// Functional are addresses on which single frames to a group come in.
	Functional []wire.Address
	// Spin: rather burn a processor than be late.
	Spin bool
	// Beside, for Mux.Attach of what only sends: the endpoint of the same user that has
	// the write deadline and the rate limit. What the two send need not wait for each other.
	Beside *Endpoint
}

// anyPeer reports whether the peer is left open.
func (s *Spec) anyPeer() bool { return s.Listen != nil && s.Listen.Open == wire.OpenPeer }

// An Endpoint is one end of one pair of addresses. Any number of its methods may
// be called at the same time; the calls that send take turns, and so do those
// that read.
type Endpoint struct {
	// User and Observer, which may be nil, are set by made (see Attach) only.
	User     any
	Observer Observer

	m      *Mux
	engine engine.Engine
	routes []route
	host   *host     // that has made it for a peer, else nil
	member *member   // if it is one of Peers, else nil
	beside *Endpoint // see Spec.Beside

	handling *handling // if it has a Handler, else nil

	readDeadline, writeDeadline deadline.Deadline
	readTurn, sendTurn          deadline.Turn
	readable, sent              deadline.Signal

	next, previous *Endpoint // in Mux.endpoints

	drops   dropsTold
	err     error // of the bus
	sendErr error // why the bus did not take a frame

	// Small fields stand together: idle endpoints are counted in bytes.
	index   uint8 // in host.peers
	reading engine.Reading
	closed  bool
	// Whether another endpoint of this bus hears this one, as of routes.changes.
	isHeard    bool
	heardSince uint32

	// The timers' and the writer's.
	timerAt               engine.Time
	timerIndex            int
	spin                  bool
	touched               bool
	isReady, isUrgent     bool
	unaccepted            bool // it waits in a Listener's backlog
	late                  bool // see hold
	nextReady, nextUrgent *Endpoint
	readySince            engine.Time
	stallTimeout          time.Duration
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

// exceeded is what a call returns whose deadline has come. At Close they all come.
func (ep *Endpoint) exceeded() error {
	if ep.isClosed() {
		return net.ErrClosed
	}
	return os.ErrDeadlineExceeded
}

// ErrClosedByPeer is what sending fails with when the other end has gone.
var ErrClosedByPeer = io.ErrClosedPipe

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

// routes returns the routes to what a Spec describes.
func (s *Spec) routes() []route {
	var rs []route
	if s.Listen != nil {
		rs = append(rs, route{addr: *s.Listen, role: physical})
	}
	for _, a := range s.Functional {
		rs = append(rs, route{addr: a, role: functional})
	}
	if s.Config.ListenOnly && s.Send != nil {
		rs = append(rs, route{addr: *s.Send, role: overheard})
	}
	return rs
}

// SetReadDeadline sets the deadline of Receive, Open and Await; net.ErrClosed.
func (ep *Endpoint) SetReadDeadline(t time.Time) error { return ep.setDeadline(&ep.readDeadline, t) }

// SetWriteDeadline sets the deadline of Send and SendFrom; net.ErrClosed.
func (ep *Endpoint) SetWriteDeadline(t time.Time) error { return ep.setDeadline(&ep.writeDeadline, t) }

// sendDeadline is the deadline of Send: those of Peers have one.
func (ep *Endpoint) sendDeadline() *deadline.Deadline {
	switch {
	case ep.member != nil:
		return &ep.member.peers.writeDeadline
	case ep.beside != nil:
		return &ep.beside.writeDeadline
	}
	return &ep.writeDeadline
}

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

// wake wakes those who wait for what has happened. Under mu.
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

// refused ends what the frame of that number belongs to: the bus has refused it. Under
// mu.
func (ep *Endpoint) refused(now engine.Time, number uint32, err error) {
	if ep.engine.Transmits(number) {
		ep.sendErr = err
	}
	ep.engine.HandleRefused(now, number)
	ep.m.touch(ep)
	ep.m.retryHeld(now)
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
	// Who waits for a turn is woken by the deadlines.
	ep.readDeadline.Set(past)
	ep.writeDeadline.Set(past)
	if unrouted {
		m.applyFilters() // an error here harms nobody: more frames come than wanted
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

// broken is why nothing can be sent or, when all is read, read any more. Under mu.
func (ep *Endpoint) broken() error {
	if ep.closed {
		return net.ErrClosed
	}
	return ep.err
}

// A SourceError is what the reader of a streamed message failed with.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return "reading the message: " + e.Err.Error() }

// Unwrap returns Err.
func (e *SourceError) Unwrap() error { return e.Err }

// A ResultError is how the protocol ended a transmission or a reception.
type ResultError engine.Code

func (e ResultError) Error() string { return fmt.Sprintf("ISO-TP result %d", uint8(e)) }

// Send sends a message and waits until it is sent. It returns a ResultError,
// os.ErrDeadlineExceeded, net.ErrClosed, ErrClosedByPeer, or the bus's error.
func (ep *Endpoint) Send(p []byte) error {
	_, err := ep.SendSplit(p, len(p))
	return err
}

// SendSplit sends p as messages of at most size bytes, in one turn: those of other
// calls do not come between. n are the bytes of those that were sent.
func (ep *Endpoint) SendSplit(p []byte, size int) (n int, err error) {
	m := ep.m
	if err := ep.enter(&ep.sendTurn, ep.sendDeadline()); err != nil {
		return 0, err
	}
	for n < len(p) && err == nil {
		message := p[n:min(n+size, len(p))]
		now := m.now()
		if err = ep.begin(now, uint32(len(message)), message); err != nil {
			break
		}
		m.unlock(now)
		if err = ep.finish(); err == nil {
			n += len(message)
		}
	}
	ep.sendTurn.Leave()
	m.mu.Unlock()
	return n, err
}

// begin starts a transmission. Under mu, whose release with Mux.unlock sends what
// can be sent at once.
func (ep *Endpoint) begin(now engine.Time, size uint32, p []byte) error {
	if err := ep.broken(); err != nil {
		return sendError(err)
	}
	if ep.sendDeadline().Exceeded() { // the turn or the source took too long
		return os.ErrDeadlineExceeded
	}
	ep.sendErr = nil
	ep.readySince = now // it may stand in line already, for nothing
	ep.engine.Send(now, size, p)
	ep.m.touch(ep)
	return nil
}

// finish waits for the end of a transmission, and returns how that was, with mu
// locked.
func (ep *Endpoint) finish() error {
	for {
		ep.m.mu.Lock()
		if done, err := ep.result(); done {
			return err
		}
		ep.m.mu.Unlock()
		if err := ep.waitSent(); err != nil {
			ep.m.mu.Lock()
			return err
		}
	}
}

// result returns how the transmission has ended, if it has. If not, waitSent can
// wait for what comes after this call. Under mu.
func (ep *Endpoint) result() (done bool, err error) {
	switch {
	case ep.engine.Sending():
		ep.sent.Make()
		return false, nil
	case ep.engine.SendResult() == engine.OK:
		return true, nil
	case ep.sendErr != nil:
		return true, ep.sendErr
	case ep.broken() != nil:
		return true, sendError(ep.broken())
	}
	return true, resultError(ep.engine.SendResult(), ep.engine.SendDropped())
}

// sendError is what sending fails with where reading fails with err.
func sendError(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrClosedByPeer
	}
	return err
}

// waitSent waits for a change in the transmission. At the deadline it ends it.
func (ep *Endpoint) waitSent() error {
	if ep.sent.Wait(ep.sendDeadline()) {
		return nil
	}
	return ep.expire()
}

// expire ends a transmission at its deadline.
func (ep *Endpoint) expire() error {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	defer m.unlock(now)
	switch {
	case ep.closed:
		return net.ErrClosed
	case !ep.engine.Sending():
		return nil // it has just ended by itself
	}
	debt := ep.engine.HeldBy(now)
	ep.engine.Abort(now, engine.Aborted)
	if debt != nil {
		return &OwedError{m.Time(debt.Until())}
	}
	return os.ErrDeadlineExceeded
}

// chunkSize is how much of a streamed message is read from its source at once.
const chunkSize = 16 << 10

var chunks = sync.Pool{New: func() any { return new([2][chunkSize]byte) }}

// SendFrom sends a message of that size read from r, in constant memory. Errors
// are those of Send, and a *SourceError for r's.
func (ep *Endpoint) SendFrom(r io.Reader, size uint32) error {
	m := ep.m
	if err := ep.enter(&ep.sendTurn, ep.sendDeadline()); err != nil {
		return err
	}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		ep.sendTurn.Leave()
	}()
	buffers := chunks.Get().(*[2][chunkSize]byte)
	defer chunks.Put(buffers)

	left := size
	for i := 0; left > 0; i ^= 1 {
		// Two buffers: one is read into while the other is being sent.
		p := buffers[i][:min(left, chunkSize)]
		// Until the First Frame nobody is waiting. From then on what there is
		// goes out: a slow source may fill a frame in time, but no buffer.
		least := 1
		if left == size {
			least = len(p)
		}
		n, readErr := io.ReadAtLeast(r, p, least)
		p = p[:n]
		switch {
		case n < least:
			ep.abort(engine.SourceFailed)
			if readErr == io.EOF {
				readErr = io.ErrUnexpectedEOF // the message is not complete
			}
			return &SourceError{readErr}
		case left == size:
			now := m.now()
			m.mu.Lock()
			err := ep.begin(now, size, p)
			m.unlock(now)
			if err != nil {
				return err
			}
		default:
			if done, err := ep.supply(p); done {
				return err
			}
		}
		left -= uint32(n)
		// The other buffer is free when only this one is in use.
		if done, err := ep.waitSupplied(left == 0); done {
			return err
		}
	}
	return nil
}

// supply hands over the next part of a message.
func (ep *Endpoint) supply(p []byte) (done bool, err error) {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	if done, err = ep.result(); !done {
		ep.engine.Supply(p)
		m.touch(ep)
	}
	m.unlock(now)
	return done, err
}

// waitSupplied waits until a buffer is free, or until all is sent.
func (ep *Endpoint) waitSupplied(all bool) (done bool, err error) {
	for {
		ep.m.mu.Lock()
		done, err := ep.result()
		free := ep.engine.Supplied() < 2
		ep.m.mu.Unlock()
		if done {
			return true, err
		}
		if ep.sendDeadline().Exceeded() {
			if err := ep.expire(); err != nil {
				return true, err
			}
			continue
		}
		if free && !all {
			return false, nil
		}
		if err := ep.waitSent(); err != nil {
			return true, err
		}
	}
}

// abort ends the transmission, if there is one.
func (ep *Endpoint) abort(why engine.Code) {
	m := ep.m
	now := m.now()
	m.mu.Lock()
	ep.engine.Abort(now, why)
	m.unlock(now)
}
