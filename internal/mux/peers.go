package mux

import (
	"errors"
	"net"
	"os"
	"slices"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// Peers are the endpoints of all peers that send to our addresses, or that we send to.
// Callers read and write them as one. An endpoint is made when it is needed, and reaped
// when it has been idle for long or its place is needed.
type Peers struct {
	m     *Mux
	made  func(*Endpoint)
	max   int // members, without groups
	hosts []*host
	// byPair finds the host of a pair by its addresses, and that of a node by its addresses
	// without a peer.
	byPair map[[2]wire.Address]*host
	groups map[wire.Address]*Endpoint // functional addresses, which only send

	members  []*Endpoint
	readable line            // members with something to read: each gives one message in turn
	ready    deadline.Signal // set when readable has a member, and at the end

	readDeadline, writeDeadline deadline.Deadline
	// beyond comes when readDeadline is set anew. It wakes readers that wait although
	// readDeadline has come.
	beyond *deadline.Deadline

	waiting bool // a call of Receive waits for a message
	closed  bool
	err     error
	drops   dropsTold
	stats   PeersStats // the sums of members that were reaped
}

// A member is what Peers know of one of their endpoints.
type member struct {
	peers  *Peers
	at     int // in members
	usedAt engine.Time
	pins   int // calls that send

	isReadable   bool
	nextReadable *Endpoint
}

// PeersStats count what Peers have done.
type PeersStats struct {
	Open    int    // endpoints
	Made    uint64 // endpoints
	Reaped  uint64 // endpoints ended because they were idle
	Evicted uint64 // those of Reaped that made room although a First Frame had come
	Refused uint64 // frames that began a message when no place could be made
	Stray   uint64 // frames of peers without an endpoint that began no message
	Dropped uint64 // frames that the bus has dropped since the Peers were made
	Engines engine.Stats
}

// idleTime is how long an endpoint lives without being used.
const idleTime = 10 * time.Second

var (
	// ErrTooManyPeers is the error of sending to a peer without an endpoint while all
	// places are taken by busy endpoints.
	ErrTooManyPeers = errors.New("too many peers at once")
	// ErrNoHost is the error of sending to a peer that none of our addresses
	// hears.
	ErrNoHost = errors.New("no address of ours is for this peer")
)

// Peers adds addresses of ours to the bus. At most max endpoints are open at once;
// each is given to made before anything happens to it (see Mux.Listen).
func (m *Mux) Peers(ss []*Spec, max int, made func(*Endpoint)) (*Peers, error) {
	p := &Peers{
		m: m, made: made, max: max, beyond: new(deadline.Deadline),
		byPair: make(map[[2]wire.Address]*host),
		groups: make(map[wire.Address]*Endpoint),
	}
	p.readable.next = func(ep *Endpoint) **Endpoint { return &ep.member.nextReadable }
	p.ready.Make()
	hosts, err := m.addHosts(ss, p)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p.hosts = hosts
	p.drops.begin(m)
	for _, h := range hosts {
		p.byPair[[2]wire.Address{*h.spec.Send, *h.spec.Listen}] = h
	}
	return p, nil
}

// find returns the host for a pair of addresses, and which peer that is. Under mu.
func (p *Peers) find(send, listen wire.Address) (*host, uint8, bool) {
	if h := p.byPair[[2]wire.Address{send, listen}]; h != nil && !h.spec.anyPeer() {
		return h, 0, true
	}
	index := wire.Source(listen.ID)
	h := p.byPair[[2]wire.Address{send.To(0), listen.FromAny()}]
	if h == nil || !h.spec.anyPeer() || index == h.own() || wire.Target(send.ID) != index {
		return nil, 0, false
	}
	return h, index, true
}

// join makes an endpoint a member. Under mu.
func (p *Peers) join(now engine.Time, ep *Endpoint) {
	ep.member = &member{peers: p, at: len(p.members), usedAt: now}
	ep.reading = engine.ReadMessages
	ep.engine.SetReading(now, ep.reading)
	ep.engine.WaitAlways()
	p.members = append(p.members, ep)
	p.stats.Made++
	p.m.schedule(ep, now.Add(idleTime))
}

// drop removes a member that has ended. Under mu.
func (p *Peers) drop(ep *Endpoint) {
	last := p.members[len(p.members)-1]
	p.members[ep.member.at], last.member.at = last, ep.member.at
	p.members[len(p.members)-1] = nil
	p.members = p.members[:len(p.members)-1]
	if ep.host == nil {
		delete(p.groups, ep.engine.Format().Address)
	}
	s := ep.engine.Stats()
	p.stats.Engines.Add(&s)
	if ep.engine.Extendable() {
		p.ready.Set() // the message that has extended a deadline may have gone with it
	}
}

// admit implements keeper.
func (p *Peers) admit(now engine.Time, h *host, index uint8) *Endpoint {
	if p.err != nil {
		return nil // the reader still has frames where a write has failed
	}
	if !p.room(now) {
		p.stats.Refused++
		return nil
	}
	return p.add(now, h, index)
}

func (p *Peers) add(now engine.Time, h *host, index uint8) *Endpoint {
	ep := h.add(p.m, index, p.made)
	p.join(now, ep)
	return ep
}

func (p *Peers) waits() bool          { return p.waiting }
func (p *Peers) stray()               { p.stats.Stray++ }
func (p *Peers) ended(*Endpoint) bool { return false }

// fail implements keeper.
func (p *Peers) fail(err error) {
	p.err = err
	p.ready.Set()
}

// room makes a place for an endpoint, if it can. It takes the place of the endpoint that
// has been idle for longest, or else of the one that has waited for longest for the rest of
// a message of which only the First Frame came. So peers that only start messages take
// places from each other, and from no other peer. Under mu.
func (p *Peers) room(now engine.Time) bool {
	if len(p.members)-len(p.groups) < p.max {
		return true
	}
	var idle, halfOpen *Endpoint
	for _, ep := range p.members {
		switch {
		case ep.member.pins > 0 || ep.host == nil:
		case ep.engine.Idle():
			if idle == nil || ep.member.usedAt < idle.member.usedAt {
				idle = ep
			}
		case ep.engine.HalfOpen():
			if halfOpen == nil || ep.member.usedAt < halfOpen.member.usedAt {
				halfOpen = ep
			}
		}
	}
	switch {
	case idle != nil:
		p.stats.Reaped++
		idle.end(now)
		return true
	case halfOpen != nil:
		p.stats.Reaped++
		p.stats.Evicted++
		halfOpen.engine.GiveUp(now, engine.Aborted)
		halfOpen.end(now)
		return true
	}
	return false
}

// reap ends a member that has been idle for long, or sets the time to call reap again. The
// timers call it. Under mu.
func (p *Peers) reap(now engine.Time, ep *Endpoint) {
	at := ep.member.usedAt.Add(idleTime)
	busy := ep.member.pins > 0 || !ep.engine.Idle()
	switch {
	case busy:
		p.m.schedule(ep, now.Add(idleTime))
	case now < at:
		p.m.schedule(ep, at)
	default:
		p.stats.Reaped++
		ep.end(now)
	}
}

// wake puts a member in line to be read. Under mu.
func (p *Peers) wake(ep *Endpoint) {
	if !ep.member.isReadable && ep.engine.Readable() {
		ep.member.isReadable = true
		p.readable.push(ep)
	}
	p.ready.Set()
}

// Received is what Peers.Receive returns.
type Received struct {
	Data []byte
	Info engine.Info // Rest is how many bytes did not fit, and are lost
	From *Endpoint   // perhaps closed by now
}

// Receive waits for a message of any peer, and copies it to buf; with grow it makes a
// longer buffer if buf is too short. Peers with messages have turns. Errors: a ResultError
// or a *DroppedResult, of the peer From; a *DroppedError, os.ErrDeadlineExceeded,
// net.ErrClosed, and when all is read the bus's error.
func (p *Peers) Receive(buf []byte, grow bool) (Received, error) {
	for {
		// The caller that is woken sets the signal again for the next one, if there is more.
		r, until, err := p.receive(buf, grow)
		if until == nil {
			return r, err
		}
		p.ready.Wait(until) // after the deadline receive is called once more
	}
}

// receive does what Receive does, but does not wait: if there is nothing to read it returns
// the deadline until which Receive waits.
func (p *Peers) receive(buf []byte, grow bool) (r Received, until *deadline.Deadline, err error) {
	m := p.m
	exceeded := p.readDeadline.Exceeded()
	m.mu.Lock()
	p.waiting = false
	switch {
	case p.closed:
		err = net.ErrClosed
	case exceeded && !p.extended():
		err = os.ErrDeadlineExceeded
	case p.drops.news(m):
		err = p.drops.tell(m)
	}
	if err != nil {
		p.ready.Set() // for the others
		m.mu.Unlock()
		return r, nil, err
	}
	for {
		ep := p.readable.pop()
		if ep == nil {
			break
		}
		ep.member.isReadable = false
		data, info, ok := ep.engine.ReadWhole(buf, grow)
		m.wasRead(ep)
		if !ok {
			continue
		}
		if ep.engine.Readable() {
			ep.member.isReadable = true
			p.readable.push(ep)
		}
		if p.readable.first != nil || p.err != nil || exceeded {
			p.ready.Set()
		}
		r = Received{data, info, ep}
		if info.Why != engine.OK {
			err = resultError(info.Why, info.Dropped)
		}
		ep.unlockAfterRead()
		return r, nil, err
	}
	defer m.mu.Unlock()
	if p.err == nil {
		p.waiting = true
		m.look()
	}
	switch {
	case p.err != nil:
		p.ready.Set() // for the others
		return r, nil, p.err
	case exceeded:
		return r, p.beyond, nil
	}
	return r, &p.readDeadline, nil
}

// Send sends a message to a peer: see Endpoint.Send. Other errors are ErrNoHost and
// ErrTooManyPeers.
func (p *Peers) Send(send, listen wire.Address, b []byte) error {
	return p.send(b, func(now engine.Time) (*Endpoint, error) {
		h, index, ok := p.find(send, listen)
		if !ok {
			return nil, ErrNoHost
		}
		if ep := h.peers[index]; ep != nil {
			return ep, nil
		}
		if !p.room(now) {
			return nil, ErrTooManyPeers
		}
		return p.add(now, h, index), nil
	})
}

// SendGroup sends a Single Frame to a functional address.
func (p *Peers) SendGroup(to wire.Address, b []byte) error {
	return p.send(b, func(now engine.Time) (*Endpoint, error) {
		ep := p.groups[to]
		if ep == nil {
			s := Spec{Config: p.hosts[0].spec.Config, Send: &to, Spin: p.hosts[0].spec.Spin}
			ep = p.m.newEndpoint(&s, p.made)
			p.groups[to] = ep
			p.join(now, ep)
		}
		return ep, nil
	})
}

// send sends by the endpoint that pick returns; pick is called under mu. The endpoint is
// not reaped meanwhile.
func (p *Peers) send(b []byte, pick func(engine.Time) (*Endpoint, error)) error {
	m := p.m
	now := m.now()
	m.mu.Lock()
	var ep *Endpoint
	var err error
	switch {
	case p.closed:
		err = net.ErrClosed
	case p.err != nil:
		err = p.err
	default:
		ep, err = pick(now)
	}
	if err != nil {
		m.mu.Unlock()
		return err
	}
	ep.member.pins++
	ep.member.usedAt = now
	m.mu.Unlock()

	err = ep.Send(b)

	m.mu.Lock()
	defer m.mu.Unlock()
	ep.member.pins--
	return err
}

// SetReadDeadline sets the deadline of Receive. It returns net.ErrClosed after Close.
func (p *Peers) SetReadDeadline(t time.Time) error { return p.setDeadline(&p.readDeadline, t) }

// SetWriteDeadline sets the deadline of Send and SendGroup. It returns net.ErrClosed after
// Close.
func (p *Peers) SetWriteDeadline(t time.Time) error { return p.setDeadline(&p.writeDeadline, t) }

func (p *Peers) setDeadline(d *deadline.Deadline, t time.Time) error {
	d.Set(t)
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if p.closed {
		d.Set(past) // Close may have done so before
		return net.ErrClosed
	}
	if d == &p.readDeadline {
		p.beyond.Set(past)
		p.beyond = new(deadline.Deadline)
	}
	return nil
}

// extended reports whether Receive goes on although its deadline has come: a message that
// was started before is completed, or still coming. Under mu.
func (p *Peers) extended() bool {
	return p.m.extends(&p.readDeadline, func(at engine.Time) bool {
		return slices.ContainsFunc(p.members, func(ep *Endpoint) bool { return ep.engine.BegunBy(at) })
	})
}

// Drain throws away the messages of all peers that have come: see engine.Drain.
func (p *Peers) Drain() (messages int, err error) {
	m := p.m
	m.mu.Lock()
	if p.closed {
		m.mu.Unlock()
		return 0, net.ErrClosed
	}
	for _, ep := range p.members {
		messages += ep.engine.Drain()
		m.wasRead(ep)
		m.touch(ep)
	}
	m.unlock(m.now())
	return messages, nil
}

// Stats returns the counts so far.
func (p *Peers) Stats() PeersStats {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	s := p.stats
	s.Open = len(p.members)
	s.Dropped = p.drops.count(p.m)
	for _, ep := range p.members {
		one := ep.engine.Stats()
		s.Engines.Add(&one)
	}
	return s
}

// Close ends all endpoints: calls that wait return net.ErrClosed. A second call does
// nothing and returns false.
func (p *Peers) Close() bool {
	m := p.m
	now := m.now()
	m.mu.Lock()
	if p.closed {
		m.mu.Unlock()
		return false
	}
	p.closed = true
	for len(p.members) > 0 {
		p.members[len(p.members)-1].end(now)
	}
	m.removeRoutes(p.hosts)
	p.ready.Set()
	m.unlock(now)
	p.readDeadline.Set(past)
	p.writeDeadline.Set(past)
	m.applyFilters() // see Endpoint.Close
	return true
}
