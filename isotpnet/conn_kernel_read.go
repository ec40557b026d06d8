//go:build linux

package isotpnet

import (
	"sync"
	"time"

	"example.com/isotp/internal/engine"
	"golang.org/x/sys/unix"
)

// A kernelRead is what a Read hands to tryRead, and gets from it, and what is
// left for the next. Guarded by readTurn.
type kernelRead struct {
	p    []byte
	n    int // of it were read from the socket
	err  error
	recv receiver

	info   MessageInfo // of the message being read
	opened bool        // by NextReader
	rest   []byte      // of the message being read, in buf
	buf    *[]byte     // from kernelBuffers

	drops  uint32 // of the socket, as told so far
	filled int    // how much of the socket's buffer was in use at most since we asked
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
	k.setReading(true)
	err := k.wait(k.raw.Read, k.tryRead, &k.readDeadline)
	k.setReading(false)
	r.p = nil
	if err != nil {
		return err
	}
	return r.err
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

func (k *kernelConn) setReading(on bool) {
	k.mu.Lock()
	k.reading = on
	k.mu.Unlock()
}

// tryReadOnce reports whether there is something to return.
func (k *kernelConn) tryReadOnce(fd uintptr) bool {
	r := &k.read
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.readErr != nil {
		r.err, k.readErr = k.readErr, nil
		return true
	}
	if len(r.rest) > 0 {
		return true
	}
	var more []byte
	if room := int(k.limit) - len(r.p); room > 0 {
		r.buf = kernelBuffer(room)
		more = *r.buf
	}
	for {
		switch errno := r.recv.recv(int(fd), r.p, more); errno {
		case 0:
			k.received(more)
			return true
		case unix.EAGAIN:
			r.drop()
			if r.filled < k.buffer {
				r.filled = 0
				return false // nothing can have been dropped
			}
			r.filled = 0
			return k.overrun(dropped(int(fd)))
		default:
			k.took(int(fd), errno)
		}
		if k.readErr != nil {
			r.err, k.readErr = k.readErr, nil
			r.drop()
			return true
		}
	}
}

// received keeps a message that was read into r.p and more. Under mu.
func (k *kernelConn) received(more []byte) {
	r := &k.read
	size := min(r.recv.size, len(r.p)+len(more))
	r.n = min(size, len(r.p))
	r.rest = more[:size-r.n]
	r.info = MessageInfo{Size: int64(r.recv.size), Last: r.recv.at}
	if r.info.Last.IsZero() {
		r.info.Last = time.Now()
	}
	if r.recv.size <= k.single {
		r.info.First = r.info.Last
	}
	k.told = false
	r.filled += messageCost(r.recv.size)
	k.counts.MessagesReceived++
	k.counts.BytesReceived += uint64(r.recv.size)
	k.observe(engine.Observation{Kind: engine.MessageReceived, Size: uint32(r.recv.size)})
	if r.recv.drops != 0 && k.overrun(r.recv.drops) {
		// What was lost came before this message, which has to wait.
		whole := append(append([]byte(nil), r.p[:r.n]...), r.rest...)
		r.drop()
		r.n, r.buf, r.rest = 0, &whole, whole
	}
}

// messageCost is more than what a message takes of a socket's buffer: the kernel
// rounds up to a power of two, and adds some hundred bytes of its own.
func messageCost(size int) int { return 4096 + 2*size }

// overrun has ErrOverrun returned if messages were lost. Under mu.
func (k *kernelConn) overrun(drops uint32) bool {
	r := &k.read
	if drops == r.drops {
		return false
	}
	k.counts.Errors[ReceiverFull] += drops - r.drops
	r.drops = drops
	r.err = ErrOverrun
	return true
}
