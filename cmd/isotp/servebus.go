package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"example.com/isotp/canbus/socketcand"
)

type serveBusCmd struct {
	Buses    []string `arg:"" optional:"" name:"bus" help:"Names of the buses, as can0 or udp:239.74.163.2:43113; NAME=BUS gives one a name of its own, as adapter=slcan:/dev/ttyACM0@500000; without any the one in ISOTP_BUS. More: isotp help buses."`
	Listen   string   `default:"localhost:29536" placeholder:"HOST:PORT" help:"Where to listen (${default}); :29536 is all of this computer's addresses."`
	NoBeacon bool     `name:"no-beacon" help:"Do not broadcast every 3 s where the server is and what buses it has."`
	Logger   bool     `name:"log" help:"Log on standard error also each client that comes and goes, not only what fails or is lost."`
}

func (*serveBusCmd) Help() string {
	return `
The protocol is socketcand's; clients name a bus socketcand:HOST:29536/can0. There are no
passwords: any program that can connect is on the bus. It goes on until interrupted.

	isotp serve-bus --listen :29536 can0
	isotp serve-bus --listen :29536 can0=slcan:/dev/ttyACM0@500000

Each bus is opened once, and all clients share it: a serial adapter can be used by
several programs at a time, also by those on this computer.
`
}

// Examples implements exampler.
func (*serveBusCmd) Examples() []string {
	return []string{
		"isotp serve-bus --no-beacon can0=virtual:demo" + untilInterrupted,
		"isotp serve-bus --listen localhost:29537 can0=udp:239.74.163.2:43113" + untilInterrupted,
	}
}

// Validate is called by the parser.
func (c *serveBusCmd) Validate() error {
	if len(c.Buses) == 0 {
		bus, err := busOr("")
		if err != nil {
			return err
		}
		c.Buses = []string{bus}
	}
	buses := make(map[string]string)
	for _, bus := range c.Buses {
		name := socketcand.ClientName(bus)
		other, taken := buses[name]
		switch {
		case name == "" || name+"=" == bus || bus[0] == '=':
			return fmt.Errorf("bus %q: want BUS or NAME=BUS, as can0 or adapter=slcan:/dev/ttyACM0@500000", bus)
		case strings.ContainsAny(name, " <>/@\t\r\n"):
			return fmt.Errorf("bus %q: a client cannot name it; give it a name of its own, as can0=%s", bus, bus)
		case taken:
			return fmt.Errorf("buses %q and %q have the same name", other, bus)
		}
		buses[name] = bus
	}
	return nil
}

// Run serves until ctx is done.
func (c *serveBusCmd) Run(ctx context.Context, s *streams) error {
	level := slog.LevelWarn
	if c.Logger {
		level = slog.LevelInfo
	}
	server := &socketcand.Server{
		Buses:  c.Buses,
		Open:   s.openCaptured,
		Beacon: !c.NoBeacon,
		Logger: slog.New(slog.NewTextHandler(s.stderr, &slog.HandlerOptions{Level: level})),
	}
	defer server.Close() // waits for the clients, and for the buses
	defer closeAfter(ctx, server)()
	// A bus that cannot be opened is an error now, and not at the first client.
	if err := server.OpenBuses(); err != nil {
		return opening(ctx, err)
	}
	ln, err := net.Listen("tcp", c.Listen)
	if e, ok := errors.AsType[*net.AddrError](err); ok {
		return usageErrorf("--listen %s: %s: want HOST:PORT, as localhost:29536", c.Listen, e.Err)
	}
	if err != nil {
		return opening(ctx, err)
	}
	fmt.Fprintf(s.stdout, "serving %s on %s\n", strings.Join(c.Buses, ", "), ln.Addr())
	err = server.Serve(ln)
	if ctx.Err() != nil {
		return nil
	}
	return err
}
