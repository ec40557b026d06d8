package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"example.com/isotp/isotpnet"
)

const (
	messageNetwork = "isotp"
	userNetwork    = "isotp:user"
	streamNetwork  = "isotp-stream"
)

// isStream reports whether a network is one of connections.
func isStream(network string) bool {
	name, _, _ := strings.Cut(network, ":")
	return name == streamNetwork
}

// streamOf is the network of connections with the same backend.
func streamOf(network string) string {
	if isStream(network) {
		return network
	}
	return streamNetwork + strings.TrimPrefix(network, messageNetwork)
}

// A streamConn is a connection whose reads and writes may each take as long as timeout;
// 0 is no limit.
type streamConn struct {
	*isotpnet.StreamConn
	timeout time.Duration
}

func (c streamConn) Read(p []byte) (int, error) {
	c.SetReadDeadline(deadlineIn(c.timeout))
	return c.StreamConn.Read(p)
}

func (c streamConn) Write(p []byte) (int, error) {
	c.SetWriteDeadline(deadlineIn(c.timeout))
	return c.StreamConn.Write(p)
}

// ReadFrom hides that of StreamConn, which does not call Write and so sets no deadlines.
func (c streamConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// withStream opens a connection and calls do, whose calls on it end when ctx does.
func (f *connFlags) withStream(ctx context.Context, s *streams, open func(context.Context, isotpnet.Addr, isotpnet.Config) (*isotpnet.StreamConn, error), do func(streamConn) error) error {
	addr, err := parseAddress(f.Address)
	if err != nil {
		return err
	}
	config := f.config()
	trace := newTracer(&f.configFlags, &config, s.stderr, addr.Bus())
	conn, err := open(ctx, addr, config)
	if err != nil {
		return opening(ctx, err)
	}
	defer context.AfterFunc(ctx, func() { reset(conn) })()

	if err = do(streamConn{conn, f.Timeout}); err != nil {
		reset(conn) // the peer is not to take what it has for all
	}
	conn.Close()
	s.finish(trace, conn.Stats(), f.Stats)
	return interrupted(ctx, err)
}

// dialStream opens a connection within --timeout.
func (f *connFlags) dialStream(ctx context.Context, addr isotpnet.Addr, config isotpnet.Config) (*isotpnet.StreamConn, error) {
	d := isotpnet.Dialer{Config: config, Timeout: f.Timeout}
	return d.DialStream(ctx, streamOf(f.Network), addr)
}

// acceptStream accepts one connection within --timeout.
func (f *connFlags) acceptStream(ctx context.Context, addr isotpnet.Addr, config isotpnet.Config) (*isotpnet.StreamConn, error) {
	lc := isotpnet.ListenConfig{Config: config}
	ln, err := lc.ListenStream(ctx, streamOf(f.Network), addr)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	defer closeAfter(ctx, ln)()
	if err := ln.SetDeadline(deadlineIn(f.Timeout)); err != nil {
		return nil, err
	}
	return ln.AcceptStream()
}

var errAnswered = errors.New("the peer has sent data, which send --stream does not read: the peer must be recv --stream, or send nothing")

// sendStream sends standard input, and waits until the peer has read all.
func (c *sendCmd) sendStream(ctx context.Context, s *streams) error {
	return c.withStream(ctx, s, c.dialStream, func(conn streamConn) error {
		in := c.input(ctx, s)
		defer in.Close()
		if _, err := io.Copy(conn, in); err != nil {
			return err
		}
		if err := conn.CloseWrite(); err != nil {
			return err
		}
		n, err := conn.Read(make([]byte, 1))
		switch {
		case err == io.EOF:
			return nil
		case n > 0:
			return errAnswered
		}
		return err
	})
}

// receiveStream writes what comes by one connection to standard output.
func (c *recvCmd) receiveStream(ctx context.Context, s *streams) error {
	return c.withStream(ctx, s, c.acceptStream, func(conn streamConn) error {
		_, err := io.Copy(s.stdout, struct{ io.Reader }{conn})
		return err
	})
}
