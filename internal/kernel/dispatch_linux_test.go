package kernel

import (
	"os"
	"testing"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
	"golang.org/x/sys/unix"
)

// newIdleConn returns a connection without a socket.
func newIdleConn() *Conn {
	c := &Conn{spec: &Spec{Single: 7, Rx: &wire.Address{}, ReportAborted: true}}
	c.readDeadline.set = func(time.Time) error { return nil }
	c.writeDeadline.set = c.readDeadline.set
	return c
}

// Whichever call takes an error, it goes to the call that it is about.
func TestDispatch(t *testing.T) {
	code := func(c engine.Code) error { return ResultError(c) }
	down := func(call string) error { return os.NewSyscallError(call, unix.ENETDOWN) }
	gone := func(call string) error { return &GoneError{os.NewSyscallError(call, unix.ENODEV)} }
	for _, test := range []struct {
		errno       unix.Errno
		size        int // of the message being sent
		checks      bool
		write, read error
	}{
		{unix.ECOMM, 8, false, code(engine.TimeoutBs), nil},
		{unix.ECOMM, 7, false, code(engine.TimeoutA), nil},
		{unix.EMSGSIZE, 8, false, code(engine.BufferOverflow), nil},
		{unix.EBADMSG, 8, false, code(engine.InvalidFS), nil},
		{unix.EBADMSG, 8, true, nil, code(engine.InvalidFrame)}, // not idle: it was not about what is sent
		{unix.ETIMEDOUT, 8, false, nil, code(engine.TimeoutCr)},
		{unix.EILSEQ, 8, false, nil, code(engine.WrongSN)},
		{unix.ENETDOWN, 8, false, down("write"), down("read")},
		{unix.ENODEV, 8, false, gone("write"), gone("read")},
		{unix.EADDRNOTAVAIL, 8, false, gone("write"), gone("read")},
		{unix.ENXIO, 8, false, gone("write"), gone("read")},
		{unix.EAGAIN, 8, false, nil, nil},
		{unix.EINTR, 8, false, nil, nil},
		{0, 8, false, nil, nil},
	} {
		t.Run(test.errno.Error(), func(t *testing.T) {
			c := newIdleConn()
			c.send, c.reading, c.spec.ChecksPadding, c.write.size = sendTaken, true, test.checks, test.size
			c.dispatch(-1, test.errno)
			if !sameError(c.sendErr, test.write) || !sameError(c.readErr, test.read) {
				t.Errorf("write %v, read %v; want %v, %v", c.sendErr, c.readErr, test.write, test.read)
			}

			// While no call is pending only what concerns the interface is kept.
			c = newIdleConn()
			c.spec.ChecksPadding = test.checks
			c.dispatch(-1, test.errno)
			_, aborted := test.read.(ResultError)
			if c.sendErr != nil || (c.readErr != nil) != (test.read != nil && !aborted) {
				t.Errorf("idle: write %v, read %v", c.sendErr, c.readErr)
			}
		})
	}
}

// sameError reports whether two errors are of the same type and say the same.
func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == b
	}
	_, goneA := a.(*GoneError)
	_, goneB := b.(*GoneError)
	return goneA == goneB && a.Error() == b.Error()
}
