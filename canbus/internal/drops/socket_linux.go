package drops

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func bufferSize(raw syscall.RawConn) (size int) {
	raw.Control(func(fd uintptr) {
		size, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	return size
}

// dropped asks the socket for its count.
func dropped(raw syscall.RawConn) (n uint32, ok bool) {
	const skMeminfoDrops = 8
	raw.Control(func(fd uintptr) {
		var info [skMeminfoDrops + 1]uint32
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		n, ok = info[skMeminfoDrops], errno == 0
	})
	return n, ok
}
