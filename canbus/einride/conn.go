package einride

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/internal/deadline"
)

// receiveFrames is how many frames wait to be read.
const receiveFrames = 8192

// A Conn is a connection to a bus in the form of their socketcan.Dial("can", ...): to
// give to socketcan.NewReceiver and socketcan.NewTransmitter. All its methods can be
// called from any goroutine. Its errors are *net.OpError, but for io.EOF.
type Conn struct {
	bus  canbus.Bus
	addr addr

	life     *lifetime.Lifetime
	closeErr error // that of the bus; set before life is over for Close

	readDeadline, writeDeadline deadline.Deadline

	mu    sync.Mutex    // guards queue
	queue []byte        // frames to be read
	news  chan struct{} // holds a token when there may be frames in queue
	room  chan struct{} // holds a token when there may be room; nil if the bus does not wait for it

	jobs chan *job
	sent chan struct{} // closed when nothing is written any more

	leftOut, dropped atomic.Uint64
}

var _ net.Conn = (*Conn)(nil)

// An addr is that of a bus, as theirs: the network is "can".
type addr string

func (addr) Network() string  { return "can" }
func (a addr) String() string { return string(a) }

// Dial is [DialContext] without a context.
func Dial(name string) (*Conn, error) { return DialContext(context.Background(), name) }

// DialContext opens a bus as [canbus.Open] does and makes a Conn of it. The context
// bounds the opening, not the life of the Conn.
func DialContext(ctx context.Context, name string) (*Conn, error) {
	bus, err := canbus.Open(ctx, name)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "can", Addr: addr(name), Err: err}
	}
	return NewConn(bus, name), nil
}

// NewConn makes a Conn of a bus, which is the Conn's: Close closes it. name is the
// Conn's address, and stands in errors.
func NewConn(bus canbus.Bus, name string) *Conn {
	c := &Conn{
		bus:  bus,
		addr: addr(name),
		news: make(chan struct{}, 1),
		jobs: make(chan *job),
		sent: make(chan struct{}),
	}
	if canbus.PropertiesOf(bus).Waits {
		c.room = make(chan struct{}, 1)
	}
	c.life = lifetime.New(func() { c.closeErr = c.closeBus() })
	go c.receive()
	go c.send()
	return c
}

// LeftOut returns how many CAN FD frames of the bus were left out, as a Conn has no
// form for them.
func (c *Conn) LeftOut() uint64 { return c.leftOut.Load() }

// Dropped returns how many frames were lost because 8192 others waited to be read, and how
// many the bus itself has dropped: a Conn that is not read does not hold the bus up, as a
// socket does not. Only a bus that waits for its reader, as a log does, loses nothing
// (canbus.Properties.Waits).
func (c *Conn) Dropped() uint64 {
	n := c.dropped.Load()
	if bus, ok := canbus.As[canbus.DropCounter](c.bus); ok {
		n += bus.Dropped()
	}
	return n
}

// receive reads the bus until it ends.
func (c *Conn) receive() {
	frames := make([]canbus.Frame, batchLen)
	for c.awaitRoom() {
		n, err := c.bus.ReadFrames(frames)
		c.queueFrames(frames[:n])
		switch {
		case err == nil:
		case errors.Is(err, canbus.ErrTemporary):
			c.life.Sleep(fullPause) // until the cause of the error has passed
		default:
			c.life.Fail(err)
			return
		}
	}
}

// awaitRoom does not read a bus that waits for its reader while many frames are to be read.
// It reports false after Close.
func (c *Conn) awaitRoom() bool {
	if c.room == nil {
		return true
	}
	for {
		c.mu.Lock()
		full := len(c.queue) > (receiveFrames-batchLen)*frameLen
		c.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-c.room:
		case <-c.life.Over():
			return false
		}
	}
}

// queueFrames puts frames where Read finds them.
func (c *Conn) queueFrames(frames []canbus.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range frames {
		switch f := &frames[i]; {
		case f.Has(canbus.Echo): // their sockets do not return their own frames
		case f.Has(canbus.FD):
			c.leftOut.Add(1)
		case len(c.queue) >= receiveFrames*frameLen:
			c.dropped.Add(1)
		default:
			c.queue = appendFrame(c.queue, f)
		}
	}
	c.tell()
}

// tell wakes a Read if there is something. Under mu.
func (c *Conn) tell() {
	if len(c.queue) == 0 {
		return
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// Read returns as many frames of 16 bytes as there are. Bytes that do not fit in p stay for
// the next Read, even in the middle of a frame. Error frames of the bus are among them; CAN
// FD frames are not, see [Conn.LeftOut].
//
// When the bus is lost, Read returns all frames that came before, and then the bus's error;
// at the end of a log it returns io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		err := c.life.Err()
		switch {
		case err == net.ErrClosed:
			return 0, c.opError("read", err)
		case c.readDeadline.Exceeded():
			return 0, c.opError("read", os.ErrDeadlineExceeded)
		}
		if n := c.takeBytes(p); n > 0 || len(p) == 0 {
			return n, nil
		}
		if err == io.EOF {
			return 0, io.EOF
		}
		if err != nil {
			return 0, c.opError("read", err)
		}
		select {
		case <-c.news:
		case <-c.readDeadline.Wait():
		case <-c.life.Over():
		}
	}
}

func (c *Conn) takeBytes(p []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := copy(p, c.queue)
	if c.queue = c.queue[n:]; len(c.queue) == 0 {
		c.queue = nil
	}
	c.tell() // another Read
	select {
	case c.room <- struct{}{}:
	default:
	}
	return n
}

// A job is what one Write writes.
type job struct {
	frames    []canbus.Frame
	taken     atomic.Int64 // how many of them the bus has taken
	abandoned atomic.Bool
	done      chan error // has room for the result
}

// Write hands frames to the bus: p is any number of frames, 16 bytes each. If the bytes of
// one are no valid frame, Write sends nothing and returns an error; if the bus refuses one,
// Write has sent those before it. When the deadline passes, n is how many bytes the bus has
// taken; a frame that it was just being given may still be sent.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.life.Err(); err != nil {
		return 0, c.opError("write", err)
	}
	frames, err := parseFrames(p)
	if err != nil || len(frames) == 0 {
		return 0, c.opError("write", err)
	}
	if c.writeDeadline.Exceeded() {
		return 0, c.opError("write", os.ErrDeadlineExceeded)
	}
	j := &job{frames: frames, done: make(chan error, 1)}
	select {
	case c.jobs <- j:
	case <-c.writeDeadline.Wait():
		return 0, c.opError("write", os.ErrDeadlineExceeded)
	case <-c.life.Over():
		return 0, c.opError("write", c.life.Err())
	}
	select {
	case err = <-j.done:
	case <-c.writeDeadline.Wait():
		j.abandoned.Store(true)
		select {
		case err = <-j.done: // just in time
		default:
			err = os.ErrDeadlineExceeded
		}
	case <-c.life.Over():
		err = c.life.Err()
	}
	return int(j.taken.Load()) * frameLen, c.opError("write", err)
}

func parseFrames(p []byte) ([]canbus.Frame, error) {
	if len(p)%frameLen != 0 {
		return nil, fmt.Errorf("einride: %d bytes are not whole frames of %d", len(p), frameLen)
	}
	frames := make([]canbus.Frame, 0, len(p)/frameLen)
	for ; len(p) > 0; p = p[frameLen:] {
		f, err := parseFrame(p)
		if err == nil {
			err = f.Validate()
		}
		if err != nil {
			return nil, err
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// send writes to the bus, whose WriteFrames may wait longer than a Write does.
func (c *Conn) send() {
	defer close(c.sent)
	for {
		select {
		case j := <-c.jobs:
			j.done <- c.do(j)
		case <-c.life.Over():
			return
		}
	}
}

func (c *Conn) do(j *job) error {
	for rest := j.frames; len(rest) > 0 && !j.abandoned.Load(); {
		if err := c.life.Err(); err != nil {
			return err
		}
		n, err := c.bus.WriteFrames(rest)
		j.taken.Add(int64(n))
		rest = rest[n:]
		switch {
		case err != nil && !errors.Is(err, canbus.ErrTemporary):
			return err
		case n == 0:
			if err := c.life.Sleep(fullPause); err != nil {
				return err
			}
		}
	}
	return nil
}

// stuck is how long Close waits for a call of WriteFrames to return.
const stuck = time.Second

// closeBus waits until the bus has sent the frames that it has taken, and closes it.
func (c *Conn) closeBus() (err error) {
	if bus, ok := canbus.As[canbus.Flusher](c.bus); ok && c.life.Err() == net.ErrClosed {
		select {
		case <-c.sent:
			err = bus.Flush(context.Background())
		case <-time.After(stuck):
		}
	}
	return errors.Join(err, c.bus.Close())
}

// Close waits until a bus that is a [canbus.Flusher] has sent what it was given, closes
// it, and returns its error. Calls under way fail with net.ErrClosed. A second Close does
// nothing.
func (c *Conn) Close() error {
	c.life.Close()
	c.readDeadline.Set(time.Time{})
	c.writeDeadline.Set(time.Time{})
	return c.opError("close", c.closeErr)
}

// LocalAddr is RemoteAddr: on a bus nodes have no addresses.
func (c *Conn) LocalAddr() net.Addr { return c.addr }

// RemoteAddr is the name of the bus; its network is "can".
func (c *Conn) RemoteAddr() net.Addr { return c.addr }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error { return c.set(t, &c.readDeadline, &c.writeDeadline) }

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.set(t, &c.readDeadline) }

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.set(t, &c.writeDeadline) }

func (c *Conn) set(t time.Time, deadlines ...*deadline.Deadline) error {
	if err := c.life.Err(); err == net.ErrClosed {
		return c.opError("set", err)
	}
	for _, d := range deadlines {
		d.Set(t)
	}
	return nil
}

// opError is nil if err is.
func (c *Conn) opError(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: "can", Source: c.addr, Addr: c.addr, Err: err}
}
