package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// A scanner is a scan that is under way. It belongs to the goroutine of Run.
type scanner struct {
	Config
	bus    canbus.Bus
	in     *inbox
	report Report

	phase      phase
	asking     Probe                     // the probe whose answers are looked for
	overheads  [2]bool                   // the lengths of address information that answers may have
	slot       time.Time                 // when the next frame may be sent
	sent       []probing                 // what the last sweep has sent
	verdicts   map[wire.Address]*verdict // of targets of that sweep
	heard      []arrival                 // what looks like an answer, since it was last emptied
	lastAnswer time.Time                 // when the last such frame came
	quiets     int                       // how many times quiet was called
	spare      []arrival

	busy    map[ID]bool              // see Report.Busy
	skipped map[ID]bool              // see Report.Skipped
	strays  map[wire.Address]int     // how many frames that look like answers could not be explained
	known   map[wire.Address]bool    // addresses from which endpoints answer
	told    map[[2]wire.Address]bool // endpoints that were told of: ranges may overlap
}

// A phase says what is thought of a received frame.
type phase int

const (
	listening phase = iota // nothing was sent yet: its identifier belongs to others
	asking                 // it may be an answer
	silent                 // nothing was asked for a while: only answers that come late are no surprise
)

// What is remembered at most of a bus, which may carry any frames: a scan of a bus in use remembers
// some hundred. All that is more is counted in Report.Dropped.
const (
	maxHeard = 1 << 15 // frames that came and were not looked at, or look like answers
	maxKnown = 1 << 15 // identifiers of others, and addresses that have answered once
)

func (s *scanner) run(ctx context.Context) error {
	if err := s.await(ctx, time.Now().Add(s.Listen)); err != nil {
		return err
	}
	// One block at a time is done as a whole: an interrupted scan begins it anew.
	const block = 256
	for first, n := s.First, s.Targets.Len(); first < n; first = s.report.Next {
		end := min(first+block, n)
		if err := s.sweep(ctx, first, end); err != nil {
			return err
		}
		if err := s.resolve(ctx); err != nil {
			return err
		}
		s.report.Next = end
	}
	return nil
}

// finish fills in what the scanner has in other forms.
func (r *Report) finish(s *scanner) {
	r.Busy, r.Skipped = sortedIDs(s.busy), sortedIDs(s.skipped)
	for a := range s.strays {
		if !s.known[a] && !s.busy[idOfAddress(a)] {
			r.Doubtful = append(r.Doubtful, a)
		}
	}
	slices.SortFunc(r.Doubtful, func(a, b wire.Address) int {
		return cmp.Or(compareIDs(idOfAddress(a), idOfAddress(b)), cmp.Compare(a.Byte, b.Byte))
	})
}

func sortedIDs(set map[ID]bool) []ID { return slices.SortedFunc(maps.Keys(set), compareIDs) }

// send sends a frame as soon as the rate allows, and returns the times between which it was
// given to the bus.
func (s *scanner) send(ctx context.Context, f canbus.Frame) (began, ended time.Time, err error) {
	if err := s.await(ctx, s.slot); err != nil {
		return began, ended, err
	}
	began = time.Now()
	s.slot = began.Add(time.Second / time.Duration(s.Rate))
	if err := s.write(ctx, f); err != nil {
		return began, ended, fmt.Errorf("send %v: %w", f, err)
	}
	s.report.Sent++
	return began, time.Now(), nil
}

// write writes a frame. Where the bus has no room for it, it tries again for a while.
func (s *scanner) write(ctx context.Context, f canbus.Frame) error {
	const (
		pause = 10 * time.Millisecond
		most  = 2 * time.Second
	)
	for giveUp := time.Now().Add(most); ; {
		n, err := s.bus.WriteFrames([]canbus.Frame{f})
		switch {
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, canbus.ErrTemporary):
			return err
		case time.Now().After(giveUp):
			return fmt.Errorf("the bus has taken no frame for %v (is another node on it?): %w", most, err)
		}
		if err := s.await(ctx, time.Now().Add(pause)); err != nil {
			return err
		}
	}
}

// await handles what is received until a time, and what has come before.
func (s *scanner) await(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.in.more:
			if err := s.handleAll(); err != nil {
				return err
			}
		case <-timer.C:
			return s.handleAll()
		}
	}
}

func (s *scanner) handleAll() error {
	arrivals, err := s.in.take(s.spare)
	for i := range arrivals {
		s.handle(&arrivals[i])
	}
	s.spare = arrivals
	if errors.Is(err, io.EOF) {
		return ErrEnd
	}
	return err
}

// handle decides what a received frame may be.
func (s *scanner) handle(a *arrival) {
	f := &a.frame
	id := idOf(f)
	switch {
	case f.Has(canbus.Echo | canbus.Refused):
		s.report.Refused++
	case f.Flags&(canbus.Echo|canbus.ErrorFrame) != 0 || s.busy[id]:
	case s.phase == listening:
		s.setBusy(id)
	case s.isProbe(f): // buses bring frames back that were sent, and gateways pass them on
	case s.looksLikeAnswer(f):
		s.lastAnswer = a.at
		if len(s.heard) == maxHeard {
			s.report.Dropped++
			return
		}
		s.heard = append(s.heard, *a)
	case s.phase == silent:
		s.setBusy(id)
	}
}

// setBusy remembers that an identifier belongs to others.
func (s *scanner) setBusy(id ID) {
	if len(s.busy) == maxKnown && !s.busy[id] {
		s.report.Dropped++
		return
	}
	s.busy[id] = true
}

func (s *scanner) looksLikeAnswer(f *canbus.Frame) bool {
	for overhead, has := range s.overheads {
		if _, ok := s.asking.parse(f, overhead); has && ok {
			return true
		}
	}
	return false
}

// isProbe reports whether a frame is as those that are sent here.
func (s *scanner) isProbe(f *canbus.Frame) bool {
	var pdu wire.PDU
	for overhead, has := range s.overheads {
		if !has || pdu.Parse(f, overhead) != wire.OK {
			continue
		}
		switch pdu.Kind {
		case wire.FirstFrame:
			if p := paddingOf(pdu.Data, 0); p == Padding(s.Fill) {
				return true
			}
		case wire.SingleFrame:
			if string(pdu.Data) == string(testerPresentRequest) {
				return true
			}
		}
	}
	return false
}
