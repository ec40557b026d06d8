// Package virtual makes CAN buses inside a process: for tests, simulations and
// examples, on every operating system. Importing it makes [canbus.Open] know
// the scheme "virtual":
//
//	bus, err := canbus.Open(ctx, "virtual:demo")
//
// All callers that open the same name are on the same bus, and each hears what the
// others write. The first caller makes the bus, and it vanishes with its last tap.
//
// A bus is ideal: infinitely fast, without loss, echoes and timestamps. [Create] makes one
// of that name that is otherwise, by its [Options], and [New] one without a name. With a bit
// rate each frame takes exactly its time on the wire, and frames arbitrate; with faults
// frames go wrong now and then.
//
// # What is lost
//
// A bus loses nothing unless Faults say so: a tap that does not read holds up all
// writers once its buffer is full. Only an observer ([Network.Observe]) loses frames
// that its buffer has no room for, and counts them ([Tap.Dropped]).
package virtual

import (
	"fmt"
	"math/bits"
	"net"
	"slices"
	"sync"

	"example.com/isotp/canbus"
)

// Options of a network. The zero value is an ideal bus.
type Options struct {
	// Classic: CAN FD frames are refused.
	Classic bool
	// Echo: each tap gets its own frames back with the flag Echo, and must read
	// them like any others. Bitrate, Faults and Intercept imply it.
	Echo bool
	// HangUp makes the last tap notice that it is alone: once all others have
	// been closed, its ReadFrames returns io.EOF after the last frame and its
	// WriteFrames io.ErrClosedPipe. Observers do not count. Without HangUp, frames
	// that no tap hears vanish without an error.
	HangUp bool

	// Bitrate is that of the wire, in bits per second; 0 means infinitely fast.
	// With it each tap is a CAN controller with a queue of frames to send; each
	// frame takes exactly its time (see [canbus.WireTime]); among frames that
	// wait the one with the lowest identifier goes first; taps receive frames,
	// and echoes of their own, when they have left the wire, with Timestamp. If
	// the process is late the wire is not: it catches up.
	Bitrate int
	// DataBitrate is that of the data phase of CAN FD frames with the flag BRS;
	// 0 means Bitrate.
	DataBitrate int
	// QueueLen is how many frames a tap's queue holds, the one on the wire
	// included; WriteFrames waits while it is full. 0 means 32. Without
	// Bitrate, Faults and Intercept there is no queue.
	QueueLen int

	// Faults are what goes wrong; the zero value is nothing.
	Faults Faults
	// Seed is for the dice that Faults throw.
	Seed uint64
	// Intercept, if not nil, is called for each frame when its turn on the wire
	// has come, and decides what happens to it, beside Faults. It may change
	// the frame that the others receive; the sender's echo stays as it was. It
	// is called by one goroutine at a time, which may be any caller's, and must not
	// call the network or its taps.
	Intercept func(f *canbus.Frame) Verdict

	// BufferLen is how many received frames a tap holds for its reader,
	// rounded up to a power of two; 0 means 512.
	BufferLen int
}

const (
	// defaultBufferLen has room for some batches on their way and stays in a
	// core's first cache.
	defaultBufferLen = 512
	maxBufferLen     = 1 << 20
	defaultQueueLen  = 32
)

// A Network is a virtual bus.
type Network struct {
	name    string // "" in private networks
	options Options

	// mu is held while frames are put into the taps' rings, so that all taps
	// see all frames in the same order. Locked after registry.mu.
	mu sync.Mutex
	// room is signalled when a writer that waits should look again.
	room   sync.Cond
	taps   []*Tap
	closed bool
	// sim moves the frames on a network that is not ideal, else nil.
	sim *simulation
}

// New returns a private network, which cannot be opened by name.
func New(o Options) (*Network, error) { return newNetwork("", o) }

func newNetwork(name string, o Options) (*Network, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	n := &Network{name: name, options: o}
	n.room.L = &n.mu
	if o.Bitrate > 0 || o.faulty() {
		n.sim = newSimulation(n)
	}
	return n, nil
}

// faulty reports whether frames can fare otherwise than on an ideal bus.
func (o *Options) faulty() bool { return o.Faults.any() || o.Intercept != nil }

// setDefaults checks the options and puts the defaults in.
func (o *Options) setDefaults() error {
	switch {
	case o.Bitrate < 0:
		return fmt.Errorf("virtual: Bitrate %d is negative (0 means infinitely fast)", o.Bitrate)
	case o.DataBitrate < 0:
		return fmt.Errorf("virtual: DataBitrate %d is negative (0 means the same as Bitrate)", o.DataBitrate)
	case o.DataBitrate > 0 && o.Bitrate == 0:
		return fmt.Errorf("virtual: DataBitrate %d without Bitrate (set both)", o.DataBitrate)
	case o.QueueLen < 0:
		return fmt.Errorf("virtual: QueueLen %d is negative (0 means %d)", o.QueueLen, defaultQueueLen)
	case o.BufferLen < 0 || o.BufferLen > maxBufferLen:
		return fmt.Errorf("virtual: BufferLen %d is not 1 to %d (0 means %d)", o.BufferLen, maxBufferLen, defaultBufferLen)
	}
	if o.QueueLen == 0 {
		o.QueueLen = defaultQueueLen
	}
	if o.BufferLen == 0 {
		o.BufferLen = defaultBufferLen
	}
	if o.faulty() {
		o.BufferLen = max(o.BufferLen, maxNeed)
	}
	o.BufferLen = 1 << bits.Len(uint(o.BufferLen-1))
	o.Echo = o.Echo || o.Bitrate > 0 || o.faulty()
	return o.Faults.setDefaults()
}

// Tap joins the network. All other taps read what the tap writes, and the reverse.
// A tap that does not read holds up the whole bus once its buffer is full.
func (n *Network) Tap() (*Tap, error) { return n.tap(false) }

// Observe joins the network with a tap that never holds it up, for loggers:
// frames that find its buffer full are dropped, and counted in [Tap.Dropped].
func (n *Network) Observe() (*Tap, error) { return n.tap(true) }

func (n *Network) tap(observer bool) (*Tap, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, net.ErrClosed
	}
	return n.join(observer), nil
}

// Close lets go of the network: it makes no new taps and, if it has a name,
// loses it with its last tap. The taps there are live on until they are closed.
// A second Close does nothing.
func (n *Network) Close() error {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.forget()
	return nil
}

// join adds a tap. Called with the lock held.
func (n *Network) join(observer bool) *Tap {
	t := &Tap{network: n, observer: observer}
	t.rx.init(n.options.BufferLen, n.sim != nil)
	if n.sim != nil {
		n.sim.join()
	}
	n.taps = append(n.taps, t)
	if !observer {
		for _, other := range n.taps {
			other.state.CompareAndSwap(hungUp, open)
		}
	}
	return t
}

// leave takes a tap out.
func (n *Network) leave(t *Tap) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.Index(n.taps, t)
	if i < 0 {
		return
	}
	n.taps = slices.Delete(n.taps, i, i+1)
	t.state.Store(closed)
	t.rx.rouse()
	if n.sim != nil {
		n.sim.leave(t)
	}
	if n.options.HangUp && !t.observer {
		for _, other := range n.taps {
			if !n.hasPeer(other) {
				other.state.Store(hungUp)
				other.rx.rouse()
			}
		}
	}
	n.room.Broadcast()
	n.forget()
}

// hasPeer reports whether there is another tap that is no observer.
func (n *Network) hasPeer(t *Tap) bool {
	return slices.ContainsFunc(n.taps, func(o *Tap) bool { return o != t && !o.observer })
}

// put hands the tap's frames on, as many as there is room for, and returns how
// many and, if not all and it is another tap's fault, that tap. Called with the
// lock held.
func (n *Network) put(t *Tap, b []canbus.Frame) (k int, full *Tap) {
	if n.sim != nil {
		return n.sim.enqueue(t, b), nil
	}
	k = len(b)
	for _, other := range n.taps {
		if other == t && !n.options.Echo {
			continue
		}
		if r := other.room(b[:k], other == t); r < k {
			k, full = r, other
		}
	}
	if k == 0 {
		return 0, full
	}
	for _, other := range n.taps {
		if other != t {
			other.receive(b[:k], 0)
		} else if n.options.Echo {
			other.receive(b[:k], canbus.Echo)
		}
	}
	return k, full
}
