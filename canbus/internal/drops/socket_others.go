//go:build !linux

package drops

import "syscall"

func bufferSize(syscall.RawConn) int { return 0 }

func dropped(syscall.RawConn) (n uint32, ok bool) { return 0, false }
