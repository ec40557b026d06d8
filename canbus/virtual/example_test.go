package virtual_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

func Example() {
	tester, err := canbus.Open(context.Background(), "virtual:demo")
	if err != nil {
		log.Fatal(err)
	}
	defer tester.Close()
	ecu, err := canbus.Open(context.Background(), "virtual:demo")
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()

	request, err := canbus.ParseFrame("7E0#023E00")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := tester.WriteFrames([]canbus.Frame{request}); err != nil {
		log.Fatal(err)
	}
	var b [8]canbus.Frame
	n, err := ecu.ReadFrames(b[:])
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range b[:n] {
		fmt.Println(f)
	}
	// Output:
	// 7E0#023E00
}

// A CAN FD bus at 500 kbit/s and 2 Mbit/s that loses the third frame.
func ExampleNew() {
	count := 0
	network, err := virtual.New(virtual.Options{
		Bitrate:     500_000,
		DataBitrate: 2_000_000,
		Intercept: func(f *canbus.Frame) virtual.Verdict {
			if count++; count == 3 {
				return virtual.Lose
			}
			return virtual.Deliver
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	here, err := network.Tap()
	if err != nil {
		log.Fatal(err)
	}
	defer here.Close()
	there, err := network.Tap()
	if err != nil {
		log.Fatal(err)
	}
	defer there.Close()

	for i := range byte(4) {
		f := canbus.Frame{ID: 0x123, Len: 1, Data: [canbus.MaxLen]byte{i}}
		if _, err := here.WriteFrames([]canbus.Frame{f}); err != nil {
			log.Fatal(err)
		}
	}
	for range 3 {
		var b [1]canbus.Frame
		if _, err := there.ReadFrames(b[:]); err != nil {
			log.Fatal(err)
		}
		fmt.Println(b[0])
	}
	// Output:
	// 123#00
	// 123#01
	// 123#03
}

// A bus on which one frame in ten is lost, and some come twice. With the same Seed the same
// frames have the same fate, so a test that has failed fails again.
func ExampleFaults() {
	network, err := virtual.New(virtual.Options{
		Faults: virtual.Faults{Lose: 0.1, Duplicate: 0.02},
		Seed:   1,
		HangUp: true, // the receiver learns that the sender has gone
	})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	sender, err := network.Tap()
	if err != nil {
		log.Fatal(err)
	}
	receiver, err := network.Tap()
	if err != nil {
		log.Fatal(err)
	}
	defer receiver.Close()

	const sent = 100
	for range sent {
		sender.WriteFrames([]canbus.Frame{{ID: 0x123, Len: 8}})
		sender.ReadFrames(make([]canbus.Frame, 1)) // its echo: it is on the wire
	}
	sender.Close()
	received := 0
	for {
		n, err := receiver.ReadFrames(make([]canbus.Frame, 16))
		received += n
		if err == io.EOF {
			break
		}
	}
	fmt.Println(sent, "sent,", received, "received")
	// Output: 100 sent, 94 received
}

// A controller that has seen too many errors goes off the bus for a while. Its program gets
// error frames, as from SocketCAN.
func ExampleTap_BusOff() {
	network, err := virtual.New(virtual.Options{Bitrate: 500_000})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	tap, err := network.Tap()
	if err != nil {
		log.Fatal(err)
	}
	defer tap.Close()
	if err := tap.BusOff(time.Millisecond); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		var frame [1]canbus.Frame
		if _, err := tap.ReadFrames(frame[:]); err != nil {
			log.Fatal(err)
		}
		switch frame[0].ID {
		case 0x040: // CAN_ERR_BUSOFF
			fmt.Println("off the bus")
		case 0x100: // CAN_ERR_RESTARTED
			fmt.Println("on the bus again")
		}
	}
	// Output:
	// off the bus
	// on the bus again
}
