package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"example.com/isotp/internal/hextext"
	"example.com/isotp/isotpnet"
)

type obdCmd struct {
	Address string        `arg:"" help:"BUS/obd or BUS/obd29, as vcan0/obd; with --to also a list of ECUs, as vcan0/7E0:7E8,7E1:7E9, or a node, as vcan0/fixed::F1. More: isotp help addresses."`
	Request string        `arg:"" optional:"" default:"0902" help:"The request in hexadecimal digits, as 0902, '22 F1 90' or 22:F1:90 (${default}, the VIN)."`
	To      string        `placeholder:"ADDR" help:"Where to send it: a functional address, as 7DF: or func:33:F1, or the address of one ECU, as 7E0:7E8 (on BUS/obd and BUS/obd29: all ECUs)."`
	Network string        `default:"isotp" enum:"isotp,isotp:user" placeholder:"NET" help:"isotp or isotp:user (${default})."`
	Timeout time.Duration `default:"200ms" placeholder:"TIME" help:"How long to wait for answers to begin (${default}); those that have are waited for."`
	Count   int           `placeholder:"N" help:"End after so many answers; 0: when --timeout is over."`
	ECUs    int           `name:"simulate" placeholder:"N" help:"Simulate so many ECUs in this process; for a bus virtual:NAME."`
	Stats   bool          `help:"Print what was counted on standard error at the end."`

	configFlags `embed:""`
}

func (*obdCmd) Help() string {
	return `
Sends a functional request, and prints each ECU's answer as it arrives: the address of the
ECU, the time until the answer was complete, its bytes, and the text among them.

	isotp obd vcan0/obd
	isotp obd vcan0/obd29 0100
	isotp obd --to func:33:F1 vcan0/fixed::F1 3E00
`
}

// Examples implements exampler.
func (*obdCmd) Examples() []string {
	return []string{
		"isotp obd --simulate 8 virtual:demo/obd",
		"isotp obd --simulate 2 virtual:demo/obd29 0100",
	}
}

// Validate is called by the parser.
func (c *obdCmd) Validate() error {
	switch {
	case c.Timeout <= 0:
		return fmt.Errorf("--timeout %v: it must be above 0", c.Timeout)
	case c.Count < 0:
		return fmt.Errorf("--count %d: it must be above 0, or 0 for no limit", c.Count)
	case c.ECUs < 0 || c.ECUs > 8:
		return fmt.Errorf("--simulate %d: it must be from 1 to 8, or 0 for none", c.ECUs)
	}
	return nil
}

var errNoAnswer = errors.New("no ECU has answered in time")

// Run sends the request and prints the answers.
func (c *obdCmd) Run(ctx context.Context, s *streams) error {
	request, err := hextext.Parse(c.Request)
	switch {
	case err != nil:
		return usageErrorf("request %w", err)
	case len(request) == 0:
		return usageErrorf("the request has no bytes: want hexadecimal digits, such as 0902")
	}
	config := c.config()
	config.DeadlineAtFirstFrame = true
	addrs, err := parseAddresses(c.Address)
	if err != nil {
		return err
	}
	to, err := c.to(addrs)
	if err != nil {
		return err
	}
	trace := newTracer(&c.configFlags, &config, s.stderr, addrs[0].Bus())
	// The simulated ECUs come first, so that they hear the request.
	stop, err := simulate(ctx, s, c.Network, c.ECUs, c.Address)
	if err != nil {
		return err
	}
	defer stop()
	pc, err := (&isotpnet.ListenConfig{Config: config}).ListenPacketAddr(ctx, c.Network, addrs...)
	if err != nil {
		return opening(ctx, err)
	}
	defer closeAfter(ctx, pc)()

	err = c.ask(s, groupLine{pc, to}, request)
	if closeErr := pc.Close(); err == nil {
		err = closeErr
	}
	s.finish(trace, pc.Stats().Stats, c.Stats)
	return interrupted(ctx, err)
}

// to is where the request goes: to all ECUs, unless --to names others.
func (c *obdCmd) to(addrs []isotpnet.Addr) (isotpnet.Addr, error) {
	switch {
	case c.To != "":
		return parseEndpoint("--to", c.To)
	case len(addrs) > 1 || addrs[0].Kind() != isotpnet.KindOBD:
		return isotpnet.Addr{}, usageErrorf("%s: the request needs --to there, as --to 7DF: or --to func:33:F1", c.Address)
	}
	return addrs[0], nil
}

// ask sends the request and prints the answers.
func (c *obdCmd) ask(s *streams, l line, request []byte) error {
	start := time.Now()
	if err := l.SetWriteDeadline(start.Add(c.Timeout)); err != nil {
		return err
	}
	if err := l.send(request); err != nil {
		return err
	}
	answers, times := 0, answerTimes{p2: c.Timeout, p2Star: pendingTime}
	var failed error
	lost, err := times.gather(l, request, func(r response) (more bool) {
		if _, failed = fmt.Fprintln(s.stdout, r.line(start)); failed != nil {
			return false
		}
		if !r.pending(request) {
			answers++
		}
		return c.Count == 0 || answers < c.Count
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && answers > 0 && c.Count == 0:
		err = nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return errors.Join(lost, failed, err)
}
