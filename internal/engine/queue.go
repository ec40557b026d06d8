package engine

import "sync"

// A message is received, or being received, and not yet read to its end.
type message struct {
	info  Info
	buf   []byte   // the bytes that have arrived; those from read on are unread
	read  int      // how many bytes of buf were read
	small [64]byte // the array of buf for a short message

	complete bool
	queued   bool // it stands in the queue
	streamed bool // it has a window: readers get its bytes before it is complete
	begun    bool // a part of it has been read, or it was opened
	opened   bool // with Open
	skipped  bool // the rest is thrown away as it comes
	single   bool // it came in a Single Frame
	claimed  bool // it has room in the engine's Budget
	fail     Code // not OK: it was aborted after it was opened, or stands for a loss
}

// Info describes a message.
type Info struct {
	Size        uint32
	Functional  bool
	First, Last Time // when its first and its last frame came; Last is 0 until then
	// FrameFirst and FrameLast are the same by Config.FrameTime, where there is one.
	FrameFirst, FrameLast Time
	// Rest is how many bytes of the message are there to be read after this
	// call; of a streamed message more may follow.
	Rest int
	// End: the message ends with the bytes of this call.
	End bool
	// Why is not OK if there are no bytes. ReceiverFull says that messages were lost
	// here. Other codes say why a reception was aborted: of the message being read, or
	// with ReportAborted of the one that a read waits for. Each is returned once.
	Why Code
	// Dropped is how many frames the bus has dropped since an aborted message was started.
	Dropped uint32
}

// overhead is how many bytes a message counts in the queue beyond its own, so that very
// many short messages cannot take unlimited memory.
const overhead = 64

func (m *message) cost() int { return m.unread() + overhead }

func (m *message) unread() int { return len(m.buf) - m.read }

// maxPooled is the longest buffer that is kept for another message.
const maxPooled = 128 << 10

// messages are recycled with their buffers: a buffer grows with what arrives, not
// with what a First Frame claims, and that growing is worth keeping.
var (
	smallMessages = sync.Pool{New: func() any { return new(message) }}
	largeMessages = sync.Pool{New: func() any { return new(message) }}
)

// newMessage returns an empty message that will be of that size.
func newMessage(size uint32) *message {
	var m *message
	if size <= uint32(len(m.small)) {
		m = smallMessages.Get().(*message)
		m.buf = m.small[:0]
	} else {
		m = largeMessages.Get().(*message)
		m.buf = m.buf[:0]
	}
	*m = message{info: Info{Size: size}, buf: m.buf}
	return m
}

func (m *message) free() {
	switch {
	case m.info.Size <= uint32(len(m.small)):
		smallMessages.Put(m)
	case cap(m.buf) <= maxPooled:
		largeMessages.Put(m)
	}
}

// add appends what a frame brought.
func (m *message) add(p []byte) {
	if !m.skipped {
		m.makeRoom(len(p))
		m.buf = append(m.buf, p...)
	}
}

// makeRoom is called before n bytes more are appended. Where most of a streamed message is
// read, the rest moves to the front, so that the buffer stays below twice its window.
func (m *message) makeRoom(n int) {
	switch {
	case len(m.buf)+n <= cap(m.buf):
	case !m.streamed:
		m.grow(n)
	case m.read >= len(m.buf)/2:
		m.buf = m.buf[:copy(m.buf, m.buf[m.read:])]
		m.read = 0
	}
}

// leastBuffer is the first buffer of a message that may be of any size.
const leastBuffer = 1 << 10

// grow makes room for n bytes more of a message that is kept whole. The new buffer has half of
// the message's size, or a quarter, and so on: the least that is enough. So it doubles, and the
// last one is as large as the message. append would copy each byte four times.
func (m *message) grow(n int) {
	need := uint64(max(len(m.buf)+n, leastBuffer))
	size := uint64(m.info.Size) // int may have 32 bits
	for half := (size + 1) / 2; half >= need; half = (size + 1) / 2 {
		size = half
	}
	buf := make([]byte, max(int(size), len(m.buf)+n))
	m.buf = buf[:copy(buf, m.buf)]
}

// drop forgets what of a message has come, and has the rest thrown away.
func (m *message) drop() {
	m.skipped = true
	m.buf, m.read = m.buf[:0], 0
	if cap(m.buf) > maxPooled {
		m.buf = nil
	}
}

// keptItems is for how many messages a queue that is empty keeps its place.
const keptItems = 64

// queue holds messages, and reports of losses, in the order in which they are
// read.
type queue struct {
	items   []*message
	head    int
	level   int // the cost of what is complete
	singles int // of that, what came in Single Frames
}

// count adds to the level what has been added to a message that is complete, or with
// a negative n taken out.
func (q *queue) count(m *message, n int) {
	q.level += n
	if m.single {
		q.singles += n
	}
}

// emptied lets go of the place for very many messages when there are none.
func (q *queue) emptied() {
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > keptItems {
			q.items = nil
		}
	}
}

func (q *queue) first() *message {
	if q.head == len(q.items) {
		return nil
	}
	return q.items[q.head]
}

func (q *queue) push(m *message) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, m)
}

func (q *queue) pop() {
	m := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	if m.complete {
		q.count(m, -m.cost())
	}
	q.emptied()
	m.free()
}

// remove takes out a message that is no longer wanted, wherever it stands.
func (q *queue) remove(m *message) {
	for i := q.head; i < len(q.items); i++ {
		if q.items[i] == m {
			copy(q.items[i:], q.items[i+1:])
			q.items[len(q.items)-1] = nil
			q.items = q.items[:len(q.items)-1]
			q.emptied()
			return
		}
	}
}

// pushLoss puts a report at the end, where what is lost would have been. Reports
// in a row are one. What is lost began at that time.
func (q *queue) pushLoss(first Time, why Code, dropped uint32) {
	if q.head < len(q.items) {
		if last := q.items[len(q.items)-1]; last.info.Size == 0 && last.fail == why {
			return
		}
	}
	m := newMessage(0)
	m.info.First, m.info.Dropped = first, dropped
	m.fail = why
	q.push(m)
}
