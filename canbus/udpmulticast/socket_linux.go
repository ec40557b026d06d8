package udpmulticast

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// growReceiveBuffer makes the buffer as large as is allowed.
func growReceiveBuffer(c *net.UDPConn, size int) {
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

// drops asks the socket how many datagrams it lost.
func drops(c *net.UDPConn) (n uint64) {
	const skMeminfoDrops = 8
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		var info [skMeminfoDrops + 1]uint32
		size := uint32(unsafe.Sizeof(info))
		unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		n = uint64(info[skMeminfoDrops])
	})
	return n
}
