// Package kvaser is a channel of a Kvaser adapter on Windows, through the maker's library CANlib.
// Importing it makes [canbus.Open] know the scheme "kvaser":
//
//	import _ "example.com/isotp/canbus/kvaser"
//
//	c, err := isotpnet.Dial("isotp", "kvaser:0@500000/7E0:7E8")
//
// It is experimental: it was tried against a simulated CANlib, under Wine too, and not on
// hardware. If something is not as this page says, please report it with the adapter's name,
// the version of Kvaser's drivers, the error, and what isotp record wrote meanwhile.
//
// On Linux these adapters are SocketCAN interfaces (drivers kvaser_usb and kvaser_pciefd), whose
// names are can0 and the like: nothing is loaded there. For macOS Kvaser has no library. There is
// no cgo: CANlib (canlib32.dll, with 64 bits too) is loaded from the system's folder when a channel
// is first opened, and comes with Kvaser Drivers for Windows.
//
// Names are kvaser:CHANNEL@BITRATE: kvaser:0@500000. Channels are numbered from 0 as CANlib does
// it, which isotp link and [Channels] list. The bit rates that CANlib has a timing for are 1000000,
// 500000, 250000, 125000, 100000, 83333, 62500, 50000 and 10000; others are made of a clock of
// 8 MHz, and sampled at 75 to 80 % of a bit. What may follow:
//
//	,data=2000000   CAN FD (ISO): the bit rate of the data phase, 500000, 1000000, 2000000 and
//	                4000000 sampled at 80 %, 8000000 at 60 %, others made of a clock of 80 MHz;
//	                so is the nominal bit rate then
//	,listen         listen only: nothing is sent, no acknowledgement either
//
// A channel can be opened by several programs, each of which hears what the others send. The first
// sets the bit rate, and the others have to use the same. Virtual channels work as those of
// adapters do, and need none.
//
// # What is on the wire
//
// CANlib reports each frame that is on the wire and acknowledged (TXACK), and ReadFrames returns it
// with the flag Echo then. Up to 64 frames may be on their way. The maker's documentation has one
// handle for each thread, or one for all that use it one at a time; a Bus has one handle, because
// CANlib reports a frame to the handle that wrote it, in one order with what the handle
// receives. It waits for CANlib's event, and does not poll.
//
// [Bus.Flush] waits until all frames are reported, and [Bus.Close] does that too. If none is for a
// second more than all take on the wire, because no node acknowledges them perhaps, they are in doubt.
//
// While CANlib's queue is full WriteFrames returns a [*FullError], which is temporary.
//
// # Errors on the bus
//
// Errors that the adapter sees, and changes of the controller's state, come from ReadFrames as
// error frames of SocketCAN's form, with the counters of errors. After too many errors the controller
// goes off the bus: frames that wait come back with the flags Echo and Refused, and after 100 ms the Bus
// takes the controller on the bus again; an error frame tells of either. If another program has the
// channel on the bus, too, that begins anew only when it does the same.
//
// # What is lost
//
// When the adapter is unplugged, every call fails with [canbus.GoneError], which says of how many
// frames it is not known whether they were sent. That is noticed within half a second.
//
// Frames that ReadFrames has not returned wait, 4096 at most; those beyond are dropped and counted
// ([Bus.Dropped]). What the adapter or CANlib has lost it does not count: an error frame tells of each
// time, and Dropped has it as one frame.
//
// Frames have the time of the adapter's clock, put to the computer's by the frames that came here
// fastest.
package kvaser
