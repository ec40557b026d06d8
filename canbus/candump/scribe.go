package candump

import (
	"maps"
	"math"
	"slices"
	"time"
)

// A scribe is the goroutine of a Recorder that writes.
type scribe struct {
	*Recorder
	batch []record // to be written
	spare []record // an array that is free for the next batch or queue

	// When to do things; zero: not at all.
	heldUntil time.Time // frames wait for a write under way
	retryAt   time.Time // writing has failed
	syncAt    time.Time // there is something to sync
	tellAt    time.Time // OnError was told of frames lost or dropped a moment ago

	told uint64 // lost frames that OnError was told of
}

func (s *scribe) run() {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		over := false
		select {
		case <-s.over:
			over = true
		default:
		}
		more := s.write(over)
		if over && !more {
			s.sync(true)
			s.finish()
			s.inform(true)
			return
		}
		s.sync(false)
		s.inform(false)
		if more {
			continue
		}
		timer.Reset(s.wait())
		select {
		case <-timer.C:
		case <-s.kick:
		case <-s.over:
		}
	}
}

// wait returns how long the scribe has nothing to do, if nothing happens.
func (s *scribe) wait() time.Duration {
	now := time.Now()
	wait := time.Duration(math.MaxInt64)
	for _, at := range []time.Time{s.heldUntil, s.retryAt, s.syncAt, s.tellAt} {
		if !at.IsZero() {
			wait = min(wait, max(at.Sub(now), 0))
		}
	}
	return wait
}

// write writes the frames that wait, and reports whether there may be more.
func (s *scribe) write(over bool) bool {
	now := time.Now()
	s.heldUntil = time.Time{}
	if len(s.batch) == 0 {
		s.take(now, over)
	}
	if len(s.batch) == 0 || now.Before(s.retryAt) && !over {
		return false
	}
	n, err := s.log.write(s.batch)
	s.batch = s.batch[n:]
	if n > 0 && s.syncAt.IsZero() {
		s.syncAt = now.Add(s.every())
	}
	s.retryAt = time.Time{}
	if err != nil {
		s.tell(err)
		if len(s.batch) > 0 {
			s.retryAt = now.Add(interval)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = len(s.batch)
	s.stats.Recorded += uint64(n)
	if err != nil && over {
		s.last = err
	}
	return err == nil
}

// take takes from the queue the frames that may be written: those that do not wait for a
// write under way, and those that have waited long enough.
func (s *scribe) take(now time.Time, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.queue)
	for _, w := range s.writes {
		if until := w.begun.Add(hold); now.Before(until) && !all {
			k := 0
			for k < n && s.queue[k].seq < w.seq {
				k++
			}
			if k < n {
				n = k
				s.heldUntil = until
			}
		}
	}
	if n == 0 {
		return
	}
	s.taken, s.takenAt = s.queue[n-1].seq, now
	if n == len(s.queue) {
		s.batch, s.queue, s.spare = s.queue, s.spare[:0], s.queue
	} else {
		s.spare = append(s.spare[:0], s.queue[:n]...)
		s.batch = s.spare
		s.queue = append(s.queue[:0], s.queue[n:]...)
	}
	s.held = n
}

// every is the time between syncs.
func (s *scribe) every() time.Duration {
	if s.o.Sync > 0 {
		return s.o.Sync
	}
	return interval
}

// sync syncs the file, if its time has come.
func (s *scribe) sync(over bool) {
	if s.syncAt.IsZero() || !over && time.Now().Before(s.syncAt) {
		return
	}
	s.syncAt = time.Time{}
	if err := s.log.sync(); err != nil {
		s.fail(err, over)
	}
}

// finish closes the file. Frames that are not written by now are lost.
func (s *scribe) finish() {
	s.mu.Lock()
	if n := len(s.batch) + len(s.queue); n > 0 {
		s.lose(n, s.last)
	}
	s.held, s.queue = 0, nil
	s.mu.Unlock()
	if err := s.log.close(); err != nil {
		s.fail(err, true)
	}
}

func (s *scribe) fail(err error, over bool) {
	s.tell(err)
	if over {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.last = err
	}
}

// inform calls OnError with the errors that it was not told yet.
func (s *scribe) inform(over bool) {
	now := time.Now()
	s.mu.Lock()
	news := s.news
	s.news = nil
	lost := s.stats.Lost - s.told
	switch {
	case lost == 0 && len(s.dropped) == 0:
		if !now.Before(s.tellAt) {
			s.tellAt = time.Time{}
		}
	case over || !now.Before(s.tellAt):
		if lost > 0 {
			news = append(news, &LostError{lost, s.why})
			s.told += lost
		}
		for _, bus := range slices.Sorted(maps.Keys(s.dropped)) {
			news = append(news, &DroppedError{s.dropped[bus], bus})
		}
		clear(s.dropped)
		s.tellAt = now.Add(interval)
	}
	s.mu.Unlock()
	if s.o.OnError != nil {
		for _, err := range news {
			s.o.OnError(err)
		}
	}
}
