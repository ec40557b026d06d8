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
// Data frames, and error frames by their class. CAN FD frames too, between this package's
// Bus and Server; the released versions of socketcand do not know them, which WriteFrames
// then says. There are no remote frames in raw mode, which this is, and WriteFrames
// refuses them. Timestamps are of the server's clock.
//
// Nothing is encrypted and nobody is asked who he is: whoever can connect is on the
// bus. Beyond a network that you trust, use a tunnel.
//
// # What is proven
//
// The protocol says nothing of a frame that was sent, but a server does what it is told in
// order and answers < echo >. So there is an < echo > behind each batch of frames, and
// when its answer has come ReadFrames returns these frames as echoes: the server has
// handed them to its interface, or, if it is a Server whose bus echoes, they are on the
// wire. A Write of package isotpnet that returns nil has that proof, and Flush and Close
// wait for it. If the server answers by an error, none of the batch counts as sent
// ([canbus.Refused]), as it does not say which frame it means; from then on each frame is
// a batch of its own.
//
// When the connection is lost, every call fails with [canbus.GoneError], which tells why and how
// many frames are in doubt, and is a net.ErrClosed to errors.Is.
//
// Some small servers do not know < echo >: they answer an error to the first one, or
// nothing for 2 s. With them there are no echoes, and a frame counts as sent when TCP has
// taken it (see [canbus.Properties]). Close then ends the way to the server and waits up
// to 1 s for the server to end the way back, having read all.
//
// Frames are received whether ReadFrames is called or not, up to 16,384 of them; what
// is lost beyond is counted ([Bus.Dropped]).
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
