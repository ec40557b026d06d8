package lifetime

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
)

func TestCloseAfterFirstEndsWriting(t *testing.T) {
	released := false
	l := New(func() { released = true })
	if err := l.WriteErr(); err != nil {
		t.Errorf("before: %v", err)
	}
	last := func() error {
		select {
		case <-l.Stopped():
		default:
			t.Error("more may be written")
		}
		if err := l.WriteErr(); err != net.ErrClosed || l.Err() != nil || released {
			t.Errorf("meanwhile: %v, %v, released %v", err, l.Err(), released)
		}
		return errLost
	}
	if err := l.CloseAfter(last); err != errLost || l.Err() != net.ErrClosed || !released {
		t.Errorf("then %v, %v, released %v", err, l.Err(), released)
	}
	if err := l.CloseAfter(func() error { t.Error("closed twice"); return errLost }); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestALossWhileItIsClosedIsTheError(t *testing.T) {
	l := New(func() {})
	l.CloseAfter(func() error { l.Fail(errLost); return nil })
	if err := l.WriteErr(); err != errLost || l.Err() != errLost {
		t.Errorf("%v, %v", err, l.Err())
	}
}

func TestEachCloseAfterReturnsWhenItIsOver(t *testing.T) {
	l := New(func() {})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			l.CloseAfter(func() error {
				for range 100 {
					runtime.Gosched()
				}
				return nil
			})
			if l.Err() == nil {
				t.Error("CloseAfter returns too early")
			}
		})
	}
	wg.Wait()
}

func TestSleepEndsWhenNothingMoreMayBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(func() {})
		go l.CloseAfter(func() error { time.Sleep(time.Second); return nil })
		start := time.Now()
		if err := l.Sleep(time.Hour); err != net.ErrClosed || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		<-l.Over()
	})
}

func TestLingerGoesOnWhenNothingMoreMayBeWritten(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(l *Lifetime, cancel func())
		want error
		wait time.Duration
	}{
		{"nothing", func(*Lifetime, func()) {}, nil, time.Second},
		{"closing", func(l *Lifetime, _ func()) { l.stop() }, nil, time.Second},
		{"lost", func(l *Lifetime, _ func()) { l.Fail(errLost) }, errLost, 0},
		{"canceled", func(_ *Lifetime, cancel func()) { cancel() }, context.Canceled, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := New(func() {})
			c.do(l, cancel)
			start := time.Now()
			if err := l.Linger(ctx, time.Second); err != c.want || time.Since(start) != c.wait {
				t.Errorf("%s: %v after %v", c.name, err, time.Since(start))
			}
		})
	}
}

func TestCloseAdapterLogsWhatIsInDoubt(t *testing.T) {
	for _, c := range []struct {
		err  error
		logs bool
	}{
		{nil, false},
		{errors.New("2 frames in doubt"), true},
		{&canbus.GoneError{Bus: "USB1", Err: errLost, InDoubt: 2}, true},
		{&canbus.GoneError{Bus: "USB1", Err: errLost}, false},
	} {
		var log bytes.Buffer
		l := New(func() {})
		l.CloseAdapter("pcan", slog.New(slog.NewTextHandler(&log, nil)), func(context.Context) error { return c.err })
		if got := log.String(); (got != "") != c.logs || c.logs && !strings.Contains(got, "pcan: closed before") {
			t.Errorf("%v: logged %q", c.err, got)
		}
	}
}
