package kernel

import (
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A pendingRead is what a Read hands to tryReadOnce and gets from it, and what is left for
// the next Read. Guarded by readTurn.
type pendingRead struct {
	p   []byte
	n   int // of it were read
	err error

	info   Info    // of the message being read
	opened bool    // by Open
	rest   []byte  // of the message being read, in buf or in a message of the queue
	buf    *[]byte // from buffers
}

// buffers are for messages longer than what a Read has room for.
var buffers sync.Pool

func newBuffer(size int) *[]byte {
	if b, ok := buffers.Get().(*[]byte); ok && len(*b) >= size {
		return b
	}
	b := make([]byte, size)
	return &b
}

// drop gives up what is left of a message.
func (r *pendingRead) drop() {
	if r.buf != nil {
		buffers.Put(r.buf)
	}
	r.buf, r.rest, r.opened = nil, nil, false
}

// described returns the message's Info.
func (r *pendingRead) described() Info {
	info := r.info
	info.Rest = len(r.rest)
	return info
}

// Receive reads bytes of at most one message. What does not fit in p stays for the next
// call: Info.Rest says how much.
//
// Errors: ErrSendOnly, ErrOverrun, os.ErrDeadlineExceeded, net.ErrClosed, with
// Spec.ReportAborted other ResultErrors, a GoneError, an *os.SyscallError.
func (c *Conn) Receive(p []byte) (n int, info Info, err error) {
	if c.sendOnly() {
		return 0, Info{}, ErrSendOnly
	}
	defer c.tell()
	c.readTurn.Lock()
	defer c.readTurn.Unlock()
	if err := c.next(p); err != nil {
		return 0, Info{}, err
	}
	r := &c.read
	if n = r.n; n == 0 {
		n = copy(p, r.rest)
		r.rest = r.rest[n:]
	}
	info = r.described()
	if info.Rest == 0 {
		r.drop()
	}
	return n, info, nil
}

// Open waits for a message, whose bytes Receive then reads, and gives up what is left of
// the one that the last Open has returned. Errors are those of Receive.
func (c *Conn) Open() (Info, error) {
	return c.peek(true)
}

// Await waits for a message and keeps it. Errors are those of Receive.
func (c *Conn) Await() (Info, error) { return c.peek(false) }

func (c *Conn) peek(open bool) (Info, error) {
	if c.sendOnly() {
		return Info{}, ErrSendOnly
	}
	defer c.tell()
	c.readTurn.Lock()
	defer c.readTurn.Unlock()
	r := &c.read
	if open && r.opened {
		r.drop()
	}
	if err := c.next(nil); err != nil {
		return Info{}, err
	}
	r.opened = r.opened || open
	return r.described(), nil
}

// Drain throws away the messages that no Receive has read, with what is left of one, and
// returns how many they were. Losses that Receive has not returned yet are forgotten. Where
// a Receive waits there are none.
func (c *Conn) Drain() (messages int, err error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	if c.sendOnly() || !c.readTurn.TryLock() {
		return 0, nil
	}
	defer c.tell()
	defer c.readTurn.Unlock()
	r := &c.read
	if len(r.rest) > 0 || r.opened {
		messages++
		r.drop()
	}
	err = c.raw.Control(func(fd uintptr) { messages += c.drain(int(fd)) })
	return messages, err
}

// drain throws away the messages of the queue and of the socket.
func (c *Conn) drain(fd int) (messages int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	messages = c.queue.drop()
	c.armDrain() // the queue may have been full
	var buf [1]byte
	for {
		errno := c.recv.recv(fd, nil, buf[:])
		if errno == 0 {
			messages++
			c.countReceived()
			continue
		}
		c.dispatch(fd, errno)
		if errno == unix.EAGAIN || c.link != linkUp {
			break
		}
	}
	c.overrun(dropped(fd))
	if _, ok := c.readErr.(ResultError); ok {
		c.readErr = nil
	}
	return messages
}

// next waits until there is a message to read: the rest of the last one, or a new one,
// whose first bytes are then in p and the others in the rest.
func (c *Conn) next(p []byte) error {
	r := &c.read
	r.p, r.n, r.err = p, 0, nil
	ready, err := c.beginRead()
	if err == nil && !ready {
		err = c.wait(c.raw.Read, c.tryRead, &c.readDeadline)
	}
	c.endRead()
	r.p = nil
	if err != nil {
		return err
	}
	return r.err
}

// beginRead reports whether there is something to return already.
func (c *Conn) beginRead() (ready bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading, c.queue.waited = true, false
	if !c.hasRead() {
		c.sendDrainerAway()
		return false, nil
	}
	switch {
	case c.closed.Load():
		return false, net.ErrClosed
	case c.readDeadline.exceeded():
		return false, os.ErrDeadlineExceeded
	}
	c.takeRead()
	return true, nil
}

func (c *Conn) endRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	c.queue.reads++
	c.armDrain()
}

// hasRead reports whether there is something to return without the socket. Under mu.
func (c *Conn) hasRead() bool {
	return c.readErr != nil || len(c.read.rest) > 0 || !c.queue.empty()
}

// takeRead takes it. Under mu.
func (c *Conn) takeRead() {
	r := &c.read
	switch {
	case c.readErr != nil:
		r.err, c.readErr = c.readErr, nil
	case len(r.rest) > 0:
	default:
		m := c.queue.pop()
		if m.data == nil {
			r.err = ErrOverrun
			return
		}
		r.n = copy(r.p, m.data)
		r.rest = m.data[r.n:]
		r.info = c.describe(len(m.data), m.at)
	}
}

func (c *Conn) describe(size int, at time.Time) Info {
	info := Info{Size: size, Last: at}
	if size <= c.spec.Single {
		info.First = at
	}
	return info
}

// prefetch waits for the first message of a connection and keeps it. ErrOverrun is kept for
// the first Read; receptions aborted are skipped.
func (c *Conn) prefetch() error {
	defer c.tell()
	c.readTurn.Lock()
	defer c.readTurn.Unlock()
	var overrun error
	for {
		err := c.next(nil)
		if err == ErrOverrun {
			overrun = err
			continue
		}
		if _, ok := err.(ResultError); ok {
			continue // a reception aborted makes no connection
		}
		c.mu.Lock()
		if err == nil && c.readErr == nil {
			c.readErr = overrun
		}
		c.mu.Unlock()
		return err
	}
}

// tryReadOnce reports whether there is something to return.
func (c *Conn) tryReadOnce(fd uintptr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hasRead() {
		c.takeRead()
		return true
	}
	more := c.roomBeyond(c.read.p)
	for {
		switch errno := c.recv.recv(int(fd), c.read.p, more); errno {
		case 0:
			c.queue.backlog = c.queue.backlog || !c.queue.waited
			c.received(more)
			return true
		case unix.EAGAIN:
			return c.foundNothing(int(fd))
		default:
			c.dispatch(int(fd), errno)
		}
		if c.readErr != nil {
			c.takeRead()
			c.read.drop()
			return true
		}
	}
}

// roomBeyond returns room for what of a message does not fit in p, nil if any message does.
func (c *Conn) roomBeyond(p []byte) []byte {
	room := int(c.limit) - len(p)
	if room <= 0 {
		return nil
	}
	c.read.buf = newBuffer(room)
	return *c.read.buf
}

// foundNothing follows an attempt to read an empty socket. It reports whether messages were
// lost in front of what comes next. Under mu.
func (c *Conn) foundNothing(fd int) (lost bool) {
	c.read.drop()
	c.queue.waited = true
	if lost = c.mayHaveDropped() && c.overrun(dropped(fd)); lost {
		c.read.err = ErrOverrun
	}
	return lost
}

// received keeps a message that was read into read.p and more. Under mu.
func (c *Conn) received(more []byte) {
	r := &c.read
	c.countReceived()
	size := min(c.recv.size, len(r.p)+len(more))
	r.n = min(size, len(r.p))
	r.rest = more[:size-r.n]
	r.info = c.describe(c.recv.size, c.recv.at)
	if c.overrun(c.recv.drops) {
		// What was lost came before this message, which has to wait.
		c.queue.push(message{append(append([]byte{}, r.p[:r.n]...), r.rest...), c.recv.at})
		r.drop()
		r.n, r.err = 0, ErrOverrun
	}
}
