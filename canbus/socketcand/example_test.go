package socketcand_test

import (
	"context"
	"fmt"
	"log"
	"net"

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
