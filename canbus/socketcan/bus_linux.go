package socketcan

import (
	"context"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/netns"
	"example.com/isotp/internal/sockdrops"
	"golang.org/x/sys/unix"
)

func init() {
	canbus.Register("", func(_ context.Context, name string) (canbus.Bus, error) {
		b, err := Open(name)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
	canbus.RegisterIdentity("", netns.Interface)
}

var (
	_ canbus.Bus          = (*Bus)(nil)
	_ canbus.Describer    = (*Bus)(nil)
	_ canbus.TryWriter    = (*Bus)(nil)
	_ canbus.FilterSetter = (*Bus)(nil)
	_ canbus.DropCounter  = (*Bus)(nil)
)

// A Bus is a CAN_RAW socket on one interface. When the interface goes down,
// ReadFrames says so once, with a temporary error, and WriteFrames for each frame;
// when it is up again, so is the Bus. When it is deleted the Bus is of no more
// use, and both return ENODEV.
type Bus struct {
	name  string
	props canbus.Properties
	file  *os.File
	raw   syscall.RawConn
	done  chan struct{} // closed by Close
	gone  atomic.Pointer[Error]

	closed atomic.Bool
	echoes int // the flags of messages that are echoes
	drops  sockdrops.Counter

	filters filters
	rx, tx  batch
	read    atomic.Bool // frames were read since the last write
}

// receiveBuffer is room for some 5000 frames. The system's default holds less
// than 300, which a busy bus fills in 30 ms. Without privileges Linux grants less.
const receiveBuffer = 4 << 20

// Open returns a Bus on the interface of that name, in the caller's network
// namespace. The interface must be up.
func Open(name string) (*Bus, error) {
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		return nil, &Error{Op: "open", Interface: name, Errno: errnoOf(err)}
	}
	b := &Bus{name: name, done: make(chan struct{}), echoes: unix.MSG_CONFIRM}
	if err := b.setup(fd); err != nil {
		unix.Close(fd)
		return nil, &Error{Op: "open", Interface: name, Errno: errnoOf(err)}
	}
	b.file = os.NewFile(uintptr(fd), name)
	if b.raw, err = b.file.SyscallConn(); err != nil {
		b.file.Close()
		return nil, err
	}
	b.drops.Init(b.raw)
	b.rx.init(receive)
	b.tx.init(send)
	return b, nil
}

// EchoLocal makes ReadFrames set the flag Echo also for frames that other sockets of this
// computer have sent, so that a program that only listens can tell what left this computer
// from what came in. It is called before the first ReadFrames.
func (b *Bus) EchoLocal() { b.echoes |= unix.MSG_DONTROUTE }

// setup makes the socket ready and finds out about the interface.
func (b *Bus) setup(fd int) error {
	// Asking through the socket itself is asking in its network namespace.
	ask := func(what uint) (*unix.Ifreq, error) {
		ifr, err := unix.NewIfreq(b.name)
		if err != nil {
			return nil, unix.ENODEV // empty or too long for a name
		}
		return ifr, unix.IoctlIfreq(fd, what, ifr)
	}
	ifr, err := ask(unix.SIOCGIFFLAGS)
	if err != nil {
		return err
	}
	up := ifr.Uint16()&unix.IFF_UP != 0
	if ifr, err = ask(unix.SIOCGIFMTU); err != nil {
		return err
	}
	b.props = canbus.Properties{FD: ifr.Uint32() >= mtuFD, Echo: true}
	if ifr, err = ask(unix.SIOCGIFTXQLEN); err != nil {
		return err
	}
	b.props.QueueLen = int(ifr.Uint32())
	if ifr, err = ask(unix.SIOCGIFINDEX); err != nil {
		return err
	}

	for _, option := range []struct{ level, name, value int }{
		{unix.SOL_CAN_RAW, unix.CAN_RAW_RECV_OWN_MSGS, 1},
		{unix.SOL_CAN_RAW, unix.CAN_RAW_FD_FRAMES, 1},
		{unix.SOL_CAN_RAW, unix.CAN_RAW_ERR_FILTER, unix.CAN_ERR_MASK},
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			return err
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // as much as is allowed
	}
	if err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: int(ifr.Uint32())}); err != nil {
		return err
	}
	if !up {
		return unix.ENETDOWN
	}
	return nil
}

func (b *Bus) error(op string, errno unix.Errno) *Error {
	return &Error{Op: op, Interface: b.name, Errno: errno}
}

// Properties implements [canbus.Describer]: FD is that of the interface's MTU,
// QueueLen its txqueuelen (0 for a vcan, which has no queue). Bit rates are not
// told, as there are echoes.
func (b *Bus) Properties() canbus.Properties { return b.props }

// Close implements [canbus.Bus]. Frames that wait in the interface's queue will
// be sent.
func (b *Bus) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.drops.Close()
	close(b.done)
	return b.file.Close()
}

// Dropped implements [canbus.DropCounter]: it returns how many frames were lost because
// the reader was too slow and the socket's buffer full. What the filters leave out needs
// no room in it.
func (b *Bus) Dropped() uint64 { return b.drops.Dropped() }

// fail makes an error that ends the Bus the error of every call.
func (b *Bus) fail(errno unix.Errno) {
	if final(errno) {
		errno = unix.ENODEV
	}
	b.gone.CompareAndSwap(nil, b.error("use", errno))
	b.file.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
}

// ended returns why the Bus has ended; nil while it has not.
func (b *Bus) ended() error {
	if b.closed.Load() {
		return net.ErrClosed
	}
	if err := b.gone.Load(); err != nil {
		return err
	}
	return nil
}
