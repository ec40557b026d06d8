package isotpnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/stream"
)

var (
	_ net.Conn      = (*StreamConn)(nil)
	_ io.ReaderFrom = (*StreamConn)(nil)
)

// A StreamConn is a connection on the network "isotp-stream": bytes in both
// directions, as TCP's, over ISO-TP messages. It is safe for concurrent use; Writes
// take turns, and so do Reads.
//
// Up to 1024 of them share one pair of addresses. Each has a window of 65280 bytes, so that
// a connection that is not read does not hold up the others. The bytes that are read are
// those that were written, up to an error. A message that the bus has lost is not repeated:
// both ends get syscall.ECONNRESET.
//
// Errors are *net.OpError, but for io.EOF, and for the errors of the source of ReadFrom. An
// error that ends the connection is returned by every later call: a [*StreamError], which is
// syscall.ECONNRESET or ETIMEDOUT, the *ProtocolError of a message that could not be sent,
// or the error with which the bus has failed.
type StreamConn struct {
	pair          *streamPair
	network       string
	local, remote Addr
	session       *stream.Session // its methods are called under pair.mu
	ends          ends

	readDeadline, writeDeadline deadline.Deadline

	// Under pair.mu.
	closed             bool
	ending             bool // CloseWrite was called
	abort              bool // Close is to reset the session: SetLinger(0) was called
	reading, writing   deadline.Turn
	readable, writable deadline.Signal
	owed               *OwedError      // why the last message was taken back; nil if for no debt
	ended              deadline.Signal // END was sent, or will not be
}

// closeWait is how long Close and CloseWrite wait at most until END is sent: a program may
// end after them, and a bus may take nothing.
const closeWait = time.Second

func newStreamConn(p *streamPair, s *stream.Session, network string, keep stream.KeepAlive) *StreamConn {
	c := &StreamConn{pair: p, session: s, network: network, remote: p.addr.ofStream(), local: p.addr.ofStream().Mirror()}
	s.User = c
	s.SetKeepAlive(keep)
	return c
}

// Read reads bytes that have arrived, and waits if there are none. When all bytes are read
// that the peer has written before its CloseWrite or Close, it returns io.EOF. With an empty
// p it returns 0, nil at once.
func (c *StreamConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.read(p)
	return n, c.error(opRead, err)
}

func (c *StreamConn) read(p []byte) (int, error) {
	c.pair.mu.Lock()
	defer c.pair.unlock()
	if err := c.take(&c.reading, &c.readDeadline); err != nil {
		return 0, err
	}
	defer c.reading.Leave()
	for {
		if n, err := c.session.Read(p); n > 0 || err != nil {
			return n, streamError(err)
		}
		c.session.Await(p)
		err := c.wait(&c.readable, &c.readDeadline)
		if n := c.session.Arrived(); n > 0 {
			return n, nil // even if the deadline has just come
		}
		if err != nil {
			return 0, err
		}
	}
}

// Write sends p, cut into messages, and returns when the last of them is sent, as
// [Conn.Write] does; the peer may not have read it yet. With an error n is how many bytes
// of p were sent in whole messages.
//
// After a deadline a program can go on and write the rest: none of it is lost, or sent
// twice. A message whose first frame has left when the deadline comes is not cut short: it
// counts as sent, and is sent to its end after Write has returned. If it is aborted after
// all (the peer does not answer it with a flow control), the connection ends with that error
// on this side, and with syscall.ECONNRESET on the other. A message of which no frame has
// left is taken back; if it was the first of p, and has waited for a flow control that the
// peer still owes, the error is an [*OwedError].
//
// After CloseWrite the error is syscall.EPIPE.
func (c *StreamConn) Write(p []byte) (int, error) {
	n, err := c.write(p)
	return n, c.error(opWrite, err)
}

func (c *StreamConn) write(p []byte) (n int, err error) {
	pair, s := c.pair, c.session
	pair.mu.Lock()
	defer pair.unlock()
	if err := c.take(&c.writing, &c.writeDeadline); err != nil {
		return 0, err
	}
	defer c.writing.Leave()
	if err := c.unwritable(); err != nil || len(p) == 0 {
		return 0, err
	}
	before := s.SentBytes()
	c.owed = nil
	s.Offer(pair.now(), p)
	for err == nil && s.Offered() > 0 {
		err = c.wait(&c.writable, &c.writeDeadline)
	}
	if !s.Withdraw() {
		pair.giveUp(c)
	}
	n = int(s.SentBytes() - before)
	if n == len(p) {
		return n, nil
	}
	if broken := c.unwritable(); broken != nil {
		err = broken // it says more than a deadline, and later calls return it, too
	} else if n == 0 && c.owed != nil && err == os.ErrDeadlineExceeded {
		err = c.owed
	}
	return n, err
}

// unwritable returns why nothing can be written any more, or nil. Under pair.mu.
func (c *StreamConn) unwritable() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.session.Err() != nil:
		return streamError(c.session.Err())
	case c.ending:
		return os.NewSyscallError("write", syscall.EPIPE)
	}
	return nil
}

// take waits for the turn to read or to write. Under pair.mu, which it releases while it
// waits.
func (c *StreamConn) take(t *deadline.Turn, d *deadline.Deadline) error {
	for {
		switch {
		case c.closed:
			return net.ErrClosed
		case d.Exceeded():
			return os.ErrDeadlineExceeded
		case !t.Taken:
			t.Taken = true
			return nil
		}
		if err := c.wait(&t.Free, d); err != nil {
			return err
		}
	}
}

// wait waits for a signal, the deadline, or Close. Under pair.mu, which it releases while it
// waits.
func (c *StreamConn) wait(s *deadline.Signal, d *deadline.Deadline) error {
	s.Make()
	c.pair.unlock()
	inTime := s.Wait(d)
	c.pair.mu.Lock()
	switch {
	case c.closed:
		return net.ErrClosed
	case !inTime:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// streamChunks are for ReadFrom.
var streamChunks = sync.Pool{New: func() any { return new([streamChunk]byte) }}

// streamChunk is how many bytes ReadFrom reads at once: those of as many full messages as a
// window has room for.
const streamChunk = streamWindow / stream.MaxData * stream.MaxData

// ReadFrom writes the bytes that it reads from r until r ends. [io.Copy] uses it.
func (c *StreamConn) ReadFrom(r io.Reader) (n int64, err error) {
	buf := streamChunks.Get().(*[streamChunk]byte)
	defer streamChunks.Put(buf)
	for {
		k, readErr := r.Read(buf[:])
		if k > 0 {
			k, err := c.Write(buf[:k])
			n += int64(k)
			if err != nil {
				return n, err
			}
		}
		switch {
		case readErr == io.EOF:
			return n, nil
		case readErr != nil:
			return n, readErr
		}
	}
}

// Close ends the connection in both directions. Calls that wait return net.ErrClosed. The
// bytes that were written reach the peer, whose Read then returns io.EOF. But if bytes have
// arrived that were not read, they are lost, and the peer gets syscall.ECONNRESET, as it does
// when it goes on writing. A second Close does nothing.
func (c *StreamConn) Close() error {
	p := c.pair
	p.mu.Lock()
	if c.closed {
		p.mu.Unlock()
		return nil
	}
	c.closed = true
	p.users--
	if c.abort {
		c.session.Abort()
	} else {
		c.session.Close(p.now())
	}
	c.readDeadline.Set(past)
	c.writeDeadline.Set(past)
	c.awaitEnd()
	p.unlock()
	return nil
}

// SetLinger with 0 has Close end the connection with an error, as
// [net.TCPConn.SetLinger] does: the peer gets syscall.ECONNRESET, so that it does not take
// the bytes that it has read for all. Other values of sec undo that.
func (c *StreamConn) SetLinger(sec int) error {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if c.closed {
		return c.error(opSet, net.ErrClosed)
	}
	c.abort = sec == 0
	return nil
}

// CloseWrite ends our direction: the peer's Read returns io.EOF after the bytes that were
// written. Reading goes on. CloseWrite waits, for a second at most, until the end is sent,
// after the bytes of a Write that has not returned yet.
func (c *StreamConn) CloseWrite() error {
	p := c.pair
	p.mu.Lock()
	defer p.unlock()
	switch {
	case c.ending && !c.closed:
		return nil
	case c.unwritable() != nil:
		return c.error(opClose, c.unwritable())
	}
	c.ending = true
	c.session.CloseWrite()
	c.awaitEnd()
	return nil
}

// awaitEnd waits until our END is sent, for closeWait at most. Under pair.mu, which it
// releases while it waits.
func (c *StreamConn) awaitEnd() {
	if c.session.Ended() {
		return
	}
	var enough deadline.Deadline
	enough.Set(time.Now().Add(closeWait))
	defer enough.Set(time.Time{})
	for inTime := true; inTime && !c.session.Ended(); {
		c.ended.Make()
		c.pair.unlock()
		inTime = c.ended.Wait(&enough)
		c.pair.mu.Lock()
	}
}

// LocalAddr returns the address that the peer would dial, an [Addr] whose Network is
// "isotp-stream". It is the same for all connections over one pair of addresses.
func (c *StreamConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address that was dialled or listened on, an [Addr] whose Network
// is "isotp-stream".
func (c *StreamConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the deadlines of reading and of writing; see [net.Conn]. On a
// closed connection these methods return net.ErrClosed.
func (c *StreamConn) SetDeadline(t time.Time) error {
	err := c.setDeadline(&c.readDeadline, t)
	if err == nil {
		err = c.setDeadline(&c.writeDeadline, t)
	}
	return c.error(opSet, err)
}

// SetReadDeadline sets the deadline of reading.
func (c *StreamConn) SetReadDeadline(t time.Time) error {
	return c.error(opSet, c.setDeadline(&c.readDeadline, t))
}

// SetWriteDeadline sets the deadline of writing. See Write for what a deadline
// does to the message being sent.
func (c *StreamConn) SetWriteDeadline(t time.Time) error {
	return c.error(opSet, c.setDeadline(&c.writeDeadline, t))
}

func (c *StreamConn) setDeadline(d *deadline.Deadline, t time.Time) error {
	p := c.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	d.Set(t)
	return nil
}

// SetKeepAlive says whether the peer is asked for a sign of life when no message of it has
// come for a while. It is, unless Dialer.KeepAlive or ListenConfig.KeepAlive says otherwise.
func (c *StreamConn) SetKeepAlive(on bool) error {
	return c.setKeepAlive(func(k *stream.KeepAlive) { k.Off = !on })
}

// SetKeepAlivePeriod sets after what time without a message from the peer it is asked, and
// after what time it is asked again. 0 is 15 s, a negative d leaves both as they are, and
// less than 10 ms is 10 ms.
func (c *StreamConn) SetKeepAlivePeriod(d time.Duration) error {
	return c.setKeepAlive(func(k *stream.KeepAlive) { setPeriod(k, d, d) })
}

// SetKeepAliveConfig sets whether, when and how often the peer is asked. A field of config
// that is 0 stands for the default of [net.KeepAliveConfig], and a negative one leaves the
// value as it is. An Idle or Interval of less than 10 ms is 10 ms.
func (c *StreamConn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	return c.setKeepAlive(func(k *stream.KeepAlive) { applyKeepAlive(k, config) })
}

func (c *StreamConn) setKeepAlive(change func(*stream.KeepAlive)) error {
	c.pair.mu.Lock()
	defer c.pair.unlock()
	if c.closed {
		return c.error(opSet, net.ErrClosed)
	}
	k := c.session.KeepAlive()
	change(&k)
	c.session.SetKeepAlive(k)
	return nil
}

func applyKeepAlive(k *stream.KeepAlive, config net.KeepAliveConfig) {
	k.Off = !config.Enable
	setPeriod(k, config.Idle, config.Interval)
	if config.Count >= 0 {
		k.Count = orDefault(config.Count, stream.DefaultKeepAlive.Count)
	}
}

// minKeepAlive keeps the bus from being full of PINGs.
const minKeepAlive = 10 * time.Millisecond

func setPeriod(k *stream.KeepAlive, idle, interval time.Duration) {
	set := func(to *time.Duration, d, otherwise time.Duration) {
		if d >= 0 {
			*to = max(orDefault(d, otherwise), minKeepAlive)
		}
	}
	set(&k.Idle, idle, stream.DefaultKeepAlive.Idle)
	set(&k.Interval, interval, stream.DefaultKeepAlive.Interval)
}

// newKeepAlive is the KeepAlive that a Dialer or ListenConfig asks for, in the manner of
// net.Dialer.
func newKeepAlive(d time.Duration, config net.KeepAliveConfig) stream.KeepAlive {
	k := stream.DefaultKeepAlive
	switch {
	case config.Enable:
		applyKeepAlive(&k, config)
	case d < 0:
		k.Off = true
	case d > 0:
		setPeriod(&k, d, d)
	}
	return k
}

// Backend returns which backend sends the messages: see [Conn.Backend].
func (c *StreamConn) Backend() string { return c.pair.backend.name() }

// Stats returns the counts so far, of the messages of all connections over the pair of
// addresses.
func (c *StreamConn) Stats() Stats { return c.pair.backend.stats() }

func (c *StreamConn) error(op string, err error) error {
	if err == nil {
		return nil
	}
	return opError(op, c.network, c.local, c.remote, c.ends.error(op, err))
}

// past is a deadline that is over.
var past = time.Unix(1, 0)
