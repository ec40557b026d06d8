package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"example.com/isotp/isotpnet"
)

type proxyCmd struct {
	Listen  string        `arg:"" help:"Where to accept connections: tcp:HOST:PORT, unix:PATH, or an address on a CAN bus, as can0/7E8:7E0. More: isotp help addresses."`
	Dial    string        `arg:"" help:"Where to open a connection for each: the same forms."`
	Hex     bool          `help:"Pass plain messages, of any ECU, which TCP clients write and read as <22F190>."`
	Network string        `default:"" enum:",isotp-stream,isotp-stream:user,isotp-stream:kernel,isotp,isotp:user,isotp:kernel" placeholder:"NET" help:"isotp-stream, isotp-stream:user or isotp-stream:kernel (isotp-stream); with --hex isotp, isotp:user or isotp:kernel (isotp)."`
	Timeout time.Duration `placeholder:"TIME" help:"Longest time to open a connection, as 500ms or 2s; 0: the default of its network."`

	configFlags `embed:""`
}

func (*proxyCmd) Help() string {
	return `
Passes connections between TCP or Unix sockets and a CAN bus, where they are connections of
the network isotp-stream, until it is interrupted. Each direction of a connection ends by
itself. The error of one connection is a line on standard error, and the others go on.

	isotp proxy tcp:127.0.0.1:8080 can0/7E0:7E8     on the computer
	isotp proxy can0/7E8:7E0 tcp:127.0.0.1:80       on the ECU with a web server

With --hex the ECU needs nothing: what a client writes, such as <22F190>, is a message that is
sent, and each message that is received goes to all clients, as <62F190...> and the end of a
line. It is what isotpserver of can-utils does. What is no message is dropped, and told on
standard error, as are messages that could not be sent.

	isotp proxy --hex tcp:127.0.0.1:7000 can0/7E0:7E8
`
}

// Examples implements exampler.
func (*proxyCmd) Examples() []string {
	return []string{
		"isotp proxy tcp:127.0.0.1:8080 udp:239.74.163.2:43113/7E0:7E8" + untilInterrupted,
		"isotp proxy udp:239.74.163.2:43113/7E8:7E0 tcp:127.0.0.1:80" + untilInterrupted,
	}
}

// Validate is called by the parser.
func (c *proxyCmd) Validate() error {
	switch {
	case c.Hex && isStream(c.Network):
		return fmt.Errorf("--network %s carries connections, and --hex passes messages: want isotp, isotp:user or isotp:kernel", c.Network)
	case !c.Hex && c.Network != "" && !isStream(c.Network):
		return fmt.Errorf("--network %s carries messages: it needs --hex", c.Network)
	}
	return checkTimeout(c.Timeout)
}

// network is the one that was asked for, or else that one.
func (c *proxyCmd) network(standard string) string {
	if c.Network != "" {
		return c.Network
	}
	return standard
}

// Run passes connections until ctx is done.
func (c *proxyCmd) Run(ctx context.Context, s *streams) error {
	if c.Hex {
		return c.runHex(ctx, s)
	}
	to, err := c.place(s, c.Dial)
	if err != nil {
		return err
	}
	if p, ok := to.(busPlace); ok && p.addr.Kind() != isotpnet.KindPair {
		return &usageError{err: fmt.Errorf("%s: a connection has two ends: want both sides, as in can0/7E0:7E8", c.Dial), help: helpAddresses}
	}
	from, err := c.place(s, c.Listen)
	if err != nil {
		return err
	}
	return acceptFrom(ctx, s, from, func(ctx context.Context, in net.Conn) error { return pass(ctx, in, to) })
}

// acceptFrom serves the connections that come until ctx is done, and waits for their end.
func acceptFrom(ctx context.Context, s *streams, from place, serve func(context.Context, net.Conn) error) error {
	ln, err := from.listen(ctx)
	if err != nil {
		return opening(ctx, err)
	}
	defer closeAfter(ctx, ln)()
	at := ln.Addr().Network() + ":" + ln.Addr().String()
	if p, ok := from.(busPlace); ok {
		at = p.network + ":" + p.addr.String() // the listener's own Addr is the one that peers dial
	}
	fmt.Fprintf(s.stderr, "listening on %s\n", at)

	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		in, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			return nil // there is no other end
		case err != nil && !isTemporary(err):
			return err
		case err != nil:
			s.warn(err)
			sleep(ctx, time.Second)
			continue
		}
		serving.Go(func() {
			if err := serve(ctx, in); err != nil && ctx.Err() == nil {
				s.warn(err)
			}
		})
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary() && !errors.Is(err, net.ErrClosed)
}

// pass opens a connection and passes data between it and one accepted, in both
// directions, until both have ended.
func pass(ctx context.Context, in net.Conn, to place) error {
	defer in.Close()
	out, err := to.dial(ctx)
	if err != nil {
		reset(in) // an orderly end would say that there was a peer
		return err
	}
	defer out.Close()
	// An end by an error is not an orderly one: some of the data did not come.
	abort := func() {
		reset(in)
		reset(out)
	}
	defer context.AfterFunc(ctx, abort)()
	ended := make(chan error)
	for _, way := range [2][2]net.Conn{{in, out}, {out, in}} {
		go func() { ended <- passOne(way[0], way[1]) }()
	}
	for range 2 {
		if e := <-ended; e != nil && err == nil {
			err = e
			abort()
		}
	}
	return err
}

func passOne(from, to net.Conn) error {
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.(interface{ CloseWrite() error }).CloseWrite()
}

// reset closes a connection so that the peer sees an error.
func reset(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0)
	}
	c.Close()
}

// A place is where connections come from or go to.
type place interface {
	listen(ctx context.Context) (net.Listener, error)
	dial(ctx context.Context) (net.Conn, error)
}

func (c *proxyCmd) place(s *streams, text string) (place, error) {
	network, address, _ := strings.Cut(text, ":")
	switch network {
	case "tcp":
		if _, _, err := net.SplitHostPort(address); err != nil {
			return nil, usageErrorf("%s: want tcp:HOST:PORT, as tcp:127.0.0.1:8080", text)
		}
		fallthrough
	case "unix":
		return socketPlace{network, address, c.Timeout}, nil
	}
	addr, err := parseAddress(text)
	if err != nil {
		return nil, err
	}
	p := busPlace{network: c.network(streamNetwork), addr: addr, timeout: c.Timeout, config: c.config()}
	newTracer(&c.configFlags, &p.config, s.stderr, addr.Bus())
	return p, nil
}

// A socketPlace is an address of the system's sockets.
type socketPlace struct {
	network, address string
	timeout          time.Duration
}

func (p socketPlace) listen(ctx context.Context) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, p.network, p.address)
}

func (p socketPlace) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: p.timeout}
	return d.DialContext(ctx, p.network, p.address)
}

// A busPlace is an address on a CAN bus.
type busPlace struct {
	network string
	addr    isotpnet.Addr
	timeout time.Duration
	config  isotpnet.Config
}

func (p busPlace) listen(ctx context.Context) (net.Listener, error) {
	lc := isotpnet.ListenConfig{Config: p.config}
	ln, err := lc.ListenStream(ctx, p.network, p.addr)
	if err != nil {
		return nil, err
	}
	return ln, nil
}

func (p busPlace) dial(ctx context.Context) (net.Conn, error) {
	d := isotpnet.Dialer{Config: p.config, Timeout: p.timeout}
	c, err := d.DialStream(ctx, p.network, p.addr)
	if err != nil {
		return nil, err
	}
	return c, nil
}
