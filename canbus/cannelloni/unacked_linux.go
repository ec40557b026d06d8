package cannelloni

import (
	"net"

	"golang.org/x/sys/unix"
)

// unacknowledged returns how many of the bytes that the system has taken the peer's has not
// acknowledged. ok is false where the system does not tell.
func unacknowledged(c *net.TCPConn) (bytes int, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	if raw.Control(func(fd uintptr) { bytes, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil || err != nil {
		return 0, false
	}
	return bytes, true
}
