package scan

import (
	"context"
	"slices"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// settleTime is how long an ECU may wait for the rest of a message after its last flow control:
// N_Cr of ISO 15765-2, and a tenth. It then takes a First Frame for the first one.
const settleTime = 1100 * time.Millisecond

// ask sends a probe in silence, and returns what answers it, one answer for each address.
func (s *scanner) ask(ctx context.Context, p Probe, f canbus.Frame, to wire.Address) ([]Answer, error) {
	if err := s.quiet(ctx); err != nil {
		return nil, err
	}
	s.phase, s.asking = asking, p
	s.heard = s.heard[:0]
	began, ended, err := s.send(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := s.await(ctx, ended.Add(s.Wait)); err != nil {
		return nil, err
	}
	var answers []Answer
	for i := range s.heard {
		a, ok := p.parse(&s.heard[i].frame, to.Overhead())
		if !ok || s.heard[i].at.Before(began) {
			continue
		}
		a.Delay = s.heard[i].at.Sub(began)
		a.frames = 1
		a.waited = a.Status == wire.Wait
		answers = merge(answers, a)
	}
	return answers, nil
}

// merge adds an answer to others. Of a flow control with WAIT only the time counts if another
// one says more.
func merge(answers []Answer, a Answer) []Answer {
	i := slices.IndexFunc(answers, func(b Answer) bool { return b.From == a.From })
	if i < 0 {
		return append(answers, a)
	}
	b := &answers[i]
	if b.Status == wire.Wait {
		*b, a = a, *b
	}
	b.Delay = min(a.Delay, b.Delay)
	b.frames += a.frames
	b.waited = a.waited || b.waited
	return answers
}

// quiet waits until nothing has looked like an answer for so long that none is under way, and
// each ECU has forgotten the last probe. What never stops is no answer.
func (s *scanner) quiet(ctx context.Context) error {
	const most = 15 * time.Second
	s.phase = silent
	s.heard = s.heard[:0]
	begin := time.Now()
	ready := begin.Add(s.jitter())
	for {
		if settled := s.lastAnswer.Add(s.settle()); settled.After(ready) {
			ready = settled
		}
		switch now := time.Now(); {
		case !now.Before(ready):
			return nil
		case now.Sub(begin) >= most:
			for i := range s.heard {
				s.setBusy(idOf(&s.heard[i].frame))
			}
			return nil
		}
		end := begin.Add(most)
		if ready.Before(end) {
			end = ready
		}
		if err := s.await(ctx, end); err != nil {
			return err
		}
	}
}

func (s *scanner) settle() time.Duration {
	if s.asking == FirstFrame {
		return max(settleTime, s.Wait)
	}
	return s.Wait
}

// jitter returns times from 0 to Wait that follow each other without a period: frames that
// are sent at regular intervals do not always come just behind a probe.
func (s *scanner) jitter() time.Duration {
	s.quiets++
	const golden = 0.6180339887498949
	turns := float64(s.quiets) * golden
	return time.Duration((turns - float64(int(turns))) * float64(s.Wait))
}

// examine asks an endpoint that was found what else there is to know.
func (s *scanner) examine(ctx context.Context, e *Endpoint) (err error) {
	if e.Probe == FirstFrame {
		flow := e.Answer
		e.Flow = &flow
	}
	if e.Functional() {
		return nil
	}
	if e.Probe == TesterPresent || s.Intrusive {
		if e.Unpadded, err = s.unpadded(ctx, e); err != nil {
			return err
		}
	}
	if !s.Intrusive {
		return nil
	}
	if e.Flow == nil {
		if e.Flow, err = s.flowControl(ctx, e, shortestSegmented(e.To)); err != nil {
			return err
		}
	}
	if e.Flow != nil && e.Flow.Status != wire.Overflow {
		e.Longest, err = s.longest(ctx, e)
	}
	return err
}

// again asks an endpoint something, twice if it does not answer, and returns its answer; nil
// if there is none.
func (s *scanner) again(ctx context.Context, e *Endpoint, p Probe, f canbus.Frame) (*Answer, error) {
	for range 2 {
		answers, err := s.ask(ctx, p, f, e.To)
		if err != nil {
			return nil, err
		}
		for i := range answers {
			if answers[i].From == e.Answer.From {
				return &answers[i], nil
			}
		}
	}
	return nil, nil
}

// unpadded finds out whether the ECU answers 3E 00 in a frame that is not filled up. If it
// does not answer 3E 00 in a full one either that is not known.
func (s *scanner) unpadded(ctx context.Context, e *Endpoint) (Finding, error) {
	if e.Probe == TesterPresent && s.MinFrameSize == 0 {
		return Yes, nil
	}
	a, err := s.again(ctx, e, TesterPresent, s.testerPresent(e.To, 0))
	if a != nil || err != nil {
		return Yes, err
	}
	if e.Probe == TesterPresent {
		return No, nil
	}
	a, err = s.again(ctx, e, TesterPresent, s.testerPresent(e.To, canbus.MaxClassicLen))
	if a != nil {
		return No, err
	}
	return Unknown, err
}

// flowControl returns the flow control that answers the First Frame of a message of that
// length; nil if there is none.
func (s *scanner) flowControl(ctx context.Context, e *Endpoint, length uint32) (*Answer, error) {
	return s.again(ctx, e, FirstFrame, s.firstFrame(e.To, length))
}

// longest finds the length of the longest message that the ECU does not refuse.
func (s *scanner) longest(ctx context.Context, e *Endpoint) (uint32, error) {
	taken, refused := uint64(shortestSegmented(e.To)), uint64(wire.MaxLength)+1
	length := uint64(wire.MaxShortLength) // most ECUs refuse more than that
	for taken+1 < refused {
		flow, err := s.flowControl(ctx, e, uint32(length))
		if err != nil {
			return 0, err
		}
		if flow != nil && flow.Status != wire.Overflow {
			taken = length
		} else {
			refused = length
		}
		switch {
		case taken == wire.MaxShortLength:
			length = taken + 1 // FF_DL with 32 bits, which many ECUs do not know
		case refused > wire.MaxLength:
			length = min(2*taken, wire.MaxLength)
		default:
			length = taken + (refused-taken)/2
		}
	}
	return uint32(taken), nil
}
