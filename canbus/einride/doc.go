// Package einride joins this module with go.einride.tech/can: a connection of its
// package socketcan becomes a [canbus.Bus], and any Bus becomes a connection that
// its Receiver and Transmitter work on.
//
//	conn, err := socketcan.Dial("can", "can0")        // theirs
//	d := isotpnet.Dialer{Bus: einride.NewBus(conn)}   // ISO-TP over it
//	c, err := d.Dial("isotp:user", "/7E0:7E8")
//
//	conn, err := einride.Dial("slcan:COM3@500000")    // ours
//	rx := socketcan.NewReceiver(conn)                 // theirs, where there is no SocketCAN
//
// Such a connection carries frames of classic CAN, 16 bytes each, as Linux's struct
// can_frame, little endian: a word of identifier and flags, the length, three bytes that
// mean nothing, and eight of data. This package knows that form and does not import the
// library.
//
// # What is lost
//
// A [Bus] does not learn of frames that the connection's socket drops; on a stream such as
// TCP none are. A [Conn] counts frames that it has no room for, and those that its bus
// drops ([Conn.Dropped]). When the connection is lost, every call of a Bus fails with
// [canbus.GoneError].
//
// # CAN FD
//
// The form has no room for it. A [Bus] carries classic CAN only, and refuses CAN FD
// frames; a [Conn] leaves out those of its bus and counts them (see [Conn.LeftOut]).
//
// # No name for canbus.Open
//
// A connection is a value that a program has, and has no name. The names that their Dial
// takes are known already: "can" is an interface of Linux, which package canbus/socketcan
// opens with CAN FD, echoes and times; "udp" is their emulator's multicast group, which
// canbus/udpmulticast cannot join, because it uses python-can's form; and all other
// networks are those of package net.
package einride
