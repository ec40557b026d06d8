package mux

import (
	"sync"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// An Observer is told what happens at an endpoint, in the order in which it
// happens, without a lock: but while it is busy frames may have to wait.
type Observer interface {
	Frame(at engine.Time, f *canbus.Frame, what FrameEvent)
	Step(o engine.Observation)
}

// FrameEvent says what has become of a frame.
type FrameEvent uint8

const (
	FrameReceived FrameEvent = iota
	FrameSent                // the bus has taken it
)

// reports are what observers have not been told yet.
type reports struct {
	waiting []report
	running bool
}

type report struct {
	to    Observer
	at    engine.Time
	what  FrameEvent
	frame *canbus.Frame // nil: step
	step  engine.Observation
}

// reportFrame tells an endpoint's observer of a frame. Under mu.
func (ep *Endpoint) reportFrame(now engine.Time, f *canbus.Frame, what FrameEvent) {
	if ep.Observer == nil {
		return
	}
	copied := *f
	r := &ep.m.reports
	r.waiting = append(r.waiting, report{to: ep.Observer, at: now, what: what, frame: &copied})
}

// reportStep is the engine's Observe of an endpoint with an observer. Under mu.
func (ep *Endpoint) reportStep(o engine.Observation) {
	r := &ep.m.reports
	r.waiting = append(r.waiting, report{to: ep.Observer, step: o})
}

// wanted reports whether run has something to do. Under mu.
func (r *reports) wanted() bool { return len(r.waiting) > 0 && !r.running }

// run tells the observers. Only one goroutine does at a time, so that the order
// is kept. It is called without mu.
func (r *reports) run(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
	if r.running {
		return
	}
	r.running = true
	for len(r.waiting) > 0 {
		rs := r.waiting
		r.waiting = nil
		mu.Unlock()
		for _, one := range rs {
			if one.frame != nil {
				one.to.Frame(one.at, one.frame, one.what)
			} else {
				one.to.Step(one.step)
			}
		}
		mu.Lock()
	}
	r.running = false
}
