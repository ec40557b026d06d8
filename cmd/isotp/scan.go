package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/scan"
)

type scanCmd struct {
	Bus       string        `arg:"" optional:"" help:"Name of the bus, as can0 or udp:239.74.163.2:43113; without it the one in ISOTP_BUS. More: isotp help buses."`
	IDs       string        `name:"ids" placeholder:"LIST" help:"Identifiers to probe in normal addressing, as 700-7FF,18DA00F1-18DAFFF1: 3 digits are 11 bits, 8 digits 29 (000-7FF, if no other mode is asked for)."`
	Extended  string        `placeholder:"LIST" help:"Identifiers and target addresses to probe in extended addressing, as 6F1#00-FF; 6F1 alone: all of these."`
	Fixed     string        `placeholder:"LIST" help:"Target addresses to probe in normal fixed addressing, as 00-FF (18DA00F1 to 18DAFFF1)."`
	Mixed     string        `placeholder:"LIST" help:"What to probe in mixed addressing: identifiers of 11 bits, as 700-7FF#99, or target addresses of 29 bits, as 00-FF#99 (18CE00F1 to 18CEFFF1); 99 is the address extension."`
	Source    byteFlag      `default:"F1" placeholder:"HEX" help:"Our address with --fixed and --mixed (${default})."`
	Probe     string        `default:"ff" enum:"ff,3e" placeholder:"KIND" help:"ff: a First Frame that is never continued; the ECU keeps room for a message, and forgets it within a second. 3e: the request 3E 00, which the ECU's application answers; it keeps a diagnostic session alive (${default})."`
	From      string        `placeholder:"ADDR" help:"Begin at that address: an interrupted scan says where to go on."`
	Rate      int           `default:"50" placeholder:"N" help:"Most frames to send in a second (${default})."`
	Listen    time.Duration `default:"2s" placeholder:"TIME" help:"How long to listen first: identifiers that carry frames then belong to others, and are neither probed nor answers (${default})."`
	Wait      time.Duration `default:"500ms" placeholder:"TIME" help:"How late an answer may come (${default})."`
	Intrusive bool          `help:"Ask each ECU that is found for more: the longest message that it takes, by First Frames of up to 4 GiB; and whether it hears frames without padding, and its flow control, by the probe that --probe does not name. It takes up to a minute for each."`
	FD        bool          `name:"fd" help:"Send CAN FD frames."`
	BRS       bool          `name:"brs" help:"Switch the bit rate for the data of CAN FD frames."`
	Padding   padding       `default:"CC" placeholder:"HEX" help:"Byte to fill frames with (${default}), or none."`
	JSON      bool          `name:"json" help:"Print each endpoint as a line of JSON, and a summary as the last one."`
	Yes       bool          `help:"Send on a bus that is not virtual. Do that only where an unexpected frame can do no harm."`
	Simulate  []string      `sep:"none" placeholder:"ADDR" help:"Simulate an ECU in this process, as 7E8:7E0,7DF or fixed::10; for a bus virtual:NAME."`
}

func (*scanCmd) Help() string {
	return `
Finds the ECUs on a bus that speak ISO-TP: it probes addresses, and prints those that answer,
with the addressing modes that this may be, the flow control offered, and the padding. An
address is printed once it has answered three times, twice of these alone and in silence.

	isotp scan --yes can0
	isotp scan --yes --probe 3e --extended 6F1#00-FF --fixed 00-FF can0
`
}

// Examples implements exampler.
func (*scanCmd) Examples() []string {
	return []string{
		"isotp scan --listen 100ms --wait 50ms --simulate 7E8:7E0,7DF --ids 7DE-7E2 virtual:demo",
		"isotp scan --listen 100ms --wait 50ms --simulate fixed::2A --fixed 28-2C virtual:demo",
	}
}

// byteFlag is the value of a flag that is a byte.
type byteFlag byte

// UnmarshalText takes hexadecimal digits, with or without 0x.
func (b *byteFlag) UnmarshalText(text []byte) error {
	n, err := parseByte(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a byte in hexadecimal, such as F1", text)
	}
	*b = byteFlag(n)
	return nil
}

// Validate is called by the parser.
func (c *scanCmd) Validate() error {
	switch {
	case c.Rate < 1:
		return fmt.Errorf("--rate %d: it must be at least 1", c.Rate)
	case c.Listen < 0:
		return fmt.Errorf("--listen %v: it must not be negative", c.Listen)
	case c.Wait <= 0:
		return fmt.Errorf("--wait %v: it must be above 0", c.Wait)
	case c.BRS && !c.FD:
		return errors.New("--brs: it needs --fd")
	}
	return nil
}

// Run scans the bus.
func (c *scanCmd) Run(ctx context.Context, s *streams) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	if c.Bus, err = busOr(c.Bus); err != nil {
		return err
	}
	if scheme, _ := canbus.SplitName(c.Bus); scheme == "candump" {
		return usageErrorf("%s is a log: nothing answers there, want a bus", c.Bus)
	}
	if err := c.permit(s, &config); err != nil {
		return err
	}
	stop, err := c.simulate(ctx, s)
	if err != nil {
		return err
	}
	defer stop()
	bus, err := openBus(ctx, c.Bus)
	if err != nil {
		return err
	}
	if c.FD && !canbus.PropertiesOf(bus).FD {
		bus.Close()
		return usageErrorf("--fd: %s carries no CAN FD frames", c.Bus)
	}
	return c.scan(ctx, s, bus, config)
}

// config is the scan that the flags ask for.
func (c *scanCmd) config() (scan.Config, error) {
	config := scan.Config{
		FD: c.FD, BRS: c.BRS,
		MinFrameSize: canbus.MaxClassicLen, Fill: c.Padding.fill,
		Rate: c.Rate, Listen: c.Listen, Wait: c.Wait, Intrusive: c.Intrusive,
	}
	if c.Padding.none {
		config.MinFrameSize = 0
	}
	if c.Probe == "3e" {
		config.Probe = scan.TesterPresent
	}
	var err error
	if config.Targets, err = c.targets(); err != nil || c.From == "" {
		return config, err
	}
	if config.First, err = config.Targets.Index(c.From); err != nil {
		return config, usageErrorf("--from: %w", err)
	}
	return config, nil
}

// targets are the addresses to probe, in the order of the flags in the help.
func (c *scanCmd) targets() (all scan.Targets, err error) {
	if c.IDs+c.Extended+c.Fixed+c.Mixed == "" {
		c.IDs = "000-7FF"
	}
	source := byte(c.Source)
	for _, f := range []struct {
		name, value string
		parse       func(string) (scan.Targets, error)
	}{
		{"--ids", c.IDs, scan.ParseIDs},
		{"--extended", c.Extended, scan.ParseWithBytes},
		{"--fixed", c.Fixed, func(text string) (scan.Targets, error) { return scan.ParseFixed(text, source) }},
		{"--mixed", c.Mixed, func(text string) (scan.Targets, error) { return scan.ParseMixed(text, source) }},
	} {
		if f.value == "" {
			continue
		}
		targets, err := f.parse(f.value)
		if err != nil {
			return nil, usageErrorf("%s: %w", f.name, err)
		}
		all = append(all, targets...)
	}
	return all, nil
}

// permit returns an error if a bus that is not virtual was named without --yes, and says
// what will happen to one that was named with it.
func (c *scanCmd) permit(s *streams, config *scan.Config) error {
	if isVirtualBus(c.Bus) {
		return nil
	}
	count := config.Targets.Len() - config.First
	took := time.Duration(min(count/int64(c.Rate), 1e9)) * time.Second
	what := fmt.Sprintf("%s is not a virtual bus, and scan sends %d frames or more on it, in %v: "+
		"each goes to an address on which any device may listen, and what that does is not known. "+
		"Never do that to a vehicle that moves or a machine that runs", c.Bus, count, (c.Listen + took).Round(time.Second))
	if !c.Yes {
		return usageErrorf("%s. If you want it: --yes", what)
	}
	fmt.Fprintf(s.stderr, "Warning: %s.\n", what)
	return nil
}

// simulate runs the ECUs of --simulate until stop is called.
func (c *scanCmd) simulate(ctx context.Context, s *streams) (stop func(), err error) {
	var addresses []string
	for _, endpoint := range c.Simulate {
		addresses = append(addresses, c.Bus+"/"+endpoint)
	}
	// The frames of the ECUs are captured once, where the scan hears them.
	ctx = canbus.WithOpened(ctx, func(_ string, bus canbus.Bus) canbus.Bus { return bus })
	return simulate(ctx, s, messageNetwork, 1, addresses...)
}

// scan scans until it is done or interrupted, and prints what it finds.
func (c *scanCmd) scan(ctx context.Context, s *streams, bus canbus.Bus, config scan.Config) error {
	p := newScanPrinter(s.stdout, c.JSON)
	progress := s.progress(func(n int64) string { return strconv.FormatInt(n, 10) }, config.Targets.Len()-config.First, nil)
	config.Progress = func() { progress.add(1) }
	config.Found = p.endpoint
	report, err := scan.Run(ctx, bus, config)
	progress.end()
	next := ""
	if report.Next < config.Targets.Len() {
		next = config.Targets.At(report.Next).String()
	}
	p.summary(s.stderr, &report, next)
	if report.Trouble != nil {
		s.warn(report.Trouble)
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: the same command with --from %s goes on", errInterrupted, next)
	case err != nil:
		return fmt.Errorf("%w: --from %s goes on", err, next)
	case p.err != nil:
		return p.err
	case report.Dropped > 0 || report.Refused > 0:
		return fmt.Errorf("ECUs may be missing: %s dropped %s, and refused %s", c.Bus,
			count(report.Dropped, "received frame"), count(report.Refused, "probe"))
	case p.endpoints == 0:
		return fmt.Errorf("%w", errNoECU)
	}
	return nil
}
