// Package account keeps the frames of a bus whose driver has a goroutine that listens to an
// adapter: those that were written, until their echoes say that they are on the wire, and
// those that have come, until ReadFrames returns them.
package account

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/fifo"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/line"
	"example.com/isotp/internal/echo"
)

const (
	// MaxInFlight is how many frames may be in flight: the properties of a bus say it as
	// QueueLen. More would only make the frames wait that are written after them.
	MaxInFlight = 64
	// maxUnread is how many frames may wait for ReadFrames, and beside them how many echoes
	// may wait, with the frames in flight, which become echoes.
	maxUnread = 4096
	// patience is how long frames in flight may make no progress, beyond their time on the
	// wire, until Flush gives them up.
	patience = time.Second
	// flushMore is how much longer than frames take on the wire Flush waits without echoes.
	flushMore = 20 * time.Millisecond
)

// An Account is that of one bus. Its methods may be called at any time.
type Account struct {
	life                 *lifetime.Lifetime
	name                 string // of the bus, in errors
	bitrate, dataBitrate int
	pace                 *line.Line // of a bus without echoes; else nil

	readable chan struct{} // a token: there may be something to read
	roomy    chan struct{} // a token: there may be room to write

	mu       sync.Mutex
	flight   fifo.Queue[canbus.Frame] // written, without an echo yet
	written  uint64                   // how many were
	doubtful uint64                   // how many had been when echoes may have been lost
	unread   fifo.Queue[canbus.Frame]
	echoes   int           // of those unread
	moved    time.Time     // when a frame was last written, or had its echo
	flushing int           // calls of Flush
	changed  chan struct{} // closed and replaced when frames have left the flight, while flushing

	dropped atomic.Uint64
}

// New returns an account that is empty. The name begins errors, as "pcan: USB1". The bit rates
// are those of the wire, as for [canbus.WireTime].
func New(life *lifetime.Lifetime, name string, bitrate, dataBitrate int) *Account {
	return &Account{
		life: life, name: name, bitrate: bitrate, dataBitrate: dataBitrate,
		readable: make(chan struct{}, 1), roomy: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// Pace makes it the account of a bus without echoes, before it is used: frames are written no
// faster than the wire takes them, and none is in flight.
func (a *Account) Pace() { a.pace = &line.Line{Bitrate: a.bitrate, DataBitrate: a.dataBitrate} }

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Admit waits until frames may be written, and returns those that may be now: at least one, or
// else err. bad is why the frame behind them is refused, as by [canbus.CheckFrames]; nil if it
// may be written later.
func (a *Account) Admit(frames []canbus.Frame, refuse func(*canbus.Frame) error) (admitted []canbus.Frame, bad, err error) {
	good, bad := canbus.CheckFrames(frames, refuse)
	if err := a.life.WriteErr(); err != nil {
		return nil, nil, err
	}
	if good == 0 {
		return nil, nil, bad
	}
	n, err := a.await(frames[:good])
	if n < good {
		bad = nil
	}
	return frames[:n], bad, err
}

// await waits until there is room, and returns for how many of the frames. It ends when nothing
// more may be written.
func (a *Account) await(frames []canbus.Frame) (int, error) {
	if a.pace != nil {
		return a.pace.AdmitSome(frames, a.life.Sleep)
	}
	for {
		if err := a.life.WriteErr(); err != nil {
			return 0, err
		}
		if room := a.room(); room > 0 {
			return min(room, len(frames)), nil
		}
		select {
		case <-a.roomy:
		case <-a.life.Stopped():
		}
	}
}

func (a *Account) room() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.flight.Len()
	return min(MaxInFlight-n, maxUnread-n-a.echoes)
}

// Write adds a frame that is about to be given to the adapter: its echo may come before that
// has returned.
func (a *Account) Write(f *canbus.Frame) {
	if a.pace != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	x := *f
	x.Strip()
	if x.Has(canbus.Remote) {
		clear(x.Data[:]) // no data come back
	}
	a.flight.Push(x)
	a.written++
	a.moved = time.Now()
}

// TakeBack removes the frame that was written last: the adapter says that it has not taken it.
// It reports false if that is not so, because the frame's echo has come.
func (a *Account) TakeBack() bool {
	if a.pace != nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.flight.Len() == 0 {
		return false
	}
	a.flight.Truncate(a.flight.Len() - 1)
	a.written--
	a.doubtful = min(a.doubtful, a.written)
	a.change()
	return true
}

// Echo takes the echo of a frame, stamped with when it was on the wire. Echoes come in order:
// a frame before that one without an echo was not sent, and comes back as refused, unless
// its echo may have been lost (see [Account.Overrun]). The echo of a frame that is not in
// flight, because it was given up, is ignored.
func (a *Account) Echo(f *canbus.Frame) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.flight.Waiting(), func(x canbus.Frame) bool { return echo.Of(f, &x) })
	if i < 0 {
		return
	}
	first := a.written - uint64(a.flight.Len())
	for k := range i {
		a.settle(f, first+uint64(k) >= a.doubtful)
	}
	a.settle(f, false)
	a.moved = time.Now()
	a.change()
}

// settle gives the oldest frame in flight back, with the time of f. Under mu.
func (a *Account) settle(f *canbus.Frame, refused bool) {
	x := a.flight.Pop()
	x.Flags |= canbus.Echo
	if refused {
		x.Flags |= canbus.Refused
	}
	if f.Has(canbus.Timed) {
		x.Stamp(f.Timestamp)
	}
	a.unread.Push(x)
	a.echoes++
}

// RefuseAll gives all frames in flight back as refused, and returns how many: the adapter has
// thrown its queue away.
func (a *Account) RefuseAll() int { return a.settleAll(true) }

// EchoAll gives all frames in flight back as echoes, and returns how many: the adapter has
// nothing left to send, and the echoes were lost.
func (a *Account) EchoAll() int { return a.settleAll(false) }

func (a *Account) settleAll(refused bool) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.flight.Len()
	var now canbus.Frame
	now.Stamp(time.Now().UnixNano())
	for range n {
		a.settle(&now, refused)
	}
	a.change()
	return n
}

// change wakes the callers that wait for frames to leave the flight. Under mu.
func (a *Account) change() {
	if a.flushing > 0 {
		close(a.changed)
		a.changed = make(chan struct{})
	}
	signal(a.readable)
	signal(a.roomy)
}

// Push adds a frame that has come, or an error frame. If too many were not read it drops and
// counts the frame.
func (a *Account) Push(f *canbus.Frame) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unread.Len()-a.echoes >= maxUnread {
		a.dropped.Add(1)
		return
	}
	a.unread.Push(*f)
	signal(a.readable)
}

// Overrun counts frames that were lost before the driver could get them. Echoes may have been
// among them.
func (a *Account) Overrun(frames uint64) {
	a.dropped.Add(frames)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doubtful = a.written
}

// Dropped returns how many frames were lost: it is that of [canbus.DropCounter].
func (a *Account) Dropped() uint64 { return a.dropped.Load() }

// Read returns frames as [canbus.Bus].ReadFrames does. Those that came before the end are
// returned before it.
func (a *Account) Read(frames []canbus.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, a.life.Err()
	}
	for {
		if n := a.take(frames); n > 0 {
			return n, nil
		}
		select {
		case <-a.readable:
		case <-a.life.Over():
			if n := a.take(frames); n > 0 {
				return n, nil
			}
			return 0, a.life.Err()
		}
	}
}

func (a *Account) take(frames []canbus.Frame) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.unread.Take(frames)
	before := a.echoes
	for i := range frames[:n] {
		if frames[i].Has(canbus.Echo) {
			a.echoes--
		}
	}
	if a.echoes < before {
		signal(a.roomy)
	}
	return n
}

// InDoubt returns how many frames are in flight.
func (a *Account) InDoubt() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.flight.Len()
}

// A DoubtError is the error of Flush when frames have no echo.
type DoubtError struct {
	Name   string // of the bus
	Frames int
}

func (e *DoubtError) Error() string {
	return fmt.Sprintf("%s: %d frames in doubt: no echo says that they are on the wire (does another node acknowledge them, at this bit rate?)", e.Name, e.Frames)
}

// Flush waits until the frames that were written before have left the flight: it is that of
// [canbus.Flusher]. If none of them leaves it for one second beyond the time that all need
// on the wire, it returns a [*DoubtError].
func (a *Account) Flush(ctx context.Context) error {
	if a.pace != nil {
		return a.life.Linger(ctx, a.pace.Wait()+flushMore)
	}
	a.mu.Lock()
	target := a.written
	a.flushing++
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.flushing--
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		if err := a.life.Err(); err != nil {
			return err
		}
		doubt, limit, changed := a.before(target)
		wait := time.Until(limit)
		switch {
		case doubt == 0:
			return nil
		case wait <= 0:
			return &DoubtError{a.name, doubt}
		}
		timer.Reset(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-a.life.Over():
		}
	}
}

// before returns how many of the frames written before target are in flight, and until when
// one of them should have left.
func (a *Account) before(target uint64) (doubt int, limit time.Time, changed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := a.written - uint64(a.flight.Len())
	if target > first {
		doubt = int(min(target, a.written) - first)
	}
	limit = a.moved.Add(patience)
	for _, f := range a.flight.Waiting() {
		limit = limit.Add(canbus.WireTime(&f, a.bitrate, a.dataBitrate))
	}
	return doubt, limit, a.changed
}
