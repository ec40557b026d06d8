package isotpnet

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// A kernelSpec says what a CAN_ISOTP socket is to be.
type kernelSpec struct {
	config  *Config
	network string
	addr    Addr // as dialled: for Control
	bus     string
	tx      wire.Address
	rx      *wire.Address // nil: it only sends
	control controlFunc

	// index and id are the interface's, once a socket was opened: see canbus.Identity.
	index int
	id    string
}

// open opens a socket, sets its options and binds it.
func (s *kernelSpec) open() (*socket.Conn, error) {
	if err := checkRelease(); err != nil {
		return nil, err
	}
	c, err := socket.Socket(unix.AF_CAN, unix.SOCK_DGRAM, unix.CAN_ISOTP, "can-isotp", nil)
	if err != nil {
		return nil, noSocket(err)
	}
	if err := s.prepare(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// noSocket explains why there is no socket to be had.
func noSocket(err error) error {
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return &backendError{backendKernel, fmt.Errorf("this Linux has no ISO-TP (is there a module can_isotp?): %w", err)}
	}
	return err
}

func (s *kernelSpec) prepare(c *socket.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		optErr = s.options().apply(int(fd))
	}); err != nil {
		return err
	}
	if optErr != nil {
		return os.NewSyscallError("setsockopt", optErr)
	}
	if limit := kernelLimit(); int64(s.config.MaxSendSize) > limit {
		return &backendError{backendKernel, &ConfigError{Field: "MaxSendSize", Value: s.config.MaxSendSize,
			Want: fmt.Sprintf("it sends at most %d bytes, the parameter max_pdu_size of its module can_isotp", limit)}}
	}
	if s.rx != nil {
		if err := s.setReadBuffer(c); err != nil {
			return err
		}
		for _, opt := range []int{unix.SO_RXQ_OVFL, unix.SO_TIMESTAMPNS_NEW} {
			if err := c.SetsockoptInt(unix.SOL_SOCKET, opt, 1); err != nil {
				return err
			}
		}
	}
	if s.control != nil {
		if err := s.control(s.network, s.addr.String(), raw); err != nil {
			return err
		}
	}
	var bindErr error
	if err := raw.Control(func(fd uintptr) { bindErr = s.bind(int(fd)) }); err != nil {
		return err
	}
	return bindErr
}

// defaultSocketBuffer is what we ask for where nothing is said. Without CAP_NET_ADMIN
// net.core.rmem_max is the limit.
const defaultSocketBuffer = 2 << 20

// setReadBuffer makes the socket's buffer as large as it may be, so that it has room
// for what comes while nobody is there to take it out: see kernelQueue. In it a Single
// Frame takes some eight times what ReadBuffer counts for it.
func (s *kernelSpec) setReadBuffer(c *socket.Conn) error {
	size := defaultSocketBuffer
	if n := s.config.ReadBuffer; n > 0 {
		size = max(n, min(8*n, size))
	}
	return c.SetReadBuffer(size)
}

// bind binds to the interface of the last time, whatever its name is now; if that is gone,
// or there was none, to the one that has the name.
func (s *kernelSpec) bind(fd int) error {
	err := error(unix.ENODEV)
	if s.index != 0 {
		err = s.bindTo(fd, s.index)
	}
	if err == unix.ENODEV {
		ifr, failed := unix.NewIfreq(s.bus)
		if failed != nil || unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr) != nil {
			// A name that is too long is no interface's either.
			return os.NewSyscallError("bind", unix.ENODEV)
		}
		s.index, s.id = int(ifr.Uint32()), canbus.Identity(s.bus)
		err = s.bindTo(fd, s.index)
	}
	switch {
	case err == unix.EINVAL && s.config.FD:
		return &ConfigError{Field: "FD", Value: true, Want: "the interface carries classic CAN only"}
	case err != nil:
		return os.NewSyscallError("bind", err)
	}
	// Of an interface that is down bind tells in this way.
	if code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && code != 0 {
		return os.NewSyscallError("bind", unix.Errno(code))
	}
	return nil
}

func (s *kernelSpec) bindTo(fd, index int) error {
	sa := &unix.SockaddrCAN{Ifindex: index, TxID: canID(s.tx)}
	if s.rx != nil {
		sa.RxID = canID(*s.rx)
	}
	return unix.Bind(fd, sa)
}

func canID(a wire.Address) uint32 {
	if a.Extended {
		return a.ID | unix.CAN_EFF_FLAG
	}
	return a.ID
}

// limits of a message, in bytes.
const (
	fixedLimit   = 66000 // before Linux 6.4
	defaultLimit = 8300  // of the module's parameter max_pdu_size, from 6.4 on
)

// kernelLimit returns the longest message that the kernel sends and receives. It
// is a parameter of a module that the first socket loads.
func kernelLimit() int64 {
	text, err := os.ReadFile("/sys/module/can_isotp/parameters/max_pdu_size")
	if err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
			return n
		}
	}
	if _, version := release(); version.before(linuxVersion{6, 4}) {
		return fixedLimit
	}
	return defaultLimit
}

// checkRelease refuses kernels whose sockets do not say when a message is sent:
// poll does since 6.3, and in Debian's and the stable 6.1 since 6.1.25.
func checkRelease() error {
	_, version := release()
	if !version.before(linuxVersion{6, 1}) {
		return nil
	}
	return &backendError{backendKernel, fmt.Errorf("it needs Linux 6.1 or newer, and this is %d.%d: before, a socket does not say when a message is sent",
		version.major, version.minor)}
}

// release returns the version of the running kernel.
func release() (text string, version linuxVersion) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", version
	}
	text = unix.ByteSliceToString(name.Release[:])
	return text, parseRelease(text)
}

// parseRelease returns the version in a text such as 6.12.107-amd64.
func parseRelease(text string) (v linuxVersion) {
	fields := strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if len(fields) < 2 {
		return v
	}
	major, err1 := strconv.Atoi(fields[0])
	minor, err2 := strconv.Atoi(fields[1])
	if errors.Join(err1, err2) != nil {
		return v
	}
	return linuxVersion{major, minor}
}

// ProbeKernel returns what the running kernel's ISO-TP can do. If it has none, or one
// that isotp:kernel cannot use, the error says why and is errors.ErrUnsupported.
func ProbeKernel() (KernelInfo, error) {
	text, version := release()
	if err := checkRelease(); err != nil {
		return KernelInfo{}, err
	}
	// This loads the module, too.
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.CAN_ISOTP)
	if err != nil {
		return KernelInfo{}, noSocket(os.NewSyscallError("socket", err))
	}
	unix.Close(fd)
	return KernelInfo{Release: text, MaxMessageSize: kernelLimit(), Flags: version.knownFlags()}, nil
}

// idle reports whether no message is being sent.
func idle(fd int) bool {
	idle, _ := pollSocket(fd)
	return idle
}

// pollSocket reports whether no message is being sent, and whether the socket had an
// error for us. It looks for the error first: it may have come with the end.
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

// dropped returns how many messages the socket has had no room for.
func dropped(fd int) uint32 {
	var info [9]uint32 // SK_MEMINFO_VARS
	const drops = 8    // SK_MEMINFO_DROPS
	if err := getsockopt(fd, unix.SOL_SOCKET, unix.SO_MEMINFO, &info); err != nil {
		return 0
	}
	return info[drops]
}

// destroy closes a socket that nobody uses any more.
//
// close waits for the end of a transmission, a second and more if the peer is
// silent, and ends it at once if a signal comes. So it gets one: SIGURG, which the
// Go runtime sends to its threads all the time.
func destroy(c *socket.Conn) {
	sending := false
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { sending = !idle(int(fd)) })
	}
	if !sending {
		c.Close()
		return
	}
	thread := make(chan int, 1)
	closed := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		c.Close()
		close(closed)
	}()
	tid := <-thread
	// A signal that comes before close waits is lost: there are more.
	poke := time.NewTicker(2 * time.Millisecond)
	defer poke.Stop()
	for {
		select {
		case <-closed:
			return
		case <-poke.C:
			unix.Tgkill(unix.Getpid(), tid, unix.SIGURG)
		}
	}
}
