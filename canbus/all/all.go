// Package all makes every driver of this module known to canbus.Open, and with it to
// isotpnet.Dial and Listen: import it for programs whose user names the bus.
//
//	import _ "example.com/isotp/canbus/all"
//
// A program that knows its buses imports their drivers only: it is smaller by megabytes,
// and a name from a file or a user cannot reach the network.
package all

import (
	_ "example.com/isotp/canbus/candump"      // candump:FILE
	_ "example.com/isotp/canbus/cannelloni"   // cannelloni:udp:HOST:PORT
	_ "example.com/isotp/canbus/j2534"        // j2534:NAME@BITRATE
	_ "example.com/isotp/canbus/kvaser"       // kvaser:CHANNEL@BITRATE
	_ "example.com/isotp/canbus/pcan"         // pcan:USB1@500000
	_ "example.com/isotp/canbus/slcan"        // slcan:PORT@BITRATE
	_ "example.com/isotp/canbus/socketcan"    // can0
	_ "example.com/isotp/canbus/socketcand"   // socketcand:HOST:PORT/BUS
	_ "example.com/isotp/canbus/udpmulticast" // udp:GROUP:PORT
	_ "example.com/isotp/canbus/virtual"      // virtual:NAME
)
