package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/socketcand"
)

type serveBusCmd struct {
	Buses  []string `arg:"" name:"bus" help:"Names of the buses, as can0 or udp:239.74.163.2:43113."`
	Listen string   `default:"localhost:28600" placeholder:"HOST:PORT" help:"Where to listen (${default}); :28600 is all of this computer's addresses."`
	Logger bool     `name:"log" help:"Log on standard error who comes and goes."`
}

func (*serveBusCmd) Help() string {
	return `
The protocol is socketcand's; clients name a bus socketcand:HOST:28600/can0. Nobody
is asked who he is: whoever can connect is on the bus. It goes on until interrupted.

	isotp serve-bus --listen :28600 can0
`
}

// Validate is called by the parser.
func (c *serveBusCmd) Validate() error {
	for _, bus := range c.Buses {
		if bus == "" || strings.ContainsAny(bus, " <>/@") {
			return fmt.Errorf("bus %q: a client cannot name it", bus)
		}
	}
	return nil
}

// Run serves until ctx is done.
func (c *serveBusCmd) Run(ctx context.Context, s *streams) error {
	for _, bus := range c.Buses {
		// Each client opens it anew: what is wrong should be told now.
		b, err := canbus.Open(bus)
		if err != nil {
			return err
		}
		b.Close()
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	logTo := io.Discard
	if c.Logger {
		logTo = s.stderr
	}
	server := &socketcand.Server{Buses: c.Buses, Logger: slog.New(slog.NewTextHandler(logTo, nil))}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	fmt.Fprintf(s.stdout, "serving %s on %s\n", strings.Join(c.Buses, ", "), ln.Addr())
	err = server.Serve(ln)
	server.Close() // waits for the clients
	if ctx.Err() != nil {
		return nil
	}
	return err
}
