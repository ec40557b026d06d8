package lifetime

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errLost = errors.New("unplugged")

func TestWhatEndsItFirstIsTheError(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(l *Lifetime)
		want error
	}{
		{"nothing", func(*Lifetime) {}, nil},
		{"Close", (*Lifetime).Close, net.ErrClosed},
		{"Fail", func(l *Lifetime) { l.Fail(errLost) }, errLost},
		{"Close, Fail", func(l *Lifetime) { l.Close(); l.Fail(errLost) }, net.ErrClosed},
		{"Fail, Close", func(l *Lifetime) { l.Fail(errLost); l.Close() }, errLost},
		{"Fail twice", func(l *Lifetime) { l.Fail(errLost); l.Fail(io.EOF) }, errLost},
	} {
		released := 0
		l := New(func() { released++ })
		c.do(l)
		if err := l.Err(); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		over := false
		select {
		case <-l.Over():
			over = true
		default:
		}
		if over != (c.want != nil) || released > 1 || over != (released == 1) {
			t.Errorf("%s: over %v, released %d times", c.name, over, released)
		}
	}
}

// A caller that sees a released resource fail must not take that failure for the cause.
func TestItIsOverBeforeItIsReleased(t *testing.T) {
	var l *Lifetime
	var then error
	l = New(func() { then = l.Err() })
	l.Close()
	if then != net.ErrClosed {
		t.Errorf("in release: %v", then)
	}
}

func TestCloseReturnsWhenAllIsReleased(t *testing.T) {
	var released atomic.Bool
	l := New(func() {
		for range 100 {
			runtime.Gosched()
		}
		released.Store(true)
	})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if l.Close(); !released.Load() {
				t.Error("Close returns too early")
			}
		})
	}
	wg.Wait()
}

func TestSleepEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(func() {})
		start := time.Now()
		if err := l.Sleep(time.Second); err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		time.AfterFunc(time.Second, func() { l.Fail(errLost) })
		if err := l.Sleep(time.Hour); err != errLost || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := l.Sleep(time.Hour); err != errLost || time.Since(start) != 2*time.Second {
			t.Errorf("once more: %v after %v", err, time.Since(start))
		}
	})
}

func TestCause(t *testing.T) {
	if err := Cause(io.EOF); err != io.ErrUnexpectedEOF {
		t.Errorf("io.EOF: %v", err)
	}
	if err := Cause(errLost); err != errLost {
		t.Errorf("another: %v", err)
	}
}
