// Package slcan is a CAN adapter on a serial line that speaks slcan, the text
// protocol of Lawicel's CAN232 and CANUSB, which CANable and many others speak too.
// It works on every operating system, without drivers. Importing it makes
// [canbus.Open] know the scheme "slcan":
//
//	import _ "example.com/isotp/canbus/slcan"
//
//	c, err := isotpnet.Dial("isotp", "slcan:/dev/ttyACM0@500000/7E0:7E8")
//
// Names are slcan:PORT@BITRATE: slcan:/dev/ttyACM0@500000, on Windows
// slcan:COM3@500000. The bit rate is one of 10000, 20000, 50000, 100000, 125000,
// 250000, 500000, 800000 and 1000000 (the commands S0 to S8), or s and the digits
// of the adapter's timing registers: slcan:/dev/ttyUSB0@s031C. What may follow:
//
//	,data=2000000  CAN FD: the bit rate of the data phase, 1000000 to 5000000, with
//	               the commands of CANable 2 (d, D, b, B and Y)
//	,baud=1000000  the speed of the serial line, 115200 without; USB adapters do
//	               not care
//	,listen        listen only (the command L instead of O): nothing is sent, no
//	               acknowledgement either
//
// A port that a program has open is not open to others.
//
// # What an adapter tells
//
// Not all answer commands. One that refuses to open the channel is an error of
// Open; one that says nothing for a fifth of a second is taken to have agreed. It
// does not say when a frame has left, so there are no echoes, and the Bus itself
// sends no faster than the wire can, or an adapter's short queue would overflow. A
// frame that an adapter refuses is counted ([Bus.Refused]); the Bus then asks for
// the adapter's status, and an error frame tells what it says.
//
// When the adapter is gone, every call fails with [LostError], which tells why and
// is a net.ErrClosed to errors.Is.
package slcan
