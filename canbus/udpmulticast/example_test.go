package udpmulticast_test

import (
	"fmt"
	"log"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/udpmulticast"
	"example.com/isotp/isotpnet"
)

// A program in Python is the ECU, on another computer of the network or on this one. Its bus is
//
//	can.Bus("239.74.163.2", interface="udp_multicast", port=43113)
func Example() {
	c, err := isotpnet.Dial("isotp", "udp:239.74.163.2:43113/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0x22, 0xF1, 0x90}); err != nil {
		log.Fatal(err)
	}
	answer := make([]byte, 4095)
	n, err := c.Read(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%X\n", answer[:n])
}

// A reader that may be slow. It learns of what its own computer had no room for, and never of
// what the network has lost.
func ExampleOpen() {
	bus, err := udpmulticast.Open("239.74.163.2:43113@500000") // sends as a wire of 500 kbit/s
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	frames := make([]canbus.Frame, 64)
	for {
		n, err := bus.ReadFrames(frames)
		for i := range frames[:n] {
			fmt.Println(&frames[i])
		}
		if err != nil {
			log.Fatal(err)
		}
		if lost := bus.Dropped(); lost > 0 {
			log.Print(lost, " frames lost; no CAN at all: ", bus.Malformed())
		}
	}
}
