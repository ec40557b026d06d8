package lifetime

import (
	"context"
	"errors"
	"log/slog"

	"example.com/isotp/canbus"
)

// CloseAfter is Close in two steps: it lets nothing more be written, and ends the Lifetime
// when last has returned. It returns the error of last. A second CloseAfter does nothing, but
// returns no sooner than the first.
func (l *Lifetime) CloseAfter(last func() error) (err error) {
	l.closing.Do(func() {
		l.stop()
		err = last()
		l.Close()
	})
	return err
}

// CloseAdapter is CloseAfter for the bus of an adapter, which waits with flush, its Flush. It
// logs the error, but not that the adapter is gone if no frames are in doubt.
func (l *Lifetime) CloseAdapter(driver string, log *slog.Logger, flush func(context.Context) error) {
	err := l.CloseAfter(func() error { return flush(context.Background()) })
	gone, isGone := errors.AsType[*canbus.GoneError](err)
	if err != nil && (!isGone || gone.InDoubt > 0) {
		log.Warn(driver+": closed before it is known that all frames were sent", "err", err)
	}
}
