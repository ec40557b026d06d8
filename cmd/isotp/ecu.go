package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"example.com/isotp/internal/ecu"
	"example.com/isotp/isotpnet"
)

type ecuCmd struct {
	Address   []string `arg:"" help:"BUS/ANSWER:LISTEN,GROUP, as vcan0/7E8:7E0,7DF or vcan0/fixed::10,func:33; or BUS/obd, BUS/obd29 for --count ECUs. Several are several ECUs."`
	Network   string   `default:"isotp" placeholder:"NET" help:"isotp, isotp:user or isotp:kernel (${default})."`
	VIN       string   `name:"vin" default:"WVWZZZ1JZXW000001" help:"Vehicle identification number (${default})."`
	Name      string   `default:"ECU" help:"Name of the ECU, up to 20 bytes; with several a number is added (${default})."`
	Responses string   `placeholder:"FILE" help:"More responses, one request a line: 22 F1 8C : 62 F1 8C 30 31; see below."`
	Count     int      `default:"1" placeholder:"N" help:"How many ECUs BUS/obd (1 to 8) and BUS/obd29 (1 to 16) are (${default})."`

	configFlags `embed:""`
}

func (*ecuCmd) Help() string {
	return `
Simulates ECUs until it is interrupted: UDS (22 F190, 3E, 10) and OBD-II (modes 01 and 09).

	isotp ecu vcan0/7E8:7E0,7DF
	isotp ecu vcan0/fixed::10,func:33
	isotp ecu --count 8 vcan0/obd

A file of responses has lines as

	# request : answer | next answer
	22 F1 8C     : 62 F1 8C 30 31 32 33
	31 01 FF 00  : 7F 31 78 | 71 01 FF 00
	2E*          : 6E F1 90
	85 02        : -

in hexadecimal digits. 2E* is every request that begins so; - is silence.
`
}

// Validate is called by the parser.
func (c *ecuCmd) Validate() error {
	switch {
	case c.Count < 1 || c.Count > 16:
		return fmt.Errorf("--count %d: it must be from 1 to 16", c.Count)
	case len(c.VIN) != 17:
		return fmt.Errorf("--vin %q has %d characters: it must have 17", c.VIN, len(c.VIN))
	case len(c.Name) > 20:
		return fmt.Errorf("--name %q has %d bytes: it must have at most 20", c.Name, len(c.Name))
	}
	return nil
}

// Run serves until ctx ends.
func (c *ecuCmd) Run(ctx context.Context, s *streams) error {
	return c.run(ctx, s, func() {})
}

// run calls ready once all ECUs listen.
func (c *ecuCmd) run(ctx context.Context, s *streams, ready func()) error {
	responses, err := c.responses()
	if err != nil {
		return err
	}
	addresses, err := ecuAddresses(c.Address, c.Count)
	if err != nil {
		return err
	}
	var listeners []*isotpnet.Listener
	var serving sync.WaitGroup
	defer serving.Wait()
	closeAll := func() {
		for _, ln := range listeners {
			ln.Close()
		}
	}
	defer closeAll()
	failed := make(chan error, len(addresses))
	for i, address := range addresses {
		config := c.config()
		newTracer(&c.configFlags, &config, s.stderr, busOf(address))
		ln, err := (&isotpnet.ListenConfig{Config: config}).Listen(ctx, c.Network, address)
		if err != nil {
			return interrupted(ctx, err)
		}
		l := ln.(*isotpnet.Listener)
		listeners = append(listeners, l)
		e := &ecu.ECU{VIN: c.VIN, Name: c.Name, Responses: responses}
		if len(addresses) > 1 {
			e.Name = fmt.Sprintf("%.17s %d", c.Name, i+1)
		}
		serving.Go(func() { failed <- e.Serve(l) })
		fmt.Fprintf(s.stderr, "isotp: ECU %q listens on %s\n", e.Name, address)
	}
	ready()
	select {
	case <-ctx.Done(): // there is no other end
		return nil
	case err := <-failed:
		return err
	}
}

func (c *ecuCmd) responses() (ecu.Responses, error) {
	if c.Responses == "" {
		return ecu.Responses{}, nil
	}
	file, err := os.Open(c.Responses)
	if err != nil {
		return ecu.Responses{}, &usageError{err}
	}
	defer file.Close()
	rs, err := ecu.ParseResponses(file)
	if err != nil {
		return rs, usageErrorf("%s: %w", c.Responses, err)
	}
	return rs, nil
}

// ecuAddresses returns the addresses of single ECUs: for OBD-II's those that ISO
// 15765-4 has for the first count of them.
func ecuAddresses(addresses []string, count int) ([]string, error) {
	var all []string
	for _, text := range addresses {
		addr, err := isotpnet.ParseAddr(text)
		if err != nil {
			all = append(all, text) // a list, or Listen knows what is wrong
			continue
		}
		switch bus := addr.Bus(); addr.WithBus("") {
		case isotpnet.MustParseAddr("/obd"):
			if count > 8 {
				return nil, usageErrorf("--count %d: with 11 bits ISO 15765-4 knows 8 ECUs", count)
			}
			for i := range count {
				all = append(all, fmt.Sprintf("%s/%03X:%03X,7DF", bus, 0x7E8+i, 0x7E0+i))
			}
		case isotpnet.MustParseAddr("/obd29"):
			for i := range count {
				all = append(all, fmt.Sprintf("%s/fixed::%02X,func:33", bus, 0x10+i))
			}
		default:
			all = append(all, text)
		}
	}
	return all, nil
}

// busOf is the name of the bus of a list of addresses, if that is right.
func busOf(address string) string {
	addrs, err := isotpnet.ParseAddrs(address)
	if err != nil {
		return ""
	}
	return addrs[0].Bus()
}
