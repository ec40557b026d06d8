package main

import (
	"context"
	"fmt"
	"time"

	"example.com/isotp/internal/hextext"
	"example.com/isotp/isotpnet"
)

type requestCmd struct {
	Address  string   `arg:"" help:"BUS/SEND:LISTEN, as vcan0/7E0:7E8; BUS/obd or BUS/obd29, or with --functional a list of ECUs, as vcan0/7E0:7E8,7E1:7E9, or a node, as vcan0/fixed::F1. More: isotp help addresses."`
	Requests []string `arg:"" optional:"" name:"hex" help:"Requests, one an argument, as 22F190, '22 F1 90' or 22:F1:90; without any, the lines of standard input. More: isotp help hex."`

	Functional    string        `placeholder:"ADDR" help:"Send to a functional address instead, as 7DF: or func:33:F1, and print the answers of all ECUs until P2 is over. On BUS/obd and BUS/obd29 this is so without the flag."`
	P2            time.Duration `name:"p2" placeholder:"TIME" help:"P2: how long an ECU may take until its answer begins (50ms, or what it says itself in its answer to 10)."`
	P2Star        time.Duration `name:"p2-star" placeholder:"TIME" help:"P2*: the same after 7F xx 78, which says that the answer is pending (5s, or what the ECU says)."`
	DeltaP2       time.Duration `name:"delta-p2" default:"100ms" placeholder:"TIME" help:"What the network adds to both (${default})."`
	Timeout       time.Duration `default:"2m" placeholder:"TIME" help:"Longest time for each request until its answer begins, however often that is pending (${default}); 0: no limit."`
	TesterPresent bool          `help:"Send 3E 80 beside the requests, so that the ECU stays in its session."`
	S3            time.Duration `name:"s3" default:"2s" placeholder:"TIME" help:"How often --tester-present sends (${default})."`
	Any           bool          `help:"Take the next message for the answer, whatever it begins with: for ECUs that do not speak UDS or OBD."`
	Stop          bool          `help:"End at the first request that gets no positive answer."`
	JSON          bool          `name:"json" xor:"output" help:"Write each answer, pending ones and others too, as a line of JSON."`
	Raw           bool          `xor:"output" help:"Write each answer as hexadecimal digits alone."`
	ECUs          int           `name:"simulate" placeholder:"N" help:"Simulate so many ECUs in this process; for a bus virtual:NAME."`
	Network       string        `default:"isotp" enum:"isotp,isotp:user" placeholder:"NET" help:"isotp or isotp:user (${default}): the kernel's sockets do not tell when an answer begins, as P2 needs it."`
	Stats         bool          `help:"Print what was counted on standard error at the end."`

	configFlags `embed:""`
}

func (*requestCmd) Help() string {
	return `
Sends requests, one after the other, and prints the answer to each: the ECU, the time until
the answer was complete, its bytes, the text among them, and their names in UDS (ISO 14229) or
OBD. An answer begins with the service of the request plus 40, or is 7F and the service; other
messages, and answers that say that another one will follow, are notes on standard error.

	isotp request --tester-present vcan0/7E0:7E8 '10 03' '31 01 FF 00'
	isotp request --functional 7DF: vcan0/7E0:7E8,7E1:7E9 3E00

A line of --json has time, request, result (positive, negative, pending, other, none, failed),
ecu, answer, name, seconds and error; those that are empty are left out.

The exit status is that of the first request without a positive answer: 4 if that was
negative, 3 if no answer came in time.
`
}

// Examples implements exampler.
func (*requestCmd) Examples() []string {
	return []string{
		"isotp request --simulate 1 virtual:demo/7E0:7E8 22F190 '3E 00'",
		"isotp request --simulate 8 virtual:demo/obd 0902",
	}
}

// Validate is called by the parser.
func (c *requestCmd) Validate() error {
	for flag, d := range map[string]time.Duration{"--p2": c.P2, "--p2-star": c.P2Star, "--delta-p2": c.DeltaP2} {
		if d < 0 {
			return fmt.Errorf("%s %v: it must be 0 or more", flag, d)
		}
	}
	if c.S3 <= 0 {
		return fmt.Errorf("--s3 %v: it must be above 0", c.S3)
	}
	if c.ECUs < 0 || c.ECUs > 8 {
		return fmt.Errorf("--simulate %d: it must be from 1 to 8, or 0 for none", c.ECUs)
	}
	return checkTimeout(c.Timeout)
}

// Run sends the requests and prints the answers.
func (c *requestCmd) Run(ctx context.Context, s *streams) error {
	requests, err := c.parse()
	if err != nil {
		return err
	}
	addrs, err := parseAddresses(c.Address)
	if err != nil {
		return err
	}
	to, err := c.to(addrs)
	if err != nil {
		return err
	}
	config := c.config()
	config.DeadlineAtFirstFrame, config.ReportAborted = true, true
	trace := newTracer(&c.configFlags, &config, s.stderr, addrs[0].Bus())
	// The simulated ECUs come first, so that they hear the request.
	stop, err := simulate(ctx, s, c.Network, c.ECUs, simulated(addrs[0]))
	if err != nil {
		return err
	}
	defer stop()
	l, err := c.open(ctx, config, addrs, to)
	if err != nil {
		return opening(ctx, err)
	}
	defer closeAfter(ctx, l)()

	err = c.session(ctx, s, l, requests)
	if closeErr := l.Close(); err == nil {
		err = closeErr
	}
	s.finish(trace, l.counted(), c.Stats)
	return interrupted(ctx, err)
}

// parse returns the requests of the command line.
func (c *requestCmd) parse() ([][]byte, error) {
	requests, bytes := make([][]byte, len(c.Requests)), 0
	for i, text := range c.Requests {
		p, err := hextext.Parse(text)
		switch {
		case err != nil:
			return nil, &usageError{err: fmt.Errorf("request %w", err), help: helpHex}
		case len(p) == 0:
			return nil, usageErrorf("request %q has no bytes: want hexadecimal digits, such as 22F190", text)
		}
		requests[i] = p
		bytes += len(p)
	}
	// No request of UDS has one byte, but those of OBD may.
	const firstOfUDS = 0x10
	if n := len(requests); n > 1 && bytes == n && requests[0][0] >= firstOfUDS {
		return nil, usageErrorf("%s: these are %d requests of one byte each; for one request write them as one argument, as '22 F1 90'", c.Requests, n)
	}
	return requests, nil
}

// to is where requests go that all ECUs hear, the zero Addr for requests to one ECU.
func (c *requestCmd) to(addrs []isotpnet.Addr) (isotpnet.Addr, error) {
	kind := addrs[0].Kind()
	switch {
	case c.Functional != "":
		return parseFunctional(c.Functional)
	case kind == isotpnet.KindOBD:
		return addrs[0], nil
	case len(addrs) > 1 || kind != isotpnet.KindPair:
		return isotpnet.Addr{}, usageErrorf("%q is not one ECU: want both sides, as in 7E0:7E8, or --functional for the answers of many", c.Address)
	}
	return isotpnet.Addr{}, nil
}

// open opens the line to the ECU of the address, or to all that hear the functional one.
func (c *requestCmd) open(ctx context.Context, config isotpnet.Config, addrs []isotpnet.Addr, functional isotpnet.Addr) (line, error) {
	if functional.IsValid() {
		pc, err := (&isotpnet.ListenConfig{Config: config}).ListenPacketAddr(ctx, c.Network, addrs...)
		return groupLine{pc, functional}, err
	}
	conn, err := (&isotpnet.Dialer{Config: config}).DialAddr(ctx, c.Network, addrs[0])
	return pairLine{conn, addrs[0]}, err
}

// session sends the requests of the command line, or those of standard input.
func (c *requestCmd) session(ctx context.Context, s *streams, l line, requests [][]byte) error {
	r := newRequester(c, s, l)
	if c.TesterPresent {
		defer r.keepSession(ctx, c.S3)()
	}
	if len(requests) > 0 {
		return r.askAll(requests)
	}
	if isTerminal(s.stdin) {
		fmt.Fprintln(s.stderr, "requests in hexadecimal digits, one a line:")
	}
	in := s.input(ctx)
	defer in.Close()
	return r.askLines(in)
}

// simulated is the address of the ECU of --simulate.
func simulated(addr isotpnet.Addr) string {
	if addr.Kind() == isotpnet.KindOBD {
		return addr.String()
	}
	return addr.Mirror().String()
}
