package einride

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"example.com/isotp/canbus"
)

const (
	// ownMost is how many frames may be in flight. Sockets have room for some 250, and
	// frames of other members come in between.
	ownMost = 64
	// ownLate is after what time a frame that has not come back counts as lost. A
	// computer with much to do may need a while.
	ownLate = 5 * time.Second
)

// own holds the frames in flight: written, and not come back. Where there is no wire, they
// hold a writer up: otherwise it would fill its own socket's buffer, and frames of other
// members would be lost there.
type own struct {
	// mark stands in the bytes of our frames that mean nothing, and makes them ours.
	mark [offsetData - offsetMark]byte

	mu     sync.Mutex    // guards frames
	frames []pendingEcho // oldest first
	news   chan struct{} // holds a token when there may be room
}

type pendingEcho struct {
	frame canbus.Frame
	since time.Time
}

func newOwn() *own {
	o := &own{news: make(chan struct{}, 1)}
	for o.mark == [len(o.mark)]byte{} { // zeros are the mark of all other programs
		rand.Read(o.mark[:])
	}
	return o
}

// add adds a frame, if there is room. Otherwise it returns how long there will be none if
// nothing comes back. It is called before the frame is written, because the frame may come
// back before Write returns.
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

// takeBack removes the last frame, which was not written.
func (o *own) takeBack() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frames = o.frames[:max(len(o.frames)-1, 0)]
}

// is reports whether the raw bytes are those of a frame of ours.
func (o *own) is(raw []byte) bool { return [len(o.mark)]byte(raw[offsetMark:offsetData]) == o.mark }

// returned removes a frame that has come back, and those before it: these are lost, because
// frames come back in order.
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

// forgetLost removes frames that are lost. Under mu.
func (o *own) forgetLost(now time.Time) {
	for len(o.frames) > 0 && now.Sub(o.frames[0].since) >= ownLate {
		o.frames = slices.Delete(o.frames, 0, 1)
	}
}

// bare is a frame as it comes back.
func bare(f canbus.Frame) canbus.Frame {
	f.Strip()
	if f.Has(canbus.Remote) {
		clear(f.Data[:])
	}
	clear(f.Data[f.Len:])
	return f
}
