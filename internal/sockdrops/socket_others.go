//go:build !linux

package sockdrops

import "syscall"

func bufferSize(syscall.RawConn) int { return 0 }

// Of returns how many frames, datagrams or messages a socket has had no room for. Only
// Linux tells: elsewhere ok is false.
func Of(int) (n uint32, ok bool) { return 0, false }
