package scan

import (
	"context"
	"time"

	"example.com/isotp/internal/wire"
)

// A probing is a probe that was sent, and the time in which answers to it may come.
type probing struct {
	to           wire.Address
	since, until time.Time
}

// sweep sends a probe to each target from the index first to before end. What looks like an
// answer is in heard then.
func (s *scanner) sweep(ctx context.Context, first, end int64) error {
	s.phase, s.asking = asking, s.Probe
	s.heard, s.sent = s.heard[:0], s.sent[:0]
	n := end - first
	step := stride(n)
	for k := range n {
		if s.Progress != nil {
			s.Progress()
		}
		to := s.Targets.At(first + k*step%n)
		if id := idOfAddress(to); s.busy[id] {
			s.skipped[id] = true
			continue
		}
		began, ended, err := s.send(ctx, s.probeFrame(s.Probe, to))
		if err != nil {
			return err
		}
		s.report.Probed++
		s.sent = append(s.sent, probing{to, began, ended.Add(s.Wait)})
	}
	return s.await(ctx, time.Now().Add(s.Wait))
}

// stride returns by how many the index grows from one probe of n to the next. All are
// reached, and neighbours far apart in time: addresses of one ECU are often neighbours, as 7DF
// and 7E0, and some ECUs do not hear a First Frame while they wait for the rest of another one.
func stride(n int64) int64 {
	step := max(n*38/100, 1)
	for gcd(step, n) != 1 {
		step++
	}
	return step
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
