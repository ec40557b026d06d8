package lifetime

import (
	"context"
	"io"
)

// Open returns what open returns, or ctx.Err() as soon as ctx ends. It is for system
// calls that cannot be interrupted: Open leaves such a call behind, and closes what it
// opens later.
func Open[T io.Closer](ctx context.Context, open func() (T, error)) (opened T, err error) {
	if ctx.Done() == nil {
		return open()
	}
	type result struct {
		opened T
		err    error
	}
	results := make(chan result)
	go func() {
		opened, err := open()
		select {
		case results <- result{opened, err}:
		case <-ctx.Done():
			if err == nil {
				opened.Close()
			}
		}
	}()
	select {
	case r := <-results:
		return r.opened, r.err
	case <-ctx.Done():
		return opened, ctx.Err()
	}
}
