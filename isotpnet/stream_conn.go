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
// Any number of them, up to 1024, share one pair of addresses; each has a window of
// 65280 bytes, so that one that is not read does not hold up the others. What is
// read is what was written, up to an error. There is no repetition of messages
// that the bus has lost: then both ends get syscall.ECONNRESET.
//
// Errors are *net.OpError, but for io.EOF, and for those of the other side in
// ReadFrom. Those that end a connection are returned by every later call: a
// [*StreamError], which is syscall.ECONNRESET or ETIMEDOUT, a *ProtocolError of
// the message that could not be sent, or what the bus failed with.
type StreamConn struct {
	pair          *streamPair
	network       string
	local, remote Addr
	session       *stream.Session // under pair.mu
	ends          ends

	readDeadline, writeDeadline deadline.Deadline

	// Under pair.mu.
	closed             bool
	ending             bool // CloseWrite was called
	abort              bool // SetLinger(0) was called
	reading, writing   deadline.Turn
	readable, writable deadline.Signal
	owed               *OwedError      // why the last message was taken back
	ended              deadline.Signal // END was handed over, or will not be
}

// closeWait is how long Close and CloseWrite wait for END to be handed over: so a
// program may end after them. With a bus that takes nothing they do not wait for
// ever.
const closeWait = time.Second

func newStreamConn(p *streamPair, s *stream.Session, network string, keep stream.KeepAlive) *StreamConn {
	c := &StreamConn{pair: p, session: s, network: network, remote: p.addr.ofStream(), local: p.addr.ofStream().Mirror()}
	s.User = c
	s.SetKeepAlive(keep)
	return c
}

// Read reads what has arrived, and waits if there is nothing. After the peer's
// CloseWrite or Close, and when all is read, it returns io.EOF. With an empty p it
// returns 0, nil at once.
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

// Write sends p, cut into messages, and returns when the last of them is handed
// over to the bus, as [Conn.Write] does; the peer's Read may not have got it yet.
// With an error n is how many bytes were handed over in whole messages. After a
// deadline writing can go on with the rest: none of it is lost, or sent twice. A message
// whose first frame has left when the deadline comes is not cut short; it counts, and is
// sent to its end after Write has returned. If that fails after all (nobody answers it
// with a flow control), the connection ends with that error on this side, and
// syscall.ECONNRESET on the other. A message that waits to leave is taken back; if it was
// the first and waited for a flow control that the peer still owes, the error is an
// [*OwedError]. After CloseWrite the error is syscall.EPIPE.
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
		err = broken // it tells more, and later calls will return it
	} else if n == 0 && c.owed != nil && err == os.ErrDeadlineExceeded {
		err = c.owed
	}
	return n, err
}

// unwritable returns why nothing can be written any more. Under pair.mu.
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

// take waits for the turn to read or to write. Under pair.mu.
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

// wait releases pair.mu and waits for a signal, the deadline, or Close.
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

// streamChunk is how much ReadFrom reads at once: as many full messages as a window
// has room for.
const streamChunk = streamWindow / stream.MaxData * stream.MaxData

// ReadFrom writes what it reads from r until r ends. [io.Copy] uses it.
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

// Close ends the connection in both directions. Calls that wait return
// net.ErrClosed; what was written reaches the peer, whose Read then returns io.EOF.
// But if something was not read, which is lost then, the peer gets
// syscall.ECONNRESET, as it does when it goes on writing. A second Close does
// nothing.
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
// [net.TCPConn.SetLinger] does: the peer gets syscall.ECONNRESET, and so does not
// take what it has read for all. Other values of sec undo that.
func (c *StreamConn) SetLinger(sec int) error {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if c.closed {
		return c.error(opSet, net.ErrClosed)
	}
	c.abort = sec == 0
	return nil
}

// CloseWrite ends our direction: the peer's Read returns io.EOF after what was
// written. Reading goes on. It waits for a Write that is under way.
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

// awaitEnd waits, but not for long, until our END is handed over. Under pair.mu.
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
// "isotp-stream". All connections over one pair of addresses have the same.
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

// SetKeepAlive says whether the peer is asked for a sign of life while nothing
// happens. It is, unless Dialer.KeepAlive or ListenConfig.KeepAlive says otherwise.
func (c *StreamConn) SetKeepAlive(on bool) error {
	return c.setKeepAlive(func(k *stream.KeepAlive) { k.Off = !on })
}

// SetKeepAlivePeriod sets after what time without a message from the peer it is
// asked, and in what intervals then. 0: 15 s. Negative: as it is. Less than 10 ms is
// 10 ms.
func (c *StreamConn) SetKeepAlivePeriod(d time.Duration) error {
	return c.setKeepAlive(func(k *stream.KeepAlive) { setPeriod(k, d, d) })
}

// SetKeepAliveConfig sets all of it. In config 0 stands for the default of
// [net.KeepAliveConfig], and what is negative is left as it is.
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

// minKeepAlive keeps the bus free for other things.
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

// newKeepAlive is what a Dialer or ListenConfig says, in the manner of net.Dialer.
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

// Backend returns what the messages are sent by: see [Conn.Backend].
func (c *StreamConn) Backend() string { return c.pair.backend.name() }

// Stats returns what has been counted so far of the messages of all connections
// over the pair of addresses.
func (c *StreamConn) Stats() Stats { return c.pair.backend.stats() }

func (c *StreamConn) error(op string, err error) error {
	if err == nil {
		return nil
	}
	return opError(op, c.network, c.local, c.remote, c.ends.error(op, err))
}

// past is a deadline that has come.
var past = time.Unix(1, 0)
