package slcan_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/slcan"
	"example.com/isotp/isotpnet"
)

// An adapter at 500 kbit/s; on Windows its name is slcan:COM3@500000 or the like.
func Example() {
	c, err := isotpnet.Dial("isotp", "slcan:/dev/ttyACM0@500000/7E0:7E8")
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

// Where an adapter may be plugged in: a list to choose from.
func ExamplePorts() {
	ports, err := slcan.Ports()
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range ports {
		switch {
		case p.InUse:
			fmt.Println(p.Name, "is open in another program")
		case p.Perhaps:
			fmt.Println(p.Name, "may be an adapter, or not:", p.Adapter)
		default:
			fmt.Println(p.Name, p.Adapter, p.SerialNumber)
		}
	}
}

// An adapter at a line that this package cannot open itself: here a socket that another program
// gives out. The adapter does not tell that it is a CANable.
func ExampleNew() {
	conn, err := net.Dial("unix", "/run/adapter.sock")
	if err != nil {
		log.Fatal(err)
	}
	bus, err := slcan.New(context.Background(), conn, "/run/adapter.sock", slcan.Options{
		Bitrate: 500_000,
		Family:  slcan.FamilyCANable,
		Wait:    -1, // it is no Arduino, which would restart
	})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	fmt.Println("it refused", bus.Refused(), "frames and lost", bus.Dropped())
}

// Whether the adapter has put on the wire what was written: not every adapter says so of each
// frame, and one that was pulled out says nothing.
func ExampleDoubtError() {
	bus, err := slcan.Open(context.Background(), "/dev/ttyACM0", slcan.Options{Bitrate: 500_000})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	if _, err := bus.WriteFrames([]canbus.Frame{{ID: 0x123, Len: 8}}); err != nil {
		log.Fatal(err)
	}
	err = bus.Flush(context.Background())
	if doubt, ok := errors.AsType[*slcan.DoubtError](err); ok {
		fmt.Println("the last", doubt.Frames, "frames may be missing")
	}
}
