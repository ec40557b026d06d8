package pacer

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// newAlarm returns a timerfd, or Go's timers where there can be none: no
// descriptor left, a sandbox that forbids it, or a fake clock, which a timerfd
// does not know.
func newAlarm(ready func() bool) alarm {
	if !fakeClock() {
		if a, err := newTimerfd(ready); err == nil {
			return a
		}
	}
	return newTimerAlarm(ready)
}

// fakeClock reports whether time.Now is not the system's clock, as inside a
// testing/synctest bubble, whose time starts in the year 2000. The system's clock might
// be set between its two readings here, which costs that Pacer
// its exactness and does no other harm.
func fakeClock() bool {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME, &ts) != nil {
		return false
	}
	return time.Since(time.Unix(ts.Unix())).Abs() > time.Minute
}

// timerfdLead has room for a wake-up that is later than most. It is also how long a
// short sleep is: longer ones than this end later on virtual machines, whose hosts
// wait awake for about as long, and very short ones end as late as these.
const timerfdLead = 200 * time.Microsecond

// timerfd is an alarm in the runtime's poller: waiting for it holds no thread.
type timerfd struct {
	ready func(uintptr) bool
	file  *os.File
	conn  syscall.RawConn
	fd    int
	spec  unix.ItimerSpec // set's, here to save the allocation
}

func newTimerfd(ready func() bool) (*timerfd, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "timerfd")
	// Fails if the runtime's poller did not take the descriptor.
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		file.Close()
		return nil, err
	}
	conn, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &timerfd{
		ready: func(uintptr) bool { return ready() },
		file:  file,
		conn:  conn,
		fd:    fd,
	}, nil
}

// set arms the timer, and a read deadline beside it. An idle process is woken by
// the timer. A busy one is not: as long as its processors find goroutines to
// run, the runtime looks at its poller only once in 10 ms or more. But it looks
// at its own timers, such as the one of a deadline, at every turn.
//
// The timer is relative to now, and the caller computed d before, so it is not
// early. There is no error to come: the descriptor is open.
func (a *timerfd) set(d time.Duration) {
	if d > 0 { // 0 would disarm the timer; a deadline of now is enough
		a.spec.Value = unix.NsecToTimespec(int64(d))
		unix.TimerfdSettime(a.fd, 0, &a.spec, nil)
	}
	a.file.SetReadDeadline(time.Now().Add(d))
}

// wait never reads the descriptor. The poller is edge-triggered: each expiry
// wakes it anew, read or not, and setting the timer clears the one before. What
// expires before RawConn.Read has begun wakes no goroutine, but Read begins with
// ready, which looks at the clock.
func (a *timerfd) wait() bool {
	for {
		err := a.conn.Read(a.ready)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err == nil
		}
		// Read fails from now on. If this also undoes a deadline that set has just
		// set, no harm is done: Read begins with ready, which sets it again.
		a.file.SetReadDeadline(time.Time{})
	}
}

func (a *timerfd) lead() time.Duration { return timerfdLead }

// close makes wait return false; when wait is not being called, close does not block either.
func (a *timerfd) close() { a.file.Close() }
