//go:build linux

package isotpnet

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

// dialKernel opens a connection over the kernel's ISO-TP.
func (d *Dialer) dialKernel(network string, addr Addr) (*Conn, error) {
	release, err := claimAddrs([]Addr{addr}, nil)
	if err != nil {
		return nil, err
	}
	k, err := d.openKernel(network, addr)
	if err != nil {
		release()
		return nil, err
	}
	k.release = release
	c := k.conn(&d.Config, network, addr)
	k.startDraining(&d.Config)
	return c, nil
}

func (d *Dialer) openKernel(network string, addr Addr) (*kernelConn, error) {
	spec := newKernelSpec(&d.Config, network, addr, d.Control)
	k, err := spec.conn()
	if err != nil {
		return nil, err
	}
	to, ok := d.Functional.send()
	if !ok || k.sendOnly {
		return k, nil
	}
	// A socket has one address to send to.
	spec.tx, spec.rx = to, nil
	k.functional, err = spec.conn()
	if err != nil {
		destroy(k.sock)
		return nil, err
	}
	return k, nil
}

func newKernelSpec(config *Config, network string, addr Addr, control controlFunc) *kernelSpec {
	s := &kernelSpec{config: config, network: network, addr: addr, bus: addr.Bus(), control: control}
	s.tx, _ = addr.send()
	if rx, ok := addr.listen(); ok {
		s.rx = &rx
	}
	return s
}

// conn opens a socket and makes a connection of it.
func (s *kernelSpec) conn() (*kernelConn, error) {
	sock, err := s.open()
	if err != nil {
		return nil, err
	}
	k, err := newKernelConn(sock, s)
	if err != nil {
		sock.Close()
		return nil, err
	}
	return k, nil
}

// conn makes the connection that users have.
func (k *kernelConn) conn(config *Config, network string, addr Addr) *Conn {
	c := newConn(config, network, addr, k.limit, k.whoseLimit(), k)
	if o := newObserver(config); o != nil {
		o.forConn(c, k.time)
		k.observer = o
	}
	return c
}

// A kernelListener makes connections of one socket, one after another: from one
// Close to the next message there is no gap in which nobody listens.
type kernelListener struct {
	config   Config
	network  string
	addr     Addr
	spec     *kernelSpec
	release  func() // the pair of addresses
	deadline deadline.Deadline

	namespace *netns.Namespace // that of the interface

	// free has the socket while no connection has it and no Accept; nil if it
	// has to be opened anew.
	free chan *socket.Conn

	mu      sync.Mutex
	closed  bool
	at      time.Time   // the deadline
	waiting *kernelConn // that an Accept waits with for a message
}

var _ acceptor = (*kernelListener)(nil)

// listenKernel listens on a socket of the kernel.
func (lc *ListenConfig) listenKernel(network string, addr Addr) (acceptor, error) {
	l := &kernelListener{
		config:  lc.Config,
		network: network,
		addr:    addr,
		free:    make(chan *socket.Conn, 1),
	}
	l.spec = newKernelSpec(&l.config, network, addr, lc.Control)
	var err error
	if l.release, err = claimAddrs([]Addr{addr}, nil); err != nil {
		return nil, err
	}
	sock, err := l.spec.open()
	if err != nil {
		l.release()
		return nil, err
	}
	if l.namespace, err = netns.Hold(); err != nil {
		l.end(sock)
		return nil, err
	}
	l.free <- sock
	return l, nil
}

// reopen opens a socket in place of one that is of no more use. If its interface was
// deleted, it is on the one that has the name now, where the pair has to be ours, too.
func (l *kernelListener) reopen() (sock *socket.Conn, err error) {
	err = l.namespace.Do(func() (err error) {
		before := l.spec.id
		if sock, err = l.spec.open(); err != nil || l.spec.id == before {
			return err
		}
		release, err := claimAddrs([]Addr{l.addr}, nil)
		if err != nil {
			destroy(sock)
			sock = nil
			l.spec.index, l.spec.id = 0, before // to be claimed yet
			return err
		}
		l.release()
		l.release = release
		return nil
	})
	return sock, err
}

func (l *kernelListener) name() string { return backendKernel }

func (l *kernelListener) stats() ListenerStats { return ListenerStats{} }

func (l *kernelListener) accept() (*Conn, error) {
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
func (l *kernelListener) over() error {
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
func (l *kernelListener) acceptOn(sock *socket.Conn) (*Conn, error) {
	if sock == nil {
		var err error
		if sock, err = l.reopen(); err != nil {
			l.put(nil)
			if errors.Is(err, syscall.ENODEV) {
				err = &busError{err: err}
			}
			return nil, err
		}
	}
	k, err := newKernelConn(sock, l.spec)
	if err != nil {
		l.put(sock)
		return nil, err
	}
	c := k.conn(&l.config, l.network, l.addr)
	if err := l.awaitMessage(k); err != nil {
		if k.gone {
			// The interface was deleted: there may be another one some day.
			destroy(sock)
			sock = nil
		}
		l.put(sock)
		return nil, err
	}
	k.startDraining(&l.config)
	return c, nil
}

// awaitMessage waits for the message that makes k a connection, its first.
func (l *kernelListener) awaitMessage(k *kernelConn) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.waiting = k
	k.readDeadline.Set(l.at)
	l.mu.Unlock()

	err := k.prefetch()

	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = nil
	switch {
	case l.closed:
		return net.ErrClosed
	case err != nil:
		return err
	}
	k.listener = l
	k.readDeadline.Set(time.Time{})
	return nil
}

// put gives the socket back, for the next Accept.
func (l *kernelListener) put(sock *socket.Conn) {
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

// takeBack gets the socket of a connection that was closed. What the connection
// has not read is lost with it.
func (l *kernelListener) takeBack(k *kernelConn) {
	sock := k.sock
	if !k.reset() {
		destroy(sock)
		sock, _ = l.reopen() // or the next Accept does, and has the error
	}
	l.put(sock)
}

func (l *kernelListener) setDeadline(t time.Time) error {
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

func (l *kernelListener) close() error {
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
func (l *kernelListener) end(sock *socket.Conn) {
	if sock != nil {
		destroy(sock)
	}
	l.namespace.Close()
	l.release()
}
