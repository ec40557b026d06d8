package socketcan_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"golang.org/x/sys/unix"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/socketcan"
)

// Frames of one ECU from an interface of Linux; the kernel leaves the others out.
func Example() {
	bus, err := canbus.Open(context.Background(), "can0")
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	if filters, ok := canbus.As[canbus.FilterSetter](bus); ok {
		if err := filters.SetFilters([]canbus.Filter{{ID: 0x7E8, Mask: 0x7FF}}); err != nil {
			log.Fatal(err)
		}
	}
	frames := make([]canbus.Frame, 64)
	for {
		n, err := bus.ReadFrames(frames)
		for i := range frames[:n] {
			fmt.Println(frames[i].Time(), &frames[i])
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

// A logger of all that is on the wire: it tells what this computer has sent from what came in.
func ExampleOpen() {
	bus, err := socketcan.Open("can0")
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	bus.EchoLocal()
	frames := make([]canbus.Frame, 64)
	for {
		n, err := bus.ReadFrames(frames)
		for i := range frames[:n] {
			way := "received"
			if frames[i].Has(canbus.Echo) {
				way = "sent"
			}
			fmt.Println(frames[i].Time(), way, &frames[i])
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

// An interface that is set down comes up again, perhaps; one that was pulled out does not.
func ExampleError() {
	bus, err := socketcan.Open("can0")
	if err != nil {
		log.Fatal(err) // it says what to do, as: ip link set can0 up
	}
	defer bus.Close()
	for {
		_, err := bus.ReadFrames(make([]canbus.Frame, 64))
		e, ok := errors.AsType[*socketcan.Error](err)
		switch {
		case err == nil:
		case ok && errors.Is(err, canbus.ErrTemporary):
			log.Printf("%s of %s: %v; waiting", e.Op, e.Interface, e.Errno)
		case errors.Is(err, unix.ENODEV):
			log.Fatal("the adapter was pulled out")
		default:
			log.Fatal(err)
		}
	}
}
