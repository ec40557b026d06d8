//go:build linux

package isotpnet

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/mux"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// A kernelConn is a backend: a CAN_ISOTP socket. It waits on Go's netpoller.
//
// The socket has one slot for the errors of transmissions and of receptions, and
// hands what is in there to whichever call comes first. So each call that may take
// an error is made under mu, and what it takes goes by its number to whom it
// concerns.
//
// The order of locks is readTurn, sendTurn, drainTurn, mu, those of deadlines. Trace
// and Logger are called under none.
type kernelConn struct {
	sock       *socket.Conn
	raw        syscall.RawConn
	functional *kernelConn     // of Dialer.Functional; nil if there is none
	listener   *kernelListener // which gets the socket back; nil for others
	release    func()          // the pair of addresses
	pair       boundPair       // what the socket is bound to
	mirror     boundPair       // what its peer's would be

	sendOnly bool
	checks   bool  // of padding: EBADMSG may be about a reception
	limit    int64 // of a message, in bytes
	single   int   // the longest that fits in a Single Frame
	buffer   int   // that below which no message is dropped, as messageCost counts
	observer *observer
	began    time.Time

	readDeadline, writeDeadline pollDeadline
	closed                      atomic.Bool

	readTurn sync.Mutex
	read     kernelRead
	tryRead  func(fd uintptr) bool // made once, as closures are allocated

	sendTurn sync.Mutex
	write    kernelWrite
	tryWrite func(fd uintptr) bool
	retry    *time.Timer

	handler mux.Handler // set by handle

	drainTurn sync.Mutex // held by the drainer, see kernelQueue

	mu       sync.Mutex
	recv     receiver
	drops    uint32 // of the socket, as counted so far
	filled   int    // how much of the socket's buffer was in use at most since we asked
	queue    kernelQueue
	sending  bool        // a message was handed over, and its end is waited for
	givenUp  atomic.Bool // what recall has taken back last is not sent again
	sendErr  error       // how it ended, as a reader has learned
	debtless bool        // no flow control is owed to an earlier connection
	reading  bool        // a Read waits
	readErr  error       // what it is to return
	counts   engine.Stats
	observed []engine.Observation // what observer has not been told yet
	telling  bool
	report   bool // Config.ReportAborted
	gone     bool // the interface is
	told     bool // readers know that the interface is down or gone
}

var _ backend = (*kernelConn)(nil)

// retryInterval is after what time a Write asks again whether its message is
// sent, in case a kernel does not tell: before 6.3 and 6.1.25 poll did not.
const retryInterval = 250 * time.Millisecond

// newKernelConn makes a connection of a socket that is bound.
func newKernelConn(sock *socket.Conn, s *kernelSpec) (*kernelConn, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, err
	}
	const checks = KernelCheckPadLen | KernelCheckPadData
	format := s.config.engine().Format(s.tx)
	k := &kernelConn{
		sock:     sock,
		raw:      raw,
		release:  func() {},
		sendOnly: s.rx == nil,
		checks:   s.config.Kernel.Flags&checks != 0,
		limit:    kernelLimit(),
		single:   format.MaxSingle(),
		began:    time.Now(),
		report:   s.config.ReportAborted,
	}
	if k.sendOnly && s.config.Kernel.Flags&KernelBroadcast == 0 {
		k.limit = int64(k.single)
	}
	if !k.sendOnly {
		k.pair = boundPair{s.id, s.tx, *s.rx}
		k.mirror = boundPair{s.id, *s.rx, s.tx}
	}
	k.tryRead, k.tryWrite = k.tryReadOnce, k.tryWriteOnce
	k.readDeadline.set = sock.SetReadDeadline
	k.writeDeadline.set = sock.SetWriteDeadline
	raw.Control(func(fd uintptr) { k.drops = dropped(int(fd)) })
	if size, err := sock.ReadBuffer(); err == nil {
		k.buffer = max(size-messageCost(int(k.limit)), 0)
	}
	return k, nil
}

func (k *kernelConn) name() string { return backendKernel }

// whoseLimit is MessageTooLongError.Limit.
func (k *kernelConn) whoseLimit() string {
	if k.sendOnly && k.limit == int64(k.single) {
		return limitSingle
	}
	return limitKernel
}

// took sends an error that a call has taken to whom it concerns. Under mu.
func (k *kernelConn) took(fd int, errno unix.Errno) {
	switch errno {
	case 0, unix.EAGAIN, unix.EINTR:
	case unix.ETIMEDOUT:
		k.receptionAborted(CodeTimeoutCr)
	case unix.EILSEQ:
		k.receptionAborted(CodeWrongSN)
	case unix.EBADMSG:
		// A flow control that is too short or, with checks, any frame that is
		// wrongly filled up. The former ends our message.
		if k.checks && (!k.sending || !idle(fd)) {
			k.receptionAborted(CodeInvalidFrame)
			return
		}
		k.sendEnded(&ProtocolError{Code: CodeInvalidFS})
	case unix.EMSGSIZE:
		k.sendEnded(&ProtocolError{Code: CodeBufferOverflow})
	case unix.ECOMM:
		// The kernel has waited for a flow control, or for an echo.
		code := CodeTimeoutBs
		if k.sendOnly || k.write.size <= k.single {
			code = CodeTimeoutA
		}
		k.sendEnded(&ProtocolError{Code: code})
	default:
		// ENETDOWN, ENODEV: both directions.
		k.told = true
		k.gone = k.gone || isGone(errno)
		k.wakeReader(deviceError("read", errno))
		k.sendEnded(deviceError("write", errno))
	}
}

// isGone reports whether an interface is gone: what is not bound any more was bound
// to it.
func isGone(errno unix.Errno) bool {
	return errno == unix.ENODEV || errno == unix.EADDRNOTAVAIL || errno == unix.ENXIO
}

// deviceError is an error of the interface. One that is gone stays so: an interface
// of the same name would be another.
func deviceError(call string, errno unix.Errno) error {
	if isGone(errno) {
		return &busError{err: os.NewSyscallError(call, unix.ENODEV)}
	}
	return os.NewSyscallError(call, errno)
}

// sendEnded keeps the error for the Write that waits. Without one it is about a
// message whose Write has run into its deadline. Under mu.
func (k *kernelConn) sendEnded(err error) {
	if k.sending {
		k.sendErr = err
	}
}

// receptionAborted counts a message of the peer's that was given up. Under mu.
func (k *kernelConn) receptionAborted(code Code) {
	k.counts.ReceivesAborted++
	k.counts.Errors[code]++
	k.observe(engine.Observation{Kind: engine.ReceptionAborted, Code: engine.Code(code)})
	if k.report && k.reading {
		err := &ProtocolError{Code: code}
		if code == CodeInvalidFrame {
			err.Err = errPadding
		}
		k.wakeReader(err)
	}
}

// errPadding is what is wrong with an CodeInvalidFrame: only padding is checked.
var errPadding = errors.New("it is probably padded otherwise than Config.Kernel.RxPadding says, or not to 8 bytes (KernelCheckPadData, KernelCheckPadLen)")

// wakeReader has a Read return an error. Under mu.
func (k *kernelConn) wakeReader(err error) {
	k.readErr = err
	if k.reading {
		// The reader may be asleep, and there is no more event for it.
		k.readDeadline.wake()
	}
}

// observe keeps what the observer is to be told. Under mu.
func (k *kernelConn) observe(o engine.Observation) {
	if k.observer == nil {
		return
	}
	o.At = engine.Time(time.Since(k.began))
	k.observed = append(k.observed, o)
}

// tell tells the observer. Only one goroutine does at a time, so that the order is
// kept. Not under a lock.
func (k *kernelConn) tell() {
	if k.observer == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.telling {
		return
	}
	k.telling = true
	for len(k.observed) > 0 {
		observed := k.observed
		k.observed = nil
		k.mu.Unlock()
		for _, o := range observed {
			k.observer.Step(o)
		}
		k.mu.Lock()
	}
	k.telling = false
}

// time is an engine's time on the wall clock.
func (k *kernelConn) time(t engine.Time) time.Time { return k.began.Add(time.Duration(t)) }

// wait calls the netpoller until try is done. It returns os.ErrDeadlineExceeded
// or net.ErrClosed.
func (k *kernelConn) wait(poll func(func(uintptr) bool) error, try func(uintptr) bool, d *pollDeadline) error {
	for {
		err := poll(try)
		switch {
		case k.closed.Load():
			return net.ErrClosed
		case err == nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !d.restore() {
				return os.ErrDeadlineExceeded
			}
		default:
			// The netpoller will not have the socket for reading while it is
			// neither readable nor writable and has an error: an error that we
			// take here, or have taken.
			done := false
			if k.raw.Control(func(fd uintptr) { done = try(fd) }) == nil && done {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func (k *kernelConn) setReadDeadline(t time.Time) error {
	if k.closed.Load() {
		return net.ErrClosed
	}
	return k.deadlineError(k.readDeadline.Set(t))
}

func (k *kernelConn) setWriteDeadline(t time.Time) error {
	if k.closed.Load() {
		return net.ErrClosed
	}
	if k.functional != nil {
		if err := k.functional.setWriteDeadline(t); err != nil {
			return err
		}
	}
	return k.deadlineError(k.writeDeadline.Set(t))
}

func (k *kernelConn) deadlineError(err error) error {
	if err != nil && k.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// A pollDeadline is a deadline of the netpoller that can also be used to wake
// who waits there: the netpoller then says that it is exceeded, and who hears that
// asks restore.
type pollDeadline struct {
	set func(time.Time) error

	mu        sync.Mutex
	at        time.Time
	suspended bool // the netpoller has none
	waking    bool // who waits has not heard of wake yet
	sealed    bool
}

var longAgo = time.Unix(1, 0)

// Set sets the deadline.
func (d *pollDeadline) Set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sealed {
		return net.ErrClosed
	}
	d.at = t
	if !t.IsZero() {
		// What is right by the clocks now stays so if someone sets the wall clock.
		now := time.Now()
		d.at = now.Add(t.Sub(now))
	}
	if d.suspended || d.waking {
		return nil
	}
	return d.set(t)
}

// exceeded reports whether the deadline has come.
func (d *pollDeadline) exceeded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sealed || !d.at.IsZero() && time.Until(d.at) <= 0
}

// restore is for a call that the netpoller has told that the deadline is exceeded. It
// reports whether it is not, and the call is to wait again.
func (d *pollDeadline) restore() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waking = false
	switch {
	case d.sealed:
		return false
	case d.suspended:
		d.set(time.Time{})
		return true
	case !d.at.IsZero() && time.Until(d.at) <= 0:
		return false
	}
	d.set(d.at)
	return true
}

// seal makes all calls fail from now on.
func (d *pollDeadline) seal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sealed = true
	d.set(longAgo)
}

// wake wakes who waits, or the next one.
func (d *pollDeadline) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.sealed {
		d.waking = true
		d.set(longAgo)
	}
}

// suspend has calls wait without the deadline.
func (d *pollDeadline) suspend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.suspended, d.waking = true, false
	if !d.sealed {
		d.set(time.Time{})
	}
}

// resume ends that, and wakes who waits.
func (d *pollDeadline) resume() {
	d.mu.Lock()
	d.suspended = false
	d.mu.Unlock()
	d.wake()
}

func (k *kernelConn) stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return newStats(k.counts)
}

func (k *kernelConn) syscallConn() (syscall.RawConn, error) {
	if k.closed.Load() {
		return nil, net.ErrClosed
	}
	return k.raw, nil
}

func (k *kernelConn) close() error {
	if k.closed.Swap(true) {
		return nil
	}
	k.evict()
	k.owe()
	if k.functional != nil {
		k.functional.close()
	}
	if k.listener != nil {
		k.listener.takeBack(k)
	} else {
		destroy(k.sock)
	}
	k.release()
	return nil
}

// evict makes the calls under way return, and waits until they have.
func (k *kernelConn) evict() {
	k.readDeadline.seal()
	k.writeDeadline.seal()
	k.readTurn.Lock()
	defer k.readTurn.Unlock()
	k.sendTurn.Lock()
	defer k.sendTurn.Unlock()
	k.drainTurn.Lock()
	defer k.drainTurn.Unlock()
	k.read.drop()
	k.stopDraining()
	if k.retry != nil {
		k.retry.Stop()
	}
}

// reset makes the socket of a closed connection fit for another one. It reports
// false if that is not possible.
func (k *kernelConn) reset() bool {
	empty := false
	k.raw.Control(func(fd uintptr) { empty = idle(int(fd)) && k.drain(int(fd)) })
	return empty && k.sock.SetDeadline(time.Time{}) == nil
}

// drain takes out what nobody will read. It reports false if there is more to it
// than messages and the error of one.
func (k *kernelConn) drain(fd int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for errors := 0; errors < 2; {
		switch errno := k.recv.recv(fd, nil, nil); errno {
		case 0:
		case unix.EAGAIN:
			return !k.gone
		default:
			k.took(fd, errno)
			errors++
		}
	}
	return false
}

func (k *kernelConn) sendFrom(r io.Reader, size int64) error {
	if size > k.limit {
		return &MessageTooLongError{size, k.limit, k.whoseLimit()}
	}
	// A socket takes whole messages only.
	p := make([]byte, size)
	if _, err := io.ReadFull(r, p); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the message is not complete
		}
		return &ProtocolError{Code: CodeSourceFailed, Err: err}
	}
	_, err := k.send(p, len(p), false)
	return err
}
