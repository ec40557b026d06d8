package netns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const path = "/proc/thread-self/ns/net"

func current() string {
	name, _ := os.Readlink(path) // as net:[4026531840]
	return name
}

// index asks without a list of all interfaces. Any socket will do, and AF_UNIX is always
// there.
func index(name string) (int, bool) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr)
	return int(ifr.Uint32()), err == nil
}

type handle struct{ file *os.File }

func open() (handle, error) {
	f, err := os.Open(path)
	return handle{f}, err
}

func (h handle) close() { h.file.Close() }

// run calls f on a thread that has entered the namespace, and ends with it: no other goroutine
// must get it afterwards.
func (n *Namespace) run(f func() error) error {
	runtime.LockOSThread()
	raw, err := n.file.SyscallConn()
	if err != nil {
		return err
	}
	if failed := raw.Control(func(fd uintptr) { err = unix.Setns(int(fd), unix.CLONE_NEWNET) }); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("enter the network namespace %s: %w", n.name, err)
	}
	return f()
}
