// Uds reads the VIN of an ECU over UDS (ISO 14229): a client in 40 lines.
//
//	go run ./examples/uds can0/7E0:7E8
package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	_ "example.com/isotp/canbus/all" // the user names the bus
	"example.com/isotp/isotpnet"
)

// request sends a request and returns the data of the positive response.
func request(c net.Conn, service byte, data ...byte) ([]byte, error) {
	if _, err := c.Write(append([]byte{service}, data...)); err != nil {
		return nil, err
	}
	p := make([]byte, 4095)
	for wait := time.Second; ; wait = 5 * time.Second { // P2, generously, then P2*
		c.SetReadDeadline(time.Now().Add(wait))
		n, err := c.Read(p)
		switch {
		case err != nil:
			return nil, err
		case p[0] == service+0x40:
			return p[1:n], nil
		case n == 3 && p[0] == 0x7F && p[1] == service && p[2] != 0x78: // 78: the answer is pending
			return nil, fmt.Errorf("the ECU refuses service %02X: code %02X", service, p[2])
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: uds BUS/SEND:LISTEN, as in can0/7E0:7E8")
	}
	// A time-out is one for the answer to begin, however long it is.
	d := isotpnet.Dialer{Config: isotpnet.Config{DeadlineAtFirstFrame: true}}
	c, err := d.Dial("isotp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	vin, err := request(c, 0x22, 0xF1, 0x90) // ReadDataByIdentifier
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("the ECU does not answer")
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("VIN %s\n", vin[2:])
}
