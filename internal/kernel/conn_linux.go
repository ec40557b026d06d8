package kernel

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/isotp/internal/engine"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// A Conn sends and receives messages over a CAN_ISOTP socket, which waits on Go's
// netpoller. It is safe for concurrent use: Sends take turns, and so do Reads.
//
// The socket has one slot for the errors of transmissions and of receptions, and gives
// what is in there to whichever call comes first. So each call that may take an error is
// made under mu, and dispatch routes what it took.
//
// The order of locks is readTurn, sendTurn, drainTurn, mu, and then those that Spec.Owed and
// Spec.Owe take, in package mux, and those of deadlines. Handler.Message is called under
// readTurn: the handler's locks come before mu. Observer is called under none.
// docs/architecture.md has the locks of all packages.
type Conn struct {
	// User and Observer are set by Spec.Made only.
	User     any
	Observer Observer

	spec       *Spec
	sock       *socket.Conn
	raw        syscall.RawConn
	functional *Conn     // see Spec.Functional; nil if there is none
	listener   *Listener // which gets the socket back; nil for others
	release    func()    // of Spec.Claim
	pair       boundPair // what the socket is bound to
	mirror     boundPair // what its peer's would be

	virtual bool  // see sentAtOnce
	limit   int64 // of a message, in bytes
	buffer  int   // as long as the socket has less it drops nothing, as messageCost counts
	began   time.Time

	readDeadline, writeDeadline pollDeadline
	closed                      atomic.Bool

	readTurn sync.Mutex // held by the Read that may wait at the socket
	read     pendingRead
	tryRead  func(fd uintptr) bool // tryReadOnce; made once, as closures are allocated

	sendTurn sync.Mutex // held by the Send whose message it is
	write    pendingWrite
	tryWrite func(fd uintptr) bool // tryWriteOnce
	retry    *time.Timer

	handler Handler     // set by Handle
	givenUp atomic.Bool // what Recall has taken back last is not sent again

	drainTurn sync.Mutex // held by the drainer

	mu       sync.Mutex
	send     sendState // written under sendTurn, too
	link     linkState
	recv     receiver
	drops    uint32 // of the socket, as counted so far
	filled   int    // how much of the socket's buffer was in use at most since it was empty
	queue    queue
	sendErr  error // how the message in sendTaken was aborted
	debtless bool  // no flow control is owed to an earlier connection
	reading  bool  // a Read waits
	readErr  error // what it is to return
	counts   engine.Stats
	observed []engine.Observation // what Observer has not been told yet
	telling  bool                 // a goroutine tells it
}

// retryInterval is after what time a Send asks again whether its message is sent, in case
// a kernel does not say: before 6.3 and 6.1.25 poll did not.
const retryInterval = 250 * time.Millisecond

// Dial opens a connection. It does not wait.
func Dial(spec *Spec) (*Conn, error) {
	release, err := spec.Claim()
	if err != nil {
		return nil, err
	}
	c, err := dial(spec)
	if err != nil {
		release()
		return nil, err
	}
	c.release = release
	c.begin()
	return c, nil
}

func dial(spec *Spec) (*Conn, error) {
	c, err := open(spec)
	if err != nil || spec.Functional == nil {
		return c, err
	}
	if c.functional, err = open(spec.Functional); err != nil {
		destroy(c.sock)
		return nil, err
	}
	return c, nil
}

// open opens a socket and makes a connection of it.
func open(spec *Spec) (*Conn, error) {
	o := opener{Spec: spec}
	sock, err := o.open()
	if err != nil {
		return nil, err
	}
	c, err := newConn(sock, &o)
	if err != nil {
		sock.Close()
		return nil, err
	}
	return c, nil
}

// newConn makes a connection of a socket that is bound to an interface.
func newConn(sock *socket.Conn, o *opener) (*Conn, error) {
	spec := o.Spec
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{
		spec:    spec,
		sock:    sock,
		raw:     raw,
		release: func() {},
		virtual: o.virtual,
		limit:   maxMessage(),
		began:   time.Now(),
	}
	if spec.SingleOnly {
		c.limit = int64(spec.Single)
	}
	if spec.Rx != nil {
		c.pair = boundPair{o.bus, spec.Tx, *spec.Rx}
		c.mirror = boundPair{o.bus, *spec.Rx, spec.Tx}
	}
	c.tryRead, c.tryWrite = c.tryReadOnce, c.tryWriteOnce
	c.readDeadline.set, c.writeDeadline.set = sock.SetReadDeadline, sock.SetWriteDeadline
	raw.Control(func(fd uintptr) { c.drops = dropped(int(fd)) })
	if size, err := sock.ReadBuffer(); err == nil {
		c.buffer = max(size-messageCost(int(c.limit)), 0)
	}
	if spec.Made != nil {
		spec.Made(c)
	}
	return c, nil
}

// Limit returns the longest message that can be sent, in bytes.
func (c *Conn) Limit() int64 { return c.limit }

// sendOnly reports whether there is nothing to receive.
func (c *Conn) sendOnly() bool { return c.spec.Rx == nil }

// Time returns a time of the Observer and the Handler on the wall clock.
func (c *Conn) Time(t engine.Time) time.Time { return c.began.Add(time.Duration(t)) }

func (c *Conn) now() engine.Time { return engine.Time(time.Since(c.began)) }

// dispatch routes an errno that a call has taken from the socket's single error slot to the
// pending Send, the pending Read or the statistics. kernelError in isotpnet/conn_kernel.go
// turns the errors that these return into those that users know. Under mu.
func (c *Conn) dispatch(fd int, errno unix.Errno) {
	switch errno {
	case 0, unix.EAGAIN, unix.EINTR:
	case unix.ETIMEDOUT:
		c.receptionAborted(engine.TimeoutCr)
	case unix.EILSEQ:
		c.receptionAborted(engine.WrongSN)
	case unix.EBADMSG:
		// A flow control that is too short or, with checks of padding, any frame that is
		// wrongly filled up. The former ends our message.
		if c.spec.ChecksPadding && (c.send != sendTaken || !idle(fd)) {
			c.receptionAborted(engine.InvalidFrame)
			return
		}
		c.sendAborted(ResultError(engine.InvalidFS))
	case unix.EMSGSIZE:
		c.sendAborted(ResultError(engine.BufferOverflow))
	case unix.ECOMM:
		c.sendAborted(ResultError(c.timeout()))
	default:
		c.linkFailed(errno)
	}
}

// timeout is what the kernel has waited for: a flow control or an echo. Under mu.
func (c *Conn) timeout() engine.Code {
	if c.sendOnly() || c.write.size <= c.spec.Single {
		return engine.TimeoutA
	}
	return engine.TimeoutBs
}

// linkFailed follows an error of the interface, which ends both directions. Under mu.
func (c *Conn) linkFailed(errno unix.Errno) {
	switch {
	case isGone(errno):
		c.link = linkGone
	case c.link == linkUp:
		c.link = linkDown
	}
	c.wakeReader(deviceError("read", errno))
	c.sendAborted(deviceError("write", errno))
}

// linkWorks follows a message sent or received. Under mu.
func (c *Conn) linkWorks() {
	if c.link == linkDown {
		c.link = linkUp
	}
}

// isGone reports whether an interface is gone: what is not bound any more was bound to it.
func isGone(errno unix.Errno) bool {
	return errno == unix.ENODEV || errno == unix.EADDRNOTAVAIL || errno == unix.ENXIO
}

// deviceError is an error of the interface. One that is gone stays so: an interface of the
// same name would be another.
func deviceError(call string, errno unix.Errno) error {
	if isGone(errno) {
		return &GoneError{os.NewSyscallError(call, unix.ENODEV)}
	}
	return os.NewSyscallError(call, errno)
}

// sendAborted keeps the error for the pending Send. Without one it is about a message whose
// Send has met its deadline. Under mu.
func (c *Conn) sendAborted(err error) {
	if c.send == sendTaken {
		c.sendErr = err
	}
}

// receptionAborted counts a message of the peer's that was aborted. Under mu.
func (c *Conn) receptionAborted(code engine.Code) {
	c.counts.ReceivesAborted++
	c.counts.Errors[code]++
	c.observe(engine.Observation{Kind: engine.ReceptionAborted, Code: code})
	if c.spec.ReportAborted && c.reading {
		c.wakeReader(ResultError(code))
	}
}

// wakeReader has the pending Read, or the next one, return an error. Under mu.
func (c *Conn) wakeReader(err error) {
	c.readErr = err
	if c.reading {
		// The reader may be asleep, and there is no more event for it.
		c.readDeadline.wake()
	}
}

// observe keeps what Observer is to be told. Under mu.
func (c *Conn) observe(o engine.Observation) {
	if c.Observer == nil {
		return
	}
	o.At = c.now()
	c.observed = append(c.observed, o)
}

// tell tells Observer. Only one goroutine does at a time, so that the order is kept. Not
// under a lock.
func (c *Conn) tell() {
	if c.Observer == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.telling {
		return
	}
	c.telling = true
	for len(c.observed) > 0 {
		observed := c.observed
		c.observed = nil
		c.mu.Unlock()
		for _, o := range observed {
			c.Observer.Step(o)
		}
		c.mu.Lock()
	}
	c.telling = false
}

// wait calls the netpoller until try is done. It returns os.ErrDeadlineExceeded or
// net.ErrClosed.
func (c *Conn) wait(poll func(func(uintptr) bool) error, try func(uintptr) bool, d *pollDeadline) error {
	for {
		err := poll(try)
		switch {
		case c.closed.Load():
			return net.ErrClosed
		case err == nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !d.restore() {
				return os.ErrDeadlineExceeded
			}
		default:
			// The netpoller refuses the socket for reading while it is neither readable nor
			// writable and has an error: one that we take here, or have taken.
			done := false
			if c.raw.Control(func(fd uintptr) { done = try(fd) }) == nil && done {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// SetReadDeadline sets the deadline of Receive, Open and Await.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return c.deadlineError(c.readDeadline.Set(t))
}

// SetWriteDeadline sets the deadline of Send, SendFunctional and SendFrom.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	if c.functional != nil {
		if err := c.functional.SetWriteDeadline(t); err != nil {
			return err
		}
	}
	return c.deadlineError(c.writeDeadline.Set(t))
}

func (c *Conn) deadlineError(err error) error {
	if err != nil && c.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// Stats returns what has been counted so far: messages, bytes and errors.
func (c *Conn) Stats() engine.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// SyscallConn returns access to the socket.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.closed.Load() {
		return nil, net.ErrClosed
	}
	return c.raw, nil
}

// Close ends the connection, and all calls that wait. It does not wait for the end of a
// message that is being sent. A second Close does nothing.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.evict()
	c.owe()
	if c.functional != nil {
		c.functional.Close()
	}
	if c.listener != nil {
		c.listener.takeBack(c)
	} else {
		destroy(c.sock)
	}
	c.release()
	return nil
}

// evict makes the calls under way return, and waits until they have.
func (c *Conn) evict() {
	c.readDeadline.seal()
	c.writeDeadline.seal()
	c.readTurn.Lock()
	defer c.readTurn.Unlock()
	c.sendTurn.Lock()
	defer c.sendTurn.Unlock()
	c.drainTurn.Lock()
	defer c.drainTurn.Unlock()
	c.read.drop()
	c.stopDraining()
	c.stopRetry()
}

// reset makes the socket of a closed connection fit for another one. It reports false if
// that is not possible.
func (c *Conn) reset() bool {
	empty := false
	c.raw.Control(func(fd uintptr) { empty = idle(int(fd)) && c.discardUnread(int(fd)) })
	return empty && c.sock.SetDeadline(time.Time{}) == nil
}

// discardUnread takes out of the socket what no Read has. It reports false if there is more
// to it than messages and the error of one.
func (c *Conn) discardUnread(fd int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for errors := 0; errors < 2; {
		switch errno := c.recv.recv(fd, nil, nil); errno {
		case 0:
		case unix.EAGAIN:
			return c.link != linkGone
		default:
			c.dispatch(fd, errno)
			errors++
		}
	}
	return false
}
