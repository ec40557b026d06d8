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
// What goes across such a connection are the frames of classic CAN, 16 bytes each,
// as Linux's struct can_frame, little endian: a word of identifier and flags, the
// length, three bytes of nothing, and eight of data. This package knows that form
// and needs nothing of the library.
//
// # CAN FD
//
// The form has no room for it. A [Bus] carries classic CAN only, and refuses CAN FD
// frames; a [Conn] leaves out those of its bus and counts them (see [Conn.LeftOut]).
//
// # No name for canbus.Open
//
// A connection is something that a program has, and not a name. What their Dial
// makes of one is there already: "can" is an interface of Linux, which package
// canbus/socketcan opens with CAN FD, echoes and times; all other networks but
// "udp" are those of package net. "udp" is their emulator's multicast group, of
// which canbus/udpmulticast is no member, as that has python-can's form.
package einride
