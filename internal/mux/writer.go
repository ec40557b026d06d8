package mux

import (
	"errors"
	"net"
	"slices"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/echo"
	"example.com/isotp/internal/engine"
)

// writer takes frames from the engines to the bus. A goroutine that has given an engine
// something to send writes it, as long as the bus takes it at once (a
// canbus.TryWriter) and for a few rounds; what needs waiting is left to the writer's
// own goroutine. Only one goroutine writes at a time: the one that found busy false.
type writer struct {
	m    *Mux
	try  func([]canbus.Frame) (int, error) // of a canbus.TryWriter, or nil
	busy bool

	// Endpoints that may have something to send stand in ready; those that have
	// a flow control to send stand in urgent too.
	urgent, ready line
	unwatched     bool // some may stand in ready that watch was not called for
	inMemory      bool // frames take no time on the bus

	// What was taken from the engines and not yet by the bus.
	out       [batch]canbus.Frame
	owners    [batch]owner
	head, end int
	paced     bool // STmin runs from when one of them is on the wire

	// inFlight are the frames not yet echoed, where the bus echoes, in the order of
	// writing. Those in out belong to them: an echo may be quicker than the
	// return from the call that wrote the frame.
	inFlight    []pendingEcho
	maxInFlight int
	// free is when all frames have left the wire that were echoed, where echoes say
	// only that the controller has taken a frame.
	free engine.Time

	kick chan struct{} // wakes the goroutine; nil until it is needed
	idle chan struct{} // closed when busy ends; nil if no goroutine waits for that
}

// An owner is the endpoint of a frame, and the frame's number in its engine.
type owner struct {
	endpoint *Endpoint
	number   uint32
}

// A pendingEcho is a frame in flight, whose echo has not come.
type pendingEcho struct {
	owner
	frame canbus.Frame
}

func (p *pendingEcho) sent() *canbus.Frame { return &p.frame }

// tell has the frame tell what its echo does: when it was on the wire, and of which channel.
func (p *pendingEcho) tell(echo *canbus.Frame) {
	p.frame.Flags |= echo.Flags & canbus.Timed
	p.frame.Timestamp, p.frame.Channel = echo.Timestamp, echo.Channel
}

const (
	// lastWrite is how long a write may take once reading has failed, or the bus is to
	// be closed.
	lastWrite = time.Second
	// maxTurns is how many endpoints at most have their turn in a batch.
	maxTurns = 8
	// manyReady is how many endpoints in line, with their messages, caches hold.
	manyReady = 256
	// maxRound is how many frames at most the longer turns of all in line make together,
	// so that the line is through within a fraction of any time-out.
	maxRound = 1 << 20
	// maxRounds is how many batches others than the goroutine write in a row.
	maxRounds = 16
	// unknownQueue is how many frames may be on their way to a bus that echoes
	// but does not say how long its queue is: SocketCAN's drivers have 10.
	unknownQueue = 8
)

func (w *writer) init(m *Mux) {
	w.m = m
	if t, ok := m.bus.(canbus.TryWriter); ok {
		w.try = t.TryWriteFrames
	}
	w.urgent.next = func(ep *Endpoint) **Endpoint { return &ep.nextUrgent }
	w.ready.next = func(ep *Endpoint) **Endpoint { return &ep.nextReady }
	w.inMemory = m.props.InProcess && m.props.Bitrate == 0
	if m.props.Echo {
		w.maxInFlight = unknownQueue
		if q := m.props.QueueLen; q > 0 {
			w.maxInFlight = max(1, min(q*3/4, batch))
		}
	}
}

// A line is a queue of endpoints, none of them twice.
type line struct {
	first, last *Endpoint
	count       int
	next        func(*Endpoint) **Endpoint
}

func (l *line) push(ep *Endpoint) {
	if l.first == nil {
		l.first = ep
	} else {
		*l.next(l.last) = ep
	}
	l.last = ep
	l.count++
}

func (l *line) pop() *Endpoint {
	ep := l.first
	if ep != nil {
		next := l.next(ep)
		l.first, *next = *next, nil
		l.count--
	}
	return ep
}

// enqueue puts an endpoint in line. Under mu.
func (w *writer) enqueue(now engine.Time, ep *Endpoint) {
	if ep.closed {
		return
	}
	if !ep.isUrgent && ep.engine.FlowControlPending() {
		ep.isUrgent = true
		w.urgent.push(ep)
	}
	if !ep.isReady {
		ep.isReady = true
		ep.readySince = now
		w.ready.push(ep)
	}
	if w.busy || w.full() {
		w.watch(ep)
	} else {
		w.unwatched = true
	}
}

// watch has an endpoint in line called when it has stood there for N_As: its
// engine is not asked for time-outs before it is its turn. Under mu.
func (w *writer) watch(ep *Endpoint) {
	w.m.schedule(ep, ep.readySince.Add(ep.stallTimeout))
}

// watchLine watches the endpoints in line while the bus is being written to, which may last:
// in memory only if it is waited for room. Under mu.
func (w *writer) watchLine() {
	if !w.unwatched {
		return
	}
	w.unwatched = false
	for ep := w.ready.first; ep != nil; ep = ep.nextReady {
		if !ep.closed {
			w.watch(ep)
		}
	}
}

// watchOut has the endpoints called in time whose frames are about to be written: that, or
// an echo, may last. Under mu.
func (w *writer) watchOut() {
	var last *Endpoint
	for _, o := range w.owners[w.head:w.end] {
		if o.endpoint != last {
			last = o.endpoint
			w.m.reschedule(last)
		}
	}
}

// checkStalled ends what an endpoint wants to send if it has stood in line, with
// nothing taken, for longer than N_As. Under mu.
func (w *writer) checkStalled(now engine.Time, ep *Endpoint) {
	if ep.isReady && now >= ep.readySince.Add(ep.stallTimeout) {
		ep.engine.HandleStalled(now)
		ep.readySince = now
	}
}

// wanted reports whether run has something to do. Under mu.
func (w *writer) wanted() bool {
	return !w.busy && (w.ready.first != nil || w.head < w.end) && w.m.err == nil
}

// full: no more frames may be on their way.
func (w *writer) full() bool { return w.maxInFlight > 0 && len(w.inFlight) >= w.maxInFlight }

// run writes what can be written without waiting. Under mu, which it releases meanwhile.
func (w *writer) run(now engine.Time) {
	if w.try != nil && w.pump(now, w.try, maxRounds) {
		return
	}
	if w.m.err != nil || w.busy || !w.fill(now) {
		return
	}
	if w.kick == nil {
		w.kick = make(chan struct{}, 1)
		go w.loop(w.kick)
	}
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// loop is the goroutine that writes where the bus may block.
func (w *writer) loop(kick <-chan struct{}) {
	m := w.m
	for range kick {
		for done := false; !done; {
			m.mu.Lock()
			done = w.pump(m.now(), m.bus.WriteFrames, 0)
			m.release()
			if !done {
				time.Sleep(pause) // until the bus has room
			}
		}
	}
}

// stop ends the goroutine.
func (w *writer) stop() {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if w.kick != nil {
		close(w.kick)
		w.kick = nil
	}
}

// pump writes until there is nothing to write, and returns true; or until the
// bus takes nothing more, or for so many rounds, and returns false. If another
// goroutine is at it, nothing is left to do. At last it calls handlers, as Mux.unlock does.
// Under mu, which it releases for the calls and while it writes.
func (w *writer) pump(now engine.Time, write func([]canbus.Frame) (int, error), rounds int) (done bool) {
	m := w.m
	if w.busy {
		return true
	}
	w.busy = true
	for round := 1; ; round++ {
		if done = m.err != nil || !w.fill(now); done {
			break
		}
		if rounds == 0 || !w.inMemory || w.maxInFlight > 0 {
			w.watchLine()
			w.watchOut()
		}
		frames := w.out[w.head:w.end]
		m.reports.beginWrite(now)
		m.mu.Unlock()
		n, err := write(frames)
		if rounds == 0 || w.paced || !w.inMemory { // else it was no more than a copy
			now = m.now()
		}
		m.mu.Lock()
		m.reports.ended = true
		w.written(now, n, err)
		m.reports.endWrite()
		m.serve(now)
		if n < len(frames) && (err == nil && rounds > 0 || err != nil && errors.Is(err, canbus.ErrTemporary)) || round == rounds {
			break
		}
	}
	w.busy = false
	if m.err != nil {
		m.abortSends()
		m.serve(now)
	}
	if w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
	if m.handlers.wanted() {
		m.handlers.run(m, now)
	}
	return done
}

// finish, once the bus has failed, waits for the call that writes, but not for
// ever, and ends what is being sent.
func (w *writer) finish() {
	m := w.m
	w.awaitIdle()
	m.mu.Lock()
	m.abortSends()
	m.unlock(m.now())
}

// awaitIdle waits until no goroutine writes, at most lastWrite. It reports whether that is so.
func (w *writer) awaitIdle() bool {
	m := w.m
	m.mu.Lock()
	if !w.busy {
		m.mu.Unlock()
		return true
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	m.mu.Unlock()
	timer := time.NewTimer(lastWrite)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}

// fill takes frames from the engines, flow control first and then from each in
// turn, unless there are some left. It reports whether there are any. Under mu.
func (w *writer) fill(now engine.Time) bool {
	if w.head < w.end {
		w.withdraw(now)
	}
	if w.head < w.end {
		return true
	}
	w.head, w.end, w.paced = 0, 0, false
	room := batch
	if w.maxInFlight > 0 {
		if w.full() {
			w.dropStale()
		}
		room = min(batch, w.maxInFlight-len(w.inFlight))
	}
	for room > 0 {
		ep := w.urgent.pop()
		if ep == nil {
			break
		}
		ep.isUrgent = false
		room -= w.poll(now, ep, 1)
	}
	if w.ready.first == nil || room <= 0 {
		return w.head < w.end
	}
	share := w.share(room)
	for room > 0 {
		ep := w.ready.pop()
		if ep == nil {
			break
		}
		want, got := min(share, room), 0
		if ep.engine.Sendable() { // its flow control may have been all
			got = w.poll(now, ep, want)
		}
		room -= got
		if got == want {
			ep.readySince = now
			w.ready.push(ep) // there may be more
			continue
		}
		ep.isReady = false
	}
	return w.head < w.end
}

// share returns how many of the frames that there is room for one endpoint in line may take.
// Where very many stand in line each takes a few at a time, as to turn from one to the next
// costs more than a frame. On a bus in memory it takes more where the processor's caches
// do not hold them all: then a turn costs more than ten frames. Under mu.
func (w *writer) share(room int) int {
	share := max(1, room/w.ready.count, room/maxTurns)
	if w.inMemory && w.ready.count > manyReady {
		share = max(share, min(room, maxRound/w.ready.count))
	}
	return share
}

// poll takes up to n frames from an endpoint's engine.
func (w *writer) poll(now engine.Time, ep *Endpoint, n int) int {
	if ep.closed {
		return 0
	}
	frames := w.out[w.end : w.end+n]
	n = ep.engine.PollTransmit(now, frames)
	w.paced = w.paced || ep.engine.Paced()
	number := ep.engine.Handed() - uint32(n)
	for i := range frames[:n] {
		number++
		w.owners[w.end] = owner{ep, number}
		w.end++
		if w.maxInFlight > 0 {
			w.inFlight = append(w.inFlight, pendingEcho{owner{ep, number}, frames[i]})
		}
	}
	ep.wake()
	if n == 0 {
		w.m.reschedule(ep) // it waits for something; for others see pump
	}
	return n
}

// runTo returns the next frames of one endpoint, with numbers in a row, of those before to,
// and the owner of the first. An observer wants to be told of each in its order: there is only
// one frame then. Under mu.
func (w *writer) runTo(to int) ([]canbus.Frame, owner) {
	o := w.owners[w.head]
	n := 1
	for o.endpoint.Observer == nil && w.head+n < to && w.owners[w.head+n] == (owner{o.endpoint, o.number + uint32(n)}) {
		n++
	}
	return w.out[w.head : w.head+n], o
}

// written follows a call that wrote n frames. Under mu.
func (w *writer) written(now engine.Time, n int, err error) {
	m := w.m
	to := min(w.head+n, w.end)
	if w.maxInFlight > 0 {
		w.head = to // echoed does the rest
	}
	for w.head < to {
		run, o := w.runTo(to)
		w.head += len(run)
		ep, last := o.endpoint, &run[len(run)-1]
		ep.reportFrame(m.reports.begun, last, FrameSent)
		ep.engine.HandleTransmitted(w.leaves(now, last), o.number, o.number+uint32(len(run))-1)
		m.touch(ep)
		if m.shared() && m.hearsItself(ep, last) {
			for len(run) > 0 { // other endpoints of this bus hear it too
				run = run[m.deliver(now, run, ep):]
			}
		}
	}
	switch {
	case err == nil || errors.Is(err, canbus.ErrTemporary):
	case errors.Is(err, net.ErrClosed):
		m.fail(err)
	case w.head < w.end: // the next frame is at fault
		o := w.owners[w.head]
		w.head++
		w.dropEcho(o)
		o.endpoint.refused(now, o.number, m.busError(err))
	}
}

// echoed follows the echo of a frame: it is on the wire, or comes there (see
// canbus.Properties.EchoAtHandover), and so are those of the same
// identifier before it, whose echoes were lost. It returns the endpoint that sent the
// frame, nil if the echo is not waited for any more. Under mu.
func (w *writer) echoed(now engine.Time, f *canbus.Frame) *Endpoint {
	found := w.find(f)
	if found < 0 {
		return nil
	}
	at := now
	if w.m.props.EchoAtHandover {
		w.free = w.leaves(max(now, w.free), f)
		at = w.free
	}
	from := w.inFlight[found].endpoint
	left := w.inFlight[:0]
	for i := range w.inFlight {
		x := &w.inFlight[i]
		if i > found || !echo.Proves(f, &x.frame) {
			left = append(left, *x)
			continue
		}
		if i == found {
			x.tell(f)
		}
		if x.endpoint.Observer != nil {
			x.endpoint.reportFrame(now, &x.frame, FrameSent)
		}
		x.endpoint.engine.HandleTransmitted(at, x.number, x.number)
		w.m.touch(x.endpoint)
	}
	clear(w.inFlight[len(left):])
	w.inFlight = left
	return from
}

// refused follows the return of a frame that the bus had taken, and will not send. Those
// before it have had their echoes, or are proved by a later one. Under mu.
func (w *writer) refused(now engine.Time, f *canbus.Frame) {
	found := w.find(f)
	if found < 0 {
		return // it is not waited for any more
	}
	x := w.inFlight[found]
	w.inFlight = slices.Delete(w.inFlight, found, found+1)
	x.endpoint.refused(now, x.number, &canbus.RefusedError{Frame: x.frame})
}

// find returns which of the frames in flight an echo is of; negative: of none. Under mu.
func (w *writer) find(f *canbus.Frame) int {
	return echo.Find(f, w.inFlight, (*pendingEcho).sent, (*pendingEcho).stale)
}

// leaves is when a frame has left the wire that comes there now, as far as that is known.
func (w *writer) leaves(now engine.Time, f *canbus.Frame) engine.Time {
	p := &w.m.props
	if p.Bitrate == 0 {
		return now
	}
	return now.Add(canbus.WireTime(f, p.Bitrate, p.DataBitrate))
}

// withdraw takes back what the bus has not taken and belongs to something that has
// ended. Under mu.
func (w *writer) withdraw(now engine.Time) {
	end := w.head
	for i := w.head; i < w.end; i++ {
		if o := w.owners[i]; o.stale() {
			w.dropEcho(o)
			o.endpoint.engine.HandleWithdrawn(o.number)
			w.m.retryHeld(now)
			continue
		}
		if end != i {
			w.out[end], w.owners[end] = w.out[i], w.owners[i]
		}
		end++
	}
	w.end = end
}

// stale: the frame belongs to something that has ended.
func (o *owner) stale() bool {
	return o.endpoint.closed || o.endpoint.engine.Withdrawn(o.number)
}

func (w *writer) dropEcho(o owner) {
	w.inFlight = slices.DeleteFunc(w.inFlight, func(x pendingEcho) bool { return x.owner == o })
}

// dropStale stops to wait for the echoes of frames whose messages have ended. Under mu.
func (w *writer) dropStale() {
	w.inFlight = slices.DeleteFunc(w.inFlight, func(x pendingEcho) bool { return x.stale() })
}
