package cannelloni

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// unacknowledged returns how many of the bytes that the system has taken the peer's has not
// acknowledged. ok is false where the system does not tell.
func unacknowledged(c *net.TCPConn) (bytes int, ok bool) {
	err := control(c, func(fd int) (err error) {
		bytes, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return err
	})
	return bytes, err == nil
}

// giveUp makes the connection fail when what was written has not been acknowledged for that long,
// or the peer has had no room for it. By itself the system tries for a quarter of an hour.
func giveUp(c *net.TCPConn, after time.Duration) {
	control(c, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
	})
}

func control(c *net.TCPConn, do func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	if err := raw.Control(func(fd uintptr) { done = do(int(fd)) }); err != nil {
		return err
	}
	return done
}
