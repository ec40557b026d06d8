package socketcan

import (
	"fmt"
	"net"
	"time"
	"unsafe"

	"example.com/isotp/canbus"
	"golang.org/x/sys/unix"
)

const (
	// batchLen is how many frames one system call moves at most.
	batchLen = 64
	// manyFrames is how many of one call say that more are coming.
	manyFrames = 16
	// controlLen has room for a timestamp.
	controlLen = 64

	// fullPause is how long to wait for room in a full queue, about the time of
	// five frames. It is short, because the caller may want to take frames back.
	fullPause = time.Millisecond
)

// A message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	n      uint32
}

// A batch is what a system call for many frames works on. It is made once: the
// kernel reads and writes the same memory each time.
type batch struct {
	messages [batchLen]message
	iovecs   [batchLen]unix.Iovec
	frames   [batchLen][mtuFD]byte
	control  [batchLen][controlLen]byte

	// want, n and errno go into the call and come out. do is made once too, as
	// a method value needs memory.
	want  int
	n     int
	errno unix.Errno
	do    func(fd uintptr) bool

	untold bool // Go's scheduler is not told of the next call
}

func (b *batch) init(do func(*batch, uintptr) bool) {
	for i := range b.messages {
		b.iovecs[i].Base = &b.frames[i][0]
		b.iovecs[i].SetLen(mtuFD)
		b.messages[i].header.Iov = &b.iovecs[i]
		b.messages[i].header.SetIovlen(1)
	}
	b.do = func(fd uintptr) bool { return do(b, fd) }
}

// receive is one recvmmsg. It reports false if there was nothing.
func receive(b *batch, fd uintptr) bool {
	for i := range b.messages[:b.want] {
		h := &b.messages[i].header
		h.Control = &b.control[i][0]
		h.SetControllen(controlLen)
	}
	b.call(unix.SYS_RECVMMSG, fd)
	if b.errno == unix.EAGAIN {
		return false
	}
	b.untold = b.n >= manyFrames
	return true
}

// send is one sendmmsg. It never waits: a socket that can be written to may belong
// to an interface whose queue is full, so there is nothing to wait for.
func send(b *batch, fd uintptr) bool {
	b.call(unix.SYS_SENDMMSG, fd)
	return true
}

// call makes the system call. It takes some 50 us for a full batch, and Go's scheduler, where it
// is told of the call, may give the processor away meanwhile, to readers that fetch frame by
// frame what is still being written. So it is not told of
//
//	a write  if frames were read since the one before: readers have their turns
//	a read   if the one before it has brought many frames
//
// It must be told of others. The runtime's monitor, which interrupts a goroutine that never
// waits, may sleep until the scheduler is told of a call, and a writer that is not interrupted
// would keep the only processor. With one processor this saves five of six calls, with two
// none, as each frame wakes the thread that waits for frames.
func (b *batch) call(trap, fd uintptr) {
	do := unix.Syscall6
	if b.untold {
		do = unix.RawSyscall6
	}
	for {
		n, _, errno := do(trap, fd, uintptr(unsafe.Pointer(&b.messages[0])), uintptr(b.want), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		b.n, b.errno = 0, errno
		if errno == 0 {
			b.n = int(n)
		}
		return
	}
}

// ReadFrames implements [canbus.Bus].
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, b.ended()
	}
	rx := &b.rx
	for {
		if err := b.ended(); err != nil {
			return 0, err
		}
		rx.want, rx.n, rx.errno = min(len(frames), batchLen), 0, unix.EAGAIN
		if err := b.raw.Read(rx.do); err != nil {
			// The Bus is closed, or fail has woken us, or the runtime's poller refuses
			// to wait because the socket has an error: then fetch that error.
			if b.ended() != nil || b.raw.Control(func(fd uintptr) { rx.do(fd) }) != nil {
				continue
			}
		}
		switch {
		case rx.errno == unix.EAGAIN:
			b.pause(fullPause)
		case final(rx.errno):
			b.fail(rx.errno)
		case rx.errno != 0:
			err := b.error("read", rx.errno)
			err.temporary = rx.errno == unix.ENETDOWN || rx.errno == unix.ENOBUFS || rx.errno == unix.ENOMEM
			return 0, err
		default:
			b.read.Store(true)
			if n := b.take(frames); n > 0 {
				return n, nil
			}
		}
	}
}

// take copies those frames received that are wanted.
func (b *Bus) take(frames []canbus.Frame) (n int) {
	b.drops.Read(b.rx.n, b.rx.n*mtuFD)
	wanted := b.filters.wanted.Load()
	for i := range b.rx.messages[:b.rx.n] {
		m := &b.rx.messages[i]
		f := &frames[n]
		if !decode(f, &b.rx.frames[i], int(m.n)) {
			continue
		}
		switch {
		case int(m.header.Flags)&b.echoes != 0:
			f.Flags |= canbus.Echo
		case wanted != nil && !f.Has(canbus.ErrorFrame) && !wanted.match(f):
			continue
		}
		if ns, ok := timestamp(b.rx.control[i][:min(int(m.header.Controllen), controlLen)]); ok {
			f.Stamp(ns)
		}
		n++
	}
	return n
}

// timestamp returns the time in a message's ancillary data, where SO_TIMESTAMPNS
// is the only option that puts something.
func timestamp(control []byte) (ns int64, ok bool) {
	const size = int(unsafe.Sizeof(unix.Timespec{}))
	start := unix.CmsgLen(0)
	if len(control) < start+size {
		return 0, false
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_TIMESTAMPNS {
		return 0, false
	}
	ts := (*unix.Timespec)(unsafe.Pointer(&control[start]))
	return ts.Nano(), true
}

// WriteFrames implements [canbus.Bus]. When the interface's queue is full, and
// still is 1 ms later, it returns a temporary error, ENOBUFS. It takes the frames before
// one that it refuses: a frame that is not valid (see [canbus.Frame.Validate]), or a CAN
// FD frame on an interface for classic CAN.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	n, err := b.TryWriteFrames(frames)
	if n > 0 || err != nil || len(frames) == 0 {
		return n, err
	}
	b.pause(fullPause)
	n, err = b.TryWriteFrames(frames)
	if n == 0 && err == nil {
		full := b.error("write", unix.ENOBUFS)
		full.temporary = true
		return 0, full
	}
	return n, err
}

// TryWriteFrames implements [canbus.TryWriter].
func (b *Bus) TryWriteFrames(frames []canbus.Frame) (int, error) {
	if err := b.ended(); err != nil {
		return 0, err
	}
	frames = frames[:min(len(frames), batchLen)]
	good, bad := canbus.CheckFrames(frames, b.refuse)
	if good == 0 {
		return 0, bad
	}
	frames = frames[:good]
	if err := b.hearEchoes(frames); err != nil {
		return 0, err
	}
	tx := &b.tx
	for i := range frames {
		tx.iovecs[i].SetLen(encode(&tx.frames[i], &frames[i]))
	}
	tx.want, tx.untold = good, b.read.Swap(false)
	if b.raw.Write(tx.do) != nil {
		return 0, net.ErrClosed
	}
	switch {
	case tx.errno == 0 && tx.n == good:
		return good, bad
	case tx.errno == 0:
		return tx.n, nil
	case tx.errno == unix.ENOBUFS || tx.errno == unix.EAGAIN:
		return 0, nil
	case final(tx.errno):
		b.fail(tx.errno)
		return 0, b.ended()
	}
	return 0, b.error("write", tx.errno)
}

// refuse refuses CAN FD frames on an interface of classic CAN.
func (b *Bus) refuse(f *canbus.Frame) error {
	if f.Has(canbus.FD) && !b.props.FD {
		return fmt.Errorf("socketcan: CAN FD frame %X on %s, which is set up for classic CAN (ip link set %s down, then mtu 72 or type can fd on)",
			f.ID, b.name, b.name)
	}
	return nil
}

// pause waits for that long, or until Close.
func (b *Bus) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.done:
	}
}
