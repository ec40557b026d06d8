//go:build !linux

package cannelloni

import (
	"net"
	"time"
)

func unacknowledged(*net.TCPConn) (bytes int, ok bool) { return 0, false }

// giveUp does nothing: it is left to the system how long it tries.
func giveUp(*net.TCPConn, time.Duration) {}
