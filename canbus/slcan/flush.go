package slcan

import (
	"context"
	"fmt"
	"time"
)

// A DoubtError is the error of Flush when it is not known whether frames have reached the
// adapter.
type DoubtError struct {
	Port   string
	Frames int
}

func (e *DoubtError) Error() string {
	return fmt.Sprintf("slcan: %d frames in doubt: the adapter on %s has not said that it has them", e.Frames, e.Port)
}

// change wakes the callers of Flush. Under mu.
func (b *Bus) change() {
	if b.flushing > 0 {
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

// Flush implements [canbus.Flusher]. It waits until the adapter has answered all frames, or
// a command behind them if it answers no frames. An answer says only that the adapter has
// the frame, so Flush then waits as long as the frames need on the wire, and a margin (see
// Options.Flush). If no answer comes within a second and the time of the frames, it returns
// a [*DoubtError].
func (b *Bus) Flush(ctx context.Context) error {
	b.mu.Lock()
	b.flushing++
	target := b.flight.given
	limit := later(time.Now(), b.wire.free()).Add(flushTime)
	b.mu.Unlock()
	signal(b.roomy) // the port's reader must not wait for ReadFrames now
	defer func() {
		b.mu.Lock()
		b.flushing--
		b.mu.Unlock()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait, changed, err := b.flushed(target, limit)
		if err != nil || wait <= 0 {
			return err
		}
		timer.Reset(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.life.Over():
			return b.life.Err()
		}
	}
}

// flushed returns how long to wait for the frames before target; 0 if they have left the
// adapter.
func (b *Bus) flushed(target uint64, limit time.Time) (wait time.Duration, changed <-chan struct{}, err error) {
	if err := b.life.Err(); err != nil {
		return 0, nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if doubt := b.inDoubt(now, target); doubt > 0 {
		if now.Before(limit) {
			if l := &b.flight; l.mode == silent && !l.fenced {
				b.fenceWanted = true
				b.needMind()
			}
			return limit.Sub(now), b.changed, nil
		}
		return 0, nil, &DoubtError{Port: b.name, Frames: doubt}
	}
	out := b.wire.free().Add(b.flushMore)
	if limit = limit.Add(b.flushMore); out.After(limit) {
		out = limit
	}
	if target == 0 {
		return 0, nil, nil
	}
	return out.Sub(now), b.changed, nil
}

// inDoubt returns of how many of the frames before target it is not known that the adapter
// has them. Under mu.
func (b *Bus) inDoubt(now time.Time, target uint64) int {
	l := &b.flight
	known := l.settled
	if l.mode == silent && l.fences && !b.wire.written.Add(flushTime).Before(now) {
		known = b.proven // older frames were taken long ago, if ever
	}
	return int(max(target, known) - known)
}

// Close implements [canbus.Bus]. It waits as [Bus.Flush] does, and then closes the
// adapter's channel, unless the adapter takes no commands. It logs the error of Flush, but
// not that the adapter is gone if it had all frames.
func (b *Bus) Close() error {
	b.life.CloseAdapter("slcan", b.log, func(ctx context.Context) error {
		defer b.shutDown()
		return b.Flush(ctx)
	})
	return nil
}

// shutDown closes the adapter's channel and ends the Bus, once the command is written.
// Nothing is written behind the command.
func (b *Bus) shutDown() {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-b.life.Over():
	case <-timer.C:
	case b.writing <- struct{}{}:
		taken := make(chan struct{})
		go func() {
			defer close(taken)
			b.port.Write([]byte("C\r"))
		}()
		select {
		case <-taken:
		case <-timer.C:
		}
	}
	b.life.Close()
}
