//go:build linux

package isotpnet

import (
	"sync"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
	"golang.org/x/sys/unix"
)

// A kernelQueue has messages that nobody reads yet. The socket's own buffer cannot be
// relied on to hold them, and the kernel does not hold the peer up.
//
// While Reads follow each other each takes its message from the socket itself. In
// between a timer empties the socket where there may be more than one, and when no Read
// has come from one tick to the next its goroutine stays, as the drainer, and waits for
// messages until a Read needs the socket. All of this is guarded by kernelConn.mu.
type kernelQueue struct {
	messages []kernelMessage
	first    int // of messages that is still there
	size     int // of all, as Config.ReadBuffer counts
	limit    int // from which on nothing is taken out of the socket; 0: nothing ever is

	timer  *time.Timer // calls tick
	armed  bool
	reads  int // that have ended
	ticked int // reads at the last tick

	waited  bool // the Read under way has found the socket empty
	backlog bool // one since the last tick has not

	written int // to it by a Conn of this process since the socket was empty, as messageCost counts

	drainer  bool // there is one
	standing bool // and it has the socket, not the Reads
}

// A kernelMessage is one in a kernelQueue.
type kernelMessage struct {
	data []byte // nil: messages were lost here
	at   time.Time
}

const (
	// drainInterval is how often the socket is emptied while Reads follow each other. In
	// twice that time 110 messages of 1 kB come at the most on a vcan, and some 50 Single
	// Frames on a bus of 1 Mbit/s; the socket has room for 180 and 440. A shorter one
	// costs more than it gains where reading and answering takes a millisecond or two.
	drainInterval = 3 * time.Millisecond

	// queueOverhead is what Config.ReadBuffer counts for each message beside its bytes.
	queueOverhead = 64

	// defaultKernelQueue is Config.ReadBuffer's default.
	defaultKernelQueue = 4 << 20
)

func (q *kernelQueue) empty() bool { return q.first == len(q.messages) }

func (q *kernelQueue) full() bool { return q.size >= q.limit }

func (q *kernelQueue) push(m kernelMessage) {
	if q.first > len(q.messages)/2 {
		n := copy(q.messages, q.messages[q.first:])
		clear(q.messages[n:])
		q.messages, q.first = q.messages[:n], 0
	}
	q.messages = append(q.messages, m)
	q.size += len(m.data) + queueOverhead
}

func (q *kernelQueue) pop() kernelMessage {
	m := q.messages[q.first]
	q.messages[q.first] = kernelMessage{}
	q.first++
	q.size -= len(m.data) + queueOverhead
	if q.empty() {
		q.drop() // what was once needed is not kept for ever
	}
	return m
}

// drop throws the messages away and returns how many they were.
func (q *kernelQueue) drop() (messages int) {
	for _, m := range q.messages[q.first:] {
		if m.data != nil {
			messages++
		}
	}
	q.messages, q.first, q.size = nil, 0, 0
	return messages
}

// startDraining has unread messages kept from now on.
func (k *kernelConn) startDraining(c *Config) {
	if k.sendOnly {
		return
	}
	kernelReaders.Lock()
	kernelReaders.of[k.pair] = k
	kernelReaders.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue.limit = orDefault(c.ReadBuffer, defaultKernelQueue)
	k.armDrain()
}

// armDrain has tick called, unless the drainer stands. Under mu.
func (k *kernelConn) armDrain() {
	q := &k.queue
	switch {
	case q.armed || q.standing || q.limit == 0 || k.gone || k.closed.Load():
		return
	case q.timer == nil:
		q.timer = time.AfterFunc(drainInterval, k.tick)
	default:
		q.timer.Reset(drainInterval)
	}
	q.armed = true
}

// stopDraining is for Close. What is in the queue is lost.
func (k *kernelConn) stopDraining() {
	kernelReaders.Lock()
	if kernelReaders.of[k.pair] == k {
		delete(kernelReaders.of, k.pair)
	}
	kernelReaders.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.queue.timer != nil {
		k.queue.timer.Stop()
	}
	k.queue.drop()
}

// tick empties the socket, or becomes the drainer.
func (k *kernelConn) tick() {
	defer k.tell()
	k.mu.Lock()
	q := &k.queue
	q.armed = false
	if k.reading || q.full() || k.gone || k.closed.Load() {
		// A Read takes itself what comes, and its end arms the timer.
		k.mu.Unlock()
		return
	}
	if q.reads != q.ticked {
		backlog := q.backlog
		q.ticked, q.backlog = q.reads, false
		k.armDrain()
		k.mu.Unlock()
		if backlog {
			k.raw.Control(k.drainOnce)
		}
		return
	}
	q.standing = true
	k.readDeadline.suspend()
	there := q.drainer // sent away, but has not left yet
	q.drainer = true
	k.mu.Unlock()
	if !there {
		k.standAtSocket()
	}
}

// standAtSocket is the drainer.
func (k *kernelConn) standAtSocket() {
	k.drainTurn.Lock()
	defer k.drainTurn.Unlock()
	for k.stays() {
		k.wait(k.raw.Read, k.tryDrain, &k.readDeadline)
		k.tell()
	}
}

// stays reports whether the drainer is to go on.
func (k *kernelConn) stays() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue.drainer = k.queue.standing && !k.closed.Load()
	return k.queue.drainer
}

// tryDrain empties the socket and reports whether the drainer has something else to do
// than to wait for more.
func (k *kernelConn) tryDrain(fd uintptr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	q := &k.queue
	if !q.standing || k.closed.Load() {
		return true
	}
	k.drainSocket(int(fd))
	if q.full() || k.gone {
		k.sendDrainerAway()
	}
	return !q.standing || len(k.observed) > 0
}

// sendDrainerAway has the drainer leave the socket to Reads. Under mu.
func (k *kernelConn) sendDrainerAway() {
	if k.queue.standing {
		k.queue.standing = false
		k.readDeadline.resume()
	}
}

// drainSocket takes messages out of the socket until there are no more or the queue
// is full. Under mu.
func (k *kernelConn) drainSocket(fd int) {
	q := &k.queue
	buf := kernelBuffer(int(k.limit))
	defer kernelBuffers.Put(buf)
	for errors := 0; !q.full() && !k.gone && errors < 10; {
		switch errno := k.recv.recv(fd, *buf, nil); errno {
		case 0:
			k.countReceived()
			if k.overrun(k.recv.drops) {
				q.push(kernelMessage{}) // what was lost came before this one
			}
			data := make([]byte, min(k.recv.size, len(*buf)))
			copy(data, *buf)
			q.push(kernelMessage{data, k.recv.at})
		case unix.EAGAIN:
			if k.mayHaveDropped() && k.overrun(dropped(fd)) {
				q.push(kernelMessage{})
			}
			return
		default:
			k.took(fd, errno)
			errors++
		}
	}
}

// countReceived counts the message that was just received. Under mu.
func (k *kernelConn) countReceived() {
	k.told = false
	k.filled += messageCost(k.recv.size)
	k.counts.MessagesReceived++
	k.counts.BytesReceived += uint64(k.recv.size)
	k.observe(engine.Observation{Kind: engine.MessageReceived, Size: uint32(k.recv.size)})
	if k.recv.at.IsZero() {
		k.recv.at = time.Now()
	}
}

// mayHaveDropped reports, when the socket has nothing more, whether its buffer was so
// full that it can have had no room for a message. Under mu.
func (k *kernelConn) mayHaveDropped() bool {
	full := k.filled >= k.buffer
	k.filled = 0
	return full
}

// overrun counts the messages that the socket has dropped until now, and reports
// whether there are any. drops is 0 where none were ever. Under mu.
func (k *kernelConn) overrun(drops uint32) bool {
	if drops == 0 || drops == k.drops {
		return false
	}
	k.counts.Errors[CodeReceiverFull] += drops - k.drops
	k.drops = drops
	return true
}

// kernelReaders are the connections of this process that hear a pair. Who writes to one
// of them empties its socket, too: where the kernel sends a message at once a goroutine
// that writes does not wait for anything, and with one processor the drainer, or a
// Read, could come too late by the 10 ms after which Go interrupts it.
var kernelReaders = struct {
	sync.RWMutex
	of map[boundPair]*kernelConn
}{of: make(map[boundPair]*kernelConn)}

// A boundPair is what a socket is bound to.
type boundPair struct {
	bus            string // its identity, see canbus.Identity
	send, listenTo wire.Address
}

// wrote empties the socket of the peer that we have sent a message to, if it may be half
// full and is one of this process.
func (k *kernelConn) wrote(size int) {
	kernelReaders.RLock()
	peer := kernelReaders.of[k.mirror]
	kernelReaders.RUnlock()
	if peer == nil {
		return
	}
	peer.mu.Lock()
	q := &peer.queue
	q.written += messageCost(size)
	full := q.written > peer.buffer/2
	if full {
		q.written = 0
	}
	peer.mu.Unlock()
	if full {
		peer.raw.Control(peer.drainOnce)
		if peer.observer != nil {
			go peer.tell() // not under the writer's turn
		}
	}
}

// drainOnce empties the socket, whoever else is there.
func (k *kernelConn) drainOnce(fd uintptr) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed.Load() {
		return
	}
	k.drainSocket(int(fd))
	if k.reading && !k.queue.empty() {
		// The netpoller looks again before it tells a Read that there is something.
		k.readDeadline.wake()
	}
}
