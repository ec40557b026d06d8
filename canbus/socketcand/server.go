package socketcand

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/isotp/canbus"
)

// slowClient is after what time a client that takes nothing is sent away: its bus
// may be held up by it.
const slowClient = 10 * time.Second

// A Server lets clients use buses of this computer: raw mode of the protocol, with
// which Bus, python-can and socketcand's other clients work. The modes of cyclic
// sending (bcmmode, though its command send works), isotpmode and controlmode are
// not there.
type Server struct {
	// Buses are the names that clients may open, as for [canbus.Open].
	Buses []string
	// Open opens a bus for a client; nil means canbus.Open. Each client has one of
	// its own.
	Open func(name string) (canbus.Bus, error)
	// Logger, if not nil, is told who comes and goes.
	Logger *slog.Logger

	mu      sync.Mutex
	closed  bool
	closers map[io.Closer]struct{} // listeners, connections and their buses
	clients sync.WaitGroup
}

// Serve accepts clients until Close, and then returns nil, or until the listener
// fails. It closes the listener.
func (s *Server) Serve(ln net.Listener) error {
	if !s.add(ln) {
		ln.Close()
		return net.ErrClosed
	}
	defer s.remove(ln)
	for {
		conn, err := ln.Accept()
		if err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.closed {
				return nil
			}
			return err
		}
		if !s.add(conn) {
			conn.Close()
			continue
		}
		s.clients.Go(func() {
			defer s.remove(conn)
			err := s.serve(conn)
			s.log("client has gone", "address", conn.RemoteAddr().String(), "error", err)
		})
	}
}

// Close ends Serve and all connections, and waits for them.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for c := range s.closers {
		c.Close()
	}
	s.mu.Unlock()
	s.clients.Wait()
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

func (s *Server) log(message string, args ...any) {
	if s.Logger != nil {
		s.Logger.Info("socketcand: "+message, args...)
	}
}

// A client is a connection to one.
type client struct {
	conn net.Conn
	lex  lexer
	buf  []byte
	rest []byte

	// mu is held over writing: answers and frames come from two goroutines.
	mu sync.Mutex
}

// serve speaks with a client until it goes, and returns why that is; nil if it went
// as clients do.
func (s *Server) serve(conn net.Conn) error {
	c := &client{conn: conn, buf: make([]byte, 16<<10)}
	if err := c.say("< hi >"); err != nil {
		return err
	}
	bus, err := s.open(c)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	defer s.remove(bus)
	if !s.add(bus) {
		return net.ErrClosed
	}
	var forward sync.WaitGroup
	defer forward.Wait()
	defer conn.Close() // ends forward, as
	defer bus.Close()  // this does
	raw := false
	for {
		words, err := c.element()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		switch command(words) {
		case "rawmode":
			if err := c.say("< ok >"); err != nil {
				return err
			}
			if !raw {
				raw = true
				forward.Go(func() {
					defer conn.Close()
					if err := c.forward(bus); !errors.Is(err, net.ErrClosed) {
						s.log("bus or client fails", "address", conn.RemoteAddr().String(), "error", err)
					}
				})
			}
		case "echo":
			if err := c.say("< echo >"); err != nil {
				return err
			}
		case "send", "fdsend":
			f, err := parseSend(words)
			if err == nil {
				err = writeOne(bus, f)
			}
			switch {
			case errors.Is(err, net.ErrClosed):
				return err
			case err != nil:
				// In one word, so that no client takes it for an error frame.
				if err := c.say("< error " + strings.Map(plainText, err.Error()) + " >"); err != nil {
					return err
				}
			}
		default:
			if err := c.say("< error unknown command >"); err != nil {
				return err
			}
		}
	}
}

// plainText leaves out what would end an element.
func plainText(r rune) rune {
	if r == '<' || r == '>' {
		return '\''
	}
	return r
}

func command(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// open waits for the command to open a bus, and executes it.
func (s *Server) open(c *client) (canbus.Bus, error) {
	for {
		words, err := c.element()
		if err != nil {
			return nil, err
		}
		if command(words) != "open" || len(words) != 2 {
			if err := c.say("< error unknown command >"); err != nil {
				return nil, err
			}
			continue
		}
		if !slices.Contains(s.Buses, words[1]) {
			c.say("< error could not open bus >")
			return nil, errors.New("the client asks for bus " + words[1] + ", which is not served")
		}
		open := s.Open
		if open == nil {
			open = canbus.Open
		}
		bus, err := open(words[1])
		if err != nil {
			c.say("< error could not open bus >")
			return nil, err
		}
		if err := c.say("< ok >"); err != nil {
			bus.Close()
			return nil, err
		}
		s.log("client has come", "address", c.conn.RemoteAddr().String(), "bus", words[1])
		return bus, nil
	}
}

// element returns the words of the next element.
func (c *client) element() ([]string, error) {
	for {
		words, rest, done := c.lex.next(c.rest)
		c.rest = rest
		if done {
			return words, nil
		}
		n, err := c.conn.Read(c.buf)
		if n == 0 && err != nil {
			return nil, err
		}
		c.rest = c.buf[:n]
	}
}

func (c *client) say(text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(slowClient))
	_, err := io.WriteString(c.conn, text)
	return err
}

// forward tells the client of each frame that others send, until the bus or the
// client ends.
func (c *client) forward(bus canbus.Bus) error {
	frames := make([]canbus.Frame, batchLen)
	var text []byte
	var last int64
	for {
		n, err := bus.ReadFrames(frames)
		text = text[:0]
		now := time.Now().UnixNano()
		for i := range frames[:n] {
			f := &frames[i]
			if f.Has(canbus.Echo) || f.Has(canbus.Remote) {
				continue
			}
			if f.Timestamp == 0 {
				// No two frames are on a wire at once, and there are clients (scapy)
				// that sort by the time.
				f.Timestamp = max(now, last+int64(time.Microsecond))
			}
			last = f.Timestamp
			// python-can up to 4.1 loses a character between two elements.
			text = append(text, '\n')
			text = appendFrame(text, f)
		}
		if len(text) > 0 {
			if err := c.say(string(text)); err != nil {
				return err
			}
		}
		switch {
		case err != nil && errors.Is(err, canbus.ErrTemporary):
			time.Sleep(busPause)
		case err != nil:
			return err
		}
	}
}

// busPause is how long to wait after a temporary error of a bus.
const busPause = time.Millisecond

// writeOne writes a frame, and waits for room, though not for ever: the client is
// held up by TCP.
func writeOne(bus canbus.Bus, f canbus.Frame) error {
	end := time.Now().Add(slowClient)
	for {
		n, err := bus.WriteFrames([]canbus.Frame{f})
		if n == 1 {
			return nil
		}
		if err != nil && (!errors.Is(err, canbus.ErrTemporary) || time.Now().After(end)) {
			return err
		}
		time.Sleep(busPause)
	}
}
