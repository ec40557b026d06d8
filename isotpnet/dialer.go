package isotpnet

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/wire"
)

// Dial opens a connection: Dial("isotp", "vcan0/0x7E0:0x7E8") sends on 7E0 and
// hears 7E8. See the package's documentation for networks, and [Addr] for
// addresses. ISO-TP has no handshake: nothing is sent, and that the peer exists is
// not known until it answers. A pair that is open already in this process is
// refused with syscall.EADDRINUSE. The net.Conn is a [*Conn].
//
// Dial("isotp-stream", "vcan0/7E0:7E8") opens one of many connections over a pair,
// to a peer that listens there: see [StreamConn], which the net.Conn then is.
func Dial(network, address string) (net.Conn, error) {
	return new(Dialer).Dial(network, address)
}

// A Dialer has the options for opening connections. The zero Dialer is Dial.
type Dialer struct {
	Config Config

	// Bus is used instead of the one that the address names, whose bus part is
	// then empty: "/7E0:7E8". All connections on it share one goroutine that
	// reads it, which ends when the caller closes the Bus. The Bus must be of a
	// comparable type, such as a pointer. If it is a canbus.Flusher, the caller should
	// call Flush after all connections are closed and before closing the Bus: else what
	// was written last may be lost.
	Bus canbus.Bus

	// Functional is where Conn.WriteFunctional sends; its bus part is ignored. The
	// zero Addr: nowhere. To hear functional requests takes a listener: see
	// ListenConfig.Functional. On "isotp-stream" it must be zero: a stream has two
	// ends.
	Functional Addr

	// Timeout is how long opening the bus may take. 0: as long as it takes.
	// Negative: it has passed already, as in net.Dialer. On "isotp-stream" the
	// peer's answer is in it, and 0 stands for 3 s. Dials of one bus share its opening,
	// which ends when the last of them gives up.
	Timeout time.Duration

	// KeepAlive and KeepAliveConfig say when a silent peer is probed on
	// "isotp-stream": as in [net.Dialer], by default after 15 s.
	// They are ignored on "isotp".
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig

	// Control, if it is not nil, is called with the network and address as
	// dialled and each socket of the kernel's ISO-TP, when its options are set
	// and before it is bound. It rules the user's backend out, which has no socket. See
	// net.Dialer.Control.
	Control func(network, address string, c syscall.RawConn) error
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext opens a connection. The context bounds the opening of the bus, and
// on "isotp-stream" of the connection, not the connection's life. Its signature is
// that of http.Transport.DialContext.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	addr, err := parse(network, address, ParseAddr)
	if err != nil {
		return nil, opError(opDial, network, nil, nil, err)
	}
	if isStream(network) {
		c, err := d.DialStream(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	c, err := d.DialAddr(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// DialAddr is DialContext on one of the networks "isotp", for an address that is
// parsed already. See [Dialer.DialStream] for "isotp-stream".
func (d *Dialer) DialAddr(ctx context.Context, network string, addr Addr) (*Conn, error) {
	addr = addr.plain()
	c, err := d.dial(ctx, network, addr)
	if err != nil {
		return nil, opError(opDial, network, nil, addr, nameMirror(err, addr))
	}
	return c, nil
}

// nameMirror adds to the error of a pair that is open already which is its other end.
func nameMirror(err error, addr Addr) error {
	if e, ok := err.(*inUseError); ok && e.name == e.other {
		return &ownAddrError{e.Error(), addr.Mirror()}
	}
	return err
}

func (d *Dialer) dial(ctx context.Context, network string, addr Addr) (*Conn, error) {
	if err := checkMessages(network); err != nil {
		return nil, err
	}
	if err := d.Config.check(); err != nil {
		return nil, err
	}
	if err := d.checkAddr(addr); err != nil {
		return nil, err
	}
	if d.Timeout != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	return d.dialMessages(ctx, network, addr)
}

// dialMessages is dial once everything is checked.
func (d *Dialer) dialMessages(ctx context.Context, network string, addr Addr) (*Conn, error) {
	c, why, err := open(ctx, network, d.kernelRefuses(addr), userRefuses(&d.Config, d.Control),
		func() (*Conn, error) { return d.dialKernel(network, addr) },
		func() (*Conn, error) { return d.dialUser(ctx, network, addr) })
	if err != nil {
		return nil, err
	}
	d.Config.logBackend(c.Backend(), addr, why)
	return c, nil
}

// dialUser opens a connection over the engine.
func (d *Dialer) dialUser(ctx context.Context, network string, addr Addr) (*Conn, error) {
	m, release, err := openAddrs(ctx, []Addr{addr}, d.Bus, &d.Config)
	if err != nil {
		return nil, err
	}
	c, err := d.attach(m, release, network, addr)
	if err != nil {
		release()
	}
	return c, err
}

// openAddrs returns the bus of addresses, which are ours until release is called, unless
// we only listen. That returns what has been written and may not be on the wire, when the
// bus is closed.
func openAddrs(ctx context.Context, addrs []Addr, given canbus.Bus, c *Config) (m *mux.Mux, release func() error, err error) {
	m, releaseBus, err := openBus(ctx, addrs[0].Bus(), given)
	if err != nil {
		return nil, nil, err
	}
	unclaim := func() {}
	if !c.ListenOnly {
		if unclaim, err = claimAddrs(addrs, m); err != nil {
			releaseBus()
			return nil, nil, err
		}
	}
	logger, bus := c.Logger, addrs[0].Bus() // and not all of c and addrs
	return m, func() error {
		defer unclaim()
		err := releaseBus()
		if err != nil && logger != nil {
			logger.Warn("isotp: closing a bus", slog.String("bus", bus), slog.Any("error", err))
		}
		return err
	}, nil
}

// attach makes a connection on an open bus.
func (d *Dialer) attach(m *mux.Mux, release func() error, network string, addr Addr) (*Conn, error) {
	spec, err := d.Config.spec(m, addr)
	if err != nil {
		return nil, err
	}
	c := newUserConn(&d.Config, network, addr, release)
	ep, err := m.Attach(spec, c.observed(&d.Config))
	if err != nil {
		return nil, err
	}
	if to, ok := d.Functional.send(); ok && spec.Listen != nil {
		group := &mux.Spec{Config: spec.Config, Send: &to, Spin: spec.Spin, Beside: ep}
		c.backend.(*userConn).functional, err = m.Attach(group, func(group *mux.Endpoint) { group.Observer = ep.Observer })
		if err != nil {
			ep.Close()
			return nil, err
		}
	}
	return c, nil
}

// spec returns what an endpoint of that address is to the bus.
func (c *Config) spec(m *mux.Mux, addr Addr) (*mux.Spec, error) {
	if c.FD && !m.Properties().FD {
		return nil, &ConfigError{Field: "FD", Value: true, Want: "the bus carries classic CAN only"}
	}
	spec := &mux.Spec{Config: c.engine(), Spin: c.Pacing == PaceSpin}
	if a, ok := addr.send(); ok {
		spec.Send = &a
	}
	if a, ok := addr.listen(); ok {
		spec.Listen = &a
	}
	return spec, nil
}

// newUserConn makes a connection that has no endpoint yet.
func newUserConn(config *Config, network string, addr Addr, release func() error) *Conn {
	limit, whose := int64(wire.MaxLength), limitProtocol
	if to, _ := addr.send(); addr.kind == KindFunctional {
		format := config.engine().Format(to)
		limit, whose = int64(format.MaxSingle()), limitSingle
	}
	return newConn(config, network, addr, limit, whose, &userConn{
		release:    sync.OnceValue(release),
		sendOnly:   addr.kind == KindFunctional,
		listenOnly: config.ListenOnly,
	})
}

// newConn makes a connection of a backend that sends messages of up to limit bytes; whose
// limit that is, MessageTooLongError.Limit says.
func newConn(config *Config, network string, addr Addr, limit int64, whose string, b backend) *Conn {
	c := &Conn{
		network: network,
		remote:  addr,
		local:   addr.Mirror(),
		maxSend: limit,
		limit:   whose,
		backend: b,
	}
	if size := config.maxSendSize(); size < limit {
		c.maxSend, c.limit = size, limitMaxSendSize
	}
	c.readFromSize = orDefault(config.MaxSendSize, defaultPart)
	if config.SplitWrites && addr.kind != KindFunctional {
		c.split = c.readFromSize
	}
	return c
}

// observed returns the function that joins the connection and its endpoint.
func (c *Conn) observed(config *Config) func(*mux.Endpoint) {
	return func(ep *mux.Endpoint) {
		ep.User = c
		c.backend.(*userConn).endpoint = ep
		if o := newObserver(config); o != nil {
			o.forConn(c, ep.Time)
			ep.Observer = o
		}
	}
}

// checkAddr refuses addresses that cannot be dialled.
func (d *Dialer) checkAddr(addr Addr) error {
	text := addr.String()
	switch {
	case !addr.IsValid():
		return &net.AddrError{Err: "the zero Addr cannot be dialled; ParseAddr makes one that can"}
	case addr.isPattern():
		return &net.AddrError{Err: "this is a pattern for listeners; to dial name both sides, as in can0/7E0:7E8 or can0/fixed:10:F1", Addr: text}
	case addr.kind == KindListenOnly && !d.Config.ListenOnly:
		return &net.AddrError{Err: "an address that only listens needs Config.ListenOnly; to be able to answer name both sides, as in can0/7E0:7E8", Addr: text}
	case addr.kind == KindFunctional && d.Config.ListenOnly:
		return &net.AddrError{Err: "a functional address only sends, and Config.ListenOnly sends nothing", Addr: text}
	case d.Functional.IsValid() && d.Functional.kind != KindFunctional:
		return &net.AddrError{Err: "Dialer.Functional must be an address that only sends, as can0/7DF:", Addr: d.Functional.String()}
	}
	return checkBus(addr, d.Bus)
}

func checkBus(addr Addr, bus canbus.Bus) error {
	switch {
	case bus == nil && addr.Bus() == "":
		return &net.AddrError{Err: "names no bus, as in can0/7E0:7E8, and there is none in the Dialer or ListenConfig", Addr: addr.String()}
	case bus != nil && addr.Bus() != "":
		return &net.AddrError{Err: "names a bus although there is one in the Dialer or ListenConfig; leave the part before the slash empty", Addr: addr.String()}
	}
	return nil
}

// openBus returns the bus of that name, or the one given. release must be called
// when it is no longer needed.
func openBus(ctx context.Context, name string, given canbus.Bus) (m *mux.Mux, release func() error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, contextError(err)
	}
	if given != nil {
		if m, err = mux.On(given); err != nil {
			return nil, nil, err
		}
		return m, func() error { m.Begin(); return nil }, nil
	}
	// A driver may take its time, for a serial line or a far host.
	m, release, err = mux.Open(ctx, name)
	if err != nil && err == ctx.Err() {
		err = contextError(err)
	}
	return m, release, err
}

// contextError makes a context's time-out a net.Error inside a *net.OpError, as
// package net does.
func contextError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return timeoutError{}
	}
	return err
}

// timeoutError is the error of a Dial that took too long.
type timeoutError struct{}

func (timeoutError) Error() string        { return "i/o timeout" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Temporary() bool      { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
