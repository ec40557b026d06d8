package kernel

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/netns"
	"github.com/mdlayher/socket"
)

// A Listener makes connections of one socket, one after another: from one Close to the next
// message there is no gap in which the pair is not listened on.
type Listener struct {
	opener   opener
	release  func() // of Spec.Claim
	deadline deadline.Deadline

	namespace *netns.Namespace // that of the interface

	// free has the socket while neither a connection nor an Accept has it; nil if it has to
	// be opened anew. The goroutine that takes it may use opener and release, and puts it back.
	free chan *socket.Conn

	mu      sync.Mutex // guards the fields below
	closed  bool
	at      time.Time // the deadline
	waiting *Conn     // with which an Accept waits for a message
}

// Listen opens a socket that waits for a first message.
func Listen(spec *Spec) (*Listener, error) {
	l := &Listener{opener: opener{Spec: spec}, free: make(chan *socket.Conn, 1)}
	var err error
	if l.release, err = spec.Claim(); err != nil {
		return nil, err
	}
	sock, err := l.opener.open()
	if err != nil {
		l.release()
		return nil, err
	}
	if l.namespace, err = netns.Hold(); err != nil {
		destroy(sock)
		l.release()
		return nil, err
	}
	l.free <- sock
	return l, nil
}

// Accept waits for a message, and for the end of the connection before. Errors:
// os.ErrDeadlineExceeded, net.ErrClosed, a GoneError (the next Accept opens the socket on
// the interface that has the name then), an *os.SyscallError, that of Spec.Claim.
func (l *Listener) Accept() (*Conn, error) {
	if err := l.over(); err != nil {
		return nil, err
	}
	select {
	case sock := <-l.free:
		return l.acceptOn(sock)
	case <-l.deadline.Wait():
		if err := l.over(); err != nil {
			return nil, err
		}
		return nil, os.ErrDeadlineExceeded
	}
}

// over returns why Accept cannot wait.
func (l *Listener) over() error {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	switch {
	case closed:
		return net.ErrClosed
	case l.deadline.Exceeded():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// acceptOn waits for a message on the socket, which it has taken from free.
func (l *Listener) acceptOn(sock *socket.Conn) (*Conn, error) {
	if sock == nil {
		var err error
		if sock, err = l.reopen(); err != nil {
			l.put(nil)
			if errors.Is(err, syscall.ENODEV) {
				err = &GoneError{err}
			}
			return nil, err
		}
	}
	c, err := newConn(sock, &l.opener)
	if err != nil {
		l.put(sock)
		return nil, err
	}
	if err := l.awaitMessage(c); err != nil {
		if c.isGone() {
			// The interface was deleted: there may be another one some day.
			destroy(sock)
			sock = nil
		}
		l.put(sock)
		return nil, err
	}
	c.begin()
	return c, nil
}

// isGone reports whether the interface was deleted.
func (c *Conn) isGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link == linkGone
}

// awaitMessage waits for the message that makes c a connection, its first.
func (l *Listener) awaitMessage(c *Conn) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.waiting = c
	c.readDeadline.Set(l.at)
	l.mu.Unlock()

	err := c.prefetch()

	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = nil
	switch {
	case l.closed:
		return net.ErrClosed
	case err != nil:
		return err
	}
	c.listener = l
	c.readDeadline.Set(time.Time{})
	return nil
}

// reopen opens a socket in place of one that is of no more use. If its interface was
// deleted, it is on the one that has the name now, where the pair has to be claimed, too.
func (l *Listener) reopen() (sock *socket.Conn, err error) {
	err = l.namespace.Do(func() (err error) {
		before := l.opener.bus
		if sock, err = l.opener.open(); err != nil || l.opener.bus == before {
			return err
		}
		release, err := l.opener.Claim()
		if err != nil {
			destroy(sock)
			sock = nil
			l.opener.index, l.opener.bus = 0, before // to be claimed yet
			return err
		}
		l.release()
		l.release = release
		return nil
	})
	return sock, err
}

// put gives the socket back, for the next Accept.
func (l *Listener) put(sock *socket.Conn) {
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.free <- sock
	}
	l.mu.Unlock()
	if closed {
		l.end(sock)
	}
}

// takeBack gets the socket of a connection that was closed. What the connection has not
// read is lost with it.
func (l *Listener) takeBack(c *Conn) {
	sock := c.sock
	if !c.reset() {
		destroy(sock)
		sock, _ = l.reopen() // or the next Accept does, and has the error
	}
	l.put(sock)
}

// SetDeadline sets the deadline of Accept.
func (l *Listener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.at = t
	l.deadline.Set(t)
	if l.waiting != nil {
		l.waiting.readDeadline.Set(t)
	}
	return nil
}

// Close ends the listener. A connection that it has made lives on, and keeps the pair of
// addresses until it is closed.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	waiting := l.waiting
	l.mu.Unlock()
	l.deadline.Set(longAgo)
	if waiting != nil {
		waiting.readDeadline.seal() // its Accept ends the rest
	}
	select {
	case sock := <-l.free:
		l.end(sock)
	default: // a connection has it, or an Accept
	}
	return nil
}

// end closes the socket, when the listener is closed and so is its connection.
func (l *Listener) end(sock *socket.Conn) {
	if sock != nil {
		destroy(sock)
	}
	l.namespace.Close()
	l.release()
}
