package main

// The buses that names can mean, beside those of package isotpnet.
import (
	_ "example.com/isotp/canbus/candump"
	_ "example.com/isotp/canbus/slcan"
	_ "example.com/isotp/canbus/socketcand"
	_ "example.com/isotp/canbus/udpmulticast"
)
