package netns

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Main runs the tests in a namespace; it is for TestMain and does not return. If it cannot
// make a namespace it runs them without one, and tests that [Need] it are skipped.
func Main(m *testing.M) {
	Enter()
	os.Exit(m.Run())
}

// Enter goes on in a namespace; it is for TestMain, before m.Run. It starts the test
// binary a second time, in a new user and network namespace, so that it needs no
// root, and ends with the exit status of that. In the namespace it returns nil; if it cannot
// make one it returns why. It does nothing for fuzzing, because go test speaks to the
// processes that fuzz.
func Enter() error {
	err := enter()
	if missing = ""; err != nil {
		missing = err.Error()
	}
	return err
}

// enter makes the namespace once.
var enter = sync.OnceValue(func() error {
	if slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "-test.fuzz=") }) {
		return errors.New("fuzzing takes place outside of it")
	}
	if os.Getenv(inside) != "" {
		return setUp()
	}
	status, err := run()
	if err == nil {
		os.Exit(status)
	}
	return err
})

// run runs the same test binary in the namespaces and returns its exit status. An
// error means that it cannot be started there.
func run() (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("no user and network namespace can be made: %w", err)
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// setUp routes everything to the loopback interface, multicast too.
func setUp() error {
	others, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, ifi := range others {
		if ifi.Flags&net.FlagLoopback == 0 && ifi.Flags&net.FlagUp != 0 {
			return fmt.Errorf("interface %s is up in what should be a namespace of our own", ifi.Name)
		}
	}
	if err := SetLoopback(true); err != nil {
		return err
	}
	return AddRoutes()
}

// SetLoopback sets the loopback interface up or down.
func SetLoopback(up bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(0)
	if up {
		ifr.SetUint16(unix.IFF_UP | unix.IFF_MULTICAST) // there is software that asks for it
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("set lo up=%v: %w", up, err)
	}
	return nil
}

// AddRoutes routes all multicast groups to the loopback interface. Setting the interface
// down removes the routes.
func AddRoutes() error {
	if err := addRoute4(); err != nil {
		return fmt.Errorf("route 224.0.0.0/4 to lo: %w", err)
	}
	if err := addRoute6(); err != nil {
		return fmt.Errorf("route ff00::/8 to lo: %w", err)
	}
	return nil
}

// addRoute4 passes the kernel a struct rtentry.
func addRoute4() error {
	device := [...]byte{'l', 'o', 0}
	route := struct {
		_                 uintptr
		dst, gateway, net [16]byte // struct sockaddr
		flags             uint16
		_                 uint16
		_                 uintptr
		_                 uintptr
		metric            uint16
		dev               *byte
		_, _              uintptr
		_                 uint16
	}{flags: unix.RTF_UP, dev: &device[0]}
	for _, sa := range []struct {
		to *[16]byte
		ip byte
	}{{&route.dst, 224}, {&route.gateway, 0}, {&route.net, 240}} {
		*(*uint16)(unsafe.Pointer(sa.to)) = unix.AF_INET
		sa.to[4] = sa.ip
	}
	return ioctl(unix.AF_INET, unix.SIOCADDRT, unsafe.Pointer(&route))
}

// addRoute6 passes the kernel a struct in6_rtmsg. The route must be a local one:
// Linux takes other routes to the loopback interface for unreachable.
func addRoute6() error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	route := struct {
		dst, src, gateway [16]byte
		kind              uint32
		dstLen, srcLen    uint16
		metric            uint32
		info              uintptr
		flags             uint32
		index             int32
	}{dst: [16]byte{0xFF}, kind: unix.RTN_LOCAL, dstLen: 8, metric: 1, flags: unix.RTF_UP | unix.RTF_LOCAL, index: int32(lo.Index)}
	return ioctl(unix.AF_INET6, unix.SIOCADDRT, unsafe.Pointer(&route))
}

func ioctl(family int, what uintptr, arg unsafe.Pointer) error {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), what, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
