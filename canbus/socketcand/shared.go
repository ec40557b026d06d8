package socketcand

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/fifo"
	"example.com/isotp/internal/echo"
)

const (
	// busPause is how long the server waits after a temporary error of a bus.
	busPause = time.Millisecond
	// sendTime is how long a frame may take to be sent before its client is told that it
	// was not.
	sendTime = 10 * time.Second
	// maxInFlight is how many frames may be in flight (written, and not echoed yet), where
	// the bus does not say how long its queue is.
	maxInFlight = 64
	// flushTime is how long release waits until a bus has sent its frames.
	flushTime = 5 * time.Second
	// turnTime is how long release waits for a writer that is still at it.
	turnTime = time.Second
	// maxFences is how many < echo >s of a client may be without an answer.
	maxFences = 1024
	// holdTime is how long a client may hold up a bus that waits for its readers, while
	// another client is ready for more.
	holdTime = 5 * time.Second
)

// A shared bus is a bus with all clients that have opened it. Its own goroutine reads the
// bus all the time; the clients' goroutines take turns to write to it.
//
// The order of locks is Server.mu, shared.mu, client.mu.
type shared struct {
	server *Server
	name   string // by which clients know it

	// The fields from failed to drops are set before opened is closed.
	opened chan struct{}
	failed error // why the bus cannot be opened
	bus    canbus.Bus
	props  canbus.Properties
	try    canbus.TryWriter   // nil if the bus is none
	drops  canbus.DropCounter // nil if the bus is none

	turn chan struct{}   // holds a token while a goroutine writes
	one  [1]canbus.Frame // the frame that is being written; guarded by turn
	over chan struct{}   // closed when the shared bus has ended
	gone chan struct{}   // closed after that, when the bus is closed

	// mu guards the fields below, and those of clients that say so. changed is signalled
	// when inFlight or a client has changed, and at the end.
	mu       sync.Mutex
	changed  sync.Cond
	clients  map[*client]struct{}
	inFlight fifo.Queue[pendingEcho] // written frames whose echoes have not come, where the bus echoes
	expiry   *time.Timer             // calls expire for the oldest frame in flight; nil: none
	text     []byte
	last     int64  // the newest time stamp
	missed   uint64 // how many dropped frames the clients have been told of
	why      error  // why it has ended
}

// A pendingEcho is a frame in flight, whose echo has not come.
type pendingEcho struct {
	frame  canbus.Frame
	client *client
	number uint64 // of the client's frames
	until  time.Time
}

func (x *pendingEcho) sent() *canbus.Frame { return &x.frame }

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

// begin takes the result of opening the bus, and starts to read it.
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

// err returns why the shared bus has ended; nil while it has not.
func (b *shared) err() error {
	select {
	case <-b.over:
		return b.why
	default:
		return nil
	}
}

// join adds a client. It can send from now on; it hears frames after listen. join returns
// false when the bus has ended.
func (b *shared) join(c *client) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err() != nil {
		return false
	}
	b.clients[c] = struct{}{}
	return true
}

// listen lets a client hear frames, after the answer to its command.
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

// leave removes a client. A bus that waits for its readers ends with its last client.
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

// awaitClients waits until a client listens and all clients that listen have room. If
// some have room and others have not, it waits for these no longer than holdTime.
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
				c.late = true // the client loses frames until it has room again
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

// received handles a frame that was read from the bus. Under mu.
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

// pass sends a frame to all clients that listen, except its sender. Under mu.
func (b *shared) pass(f *canbus.Frame, from *client) {
	if f.Has(canbus.Remote) {
		return // raw mode has no element for remote frames
	}
	stamped := *f
	if !stamped.Has(canbus.Timed) {
		// No two frames are on a wire at once, and there are clients (scapy) that sort
		// by the time.
		stamped.Stamp(max(time.Now().UnixNano(), b.last+int64(time.Microsecond)))
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

// tellDrops tells all clients that listen how many frames the bus has dropped. Under mu.
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

// write sends a client's frame. It waits up to sendTime for room on the bus; meanwhile
// TCP holds the client up.
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

// tryWrite sends a frame if the bus takes it at once. It holds mu meanwhile, so that the
// other clients hear the frame before an answer to it.
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

// depart notes a frame that is about to be written, because its echo may come before the
// call that writes it returns. It waits while too many frames are in flight.
func (b *shared) depart(c *client, f canbus.Frame) error {
	limit := maxInFlight
	if q := b.props.QueueLen; q > 0 {
		limit = min(q, batchLen)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.inFlight.Len() >= limit && b.err() == nil {
		b.changed.Wait()
	}
	if err := b.err(); err != nil {
		return err
	}
	c.sent++
	b.inFlight.Push(pendingEcho{f, c, c.sent, time.Now().Add(sendTime)})
	if b.expiry == nil {
		b.expiry = time.AfterFunc(sendTime, b.expire)
	}
	return nil
}

// stay takes back the frame that departed last, because the bus has not taken it.
func (b *shared) stay(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	on := b.inFlight.Waiting()
	if i := len(on) - 1; i >= 0 && on[i].client == c {
		b.arrive(func(x *pendingEcho) bool { return x == &on[i] })
	}
}

// echoed handles an echo. The frame is refused, or on the wire; then the frames with the
// same identifier that were written before it are on the wire too, and their echoes were
// lost. echoed returns the client that sent the frame. Under mu.
func (b *shared) echoed(f *canbus.Frame) (from *client, known bool) {
	on := b.inFlight.Waiting()
	found := echo.Find(f, on, (*pendingEcho).sent, func(*pendingEcho) bool { return false })
	if found < 0 {
		return nil, false
	}
	from = on[found].client
	this, refused := &on[found], f.Has(canbus.Refused)
	if refused {
		from.notSent("the bus has refused the frame")
	}
	last := found
	b.arrive(func(x *pendingEcho) bool {
		before := !refused && last > 0 && echo.Proves(f, &x.frame)
		last--
		return x == this || before
	})
	return from, true
}

// arrive removes frames that are no longer in flight, and answers the < echo >s that have
// waited for them. Under mu.
func (b *shared) arrive(has func(*pendingEcho) bool) {
	on := b.inFlight.Waiting()
	left := 0
	for i := range on {
		if !has(&on[i]) {
			on[left] = on[i]
			left++
		}
	}
	b.inFlight.Truncate(left)
	for c := range b.clients {
		b.answerFences(c)
	}
	b.changed.Broadcast()
}

// fence answers < echo >, once all frames that the client has sent are on the wire.
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
	for _, x := range b.inFlight.Waiting() {
		if x.client == c {
			arrived = x.number - 1 // x is the client's oldest frame in flight
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

// expire gives up frames that the bus has not sent within sendTime.
func (b *shared) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.arrive(func(x *pendingEcho) bool {
		late := !x.until.After(now)
		if late {
			x.client.notSent(fmt.Sprintf("it is not on the wire after %v", sendTime))
		}
		return late
	})
	b.expiry = nil
	if on := b.inFlight.Waiting(); len(on) > 0 && b.err() == nil {
		b.expiry = time.AfterFunc(on[0].until.Sub(now), b.expire)
	}
}

// lost ends the shared bus after an error of the bus.
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

// end lets each client's connection end once it has been sent all that came before. The
// second call does nothing and returns false. Under mu.
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
		c.conn.SetReadDeadline(time.Now()) // no more commands are read
	}
	return true
}

// close ends the shared bus, and waits until the bus is closed.
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
	case b.turn <- struct{}{}: // and is kept: no goroutine writes any more
	case <-timer.C:
		return
	}
	f, ok := canbus.As[canbus.Flusher](b.bus)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := f.Flush(ctx); err != nil && err != net.ErrClosed { // a GoneError is that, too
		b.server.warn("frames may not have been sent", "bus", b.name, "error", err)
	}
}
