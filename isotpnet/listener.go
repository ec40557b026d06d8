package isotpnet

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/wire"
)

// Listen listens for messages from one peer: Listen("isotp", "vcan0/7E8:7E0")
// hears 7E0 and answers on 7E8. See [Listener]. The net.Listener is a [*Listener],
// and on "isotp-stream" a [*StreamListener].
func Listen(network, address string) (net.Listener, error) {
	return new(ListenConfig).Listen(context.Background(), network, address)
}

// A ListenConfig has the options for listening. The zero ListenConfig is Listen.
type ListenConfig struct {
	// Config is that of the connections accepted.
	Config Config

	// Bus is used instead of the one that the address names: see Dialer.Bus.
	Bus canbus.Bus

	// Functional are groups to which the listener belongs: it hears the Single
	// Frames sent to these addresses, such as MustParseAddr("/7DF:"), too.
	// Their bus part is not looked at.
	Functional []Addr

	// Control is called with the listener's socket: see Dialer.Control.
	Control func(network, address string, c syscall.RawConn) error

	// KeepAlive and KeepAliveConfig are those of the connections accepted on
	// "isotp-stream": see Dialer.KeepAlive.
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig
}

// A Listener waits for a first message on one pair of addresses. ISO-TP has no
// connections to be made: a message that begins (a Single Frame or First Frame)
// makes one, and is its first message. Accept returns as soon as it has begun.
//
// There is one connection at a time; after it was closed the next message makes
// another. Keep it open as long as the peer may speak: a message that comes between
// the last Read and Close is lost with it.
type Listener struct {
	network string
	addr    Addr
	acceptor
}

var _ net.Listener = (*Listener)(nil)

// An acceptor is what a Listener is made of. Its errors are those that users know,
// not wrapped yet.
type acceptor interface {
	name() string
	accept() (*Conn, error)
	setDeadline(t time.Time) error
	close() error
}

// Listen listens on an address. The context bounds the opening of the bus.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	addr, err := ParseAddr(address)
	if err != nil {
		return nil, opError(opListen, network, nil, nil, err)
	}
	if isStream(network) {
		l, err := lc.ListenStream(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	l, err := lc.listen(ctx, network, addr)
	if err != nil {
		return nil, opError(opListen, network, nil, addr, err)
	}
	return l, nil
}

func (lc *ListenConfig) listen(ctx context.Context, network string, addr Addr) (*Listener, error) {
	if err := checkNetwork(network); err != nil {
		return nil, err
	}
	if err := lc.Config.check(); err != nil {
		return nil, err
	}
	if !addr.IsPair() {
		return nil, &net.AddrError{Err: "to listen name both sides: where to answer, and where the peer sends, as in can0/7E8:7E0", Addr: addr.String()}
	}
	functional, err := wireAddresses(lc.Functional, addr)
	if err != nil {
		return nil, err
	}
	if err := checkBus(addr, lc.Bus); err != nil {
		return nil, err
	}
	a, why, err := open(ctx, network, lc.kernelRefuses(addr), userRefuses(&lc.Config, lc.Control),
		func() (acceptor, error) { return lc.listenKernel(network, addr) },
		func() (acceptor, error) { return lc.listenUser(ctx, network, addr, functional) })
	if err != nil {
		return nil, err
	}
	lc.Config.logBackend(a.name(), addr, why)
	return &Listener{network: network, addr: addr, acceptor: a}, nil
}

// A userListener is an acceptor: a listener of the engines on a bus.
type userListener struct {
	mux *mux.Listener
	bus *busUsers
}

func (lc *ListenConfig) listenUser(ctx context.Context, network string, addr Addr, functional []wire.Address) (acceptor, error) {
	m, release, err := openPair(ctx, addr, lc.Bus, &lc.Config)
	if err != nil {
		return nil, err
	}
	l := &userListener{bus: &busUsers{count: 1, release: release}}
	spec, err := lc.Config.spec(m, addr)
	if err == nil {
		spec.Functional = functional
		config := lc.Config
		l.mux, err = m.Listen(spec, func(ep *mux.Endpoint) {
			l.bus.join()
			newUserConn(&config, network, addr, l.bus.leave).observed(&config)(ep)
		})
	}
	if err != nil {
		release()
		return nil, err
	}
	return l, nil
}

// Accept waits for a message that makes a connection, a [*Conn].
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
		return nil, &net.OpError{Op: opAccept, Net: l.network, Addr: l.addr, Err: err}
	}
	return c, nil
}

// Backend returns what the listener runs on: see Conn.Backend.
func (l *Listener) Backend() string { return l.name() }

// SetDeadline sets the deadline of Accept.
func (l *Listener) SetDeadline(t time.Time) error {
	return opError(opSet, l.network, nil, l.addr, l.setDeadline(t))
}

// Addr returns the address that is listened on, an [Addr].
func (l *Listener) Addr() net.Addr { return l.addr }

// Close ends the listener; connections that it has made but not yet accepted end
// with it, the others live on. A second Close does nothing.
func (l *Listener) Close() error { return opError(opClose, l.network, nil, l.addr, l.close()) }

func (l *userListener) name() string { return backendUser }

func (l *userListener) accept() (*Conn, error) {
	ep, err := l.mux.Accept()
	if err != nil {
		return nil, err
	}
	return ep.User.(*Conn), nil
}

func (l *userListener) setDeadline(t time.Time) error { return l.mux.SetDeadline(t) }

func (l *userListener) close() error {
	waiting, ok := l.mux.Close()
	for _, ep := range waiting {
		ep.User.(*Conn).Close()
	}
	if ok {
		l.bus.leave()
	}
	return nil
}

// busUsers count who uses a bus: a listener and the connections that it made.
type busUsers struct {
	mu      sync.Mutex
	count   int
	release func()
}

func (b *busUsers) join() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
}

func (b *busUsers) leave() {
	b.mu.Lock()
	b.count--
	last := b.count == 0
	b.mu.Unlock()
	if last {
		b.release()
	}
}
