// Uds reads the VIN of an ECU over UDS (ISO 14229).
//
//	go run ./examples/uds can0/7E0:7E8
//
// Without hardware there is a simulated ECU, which is started first; both are on a bus of
// multicast datagrams if they are not told another:
//
//	go run ./cmd/isotp ecu udp:239.74.163.2:43113/7E8:7E0    (in another terminal)
//	go run ./examples/uds
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	_ "example.com/isotp/canbus/all" // the user names the bus
	"example.com/isotp/examples/udsclient"
)

// readByIdentifier reads a data record of the ECU.
func readByIdentifier(ctx context.Context, c *udsclient.Client, high, low byte) ([]byte, error) {
	answer, err := c.Request(ctx, 0x22, high, low)
	if err != nil {
		return nil, err
	}
	record, found := bytes.CutPrefix(answer, []byte{high, low})
	if !found {
		return nil, fmt.Errorf("the ECU answers % X, which is not the record %02X%02X", answer, high, low)
	}
	return record, nil
}

// run writes the VIN of the ECU at an address.
func run(ctx context.Context, w io.Writer, address string) error {
	c, err := udsclient.Dial(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	vin, err := readByIdentifier(ctx, c, 0xF1, 0x90)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("the ECU does not answer")
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(w, "VIN %s\n", vin)
	return err
}

func main() {
	address := "udp:239.74.163.2:43113/7E0:7E8"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, address); err != nil {
		log.Fatal(err)
	}
}
