package kernel

import (
	"sync"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
	"golang.org/x/sys/unix"
)

// A queue has messages that no Read has taken yet. The socket's own buffer cannot be relied
// on to hold them, and the kernel does not hold the peer up.
//
// While Reads follow each other each takes its message from the socket itself. In between a
// timer empties the socket where there may be more than one, and when no Read has come from
// one tick to the next its goroutine stays, as the drainer, and waits for messages until a
// Read needs the socket: see drainState. All of this is guarded by Conn.mu.
type queue struct {
	messages []message
	first    int // of messages that is still there
	size     int // of all, as Spec.ReadBuffer counts
	limit    int // from which on nothing is taken out of the socket

	state  drainState
	timer  *time.Timer // calls tick
	reads  int         // that have ended
	ticked int         // reads at the last tick

	waited  bool // the Read under way has found the socket empty
	backlog bool // one since the last tick has not

	written int // by Conns of this process since the socket was emptied, as messageCost counts

	drainer bool // its goroutine runs; without drainStanding it is about to end
}

// A message is one in a queue.
type message struct {
	data []byte // nil: messages were lost here
	at   time.Time
}

const (
	// drainInterval is how often the socket is emptied while Reads follow each other. In
	// twice that time 110 messages of 1 kB come at the most on a vcan, and some 50 Single
	// Frames on a bus of 1 Mbit/s; the socket has room for 180 and 440. A shorter one
	// costs more than it gains where reading and answering takes a millisecond or two.
	drainInterval = 3 * time.Millisecond

	// queueOverhead is what Spec.ReadBuffer counts for each message beside its bytes.
	queueOverhead = 64

	// defaultQueue is Spec.ReadBuffer's default.
	defaultQueue = 4 << 20
)

// messageCost is more than what a message takes of a socket's buffer: the kernel rounds up
// to a power of two, and adds some hundred bytes of its own.
func messageCost(size int) int { return 4096 + 2*size }

func (q *queue) empty() bool { return q.first == len(q.messages) }

func (q *queue) full() bool { return q.size >= q.limit }

func (q *queue) push(m message) {
	if q.first > len(q.messages)/2 {
		n := copy(q.messages, q.messages[q.first:])
		clear(q.messages[n:])
		q.messages, q.first = q.messages[:n], 0
	}
	q.messages = append(q.messages, m)
	q.size += len(m.data) + queueOverhead
}

func (q *queue) pop() message {
	m := q.messages[q.first]
	q.messages[q.first] = message{}
	q.first++
	q.size -= len(m.data) + queueOverhead
	if q.empty() {
		q.drop() // what was once needed is not kept for ever
	}
	return m
}

// drop throws the messages away and returns how many they were.
func (q *queue) drop() (messages int) {
	for _, m := range q.messages[q.first:] {
		if m.data != nil {
			messages++
		}
	}
	q.messages, q.first, q.size = nil, 0, 0
	return messages
}

// begin keeps unread messages from now on.
func (c *Conn) begin() {
	if c.sendOnly() {
		return
	}
	readers.Lock()
	readers.of[c.pair] = c
	readers.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	q := &c.queue
	if q.limit = c.spec.ReadBuffer; q.limit <= 0 {
		q.limit = defaultQueue
	}
	q.state = drainIdle
	c.armDrain()
}

// armDrain has tick called, unless it is to be called already or the drainer stands at the
// socket. Under mu.
func (c *Conn) armDrain() {
	q := &c.queue
	switch {
	case q.state != drainIdle || c.link == linkGone || c.closed.Load():
		return
	case q.timer == nil:
		q.timer = time.AfterFunc(drainInterval, c.tick)
	default:
		q.timer.Reset(drainInterval)
	}
	q.state = drainArmed
}

// stopDraining is for Close. What is in the queue is lost.
func (c *Conn) stopDraining() {
	readers.Lock()
	if readers.of[c.pair] == c {
		delete(readers.of, c.pair)
	}
	readers.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue.timer != nil {
		c.queue.timer.Stop()
	}
	c.queue.drop()
}

// tick empties the socket, or becomes the drainer.
func (c *Conn) tick() {
	defer c.tell()
	c.mu.Lock()
	empty, stand := c.ticked()
	c.mu.Unlock()
	switch {
	case empty:
		c.raw.Control(c.drainOnce)
	case stand:
		c.standAtSocket()
	}
}

// ticked leaves drainArmed. It reports whether the socket is to be emptied, or a drainer is
// missing. Under mu.
func (c *Conn) ticked() (empty, stand bool) {
	q := &c.queue
	q.state = drainIdle
	switch {
	case c.reading || q.full() || c.link == linkGone || c.closed.Load():
		// A Read takes itself what comes, and its end arms the timer.
		return false, false
	case q.reads != q.ticked:
		empty = q.backlog
		q.ticked, q.backlog = q.reads, false
		c.armDrain()
		return empty, false
	}
	q.state = drainStanding
	c.readDeadline.suspend()
	stand = !q.drainer // else the last one has not left yet, and stays
	q.drainer = true
	return false, stand
}

// standAtSocket is the drainer.
func (c *Conn) standAtSocket() {
	for c.standOnce() {
		c.tell() // not under drainTurn: Observer may call Close, which waits for that
	}
}

// standOnce waits for messages. It reports false if the drainer is to go.
func (c *Conn) standOnce() bool {
	c.drainTurn.Lock()
	defer c.drainTurn.Unlock()
	if !c.stays() {
		return false
	}
	c.wait(c.raw.Read, c.tryDrain, &c.readDeadline)
	return true
}

// stays reports whether the drainer is to go on.
func (c *Conn) stays() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue.drainer = c.queue.state == drainStanding && !c.closed.Load()
	return c.queue.drainer
}

// tryDrain empties the socket and reports whether the drainer has something else to do than
// to wait for more.
func (c *Conn) tryDrain(fd uintptr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := &c.queue
	if q.state != drainStanding || c.closed.Load() {
		return true
	}
	c.drainSocket(int(fd))
	if q.full() || c.link == linkGone {
		c.sendDrainerAway()
	}
	return q.state != drainStanding || len(c.observed) > 0
}

// sendDrainerAway has the drainer leave the socket to Reads. Under mu.
func (c *Conn) sendDrainerAway() {
	if c.queue.state == drainStanding {
		c.queue.state = drainIdle
		c.readDeadline.resume()
	}
}

// drainSocket takes messages out of the socket until there are no more or the queue is
// full. Under mu.
func (c *Conn) drainSocket(fd int) {
	q := &c.queue
	buf := newBuffer(int(c.limit))
	defer buffers.Put(buf)
	for errors := 0; !q.full() && c.link != linkGone && errors < 10; {
		switch errno := c.recv.recv(fd, *buf, nil); errno {
		case 0:
			c.countReceived()
			if c.overrun(c.recv.drops) {
				q.push(message{}) // what was lost came before this one
			}
			data := make([]byte, min(c.recv.size, len(*buf)))
			copy(data, *buf)
			q.push(message{data, c.recv.at})
		case unix.EAGAIN:
			if c.mayHaveDropped() && c.overrun(dropped(fd)) {
				q.push(message{})
			}
			return
		default:
			c.dispatch(fd, errno)
			errors++
		}
	}
}

// countReceived counts the message that was just received. Under mu.
func (c *Conn) countReceived() {
	c.linkWorks()
	c.filled += messageCost(c.recv.size)
	c.counts.MessagesReceived++
	c.counts.BytesReceived += uint64(c.recv.size)
	c.observe(engine.Observation{Kind: engine.MessageReceived, Size: uint32(c.recv.size)})
	if c.recv.at.IsZero() {
		c.recv.at = time.Now()
	}
}

// mayHaveDropped reports, when the socket has nothing more, whether its buffer was so full
// that it can have had no room for a message. Under mu.
func (c *Conn) mayHaveDropped() bool {
	full := c.filled >= c.buffer
	c.filled = 0
	return full
}

// overrun counts the messages that the socket has dropped until now, and reports whether
// there are any. drops is 0 where none were ever. Under mu.
func (c *Conn) overrun(drops uint32) bool {
	if drops == 0 || drops == c.drops {
		return false
	}
	c.counts.Errors[engine.ReceiverFull] += drops - c.drops
	c.drops = drops
	return true
}

// readers are the connections of this process that hear a pair. A Send to one of them
// empties its socket, too: where the kernel sends a message at once a goroutine that sends
// does not wait for anything, and with one processor the drainer, or a Read, could come too
// late by the 10 ms after which Go interrupts it.
var readers = struct {
	sync.RWMutex // guards of
	of           map[boundPair]*Conn
}{of: make(map[boundPair]*Conn)}

// A boundPair is what a socket is bound to.
type boundPair struct {
	bus            string // its canbus.Identity
	send, listenTo wire.Address
}

// relievePeer empties the socket of the peer that a message was sent to, if it may be half
// full and is one of this process.
func (c *Conn) relievePeer(size int) {
	readers.RLock()
	peer := readers.of[c.mirror]
	readers.RUnlock()
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
		if peer.Observer != nil {
			go peer.tell() // not under the sender's turn
		}
	}
}

// drainOnce empties the socket, whether or not a Read or the drainer waits there.
func (c *Conn) drainOnce(fd uintptr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return
	}
	c.drainSocket(int(fd))
	if c.reading && !c.queue.empty() {
		// The netpoller looks again before it tells a Read that there is something.
		c.readDeadline.wake()
	}
}
