package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"example.com/isotp/isotpnet"
)

// runHex passes messages between clients and an address on a bus until ctx is done.
func (c *proxyCmd) runHex(ctx context.Context, s *streams) error {
	from, err := c.place(s, c.Listen)
	if err != nil {
		return err
	}
	if _, ok := from.(socketPlace); !ok {
		return usageErrorf("%s: with --hex the clients come by tcp:HOST:PORT or unix:PATH", c.Listen)
	}
	addr, err := parseAddress(c.Dial)
	if err != nil {
		return err
	}
	if addr.Kind() != isotpnet.KindPair {
		return &usageError{err: fmt.Errorf("%s: messages go both ways: want both sides, as in can0/7E0:7E8", c.Dial), help: helpAddresses}
	}
	d := isotpnet.Dialer{Config: c.config(), Timeout: c.Timeout}
	newTracer(&c.configFlags, &d.Config, s.stderr, addr.Bus()).tellAborts(&c.configFlags, &d.Config, s.stderr, c.Dial)
	conn, err := d.DialAddr(ctx, c.network(messageNetwork), addr)
	if err != nil {
		return opening(ctx, err)
	}
	defer conn.Close()

	b := &hexBridge{s: s, conn: conn, timeout: c.Timeout, limit: hexLimit, clients: make(map[*hexClient]bool)}
	if c.MaxSendSize > 0 {
		b.limit = int(c.MaxSendSize)
	}
	// The end of the connection ends the listening, too.
	failing, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer closeAfter(failing, conn)()
	go func() { fail(b.receive()) }()
	if err := acceptFrom(failing, s, from, b.serve); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil // there is no other end
	}
	return context.Cause(failing)
}

const (
	// hexLimit is the longest message that a client may write, unless a flag says another:
	// it is in memory before it is sent.
	hexLimit = 65535

	// hexBacklog is how many messages may wait until a client reads them.
	hexBacklog = 1000
)

// A hexBridge passes messages between a connection on a bus and any number of clients, which
// write and read them as <22F190>: what a client writes is sent, and what is received is
// written to all clients.
type hexBridge struct {
	s       *streams
	conn    *isotpnet.Conn
	timeout time.Duration
	limit   int

	sending sync.Mutex // held for a Write and its deadline

	mu      sync.Mutex // guards clients, and that none of their channels is closed
	clients map[*hexClient]bool
}

type hexClient struct {
	net.Conn
	lines chan string // to be written
}

// receive passes messages to the clients until the connection ends, and returns why.
func (b *hexBridge) receive() error {
	var buf []byte
	for {
		var err error
		buf, _, err = readMessage(b.conn, buf[:0])
		switch {
		case err == nil:
			b.deliver(fmt.Sprintf("<%X>\n", buf))
		case isotpnet.Final(err):
			return err
		default:
			b.s.warn(err)
		}
	}
}

// deliver gives a line to all clients, and puts those out that do not read.
func (b *hexBridge) deliver(line string) {
	there, late := b.offer(line)
	if there == 0 {
		b.s.warn(fmt.Errorf("a message of %d bytes is dropped: there is no client", len(line)/2-1))
	}
	for _, c := range late {
		b.s.warn(fmt.Errorf("client %s is put out: it has not read the last %d messages", c.RemoteAddr(), hexBacklog))
		reset(c)
	}
}

// offer gives a line to all clients that have room for it. It returns how many clients there are,
// and those without room, which it has removed.
func (b *hexBridge) offer(line string) (there int, late []*hexClient) {
	b.mu.Lock()
	defer b.mu.Unlock()
	there = len(b.clients)
	for c := range b.clients {
		select {
		case c.lines <- line:
		default:
			b.remove(c)
			late = append(late, c)
		}
	}
	return there, late
}

func (b *hexBridge) add(c *hexClient) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients[c] = true
}

// remove ends what is written to a client. Under mu.
func (b *hexBridge) remove(c *hexClient) {
	if b.clients[c] {
		delete(b.clients, c)
		close(c.lines)
	}
}

// serve sends what a client writes until its end.
func (b *hexBridge) serve(ctx context.Context, in net.Conn) error {
	c := &hexClient{in, make(chan string, hexBacklog)}
	defer closeAfter(ctx, c)()
	b.add(c)
	var writing sync.WaitGroup
	writing.Go(func() {
		for line := range c.lines {
			if _, err := io.WriteString(c, line); err != nil {
				c.Close() // ends its reading
			}
		}
	})
	err := b.read(c)
	b.mu.Lock()
	b.remove(c)
	b.mu.Unlock()
	c.SetWriteDeadline(time.Now().Add(time.Second)) // for what is still to be written
	writing.Wait()
	c.Close()
	return err
}

// read sends the messages that come from a client. What cannot be sent is told, and the next
// is read: to the client nothing is said, as the bus alone answers there.
func (b *hexBridge) read(c *hexClient) error {
	r := bufio.NewReader(c)
	for {
		p, err := readHexMessage(r, b.limit)
		_, isText := errors.AsType[*hexTextError](err)
		switch {
		case err == io.EOF, errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
			return nil
		case err != nil && !isText:
			return fmt.Errorf("client %s: %w", c.RemoteAddr(), err)
		case err == nil:
			err = b.send(p)
		}
		if err != nil {
			b.s.warn(fmt.Errorf("client %s: %w", c.RemoteAddr(), err))
		}
	}
}

func (b *hexBridge) send(p []byte) error {
	b.sending.Lock()
	defer b.sending.Unlock()
	if err := b.conn.SetWriteDeadline(deadlineIn(b.timeout)); err != nil {
		return err
	}
	_, err := b.conn.Write(p)
	return err
}

// A hexTextError says which bytes of a client are no message.
type hexTextError struct{ text string }

func (e *hexTextError) Error() string { return e.text + ": want <22F190>" }

// readHexMessage reads <22F190> and returns its bytes, at most limit. Its error is a
// *hexTextError where there is another text, which it has read: what comes behind that may be
// read next. io.ErrUnexpectedEOF: the text ends in mid-message.
func readHexMessage(r *bufio.Reader, limit int) ([]byte, error) {
	if err := skipToMessage(r); err != nil {
		return nil, err
	}
	var text []byte
	for {
		b, err := r.ReadByte()
		switch {
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case b == '>':
			return hexMessage(text)
		case len(text) == 2*limit:
			return nil, &hexTextError{fmt.Sprintf("a message of more than %d bytes, from <%.20s on, is dropped", limit, text)}
		}
		text = append(text, b)
	}
}

// skipToMessage reads up to the next <, and it, too. White space before it is no error.
func skipToMessage(r *bufio.Reader) error {
	dropped := 0
	for {
		b, err := r.ReadByte()
		switch {
		case (err != nil || b == '<') && dropped > 0:
			if err == nil {
				r.UnreadByte()
			}
			return &hexTextError{count(uint64(dropped), "byte") + " between messages dropped"}
		case err != nil:
			return err
		case b == '<':
			return nil
		case !bytes.ContainsRune([]byte(" \t\r\n"), rune(b)):
			dropped++
		}
	}
}

// hexMessage returns the bytes of the text between < and >.
func hexMessage(text []byte) ([]byte, error) {
	p, err := hex.AppendDecode(nil, text)
	if err != nil || len(p) == 0 {
		return nil, &hexTextError{fmt.Sprintf("%.60q is dropped, which is not bytes of two hexadecimal digits each", "<"+string(text)+">")}
	}
	return p, nil
}
