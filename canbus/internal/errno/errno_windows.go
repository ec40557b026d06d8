package errno

import (
	"syscall"

	"golang.org/x/sys/windows"
)

var winsock = map[syscall.Errno]syscall.Errno{
	syscall.EADDRINUSE:    windows.WSAEADDRINUSE,
	syscall.EADDRNOTAVAIL: windows.WSAEADDRNOTAVAIL,
	syscall.ECONNABORTED:  windows.WSAECONNABORTED,
	syscall.ECONNREFUSED:  windows.WSAECONNREFUSED,
	syscall.ECONNRESET:    windows.WSAECONNRESET,
	syscall.EHOSTUNREACH:  windows.WSAEHOSTUNREACH,
	syscall.EMFILE:        windows.WSAEMFILE,
	syscall.ENETDOWN:      windows.WSAENETDOWN,
	syscall.ENETUNREACH:   windows.WSAENETUNREACH,
	syscall.ENOBUFS:       windows.WSAENOBUFS,
}

// ofSocket returns the error of Windows' sockets.
func ofSocket(e syscall.Errno) syscall.Errno {
	if w, ok := winsock[e]; ok {
		return w
	}
	return e
}
