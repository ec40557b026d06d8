package mux

import (
	"slices"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// An Observer is told what happens at an endpoint, in the order in which it happens. No
// lock is held, but frames may have to wait until its method returns.
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

// reportHold is how long reports wait for a call that writes to the bus to return: its
// frames may be on the wire, and be answered, before it returns.
const reportHold = 10 * time.Millisecond

// reports holds what observers have not been told yet.
type reports struct {
	waiting []report
	running bool

	// writing: a call that writes is under way. What it causes is reported before all that
	// was reported since it began, because that may be an answer to a frame of the call.
	writing bool
	ended   bool        // the call has returned: what is reported now was caused by it
	place   int         // the index in waiting for what the call has caused
	writes  int         // the number of the call
	begun   engine.Time // when the call began
	timer   *time.Timer // calls holdNoLonger
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

// reportStep tells an endpoint's observer of a step. It is Engine.Observe of endpoints that
// have an observer. Under mu.
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

// holdNoLonger tells the observers although the call that writes has not returned.
func (m *Mux) holdNoLonger(call int) {
	m.mu.Lock()
	if m.reports.writes == call {
		m.reports.endWrite()
	}
	m.release()
}

// beginWrite is called before a call that writes. Under mu.
func (r *reports) beginWrite(now engine.Time) {
	r.writing, r.ended = true, false
	r.place, r.begun = len(r.waiting), now
	r.writes++
}

// endWrite is called when all that the call has caused is reported. Under mu.
func (r *reports) endWrite() {
	r.writing = false
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// ready returns how many reports need not wait for a call that writes. Under mu.
func (r *reports) ready() int {
	if r.writing {
		return r.place
	}
	return len(r.waiting)
}

// wanted reports whether run has something to do. Under mu.
func (r *reports) wanted() bool { return r.ready() > 0 && !r.running }

// run tells the observers. Only one goroutine runs it at a time, which keeps the order. It
// is called without mu.
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
