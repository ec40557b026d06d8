package cannelloni_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/cannelloni"
	"example.com/isotp/isotpnet"
)

// An ECU on the bus of a Raspberry Pi, on which runs
//
//	cannelloni -I can0 -R 192.168.0.3 -t 1000
//
// if 192.168.0.3 is this computer.
func Example() {
	c, err := isotpnet.Dial("isotp", "cannelloni:udp:192.168.0.2:20000@500000/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "\x22\xF1\x90")
	answer := make([]byte, 4095)
	n, err := c.Read(answer)
	fmt.Printf("% X %v\n", answer[:n], err)
}

// A tunnel of datagrams, and how it fares.
func ExampleUDP() {
	bus, err := cannelloni.Open(context.Background(), "udp:192.168.0.2:20000@500000")
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	tunnel := bus.(*cannelloni.UDP)
	for {
		if _, err := bus.ReadFrames(make([]canbus.Frame, 64)); err != nil {
			log.Fatal(err)
		}
		if missing := tunnel.Dropped(); missing > 0 {
			log.Printf("%d datagrams are missing; %d came too late or twice, %d from other hosts",
				missing, tunnel.Late(), tunnel.Strangers())
		}
	}
}

// A microcontroller connects to this computer by TCP, and to no other. Open waits for it for a
// minute, and Flush until it has acknowledged all.
func ExampleTCP() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	bus, err := cannelloni.Open(ctx, "tcp-listen:20000@500000,from=192.168.0.2")
	if errors.Is(err, context.DeadlineExceeded) {
		log.Fatal("it has not come")
	}
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	if _, err := bus.WriteFrames([]canbus.Frame{{ID: 0x123, Len: 8}}); err != nil {
		log.Fatal(err)
	}
	if err := bus.(*cannelloni.TCP).Flush(ctx); err != nil {
		log.Fatal(err)
	}
}
