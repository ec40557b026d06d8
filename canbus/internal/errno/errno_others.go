//go:build !windows

package errno

import "syscall"

func ofSocket(e syscall.Errno) syscall.Errno { return e }
