// Package udpmulticast is a CAN bus made of UDP datagrams to a multicast group: every
// program that joins the group is on the bus, on any operating system, without hardware
// and without privileges. The format is that of python-can's interface udp_multicast.
// Importing the package makes [canbus.Open] know the scheme "udp":
//
//	import _ "example.com/isotp/canbus/udpmulticast"
//
//	c, err := isotpnet.Dial("isotp", "udp:239.74.163.2:43113/7E0:7E8")
//
// Names are udp:GROUP:PORT, as udp:239.74.163.2:43113 or
// udp:[ff15:7079:7468:6f6e:6465:6d6f:6d63:6173]:43113, python-can's own defaults.
// A network interface may follow the group (udp:239.74.163.2%eth0:43113); without
// it the system's routes choose one. A computer without a network has no route:
// udp:239.74.163.2%lo:43113 needs none. For IPv6 Linux needs a route even for lo: make it
// by ip -6 route add local ff00::/8 dev lo. A bit rate may come last
// (udp:239.74.163.2:43113@500000).
//
// # How far it goes
//
// Datagrams are sent with a TTL of 1: they reach the local network and are not
// routed on. Nothing is encrypted or authenticated: every computer on that network is on
// the bus.
//
// # How fast it is
//
// A real bus holds a sender up until each frame is on the wire. UDP does not, and drops
// frames that a receiver has no room for. So a Bus sends as a node does on a wire of
// 3 Mbit/s, and 8 Mbit/s for the data of frames with BRS. A receiver written in Python
// can take this on a computer that has nothing else to do: it has room for some 250
// frames. Two ends with python-can are not faster, in blocks of 8 frames. Use @500000, a
// slower wire for both phases, if the receiver must share its processor. @none sends at
// once: then a message of 4095 bytes to a peer that asks for no pauses may well lose
// frames.
//
// # What is lost
//
// A datagram may get lost, and it does when a receiver's buffer is full. On Linux
// [Bus.Dropped] counts that at the receiver; the sender does not learn of it, because no
// frame is acknowledged. ISO-TP notices each loss but that of a Single Frame. There is no
// arbitration.
package udpmulticast
