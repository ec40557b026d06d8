package socketcand

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/echo"
)

const (
	// busPause is how long to wait after a temporary error of a bus.
	busPause = time.Millisecond
	// sendTime is how long a frame may take to be sent before its client is told that it
	// was not.
	sendTime = 10 * time.Second
	// maxOnWay is how many frames may wait for their echo, where the bus does not say
	// how long its queue is.
	maxOnWay = 64
	// flushTime is how long the end may take of a bus that has frames to send.
	flushTime = 5 * time.Second
	// turnTime is how long a call that writes may take at the end.
	turnTime = time.Second
	// maxFences is how many < echo >s a client may have in the air.
	maxFences = 1024
	// holdTime is how long a client may hold up a bus that waits while another one is
	// ready for more.
	holdTime = 5 * time.Second
)

// A shared bus is one that all clients who have opened it are on. Its goroutine reads
// the bus, always; the clients' goroutines write to it in turn.
//
// The locks' order is Server.mu, shared.mu, client.mu.
type shared struct {
	server *Server
	name   string // the clients'

	// What follows is set when opened is closed.
	opened chan struct{}
	failed error // it cannot be opened
	bus    canbus.Bus
	props  canbus.Properties
	try    canbus.TryWriter   // nil if the bus is none
	drops  canbus.DropCounter // nil if the bus is none

	turn chan struct{}   // full while somebody writes
	one  [1]canbus.Frame // what is being written; of the one whose turn it is
	over chan struct{}   // closed when it is
	gone chan struct{}   // closed when the bus is, after that

	mu      sync.Mutex
	changed sync.Cond // of onWay, of the clients, and when it is over
	clients map[*client]struct{}
	onWay   fifo[wayfarer] // written frames whose echoes have not come, where the bus echoes
	expiry  *time.Timer    // of the first one on the way; nil: none
	text    []byte
	last    int64  // the newest time stamp
	missed  uint64 // of drops, told
	why     error  // it is over
}

// A wayfarer is a frame that is not on the wire yet.
type wayfarer struct {
	frame  canbus.Frame
	client *client
	number uint64 // of the client's frames
	until  time.Time
}

func (x *wayfarer) sent() *canbus.Frame { return &x.frame }

func newShared(s *Server, name string) *shared {
	b := &shared{
		server:  s,
		name:    name,
		opened:  make(chan struct{}),
		turn:    make(chan struct{}, 1),
		over:    make(chan struct{}),
		gone:    make(chan struct{}),
		clients: make(map[*client]struct{}),
	}
	b.changed.L = &b.mu
	return b
}

// begin follows the attempt to open it.
func (b *shared) begin(bus canbus.Bus, err error) {
	defer close(b.opened)
	if err != nil {
		b.failed = err
		b.server.forget(b)
		return
	}
	b.bus = bus
	b.props = canbus.PropertiesOf(bus)
	b.try, _ = bus.(canbus.TryWriter)
	b.drops, _ = canbus.As[canbus.DropCounter](bus)
	b.server.readers.Go(b.read)
}

// err returns why it is over; nil as long as it is not.
func (b *shared) err() error {
	select {
	case <-b.over:
		return b.why
	default:
		return nil
	}
}

// join has a client take part: to send, not yet to hear. It returns false when the bus
// is over.
func (b *shared) join(c *client) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err() != nil {
		return false
	}
	b.clients[c] = struct{}{}
	return true
}

// listen has a client hear what the others send. The answer to its command comes first.
func (b *shared) listen(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.say("< ok >")
	c.raw = true
	if b.props.Waits {
		c.onRoom(b.wake)
		b.changed.Broadcast()
	}
}

func (b *shared) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed.Broadcast()
}

// leave follows a client's end. A bus that waits ends with its last client.
func (b *shared) leave(c *client) {
	b.mu.Lock()
	delete(b.clients, c)
	b.changed.Broadcast()
	last := b.props.Waits && len(b.clients) == 0 && b.end(net.ErrClosed)
	b.mu.Unlock()
	if last {
		b.release()
	}
}

// read is the goroutine that reads the bus.
func (b *shared) read() {
	frames := make([]canbus.Frame, batchLen)
	for {
		if b.props.Waits {
			b.awaitClients()
		}
		n, err := b.bus.ReadFrames(frames)
		b.mu.Lock()
		for i := range frames[:n] {
			b.received(&frames[i])
		}
		b.tellDrops()
		b.mu.Unlock()
		switch {
		case err != nil && errors.Is(err, canbus.ErrTemporary):
			time.Sleep(busPause)
		case err != nil:
			b.lost(err)
			return
		}
	}
}

// awaitClients waits until somebody listens, and all who do have room; for one who has
// none, if others have, no longer than holdTime.
func (b *shared) awaitClients() {
	b.mu.Lock()
	defer b.mu.Unlock()
	patience := true
	var timer *time.Timer
	for b.err() == nil {
		ready, full := 0, 0
		for c := range b.clients {
			switch {
			case !c.raw:
			case c.hasRoom():
				c.late = false
				ready++
			case !c.late && patience:
				full++
			default:
				c.late = true // it loses what comes until it has room again
			}
		}
		if ready > 0 && full == 0 {
			break
		}
		if ready > 0 && timer == nil {
			timer = time.AfterFunc(holdTime, func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				patience = false
				b.changed.Broadcast()
			})
		}
		b.changed.Wait()
	}
	if timer != nil {
		timer.Stop()
	}
}

// received follows a frame that the bus has brought. Under mu.
func (b *shared) received(f *canbus.Frame) {
	if !f.Has(canbus.Echo) {
		b.pass(f, nil)
		return
	}
	from, known := b.echoed(f)
	if known && !f.Has(canbus.Refused) {
		b.pass(f, from)
	}
}

// pass tells all who listen of a frame, but for the one who has sent it. Under mu.
func (b *shared) pass(f *canbus.Frame, from *client) {
	if f.Has(canbus.Remote) {
		return // raw mode has no words for them
	}
	stamped := *f
	if stamped.Timestamp == 0 {
		// No two frames are on a wire at once, and there are clients (scapy) that sort
		// by the time.
		stamped.Timestamp = max(time.Now().UnixNano(), b.last+int64(time.Microsecond))
	}
	b.last = stamped.Timestamp
	// python-can up to 4.1 loses a character between two elements.
	b.text = appendFrame(append(b.text[:0], '\n'), &stamped)
	for c := range b.clients {
		if c.raw && c != from {
			c.tell(b.text)
		}
	}
}

// tellDrops tells all who listen of frames that the bus has dropped. Under mu.
func (b *shared) tellDrops() {
	if b.drops == nil {
		return
	}
	dropped := b.drops.Dropped()
	if dropped == b.missed {
		return
	}
	for c := range b.clients {
		if c.raw {
			c.miss(dropped - b.missed)
		}
	}
	b.missed = dropped
}

// write sends a client's frame, and waits for room, though not for ever: the client is
// held up by TCP.
func (b *shared) write(c *client, f canbus.Frame) error {
	select {
	case b.turn <- struct{}{}:
	case <-b.over:
		return b.why
	}
	defer func() { <-b.turn }()
	b.one[0] = f
	if b.props.Echo {
		if err := b.depart(c, f); err != nil {
			return err
		}
	}
	end := time.Now().Add(sendTime)
	for {
		done, err := b.tryWrite(c)
		if !done && err == nil {
			done, err = b.waitWrite(c)
		}
		switch {
		case done:
			return nil
		case err != nil && (!errors.Is(err, canbus.ErrTemporary) || time.Now().After(end)):
			if b.props.Echo {
				b.stay(c)
			}
			return err
		}
		select {
		case <-time.After(busPause):
		case <-b.over:
			return b.why
		}
	}
}

// tryWrite sends a frame if that can be done at once, and has the others hear of it
// before they hear of an answer.
func (b *shared) tryWrite(c *client) (done bool, err error) {
	if b.try == nil {
		return false, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.try.TryWriteFrames(b.one[:])
	if n == 1 && !b.props.Echo {
		b.pass(&b.one[0], c)
	}
	return n == 1, err
}

func (b *shared) waitWrite(c *client) (done bool, err error) {
	n, err := b.bus.WriteFrames(b.one[:])
	if n == 1 && !b.props.Echo {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pass(&b.one[0], c)
	}
	return n == 1, err
}

// depart notes a frame that is about to be written: its echo may be quicker than the
// return from the call. It waits while there are too many.
func (b *shared) depart(c *client, f canbus.Frame) error {
	limit := maxOnWay
	if q := b.props.QueueLen; q > 0 {
		limit = min(q, batchLen)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.onWay.len() >= limit && b.err() == nil {
		b.changed.Wait()
	}
	if err := b.err(); err != nil {
		return err
	}
	c.sent++
	b.onWay.push(wayfarer{f, c, c.sent, time.Now().Add(sendTime)})
	if b.expiry == nil {
		b.expiry = time.AfterFunc(sendTime, b.expire)
	}
	return nil
}

// stay takes back the frame that departed last, as the bus has not taken it.
func (b *shared) stay(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	on := b.onWay.waiting()
	if i := len(on) - 1; i >= 0 && on[i].client == c {
		b.arrive(func(x *wayfarer) bool { return x == &on[i] })
	}
}

// echoed follows the echo of a frame: it is on the wire, and so are those of the same
// identifier before it, whose echoes were lost; or it is refused. It returns whose frame
// it was. Under mu.
func (b *shared) echoed(f *canbus.Frame) (from *client, known bool) {
	on := b.onWay.waiting()
	found := echo.Find(f, on, (*wayfarer).sent, func(*wayfarer) bool { return false })
	if found < 0 {
		return nil, false
	}
	from = on[found].client
	this, refused := &on[found], f.Has(canbus.Refused)
	if refused {
		from.notSent("the bus has refused the frame")
	}
	last := found
	b.arrive(func(x *wayfarer) bool {
		before := !refused && last > 0 && echo.Proves(f, &x.frame)
		last--
		return x == this || before
	})
	return from, true
}

// arrive forgets frames that are no longer on the way, and answers the < echo >s that
// have waited for them. Under mu.
func (b *shared) arrive(has func(*wayfarer) bool) {
	on := b.onWay.waiting()
	left := 0
	for i := range on {
		if !has(&on[i]) {
			on[left] = on[i]
			left++
		}
	}
	b.onWay.truncate(left)
	for c := range b.clients {
		b.answerFences(c)
	}
	b.changed.Broadcast()
}

// fence answers < echo > when all that the client has sent is on the wire.
func (b *shared) fence(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(c.fences) >= maxFences && b.err() == nil {
		b.changed.Wait()
	}
	c.fences = append(c.fences, c.sent)
	b.answerFences(c)
}

// answerFences answers the < echo >s of a client whose frames have arrived. Under mu.
func (b *shared) answerFences(c *client) {
	if len(c.fences) == 0 {
		return
	}
	arrived := c.sent
	for _, x := range b.onWay.waiting() {
		if x.client == c {
			arrived = x.number - 1 // the oldest of those on the way
			break
		}
	}
	n := 0
	for n < len(c.fences) && c.fences[n] <= arrived {
		c.say("< echo >")
		n++
	}
	c.fences = c.fences[:copy(c.fences, c.fences[n:])]
}

// expire gives up frames that the bus has not sent in time.
func (b *shared) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.arrive(func(x *wayfarer) bool {
		late := !x.until.After(now)
		if late {
			x.client.notSent(fmt.Sprintf("it is not on the wire after %v", sendTime))
		}
		return late
	})
	b.expiry = nil
	if on := b.onWay.waiting(); len(on) > 0 && b.err() == nil {
		b.expiry = time.AfterFunc(on[0].until.Sub(now), b.expire)
	}
}

// lost follows an error of the bus.
func (b *shared) lost(err error) {
	b.mu.Lock()
	first := b.end(err)
	b.mu.Unlock()
	if first {
		b.server.forget(b)
		b.server.warn("the bus has ended", "bus", b.name, "error", err)
		b.bus.Close()
		close(b.gone)
	}
}

// end sends the clients away, once they have been told of all that came before. It does
// nothing and returns false the second time. Under mu.
func (b *shared) end(why error) bool {
	if b.err() != nil {
		return false
	}
	b.why = why
	close(b.over)
	b.changed.Broadcast()
	if b.expiry != nil {
		b.expiry.Stop()
	}
	for c := range b.clients {
		c.finish()
		c.conn.SetReadDeadline(time.Now()) // it is not listened to any more
	}
	return true
}

// close ends the bus, and waits for the end.
func (b *shared) close() {
	<-b.opened
	if b.failed != nil {
		return
	}
	b.mu.Lock()
	first := b.end(net.ErrClosed)
	b.mu.Unlock()
	if first {
		b.release()
	}
	<-b.gone
}

// release closes the bus once it has sent what was written.
func (b *shared) release() {
	b.server.forget(b)
	defer close(b.gone)
	defer b.bus.Close()
	timer := time.NewTimer(turnTime)
	defer timer.Stop()
	select {
	case b.turn <- struct{}{}: // for good: nobody writes any more
	case <-timer.C:
		return
	}
	f, ok := canbus.As[canbus.Flusher](b.bus)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := f.Flush(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		b.server.warn("frames may not have been sent", "bus", b.name, "error", err)
	}
}
