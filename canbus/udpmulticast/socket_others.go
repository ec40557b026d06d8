//go:build !linux

package udpmulticast

import "net"

func growReceiveBuffer(c *net.UDPConn, size int) { c.SetReadBuffer(size) }
