package cantest

import (
	"fmt"
	"os"
	"testing"

	"example.com/isotp/test/netns"
	"golang.org/x/sys/unix"
)

const interfaces = 4

// Main runs the tests; it is for TestMain and does not return. Where that is needed
// and allowed it runs them in a namespace, see [netns.Enter].
func Main(m *testing.M) {
	if !InMachine() {
		missing = reason(prepare())
	} else {
		missing = "" // Need is not asked: what is not there must fail
	}
	os.Exit(m.Run())
}

// prepare makes the interfaces, in a namespace.
func prepare() error {
	if err := haveCAN(); err != nil {
		return err
	}
	if err := netns.Enter(); err != nil {
		return err
	}
	return makeInterfaces()
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
