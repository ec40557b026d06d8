package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/sockdrops"
	"example.com/isotp/internal/wire"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// solCANISOTP is the level of a socket's options: SOL_CAN_BASE + CAN_ISOTP.
const solCANISOTP = 100 + unix.CAN_ISOTP

// An opener opens sockets for a Spec, all on the same interface as long as that is there.
type opener struct {
	*Spec

	index   int    // of the interface; 0: no socket was opened yet
	bus     string // its canbus.Identity
	virtual bool   // it is a vcan
}

// open opens a socket, sets its options and binds it.
func (o *opener) open() (*socket.Conn, error) {
	if _, version := release(); version.Before(oldest) {
		return nil, tooOld(version)
	}
	sock, err := socket.Socket(unix.AF_CAN, unix.SOCK_DGRAM, unix.CAN_ISOTP, "can-isotp", nil)
	if err != nil {
		return nil, noSocket(err)
	}
	if err := o.prepare(sock); err != nil {
		sock.Close()
		return nil, err
	}
	return sock, nil
}

func tooOld(v Version) error {
	return &UnsupportedError{fmt.Errorf("it needs Linux %d.%d or newer, and this is %d.%d: before, a socket does not say when a message is sent",
		oldest.Major, oldest.Minor, v.Major, v.Minor)}
}

// noSocket explains why there is no socket to be had.
func noSocket(err error) error {
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return &UnsupportedError{fmt.Errorf("this Linux has no ISO-TP (is there a module can_isotp?): %w", err)}
	}
	return err
}

func (o *opener) prepare(sock *socket.Conn) error {
	raw, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	if err := onSocket(sock, o.setOptions); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if limit := maxMessage(); o.MaxSend > limit {
		return &TooLongError{Size: o.MaxSend, Max: limit}
	}
	if o.Rx != nil {
		if err := o.prepareToReceive(sock); err != nil {
			return err
		}
	}
	if o.Control != nil {
		if err := o.Control(raw); err != nil {
			return err
		}
	}
	return onSocket(sock, o.bind)
}

// onSocket calls f with the socket's descriptor.
func onSocket(sock *socket.Conn, f func(fd int) error) error {
	raw, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

func (o *opener) setOptions(fd int) error {
	for _, opt := range o.Options {
		if err := unix.SetsockoptString(fd, solCANISOTP, opt.Name, string(opt.Value)); err != nil {
			return err
		}
	}
	return nil
}

// prepareToReceive asks for the buffer, the time of each message and how many were dropped.
func (o *opener) prepareToReceive(sock *socket.Conn) error {
	if err := sock.SetReadBuffer(o.socketBuffer()); err != nil {
		return err
	}
	for _, opt := range []int{unix.SO_RXQ_OVFL, unix.SO_TIMESTAMPNS_NEW} {
		if err := sock.SetsockoptInt(unix.SOL_SOCKET, opt, 1); err != nil {
			return err
		}
	}
	return nil
}

// defaultSocketBuffer is what we ask for where nothing is said. Without CAP_NET_ADMIN
// net.core.rmem_max is the limit.
const defaultSocketBuffer = 2 << 20

// socketBuffer is how large the socket's buffer is to be, in bytes: as large as it may be,
// so that it has room for what comes until it is taken out, see queue. In it a Single Frame
// takes some eight times what ReadBuffer counts for it.
func (o *opener) socketBuffer() int {
	if n := o.ReadBuffer; n > 0 {
		return max(n, min(8*n, defaultSocketBuffer))
	}
	return defaultSocketBuffer
}

// bind binds to the interface of the last time, whatever its name is now; if that is gone,
// or there was none, to the one that has the name.
func (o *opener) bind(fd int) error {
	err := error(unix.ENODEV)
	if o.index != 0 {
		err = o.bindTo(fd, o.index)
	}
	if err == unix.ENODEV {
		ifr, failed := unix.NewIfreq(o.Interface)
		if failed != nil || unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr) != nil {
			// A name that is too long is no interface's either.
			return os.NewSyscallError("bind", unix.ENODEV)
		}
		o.index, o.bus = int(ifr.Uint32()), canbus.Identity(o.Interface)
		o.virtual = isVirtual(fd, o.Interface)
		err = o.bindTo(fd, o.index)
	}
	switch {
	case err == unix.EINVAL && o.FD:
		return ErrClassic
	case err != nil:
		return os.NewSyscallError("bind", err)
	}
	// Of an interface that is down bind tells in this way.
	if errno := socketError(fd); errno != 0 {
		return os.NewSyscallError("bind", errno)
	}
	return nil
}

// isVirtual reports whether an interface is a vcan. If the kernel does not say, it is none.
func isVirtual(fd int, name string) bool {
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	return err == nil && unix.ByteSliceToString(info.Driver[:]) == "vcan"
}

func (o *opener) bindTo(fd, index int) error {
	sa := &unix.SockaddrCAN{Ifindex: index, TxID: canID(o.Tx)}
	if o.Rx != nil {
		sa.RxID = canID(*o.Rx)
	}
	return unix.Bind(fd, sa)
}

func canID(a wire.Address) uint32 {
	if a.Extended {
		return a.ID | unix.CAN_EFF_FLAG
	}
	return a.ID
}

// maxMessage returns the longest message that the kernel sends and receives, in bytes. It
// is a parameter of a module that the first socket loads.
func maxMessage() int64 {
	text, _ := os.ReadFile("/sys/module/can_isotp/parameters/max_pdu_size")
	_, version := release()
	return limitOf(string(text), version)
}

// release returns the version of the running kernel.
func release() (text string, version Version) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", version
	}
	text = unix.ByteSliceToString(name.Release[:])
	return text, parseVersion(text)
}

// Probe returns what the running kernel's ISO-TP can do, or an UnsupportedError.
func Probe() (Running, error) {
	text, version := release()
	if version.Before(oldest) {
		return Running{}, tooOld(version)
	}
	// This loads the module, too.
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.CAN_ISOTP)
	if err != nil {
		return Running{}, noSocket(os.NewSyscallError("socket", err))
	}
	unix.Close(fd)
	return Running{Release: text, Version: version, MaxMessage: maxMessage()}, nil
}

// idle reports whether no message is being sent.
func idle(fd int) bool {
	idle, _ := pollSocket(fd)
	return idle
}

// pollSocket reports whether no message is being sent, and whether the socket had an error
// for us. It looks for the error first: it may have come with the end.
func pollSocket(fd int) (idle, failed bool) {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, 0)
	if err != nil || n == 0 {
		return false, false
	}
	return p[0].Revents&unix.POLLOUT != 0, p[0].Revents&unix.POLLERR != 0
}

// socketError takes the one error that the socket may have for us.
func socketError(fd int) unix.Errno {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return 0
	}
	return unix.Errno(code)
}

// dropped returns how many messages the socket has had no room for; 0 if that is not known.
func dropped(fd int) uint32 {
	n, _ := sockdrops.Of(fd)
	return n
}

// destroy closes a socket that is of no more use.
//
// close waits for the end of a transmission, a second and more if the peer is silent, and
// ends it at once if a signal comes. So it gets one: SIGURG, which the Go runtime sends to
// its threads all the time.
func destroy(sock *socket.Conn) {
	sending := false
	onSocket(sock, func(fd int) error { sending = !idle(fd); return nil })
	if !sending {
		sock.Close()
		return
	}
	thread := make(chan int, 1)
	closed := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		sock.Close()
		close(closed)
	}()
	interrupt(<-thread, closed)
}

// interrupt sends signals to a thread until it is done. One that comes before the thread
// waits is lost, so there are more.
func interrupt(thread int, done <-chan struct{}) {
	poke := time.NewTicker(2 * time.Millisecond)
	defer poke.Stop()
	for {
		select {
		case <-done:
			return
		case <-poke.C:
			unix.Tgkill(unix.Getpid(), thread, unix.SIGURG)
		}
	}
}
