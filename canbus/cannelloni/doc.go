// Package cannelloni reaches a CAN bus through cannelloni, the tunnel of CAN frames in UDP or
// TCP (github.com/mguentner/cannelloni) that runs on computers with SocketCAN, such as a
// Raspberry Pi, and in other programs for microcontrollers with CAN and Wi-Fi. Here a
// connection is one end of the tunnel; no CAN interface and no cannelloni is needed on this
// computer. Importing the package makes [canbus.Open] know the scheme "cannelloni":
//
//	import _ "example.com/isotp/canbus/cannelloni"
//
//	c, err := isotpnet.Dial("isotp", "cannelloni:udp:192.168.0.2:20000/7E0:7E8")
//
// What the name says here, and what the other end is told there, as 192.168.0.3 is this
// computer:
//
//	cannelloni:udp:192.168.0.2         cannelloni -I can0 -R 192.168.0.3 -t 1000
//	cannelloni:tcp:192.168.0.2         cannelloni -I can0 -C s -R 192.168.0.3
//	cannelloni:tcp-listen:             cannelloni -I can0 -C c -R 192.168.0.3
//
// A port may follow the host (udp:192.168.0.2:12000, tcp:[fe80::1%eth0]:20000); it is 20000
// without. So is the port here. tcp-listen:PORT and tcp-listen:ADDRESS:PORT say where to
// listen; opening the bus waits then for a client. A bit rate may come next, and options:
//
//	@500000                      send no faster than a wire of that bit rate; see below.
//	                             @none: at once
//	,data=2000000                the bit rate of the data of CAN FD frames with BRS; the
//	                             same without
//	,local=192.168.0.3:13000     UDP: the address and the port to receive on (cannelloni's
//	                             -L and -l); all addresses and 20000 without; local=:13000
//	                             is a port of all addresses
//	,mtu=1500                    UDP: no datagram is longer than that, with its headers (-m)
//	,any                         UDP: datagrams from other hosts are taken, too (-p)
//	,from=192.168.0.2            tcp-listen: clients from other hosts are refused (-R)
//
// Of UDP, formats other than version 2 are not known, and of TCP none but version 1: they
// are those of all cannellonis since 2017 and 2023. SCTP is not there.
//
// # How fast it is
//
// Frames leave at once here, as many as were written together in one datagram. cannelloni
// collects frames for UDP for 0.1 s, unless it is told otherwise: that delays each answer and
// each flow control, so tell it -t 1000 (microseconds). It does not collect for TCP.
//
// A tunnel takes frames faster than the bus at its end can send them. cannelloni keeps up to
// 16000, and then drops the newest, and programs on microcontrollers keep fewer; neither
// tells of it. So say the bit rate of the other end's bus, if a message may be longer than
// that many frames. Without it TCP sends at once, and UDP as a node does on a wire of
// 3 Mbit/s, and 8 Mbit/s for the data of frames with BRS.
//
// In the other direction a bus is its own pace. A virtual interface (vcan) at the other end has
// none, and cannelloni loses frames that come faster than it reads them: a BlockSize of 64 or
// less, in isotpnet.Config here, holds a sender there up.
//
// # What is lost
//
// No frame is acknowledged. A Write of package isotpnet returns nil when the frames are on
// their way; ISO-TP notices each loss but that of a Single Frame.
//
// UDP may lose datagrams. They have numbers, so each that is missing shows when the next one
// comes ([UDP.Dropped]); on Linux those that this computer had no room for show at once. How
// many frames were in it is not known: it counts as one. A peer that begins anew counts as
// one, too. A datagram that comes later than others that were sent after it, or twice, is
// left out ([UDP.Late]), because frames that are out of order do more harm.
//
// TCP loses nothing as long as it is connected. When it is not, every call fails with
// [canbus.GoneError], which is net.ErrClosed to errors.Is. So it is when the peer has been silent
// for 20 s, and on Linux when it has taken nothing for that long. On Linux the error says how many
// frames the peer's computer has not acknowledged; frames that the peer had, and did not send,
// nothing tells. Flush waits for these acknowledgements. Close then waits, for 1 s at most, until
// the peer has read everything and ends the connection.
//
// What is no frame of CAN is left out and counted ([UDP.Malformed], [TCP.Malformed]), and the
// first time also logged, with [log/slog.Default]. So are datagrams and clients from another
// host.
//
// Error frames are taken as those of SocketCAN; cannelloni itself sends none. Nothing is
// encrypted, and the host of a datagram proves nothing: beyond a network that you trust use a
// tunnel that is.
package cannelloni
