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
	isotp obd --simulate 8 virtual:demo/obd
	isotp obd --to func:33:F1 vcan0/fixed::F1 3E00
`
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

const (
	negativeResponse = 0x7F
	responsePending  = 0x78
	// pendingTime is P2* of ISO 14229-2: the time that an ECU may take after it has said
	// that its answer is pending.
	pendingTime = 5 * time.Second
)

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
	stop, err := c.simulate(ctx, s)
	if err != nil {
		return err
	}
	defer stop()
	pc, err := (&isotpnet.ListenConfig{Config: config}).ListenPacketAddr(ctx, c.Network, addrs...)
	if err != nil {
		return opening(ctx, err)
	}
	defer closeAfter(ctx, pc)()

	err = c.ask(s, pc, request, to)
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
func (c *obdCmd) ask(s *streams, pc *isotpnet.PacketConn, request []byte, to isotpnet.Addr) error {
	start := time.Now()
	deadline := start.Add(c.Timeout)
	if err := pc.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if _, err := pc.WriteTo(request, to); err != nil {
		return err
	}
	var lost error // answers may be missing
	for answers := 0; c.Count == 0 || answers < c.Count; {
		if err := pc.SetReadDeadline(deadline); err != nil {
			return err
		}
		answer, info, from, err := pc.ReadMessageFrom(nil)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && answers > 0 && c.Count == 0:
			return lost
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errors.Join(lost, fmt.Errorf("%w: %w", errNoAnswer, err))
		case errors.Is(err, isotpnet.ErrOverrun):
			lost = errors.Join(lost, err)
			continue
		case err != nil:
			return err
		}
		took := info.Last.Sub(start).Round(100 * time.Microsecond)
		if _, err := fmt.Fprintf(s.stdout, "%-11s %8v  % X%s\n", from.WithBus("").String()[1:], took, answer, text(answer)); err != nil {
			return err
		}
		if len(answer) == 3 && answer[0] == negativeResponse && answer[2] == responsePending {
			deadline = time.Now().Add(pendingTime)
			continue
		}
		answers++
	}
	return lost
}

// text is the longest run of printable characters, if it is one worth showing.
func text(b []byte) string {
	longest, begin := "", 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && ' ' <= b[i] && b[i] <= '~' {
			continue
		}
		if i-begin > len(longest) {
			longest = string(b[begin:i])
		}
		begin = i + 1
	}
	if len(longest) < 4 {
		return ""
	}
	return fmt.Sprintf("  %q", longest)
}

// simulate runs the ECUs of --simulate until stop is called.
func (c *obdCmd) simulate(ctx context.Context, s *streams) (stop func(), err error) {
	if c.ECUs == 0 {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan struct{}), make(chan error, 1)
	sim := &ecuCmd{Address: []string{c.Address}, Network: c.Network, VIN: "WVWZZZ1JZXW000001", Name: "ECU", Count: c.ECUs}
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
