package isotpnet

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/netns"
	"example.com/isotp/internal/stream"
)

// streamBacklog is how many connections may wait for Accept, of each peer. Of more the
// oldest of whose dialer nothing was heard since it asked gives way; else they are not
// answered, and their dialers go on asking.
const streamBacklog = 128

// A StreamListener accepts connections on the network "isotp-stream". A dialer has
// its connection before Accept has returned it, and either side may speak first. One
// that the dialer has ended again meanwhile is returned all the same: what it has sent
// can be read, and then the end or the error.
//
// All connections that a listener has accepted, of all its peers, have together 1024
// windows of 65280 bytes for what is not read yet. Where none is left a dialer is not
// answered, unless one can be taken from a connection of whose dialer nothing was heard
// since it asked: the oldest of these ends with syscall.ECONNRESET. In the same way 128
// of a peer can wait for Accept. So what forged addresses ask for keeps nobody out.
//
// When the bus fails Accept returns an error that is Temporary, and the next Accept
// opens the bus again: [net/http.Server] goes on in this way. But a ListenConfig.Bus
// cannot be opened again: then the error is [Final].
type StreamListener struct {
	network string
	addr    Addr
	join    func() (*streamPair, error)

	namespace *netns.Namespace // that of the bus
	keep      stream.KeepAlive
	given     bool // ListenConfig.Bus, which nobody can open again
	ends      ends
	deadline  deadline.Deadline

	waiting deadline.Signal // a connection waits, or the pair has failed

	mu      sync.Mutex
	pair    *streamPair // nil if it has to be opened anew
	backend string
	closed  bool
	failed  error // of the bus that was given
}

var _ net.Listener = (*StreamListener)(nil)

// ListenStream is Listen on one of the networks "isotp-stream", for a pair that is parsed
// already. Nodes and lists, whose listener is of another type, go through Listen.
func (lc *ListenConfig) ListenStream(ctx context.Context, network string, addr Addr) (*StreamListener, error) {
	addr = addr.plain()
	l, err := lc.listenStream(ctx, network, addr)
	if err != nil {
		return nil, opError(opListen, network, nil, addr.ofStream(), err)
	}
	return l, nil
}

// listenStreams is Listen on one of the networks "isotp-stream".
func (lc *ListenConfig) listenStreams(ctx context.Context, network string, addrs []Addr) (net.Listener, error) {
	var l net.Listener
	var err error
	if len(addrs) == 1 && !addrs[0].IsPattern() {
		l, err = lc.listenStream(ctx, network, addrs[0])
	} else {
		l, err = lc.listenStreamPeers(ctx, network, addrs)
	}
	if err != nil {
		return nil, opError(opListen, network, nil, streamTextOf(addrs), err)
	}
	return l, nil
}

func (lc *ListenConfig) listenStream(ctx context.Context, network string, addr Addr) (*StreamListener, error) {
	if err := checkStreamNetwork(network); err != nil {
		return nil, err
	}
	if err := checkStreamConfig(&lc.Config, lc.streamGroup(), addr); err != nil {
		return nil, err
	}
	if err := checkStreamPair(addr); err != nil {
		return nil, err
	}
	if err := checkBus(addr, lc.Bus); err != nil {
		return nil, err
	}
	d := &Dialer{Config: lc.Config, Bus: lc.Bus, Control: lc.Control}
	join := func(ctx context.Context) (*streamPair, error) {
		return joinPair(ctx, network, d.Bus, addr, &d.Config, func() (*Conn, error) {
			return d.dialMessages(ctx, network, addr)
		})
	}
	namespace, err := netns.Hold()
	if err != nil {
		return nil, err
	}
	l := &StreamListener{
		network:   network,
		addr:      addr.Mirror().ofStream(),
		given:     lc.Bus != nil,
		namespace: namespace,
		keep:      newKeepAlive(lc.KeepAlive, lc.KeepAliveConfig),
	}
	l.join = func() (p *streamPair, err error) {
		err = namespace.Do(func() (err error) {
			p, err = join(context.Background())
			return err
		})
		return p, err
	}
	l.waiting.Make()
	p, err := join(ctx)
	if err == nil {
		err = l.listen(p)
	}
	if err != nil {
		namespace.Close()
		return nil, err
	}
	return l, nil
}

// streamTextOf is textOf for "isotp-stream".
func streamTextOf(addrs []Addr) net.Addr {
	if a, ok := textOf(addrs).(Addr); ok {
		return a.ofStream()
	}
	return streamAddrList{textOf(addrs)}
}

type streamAddrList struct{ net.Addr }

func (streamAddrList) Network() string { return streamNetwork }

// streamGroup is a group that the listener belongs to, for checkStreamConfig.
func (lc *ListenConfig) streamGroup() Addr {
	if len(lc.Functional) > 0 {
		return lc.Functional[0]
	}
	return Addr{}
}

// listen makes l the listener of a pair that was joined.
func (l *StreamListener) listen(p *streamPair) error {
	if err := l.attach(p); err != nil {
		return err
	}
	p.start()
	return nil
}

func (l *StreamListener) attach(p *streamPair) error {
	l.mu.Lock()
	p.mu.Lock()
	defer p.unlock() // after l.mu
	defer l.mu.Unlock()
	var err error
	switch {
	case l.closed:
		err = net.ErrClosed
	case p.err != nil:
		err = p.err
	case p.listener != nil:
		err = &mux.InUseError{Name: p.addr.String(), Other: p.addr.String()}
	}
	if err != nil {
		p.users--
		return err
	}
	p.listener, p.accepted = l, &l.waiting
	p.proto.Listen(streamBacklog)
	l.pair, l.backend = p, p.backend.name()
	return nil
}

// Accept waits for a connection, a [*StreamConn].
func (l *StreamListener) Accept() (net.Conn, error) {
	c, err := l.AcceptStream()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptStream is Accept with the type that it returns.
func (l *StreamListener) AcceptStream() (*StreamConn, error) {
	c, err := l.accept()
	if err != nil {
		return nil, opError(opAccept, l.network, nil, l.addr, l.ends.error(opAccept, err))
	}
	return c, nil
}

func (l *StreamListener) accept() (*StreamConn, error) {
	p, err := l.open()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	for {
		switch {
		case p.err != nil:
			p.unlock()
			return nil, l.lose(p)
		case p.listener != l:
			p.unlock()
			return nil, net.ErrClosed
		case l.deadline.Exceeded():
			p.unlock()
			return nil, os.ErrDeadlineExceeded
		}
		if c := p.accept(l.network, l.keep); c != nil {
			p.unlock()
			return c, nil
		}
		p.unlock()
		l.waiting.Wait(&l.deadline)
		p.mu.Lock()
	}
}

// open returns the pair, which it opens again after it has failed.
func (l *StreamListener) open() (*streamPair, error) {
	l.mu.Lock()
	closed, failed, p := l.closed, l.failed, l.pair
	l.mu.Unlock()
	switch {
	case closed:
		return nil, net.ErrClosed
	case failed != nil:
		return nil, failed
	case p != nil:
		return p, nil
	}
	p, err := l.join()
	if err == nil {
		err = l.listen(p)
	}
	switch {
	case err == net.ErrClosed:
		return nil, err
	case err != nil:
		return nil, passing(err)
	}
	return p, nil
}

// lose gives up the pair, which has failed, and returns why.
func (l *StreamListener) lose(p *streamPair) error {
	l.mu.Lock()
	closed, mine := l.closed, l.pair == p
	if mine && !closed {
		l.pair = nil
		if l.given {
			l.failed = p.err
		}
	}
	l.waiting.Set() // for the next Accept that waits
	l.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	if mine {
		l.stop(p)
	}
	if l.given {
		return p.err
	}
	return passing(p.err)
}

// stop ends listening on a pair.
func (l *StreamListener) stop(p *streamPair) {
	p.mu.Lock()
	defer p.unlock()
	p.listener, p.accepted = nil, nil
	p.users--
	p.proto.StopListening()
}

// passing makes an error of the bus one that may pass, unless somebody has closed
// the bus.
func passing(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return acceptError{err}
}

// SetDeadline sets the deadline of Accept.
func (l *StreamListener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return opError(opSet, l.network, nil, l.addr, net.ErrClosed)
	}
	l.deadline.Set(t)
	return nil
}

// Backend returns what the listener runs on: see [Conn.Backend].
func (l *StreamListener) Backend() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.backend
}

// Addr returns the address that a peer dials, the mirror of the one that is listened on,
// and the LocalAddr of the connections accepted. It is an [Addr] whose Network is
// "isotp-stream":
//
//	c, err := isotpnet.Dial(ln.Addr().Network(), ln.Addr().String())
//
// So it is not what ListenStream takes for another listener of the same.
func (l *StreamListener) Addr() net.Addr { return l.addr }

// Close ends the listener; connections that wait for Accept are reset, the others
// live on. A second Close does nothing.
func (l *StreamListener) Close() error {
	l.mu.Lock()
	closed, p := l.closed, l.pair
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	if p != nil {
		l.stop(p)
	}
	l.deadline.Set(past)
	l.namespace.Close()
	return nil
}
