package socketcand_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/socketcand"
	"example.com/isotp/canbus/virtual"
)

// A bus of this process, served to others, and a client of it.
func Example() {
	bus, err := virtual.Open("example-served")
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &socketcand.Server{
		Buses: []string{"can0"},
		Open:  func(context.Context, string) (canbus.Bus, error) { return virtual.Open("example-served") },
	}
	go server.Serve(ln)
	defer server.Close()

	client, err := canbus.Open(context.Background(), "socketcand:"+ln.Addr().String()+"/can0")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	client.WriteFrames([]canbus.Frame{{ID: 0x7E0, Len: 2, Data: [64]byte{0x01, 0x3E}}})
	var frames [1]canbus.Frame
	bus.ReadFrames(frames[:])
	fmt.Println(frames[0])
	// Output: 7E0#013E
}

// A frame is proven to be on the bus of a server far away, before the program ends.
func ExampleBus_Flush() {
	server := &socketcand.Server{
		Buses: []string{"engine=virtual:example-flushed"}, // clients say engine
		Open:  canbus.Open,
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(ln)
	defer server.Close()

	bus, err := socketcand.Open(context.Background(), ln.Addr().String()+"/engine")
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	if _, err := bus.WriteFrames([]canbus.Frame{{ID: 0x7E0, Len: 2, Data: [64]byte{0x01, 0x3E}}}); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := bus.Flush(ctx); err != nil {
		log.Fatal(err) // it says how many frames are in doubt
	}
	fmt.Println("sent; refused:", bus.Refused())
	// Output: sent; refused: 0
}
