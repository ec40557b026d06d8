package isotpnet

import (
	"context"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/stream"
)

// streamPeers listens on "isotp-stream" for the peers of a node, whoever they are,
// or of a list of pairs. The first message of a peer makes its streamPair, which
// lives as long as there are streams over it.
//
// Its lock comes before streamPair.mu.
type streamPeers struct {
	network  string
	addr     net.Addr
	bus      canbus.Bus
	id       string // the bus's identity, if it has a name
	config   Config
	keep     stream.KeepAlive
	messages *Listener // makes a Conn of each peer's first message
	deadline deadline.Deadline
	accepted deadline.Signal // a stream waits for Accept, or the bus has failed
	windows  streamWindows
	ends     ends

	mu     sync.Mutex
	pairs  map[*streamPair]struct{}
	closed bool
	err    error // of the bus
}

var _ net.Listener = (*streamPeers)(nil)

func (lc *ListenConfig) listenStreamPeers(ctx context.Context, network string, addrs []Addr) (*streamPeers, error) {
	if err := checkStreamNetwork(network); err != nil {
		return nil, err
	}
	if err := checkStreamConfig(&lc.Config, lc.streamGroup(), addrs...); err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if a.kind != kindPair && a.kind != kindNode {
			return nil, &net.AddrError{Err: "streams are listened for on pairs and on nodes, as in can0/7E0:7E8 or can0/fixed::10", Addr: a.String()}
		}
	}
	messages, err := lc.listen(ctx, network, addrs)
	if err != nil {
		return nil, err
	}
	l := &streamPeers{
		network:  network,
		addr:     streamTextOf(addrs),
		bus:      lc.Bus,
		id:       newPairKey(lc.Bus, addrs[0]).id,
		config:   lc.Config,
		keep:     newKeepAlive(lc.KeepAlive, lc.KeepAliveConfig),
		messages: messages,
		pairs:    make(map[*streamPair]struct{}),
	}
	l.accepted.Make()
	go l.admit()
	return l, nil
}

// admit is the goroutine that makes a streamPair of each new peer.
func (l *streamPeers) admit() {
	for {
		c, err := l.messages.accept()
		if err != nil {
			l.mu.Lock()
			l.err = err
			l.accepted.Set()
			l.mu.Unlock()
			return
		}
		p := newStreamPair(pairKey{l.bus, l.id, c.remote.WithBus("")}, c.remote, l.network, &l.config)
		p.peers = l
		streamPairs.Lock()
		taken := streamPairs.open[p.key] != nil // a Dial is opening it, and will fail
		if !taken {
			streamPairs.open[p.key] = p
		}
		streamPairs.Unlock()
		if taken {
			c.Close()
			continue
		}
		p.open(func() (*Conn, error) { return c, nil })
		p.start()
	}
}

// join has a new pair accept streams, before its first message is looked at.
func (l *streamPeers) join(p *streamPair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.pairs[p] = struct{}{}
	p.proto.Listen(streamBacklog)
	p.accepted = &l.accepted
}

// leave follows the end of a pair.
func (l *streamPeers) leave(p *streamPair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pairs, p)
}

// Accept waits for a connection, a [*StreamConn].
func (l *streamPeers) Accept() (net.Conn, error) {
	for {
		// Whoever is woken leaves the signal to the next one, if there is more.
		c, err := l.next()
		switch {
		case err != nil:
			return nil, opError(opAccept, l.network, nil, l.addr, l.ends.error(opAccept, err))
		case c != nil:
			return c, nil
		}
		l.accepted.Wait(&l.deadline)
	}
}

func (l *streamPeers) next() (*StreamConn, error) {
	c, p, err := l.take()
	if p != nil {
		p.unlock()
	}
	return c, err
}

// take accepts a stream of some pair, which it returns locked, if one waits.
func (l *streamPeers) take() (*StreamConn, *streamPair, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, nil, net.ErrClosed
	case l.deadline.Exceeded():
		return nil, nil, os.ErrDeadlineExceeded
	}
	for p := range l.pairs {
		p.mu.Lock()
		if c := p.accept(l.network, l.keep); c != nil {
			l.accepted.Set()
			return c, p, nil
		}
		p.mu.Unlock()
	}
	if l.err != nil {
		l.accepted.Set()
	}
	return nil, nil, l.err
}

// SetDeadline sets the deadline of Accept.
func (l *streamPeers) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return opError(opSet, l.network, nil, l.addr, net.ErrClosed)
	}
	l.deadline.Set(t)
	return nil
}

// Addr returns the address that is listened on, an [Addr] unless it is a list. It cannot
// be dialled: each peer has its own.
func (l *streamPeers) Addr() net.Addr { return l.addr }

// Close ends the listener; connections that wait for Accept are reset, the others
// live on.
func (l *streamPeers) Close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	pairs := slices.Collect(maps.Keys(l.pairs))
	clear(l.pairs)
	l.mu.Unlock()
	if closed {
		return nil
	}
	l.deadline.Set(past)
	for _, p := range pairs {
		p.mu.Lock()
		p.accepted = nil
		p.proto.StopListening()
		p.unlock()
	}
	return l.messages.Close()
}
