package isotpnet

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/deadline"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/stream"
	"example.com/isotp/internal/wire"
)

// A streamPair is one pair of addresses with all its streams: those of a listener,
// of any number of dials, and those that are closed but not yet over. It sends and
// receives by a backend, like a Conn.
//
// It has no goroutine of its own. Whoever changes something (a Read, a Write, the
// backend that has a message for it or has sent one) has the next message sent, if
// there is one and none is under way; nobody waits for it under mu. A Write waits
// until all its bytes are sent. At its deadline its message is taken back, if it has not
// left yet; else it runs on, from out, and the Write has sent it. A DATA that has not
// left is also taken back for messages that have no bytes of a stream: it may have to
// wait for long, for a flow control that the peer owes, and they need not.
//
// The order of locks is streamPairs, StreamListener.mu, streamPair.mu. The backend is
// called under none of them: it may call back at once, and the user's hooks too.
type streamPair struct {
	key     pairKey
	addr    Addr
	config  Config
	network string        // as first dialled or listened on
	opened  chan struct{} // closed when the fields below are set
	ended   chan struct{} // closed when the pair may be opened anew

	admitter *streamSource // that has made it for a peer's first message; nil for one dialled or listened on

	conn    *Conn // err is set if there is none
	backend streamBackend
	began   time.Time

	starting sync.Once

	mu     sync.Mutex
	proto  stream.Endpoint
	source *streamSource // of the listener that accepts its streams; nil: none does
	users  int           // streams that are not closed, callers that have joined it, and the first message that is to come
	heard  bool          // a message has come
	err    error         // why there is no transport, and no caller can join, any more

	sending    bool            // a message is under way, in out
	number     uint            // its number
	sender     *stream.Session // whose data or end it is; nil for other messages
	left       bool            // it cannot be taken back
	wanted     atomic.Bool     // somebody wants it back; written under mu
	controlErr error           // of the last message without a stream
	out        [stream.MaxMessage]byte

	timer   *time.Timer // for timerAt, 0 if that is not set
	timerAt stream.Time
}

// A streamBackend is a backend that streams can be made of. Its three calls, and those
// of the Handler, are the contract of mux.Endpoint, whatever the backend is.
type streamBackend interface {
	backend
	// epoch is when the time of its messages begins.
	epoch() time.Time
	handle(by mux.Handler) error
	start(m []byte)
	recall(givenUp bool) (left bool)
}

var _ streamBackend = (*userConn)(nil)

func (u *userConn) epoch() time.Time { return u.endpoint.Time(0) }

func (u *userConn) handle(by mux.Handler) error { return u.endpoint.Handle(by) }

func (u *userConn) start(m []byte) { u.endpoint.Start(m) }

func (u *userConn) recall(givenUp bool) (left bool) { return u.endpoint.Recall(givenUp) }

// A streamHandler is a streamPair as its backend calls it.
type streamHandler streamPair

var _ mux.Handler = (*streamHandler)(nil)

// Message implements mux.Handler.
func (h *streamHandler) Message(at engine.Time, m []byte, err error) {
	p := (*streamPair)(h)
	err = protocolError(err)
	down, isDown := err.(*downError)
	switch {
	case err == nil:
		p.message(stream.Time(at), m)
	case isDown:
		p.down(&busError{err: down.err}) // the streams end with it
	case !isLoss(err):
		go p.fail(err) // it closes the connection
	}
}

// Sent implements mux.Handler.
func (h *streamHandler) Sent(at engine.Time, handed bool, err error) {
	(*streamPair)(h).sent(stream.Time(at), handed, protocolError(err))
}

const (
	// maxStreams is how many there can be over one pair of addresses.
	maxStreams = 1024
	// streamWindow is how many bytes of each may wait to be read.
	streamWindow = stream.MaxWindow
)

// streamPairs are those of this process.
var streamPairs = struct {
	sync.Mutex
	open map[pairKey]*streamPair
}{open: make(map[pairKey]*streamPair)}

// A pairKey says which pair of addresses, on which bus.
type pairKey struct {
	bus  canbus.Bus
	id   string // the bus's identity, if it has a name
	addr Addr   // without the name
}

func newPairKey(bus canbus.Bus, addr Addr) pairKey {
	key := pairKey{bus: bus, addr: addr.WithBus("")}
	if bus == nil {
		key.id = canbus.Identity(addr.Bus())
	}
	return key
}

// joinPair returns the pair of addresses, which it opens if it is not there. Who has
// joined it is one of its users, and calls start.
func joinPair(ctx context.Context, network string, bus canbus.Bus, addr Addr, config *Config, open func() (*Conn, error)) (*streamPair, error) {
	if bus != nil && !reflect.ValueOf(bus).Comparable() {
		_, err := mux.On(bus)
		return nil, err
	}
	key := newPairKey(bus, addr)
	for {
		streamPairs.Lock()
		p := streamPairs.open[key]
		streamPairs.Unlock()
		if p == nil {
			if p = newStreamPair(key, addr, network, config); !p.enlist() {
				continue
			}
			return p, p.open(open)
		}
		switch joined, err := p.join(ctx, network, config); {
		case err != nil:
			return nil, err
		case joined:
			return p, nil
		}
	}
}

// enlist makes p the pair of its addresses. It reports false if there is one already.
func (p *streamPair) enlist() bool {
	streamPairs.Lock()
	defer streamPairs.Unlock()
	if streamPairs.open[p.key] != nil {
		return false
	}
	streamPairs.open[p.key] = p
	return true
}

// newStreamPair returns a pair that is not open yet, and has one user.
func newStreamPair(key pairKey, addr Addr, network string, config *Config) *streamPair {
	return &streamPair{
		key: key, addr: addr, config: *config, network: network, users: 1,
		opened: make(chan struct{}), ended: make(chan struct{}),
	}
}

// join makes the caller one of its users. It reports false when the pair is no
// more, after waiting for that.
func (p *streamPair) join(ctx context.Context, network string, config *Config) (bool, error) {
	select {
	case <-p.opened:
	case <-ctx.Done():
		return false, contextError(ctx.Err())
	}
	p.mu.Lock()
	switch {
	case p.err != nil:
	case p.config != *config:
		p.mu.Unlock()
		return false, &streamsDifferError{p.addr, "another Config"}
	case backendOf(network) != "" && backendOf(network) != p.backend.name():
		p.mu.Unlock()
		return false, &streamsDifferError{p.addr, "the " + p.backend.name() + " backend"}
	default:
		p.users++
		p.mu.Unlock()
		return true, nil
	}
	p.mu.Unlock()
	select {
	case <-p.ended:
		return false, nil
	case <-ctx.Done():
		return false, contextError(ctx.Err())
	}
}

// A streamsDifferError says that a pair is open already, but not as asked for.
type streamsDifferError struct {
	addr Addr
	with string
}

func (e *streamsDifferError) Error() string {
	return e.addr.String() + " is already open in this process with " + e.with + "; all streams over one pair of addresses share both"
}

// Is makes it the error of an address in use.
func (e *streamsDifferError) Is(target error) bool { return target == syscall.EADDRINUSE }

// open opens the pair for its first user.
func (p *streamPair) open(open func() (*Conn, error)) error {
	conn, err := open()
	if err != nil {
		p.err = err
		close(p.opened)
		p.forget()
		return err
	}
	p.conn, p.backend = conn, conn.backend.(streamBackend)
	p.began = p.backend.epoch()
	var windows stream.Windows
	if p.admitter != nil {
		windows = pairWindows{&p.admitter.listener.windows, p}
	}
	p.proto.Init(stream.Config{
		Windows:     windows,
		MaxMessage:  int(min(conn.maxSend, stream.MaxMessage)),
		Single:      classicSingle(p.addr.tx),
		PeerSingle:  classicSingle(p.addr.rx),
		Window:      streamWindow,
		MaxSessions: maxStreams,
		Random:      rand.Uint32,
	})
	close(p.opened)
	return nil
}

// classicSingle is the longest message in a Single Frame of classic CAN to an address.
func classicSingle(a wire.Address) int { return 7 - a.Overhead() }

// start has messages taken. It is called when those they may be for are there: what
// the bus has read already comes at once. A second call does nothing.
func (p *streamPair) start() {
	p.starting.Do(func() {
		if err := p.backend.handle((*streamHandler)(p)); err != nil {
			p.fail(err)
		}
	})
}

// forget lets the pair be opened anew.
func (p *streamPair) forget() {
	streamPairs.Lock()
	delete(streamPairs.open, p.key)
	streamPairs.Unlock()
	close(p.ended)
}

func (p *streamPair) now() stream.Time { return stream.Time(time.Since(p.began)) }

// unlock does what is due after something has happened: it wakes, sets the timer and
// has the next message sent. It releases mu, and shuts the pair if nobody uses it any
// more.
func (p *streamPair) unlock() {
	if unused := p.unlockOnly(); unused {
		p.retire()
	}
}

// unlockByBackend is unlock where the backend has called: shut would call it back.
func (p *streamPair) unlockByBackend() {
	if unused := p.unlockOnly(); unused {
		go p.retire()
	}
}

func (p *streamPair) unlockOnly() (unused bool) {
	p.wake()
	next := p.poll()
	back := p.wantBack()
	number := p.number
	p.setTimer()
	unused = p.unused()
	p.mu.Unlock()
	if next != nil {
		p.backend.start(next)
		back = p.wanted.Load() // who has wanted it meanwhile was too early
	}
	if back {
		p.takeBack(number, false)
	}
	return unused
}

// wantBack reports whether the message under way is to be taken back, for others that
// are more urgent. Under mu.
func (p *streamPair) wantBack() bool {
	if p.sender == nil || p.left || p.wanted.Load() || !p.proto.Urgent() {
		return false
	}
	p.wanted.Store(true)
	return true
}

// takeBack takes the message of that number back, if it has not left. Those who wait for
// that are told. givenUp: it is not only put behind others.
func (p *streamPair) takeBack(number uint, givenUp bool) {
	if !p.backend.recall(givenUp) {
		return // sent tells them
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.sending || p.number != number {
		return
	}
	p.left = true
	if p.sender != nil {
		if c, ok := p.sender.User.(*StreamConn); ok {
			c.writable.Set()
		}
	}
}

// unused reports whether nobody uses the pair any more. Under mu.
func (p *streamPair) unused() bool {
	return p.users == 0 && p.proto.Sessions()+p.proto.Waiting() == 0 && !p.sending && p.err == nil &&
		(p.source == nil || p.source.messages != nil)
}

// retire shuts the pair if it is still unused.
func (p *streamPair) retire() {
	p.mu.Lock()
	unused := p.unused()
	if unused {
		p.err = net.ErrClosed
	}
	p.mu.Unlock()
	if unused {
		p.shut()
	}
}

// wake wakes those who wait for what has happened. Under mu.
func (p *streamPair) wake() {
	for {
		s, ev := p.proto.TakeEvents()
		if s == nil {
			break
		}
		c, ok := s.User.(*StreamConn)
		if !ok {
			continue // nobody has accepted it yet
		}
		if ev&(stream.Readable|stream.Opened) != 0 {
			c.readable.Set()
		}
		if ev&stream.Written != 0 {
			c.writable.Set()
		}
		if ev&stream.Ended != 0 {
			c.ended.Set()
		}
	}
	if p.proto.Waiting() > 0 && p.source != nil {
		p.source.listener.accepted.Set()
	}
}

// accept returns a stream that the peer has opened, nil if there is none. Under mu.
func (p *streamPair) accept(network string, keep stream.KeepAlive) *StreamConn {
	s := p.proto.Accept()
	if s == nil {
		return nil
	}
	p.users++
	return newStreamConn(p, s, network, keep)
}

// setTimer has tick called when something is due. Under mu.
func (p *streamPair) setTimer() {
	at, ok := p.proto.PollTimeout()
	if !ok || p.err != nil || p.timerAt != 0 && p.timerAt <= at {
		return
	}
	p.timerAt = at
	d := time.Duration(at - p.now())
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.tick)
		return
	}
	p.timer.Reset(d)
}

func (p *streamPair) tick() {
	p.mu.Lock()
	p.timerAt = 0
	p.proto.HandleTimeout(p.now())
	p.unlock()
}

// poll returns the next message, which is to be sent as soon as mu is released; nil if
// there is none or another one is under way. Under mu.
func (p *streamPair) poll() []byte {
	if p.sending || p.err != nil {
		return nil
	}
	n, s := p.proto.Poll(p.out[:])
	if n == 0 {
		return nil
	}
	p.sending, p.sender, p.left = true, s, false
	p.number++
	return p.out[:n]
}

// sent follows the end of a message. handed: the peer may have got it, whatever the
// error is. It does not wait for anything, nor shut the pair itself.
func (p *streamPair) sent(at stream.Time, handed bool, err error) {
	p.mu.Lock()
	if p.sender == nil {
		p.controlErr = err
	} else if c, ok := p.sender.User.(*StreamConn); ok {
		c.owed, _ = err.(*OwedError)
	}
	p.sending, p.sender = false, nil
	p.wanted.Store(false)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // it was taken back: the session can go on
	}
	p.proto.Sent(at, handed && err == nil, err)
	p.unlockByBackend()
}

// recall ends the wait for the message under way, which is a part of what c writes: it
// is taken back, or has been sent, or runs on and counts. Under mu, which it releases
// while it waits.
func (p *streamPair) recall(c *StreamConn) {
	number := p.number
	for p.sending && p.number == number && !p.left {
		c.writable.Make()
		wanted := p.wanted.Swap(true)
		p.unlock()
		if !wanted {
			p.takeBack(number, true)
		}
		c.writable.Wait(new(deadline.Deadline)) // for sent, or takeBack
		p.mu.Lock()
	}
	if p.sending && p.number == number {
		c.session.RunOn()
	}
}

// message takes a message. It does not wait for anything, nor shut the pair itself.
func (p *streamPair) message(at stream.Time, m []byte) {
	p.mu.Lock()
	if p.err != nil { // the peer will ask again, and be heard by whoever opens the pair anew
		p.mu.Unlock()
		return
	}
	p.proto.HandleMessage(at, m)
	if !p.heard && p.admitter != nil {
		p.users-- // from now on its streams keep it
	}
	p.heard = true
	p.unlockByBackend()
}

// down ends the streams, but not the pair.
func (p *streamPair) down(err error) {
	p.mu.Lock()
	p.proto.Fail(err)
	p.unlock()
}

// isLoss reports whether an error of reading says that a message was lost: the
// streams notice themselves whose it was.
func isLoss(err error) bool {
	_, aborted := err.(*ProtocolError) // with Config.ReportAborted
	return aborted || err == ErrOverrun
}

// fail ends the pair with all its streams.
func (p *streamPair) fail(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // it is the bus that has ended, no stream
	}
	p.mu.Lock()
	over := p.err != nil
	if !over {
		p.err = err
	}
	p.proto.Fail(err)
	p.unlock()
	if !over {
		p.shut()
	}
}

// shut ends the transport. It is called once, after err was set.
func (p *streamPair) shut() {
	p.mu.Lock()
	if p.timer != nil {
		p.timer.Stop()
	}
	s, why := p.source, p.err
	p.stopListening()
	p.mu.Unlock()
	if s != nil {
		s.disown(p, why)
	}
	p.conn.Close()
	p.forget()
	if p.admitter != nil {
		p.admitter.ending.Done()
	}
}

// leave follows the use of a pair that was joined.
func (p *streamPair) leave() {
	p.mu.Lock()
	p.users--
	p.unlock()
}

// unlisten ends listening, on the source's side.
func (p *streamPair) unlisten() {
	p.mu.Lock()
	p.stopListening()
	p.unlock()
}

// stopListening resets the sessions that wait for Accept, and refuses those to come.
// Under mu.
func (p *streamPair) stopListening() {
	p.source = nil
	p.proto.StopListening()
}
