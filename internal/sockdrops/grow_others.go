//go:build !linux

package sockdrops

import "net"

// Grow makes the buffer in which a socket receives that large.
func Grow(c *net.UDPConn, size int) { c.SetReadBuffer(size) }
