package isotpnet

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/netns"
	"example.com/isotp/internal/stream"
)

// streamBacklog is how many connections of each peer may wait for Accept. One more takes
// the place of the oldest whose dialer was not heard again after it asked. If there is no
// such connection the new dialer gets no answer, and goes on asking.
const streamBacklog = 128

// A StreamListener accepts connections on the network "isotp-stream": those of one peer
// (can0/7E8:7E0), of a list of peers (can0/7E8:7E0,7E9:7E1) or of any peer of a node
// (can0/fixed::10). A dialer has its connection before Accept has returned it, and either
// side may speak first. Accept also returns a connection that its dialer has ended
// meanwhile: what the dialer has sent can be read, and then the end or the error.
//
// All connections that a listener has accepted, of all its peers, have together 1024
// windows of 65280 bytes for what is not read yet. If none is left, a new connection takes
// the window of the oldest one whose dialer was not heard again after it asked, and that
// one ends with syscall.ECONNRESET; if there is none of these either, the dialer gets no
// answer. In the same way 128 connections of each peer can wait for Accept. So what
// forged addresses ask for keeps no honest dialer out.
//
// When the bus fails all connections end, Accept returns an error that is Temporary, and
// the next Accept opens the bus again: [net/http.Server] goes on in this way. But a
// ListenConfig.Bus cannot be opened again: then the error is [Final].
type StreamListener struct {
	network   string
	addrs     []Addr
	addr      net.Addr // of Addr
	config    ListenConfig
	keep      stream.KeepAlive
	namespace *netns.Namespace // that of the bus
	ends      ends
	deadline  deadline.Deadline
	accepted  deadline.Signal // a connection waits for Accept, or the source has failed
	windows   streamWindows   // of all sources

	// mu guards what follows, and the sources' fields that say so. It comes before
	// streamPair.mu.
	mu     sync.Mutex
	source *streamSource
	closed bool
	// reopening is under way since an Accept that came after source had failed; nil if it
	// is not.
	reopening *reopening
}

// A reopening opens a source in place of one that has failed. Every Accept that waits has
// its outcome, and it goes on if they end at their deadline.
type reopening struct {
	cancel context.CancelFunc // Close calls it

	done   chan struct{} // closed when the rest is set
	source *streamSource
	err    error
}

var _ net.Listener = (*StreamListener)(nil)

// ListenStream is Listen on one of the networks "isotp-stream", for addresses that are
// parsed already: a pair, a node, or several of them on one bus.
func (lc *ListenConfig) ListenStream(ctx context.Context, network string, addrs ...Addr) (*StreamListener, error) {
	addrs = plainAddrs(addrs)
	l, err := lc.listenStream(ctx, network, addrs)
	if err != nil {
		return nil, opError(opListen, network, nil, streamTextOf(addrs), err)
	}
	return l, nil
}

func (lc *ListenConfig) listenStream(ctx context.Context, network string, addrs []Addr) (*StreamListener, error) {
	if err := lc.checkStream(network, addrs); err != nil {
		return nil, err
	}
	namespace, err := netns.Hold()
	if err != nil {
		return nil, err
	}
	l := &StreamListener{
		network:   network,
		addrs:     addrs,
		addr:      streamTextOf(addrs),
		config:    *lc,
		keep:      newKeepAlive(lc.KeepAlive, lc.KeepAliveConfig),
		namespace: namespace,
	}
	if pair, ok := l.single(); ok {
		l.addr = pair.Mirror().ofStream()
	}
	l.accepted.Make()
	if l.source, err = l.open(ctx); err != nil {
		namespace.Close()
		return nil, err
	}
	return l, nil
}

// checkStream refuses what streams cannot be listened for on.
func (lc *ListenConfig) checkStream(network string, addrs []Addr) error {
	if err := checkStreams(network); err != nil {
		return err
	}
	if err := checkAddrs(addrs); err != nil {
		return err
	}
	var group Addr
	if len(lc.Functional) > 0 {
		group = lc.Functional[0]
	}
	if err := checkStreamConfig(&lc.Config, group, addrs...); err != nil {
		return err
	}
	for _, a := range addrs {
		if a.kind != KindPair && a.kind != KindNode {
			return &net.AddrError{Err: "streams are listened for on pairs and on nodes, as in can0/7E0:7E8 or can0/fixed::10", Addr: a.String()}
		}
	}
	return checkBus(addrs[0], lc.Bus)
}

// single returns the pair, if one is all that is listened on.
func (l *StreamListener) single() (pair Addr, ok bool) {
	return l.addrs[0], len(l.addrs) == 1 && l.addrs[0].kind == KindPair
}

// streamTextOf is textOf for "isotp-stream".
func streamTextOf(addrs []Addr) net.Addr {
	if len(addrs) == 0 {
		return nil
	}
	if a, ok := textOf(addrs).(Addr); ok {
		return a.ofStream()
	}
	return streamAddrList{textOf(addrs)}
}

type streamAddrList struct{ net.Addr }

func (streamAddrList) Network() string { return streamNetwork }

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
	s, err := l.listening()
	if err != nil {
		return nil, err
	}
	for {
		// An Accept that is woken wakes the next one, if there is more.
		if c, err := s.next(); c != nil || err != nil {
			return c, err
		}
		l.accepted.Wait(&l.deadline)
	}
}

// listening returns the source. When Accept has told why the last one has failed, it waits
// for another one.
func (l *StreamListener) listening() (*streamSource, error) {
	s, r, err := l.current()
	if r == nil {
		return s, err
	}
	select {
	case <-r.done:
		return r.source, r.err
	case <-l.deadline.Wait():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, net.ErrClosed
	}
	return nil, os.ErrDeadlineExceeded
}

// current returns the source, or the reopening that is to be waited for.
func (l *StreamListener) current() (*streamSource, *reopening, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, nil, net.ErrClosed
	case !l.source.told || l.config.Bus != nil:
		return l.source, nil, nil
	case l.deadline.Exceeded():
		return nil, nil, os.ErrDeadlineExceeded
	}
	if l.reopening == nil {
		ctx, cancel := context.WithCancel(context.Background())
		l.reopening = &reopening{cancel: cancel, done: make(chan struct{})}
		go l.reopen(ctx, l.reopening, l.source)
	}
	return nil, l.reopening, nil
}

// reopen opens a source in place of the one that has failed.
func (l *StreamListener) reopen(ctx context.Context, r *reopening, failed *streamSource) {
	defer close(r.done)
	defer r.cancel()
	failed.ending.Wait() // until then the addresses are in use
	r.err = l.namespace.Do(func() (err error) {
		r.source, err = l.open(ctx)
		return err
	})
	l.mu.Lock()
	l.reopening = nil
	closed := l.closed
	if r.err == nil && !closed {
		l.source = r.source
	}
	l.mu.Unlock()
	switch {
	case closed && r.err == nil:
		r.source.close()
		r.err = net.ErrClosed
	case closed:
		r.err = net.ErrClosed
	case r.err != nil:
		r.err = passing(r.err)
	}
}

// SetDeadline sets the deadline of Accept. On a closed listener it returns net.ErrClosed.
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
	return l.source.backend
}

// Addr returns an address whose Network is "isotp-stream". Of a listener on one pair it is
// what the peer dials, the mirror of the pair, and the LocalAddr of the connections
// accepted:
//
//	c, err := isotpnet.Dial(ln.Addr().Network(), ln.Addr().String())
//
// So it is not what ListenStream takes for another listener of the same. Of a node or of
// several addresses it is what was listened on, which cannot be dialled: each peer has its
// own. It is an [Addr] unless it is a list.
func (l *StreamListener) Addr() net.Addr { return l.addr }

// Close ends the listener; connections that wait for Accept are reset, the others
// live on. A second Close does nothing.
func (l *StreamListener) Close() error {
	l.mu.Lock()
	closed, s, r := l.closed, l.source, l.reopening
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	l.deadline.Set(past)
	if r != nil {
		r.cancel()
	}
	s.close()
	l.namespace.Close()
	return nil
}

// A streamSource is what a listener has open, until its bus fails: one pair; or, for more
// peers than one, a Listener that makes a Conn of each peer's first message. Of that
// another pair is made, which lives as long as there are streams over it.
type streamSource struct {
	listener *StreamListener
	messages *Listener // nil for one pair
	backend  string
	ending   sync.WaitGroup // of admit and of the pairs that it has made

	// Under listener.mu.
	pairs map[*streamPair]struct{} // whose sessions can be accepted
	err   error                    // why it has failed
	told  bool                     // Accept has returned err
}

// open opens what is listened on.
func (l *StreamListener) open(ctx context.Context) (*streamSource, error) {
	s := &streamSource{listener: l, pairs: make(map[*streamPair]struct{})}
	if pair, ok := l.single(); ok {
		return s, s.openPair(ctx, pair)
	}
	return s, s.openPeers(ctx)
}

// openPair listens on one pair, which streams that were dialled may share.
func (s *streamSource) openPair(ctx context.Context, pair Addr) error {
	c := &s.listener.config
	d := &Dialer{Config: c.Config, Bus: c.Bus, Control: c.Control}
	p, err := joinPair(ctx, s.listener.network, d.Bus, pair, &d.Config, func() (*Conn, error) {
		return d.dialMessages(ctx, s.listener.network, pair)
	})
	if err != nil {
		return err
	}
	s.backend = p.backend.name()
	defer p.leave() // a pair that is listened on needs no other user
	if err := s.adopt(p); err != nil {
		return err
	}
	p.handle()
	return nil
}

// openPeers listens for the first messages of any number of peers.
func (s *streamSource) openPeers(ctx context.Context) (err error) {
	l := s.listener
	s.messages, err = l.config.listen(ctx, l.network, l.addrs)
	if err != nil {
		return err
	}
	s.backend = s.messages.name()
	key := newPairKey(l.config.Bus, l.addrs[0]) // here, in the bus's network namespace
	s.ending.Go(func() {
		s.fail(s.admit(key))
		s.messages.Close()
	})
	return nil
}

// admit makes a pair of each new peer, until the bus fails or the listener is closed. All
// of them have the bus of that key.
func (s *streamSource) admit(key pairKey) error {
	for {
		c, err := s.messages.accept()
		if err != nil {
			return err
		}
		key.addr = c.remote.WithBus("")
		p := newStreamPair(key, c.remote, &s.listener.config.Config)
		p.admitter = s
		// The pair may be in opening: a Dial opens it, and will fail. Or it is in over: shut
		// has closed its Conn, and is about to forget it. The peer asks again.
		if !p.enlist() {
			c.Close()
			continue
		}
		s.ending.Add(1)
		p.open(func() (*Conn, error) { return c, nil })
		s.adopt(p) // else it refuses all streams: the listener is closed, or another has the pair
		p.handle()
	}
}

// adopt has a pair's sessions accepted here.
func (s *streamSource) adopt(p *streamPair) error {
	l := s.listener
	l.mu.Lock()
	p.mu.Lock()
	defer p.unlock() // after l.mu
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return net.ErrClosed
	case p.err != nil:
		return p.err
	case p.source != nil:
		return &inUseError{p.addr.String(), p.addr.String()}
	}
	s.pairs[p] = struct{}{}
	p.source = s
	p.proto.Listen(streamBacklog)
	return nil
}

// disown removes a pair that is over; err is why.
func (s *streamSource) disown(p *streamPair, err error) {
	s.listener.mu.Lock()
	delete(s.pairs, p)
	s.listener.mu.Unlock()
	if s.messages == nil {
		s.fail(err)
	}
}

// fail ends the source: Accept returns an error.
func (s *streamSource) fail(err error) {
	l := s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.config.Bus == nil {
		err = passing(err)
	}
	s.err = err
	l.accepted.Set()
}

// next returns a connection that waits for Accept, if there is one, or why Accept is to
// end.
func (s *streamSource) next() (*StreamConn, error) {
	p, err := s.lockWaiting()
	if p == nil {
		return nil, err
	}
	defer p.unlock()
	return p.accept(s.listener.network, s.listener.keep), nil
}

// lockWaiting returns a pair of which a session waits for Accept, if there is one, and
// locks it.
func (s *streamSource) lockWaiting() (*streamPair, error) {
	l := s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, net.ErrClosed
	case s.err != nil:
		s.told = true
		l.accepted.Set()
		return nil, s.err
	case l.deadline.Exceeded():
		return nil, os.ErrDeadlineExceeded
	}
	for p := range s.pairs {
		p.mu.Lock()
		if p.proto.Waiting() > 0 && p.err == nil {
			l.accepted.Set()
			return p, nil
		}
		p.mu.Unlock()
	}
	return nil, nil
}

// close ends the source: no more connections come, and those that wait for Accept are
// reset. listener.closed is set already.
func (s *streamSource) close() {
	s.listener.mu.Lock()
	pairs := slices.Collect(maps.Keys(s.pairs))
	clear(s.pairs)
	s.listener.mu.Unlock()
	for _, p := range pairs {
		p.unlisten()
	}
	if s.messages != nil {
		s.messages.Close()
	}
}

// passing makes an error of the bus one that may pass, unless the bus was closed by its
// user.
func passing(err error) error {
	err = busFailed(err) // the adapter may come back: that is no net.ErrClosed
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return acceptError{err}
}

// streamWindows are the windows that the peers of one listener have together, maxStreams of
// them: any number of peers on a bus, real ones or forged, cannot fill the memory.
type streamWindows struct {
	mu      sync.Mutex // guards what follows; taken under streamPair.mu
	holders map[*stream.Session]struct{}
	// unconfirmed are the holders whose OPEN may be forged, the oldest first.
	unconfirmed []windowHolder
}

type windowHolder struct {
	pair    *streamPair
	session *stream.Session
}

// A pairWindows is streamWindows as the sessions of one pair see it.
type pairWindows struct {
	*streamWindows
	pair *streamPair
}

var _ stream.Windows = pairWindows{}

// Take implements stream.Windows.
func (w pairWindows) Take(s *stream.Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.holders) == maxStreams {
		if len(w.unconfirmed) == 0 {
			return false
		}
		oldest := w.unconfirmed[0]
		w.unconfirmed = slices.Delete(w.unconfirmed, 0, 1)
		delete(w.holders, oldest.session)
		go oldest.evict() // here its pair, or another one, is locked
	}
	if w.holders == nil {
		w.holders = make(map[*stream.Session]struct{})
	}
	w.holders[s] = struct{}{}
	w.unconfirmed = append(w.unconfirmed, windowHolder{w.pair, s})
	return true
}

// Confirm implements stream.Windows.
func (w pairWindows) Confirm(s *stream.Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.confirm(s)
	_, holds := w.holders[s]
	return holds
}

// Give implements stream.Windows.
func (w pairWindows) Give(s *stream.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.confirm(s)
	delete(w.holders, s)
}

func (w *streamWindows) confirm(s *stream.Session) {
	w.unconfirmed = slices.DeleteFunc(w.unconfirmed, func(h windowHolder) bool { return h.session == s })
}

// evict ends a session whose window another one has now.
func (h windowHolder) evict() {
	h.pair.mu.Lock()
	h.session.Evict()
	h.pair.unlock()
}
