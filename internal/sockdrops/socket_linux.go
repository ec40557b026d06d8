package sockdrops

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

// Of returns how many frames, datagrams or messages a socket has had no room for. The
// count begins anew after 4 billion. ok is false where the socket cannot be asked.
func Of(fd int) (n uint32, ok bool) {
	const skMeminfoDrops = 8 // SK_MEMINFO_DROPS, the last of the option's numbers
	var info [skMeminfoDrops + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info[skMeminfoDrops], errno == 0
}
