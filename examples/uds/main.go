// Uds reads the VIN of an ECU over UDS (ISO 14229): a small client of one ECU.
//
//	go run ./examples/uds can0/7E0:7E8
//
// Without hardware there are simulated ECUs, which are started first:
//
//	go run ./cmd/isotp ecu udp:239.74.163.2:43113/7E8:7E0    (in another terminal)
//	go run ./examples/uds udp:239.74.163.2:43113/7E0:7E8
package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	_ "example.com/isotp/canbus/all" // the user names the bus
	"example.com/isotp/isotpnet"
)

const (
	p2       = time.Second      // for an answer to begin; ISO 14229-2 has 50 ms
	p2Star   = 5 * time.Second  // the same, after the ECU has said that its answer is pending
	patience = 30 * time.Second // for all of it, however often the ECU says so
)

const (
	negativeResponse = 0x7F
	responsePending  = 0x78
)

// request sends a request and returns the data of the positive response.
func request(c net.Conn, service byte, data ...byte) ([]byte, error) {
	if _, err := c.Write(append([]byte{service}, data...)); err != nil {
		return nil, err
	}
	p := make([]byte, 4095)
	end := time.Now().Add(patience)
	for wait := p2; ; {
		c.SetReadDeadline(earlier(time.Now().Add(wait), end))
		n, err := c.Read(p)
		switch {
		case err != nil:
			return nil, err
		case p[0] == service+0x40:
			return p[1:n], nil
		case n == 3 && p[0] == negativeResponse && p[1] == service:
			if p[2] != responsePending {
				return nil, fmt.Errorf("the ECU refuses service %02X: code %02X", service, p[2])
			}
			wait = p2Star
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// readByIdentifier reads a data record of the ECU.
func readByIdentifier(c net.Conn, high, low byte) ([]byte, error) {
	answer, err := request(c, 0x22, high, low)
	if err != nil {
		return nil, err
	}
	record, found := bytes.CutPrefix(answer, []byte{high, low})
	if !found {
		return nil, fmt.Errorf("the ECU answers % X, which is not the record %02X%02X", answer, high, low)
	}
	return record, nil
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
	vin, err := readByIdentifier(c, 0xF1, 0x90)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("the ECU does not answer")
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("VIN %s\n", vin)
}
