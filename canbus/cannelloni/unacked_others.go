//go:build !linux

package cannelloni

import "net"

func unacknowledged(*net.TCPConn) (bytes int, ok bool) { return 0, false }
