package isotpnet

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/mux"
)

// Listen listens for messages from one peer or from any:
//
//	can0/7E8:7E0          hears 7E0 and answers on 7E8
//	can0/7E8:7E0,7DF      the same ECU, which also hears functional requests on 7DF
//	can0/7E8:7E0,7E9:7E1  two ECUs
//	can0/fixed::10        the node 10 and any peer, in normal fixed addressing
//	can0/fixed::10,func:33  the same ECU, a member of the functional group 33
//
// See [Listener], which the net.Listener is. On "isotp-stream" it is a
// [*StreamListener]. Streams have no groups.
func Listen(network, address string) (net.Listener, error) {
	return new(ListenConfig).Listen(context.Background(), network, address)
}

// A ListenConfig has the options for listening. The zero ListenConfig is Listen.
type ListenConfig struct {
	// Config is the Config of the connections accepted.
	Config Config

	// Bus is used instead of the one that the address names: see Dialer.Bus.
	Bus canbus.Bus

	// Functional are groups to which the listener belongs, beside those in the
	// address: it hears the Single Frames sent to these addresses, such as
	// MustParseAddr("/7DF:"), too. Their bus part is ignored. On "isotp-stream" it must
	// be empty: a stream has two ends.
	Functional []Addr

	// Backlog is how many connections may wait to be accepted. 0 or less: 256. While
	// so many wait, a message that would make another connection is not heard, and is
	// counted: see Listener.Stats. Backlog is ignored by ListenPacket, on "isotp-stream",
	// and on the kernel's backend, whose listener has one peer.
	Backlog int

	// MaxPeers is for how many peers at once a PacketConn keeps state. 0 or less: 256,
	// which are all peers of a node, or as many as there are pairs in a list. When so many
	// peers are busy, other peers are not heard, and their frames are counted: see
	// PacketConn.Stats. MaxPeers is ignored by Listen.
	MaxPeers int

	// Control, if it is not nil, is called with the listener's socket: see
	// Dialer.Control.
	Control func(network, address string, c syscall.RawConn) error

	// KeepAlive and KeepAliveConfig are those of the connections accepted on
	// "isotp-stream": see Dialer.KeepAlive. They are ignored on "isotp".
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig
}

// defaultBacklog has room for all peers of a node.
const defaultBacklog = 256

// A Listener waits for first messages. ISO-TP does not set up connections: a peer's message
// makes one when it is started, that is, when its Single Frame or First Frame has come, and
// it is the connection's first message. Accept returns as soon as the message is started. A
// message whose reception is aborted before Accept returns makes no connection.
//
// Each peer has one connection at a time; after it was closed, the peer's next message
// makes another. Keep it open as long as the peer may send: a message that comes between
// the last Read and Close is lost.
//
// A functional request comes to the connection of its sender, if the address tells the
// sender (func:33). A functional request of 11 bits, such as 7DF, comes to the connections
// of all pairs. [MessageInfo] tells functional requests from physical ones.
type Listener struct {
	network string
	addr    net.Addr
	ends    ends
	acceptor
}

var _ net.Listener = (*Listener)(nil)

// ListenerStats count what a [Listener] has done. The kernel's backend counts
// nothing.
type ListenerStats struct {
	// Made are the connections that messages have made.
	Made uint64
	// Refused are the frames that began a message and were not heard because
	// ListenConfig.Backlog connections waited to be accepted.
	Refused uint64
	// Stray are frames that began no message, of peers without a connection.
	Stray uint64
}

// An acceptor is a Listener's backend. Its errors are those that users know; Listener wraps
// them in a *net.OpError.
type acceptor interface {
	name() string
	accept() (*Conn, error)
	setDeadline(t time.Time) error
	stats() ListenerStats
	close() error
}

// Listen listens on an address: see the function of that name. The context bounds the
// opening of the bus.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	addrs, err := parse(network, address, ParseAddrs)
	if err != nil {
		return nil, opError(opListen, network, nil, nil, err)
	}
	if isStream(network) {
		l, err := lc.ListenStream(ctx, network, addrs...)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	l, err := lc.ListenAddr(ctx, network, addrs...)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// ListenAddr is Listen on one of the networks "isotp", for addresses that are parsed
// already: pairs and nodes on one bus, and the functional addresses that they hear, as in
// the list that [ParseAddrs] makes of "can0/7E8:7E0,7DF". See [ListenConfig.ListenStream]
// for "isotp-stream".
func (lc *ListenConfig) ListenAddr(ctx context.Context, network string, addrs ...Addr) (*Listener, error) {
	addrs = plainAddrs(addrs)
	err := checkMessages(network)
	var l *Listener
	if err == nil {
		l, err = lc.listen(ctx, network, addrs)
	}
	if err != nil {
		return nil, opError(opListen, network, nil, textOf(addrs), err)
	}
	return l, nil
}

// listen is ListenAddr for a network that was checked: streams listen so, too.
func (lc *ListenConfig) listen(ctx context.Context, network string, addrs []Addr) (*Listener, error) {
	ls, err := lc.check(addrs, false)
	if err != nil {
		return nil, err
	}
	a, why, err := open(ctx, network, lc.kernelRefuses(ls), userRefuses(&lc.Config, lc.Control),
		func() (acceptor, error) { return lc.listenKernel(network, addrs[0]) },
		func() (acceptor, error) { return lc.listenUser(ctx, network, ls) })
	if err != nil {
		return nil, err
	}
	lc.Config.logBackend(a.name(), ls.text, why)
	return &Listener{network: network, addr: ls.addr, acceptor: a}, nil
}

// check refuses what cannot be listened on.
func (lc *ListenConfig) check(addrs []Addr, packets bool) (*listenAddrs, error) {
	if err := lc.Config.check(); err != nil {
		return nil, err
	}
	if err := checkAddrs(addrs); err != nil {
		return nil, err
	}
	ls, err := newListenAddrs(addrs, lc.Functional, packets)
	if err != nil {
		return nil, err
	}
	if lc.Config.ListenOnly {
		for _, a := range ls.addrs() {
			if a.isPattern() {
				return nil, &net.AddrError{Err: "with Config.ListenOnly name both sides, as in can0/fixed:10:F1: what is sent to any peer cannot be overheard", Addr: a.String()}
			}
		}
	}
	return ls, checkBus(addrs[0], lc.Bus)
}

// A userListener is an acceptor: a listener of the engines on a bus.
type userListener struct {
	mux *mux.Listener
	bus *busUsers
}

func (lc *ListenConfig) listenUser(ctx context.Context, network string, ls *listenAddrs) (acceptor, error) {
	m, release, err := openAddrs(ctx, ls.addrs(), lc.Bus, &lc.Config)
	if err != nil {
		return nil, err
	}
	l := &userListener{bus: &busUsers{count: 1, release: release}}
	config := ls.config(lc.Config)
	specs, err := ls.specs(m, &config)
	if err == nil {
		l.mux, err = m.Listen(specs, orDefault(max(lc.Backlog, 0), defaultBacklog), func(ep *mux.Endpoint) {
			l.bus.join()
			newUserConn(&config, network, ls.peerAddr(ep), l.bus.leave).observed(&config)(ep)
		})
	}
	if err != nil {
		release()
		return nil, err
	}
	return l, nil
}

// Accept waits for a message that makes a connection, a [*Conn]. Errors:
// os.ErrDeadlineExceeded, net.ErrClosed, what the bus failed with; see [Final].
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn is Accept with the type that it returns.
func (l *Listener) AcceptConn() (*Conn, error) {
	c, err := l.accept()
	if err != nil {
		return nil, opError(opAccept, l.network, nil, l.addr, l.ends.error(opAccept, err))
	}
	return c, nil
}

// Backend returns what the listener runs on: see Conn.Backend.
func (l *Listener) Backend() string { return l.name() }

// SetDeadline sets the deadline of Accept.
func (l *Listener) SetDeadline(t time.Time) error {
	return opError(opSet, l.network, nil, l.addr, l.setDeadline(t))
}

// Stats returns what has been counted so far.
func (l *Listener) Stats() ListenerStats { return l.stats() }

// Addr returns the address of the listener. For one pair of addresses, with groups or
// without, it is the mirror of the pair: what the peer dials, and the LocalAddr of the
// connections accepted:
//
//	ln, err := isotpnet.Listen("isotp", "can0/7E8:7E0")
//	c, err := isotpnet.Dial(ln.Addr().Network(), ln.Addr().String()) // can0/7E0:7E8
//
// So do not give it to Listen to open the same listener again. For a node or several pairs
// it is the address as it was given. That cannot be dialled, because each peer dials an
// address of its own. It is an [Addr] unless it is a list.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close ends the listener. Connections that wait for Accept end with it; those that were
// accepted live on. A second Close does nothing.
func (l *Listener) Close() error { return opError(opClose, l.network, nil, l.addr, l.close()) }

func (l *userListener) name() string { return backendUser }

func (l *userListener) accept() (*Conn, error) {
	for {
		ep, err := l.mux.Accept()
		if err != nil {
			return nil, protocolError(err)
		}
		c := ep.User.(*Conn)
		if !c.backend.(*userConn).closeEmpty() {
			return c, nil
		}
	}
}

func (l *userListener) stats() ListenerStats { return ListenerStats(l.mux.Stats()) }

func (l *userListener) setDeadline(t time.Time) error { return l.mux.SetDeadline(t) }

func (l *userListener) close() error {
	waiting, ok := l.mux.Close()
	for _, ep := range waiting {
		ep.User.(*Conn).Close()
	}
	if ok {
		return l.bus.leave()
	}
	return nil
}

// busUsers counts the users of a bus: a listener and the connections that it has made. The
// last of them to leave releases the bus.
type busUsers struct {
	mu      sync.Mutex // guards count; a leaf, taken under Mux.mu
	count   int
	release func() error
}

func (b *busUsers) join() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
}

func (b *busUsers) leave() error {
	b.mu.Lock()
	b.count--
	last := b.count == 0
	b.mu.Unlock()
	if last {
		return b.release()
	}
	return nil
}
