package scan

import (
	"errors"
	"sync"
	"time"

	"example.com/isotp/canbus"
)

// An arrival is a received frame, and when it came.
type arrival struct {
	frame canbus.Frame
	at    time.Time
}

// An inbox reads a bus. It takes what comes while a scan writes, too: a bus may let writers
// wait until all have read. What is more than maxHeard frames until then is lost.
type inbox struct {
	bus  canbus.Bus
	more chan struct{} // has an element if there may be something to take
	done chan struct{} // closed when the reader has ended

	mu       sync.Mutex // guards what follows
	arrivals []arrival
	lost     uint64
	err      error // why nothing more comes
	trouble  error // the last error after which more could come
}

// receive begins to read the bus.
func receive(bus canbus.Bus) *inbox {
	in := &inbox{bus: bus, more: make(chan struct{}, 1), done: make(chan struct{})}
	go in.read()
	return in
}

func (in *inbox) read() {
	defer close(in.done)
	buf := make([]canbus.Frame, 64)
	for {
		n, err := in.bus.ReadFrames(buf)
		in.put(buf[:n], err)
		if err != nil && !errors.Is(err, canbus.ErrTemporary) {
			return
		}
	}
}

func (in *inbox) put(frames []canbus.Frame, err error) {
	now := time.Now()
	in.mu.Lock()
	kept := frames[:min(len(frames), maxHeard-len(in.arrivals))]
	in.lost += uint64(len(frames) - len(kept))
	for _, f := range kept {
		in.arrivals = append(in.arrivals, arrival{f, now})
	}
	switch {
	case errors.Is(err, canbus.ErrTemporary):
		in.trouble = err
	case err != nil:
		in.err = err
	}
	in.mu.Unlock()
	select {
	case in.more <- struct{}{}:
	default:
	}
}

// take returns what has come since the last call. It may use spare, of an earlier call.
func (in *inbox) take(spare []arrival) ([]arrival, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	arrivals := in.arrivals
	in.arrivals = spare[:0]
	return arrivals, in.err
}

// close closes the bus, waits for the reader, and returns the last error that it went on after.
func (in *inbox) close() (trouble error) {
	in.bus.Close()
	<-in.done
	return in.trouble
}
