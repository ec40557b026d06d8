package udpmulticast

import (
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// reader returns what reads a socket, one datagram at a time, and what tells from a datagram's control
// message where it went; nil if the system does not tell. Packages ipv4 and ipv6, which are used on other
// systems, read and write nothing on Windows, and know no control messages there.
func reader(c *net.UDPConn, group netip.Addr) (transfer, func(oob []byte) net.IP) {
	read := func(batch []datagram, _ int) (int, error) {
		d := &batch[0]
		n, oobn, _, from, err := c.ReadMsgUDPAddrPort(d.Buffers[0], d.OOB)
		if err != nil {
			return 0, err
		}
		d.N, d.NN, d.Addr = n, oobn, net.UDPAddrFromAddrPort(from)
		return 1, nil
	}
	level, length := windows.IPPROTO_IP, net.IPv4len
	if group.Is6() {
		level, length = windows.IPPROTO_IPV6, net.IPv6len
	}
	if tellDestinations(c, level) != nil {
		return read, nil
	}
	return read, func(oob []byte) net.IP {
		const header = int(unsafe.Sizeof(windows.WSACMSGHDR{}))
		if len(oob) < header+length {
			return nil
		}
		// IN_PKTINFO and IN6_PKTINFO begin with the address. The only messages are those that were asked for.
		return net.IP(oob[header : header+length])
	}
}

// tellDestinations has a socket tell with each datagram which address it went to.
func tellDestinations(c *net.UDPConn, level int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(socket uintptr) {
		failed = windows.SetsockoptInt(windows.Handle(socket), level, windows.IP_PKTINFO, 1) // IPV6_PKTINFO has the same number
	})
	if err != nil {
		return err
	}
	return failed
}

// writer returns what writes to a socket, one datagram at a time.
func writer(c *net.UDPConn, _ netip.Addr) transfer {
	return func(batch []datagram, _ int) (int, error) {
		if _, err := c.Write(batch[0].Buffers[0]); err != nil {
			return 0, err
		}
		return 1, nil
	}
}
