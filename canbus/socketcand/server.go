package socketcand

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/errno"
)

// Port is the TCP port of socketcand.
const Port = 29536

const (
	// openTime is how long a client may take to open a bus.
	openTime = 10 * time.Second
	// lastWords is how long a client whose bus has ended may take to read the rest.
	lastWords = 10 * time.Second
	// acceptPause and maxAcceptPause are the shortest and the longest wait after a
	// temporary error of Accept.
	acceptPause, maxAcceptPause = 5 * time.Millisecond, time.Second
)

// A Server lets clients use buses of this computer. It knows the raw mode of the protocol,
// which Bus, python-can and socketcand's other clients use. It has no cyclic sending
// (of bcmmode only the command send works), no isotpmode and no controlmode.
//
// A bus is opened once, for the first client that asks for it, and all clients share it:
// each gets the frames that come from the bus and those that the other clients send, and
// not its own. The bus stays open until Close, or until it fails: then its clients'
// connections end, and the bus is opened anew for the next client. A log, a bus that waits
// for its reader (see [canbus.Properties]), waits for a client in raw mode, and is closed
// with its last client.
//
// A client that reads too slowly does not hold up the other clients, unless the bus waits
// for its readers: while 1 MiB of text waits to be written to it, frames for it are
// dropped. As soon as it reads on, the Server tells it how many: < error dropped N frames >.
// In the same way it tells what the bus itself has dropped (see [canbus.DropCounter]). It
// answers a frame that could not be sent with < error not sent: REASON >. It answers
// < echo > when all frames that the client has sent before are on the wire or refused; on
// buses that do not echo, when the bus has taken them.
//
// The Server closes the connection of a client that has not opened a bus within 10 s.
type Server struct {
	// Buses are the buses that clients may open. Of one that is written NAME=BUS, as
	// can0=slcan:/dev/ttyACM0@500000, clients use NAME, and Open gets BUS. NAME has no
	// colon, slash, space, @, < or >. Otherwise clients and Open use the same name.
	Buses []string
	// Open opens a bus; nil means canbus.Open. Close ends its context.
	Open func(ctx context.Context, name string) (canbus.Bus, error)
	// Beacon: Serve broadcasts every 3 s where the server is and which buses it has, as
	// socketcand does. It sends UDP to port 42000 of each IPv4 network from which clients
	// can reach the server.
	Beacon bool
	// Logger, if not nil, is told which clients come and go (Info), and what fails or is
	// lost (Warn).
	Logger *slog.Logger

	mu      sync.Mutex             // guards closed, done, closers and shared
	closed  bool                   // Close was called
	done    chan struct{}          // closed by Close; nil until sleep needs it
	closers map[io.Closer]struct{} // listeners, connections, and contexts of openings
	shared  map[string]*shared     // by the clients' name; Close waits for those being opened
	clients sync.WaitGroup         // goroutines that serve clients
	readers sync.WaitGroup         // goroutines that read shared buses
}

// Serve accepts clients until Close, and then returns nil, or until the listener fails, and
// then returns its error. It closes the listener. After a temporary error of Accept, such as
// a lack of file descriptors, it logs the error, waits, and accepts again.
func (s *Server) Serve(ln net.Listener) error {
	if !s.add(ln) {
		ln.Close()
		return net.ErrClosed
	}
	defer s.remove(ln)
	if s.Beacon {
		defer s.announce(ln.Addr())()
	}
	pause := time.Duration(0)
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.welcome(conn)
		case s.over():
			return nil
		case passes(err):
			pause = min(max(2*pause, acceptPause), maxAcceptPause)
			s.warn("clients cannot be accepted", "error", err, "pause", pause)
			s.sleep(pause)
		default:
			return err
		}
	}
}

// passes reports whether Accept may succeed later: as package net/http decides it, and
// where the system has no descriptor or no memory for the moment.
func passes(err error) bool {
	if errno.Is(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM) {
		return true
	}
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary()
}

func (s *Server) welcome(conn net.Conn) {
	if !s.add(conn) {
		conn.Close()
		return
	}
	s.clients.Go(func() {
		defer s.remove(conn)
		c := newClient(s, conn)
		err := c.serve()
		s.info("client has gone", "address", c.address(), "error", err, "dropped", c.droppedFrames())
	})
}

// OpenBuses opens all Buses, so that an error of one shows before the first client comes.
// It returns the first error.
func (s *Server) OpenBuses() error {
	for _, bus := range s.Buses {
		if _, err := s.share(ClientName(bus)); err != nil {
			return err
		}
	}
	return nil
}

// Close ends Serve and all connections, and waits for them. It closes the buses, once they
// have sent the frames that they have taken (see [canbus.Flusher]).
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	if first && s.done != nil {
		close(s.done)
	}
	for c := range s.closers {
		c.Close()
	}
	buses := make([]*shared, 0, len(s.shared))
	for _, b := range s.shared {
		buses = append(buses, b)
	}
	s.mu.Unlock()
	var closing sync.WaitGroup
	for _, b := range buses {
		closing.Go(b.close)
	}
	closing.Wait()
	s.clients.Wait()
	s.readers.Wait()
	return nil
}

func (s *Server) add(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.closers == nil {
		s.closers = make(map[io.Closer]struct{})
	}
	s.closers[c] = struct{}{}
	return true
}

func (s *Server) remove(c io.Closer) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.closers, c)
}

func (s *Server) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// sleep waits for that long, or until Close.
func (s *Server) sleep(d time.Duration) {
	s.mu.Lock()
	if s.done == nil {
		s.done = make(chan struct{})
	}
	done, closed := s.done, s.closed
	s.mu.Unlock()
	if closed {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	}
}

// share returns the bus that clients know by that name. It opens the bus if it is not open.
func (s *Server) share(name string) (*shared, error) {
	driversName, ok := s.driversName(name)
	if !ok {
		return nil, fmt.Errorf("socketcand: bus %q is not served", name)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, net.ErrClosed
	}
	b := s.shared[name]
	if b != nil {
		s.mu.Unlock()
		<-b.opened
		return b, b.failed
	}
	b = newShared(s, name)
	if s.shared == nil {
		s.shared = make(map[string]*shared)
	}
	s.shared[name] = b
	s.mu.Unlock()
	b.begin(s.open(driversName))
	return b, b.failed
}

// open opens a bus. Close ends the attempt.
func (s *Server) open(driversName string) (canbus.Bus, error) {
	open := s.Open
	if open == nil {
		open = canbus.Open
	}
	ctx, cancel := context.WithCancel(context.Background())
	opening := &canceler{cancel}
	if !s.add(opening) {
		return nil, net.ErrClosed
	}
	defer s.remove(opening)
	return open(ctx, driversName)
}

// A canceler ends a context by Close, so that Server.closers can hold it.
type canceler struct{ cancel context.CancelFunc }

func (c *canceler) Close() error {
	c.cancel()
	return nil
}

// forget removes a bus that has ended: for the next client it is opened anew.
func (s *Server) forget(b *shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared[b.name] == b {
		delete(s.shared, b.name)
	}
}

// driversName returns the name that Open gets of a bus.
func (s *Server) driversName(name string) (string, bool) {
	for _, bus := range s.Buses {
		if ClientName(bus) != name {
			continue
		}
		if bus == name {
			return bus, true
		}
		return bus[len(name)+len("="):], true
	}
	return "", false
}

// ClientName returns the name that clients use for one of a Server's Buses: NAME for
// NAME=BUS.
func ClientName(bus string) string {
	name, _, found := strings.Cut(bus, "=")
	if !found || name == "" || strings.ContainsAny(name, ":/ @<>") {
		return bus
	}
	return name
}

func (s *Server) info(message string, args ...any) {
	if s.Logger != nil {
		s.Logger.Info("socketcand: "+message, args...)
	}
}

func (s *Server) warn(message string, args ...any) {
	if s.Logger != nil {
		s.Logger.Warn("socketcand: "+message, args...)
	}
}
