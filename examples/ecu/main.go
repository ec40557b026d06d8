// Ecu is an ECU: it answers the requests of one tester, and those that ask all ECUs.
//
//	go run ./examples/ecu can0/7E8:7E0,7DF
//
// Without hardware it is on a bus of multicast datagrams, where a tester asks it:
//
//	go run ./examples/ecu                                        (in another terminal)
//	go run ./cmd/isotp request udp:239.74.163.2:43113/7E0:7E8 22F190 3E00 31010203
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	_ "example.com/isotp/canbus/all" // the user names the bus
	"example.com/isotp/isotpnet"
)

// Services of UDS (ISO 14229) and codes of negative responses.
const (
	readByIdentifier = 0x22
	routineControl   = 0x31
	testerPresent    = 0x3E

	notSupported    = 0x11
	wrongLength     = 0x13
	outOfRange      = 0x31
	responsePending = 0x78
)

const (
	vin          = "WVWZZZ1JZXW000001"
	routineTakes = 2 * time.Second
	pendingEvery = 500 * time.Millisecond // sooner than any tester's P2*
)

// answer sends the answers to a request.
func answer(c *isotpnet.Conn, request []byte, functional bool) error {
	service := request[0]
	refuse := func(code byte) error {
		if functional && (code == notSupported || code == outOfRange) {
			return nil // another ECU may know it
		}
		return send(c, 0x7F, service, code)
	}
	switch service {
	case readByIdentifier:
		switch {
		case len(request) != 3:
			return refuse(wrongLength)
		case request[1] != 0xF1 || request[2] != 0x90:
			return refuse(outOfRange)
		}
		return send(c, append([]byte{0x62, 0xF1, 0x90}, vin...)...)
	case testerPresent:
		switch {
		case len(request) != 2:
			return refuse(wrongLength)
		case request[1] == 0x80:
			return nil // the tester wants no answer
		}
		return send(c, 0x7E, 0)
	case routineControl: // it takes a while
		for range routineTakes / pendingEvery {
			if err := refuse(responsePending); err != nil {
				return err
			}
			time.Sleep(pendingEvery)
		}
		return send(c, append([]byte{0x71}, request[1:]...)...)
	}
	return refuse(notSupported)
}

func send(c *isotpnet.Conn, message ...byte) error {
	_, err := c.Write(message)
	return err
}

// serve answers a tester until ctx ends.
func serve(ctx context.Context, c *isotpnet.Conn) {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	defer c.Close()
	request := make([]byte, 4095)
	for {
		n, info, err := c.ReadMessage(request)
		switch {
		case ctx.Err() != nil:
			return
		case isotpnet.Final(err): // the bus is lost
			log.Print(err)
			return
		case err != nil:
			log.Print(err) // the next request may be good
			continue
		case n == 0 || int64(n) < info.Size:
			continue // no request that the ECU knows is longer than its buffer
		}
		if err := answer(c, request[:n], info.Functional); err != nil {
			log.Print(err) // the tester has not taken it
		}
	}
}

// run is the ECU at an address until ctx ends. It calls ready once it hears requests.
func run(ctx context.Context, address string, ready func()) error {
	addrs, err := isotpnet.ParseAddrs(address)
	if err != nil {
		return err
	}
	ln, err := new(isotpnet.ListenConfig).ListenAddr(ctx, "isotp", addrs...)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	ready()
	for {
		c, err := ln.AcceptConn() // a pair of addresses has one tester
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go serve(ctx, c)
	}
}

func main() {
	address := "udp:239.74.163.2:43113/7E8:7E0,7DF"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, address, func() { fmt.Println("listening on", address) }); err != nil {
		log.Fatal(err)
	}
}
