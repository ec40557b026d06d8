//go:build linux

package isotpnet

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newTestKernelConn() *kernelConn {
	k := &kernelConn{single: 7, report: true}
	k.readDeadline.set = func(time.Time) error { return nil }
	k.writeDeadline.set = k.readDeadline.set
	return k
}

// Whichever call gets an error, it goes to whom it concerns.
func TestKernelErrorsByNumber(t *testing.T) {
	code := func(c Code) error { return &ProtocolError{Code: c} }
	for _, test := range []struct {
		errno       unix.Errno
		size        int // of the message being sent
		checks      bool
		write, read error
	}{
		{unix.ECOMM, 8, false, code(CodeTimeoutBs), nil},
		{unix.ECOMM, 7, false, code(CodeTimeoutA), nil},
		{unix.EMSGSIZE, 8, false, code(CodeBufferOverflow), nil},
		{unix.EBADMSG, 8, false, code(CodeInvalidFS), nil},
		{unix.EBADMSG, 8, true, nil, code(CodeInvalidFrame)}, // not idle: it was not about what is sent
		{unix.ETIMEDOUT, 8, false, nil, code(CodeTimeoutCr)},
		{unix.EILSEQ, 8, false, nil, code(CodeWrongSN)},
		{unix.ENETDOWN, 8, false, os.NewSyscallError("write", unix.ENETDOWN), os.NewSyscallError("read", unix.ENETDOWN)},
		{unix.ENODEV, 8, false, os.NewSyscallError("write", unix.ENODEV), os.NewSyscallError("read", unix.ENODEV)},
		{unix.EADDRNOTAVAIL, 8, false, os.NewSyscallError("write", unix.ENODEV), os.NewSyscallError("read", unix.ENODEV)},
		{unix.EAGAIN, 8, false, nil, nil},
		{unix.EINTR, 8, false, nil, nil},
		{0, 8, false, nil, nil},
	} {
		t.Run(test.errno.Error(), func(t *testing.T) {
			k := newTestKernelConn()
			k.sending, k.reading, k.checks, k.write.size = true, true, test.checks, test.size
			k.took(-1, test.errno)
			if !sameError(k.sendErr, test.write) || !sameError(k.readErr, test.read) {
				t.Errorf("write %v, read %v; want %v, %v", k.sendErr, k.readErr, test.write, test.read)
			}

			// With nobody there only what concerns the interface is kept.
			k = newTestKernelConn()
			k.checks = test.checks
			k.took(-1, test.errno)
			var link *os.SyscallError
			if k.sendErr != nil || (k.readErr != nil) != errors.As(test.read, &link) {
				t.Errorf("idle: write %v, read %v", k.sendErr, k.readErr)
			}
		})
	}
}

func sameError(a, b error) bool {
	p, ok1 := a.(*ProtocolError)
	q, ok2 := b.(*ProtocolError)
	if ok1 && ok2 {
		return p.Code == q.Code
	}
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

func TestPollDeadlineWokenIsNotExceeded(t *testing.T) {
	var set time.Time
	d := pollDeadline{set: func(t time.Time) error { set = t; return nil }}
	at := time.Now().Add(time.Hour)
	d.Set(at)
	d.wake()
	if set != longAgo {
		t.Fatalf("set to %v, want one that wakes", set)
	}
	at = at.Add(time.Hour)
	if d.Set(at); set != longAgo {
		t.Error("a new deadline hides wake from who waits")
	}
	if !d.restore() || !set.Equal(at) {
		t.Errorf("after wake: %v, want %v", set, at)
	}
	d.wake()
	d.Set(longAgo) // the user's, at the same time
	if d.restore() || !d.exceeded() {
		t.Error("a deadline that is exceeded was taken for wake")
	}
	d.Set(at)
	d.seal()
	if d.wake(); d.restore() {
		t.Error("woken after seal")
	}
	if err := d.Set(at); err == nil || set != longAgo {
		t.Errorf("Set after seal: %v, set to %v", err, set)
	}
}

func TestPollDeadlineSuspended(t *testing.T) {
	var set time.Time
	d := pollDeadline{set: func(t time.Time) error { set = t; return nil }}
	d.suspend()
	d.Set(longAgo)
	if !set.IsZero() || !d.restore() || !set.IsZero() {
		t.Errorf("the netpoller has %v while the deadline is suspended", set)
	}
	if !d.exceeded() {
		t.Error("not exceeded")
	}
	d.resume()
	if set != longAgo || d.restore() {
		t.Errorf("the netpoller has %v after resume", set)
	}
}
