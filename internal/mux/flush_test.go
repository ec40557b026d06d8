package mux

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
)

// A flushBus has a Flush that ends when the test says how.
type flushBus struct {
	*fakeBus
	flushed chan error // the results of Flush
	calls   []string   // Flush and Close, in order
	onClose func()
}

func (b *flushBus) Flush(context.Context) error {
	b.calls = append(b.calls, "flush")
	return <-b.flushed
}

func (b *flushBus) Close() error {
	b.calls = append(b.calls, "close")
	if b.onClose != nil {
		b.onClose()
	}
	return b.fakeBus.Close()
}

// newFlushBuses has the driver make a new flushBus each time, and returns them.
func newFlushBuses(t *testing.T) *[]*flushBus {
	t.Helper()
	newBuses(t) // for its check at the end
	buses := new([]*flushBus)
	setDriver(func(context.Context, string) (canbus.Bus, error) {
		b := &flushBus{fakeBus: newFakeBus(), flushed: make(chan error)}
		*buses = append(*buses, b)
		return b, nil
	})
	return buses
}

func (b *flushBus) wantCalls(t testing.TB, want ...string) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(b.calls, want) {
		t.Errorf("calls of the bus: %q, want %q", b.calls, want)
	}
}

func TestLastUserWaitsForTheFlush(t *testing.T) {
	for _, want := range []error{nil, errors.New("3 frames are in doubt")} {
		synctest.Test(t, func(t *testing.T) {
			buses := newFlushBuses(t)
			_, first := open(t, "muxtest:x")
			_, last := open(t, "muxtest:x")
			bus := (*buses)[0]
			if err := first(); err != nil {
				t.Error(err)
			}
			bus.wantCalls(t)
			result := start(last)
			bus.wantCalls(t, "flush")
			wantWaiting(t, result)
			bus.flushed <- want
			wantResult(t, result, want)
			bus.wantCalls(t, "flush", "close")
		})
	}
}

func TestBusIsNotOpenedAnewBeforeItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newFlushBuses(t)
		_, release := open(t, "muxtest:x")
		first := (*buses)[0]
		closing := make(chan struct{})
		first.onClose = func() { <-closing }
		result := start(release)
		var again func() error
		opened := start(func() (err error) {
			_, again, err = Open(context.Background(), "muxtest:x")
			return err
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := Open(ctx, "muxtest:x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open, while the bus is being closed: %v", err)
		}
		wantWaiting(t, opened)
		first.flushed <- nil
		first.wantCalls(t, "flush", "close")
		wantWaiting(t, opened)
		close(closing)
		wantResult(t, opened, nil)
		wantResult(t, result, nil)
		if len(*buses) != 2 {
			t.Errorf("%d buses", len(*buses))
		}
		last := start(again)
		(*buses)[1].flushed <- nil
		wantResult(t, last, nil)
	})
}

func TestFlushWaitsForTheWriteUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newFlushBuses(t)
		m, release := open(t, "muxtest:x")
		bus := (*buses)[0]
		writing := make(chan struct{})
		bus.setWrite(func(frames []canbus.Frame) (int, error) { <-writing; return len(frames), nil })
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		startSend(ep, []byte{1})
		ep.Close()
		result := start(release)
		bus.wantCalls(t)
		close(writing)
		bus.wantCalls(t, "flush")
		bus.flushed <- nil
		wantResult(t, result, nil)
	})
}

func TestWriteThatNeverEndsDoesNotHoldUpTheClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newFlushBuses(t)
		m, release := open(t, "muxtest:x")
		bus := (*buses)[0]
		bus.setWrite(bus.never)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		startSend(ep, []byte{1})
		ep.Close()
		if err := release(); err == nil {
			t.Error("nothing was said of the frame")
		}
		bus.wantCalls(t, "close")
	})
}

func TestFailedBusIsNotFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := newFlushBuses(t)
		_, release := open(t, "muxtest:x")
		bus := (*buses)[0]
		bus.in <- input{err: errBroken}
		synctest.Wait()
		if err := release(); err != nil {
			t.Error(err)
		}
		bus.wantCalls(t, "close")
	})
}
