// Sniffer prints the messages that others send on a bus, of every pair of addresses that the
// traffic shows. It sends nothing.
//
//	go run ./examples/sniffer can0
//
// Without hardware there are a simulated ECU and a tester, on a bus of multicast datagrams:
//
//	go run ./examples/sniffer                                   (in another terminal)
//	go run ./cmd/isotp ecu udp:239.74.163.2:43113/7E8:7E0       (in a third)
//	go run ./cmd/isotp request udp:239.74.163.2:43113/7E0:7E8 22F190
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"example.com/isotp/canbus"
	_ "example.com/isotp/canbus/all" // the user names the bus
	"example.com/isotp/sniff"
)

// listen writes the messages on a bus until it ends, or ctx does, which closes it.
func listen(ctx context.Context, w io.Writer, bus canbus.Bus) error {
	defer context.AfterFunc(ctx, func() { bus.Close() })()
	s, err := sniff.New(sniff.Options{Message: func(m *sniff.Message) {
		fmt.Fprintf(w, "%s  %v  [%d]  % X  %s\n", m.Start.Format("15:04:05.000000"), m.Sender(), m.Size, m.Data, m.Why())
	}})
	if err != nil {
		return err
	}
	defer s.Close() // tells of the messages under way
	frames := make([]canbus.Frame, 64)
	for dropped := uint64(0); ; {
		n, err := bus.ReadFrames(frames)
		for i := range frames[:n] {
			s.Frame(&frames[i], "")
		}
		if counter, ok := canbus.As[canbus.DropCounter](bus); ok && counter.Dropped() > dropped {
			fmt.Fprintf(w, "the bus has dropped %d frames\n", counter.Dropped()-dropped)
			dropped = counter.Dropped()
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, canbus.ErrTemporary):
			return err
		case err != nil:
			fmt.Fprintln(w, err)
		}
	}
}

func main() {
	name := "udp:239.74.163.2:43113"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	bus, err := canbus.Open(ctx, name)
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	if err := listen(ctx, os.Stdout, bus); err != nil {
		log.Fatal(err)
	}
}
