package virtual

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
)

var (
	_ canbus.Bus          = (*Tap)(nil)
	_ canbus.Describer    = (*Tap)(nil)
	_ canbus.TryWriter    = (*Tap)(nil)
	_ canbus.FilterSetter = (*Tap)(nil)
	_ canbus.DropCounter  = (*Tap)(nil)
)

// A Tap is one user's connection to a [Network], a [canbus.Bus].
type Tap struct {
	network  *Network
	observer bool
	state    atomic.Uint32
	rx       ring
	dropped  atomic.Uint64

	// filters, nil for all frames, are guarded by the network's lock.
	filters *filterSet
	// tx, where the network is not ideal, too.
	tx controller
}

// The states of a tap.
const (
	open uint32 = iota
	hungUp
	closed
)

// spins is how often a caller looks again before it sleeps. To be woken takes
// longer than to receive a batch, so it pays to wait a little for the next one.
const spins = 4

// ReadFrames implements [canbus.Bus].
func (t *Tap) ReadFrames(b []canbus.Frame) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for spin := 0; ; spin++ {
		// Look at the state first: when it is hungUp, all frames that the others wrote
		// before they closed are in the ring.
		state := t.state.Load()
		if state == closed {
			return 0, net.ErrClosed
		}
		if n := t.rx.take(b); n > 0 {
			if t.rx.awaited.Load() {
				t.network.roomMade(t)
			}
			return n, nil
		}
		switch {
		case state == hungUp:
			return 0, io.EOF
		case spin < spins:
			runtime.Gosched()
		default:
			t.rx.sleep(t.notOpen)
		}
	}
}

func (t *Tap) notOpen() bool { return t.state.Load() != open }

// WriteFrames implements [canbus.Bus]. It waits while the buffer of a tap that
// wants the first frame is full, or on a network that is not ideal, while this
// tap's own queue is. A frame that is not valid (see [canbus.Frame.Validate]) is
// refused, after those before it were taken.
func (t *Tap) WriteFrames(b []canbus.Frame) (int, error) { return t.write(b, true) }

// TryWriteFrames implements [canbus.TryWriter].
func (t *Tap) TryWriteFrames(b []canbus.Frame) (int, error) { return t.write(b, false) }

func (t *Tap) write(b []canbus.Frame, wait bool) (int, error) {
	n := t.network
	good, bad := canbus.CheckFrames(b, n.refuse())
	if good == 0 {
		return 0, bad
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for spin := 0; ; spin++ {
		switch t.state.Load() {
		case closed:
			return 0, net.ErrClosed
		case hungUp:
			return 0, io.ErrClosedPipe
		}
		k, full := n.put(t, b[:good])
		switch {
		case k == good:
			return k, bad
		case k > 0 || !wait:
			return k, nil
		case full == nil:
			n.room.Wait()
		case spin < spins:
			n.mu.Unlock()
			runtime.Gosched()
			n.mu.Lock()
		default:
			full.rx.awaited.Store(true)
			if full.rx.room() == 0 {
				n.room.Wait()
			}
		}
	}
}

// refuse returns what refuses CAN FD frames on a classic CAN bus; nil on others.
func (n *Network) refuse() func(f *canbus.Frame) error {
	if !n.options.Classic {
		return nil
	}
	return func(f *canbus.Frame) error {
		if f.Has(canbus.FD) {
			return fmt.Errorf("virtual: CAN FD frame %X on a classic CAN bus (leave FD out, or make the network without Options.Classic)", f.ID)
		}
		return nil
	}
}

// roomMade is called by the tap's reader when a writer waits for room in the tap's
// ring.
func (n *Network) roomMade(t *Tap) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t.rx.awaited.Store(false)
	n.wake()
}

// wake lets the writers that wait for room look again. Called with the lock held.
func (n *Network) wake() {
	n.room.Broadcast()
	if n.sim != nil {
		n.sim.resume()
	}
}

// room returns how many of the frames, its own or another tap's, the tap can
// receive. Called with the network's lock held, as receive.
func (t *Tap) room(b []canbus.Frame, own bool) int {
	if t.observer {
		return len(b)
	}
	room := t.rx.room()
	if room >= len(b) {
		return len(b)
	}
	if t.filters == nil || own {
		return room
	}
	for i := range b {
		if t.wants(&b[i]) {
			if room == 0 {
				return i
			}
			room--
		}
	}
	return len(b)
}

// receive puts frames into the tap's ring, those that pass its filters, with
// the flags added: Echo for its own frames.
func (t *Tap) receive(b []canbus.Frame, add canbus.Flags) {
	if t.filters == nil || add&canbus.Echo != 0 {
		t.buffer(b, add)
		return
	}
	for i := 0; i < len(b); {
		// Runs of frames that pass go in together, and most are of one identifier.
		j := i
		for j < len(b) && (j > i && sameWay(&b[j], &b[j-1]) || t.wants(&b[j])) {
			j++
		}
		t.buffer(b[i:j], add)
		i = j + 1
	}
}

// report puts one of the controller's own error frames into the ring.
func (t *Tap) report(f canbus.Frame) { t.buffer([]canbus.Frame{f}, 0) }

func (t *Tap) buffer(b []canbus.Frame, add canbus.Flags) {
	if room := t.rx.room(); room < len(b) {
		t.dropped.Add(uint64(len(b) - room))
		b = b[:room]
	}
	if len(b) > 0 {
		t.rx.put(b, add)
		t.rx.rouse()
	}
}

// sameWay reports whether two frames are the same to filters.
func sameWay(f, g *canbus.Frame) bool { return f.ID == g.ID && f.Flags == g.Flags }

// wants reports whether a frame of another tap passes the filters.
func (t *Tap) wants(f *canbus.Frame) bool {
	return t.filters == nil || f.Has(canbus.ErrorFrame) || t.filters.match(f)
}

// SetFilters implements [canbus.FilterSetter]. Frames that were received before
// stay.
func (t *Tap) SetFilters(filters []canbus.Filter) error {
	set := newFilterSet(filters)
	n := t.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.state.Load() == closed {
		return net.ErrClosed
	}
	if n.sim != nil {
		n.sim.advance(n.sim.now()) // what has happened went by the old filters
	}
	t.filters = set
	n.wake() // a writer may wait to hand over a frame that is no longer wanted
	return nil
}

// Properties implements [canbus.Describer].
func (t *Tap) Properties() canbus.Properties {
	o := &t.network.options
	p := canbus.Properties{
		FD:          !o.Classic,
		Echo:        o.Echo,
		QueueLen:    o.QueueLen,
		Bitrate:     o.Bitrate,
		DataBitrate: o.DataBitrate,
		WireRate:    o.Bitrate > 0,
		InProcess:   true,
	}
	if t.network.sim == nil {
		p.QueueLen = o.BufferLen // it is the receivers' buffers where frames wait
	} else if p.DataBitrate == 0 {
		p.DataBitrate = p.Bitrate
	}
	return p
}

// BusOff takes the tap's controller off the bus for that long, for ever if d is
// 0, as too many errors do: what it has to send is gone without an echo, it
// receives nothing, and what is written waits in its queue until it is back.
// Its reader gets a SocketCAN error frame of class 0x40 (bus-off) now, and one
// of class 0x100 (restarted) at the end. An ideal network has no controllers;
// BusOff is an error there.
func (t *Tap) BusOff(d time.Duration) error {
	n := t.network
	if n.sim == nil {
		return errors.New("virtual: BusOff on an ideal network (set Options.Bitrate, Faults or Intercept)")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.state.Load() == closed {
		return net.ErrClosed
	}
	now := n.sim.now()
	n.sim.advance(now)
	n.sim.busOff(t, now, d)
	n.sim.advance(now)
	return nil
}

// Dropped implements [canbus.DropCounter]: it returns how many frames were lost because
// the tap's buffer was full. Those are an observer's (see [Network.Observe]): any other
// tap that does not read holds up all others, and loses nothing.
func (t *Tap) Dropped() uint64 { return t.dropped.Load() }

// Close implements [canbus.Bus]. Frames that it has not yet sent are gone.
func (t *Tap) Close() error {
	t.network.leave(t)
	return nil
}
