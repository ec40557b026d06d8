package udpmulticast

import (
	"sync"
	"time"

	"example.com/isotp/canbus"
)

// ahead is how far the wire may be behind what was sent. It is longer than the
// system's timers are late, so that they cost no time.
const ahead = 2 * time.Millisecond

// A wire is the one that a bus pretends to have: it takes the time that frames
// would take.
type wire struct {
	bitrate, dataBitrate int // 0: no time

	mu   sync.Mutex
	free time.Time // when all that was sent has left
}

// admit returns how many of the frames may be sent now.
func (w *wire) admit(frames []canbus.Frame) int {
	if w.bitrate == 0 {
		return len(frames)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if w.free.Before(now) {
		w.free = now
	}
	for i := range frames {
		if w.free.Sub(now) >= ahead {
			return i
		}
		w.free = w.free.Add(canbus.WireTime(&frames[i], w.bitrate, w.dataBitrate))
	}
	return len(frames)
}

// wait returns how long to wait until there is room for more.
func (w *wire) wait() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Until(w.free) - ahead/2
}
