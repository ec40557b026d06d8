// Package errno tells what error a socket has returned. On Windows that is not the error that package
// syscall has under the name: syscall.EADDRINUSE is a number of Go's own there, and a socket returns
// WSAEADDRINUSE.
package errno

import (
	"errors"
	"slices"
	"syscall"
)

// Is reports whether err is one of these errors, to errors.Is, or what sockets of this system return
// for it.
func Is(err error, list ...syscall.Errno) bool {
	return slices.ContainsFunc(list, func(e syscall.Errno) bool {
		return errors.Is(err, e) || errors.Is(err, ofSocket(e))
	})
}
