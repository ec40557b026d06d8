package cantest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const interfaces = 4

// inside is set for the test binary that runs in a namespace of its own.
const inside = "ISOTPNET_CANTEST_INSIDE"

// Main runs the tests; it is for TestMain and does not return. It runs them by
// starting the test binary a second time, in new namespaces, where that is
// needed and allowed.
func Main(m *testing.M) {
	switch {
	case InMachine():
		missing = "" // Need is not asked: what is not there must fail
	case os.Getenv(inside) != "":
		missing = reason(makeInterfaces())
	default:
		if err := haveCAN(); err != nil {
			missing = reason(err)
			break
		}
		status, err := runInNamespace()
		if err == nil {
			os.Exit(status)
		}
		missing = reason(err)
	}
	os.Exit(m.Run())
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// haveCAN opens the sockets that the tests need.
func haveCAN() error {
	for _, s := range []struct {
		kind, protocol int
		name           string
	}{
		{unix.SOCK_RAW, unix.CAN_RAW, "CAN_RAW"},
		{unix.SOCK_DGRAM, unix.CAN_ISOTP, "CAN_ISOTP"},
	} {
		fd, err := unix.Socket(unix.AF_CAN, s.kind|unix.SOCK_CLOEXEC, s.protocol)
		if err != nil {
			return fmt.Errorf("this kernel opens no %s socket: %w", s.name, err)
		}
		unix.Close(fd)
	}
	return nil
}

// runInNamespace runs the same test binary in new namespaces and returns its exit
// status. An error means that it cannot be started there.
func runInNamespace() (int, error) {
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

func makeInterfaces() error {
	for i := range interfaces {
		name := fmt.Sprintf("vcan%d", i)
		if err := AddLink(name); err != nil {
			return fmt.Errorf("no vcan interface can be made (is there a module vcan?): %w", err)
		}
		if err := SetLink(name, true); err != nil {
			return err
		}
	}
	return nil
}
