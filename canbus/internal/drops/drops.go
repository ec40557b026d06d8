// Package drops counts what a socket had no room for.
package drops

import (
	"sync"
	"sync/atomic"
	"syscall"
)

// A Counter counts the frames or datagrams that a socket has dropped. Only Linux tells.
//
// To ask the socket is a system call, which not every read shall pay for. But a socket
// drops only while its buffer is full, and then that much is there to be read: it is
// enough to ask once for each buffer that was read, and nothing is overlooked by the
// time when the socket runs empty. (The option SO_RXQ_OVFL is not enough: it tells with
// the next frame, and there may be none.)
type Counter struct {
	raw   syscall.RawConn
	room  int // of the buffer: what was there when it was full was that much at least
	taken int // out of the buffer since the socket was asked

	// told is set after a read, and then nobody needs to ask for what that has come
	// to know.
	told atomic.Bool

	mu    sync.Mutex
	last  uint32 // the socket's own count, which begins anew after 4 billion
	total atomic.Uint64
}

// overhead is more than what a frame, or a short datagram, takes of a buffer beside its
// bytes: network cards give each a page.
const overhead = 4096

// Init is called once the buffer has its size.
func (c *Counter) Init(raw syscall.RawConn) {
	c.raw = raw
	// Half: the system gives room back late.
	c.room = bufferSize(raw) / 2
}

// Read follows a read of so many frames or datagrams, with so many bytes in all, by the
// one who reads.
func (c *Counter) Read(n, bytes int) {
	if c.taken += n*overhead + 2*bytes; c.taken >= c.room {
		c.taken = 0
		c.ask()
	}
	c.told.Store(true)
}

// Dropped returns how many there are. It is free of cost for the first who asks after a
// Read. After the socket's end it is what it was last.
func (c *Counter) Dropped() uint64 {
	if !c.told.Swap(false) {
		c.ask()
	}
	return c.total.Load()
}

// Close asks for the last time, before the socket is closed.
func (c *Counter) Close() { c.ask() }

func (c *Counter) ask() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := dropped(c.raw); ok {
		c.total.Add(uint64(n - c.last))
		c.last = n
	}
}
