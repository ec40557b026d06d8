package main

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
)

// A progress shows how many bytes of a total were written to it.
type progress interface {
	io.Writer
	// end is called after the last Write, whether all was written or not.
	end()
}

// newProgress returns a bar on a terminal, and lines elsewhere.
func newProgress(s *streams, total int64) progress {
	if !s.terminal {
		return &progressLines{w: s.stderr, total: total}
	}
	return progressBar{s.stderr, progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(s.stderr),
		progressbar.OptionShowCount(),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowTotalBytes(true),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(65*time.Millisecond),
		progressbar.OptionUseANSICodes(true),
	)}
}

type progressBar struct {
	w io.Writer
	*progressbar.ProgressBar
}

// end leaves the bar where it is, and goes on in the next line.
func (p progressBar) end() { fmt.Fprintln(p.w) }

// progressLines writes a line for each tenth.
type progressLines struct {
	w           io.Writer
	done, total int64
	tenths      int64
}

func (p *progressLines) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if tenths := 10 * p.done / p.total; tenths > p.tenths {
		p.tenths = tenths
		fmt.Fprintf(p.w, "%3d %%  %s of %s\n", 10*tenths, humanize.Bytes(uint64(p.done)), humanize.Bytes(uint64(p.total)))
	}
	return len(b), nil
}

func (p *progressLines) end() {}
