package isotpnet

import (
	"context"
	"fmt"
	"net"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/stream"
)

// defaultStreamTimeout is how long DialStream waits for the peer if Dialer.Timeout is 0.
const defaultStreamTimeout = 3 * time.Second

// DialStream is DialContext on one of the networks "isotp-stream", for an address
// that is parsed already, a pair. It asks the peer again and again until it answers, or
// the context or Timeout (0: 3 s) ends that.
//
// Errors: syscall.ECONNREFUSED if the peer does not listen, a time-out if it does not
// answer, those of DialAddr.
func (d *Dialer) DialStream(ctx context.Context, network string, addr Addr) (*StreamConn, error) {
	addr = addr.plain()
	c, err := d.dialStream(ctx, network, addr)
	if err != nil {
		return nil, opError(opDial, network, nil, addr.ofStream(), nameMirror(err, addr))
	}
	return c, nil
}

func (d *Dialer) dialStream(ctx context.Context, network string, addr Addr) (*StreamConn, error) {
	if err := checkStreams(network); err != nil {
		return nil, err
	}
	if err := checkStreamConfig(&d.Config, d.Functional, addr); err != nil {
		return nil, err
	}
	if err := checkStreamPair(addr); err != nil {
		return nil, err
	}
	if err := d.checkAddr(addr); err != nil {
		return nil, err
	}
	timeout := d.Timeout
	if timeout == 0 {
		timeout = defaultStreamTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p, err := joinPair(ctx, network, d.Bus, addr, &d.Config, func() (*Conn, error) {
		plain := *d
		plain.Timeout = 0 // it is in the context
		return plain.dialMessages(ctx, network, addr)
	})
	if err != nil {
		return nil, err
	}
	return p.dial(ctx, network, newKeepAlive(d.KeepAlive, d.KeepAliveConfig))
}

// dial opens a stream over a pair that the caller has joined. From then on the stream is
// the user.
func (p *streamPair) dial(ctx context.Context, network string, keep stream.KeepAlive) (*StreamConn, error) {
	p.handle()
	p.mu.Lock()
	defer p.unlock()
	s, err := p.dialSession()
	if err != nil {
		p.users--
		return nil, dialError(err)
	}
	c := newStreamConn(p, s, network, keep)
	if err := c.awaitOpened(ctx); err != nil {
		p.users--
		c.closed = true
		s.Close(p.now())
		return nil, err
	}
	return c, nil
}

func (p *streamPair) dialSession() (*stream.Session, error) {
	if p.err != nil {
		return nil, p.err
	}
	return p.proto.Dial(p.now())
}

// awaitOpened waits until the peer has accepted the session. Under pair.mu, which it
// releases while it waits.
func (c *StreamConn) awaitOpened(ctx context.Context) error {
	var end deadline.Deadline
	defer context.AfterFunc(ctx, func() { end.Set(past) })()
	for !c.session.Opened() {
		c.readable.Make()
		c.pair.unlock()
		inTime := c.readable.Wait(&end)
		c.pair.mu.Lock()
		switch err := c.session.Err(); {
		case c.session.Opened(): // even if it is over again, or just too late
		case err != nil:
			return dialError(err)
		case !inTime:
			return c.pair.unanswered(contextError(ctx.Err()))
		}
	}
	return nil
}

// unanswered adds to the time-out of a dial what is known of its cause. That this process
// listens on the same pair may be right: the peer may do so on its side, too. Under mu.
func (p *streamPair) unanswered(err error) error {
	if _, late := err.(timeoutError); !late {
		return err
	}
	switch addr := p.addr; {
	case p.source != nil && !p.heard:
		return unansweredError{cause: &ownAddrError{"this process itself listens on " + addr.String(), addr.Mirror()}}
	case p.controlErr != nil:
		return unansweredError{cause: p.controlErr}
	}
	return err
}

// checkStreamConfig refuses a Config that streams cannot be made with, and a functional
// address, which is the zero Addr if there is none.
func checkStreamConfig(c *Config, functional Addr, addrs ...Addr) error {
	least := 0
	for _, a := range addrs {
		least = max(least, stream.MinMessage(classicSingle(a.tx)))
	}
	switch {
	case c.check() != nil:
		return c.check()
	case functional.IsValid():
		return &net.AddrError{Err: "a stream has two ends, so there is no functional address for it", Addr: functional.String()}
	case c.ListenOnly:
		return &ConfigError{Field: "ListenOnly", Value: true, Want: "a stream cannot be made without sending"}
	case c.MaxSendSize != 0 && c.MaxSendSize < least:
		return &ConfigError{Field: "MaxSendSize", Value: c.MaxSendSize, Want: fmt.Sprintf("a stream with this address needs at least %d", least)}
	}
	return nil
}

// checkStreamPair refuses an address that does not name both sides.
func checkStreamPair(addr Addr) error {
	if addr.kind != KindPair {
		return &net.AddrError{Err: "a stream needs both sides of a pair, as in can0/7E0:7E8", Addr: addr.String()}
	}
	return nil
}
