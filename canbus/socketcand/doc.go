// Package socketcand reaches CAN buses across a network: the client and the server
// of socketcand's protocol (github.com/linux-can/socketcand), lines of text over
// TCP. Importing it makes [canbus.Open] know the scheme "socketcand":
//
//	import _ "example.com/isotp/canbus/socketcand"
//
//	c, err := isotpnet.Dial("isotp", "socketcand:raspberrypi:28600/can0/7E0:7E8")
//
// Names are socketcand:HOST:PORT/BUS, where BUS is what the server calls the bus. A
// bit rate may follow (socketcand:raspberrypi:29536/can0@500000): then the Bus
// sends no faster than a wire of that rate would take. Linux's own socketcand needs
// that, as it ends a connection when the interface's queue is full; the [Server]
// here waits for room instead.
//
// The server is also the command isotp serve-bus.
//
// # What goes across
//
// Data frames, CAN FD too (servers of 2024 and newer), and error frames by their
// class. There are no remote frames in raw mode, which this is, and WriteFrames
// refuses them. Timestamps are of the server's clock. A server does not tell when a
// frame is on the wire, so there are no echoes, nor whether its interface carries
// CAN FD: Linux's ends the connection when it does not.
//
// Nothing is encrypted and nobody is asked who he is: whoever can connect is on the
// bus. Beyond a network that you trust, use a tunnel.
//
// When the connection is lost, every call fails with [LostError], which tells why
// and is a net.ErrClosed to errors.Is.
//
// # Why not the server's ISO-TP
//
// The protocol has a mode in which the server's kernel speaks ISO-TP (isotpmode).
// It is no backend of package isotpnet, because it cannot keep what a Conn
// promises: nothing answers sendpdu, so that a Write would report messages as sent
// that never were; errors, time-outs among them, do not come across; a message the
// socket cannot take at once ends the connection; and sizes end at the server's
// buffer. Over raw mode the engine here keeps all of it, at the price of flow
// control that crosses the network: a peer's N_Bs must be longer than that takes.
package socketcand
