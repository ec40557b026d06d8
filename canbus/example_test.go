package canbus_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"example.com/isotp/canbus"
	_ "example.com/isotp/canbus/virtual"
)

// mustOpen opens the bus of that name.
func mustOpen(name string) canbus.Bus {
	bus, err := canbus.Open(context.Background(), name)
	if err != nil {
		log.Fatal(err)
	}
	return bus
}

// Two programs on one bus: one sends a frame, the other reads it.
func Example() {
	a, err := canbus.Open(context.Background(), "virtual:frames")
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	b, err := canbus.Open(context.Background(), "virtual:frames")
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	request := canbus.Frame{ID: 0x7E0, Len: 4, Data: [64]byte{0x03, 0x22, 0xF1, 0x90}}
	if _, err := a.WriteFrames([]canbus.Frame{request}); err != nil {
		log.Fatal(err)
	}
	frames := make([]canbus.Frame, 16)
	n, err := b.ReadFrames(frames)
	for i := range frames[:n] {
		fmt.Println(&frames[i])
	}
	fmt.Println(err)
	// Output:
	// 7E0#0322F190
	// <nil>
}

func ExampleFrame() {
	f, err := canbus.ParseFrame("18DA10F1##1021001")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%X %v %v % X\n", f.ID, f.Has(canbus.Extended), f.Has(canbus.FD|canbus.BRS), f.Data[:f.Len])
	fmt.Println("on the wire for", canbus.WireTime(&f, 500_000, 2_000_000).Round(10*time.Microsecond))
	// Output:
	// 18DA10F1 true true 02 10 01
	// on the wire for 130µs
}

// What a bus can do, beyond what each must.
func ExampleAs() {
	bus := mustOpen("virtual:optional")
	defer bus.Close()
	fmt.Println("FD:", canbus.PropertiesOf(bus).FD)
	if filters, ok := canbus.As[canbus.FilterSetter](bus); ok {
		fmt.Println("filters:", filters.SetFilters([]canbus.Filter{{ID: 0x7E8, Mask: 0x7F8}}))
	}
	// Output:
	// FD: true
	// filters: <nil>
}
