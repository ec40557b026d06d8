package sockdrops

import (
	"net"

	"golang.org/x/sys/unix"
)

// Grow makes the buffer in which a socket receives that large, or as large as is allowed.
// Call it before [Counter.Init].
func Grow(c *net.UDPConn, size int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size)
		}
	})
}
