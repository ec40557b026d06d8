package main

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// A progress counts what a command has done. On a terminal it tells that in the lowest
// line, which is there from the first second on and is gone at the end: what the command
// itself says then is the last word.
type progress struct {
	unit  func(n int64) string       // says so much of what is counted
	total int64                      // 0: not known
	ahead func() (done, total int64) // what is done beyond what was added, and a total if that is known; or nil
	begin time.Time
	done  atomic.Int64
	quit  chan struct{} // closed by end; nil: nothing is shown
	ended chan struct{} // closed when the line is gone
}

const (
	progressAfter = time.Second // shorter jobs show no progress
	progressEvery = 100 * time.Millisecond
)

// progress begins to count in that unit.
func (s *streams) progress(unit func(int64) string, total int64, ahead func() (done, total int64)) *progress {
	p := &progress{unit: unit, total: total, ahead: ahead, begin: time.Now()}
	if s.terminal {
		p.quit, p.ended = make(chan struct{}), make(chan struct{})
		go p.show(s)
	}
	return p
}

// show keeps the line until end is called.
func (p *progress) show(s *streams) {
	defer close(p.ended)
	defer s.stderr.setLine("")
	next := time.NewTimer(progressAfter)
	defer next.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-next.C:
		}
		s.stderr.setLine(p.line(time.Since(p.begin), s.columns()))
		next.Reset(progressEvery)
	}
}

// end takes the line away. It is called once.
func (p *progress) end() {
	if p.quit != nil {
		close(p.quit)
		<-p.ended
	}
}

func (p *progress) add(n int64) { p.done.Add(n) }

// Write counts bytes.
func (p *progress) Write(b []byte) (int, error) {
	p.add(int64(len(b)))
	return len(b), nil
}

// line is what is told after a time, in less than so many columns: in the last one, some
// terminals begin a new line.
func (p *progress) line(elapsed time.Duration, columns int) string {
	done, total := p.done.Load(), p.total
	if p.ahead != nil {
		more, of := p.ahead()
		done, total = done+more, max(total, of)
	}
	share, room := "", columns-1
	if total > 0 {
		share = fmt.Sprintf("%3d %%", 100*min(done, total)/total)
	}
	text := share
	for _, detail := range p.details(done, total, elapsed) {
		if longer := strings.TrimPrefix(text+"  "+detail, "  "); utf8.RuneCountInString(longer) <= room {
			text = longer
		}
	}
	const least, most = 5, 30
	width := min(room-utf8.RuneCountInString(text)-2, most)
	if total > 0 && width >= least {
		full := int(int64(width) * min(done, total) / total)
		bar := strings.Repeat("█", full) + strings.Repeat("░", width-full)
		text = share + "  " + bar + strings.TrimPrefix(text, share)
	}
	return text
}

// details are what stands beside the bar, the most important first.
func (p *progress) details(done, total int64, elapsed time.Duration) []string {
	list := []string{p.unit(done)}
	if total > 0 {
		list[0] += " of " + p.unit(total)
	}
	if speed := int64(float64(done) / elapsed.Seconds()); speed > 0 {
		list = append(list, p.unit(speed)+"/s")
	}
	switch {
	case total == 0:
		list = append(list, elapsed.Round(time.Second).String())
	case done > 0:
		left := time.Duration(float64(elapsed) * float64(total-done) / float64(done))
		list = append(list, max(left, 0).Round(time.Second).String()+" left")
	}
	return list
}

func bytesText(n int64) string { return humanize.Bytes(uint64(n)) }

func messagesText(n int64) string { return count(uint64(n), "message") }

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
		fmt.Fprintf(p.w, "%3d %%  %s of %s\n", 10*tenths, bytesText(p.done), bytesText(p.total))
	}
	return len(b), nil
}
