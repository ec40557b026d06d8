// Package sockdrops counts what a socket has received and had no room for.
package sockdrops

import (
	"sync"
	"sync/atomic"
	"syscall"
)

// A Counter counts the frames or datagrams that a socket has dropped. Only Linux tells:
// elsewhere it counts none.
//
// Asking the socket is a system call, which would cost too much at each read. But a
// socket drops only while its buffer is full, and then a full buffer waits to be read:
// it is enough to ask once for each buffer that was read. All drops are known by the
// time the socket runs empty. (The option SO_RXQ_OVFL does not do that: it tells of
// drops with the next frame, and there may be no next frame.)
type Counter struct {
	raw   syscall.RawConn
	room  int // bytes of a full buffer, at most; the reader's
	taken int // bytes read since the socket was asked; the reader's

	// fresh: the count is right for what was read last. The first Dropped after a
	// read takes it away, and others ask the socket.
	fresh atomic.Bool

	mu    sync.Mutex // guards last, and additions to total
	last  uint32     // the socket's own count, see Of
	total atomic.Uint64
}

// overhead is more than what a frame, or a short datagram, takes of a buffer beside its
// bytes: network cards give each a page.
const overhead = 4096

// Init makes the Counter that of a socket whose buffer has its size already.
func (c *Counter) Init(raw syscall.RawConn) {
	c.raw = raw
	// Half: the system gives room back late.
	c.room = bufferSize(raw) / 2
}

// Read tells the Counter that n frames or datagrams were read, with so many bytes in
// all. The socket's reader calls it after each read.
func (c *Counter) Read(n, bytes int) {
	if c.taken += n*overhead + 2*bytes; c.taken >= c.room {
		c.taken = 0
		c.ask()
	}
	c.fresh.Store(true)
}

// Dropped returns how many there are. The first call after a Read costs nothing, others
// ask the socket. When the socket is closed the count stays as it is.
func (c *Counter) Dropped() uint64 {
	if !c.fresh.Swap(false) {
		return c.Now()
	}
	return c.total.Load()
}

// Now asks the socket, and returns how many there are.
func (c *Counter) Now() uint64 {
	c.ask()
	return c.total.Load()
}

// Close asks for the last time. Call it before the socket is closed.
func (c *Counter) Close() { c.ask() }

func (c *Counter) ask() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Control(func(fd uintptr) {
		if n, ok := Of(int(fd)); ok {
			c.total.Add(uint64(n - c.last))
			c.last = n
		}
	})
}
