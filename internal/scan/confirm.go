package scan

import (
	"context"
	"slices"

	"example.com/isotp/internal/wire"
)

// A verdict is what verify has found out about a target.
type verdict struct {
	answers []Answer // those that were confirmed
	// unused says for how many frames of the sweep the answers from an address can account
	// that have not been accounted for yet.
	unused map[wire.Address]int
	tries  int
}

// resolve finds out which probes of a sweep were answered by what was heard.
func (s *scanner) resolve(ctx context.Context) error {
	heard := slices.Clone(s.heard)
	s.verdicts = make(map[wire.Address]*verdict)
	// An ECU may once have no time for an answer: each target has a second chance.
	for try := 1; try <= 2 && len(heard) > 0; try++ {
		var unexplained []arrival
		for i := range heard {
			ok, err := s.explain(ctx, &heard[i], try)
			if err != nil {
				return err
			}
			if !ok {
				unexplained = append(unexplained, heard[i])
			}
		}
		heard = unexplained
	}
	for i := range heard {
		s.stray(&heard[i])
	}
	return nil
}

// explain looks for the probe that a frame answers, among those sent shortly before it, the
// last one first.
func (s *scanner) explain(ctx context.Context, a *arrival, try int) (bool, error) {
	for _, p := range slices.Backward(s.sent) {
		if s.busy[idOf(&a.frame)] {
			return true, nil
		}
		answer, ok := s.Probe.parse(&a.frame, p.to.Overhead())
		if !ok || a.at.Before(p.since) || a.at.After(p.until) {
			continue
		}
		v := s.verdicts[p.to]
		if v == nil || len(v.answers) == 0 && v.tries < try {
			var err error
			if v, err = s.verify(ctx, p.to); err != nil {
				return false, err
			}
			v.tries = try
			s.verdicts[p.to] = v
		}
		if v.explains(answer.From) {
			return true, nil
		}
	}
	return false, nil
}

// explains reports whether a frame from that address may be an answer to the target. An ECU
// that says WAIT says so any number of times.
func (v *verdict) explains(from wire.Address) bool {
	i := slices.IndexFunc(v.answers, func(a Answer) bool { return a.From == from })
	switch {
	case i < 0:
		return false
	case v.answers[i].waited:
		return true
	case v.unused[from] == 0:
		return false
	}
	v.unused[from]--
	return true
}

// stray remembers a frame that looks like an answer, and that no probe explains. An address
// that has many of them and answers nothing belongs to others.
func (s *scanner) stray(a *arrival) {
	const most = 3
	for overhead, has := range s.overheads {
		answer, ok := s.Probe.parse(&a.frame, overhead)
		if !has || !ok {
			continue
		}
		if len(s.strays) == maxKnown && s.strays[answer.From] == 0 {
			s.report.Dropped++
			return
		}
		s.strays[answer.From]++
		if s.strays[answer.From] >= most && !s.known[answer.From] {
			s.setBusy(idOf(&a.frame))
		}
		return
	}
}

// verify probes a target alone, and reports what has answered twice. It gives up at once
// where nothing answers.
func (s *scanner) verify(ctx context.Context, to wire.Address) (*verdict, error) {
	const rounds, enough = 3, 2
	v := &verdict{unused: make(map[wire.Address]int)}
	var all []Answer
	times := make(map[wire.Address]int)
	for round := 1; round <= rounds; round++ {
		answers, err := s.ask(ctx, s.Probe, s.probeFrame(s.Probe, to), to)
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			times[a.From]++
			v.unused[a.From] = max(v.unused[a.From], a.frames)
			all = merge(all, a)
		}
		pending := slices.ContainsFunc(all, func(a Answer) bool { return times[a.From] < enough })
		if len(all) == 0 || round >= enough && !pending {
			break
		}
	}
	for _, a := range all {
		if times[a.From] >= enough && !s.busy[idOfAddress(a.From)] {
			v.answers = append(v.answers, a)
		}
	}
	return v, s.found(ctx, to, v.answers)
}

// found tells of the endpoints that a target's answers make.
func (s *scanner) found(ctx context.Context, to wire.Address, answers []Answer) error {
	for _, a := range answers {
		pair := [2]wire.Address{to, a.From}
		if s.told[pair] {
			continue
		}
		s.known[a.From], s.told[pair] = true, true
		e := &Endpoint{To: to, Probe: s.Probe, Answer: a, Group: len(answers) > 1}
		if err := s.examine(ctx, e); err != nil {
			return err
		}
		s.Found(e)
	}
	return nil
}
