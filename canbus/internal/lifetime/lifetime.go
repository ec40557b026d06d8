// Package lifetime keeps how the bus of a driver ends: it is closed, or it is lost.
//
// A bus that may have taken frames which are not on the wire yet is closed in two steps: first
// nothing more may be written, and when those frames are on the wire the bus is over.
package lifetime

import (
	"cmp"
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// A Lifetime is that of a bus.
type Lifetime struct {
	release func()
	closing sync.Once     // CloseAfter
	stop    func()        // closes stopped
	stopped chan struct{} // closed when nothing more may be written
	once    sync.Once
	over    chan struct{}
	err     error // why it is over; not set before
}

// New begins a Lifetime. release is called once, at the end. It closes what the bus holds,
// and so ends the calls under way.
func New(release func()) *Lifetime {
	l := &Lifetime{release: release, stopped: make(chan struct{}), over: make(chan struct{})}
	l.stop = sync.OnceFunc(func() { close(l.stopped) })
	return l
}

// Close ends the Lifetime, with net.ErrClosed for every call. It returns after release has.
func (l *Lifetime) Close() { l.end(net.ErrClosed) }

// Fail ends the Lifetime, with this error for every call. If it is over already nothing
// changes: an error after Close is caused by Close.
func (l *Lifetime) Fail(err error) { l.end(err) }

func (l *Lifetime) end(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.over)
		l.stop()
		l.release()
	})
}

// Over is closed when it is over.
func (l *Lifetime) Over() <-chan struct{} { return l.over }

// Err returns why it is over; nil as long as it is not.
func (l *Lifetime) Err() error {
	select {
	case <-l.over:
		return l.err
	default:
		return nil
	}
}

// Stopped is closed when nothing more may be written: CloseAfter has begun, or it is over.
func (l *Lifetime) Stopped() <-chan struct{} { return l.stopped }

// WriteErr returns why nothing more may be written; nil as long as it may.
func (l *Lifetime) WriteErr() error {
	var stopped error
	select {
	case <-l.stopped:
		stopped = net.ErrClosed
	default:
	}
	return cmp.Or(l.Err(), stopped)
}

// Sleep is for writers: it waits for that long, or until nothing more may be written. It returns
// WriteErr.
func (l *Lifetime) Sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.stopped:
	}
	return l.WriteErr()
}

// Linger is for Flush where nothing tells when a frame has left: it waits for that long, or until
// ctx ends or it is over, and then returns why.
func (l *Lifetime) Linger(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.over:
	}
	return l.Err()
}

// Cause is the error of a connection as the cause of a loss. A bus that ends as it
// should ends with io.EOF, so a connection that ends must not.
func Cause(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
