package virtual_test

import (
	"context"
	"fmt"
	"log"

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
