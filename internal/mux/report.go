package mux

import (
	"slices"
	"sync"
	"time"

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
	FrameSent                // it is on the wire, where the bus echoes; else the bus has taken it
)

// reportHold is how long reports wait for a call that writes to return: its frames may
// be on the wire, and be answered, before it does.
const reportHold = 10 * time.Millisecond

// reports are what observers have not been told yet.
type reports struct {
	waiting []report
	running bool

	// What a call that writes has caused stands before all that was reported since it
	// began: an answer that came meanwhile, perhaps to a frame that it has written.
	writing bool
	ended   bool // it has returned: what is reported now was caused by it
	place   int  // where in waiting that goes
	writes  int  // the number of the call
	begun   engine.Time
	timer   *time.Timer // ends the wait
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
	copied, at := *f, now
	if what == FrameReceived {
		at = ep.m.shown(now)
	}
	ep.m.report(report{to: ep.Observer, at: at, what: what, frame: &copied})
}

// reportStep is the engine's Observe of an endpoint with an observer. Under mu.
func (ep *Endpoint) reportStep(o engine.Observation) {
	ep.m.report(report{to: ep.Observer, step: o})
}

func (m *Mux) report(one report) {
	r := &m.reports
	switch {
	case r.writing && r.ended:
		r.waiting = slices.Insert(r.waiting, r.place, one)
		r.place++
		return
	case r.writing && r.timer == nil:
		call := r.writes
		r.timer = time.AfterFunc(reportHold, func() { m.holdNoLonger(call) })
	}
	r.waiting = append(r.waiting, one)
}

// holdNoLonger has the observers told although the call that writes has not returned.
func (m *Mux) holdNoLonger(call int) {
	m.mu.Lock()
	if m.reports.writes == call {
		m.reports.endWrite()
	}
	report := m.reportsWanted()
	m.mu.Unlock()
	if report {
		m.reports.run(&m.mu)
	}
}

// beginWrite precedes a call that writes. Under mu.
func (r *reports) beginWrite(now engine.Time) {
	r.writing, r.ended = true, false
	r.place, r.begun = len(r.waiting), now
	r.writes++
}

// endWrite follows what the call has caused. Under mu.
func (r *reports) endWrite() {
	r.writing = false
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// ready returns how many reports need not wait. Under mu.
func (r *reports) ready() int {
	if r.writing {
		return r.place
	}
	return len(r.waiting)
}

// wanted reports whether run has something to do. Under mu.
func (r *reports) wanted() bool { return r.ready() > 0 && !r.running }

// run tells the observers. Only one goroutine does at a time, so that the order
// is kept. It is called without mu.
func (r *reports) run(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
	if r.running {
		return
	}
	r.running = true
	for n := r.ready(); n > 0; n = r.ready() {
		rs := r.waiting[:n:n]
		r.waiting = slices.Clone(r.waiting[n:])
		r.place = 0
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
