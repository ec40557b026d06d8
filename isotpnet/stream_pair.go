package isotpnet

import (
	"context"
	"errors"
	"fmt"
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
// Its states, and what takes it from one to another:
//
//	opening  the transport is opened: open; that fails: gone, with err
//	open     the transport fails, or nothing uses the pair any more: over
//	over     the transport is closed: gone. What the peer sends meanwhile is dropped; if it
//	         opens a stream it asks again
//	gone     another streamPair can be opened for the same addresses
//
// A caller that wants to join waits until opening or over is at its end: until then opened
// or ended is not closed. In over and gone err is set.
//
// A pair has no goroutine of its own. A goroutine that changes something (one that reads
// or writes a stream, or the backend's that brings a message or has sent one) starts the
// next message, if there is one and none is under way: see outgoing.
type streamPair struct {
	key    pairKey
	addr   Addr
	config Config
	opened chan struct{} // closed at the end of opening, when conn to began are set
	ended  chan struct{} // closed when the pair is gone

	// admitter is the source whose listener has made the pair for a peer's first message;
	// nil for a pair that was dialled, or listened on by itself.
	admitter *streamSource

	conn     *Conn // nil if opening has failed
	backend  streamBackend
	began    time.Time
	handling sync.Once // of handle

	// mu guards what follows, and the fields of the pair's StreamConns that say so. The
	// order of locks is StreamListener.mu, streamPair.mu, streamWindows.mu; streamPairs
	// is locked alone. The backend is called under none of them: it may call back at once,
	// and the user's hooks too. The kernel's calls back under its readTurn, which comes first.
	mu     sync.Mutex
	proto  stream.Endpoint
	source *streamSource // of the listener that accepts the streams; nil if there is none
	// users are the streams that are not closed, the callers that have joined and have no
	// stream yet, and, for a pair with an admitter, the first message until it has come.
	users int
	heard bool  // a message has come
	err   error // why the pair is over

	out        outgoing
	controlErr error // of the last message that was no stream's

	timer   *time.Timer // for timerAt; nil if there was none yet
	timerAt stream.Time // 0 if the timer is not set
}

// An outgoing is the message that a pair sends. Its states, and what takes it from one to
// another:
//
//	idle       the protocol has a message to send: started
//	started    it is sent or aborted: idle; a control message is to be sent, and this one
//	           is a stream's: postponed; its Write gives up: givenUp
//	postponed  it is sent, aborted or taken back: idle; it has left: left
//	givenUp    the same; it will not be sent again
//	left       it is sent or aborted: idle
//
// In postponed and givenUp the backend is asked to take the message back, with recall. A
// stream's message may wait for long for a flow control that the peer owes, and control
// messages need not. A Write that gives up ends when its message is idle or left; in left
// the message runs on, from bytes, and counts as sent.
type outgoing struct {
	// state is written under the pair's mu. The goroutine that has started a message looks
	// at it without.
	state atomic.Int32
	// recalls are the calls of recall that are running, under mu. Until they return no
	// other message is started: they would take that back.
	recalls int
	number  uint            // of messages started, under mu
	session *stream.Session // whose DATA or END it is, under mu; nil: a control message
	bytes   [stream.MaxMessage]byte
}

// The states of an outgoing.
const (
	outIdle = iota
	outStarted
	outPostponed
	outGivenUp
	outLeft
)

func (o *outgoing) is(state int32) bool { return o.state.Load() == state }

// recalled reports whether the message is to be taken back.
func (o *outgoing) recalled() bool { return o.is(outPostponed) || o.is(outGivenUp) }

// conn returns the connection whose message it is, if one has it.
func (o *outgoing) conn() (*StreamConn, bool) {
	if o.session == nil {
		return nil, false
	}
	c, ok := o.session.User.(*StreamConn)
	return c, ok
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
		p.message(at, m)
	case isDown:
		p.down(&busError{err: down.err}) // the streams end with it
	case !isLoss(err):
		go p.fail(err) // it closes the connection
	}
}

// Sent implements mux.Handler.
func (h *streamHandler) Sent(at engine.Time, handed bool, err error) {
	(*streamPair)(h).sent(at, handed, protocolError(err))
}

const (
	// maxStreams is how many streams there can be over one pair of addresses.
	maxStreams = 1024
	// streamWindow is how many bytes of a stream may wait to be read.
	streamWindow = stream.MaxWindow
)

// streamPairs are the pairs of this process that are not gone: a stream that is opened over
// one of them shares it. Whether an address may be opened at all is another question, which
// the Conn of a pair answers as every Conn does (see claims).
var streamPairs = struct {
	sync.Mutex
	open map[pairKey]*streamPair
}{open: make(map[pairKey]*streamPair)}

// A pairKey says which pair of addresses, on which bus.
type pairKey struct {
	bus  canbus.Bus
	id   string // the bus's identity, if it has a name: see canbus.Identity
	addr Addr   // without the bus's name
}

func newPairKey(bus canbus.Bus, addr Addr) pairKey {
	key := pairKey{bus: bus, addr: addr.WithBus("")}
	if bus == nil {
		key.id = canbus.Identity(addr.Bus())
	}
	return key
}

// joinPair returns the pair of addresses, which it opens if it is not there. The caller is
// one of its users then, and calls handle.
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
			if p = newStreamPair(key, addr, config); !p.enlist() {
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

// newStreamPair returns a pair in opening, which has one user.
func newStreamPair(key pairKey, addr Addr, config *Config) *streamPair {
	return &streamPair{
		key: key, addr: addr, config: *config, users: 1,
		opened: make(chan struct{}), ended: make(chan struct{}),
	}
}

// join makes the caller one of the pair's users. It reports false if the pair was over, and
// returns when it is gone.
func (p *streamPair) join(ctx context.Context, network string, config *Config) (bool, error) {
	select {
	case <-p.opened:
	case <-ctx.Done():
		return false, contextError(ctx.Err())
	}
	p.mu.Lock()
	switch {
	case p.err != nil:
	default:
		defer p.mu.Unlock()
		if err := p.sharable(network, config); err != nil {
			return false, err
		}
		p.users++
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

// sharable returns why a stream that is asked for with this network and Config cannot be
// one of the pair's, or nil.
func (p *streamPair) sharable(network string, config *Config) error {
	switch backend := backendOf(network); {
	case p.config != *config:
		return &streamsDifferError{p.addr, configDifference(&p.config, config)}
	case backend != "" && backend != p.backend.name():
		return &streamsDifferError{p.addr, "the " + p.backend.name() + " backend, not " + backend}
	}
	return nil
}

// configDifference names the first field in which two Configs differ.
func configDifference(is, want *Config) string {
	a, b := reflect.ValueOf(is).Elem(), reflect.ValueOf(want).Elem()
	for i := range a.NumField() {
		x, y := a.Field(i), b.Field(i)
		switch name := "Config." + a.Type().Field(i).Name; {
		case x.Equal(y):
		case x.CanInt() || x.CanUint() || x.Kind() == reflect.Bool:
			return fmt.Sprintf("%s %v, not %v", name, x, y)
		default:
			return "another " + name
		}
	}
	return "another Config"
}

// A streamsDifferError says that a pair is open already, but not as asked for.
type streamsDifferError struct {
	addr Addr
	with string
}

func (e *streamsDifferError) Error() string {
	return e.addr.String() + " is already open in this process with " + e.with + "; all streams over one pair of addresses share the Config and the backend"
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

// classicSingle is how many bytes a Single Frame of classic CAN to an address can carry.
func classicSingle(a wire.Address) int { return 7 - a.Overhead() }

// handle has the peer's messages handled. It is called when the listener or the stream
// that they may be for is there: what the bus has read already comes at once. A second call
// does nothing.
func (p *streamPair) handle() {
	p.handling.Do(func() {
		if err := p.backend.handle((*streamHandler)(p)); err != nil {
			p.fail(err)
		}
	})
}

// forget ends the pair: another one can be opened for its addresses.
func (p *streamPair) forget() {
	streamPairs.Lock()
	delete(streamPairs.open, p.key)
	streamPairs.Unlock()
	close(p.ended)
}

func (p *streamPair) now() stream.Time { return stream.Time(time.Since(p.began)) }

// unlock does what is due after something has happened: it wakes the callers that wait for
// it, sets the timer and starts the next message. It releases mu, and shuts the pair if
// nothing uses it any more.
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
	postponed := p.postpone()
	p.setTimer()
	unused, number := p.unused(), p.out.number
	p.mu.Unlock()
	switch {
	case next != nil:
		p.backend.start(next)
		// A recall that came between poll and start had nothing to recall yet.
		return p.out.recalled() && p.recallAgain(number) || unused
	case postponed:
		return p.recall(false) || unused
	}
	return unused
}

// poll returns the next message, which is to be started as soon as mu is released; nil if
// there is none or another one is under way. Under mu.
func (p *streamPair) poll() []byte {
	if !p.out.is(outIdle) || p.out.recalls > 0 || p.err != nil {
		return nil
	}
	n, s := p.proto.Poll(p.out.bytes[:])
	if n == 0 {
		return nil
	}
	p.out.state.Store(outStarted)
	p.out.session = s
	p.out.number++
	return p.out.bytes[:n]
}

// postpone reports whether the message under way is to be taken back for a control message;
// the caller calls recall. Under mu.
func (p *streamPair) postpone() bool {
	if !p.out.is(outStarted) || p.out.session == nil || !p.proto.Urgent() {
		return false
	}
	p.out.state.Store(outPostponed)
	p.out.recalls++
	return true
}

// giveUp ends the wait for the message under way, which is a part of what c writes: it is
// taken back, or was sent, or has left and counts. Under mu, which it releases while it
// waits.
func (p *streamPair) giveUp(c *StreamConn) {
	for number := p.out.number; p.out.number == number && !p.out.is(outIdle); {
		if p.out.is(outLeft) {
			c.session.RunOn()
			return
		}
		c.writable.Make()
		if p.out.is(outStarted) {
			p.out.state.Store(outGivenUp)
			p.out.recalls++
			p.unlock()
			p.recall(true)
		} else {
			p.unlock()
		}
		c.writable.Wait(new(deadline.Deadline)) // for sent, or recall
		p.mu.Lock()
	}
}

// recallAgain is recall for the message of that number, if it is still to be taken back.
func (p *streamPair) recallAgain(number uint) (unused bool) {
	p.mu.Lock()
	if p.out.number != number || !p.out.recalled() {
		p.mu.Unlock()
		return false
	}
	p.out.recalls++
	givenUp := p.out.is(outGivenUp)
	p.mu.Unlock()
	return p.recall(givenUp)
}

// recall asks the backend to take the message under way back. recalls counts the call
// already. If the message has left, the Write that has given it up is told.
func (p *streamPair) recall(givenUp bool) (unused bool) {
	left := p.backend.recall(givenUp)
	p.mu.Lock()
	p.out.recalls--
	if left && p.out.recalled() {
		p.out.state.Store(outLeft)
		if c, ok := p.out.conn(); ok {
			c.writable.Set()
		}
	}
	return p.unlockOnly()
}

// unused reports whether the pair is open and nothing uses it any more. Under mu.
func (p *streamPair) unused() bool {
	listened := p.source != nil && p.source != p.admitter // an admitter lets its pairs go
	return p.err == nil && !listened && p.users == 0 && p.out.is(outIdle) && p.proto.Sessions()+p.proto.Waiting() == 0
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

// wake wakes the callers that wait for events of their streams, and Accept. Under mu.
func (p *streamPair) wake() {
	for {
		s, ev := p.proto.TakeEvents()
		if s == nil {
			break
		}
		c, ok := s.User.(*StreamConn)
		if !ok {
			continue // it waits for Accept
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

// accept returns a stream that the peer has opened, nil if none waits. Under mu.
func (p *streamPair) accept(network string, keep stream.KeepAlive) *StreamConn {
	s := p.proto.Accept()
	if s == nil {
		return nil
	}
	p.users++
	return newStreamConn(p, s, network, keep)
}

// setTimer has tick called when the protocol has something to do. Under mu.
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

// sent follows the end of a message. handed: the peer may have got it, whatever the
// error is. The backend calls it, so it waits for nothing and does not shut the pair.
func (p *streamPair) sent(at stream.Time, handed bool, err error) {
	p.mu.Lock()
	if p.out.session == nil {
		p.controlErr = err
	} else if c, ok := p.out.conn(); ok {
		c.owed, _ = err.(*OwedError)
	}
	p.out.state.Store(outIdle)
	p.out.session = nil
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // it was taken back: the session can go on
	}
	p.proto.Sent(at, handed && err == nil, err)
	p.unlockByBackend()
}

// message takes a message of the peer's. The backend calls it, so it waits for nothing and
// does not shut the pair.
func (p *streamPair) message(at stream.Time, m []byte) {
	p.mu.Lock()
	if p.err != nil { // the peer asks again, and may find another pair
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

// down ends the streams, but not the pair: the interface may come up again.
func (p *streamPair) down(err error) {
	p.mu.Lock()
	p.proto.Fail(err)
	p.unlock()
}

// isLoss reports whether an error of reading says that a message was lost. The stream
// whose message it was notices that by itself.
func isLoss(err error) bool {
	_, aborted := err.(*ProtocolError) // with Config.ReportAborted
	return aborted || err == ErrOverrun
}

// fail ends the pair with all its streams.
func (p *streamPair) fail(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the bus has ended: to Read io.EOF is the end of a stream
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

// leave makes a caller that has joined the pair no user of it any more.
func (p *streamPair) leave() {
	p.mu.Lock()
	p.users--
	p.unlock()
}

// unlisten ends listening on the pair, when the source is closed.
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
