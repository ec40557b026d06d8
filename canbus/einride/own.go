package einride

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"example.com/isotp/canbus"
)

const (
	// ownMost is how many frames may be on their way back. Sockets have room for some
	// 250, and frames of others come in between.
	ownMost = 64
	// ownLate is after what time a frame that has not come back is taken for lost. A
	// computer with much to do may need a while.
	ownLate = 5 * time.Second
)

// own are the frames that were written and have not come back. They are what holds a
// writer up where there is no wire: else it would fill its own socket's buffer, from
// which frames of others would then be lost.
type own struct {
	// mark stands in the bytes of our frames that mean nothing, and makes them ours.
	mark [offsetData - offsetMark]byte

	mu     sync.Mutex
	frames []pendingEcho // oldest first
	news   chan struct{} // holds a token when there may be room
}

type pendingEcho struct {
	frame canbus.Frame
	since time.Time
}

func newOwn() *own {
	o := &own{news: make(chan struct{}, 1)}
	for o.mark == [len(o.mark)]byte{} { // which is that of everybody else
		rand.Read(o.mark[:])
	}
	return o
}

// add adds a frame, if there is room; else it returns for how long there is none, if
// nothing comes back. It is called before the frame is written: that may be back
// before Write is.
func (o *own) add(f *canbus.Frame) (ok bool, wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.forgetLost(now)
	if len(o.frames) >= ownMost {
		return false, o.frames[0].since.Add(ownLate).Sub(now)
	}
	o.frames = append(o.frames, pendingEcho{bare(*f), now})
	return true, 0
}

// takeBack takes the last one away, which was not written.
func (o *own) takeBack() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frames = o.frames[:max(len(o.frames)-1, 0)]
}

// is reports whether the raw bytes of a frame are those of one of ours.
func (o *own) is(raw []byte) bool { return [len(o.mark)]byte(raw[offsetMark:offsetData]) == o.mark }

// returned takes away one that has come back, and those before it: they are lost, as
// the order is kept.
func (o *own) returned(f canbus.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.frames, func(w pendingEcho) bool { return w.frame == f })
	o.frames = slices.Delete(o.frames, 0, i+1)
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// forgetLost forgets those that are lost. Under mu.
func (o *own) forgetLost(now time.Time) {
	for len(o.frames) > 0 && now.Sub(o.frames[0].since) >= ownLate {
		o.frames = slices.Delete(o.frames, 0, 1)
	}
}

// bare is a frame as it comes back.
func bare(f canbus.Frame) canbus.Frame {
	f.Timestamp = 0
	f.Flags &^= canbus.Echo
	if f.Has(canbus.Remote) {
		clear(f.Data[:])
	}
	clear(f.Data[f.Len:])
	return f
}
