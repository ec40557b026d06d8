package slcan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/line"
)

func init() {
	canbus.Register("slcan", func(address string) (canbus.Bus, error) {
		port, o, err := parseAddress(address)
		if err != nil {
			return nil, err
		}
		b, err := Open(port, o)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
}

var (
	_ canbus.Bus         = (*Bus)(nil)
	_ canbus.Describer   = (*Bus)(nil)
	_ canbus.DropCounter = (*Bus)(nil)
	_ canbus.Flusher     = (*Bus)(nil)
)

const (
	// batchLen is how many frames one write has at most.
	batchLen = 16
	// maxUnread is how many frames may wait for ReadFrames, beside those of one Read of
	// the port.
	maxUnread = 4096
	// chunkLen is how much one Read of the port takes, and shortest how short a frame
	// is in it.
	chunkLen, shortest = 4096, len("t1230\r")
	// answerTime is how long a frame may be without an answer before a fence is
	// sent, or before the adapter is known not to answer frames.
	answerTime = 100 * time.Millisecond
	// fenceTime is how long a fence may be without an answer.
	fenceTime = time.Second
	// flushTime is how much longer than the frames' own time Flush waits at most.
	flushTime = time.Second
)

// A Bus is the bus that an adapter is on.
type Bus struct {
	name      string
	port      io.ReadWriteCloser
	props     canbus.Properties
	pace      line.Line
	log       *slog.Logger
	life      *lifetime.Lifetime
	perChar   time.Duration // on the serial line
	flushMore time.Duration

	// What the adapter is; set before anybody has the Bus.
	said      chan said     // lines that are no frames, until ready is closed
	ready     chan struct{} // closed when the adapter is set up
	version   string        // "": it does not tell
	tail      int           // how many answers follow a version
	family    string
	hasStatus bool
	roundTrip time.Duration // of a command

	writing   chan struct{} // holds one token: whoever has it writes
	out       []byte        // under writing
	closing   chan struct{} // closed when Close begins
	closeOnce sync.Once

	readable chan struct{} // holds a token when there is something to read, or to look at
	roomy    chan struct{} // for WriteFrames and the port's reader: look again
	kick     chan struct{} // for mind

	mu           sync.Mutex
	lex          lexer
	lowest       uint32         // the arbitration of the last frame written
	in           []canbus.Frame // from head on not read yet
	head         int
	flight       flight
	wire         wire
	tailDue      int       // answers that belong to a version
	inWrite      bool      // frames or a fence are being written
	moved        time.Time // when something was last written or answered
	fenceSent    time.Time
	fenceStatus  bool      // the fence on its way is F, not V
	fenceWritten time.Time // what wire.written was then
	proven       uint64    // frames that a fence has shown to have reached the adapter
	fenceWanted  bool      // by Flush
	askStatus    bool      // the next fence is F
	statusAsked  time.Time // by the last one
	minding      bool
	flushing     int
	changed      chan struct{} // closed and replaced when what Flush waits for changes
	complained   time.Time
	refused      uint64
	untold       uint64 // of them

	malformed, dropped atomic.Uint64
}

// A LostError is that of every call once the adapter has gone. To errors.Is it is
// net.ErrClosed, and its cause.
type LostError struct {
	Port string
	Err  error // what the system said
}

func (e *LostError) Error() string {
	return fmt.Sprintf("slcan: the adapter on %s is gone: %v", e.Port, e.Err)
}

func (e *LostError) Unwrap() []error { return []error{net.ErrClosed, e.Err} }

// A DoubtError is Flush's: it is not known whether frames have reached the adapter.
type DoubtError struct {
	Port   string
	Frames int
}

func (e *DoubtError) Error() string {
	return fmt.Sprintf("slcan: %d frames in doubt: the adapter on %s has not said that it has them", e.Frames, e.Port)
}

// Open opens an adapter on a serial port, or at the other end of a TCP connection if the
// port is tcp:HOST:PORT.
func Open(port string, o Options) (*Bus, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p, err := openPort(port, o.Baud)
	if err != nil {
		return nil, err
	}
	return New(p, port, o)
}

// New opens the adapter at the other end of a connection, such as a serial line
// across a network. Close of the connection must end a Read and a Write under way.
// The connection is the Bus's, which closes it, also when New fails. name stands in
// errors.
func New(port io.ReadWriteCloser, name string, o Options) (*Bus, error) {
	if err := o.check(); err != nil {
		port.Close()
		return nil, err
	}
	baud := o.Baud
	if baud == 0 {
		baud = defaultBaud
	}
	b := &Bus{
		name: name,
		port: port,
		props: canbus.Properties{
			FD: o.DataBitrate > 0, Echo: true, EchoAtHandover: true, QueueLen: maxOnWay,
			Bitrate: o.Bitrate, DataBitrate: o.DataBitrate, WireRate: true,
		},
		pace:      line.Line{Bitrate: o.Bitrate, DataBitrate: o.DataBitrate},
		log:       o.logger(),
		perChar:   10 * time.Second / time.Duration(baud),
		flushMore: orDefault(o.Flush, defaultFlush),
		life:      lifetime.New(func() { port.Close() }),
		said:      make(chan said),
		ready:     make(chan struct{}),
		writing:   make(chan struct{}, 1),
		closing:   make(chan struct{}),
		readable:  make(chan struct{}, 1),
		roomy:     make(chan struct{}, 1),
		kick:      make(chan struct{}, 1),
		changed:   make(chan struct{}),
		wire:      wire{bitrate: o.wireRate(), dataBitrate: o.DataBitrate},
	}
	b.flight.echo = b.echo
	if o.ListenOnly {
		b.props.Echo, b.props.EchoAtHandover = false, false // nothing is sent
	}
	go b.receive()
	if err := b.setUp(&o); err != nil {
		b.shutDown()
		return nil, err
	}
	close(b.ready)
	go b.mind()
	return b, nil
}

// receive reads the port, to the end: a Read cannot be given a time.
func (b *Bus) receive() {
	chunk := make([]byte, chunkLen)
	for {
		n, err := b.port.Read(chunk)
		if !b.hear(chunk[:n]) {
			return
		}
		if err != nil {
			b.fail(err)
			return
		}
	}
}

// hear takes what the adapter says. It waits while there is much that nobody reads,
// which holds the adapter up, unless the answers to frames may be behind it. It
// reports false once the bus is over.
func (b *Bus) hear(text []byte) bool {
	for b.isFull() {
		select {
		case <-b.roomy:
		case <-b.life.Over():
			return false
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	settled := b.flight.settled
	if b.head > 0 {
		b.in = b.in[:copy(b.in, b.in[b.head:])]
		b.head = 0
	}
	now := time.Now()
	for {
		word, end, rest, done := b.lex.next(text)
		text = rest
		if !done {
			break
		}
		if !b.isReady() {
			b.hearEarly(now, word, end)
			continue
		}
		b.hearLine(now, word, end)
	}
	if len(b.in) > 0 {
		signal(b.readable)
	}
	if b.flight.settled != settled {
		signal(b.roomy)
		b.change()
	}
	return true
}

func (b *Bus) isReady() bool {
	select {
	case <-b.ready:
		return true
	default:
		return false
	}
}

// isFull reports whether the adapter is to be held up.
func (b *Bus) isFull() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.in)-b.head >= maxUnread && b.flushing == 0 && b.flight.onWay() == 0 && b.isReady()
}

// hearEarly takes a line while the adapter is set up. Under mu.
func (b *Bus) hearEarly(now time.Time, word []byte, end byte) {
	if f, err := parseLine(word); err == nil && (word[0] != 'F' || len(word) != 3) {
		b.push(now, &f)
		if end != bel {
			return
		}
		word = nil
	}
	s := said{string(word), end}
	b.mu.Unlock()
	defer b.mu.Lock()
	select {
	case b.said <- s:
	case <-b.ready:
	case <-b.life.Over():
	}
}

// hearLine takes a line. Under mu.
func (b *Bus) hearLine(now time.Time, word []byte, end byte) {
	if is, ok := isAnswer(word, end); is {
		if len(word) > 0 && end == bel {
			b.hearFrame(now, word)
		}
		b.hearAnswer(now, ok)
		return
	}
	switch {
	case b.version != "" && string(word) == b.version:
		b.tailDue = b.tail
		b.hearFence(now, false)
		return
	case len(word) == 3 && word[0] == 'F':
		b.hearFence(now, true)
	}
	b.hearFrame(now, word)
}

// hearFrame takes a line that may be a frame. Under mu.
func (b *Bus) hearFrame(now time.Time, word []byte) {
	f, err := parseLine(word)
	switch {
	case err == nil:
		b.push(now, &f)
		if arbitration(&f) <= b.lowest {
			// Frames that the adapter has wait for this one.
			d := b.wire.time(&f)
			b.pace.Delay(d)
			b.wire.delay(now, d)
		}
	case err != errNoFrame:
		b.malformed.Add(1)
	}
}

// hearAnswer takes the answer to a frame, most likely. Under mu.
func (b *Bus) hearAnswer(now time.Time, ok bool) {
	if ok && b.tailDue > 0 {
		b.tailDue--
		return
	}
	b.moved = now
	answered := b.flight.answered
	taken := b.flight.answer(ok)
	if taken && ok {
		b.wire.answer(now, &b.flight.ring[answered%maxOnWay].frame)
	}
	switch {
	case ok:
	case b.flight.fenced && b.fenceStatus && !taken:
		b.hasStatus = false // it was F that was refused
	default:
		b.complain(now, 1)
	}
	b.needMind()
}

// hearStatus takes the answer to F, before anybody has the Bus.
func (b *Bus) hearStatus(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f, err := parseStatus([]byte(text)); err == nil {
		b.push(time.Now(), &f)
		signal(b.readable)
	}
}

// hearFence takes the answer to a fence. Under mu.
func (b *Bus) hearFence(now time.Time, status bool) {
	if !b.flight.fenced || b.fenceStatus != status {
		return
	}
	b.moved = now
	b.proven = b.flight.fence
	b.wire.fenced(now, b.fenceSent, b.fenceWritten)
	b.complain(now, b.flight.fenceAnswered())
	b.change()
	b.needMind()
}

// complain counts frames that were refused, or given up, and tells of them, at most
// once a second. Under mu.
func (b *Bus) complain(now time.Time, frames int) {
	if frames == 0 {
		return
	}
	b.refused += uint64(frames)
	b.untold += uint64(frames)
	b.askStatus = b.hasStatus && now.Sub(b.statusAsked) >= answerTime
	if !b.complained.IsZero() && now.Sub(b.complained) < time.Second {
		return
	}
	b.log.Warn("slcan: the adapter refuses frames, or does not answer them", "port", b.name, "frames", b.untold)
	b.complained, b.untold = now, 0
}

// arbitration orders frames as the wire does: of those that begin at the same time the
// lowest goes first.
func arbitration(f *canbus.Frame) uint32 {
	if f.Has(canbus.Extended) {
		return f.ID<<1 | 1
	}
	return f.ID << 19
}

// push gives a frame to ReadFrames. Under mu.
func (b *Bus) push(now time.Time, f *canbus.Frame) {
	if len(b.in)-b.head >= maxUnread+chunkLen/shortest {
		b.dropped.Add(1)
		return
	}
	b.in = append(b.in, *f)
	b.in[len(b.in)-1].Timestamp = now.UnixNano()
}

// echo gives a frame back that was written. Under mu.
func (b *Bus) echo(f *canbus.Frame) {
	b.push(time.Now(), f)
	signal(b.readable)
}

// forget throws away what nobody has read.
func (b *Bus) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.in, b.head = b.in[:0], 0
	b.dropped.Store(0)
}

// change tells those who flush. Under mu.
func (b *Bus) change() {
	if b.flushing > 0 {
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Properties implements [canbus.Describer].
func (b *Bus) Properties() canbus.Properties { return b.props }

// Malformed returns how many lines were left out because they were no frames.
func (b *Bus) Malformed() uint64 { return b.malformed.Load() }

// Dropped implements [canbus.DropCounter]: frames are dropped when nobody reads while
// frames are written. What the adapter itself has lost is not among them.
func (b *Bus) Dropped() uint64 { return b.dropped.Load() }

// Refused returns how many commands, frames to be sent most likely, the adapter
// has refused, or failed to answer where it answers others.
func (b *Bus) Refused() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused
}

// ReadFrames implements [canbus.Bus]. What is no frame is left out and counted, see
// [Bus.Malformed].
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, b.life.Err()
	}
	for {
		if n := b.take(frames); n > 0 {
			return n, nil
		}
		select {
		case <-b.life.Over():
			if n := b.take(frames); n > 0 {
				return n, nil
			}
			return 0, b.life.Err()
		case <-b.readable:
		}
	}
}

// take returns as many frames as there are and room for.
func (b *Bus) take(frames []canbus.Frame) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := len(b.in)-b.head >= maxUnread
	n := copy(frames, b.in[b.head:])
	if b.head += n; b.head == len(b.in) {
		b.in, b.head = b.in[:0], 0
	}
	if full {
		signal(b.roomy)
	}
	return n
}

// WriteFrames implements [canbus.Bus]. It waits while the wire or the adapter is
// busy. A frame that is not valid (see [canbus.Frame.Validate]), or CAN FD where the
// adapter has no data bit rate, is refused, after those before it were taken.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	good, bad := b.check(frames[:min(len(frames), batchLen)])
	if err := b.over(); err != nil {
		return 0, err
	}
	if good == 0 {
		return 0, bad
	}
	room, err := b.awaitRoom()
	if err != nil {
		return 0, err
	}
	good = min(good, room)
	n := b.pace.Admit(frames[:good])
	for n == 0 {
		if err := b.sleep(b.pace.Wait()); err != nil {
			return 0, err
		}
		n = b.pace.Admit(frames[:good])
	}
	if err := b.acquire(); err != nil {
		return 0, err
	}
	defer b.release()
	b.out = b.out[:0]
	for i := range frames[:n] {
		b.out = appendFrame(b.out, &frames[i])
	}
	b.mu.Lock()
	b.inWrite = true
	b.lowest = arbitration(&frames[n-1])
	b.flight.write(frames[:n])
	if b.version != "" && !b.flight.fenced && (b.flight.mode == unknown || b.flight.doubt) {
		b.appendFence()
	}
	b.needMind()
	b.mu.Unlock()
	_, err = b.port.Write(b.out)
	b.mu.Lock()
	b.wrote()
	b.wire.write(b.moved, frames[:n])
	b.flight.written()
	b.mu.Unlock()
	if err != nil {
		b.fail(err)
		return 0, b.life.Err()
	}
	return n, nil
}

// check returns how many frames may be sent, and what is wrong with the one after
// them.
func (b *Bus) check(frames []canbus.Frame) (int, error) {
	for i := range frames {
		f := &frames[i]
		if err := f.Validate(); err != nil {
			return i, err
		}
		if f.Has(canbus.FD) && !b.props.FD {
			return i, fmt.Errorf("slcan: CAN FD frame %X on %s, which was opened for classic CAN (DataBitrate, or ,data=2000000 in its name, makes it CAN FD)", f.ID, b.name)
		}
		if !b.props.Echo {
			return i, fmt.Errorf("slcan: frame %X on %s, which was opened to listen only", f.ID, b.name)
		}
	}
	return len(frames), nil
}

// over returns why nothing more can be written.
func (b *Bus) over() error {
	select {
	case <-b.closing:
		return net.ErrClosed
	default:
		return b.life.Err()
	}
}

// sleep waits for that long, or until nothing more can be written.
func (b *Bus) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.closing:
	case <-b.life.Over():
	}
	return b.over()
}

// awaitRoom waits until frames can be on their way, and returns how many.
func (b *Bus) awaitRoom() (int, error) {
	for {
		b.mu.Lock()
		room := b.flight.room()
		b.mu.Unlock()
		if room > 0 {
			return room, nil
		}
		select {
		case <-b.roomy:
		case <-b.closing:
			return 0, net.ErrClosed
		case <-b.life.Over():
			return 0, b.life.Err()
		}
	}
}

// acquire waits for the port to be free to write.
func (b *Bus) acquire() error {
	select {
	case b.writing <- struct{}{}:
	case <-b.life.Over():
		return b.life.Err()
	}
	if err := b.life.Err(); err != nil {
		b.release()
		return err
	}
	return nil
}

func (b *Bus) release() { <-b.writing }

// send writes to the port.
func (b *Bus) send(text []byte) error {
	if err := b.acquire(); err != nil {
		return err
	}
	defer b.release()
	if _, err := b.port.Write(text); err != nil {
		b.fail(err)
		return b.life.Err()
	}
	return nil
}

// appendFence has a fence written behind what is written next. Under mu and writing.
func (b *Bus) appendFence() {
	b.fenceSent = time.Now()
	b.fenceStatus = b.askStatus
	command := byte('V')
	if b.fenceStatus {
		command, b.askStatus, b.statusAsked = 'F', false, b.fenceSent
	}
	b.out = append(b.out, command, cr)
	b.flight.writeFence()
	b.fenceWanted = false
	b.fenceWritten = b.wire.written
}

// wrote follows a write to the port. Under mu.
func (b *Bus) wrote() {
	b.inWrite = false
	b.moved = time.Now()
}

// fail makes the loss of the adapter the error of every call.
func (b *Bus) fail(err error) {
	b.life.Fail(&LostError{Port: b.name, Err: lifetime.Cause(err)})
}

// needMind has mind look after what is on its way. Under mu.
func (b *Bus) needMind() {
	l := &b.flight
	now := !l.fenced && b.wantsFence()
	if now || !b.minding && (l.fenced || l.waiting() > 0) {
		b.minding = true
		signal(b.kick)
	}
}

// wantsFence reports whether a fence is to be sent at once. Under mu.
func (b *Bus) wantsFence() bool {
	return b.version != "" && (b.fenceWanted || b.askStatus || b.flight.doubt && b.flight.onWay() > 0)
}

// mind is the goroutine that sends fences, and that knows when answers do not come.
func (b *Bus) mind() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-b.kick:
		case <-timer.C:
		case <-b.life.Over():
			return
		}
		for {
			wait, send := b.tend()
			if !send {
				timer.Reset(wait)
				break
			}
			if b.sendFence() != nil {
				return
			}
		}
	}
}

// tend ends waits for answers that are over, and returns when to look again, or that a
// fence is to be sent.
func (b *Bus) tend() (wait time.Duration, send bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &b.flight
	canFence := b.version != "" && !l.fenced
	limit := answerTime + 4*b.roundTrip + time.Duration(l.waiting())*30*b.perChar
	switch {
	case canFence && b.wantsFence():
		return 0, true
	case l.fenced && !(l.mode == unknown && l.answered == l.settled):
		limit += fenceTime
	case !l.fenced && l.waiting() == 0:
		b.minding = false
		return time.Hour, false
	}
	now := time.Now()
	if b.inWrite {
		return answerTime, false
	}
	if wait = b.moved.Add(limit).Sub(now); wait > 0 {
		return min(wait, answerTime), false // the next wait may be shorter
	}
	if canFence {
		return 0, true
	}
	b.complain(now, l.timedOut())
	signal(b.roomy)
	b.change()
	b.minding = false
	return time.Hour, false
}

// sendFence sends a fence, unless one is on its way.
func (b *Bus) sendFence() error {
	if err := b.acquire(); err != nil {
		return err
	}
	defer b.release()
	b.mu.Lock()
	if b.flight.fenced {
		b.mu.Unlock()
		return nil
	}
	b.inWrite = true
	b.out = b.out[:0]
	b.appendFence()
	b.mu.Unlock()
	_, err := b.port.Write(b.out)
	b.mu.Lock()
	b.wrote()
	b.mu.Unlock()
	if err != nil {
		b.fail(err)
	}
	return err
}

// Flush implements [canbus.Flusher]. It waits until the adapter has answered all
// frames, or a command behind them, where it answers; and then for as long as they need
// on the wire, and a margin (see Options.Flush), as an answer says only that the adapter
// has the frame. It returns a [*DoubtError] if no answer comes, after a second and the
// time of the frames at most.
func (b *Bus) Flush(ctx context.Context) error {
	b.mu.Lock()
	b.flushing++
	target := b.flight.given
	limit := later(time.Now(), b.wire.free()).Add(flushTime)
	b.mu.Unlock()
	signal(b.roomy) // the port's reader must not wait for ReadFrames now
	defer func() {
		b.mu.Lock()
		b.flushing--
		b.mu.Unlock()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait, changed, err := b.flushed(target, limit)
		if err != nil || wait <= 0 {
			return err
		}
		timer.Reset(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.life.Over():
			return b.life.Err()
		}
	}
}

// flushed returns how long to wait for the frames before target; 0 if they are out.
func (b *Bus) flushed(target uint64, limit time.Time) (wait time.Duration, changed <-chan struct{}, err error) {
	if err := b.life.Err(); err != nil {
		return 0, nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &b.flight
	now := time.Now()
	known := l.settled
	if l.mode == silent && b.version != "" && !b.wire.written.Add(flushTime).Before(now) {
		known = b.proven // else it was taken long ago, if ever
	}
	if known < target {
		if now.Before(limit) {
			if l.mode == silent && !l.fenced {
				b.fenceWanted = true
				b.needMind()
			}
			return limit.Sub(now), b.changed, nil
		}
		return 0, nil, &DoubtError{Port: b.name, Frames: int(target - known)}
	}
	out := b.wire.free().Add(b.flushMore)
	if limit = limit.Add(b.flushMore); out.After(limit) {
		out = limit
	}
	if target == 0 {
		return 0, nil, nil
	}
	return out.Sub(now), b.changed, nil
}

// Close implements [canbus.Bus]. It waits as [Bus.Flush] does, and then closes the
// adapter's channel, unless the adapter takes no commands. What Flush would return is
// logged.
func (b *Bus) Close() error {
	b.closeOnce.Do(func() {
		close(b.closing)
		if err := b.Flush(context.Background()); err != nil && !errors.Is(err, net.ErrClosed) {
			b.log.Warn("slcan: closed before it is known that all frames were sent", "err", err)
		}
		b.shutDown()
	})
	return nil
}

// shutDown closes the adapter's channel, waits until the adapter says that it has the
// command, where it does, and ends the Bus.
func (b *Bus) shutDown() {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-b.life.Over():
	case <-timer.C:
	case b.writing <- struct{}{}:
		taken := make(chan struct{})
		go func() {
			defer close(taken)
			b.port.Write([]byte("C\r"))
			<-b.writing
		}()
		select {
		case <-taken:
		case <-timer.C:
		}
	}
	b.life.Close()
}
