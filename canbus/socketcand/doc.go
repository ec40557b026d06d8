// Package socketcand reaches CAN buses across a network: the client and the server
// of socketcand's protocol (github.com/linux-can/socketcand), lines of text over
// TCP. Importing it makes [canbus.Open] know the scheme "socketcand":
//
//	import _ "example.com/isotp/canbus/socketcand"
//
//	c, err := isotpnet.Dial("isotp", "socketcand:raspberrypi:29536/can0/7E0:7E8")
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
// Data frames go across, and error frames by their class. CAN FD frames go across between
// this package's Bus and Server; the released versions of socketcand do not know them, and
// WriteFrames then returns an error that says so. The protocol's raw mode, which this
// package uses, has no remote frames: WriteFrames refuses them. Timestamps are of the
// server's clock.
//
// Nothing is encrypted, and a client needs no password: every program that can connect is
// on the bus. Beyond a network that you trust, use a tunnel.
//
// # What is proven
//
// A server does not confirm a frame that it has sent, but it executes commands in order
// and answers the command < echo >. So the Bus writes an < echo > behind each batch of
// frames. When the answer has come, ReadFrames returns these frames as echoes: the server
// has handed them to its interface, or, if it is a Server whose bus echoes, they are on
// the wire. A Write of package isotpnet that returns nil has that proof, and Flush and
// Close wait for it. If the server answers with an error, no frame of the batch counts as
// sent ([canbus.Refused]), because the error does not say which frame it means; from then
// on each frame is a batch of its own.
//
// Some small servers do not know < echo >: they answer the first one with an error, or not
// within 2 s. With them there are no echoes, and a frame counts as sent when TCP has
// taken it (see [canbus.Properties]). Close then ends the direction to the server, and
// waits up to 1 s until the server has read all and has ended the other direction.
//
// # What is lost
//
// When the connection is lost, every call fails with [canbus.GoneError]. It says why, and
// how many frames are in doubt, and it is net.ErrClosed to errors.Is.
//
// The Bus receives frames whether ReadFrames is called or not. It keeps up to 16,384 of
// them, and counts those that it has no room for ([Bus.Dropped]). A [Server] tells its
// clients of frames that it has dropped, and Dropped counts these too; other servers do
// not tell. Frames that the server has refused, and lines that are no frames, are counted
// by [Bus.Refused] and [Bus.Malformed].
//
// # Why not the server's ISO-TP
//
// The protocol has a mode in which the server's kernel speaks ISO-TP (isotpmode).
// It is no backend of package isotpnet, because it cannot keep what a Conn
// promises: the server does not answer sendpdu, so a Write would report messages as
// sent that never were; the server does not report errors, not even time-outs; it ends
// the connection if the socket cannot take a message at once; and no message can be
// longer than the server's buffer. Over raw mode the engine here keeps all promises, but
// flow control crosses the network: a peer's N_Bs must be longer than that takes.
package socketcand
