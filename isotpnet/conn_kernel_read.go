//go:build linux

package isotpnet

import (
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A kernelRead is what a Read hands to tryRead, and gets from it, and what is
// left for the next. Guarded by readTurn.
type kernelRead struct {
	p   []byte
	n   int // of it were read
	err error

	info   MessageInfo // of the message being read
	opened bool        // by NextReader
	rest   []byte      // of the message being read, in buf
	buf    *[]byte     // from kernelBuffers
}

// kernelBuffers are for messages longer than what a Read has room for.
var kernelBuffers sync.Pool

func kernelBuffer(size int) *[]byte {
	if b, ok := kernelBuffers.Get().(*[]byte); ok && len(*b) >= size {
		return b
	}
	b := make([]byte, size)
	return &b
}

// drop gives up what is left of a message.
func (r *kernelRead) drop() {
	if r.buf != nil {
		kernelBuffers.Put(r.buf)
	}
	r.buf, r.rest, r.opened = nil, nil, false
}

func (k *kernelConn) receive(p []byte, _ bool) (n int, info MessageInfo, end bool, err error) {
	if k.sendOnly {
		return 0, MessageInfo{}, false, ErrSendOnly
	}
	defer k.tell()
	k.readTurn.Lock()
	defer k.readTurn.Unlock()
	if err := k.next(p); err != nil {
		return 0, MessageInfo{}, false, err
	}
	r := &k.read
	if n = r.n; n == 0 {
		n = copy(p, r.rest)
		r.rest = r.rest[n:]
	}
	info = r.info
	if info.Rest = len(r.rest); info.Rest == 0 {
		r.drop()
	}
	return n, info, info.Rest == 0, nil
}

func (k *kernelConn) open() (MessageInfo, error) {
	if k.sendOnly {
		return MessageInfo{}, ErrSendOnly
	}
	defer k.tell()
	k.readTurn.Lock()
	defer k.readTurn.Unlock()
	r := &k.read
	if r.opened {
		r.drop()
	}
	if err := k.next(nil); err != nil {
		return MessageInfo{}, err
	}
	r.opened = true
	info := r.info
	info.Rest = len(r.rest)
	return info, nil
}

// next waits until there is a message to read: the rest of the last one, or a new
// one, whose first bytes are then in p and the others in the rest.
func (k *kernelConn) next(p []byte) error {
	r := &k.read
	r.p, r.n, r.err = p, 0, nil
	ready, err := k.beginRead()
	if err == nil && !ready {
		err = k.wait(k.raw.Read, k.tryRead, &k.readDeadline)
	}
	k.endRead()
	r.p = nil
	if err != nil {
		return err
	}
	return r.err
}

// beginRead reports whether there is something to return already.
func (k *kernelConn) beginRead() (ready bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reading, k.queue.waited = true, false
	if !k.hasRead() {
		k.sendDrainerAway()
		return false, nil
	}
	switch {
	case k.closed.Load():
		return false, net.ErrClosed
	case k.readDeadline.exceeded():
		return false, os.ErrDeadlineExceeded
	}
	k.takeRead()
	return true, nil
}

func (k *kernelConn) endRead() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reading = false
	k.queue.reads++
	k.armDrain()
}

// hasRead reports whether there is something to return without the socket. Under mu.
func (k *kernelConn) hasRead() bool {
	return k.readErr != nil || len(k.read.rest) > 0 || !k.queue.empty()
}

// takeRead takes it. Under mu.
func (k *kernelConn) takeRead() {
	r := &k.read
	switch {
	case k.readErr != nil:
		r.err, k.readErr = k.readErr, nil
	case len(r.rest) > 0:
	default:
		m := k.queue.pop()
		if m.data == nil {
			r.err = ErrOverrun
			return
		}
		r.n = copy(r.p, m.data)
		r.rest = m.data[r.n:]
		r.info = k.messageInfo(len(m.data), m.at)
	}
}

func (k *kernelConn) messageInfo(size int, at time.Time) MessageInfo {
	info := MessageInfo{Size: int64(size), Last: at}
	if size <= k.single {
		info.First = at
	}
	return info
}

// prefetch waits for a message and keeps it. What else a Read would return, the
// first one will.
func (k *kernelConn) prefetch() error {
	defer k.tell()
	k.readTurn.Lock()
	defer k.readTurn.Unlock()
	var overrun error
	for {
		err := k.next(nil)
		if err == ErrOverrun {
			overrun = err
			continue
		}
		if _, ok := err.(*ProtocolError); ok {
			continue // a reception given up makes no connection
		}
		k.mu.Lock()
		if err == nil && k.readErr == nil {
			k.readErr = overrun
		}
		k.mu.Unlock()
		return err
	}
}

// tryReadOnce reports whether there is something to return.
func (k *kernelConn) tryReadOnce(fd uintptr) bool {
	r := &k.read
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hasRead() {
		k.takeRead()
		return true
	}
	var more []byte
	if room := int(k.limit) - len(r.p); room > 0 {
		r.buf = kernelBuffer(room)
		more = *r.buf
	}
	for {
		switch errno := k.recv.recv(int(fd), r.p, more); errno {
		case 0:
			k.queue.backlog = k.queue.backlog || !k.queue.waited
			k.received(more)
			return true
		case unix.EAGAIN:
			r.drop()
			k.queue.waited = true
			if k.mayHaveDropped() && k.overrun(dropped(int(fd))) {
				r.err = ErrOverrun
				return true
			}
			return false
		default:
			k.took(int(fd), errno)
		}
		if k.readErr != nil {
			k.takeRead()
			r.drop()
			return true
		}
	}
}

// received keeps a message that was read into r.p and more. Under mu.
func (k *kernelConn) received(more []byte) {
	r := &k.read
	k.countReceived()
	size := min(k.recv.size, len(r.p)+len(more))
	r.n = min(size, len(r.p))
	r.rest = more[:size-r.n]
	r.info = k.messageInfo(k.recv.size, k.recv.at)
	if k.overrun(k.recv.drops) {
		// What was lost came before this message, which has to wait.
		k.queue.push(kernelMessage{append(append([]byte{}, r.p[:r.n]...), r.rest...), k.recv.at})
		r.drop()
		r.n, r.err = 0, ErrOverrun
	}
}

// messageCost is more than what a message takes of a socket's buffer: the kernel
// rounds up to a power of two, and adds some hundred bytes of its own.
func messageCost(size int) int { return 4096 + 2*size }
