// Package socketcan is the CAN bus of Linux: a network interface such as can0 or
// vcan0, used through a CAN_RAW socket. Importing it makes interfaces known to
// canbus.Open, whose names have no colon:
//
//	import _ "example.com/isotp/canbus/socketcan"
//
//	bus, err := canbus.Open(ctx, "can0")
//
// On other systems than Linux canbus.Open fails for such names.
//
// An interface is that of the network namespace of the thread which opens it; a Bus stays
// on it whatever thread uses it, and whatever name the interface gets.
//
// It needs no privileges. The interface must be up; the system's administrator
// sets its bit rate and its queue:
//
//	ip link set can0 type can bitrate 500000
//	ip link set can0 txqueuelen 100 up
//
// # Errors
//
// An [Error] is what the system has answered, with what to do about it. It is
// [canbus.ErrTemporary] while the interface is down, or its queue full: the Bus is of use
// again when that is over. When the interface is deleted, or its adapter pulled out, every
// call fails with ENODEV.
//
// # What is lost
//
// The Bus loses received frames if the reader is too slow and the socket's buffer is full,
// and counts them ([Bus.Dropped]). What an adapter loses before that it may tell by error
// frames. A frame that was written has an echo when it is on the wire; a frame that the
// interface drops, when it is set down for example, has none.
package socketcan
