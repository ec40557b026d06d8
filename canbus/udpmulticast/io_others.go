//go:build !windows

package udpmulticast

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// reader returns what reads a socket, and what tells from a datagram's control message where it
// went; nil if the system does not tell.
func reader(c *net.UDPConn, group netip.Addr) (transfer, func(oob []byte) net.IP) {
	if group.Is4() {
		p := ipv4.NewPacketConn(c)
		if p.SetControlMessage(ipv4.FlagDst, true) != nil {
			return p.ReadBatch, nil
		}
		var cm ipv4.ControlMessage
		return p.ReadBatch, func(oob []byte) net.IP {
			if cm.Parse(oob) != nil {
				return nil
			}
			return cm.Dst
		}
	}
	p := ipv6.NewPacketConn(c)
	if p.SetControlMessage(ipv6.FlagDst, true) != nil {
		return p.ReadBatch, nil
	}
	var cm ipv6.ControlMessage
	return p.ReadBatch, func(oob []byte) net.IP {
		if cm.Parse(oob) != nil {
			return nil
		}
		return cm.Dst
	}
}

// writer returns what writes to a socket.
func writer(c *net.UDPConn, group netip.Addr) transfer {
	if group.Is4() {
		return ipv4.NewPacketConn(c).WriteBatch
	}
	return ipv6.NewPacketConn(c).WriteBatch
}
