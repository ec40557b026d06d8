package socketcan_test

import (
	"context"
	"fmt"
	"log"

	"example.com/isotp/canbus"
	_ "example.com/isotp/canbus/socketcan"
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
