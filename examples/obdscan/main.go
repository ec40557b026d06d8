// Obdscan asks all ECUs of a vehicle for their VIN, and then for their name, with one
// functional request each, and prints each ECU's answers.
//
//	go run ./examples/obdscan can0/obd
//
// Without hardware there are simulated ECUs, which are started first; all are on a bus of
// multicast datagrams if they are not told another:
//
//	go run ./cmd/isotp ecu --count 8 udp:239.74.163.2:43113/obd    (in another terminal)
//	go run ./examples/obdscan
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	_ "example.com/isotp/canbus/all" // the user names the bus
	"example.com/isotp/isotpnet"
)

// scan sends one request to all ECUs and calls got with the data of each answer.
func scan(pc *isotpnet.PacketConn, mode, pid byte, got func(ecu isotpnet.Addr, data []byte)) error {
	if _, err := pc.Drain(); err != nil { // the answers that came too late for the request before
		return err
	}
	if _, err := pc.WriteTo([]byte{mode, pid}, pc.LocalAddr()); err != nil {
		return err
	}
	// P2 of ISO 15765-4 is 50 ms; answers of several frames may take longer.
	if err := pc.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		return err
	}
	for {
		answer, _, ecu, err := pc.ReadMessageFrom(nil)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		case bytes.HasPrefix(answer, []byte{mode + 0x40, pid}):
			got(ecu, answer[2:])
		}
	}
}

// run asks for each item and writes the answers to w.
func run(w io.Writer, address string) error {
	addr, err := isotpnet.ParseAddr(address)
	if err != nil {
		return err
	}
	lc := isotpnet.ListenConfig{Config: isotpnet.Config{DeadlineAtFirstFrame: true}}
	pc, err := lc.ListenPacketAddr(context.Background(), "isotp", addr)
	if err != nil {
		return err
	}
	defer pc.Close()
	for _, item := range []struct {
		pid  byte
		what string
	}{{0x02, "VIN"}, {0x0A, "name"}} {
		err := scan(pc, 0x09, item.pid, func(ecu isotpnet.Addr, data []byte) {
			if len(data) > 1 { // the first byte says how many items follow
				fmt.Fprintf(w, "%v  %-4s  %s\n", ecu, item.what, bytes.TrimRight(data[1:], "\x00"))
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func main() {
	address := "udp:239.74.163.2:43113/obd"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(os.Stdout, address); err != nil {
		log.Fatal(err)
	}
}
