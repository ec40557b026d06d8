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
	Address   []string `arg:"" help:"BUS/ANSWER:LISTEN,GROUP, as vcan0/7E8:7E0,7DF or vcan0/fixed::10,func:33; or BUS/obd, BUS/obd29 for --count ECUs. Each address is an ECU of its own. More: isotp help addresses."`
	Network   string   `default:"isotp" enum:"isotp,isotp:user,isotp:kernel" placeholder:"NET" help:"isotp, isotp:user or isotp:kernel (${default})."`
	VIN       string   `name:"vin" default:"WVWZZZ1JZXW000001" help:"Vehicle identification number (${default})."`
	Name      string   `default:"ECU" help:"Name of the ECU, up to 20 bytes; with several a number is added (${default})."`
	Responses string   `placeholder:"FILE" help:"More responses, one request a line: 22 F1 8C : 62 F1 8C 30 31; see below."`
	Count     int      `default:"1" placeholder:"N" help:"How many ECUs BUS/obd (1 to 8) and BUS/obd29 (1 to 16) are (${default})."`

	configFlags `embed:""`
}

func (*ecuCmd) Help() string {
	return `
Simulates ECUs until it is interrupted: UDS (22 F190, 3E, 10, and
downloads by 34, 36 and 37, which it does not keep) and OBD-II (modes 01 and 09).

	isotp ecu vcan0/7E8:7E0,7DF
	isotp ecu vcan0/fixed::10,func:33
	isotp ecu --count 8 vcan0/obd

A file of responses has lines as

	# request : answer | next answer
	22 F1 8C     : 62 F1 8C 30 31 32 33
	31 01 FF 00  : 7F 31 78 | 71 01 FF 00
	2E*          : 6E F1 90
	85 02        : -

in hexadecimal digits. 2E* is every request that begins with 2E; - is silence.
`
}

// Examples implements exampler.
func (*ecuCmd) Examples() []string {
	return []string{
		"isotp ecu udp:239.74.163.2:43113/7E8:7E0,7DF" + untilInterrupted,
		"isotp ecu --count 8 udp:239.74.163.2:43113/obd" + untilInterrupted,
	}
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

// run serves until ctx ends, and calls ready once all ECUs listen.
func (c *ecuCmd) run(ctx context.Context, s *streams, ready func()) error {
	responses, err := c.responses()
	if err != nil {
		return err
	}
	addresses, err := ecuAddresses(c.Address, c.Count)
	if err != nil {
		return err
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	failed := make(chan error, len(addresses))
	for i, address := range addresses {
		ln, err := c.listen(ctx, s, address)
		if err != nil {
			return opening(ctx, err)
		}
		defer ln.Close()
		e := &ecu.ECU{VIN: c.VIN, Name: c.Name, Responses: responses}
		if len(addresses) > 1 {
			e.Name = fmt.Sprintf("%.17s %d", c.Name, i+1)
		}
		serving.Go(func() { failed <- e.Serve(ln) })
		fmt.Fprintf(s.stderr, "ECU %q listens on %s\n", e.Name, address)
	}
	ready()
	select {
	case <-ctx.Done(): // there is no other end
		return nil
	case err := <-failed:
		return err
	}
}

func (c *ecuCmd) listen(ctx context.Context, s *streams, address string) (*isotpnet.Listener, error) {
	addrs, err := parseAddresses(address)
	if err != nil {
		return nil, err
	}
	config := c.config()
	newTracer(&c.configFlags, &config, s.stderr, addrs[0].Bus())
	return (&isotpnet.ListenConfig{Config: config}).ListenAddr(ctx, c.Network, addrs...)
}

func (c *ecuCmd) responses() (ecu.Responses, error) {
	if c.Responses == "" {
		return ecu.Responses{}, nil
	}
	file, err := os.Open(c.Responses)
	if err != nil {
		return ecu.Responses{}, &usageError{err: err}
	}
	defer file.Close()
	rs, err := ecu.ParseResponses(file)
	if err != nil {
		return rs, usageErrorf("%s: %w", c.Responses, err)
	}
	return rs, nil
}

// obd29 is the address of OBD-II's testers with identifiers of 29 bits, without a bus.
var obd29 = isotpnet.MustParseAddr("/obd29")

// ecuAddresses returns the addresses of single ECUs. In place of an address of OBD-II's
// testers these are the first count that ISO 15765-4 has for ECUs.
func ecuAddresses(addresses []string, count int) ([]string, error) {
	var all []string
	for _, text := range addresses {
		if whole, err := onBus(text); err == nil {
			text = whole
		}
		addr, err := parseAddress(text)
		if err != nil || addr.Kind() != isotpnet.KindOBD {
			all = append(all, text) // perhaps a list; listen says what is wrong
			continue
		}
		if addr.WithBus("") != obd29 && count > 8 {
			return nil, usageErrorf("--count %d: ISO 15765-4 has 8 ECUs with identifiers of 11 bits", count)
		}
		for i := range count {
			all = append(all, ecuAddress(addr, i))
		}
	}
	return all, nil
}

// ecuAddress returns the address of one of the ECUs that OBD-II's testers ask.
func ecuAddress(testers isotpnet.Addr, i int) string {
	if testers.WithBus("") == obd29 {
		return fmt.Sprintf("%s/fixed::%02X,func:33", testers.Bus(), 0x10+i)
	}
	return fmt.Sprintf("%s/%03X:%03X,7DF", testers.Bus(), 0x7E8+i, 0x7E0+i)
}

// simulate runs ECUs in this process until stop is called: count of them on each address of
// OBD-II's testers, and one on each other address.
func simulate(ctx context.Context, s *streams, network string, count int, addresses ...string) (stop func(), err error) {
	if count == 0 || len(addresses) == 0 {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan struct{}), make(chan error, 1)
	sim := &ecuCmd{Address: addresses, Network: network, VIN: "WVWZZZ1JZXW000001", Name: "ECU", Count: count}
	sim.configFlags.Logger = "off"
	go func() { done <- sim.run(ctx, s, func() { close(ready) }) }()
	select {
	case <-ready:
		return func() { cancel(); <-done }, nil
	case err := <-done:
		cancel()
		return nil, err
	}
}
