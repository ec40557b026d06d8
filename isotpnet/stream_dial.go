package isotpnet

import (
	"context"
	"fmt"
	"net"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/stream"
)

// defaultStreamTimeout is how long an OPEN is repeated.
const defaultStreamTimeout = 3 * time.Second

// DialStream is DialContext on one of the networks "isotp-stream", for an address
// that is parsed already. Context and Timeout bound the opening of the connection
// too: until the peer answers it is asked again and again.
//
// Errors: syscall.ECONNREFUSED where nobody listens, a time-out where nobody
// answers, those of DialAddr.
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

// dial opens a stream. The caller has joined the pair, which the stream now is for.
func (p *streamPair) dial(ctx context.Context, network string, keep stream.KeepAlive) (*StreamConn, error) {
	p.handle()
	p.mu.Lock()
	defer p.unlock()
	if p.err != nil {
		p.users--
		return nil, p.err
	}
	s, err := p.proto.Dial(p.now())
	if err != nil {
		p.users--
		return nil, dialError(err)
	}
	c := newStreamConn(p, s, network, keep)
	var enough deadline.Deadline
	defer context.AfterFunc(ctx, func() { enough.Set(past) })()
	for !s.Opened() {
		c.readable.Make()
		p.unlock()
		err = nil
		if !c.readable.Wait(&enough) {
			err = contextError(ctx.Err())
		}
		p.mu.Lock()
		if s.Opened() {
			break
		}
		if s.Err() != nil {
			err = dialError(s.Err())
		} else if _, late := err.(timeoutError); late {
			err = p.unanswered()
		}
		if err != nil {
			p.users--
			c.closed = true
			s.Close(p.now())
			return nil, err
		}
	}
	return c, nil
}

// unanswered is the time-out of a dial, with what is known of its cause. That this
// process listens on the same pair may be right: the peer does so, too, on its side.
// Under mu.
func (p *streamPair) unanswered() error {
	switch addr := p.addr; {
	case p.source != nil && !p.heard:
		return unansweredError{cause: &ownAddrError{"this process itself listens on " + addr.String(), addr.Mirror()}}
	case p.controlErr != nil:
		return unansweredError{cause: p.controlErr}
	}
	return timeoutError{}
}

// checkStreamConfig refuses what streams cannot be made of.
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

// checkStreamPair refuses addresses that have no two sides.
func checkStreamPair(addr Addr) error {
	if addr.kind != KindPair {
		return &net.AddrError{Err: "a stream needs both sides of a pair, as in can0/7E0:7E8", Addr: addr.String()}
	}
	return nil
}
