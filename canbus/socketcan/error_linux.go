package socketcan

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"example.com/isotp/canbus"
)

// An Error is what an interface answered. It is the system's error, such as
// ENETDOWN, to errors.Is.
type Error struct {
	Op        string // "open", "read", "write", "filter"
	Interface string
	Errno     unix.Errno
	temporary bool
}

func (e *Error) Error() string {
	s := fmt.Sprintf("socketcan: %s %s: %v", e.Op, e.Interface, e.Errno)
	if hint := e.hint(); hint != "" {
		s += " (" + hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Errno }

// Is makes it [canbus.ErrTemporary] while the bus is still of use: the interface is down
// and may come up again (when reading), or its queue is full (when writing).
func (e *Error) Is(target error) bool { return e.temporary && target == canbus.ErrTemporary }

func (e *Error) hint() string {
	switch e.Errno {
	case unix.EAFNOSUPPORT:
		return "this kernel has no CAN: modprobe can"
	case unix.EPROTONOSUPPORT:
		return "this kernel has no CAN_RAW: modprobe can-raw"
	case unix.ENODEV, unix.ENXIO:
		if e.Op == "open" {
			return "ip link show type can lists CAN interfaces, ip link show type vcan virtual ones"
		}
		return "the interface was deleted"
	case unix.ENETDOWN:
		return "ip link set " + e.Interface + " up"
	case unix.ENOBUFS:
		return "its queue stays full: does a node acknowledge the frames? if so, raise txqueuelen"
	}
	return ""
}

// final reports whether the socket has lost its interface for good.
func final(errno unix.Errno) bool {
	return errno == unix.ENODEV || errno == unix.ENXIO || errno == unix.EADDRNOTAVAIL
}

// errno returns the system's error inside err.
func errnoOf(err error) unix.Errno {
	if e, ok := errors.AsType[unix.Errno](err); ok {
		return e
	}
	return unix.EINVAL
}
