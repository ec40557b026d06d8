package cannelloni

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"example.com/isotp/canbus/internal/errno"
)

// patience is how long it may take to reach a peer, and how long the peer may take to begin.
const patience = 10 * time.Second

// greeting is what both ends say first.
const greeting = "CANNELLONIv1"

// errEnded is the error of a peer that says nothing at all, as a server that takes no more clients,
// or not this one.
var errEnded = errors.New("the peer ends the connection before its greeting")

// silence is for how long a peer may be silent: then it is gone.
const silence = 20 * time.Second

// keepAlive finds out that the peer is gone while we send nothing. While we do giveUp has to.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: silence / 2, Interval: silence / 10, Count: 5}

// dialTCP reaches a peer that is the server.
func dialTCP(ctx context.Context, a *address) (*TCP, error) {
	d := net.Dialer{Timeout: patience, KeepAliveConfig: keepAlive}
	conn, err := d.DialContext(ctx, "tcp", a.hostport())
	if err != nil {
		return nil, err
	}
	if err := greet(ctx, conn); err != nil {
		if err == errEnded {
			err = fmt.Errorf("%w (cannelloni has one client at a time, from the address that its option -R says, or with -p from any)", err)
		}
		return nil, err
	}
	return newTCP(conn.(*net.TCPConn), a), nil
}

// acceptTCP waits for a peer that is the client.
func acceptTCP(ctx context.Context, a *address) (*TCP, error) {
	var from []netip.Addr
	if a.from != "" {
		var err error
		if from, err = lookup(ctx, a.from); err != nil {
			return nil, err
		}
	}
	c := net.ListenConfig{KeepAliveConfig: keepAlive}
	ln, err := c.Listen(ctx, "tcp", a.hostport())
	if err != nil {
		return nil, err
	}
	return accept(ctx, ln, a, from)
}

// accept waits for a client, from one of these addresses if there are any. It closes the listener.
func accept(ctx context.Context, ln net.Listener, a *address, from []netip.Addr) (*TCP, error) {
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return nil, err
		}
		if err := welcome(ctx, conn, from); err == nil {
			return newTCP(conn.(*net.TCPConn), a), nil
		} else if ctx.Err() != nil {
			return nil, ctx.Err()
		} else {
			slog.Warn("cannelloni: a client is refused", "bus", a, "client", conn.RemoteAddr(), "error", err)
		}
	}
}

// welcome closes the connection to a client that is not from there, or does not greet.
func welcome(ctx context.Context, conn net.Conn, from []netip.Addr) error {
	client := plain(conn.RemoteAddr().(*net.TCPAddr).AddrPort())
	if from != nil && !slices.ContainsFunc(from, func(a netip.Addr) bool { return a.WithZone("") == client }) {
		conn.Close()
		return fmt.Errorf("the name of the bus says from=%v", from)
	}
	return greet(ctx, conn)
}

// greet exchanges greetings. It closes the connection if it fails.
func greet(ctx context.Context, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := exchange(conn)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
	}
	return err
}

func exchange(conn net.Conn) error {
	conn.SetDeadline(time.Now().Add(patience))
	heard := make([]byte, len(greeting))
	n := 0
	_, err := io.WriteString(conn, greeting)
	if err == nil {
		n, err = io.ReadFull(conn, heard)
	}
	switch {
	case n == 0 && (err == io.EOF || errno.Is(err, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE)):
		return errEnded // it is a reset if the peer has not read our greeting
	case err != nil:
		return fmt.Errorf("no greeting: %w", cutOff(heard[:n], err))
	}
	if string(heard) != greeting {
		return fmt.Errorf("it begins with %q and not with %q", heard, greeting)
	}
	return conn.SetDeadline(time.Time{})
}

// cutOff tells what has come, if something has.
func cutOff(heard []byte, err error) error {
	if len(heard) == 0 {
		return err
	}
	return fmt.Errorf("it begins with %q: %w", heard, err)
}
