package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressIsALineForEachTenth(t *testing.T) {
	var b bytes.Buffer
	p := &progressLines{w: &b, total: 2000}
	for range 100 {
		p.Write(make([]byte, 20))
	}
	const want = ` 10 %  200 B of 2.0 kB
 20 %  400 B of 2.0 kB
 30 %  600 B of 2.0 kB
 40 %  800 B of 2.0 kB
 50 %  1.0 kB of 2.0 kB
 60 %  1.2 kB of 2.0 kB
 70 %  1.4 kB of 2.0 kB
 80 %  1.6 kB of 2.0 kB
 90 %  1.8 kB of 2.0 kB
100 %  2.0 kB of 2.0 kB
`
	if b.String() != want {
		t.Errorf("progress:\n%swant\n%s", b.String(), want)
	}
}

func TestProgressFitsTheTerminal(t *testing.T) {
	p := &progress{unit: bytesText, total: 2000}
	p.add(500)
	for columns, want := range map[int]string{
		100: " 25 %  ███████░░░░░░░░░░░░░░░░░░░░░░░  500 B of 2.0 kB  250 B/s  6s left",
		60:  " 25 %  ████░░░░░░░░░░░░░  500 B of 2.0 kB  250 B/s  6s left",
		40:  " 25 %  █░░░░░  500 B of 2.0 kB  250 B/s",
		25:  " 25 %  500 B of 2.0 kB",
		10:  " 25 %",
	} {
		if got := p.line(2*time.Second, columns); got != want {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
}

func TestProgressWithoutATotal(t *testing.T) {
	p := &progress{unit: messagesText}
	if got, want := p.line(time.Second, 80), "0 messages  1s"; got != want {
		t.Errorf("at first: %q, want %q", got, want)
	}
	p.add(30)
	if got, want := p.line(10*time.Second, 80), "30 messages  3 messages/s  10s"; got != want {
		t.Errorf("later: %q, want %q", got, want)
	}
}

func TestProgressCountsTheMessageUnderWay(t *testing.T) {
	p := &progress{unit: bytesText, ahead: func() (int64, int64) { return 300, 1000 }}
	p.add(200)
	if got, want := p.line(time.Second, 50), " 50 %  ███░░░░  500 B of 1.0 kB  500 B/s  1s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// terminalStreams are streams whose standard error is a terminal.
func terminalStreams(w io.Writer) *streams {
	return &streams{stderr: &lockedWriter{w: w}, terminal: true, columns: func() int { return 40 }}
}

func TestProgressIsTheLowestLineAndGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		s := terminalStreams(&b)
		p := s.progress(bytesText, 1000, nil)
		p.add(500)
		time.Sleep(progressAfter + progressEvery/2)
		synctest.Wait()
		fmt.Fprintln(s.stderr, "a warning")
		p.end()
		shown := p.line(progressAfter, 40)
		want := eraseLine + shown + eraseLine + "a warning\n" + shown + eraseLine
		if b.String() != want {
			t.Errorf("the terminal gets %q, want %q", b.String(), want)
		}
	})
}

func TestStandardOutputOnTheSameTerminalIsAboveTheLine(t *testing.T) {
	var b bytes.Buffer
	s := terminalStreams(&b)
	out := &terminalOutput{&b, s.stderr}
	s.stderr.setLine("half")
	fmt.Fprintln(out, "a result")
	s.stderr.setLine("")
	fmt.Fprintln(out, "another")
	if want := eraseLine + "half" + eraseLine + "a result\nhalf" + eraseLine + "another\n"; b.String() != want {
		t.Errorf("the terminal gets %q, want %q", b.String(), want)
	}
	if !isTerminal(out) {
		t.Error("it is no terminal")
	}
}

func TestShortJobsShowNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := terminalStreams(&b).progress(bytesText, 1000, nil)
		time.Sleep(progressAfter - 1)
		p.end()
		if b.Len() != 0 {
			t.Errorf("the terminal gets %q", b.String())
		}
	})
}

func TestProgressIsForTerminalsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		s := terminalStreams(&b)
		s.terminal = false
		p := s.progress(bytesText, 1000, nil)
		time.Sleep(time.Minute)
		p.end()
		if b.Len() != 0 {
			t.Errorf("it writes %q", b.String())
		}
	})
}
