package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"example.com/isotp/internal/perf"
	"example.com/isotp/sniff"
)

type perfCmd struct {
	sourceFlags `embed:""`
	pairFlags   `embed:""`

	Time        string `short:"t" default:"zero" enum:"absolute,delta,zero,date,none,a,d,z,A" placeholder:"HOW" help:"Times: absolute (seconds since 1970, as logs have them), delta (since the line before), zero (since the first line), date, or none (${default})."`
	Bitrate     int    `placeholder:"BITS" help:"Bit rate of the bus, such as 500000; 0: what the bus says, if it does. The share of the line's time needs it."`
	DataBitrate int    `placeholder:"BITS" help:"Bit rate of the data of CAN FD frames, such as 2000000; 0: the same as --bitrate."`
	Summary     bool   `short:"s" help:"Print what was measured in all only, and not each message."`
	JSON        bool   `name:"json" help:"Print each message, and what was measured in all, as a line of JSON."`

	Self perfSelfFlags `embed:""`
}

func (*perfCmd) Help() string {
	return `
Measures the messages of a bus or a log, and says of each, and of each sender in all:

	BYTES FRAMES TIME BYTE/S
	                   from the end of the first frame to the end of the last
	BS STMIN           what the last flow control has asked for
	MIN MEDIAN P99 MAX gaps between the ends of Consecutive Frames, within a block; medians and
	                   the like are right to 0.1 %
	EARLY LATE         how many gaps are shorter than STmin, and by how much others are longer,
	                   at most. If the bit rate is known, a gap begins where a frame ends and
	                   ends where the next one begins, as ISO 15765-2 has it.
	LINE               how much of the line's time the message's frames took, with flow control

Times are those of the log or the bus; on a bus that does not stamp its frames, as virtual: and
udp:, they are those at which isotp has read them.

It goes on until the log ends, or until interrupted. With --self it sends and receives messages
itself, from one side of a pair to the other, and measures them; then each must be as it was
sent. What isotpperf of can-utils shows, this shows.

	isotp perf --id 7E0:7E8 --bitrate 500000 can0
	isotp perf --summary drive.blf
	isotp perf --self vcan0/7E0:7E8 --size 4095 --count 100 --stmin 1ms
`
}

// Examples implements exampler.
func (*perfCmd) Examples() []string {
	return []string{
		"isotp perf --self virtual:perf/7E0:7E8 --size 4095 --count 10 --block-size 8 --stmin 300us",
		"isotp demo --trace --size 20000 2> demo.log; isotp perf --summary --bitrate 500000 demo.log",
	}
}

// Validate is called by the parser.
func (c *perfCmd) Validate() error {
	switch {
	case c.Bitrate < 0:
		return fmt.Errorf("--bitrate %d: it must be above 0, or 0 if it is not known", c.Bitrate)
	case c.DataBitrate < 0:
		return fmt.Errorf("--data-bitrate %d: it must be above 0, or 0 for the same as --bitrate", c.DataBitrate)
	case c.Self.Self != "" && c.Source != "":
		return errors.New("--self names the bus: no other one can be named")
	case c.Self.Self != "" && len(c.ID) > 0:
		return errors.New("--self and --id can't be used together: the pair of --self is measured")
	}
	return c.Self.check()
}

// Run measures until ctx is done, the log ends, or what --self sends has come.
func (c *perfCmd) Run(ctx context.Context, s *streams) error {
	if c.Self.Self != "" {
		return c.runSelf(ctx, s)
	}
	pairs, err := c.pairs()
	if err != nil {
		return err
	}
	src, err := s.openSource(ctx, c.sourceFlags)
	if err != nil {
		return err
	}
	defer src.Close()
	out := bufio.NewWriter(s.stdout)
	p := c.printer(out, src)
	progress := c.progress(s, src)
	defer progress.end()
	sniffer, err := sniff.New(sniff.Options{Pairs: pairs, Frame: p.meter.Frame, Message: p.message})
	if err != nil {
		return &usageError{err: err}
	}
	err = src.sniff(ctx, sniffer, progress, out.Flush)
	p.end()
	if n := p.meter.LeftOut(); n > 0 {
		s.warn(fmt.Errorf("%s left out of medians and the like: they differ too much to be kept (--id chooses pairs)", count(n, "duration")))
	}
	if sniffer.Stats().Messages+sniffer.Stats().GivenUp == 0 {
		s.warn(fmt.Errorf("%s has no ISO-TP messages, of %s; --id names pairs that their frames do not show", src.Name, count(sniffer.Stats().Frames, "frame")))
	}
	return errors.Join(err, out.Flush())
}

// progress begins to count frames. Where lines go to a terminal, they say enough.
func (c *perfCmd) progress(s *streams, src *source) *progress {
	if src.Live || !c.Summary && isTerminal(s.stdout) {
		s = s.quiet()
	}
	return s.progress(framesText, 0, nil)
}

func framesText(n int64) string { return count(uint64(n), "frame") }

// printer returns what prints the messages of a source.
func (c *perfCmd) printer(w io.Writer, src *source) *perfPrinter {
	p := &perfPrinter{w: w, clock: clock{how: c.Time}, json: c.JSON, summary: c.Summary}
	p.meter = perf.Meter{Bitrate: c.Bitrate, DataBitrate: c.DataBitrate}
	if p.meter.Bitrate == 0 {
		p.meter.Bitrate, p.meter.DataBitrate = src.Bitrate, src.DataBitrate
	}
	return p
}
