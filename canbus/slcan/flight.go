package slcan

import (
	"time"

	"example.com/isotp/canbus"
)

// maxInFlight is how many frames may be in flight: written, and not answered yet.
const maxInFlight = 64

// A mode is what an adapter has shown to do with frames.
type mode int

const (
	unknown mode = iota // nothing yet
	answers             // it answers each frame, in order
	silent              // it answers none
)

// A flight keeps the account of the frames in flight. An answer does not say which frame it
// is for: it is for the oldest frame without an answer. So after one answer that is lost, or
// one too many, every later answer would count for the wrong frame. A fence finds that. It
// is a command with an answer of its own, which comes behind the answers to all frames that
// were written before it. If as many answers as frames came before it, all is right.
// Otherwise the missing frame is not known, and all frames in the account are given up.
//
// Frames are numbered from 0 in the order in which they were written.
type flight struct {
	mode mode
	ring [maxInFlight]flown
	// given is how many frames were written, answered how many of these have an answer,
	// and settled how many have gone back as echoes. The frames between settled and
	// answered wait for a fence.
	given, answered, settled uint64

	fences  bool   // the adapter answers fences; else answers are taken as they come
	fenced  bool   // a fence was written, and has no answer yet
	fence   uint64 // how many frames were written before it
	surplus bool   // more answers than frames came before its answer
	doubt   bool   // the next fence has to tell whether answers fit frames

	// echo gives a frame back to ReadFrames, with the flag Refused if it is refused.
	echo func(*canbus.Frame)
}

type flown struct {
	frame   canbus.Frame
	refused bool
}

// room returns how many frames may be written now.
func (l *flight) room() int { return maxInFlight - l.inFlight() }

// inFlight returns how many frames have been written and not gone back yet.
func (l *flight) inFlight() int { return int(l.given - l.settled) }

// waiting returns how many frames have no answer yet.
func (l *flight) waiting() int { return int(l.given - l.answered) }

// write adds frames that are about to be written, no more than there is room for.
func (l *flight) write(frames []canbus.Frame) {
	for i := range frames {
		x := &l.ring[l.given%maxInFlight]
		*x = flown{frame: frames[i]}
		x.frame.Strip()
		l.given++
	}
}

// written is called after the write: an adapter that answers no frames has them now.
func (l *flight) written() {
	if l.mode == silent {
		l.settleAll(false)
	}
}

// writeFence notes a fence that is about to be written, behind all frames so far.
func (l *flight) writeFence() {
	l.fenced, l.fence, l.surplus = true, l.given, false
}

// answer takes an answer to a frame. It reports whether a frame had none yet.
func (l *flight) answer(ok bool) bool {
	switch {
	case l.mode == silent:
		return false
	case l.fenced && l.answered == l.fence:
		l.surplus, l.doubt = true, true
		return false
	case l.answered == l.given:
		l.doubt = l.fences
		return false
	}
	l.ring[l.answered%maxInFlight].refused = !ok
	l.answered++
	switch {
	case !ok:
		l.doubt = l.fences
	case l.mode == unknown:
		l.mode = answers
	}
	l.settle()
	return true
}

// settle gives back the frames that have answers, unless there is doubt.
func (l *flight) settle() {
	if l.mode != answers || l.doubt {
		return
	}
	for ; l.settled < l.answered; l.settled++ {
		l.giveBack()
	}
}

// giveBack gives back the oldest frame.
func (l *flight) giveBack() {
	x := &l.ring[l.settled%maxInFlight]
	x.frame.Flags |= canbus.Echo
	if x.refused {
		x.frame.Flags |= canbus.Refused
	}
	l.echo(&x.frame)
}

// fenceAnswered takes the answer to a fence. It returns how many frames are given up
// because the answers before it do not fit them.
func (l *flight) fenceAnswered() (lost int) {
	if !l.fenced {
		return 0
	}
	l.fenced = false
	switch {
	case l.mode == silent:
		return 0
	case l.mode == unknown && l.answered == l.settled && !l.surplus && l.fence > l.settled:
		l.mode = silent
		l.settleAll(false)
		return 0
	}
	l.doubt = false
	if l.answered != l.fence || l.surplus {
		return l.giveUp(l.fence)
	}
	if l.mode == unknown { // all refused
		for ; l.settled < l.answered; l.settled++ {
			l.giveBack()
		}
	}
	l.settle()
	return 0
}

// timedOut ends the wait for answers that should have come by now, when there is no fence
// to wait for. It returns how many frames are given up.
func (l *flight) timedOut() (lost int) {
	l.fenced, l.doubt = false, false
	if l.mode == unknown && l.answered == l.settled {
		l.mode = silent
		l.settleAll(false)
		return 0
	}
	return l.giveUp(l.given)
}

// giveUp gives the frames before that number back as refused. It returns how many of them
// the adapter has not refused itself.
func (l *flight) giveUp(end uint64) (lost int) {
	for ; l.settled < end; l.settled++ {
		if x := &l.ring[l.settled%maxInFlight]; !x.refused {
			x.refused = true
			lost++
		}
		l.giveBack()
	}
	l.answered = max(l.answered, end)
	l.settle()
	return lost
}

// settleAll gives all frames back.
func (l *flight) settleAll(refused bool) {
	for ; l.settled < l.given; l.settled++ {
		l.ring[l.settled%maxInFlight].refused = refused
		l.giveBack()
	}
	l.answered = l.given
}

// A wire estimates when the frames that an adapter has taken have left it.
type wire struct {
	bitrate, dataBitrate int
	written              time.Time // the estimate from when frames were written
	answered             time.Time // the estimate from when they were answered
}

func (w *wire) time(f *canbus.Frame) time.Duration {
	return canbus.WireTime(f, w.bitrate, w.dataBitrate)
}

// write adds frames that have been written.
func (w *wire) write(now time.Time, frames []canbus.Frame) {
	w.written = later(w.written, now)
	for i := range frames {
		w.written = w.written.Add(w.time(&frames[i]))
	}
}

// delay adds a frame of another node, which the frames in the adapter had to wait for.
func (w *wire) delay(now time.Time, d time.Duration) {
	for _, t := range []*time.Time{&w.written, &w.answered} {
		if t.After(now) {
			*t = t.Add(d)
		}
	}
}

// answer adds a frame that has been answered.
func (w *wire) answer(now time.Time, f *canbus.Frame) {
	w.answered = later(w.answered, now).Add(w.time(f))
}

// fenced is called with the answer to a fence: the frames before it have reached the adapter,
// none of them later than the fence.
func (w *wire) fenced(now, sent time.Time, written time.Time) {
	w.answered = later(w.answered, later(written, sent).Add(now.Sub(sent)))
}

// free returns when all frames have left.
func (w *wire) free() time.Time { return later(w.written, w.answered) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
