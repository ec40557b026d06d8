package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"example.com/isotp/internal/plot"
	"example.com/isotp/sniff"
)

type plotCmd struct {
	sourceFlags `embed:""`
	pairFlags   `embed:""`

	Output string `short:"o" required:"" placeholder:"FILE" help:"The report, as report.html; -: standard output."`
}

func (*plotCmd) Help() string {
	return `
Draws the messages of a log, or of a bus until it is interrupted: one HTML file that needs
nothing else and asks no other computer for anything. It has the messages of each pair in a
lane, their frames and flow control when one zooms in, throughput, gaps against STmin, and the
same as tables. Keys and mouse are told in it. Of a log with more than 2 million frames of
ISO-TP it has the first ones; --id chooses pairs.

	isotp plot drive.blf -o report.html
	isotp plot --id 7E0:7E8 can0 -o report.html
`
}

// Examples implements exampler.
func (*plotCmd) Examples() []string {
	return []string{
		"isotp demo --trace --size 20000 2> demo.log; isotp plot demo.log -o report.html",
		"isotp obd --simulate 3 --trace virtual:demo/obd 2> obd.log; isotp plot --id obd obd.log -o obd.html",
	}
}

// Run reads until ctx is done, or the log ends, and writes the report.
func (c *plotCmd) Run(ctx context.Context, s *streams) error {
	pairs, err := c.pairs()
	if err != nil {
		return err
	}
	src, err := s.openSource(ctx, c.sourceFlags)
	if err != nil {
		return err
	}
	defer src.Close()
	var report plot.Collector
	sniffer, err := sniff.New(sniff.Options{Pairs: pairs, Frame: report.Frame, Message: report.Message})
	if err != nil {
		return &usageError{err: err}
	}
	progress := s.progress(framesText, 0, nil)
	err = src.sniff(ctx, sniffer, progress, func() error { return nil })
	progress.end()
	if messages, frames := report.LeftOut(); messages+frames > 0 {
		s.warn(fmt.Errorf("%s, and %s of those that had begun, left out of the report, which has the first %s",
			count(uint64(messages), "message"), count(uint64(frames), "frame"), count(uint64(report.Frames()), "frame")))
	}
	return errors.Join(err, c.write(s, &report, src))
}

func (c *plotCmd) write(s *streams, report *plot.Collector, src *source) error {
	title := filepath.Base(src.Name)
	if src.Live {
		title = src.Name
	}
	if c.Output == "-" {
		out := bufio.NewWriter(s.stdout)
		return errors.Join(report.WriteReport(out, title), out.Flush())
	}
	file, err := os.Create(c.Output)
	if err != nil {
		return &usageError{err: err}
	}
	out := bufio.NewWriter(file)
	return errors.Join(report.WriteReport(out, title), out.Flush(), file.Close())
}
