package einride_test

import (
	"context"
	"fmt"
	"log"

	"example.com/isotp/canbus/einride"
	"example.com/isotp/isotpnet"
	"go.einride.tech/can"
	"go.einride.tech/can/pkg/socketcan"
)

// An ECU made with go.einride.tech/can, and an ISO-TP connection, on a bus that needs
// no Linux.
func Example() {
	conn, err := einride.Dial("virtual:einride-example") // or slcan:COM3@500000
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	go func() {
		rx, tx := socketcan.NewReceiver(conn), socketcan.NewTransmitter(conn)
		for rx.Receive() {
			request := rx.Frame()
			if request.ID != 0x7E0 {
				continue
			}
			answer := can.Frame{ID: 0x7E8, Length: 3, Data: can.Data{2, request.Data[1] + 0x40, request.Data[2]}}
			if err := tx.TransmitFrame(context.Background(), answer); err != nil {
				return
			}
		}
	}()

	c, err := isotpnet.Dial("isotp", "virtual:einride-example/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0x10, 0x03}); err != nil {
		log.Fatal(err)
	}
	answer := make([]byte, 8)
	n, err := c.Read(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%X\n", answer[:n])
	// Output:
	// 5003
}

// ISO-TP over a connection that a program has made with go.einride.tech/can.
func ExampleNewBus() {
	conn, err := socketcan.Dial("can", "can0")
	if err != nil {
		log.Fatal(err)
	}
	bus := einride.NewBus(conn)
	defer bus.Close()
	d := isotpnet.Dialer{Bus: bus}
	c, err := d.DialContext(context.Background(), "isotp:user", "/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0x22, 0xF1, 0x90}); err != nil {
		log.Fatal(err)
	}
}
