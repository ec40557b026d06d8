package perf

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/sniff"
)

// measure measures the frames of a log, each a line of microseconds and a frame, and returns a
// line for each message.
func measure(t *testing.T, m *Meter, log string) []string {
	t.Helper()
	var lines []string
	s, err := sniff.New(sniff.Options{Frame: m.Frame, Message: func(msg *sniff.Message) {
		x := m.Message(msg)
		lines = append(lines, fmt.Sprintf("%v %d of %d in %v: BS %d STmin %02X; gaps %v to %v; %d early by %v, late %v to %v; answers %v; wire %v%s",
			x.Sender(), x.Received, x.Size, x.Busy, x.BlockSize, x.STmin, x.Gaps.Min, x.Gaps.Max,
			x.Early, x.EarlyBy, x.Late.Min, x.Late.Max, x.Answers.Max, x.OnWire, strings.TrimSuffix(" "+x.Why(), " ")))
	}})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(log) {
		var at int64
		var text string
		if _, err := fmt.Sscan(line, &at, &text); err != nil {
			continue
		}
		f := parse(t, text)
		f.Stamp(at * 1000)
		s.Frame(&f, "can0")
	}
	s.Close()
	return lines
}

func parse(t *testing.T, text string) canbus.Frame {
	t.Helper()
	f, err := canbus.ParseFrame(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("measured:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A message with BS 2 and STmin 5 ms. Between blocks STmin does not count; one frame is early.
const blocks = `
	1000000 7E0#1024000102030405
	1000300 7E8#300205
	1001000 7E0#2106070809101112
	1006500 7E0#2213141516171819
	1006900 7E8#310000
	1007900 7E8#300205
	1008000 7E0#2320212223242526
	1012500 7E0#2427282930313233
	1012600 7E8#300205
	1013000 7E0#2534353637`

func TestGapsAreThoseWithinABlock(t *testing.T) {
	want(t, measure(t, new(Meter), blocks),
		"7E0 36 of 36 in 13ms: BS 2 STmin 05; gaps 4.5ms to 5.5ms; 1 early by 500µs, late 500µs to 500µs; answers 1.4ms; wire 0s")
}

// STmin begins where a frame ends, and ends where the next one begins: if the bit rate is
// known, the frame's own time is not STmin's.
func TestTimeOnTheWireIsNotSTmins(t *testing.T) {
	got := measure(t, &Meter{Bitrate: 500_000}, blocks)
	if text := fmt.Sprintf("; 1 early by %v, late %v to ", 500*time.Microsecond+onWire(t, "7E0#2427282930313233"), 500*time.Microsecond-onWire(t, "7E0#2213141516171819")); !strings.Contains(got[0], text) {
		t.Errorf("measured %s, want %s", got[0], text)
	}
}

func onWire(t *testing.T, text string) time.Duration {
	f := parse(t, text)
	return canbus.WireTime(&f, 500_000, 0)
}

// A line that is full is used to 100 %: the first frame's time was before the first stamp.
func TestShareOfAFullLine(t *testing.T) {
	m := &Meter{Bitrate: 500_000}
	at := int64(1_000_000_000)
	s, _ := sniff.New(sniff.Options{Frame: m.Frame, Message: func(msg *sniff.Message) {
		if x := m.Message(msg); x.Share() != 1 || x.Busy == 0 {
			t.Errorf("%v of %v: %v", x.OnWire, x.Busy, x.Share())
		}
	}})
	for _, text := range []string{"7E0#100D000102030405", "7E8#300000", "7E0#2106070809101112"} {
		f := parse(t, text)
		at += int64(canbus.WireTime(&f, 500_000, 0))
		f.Stamp(at)
		s.Frame(&f, "can0")
	}
	s.Close()
	if len(m.Sums()) != 1 || m.Sums()[0].Share() != 1 {
		t.Error("in all the share is another")
	}
}

func TestMessagesGivenUpAreMeasuredAsFarAsTheyCame(t *testing.T) {
	m := new(Meter)
	want(t, measure(t, m, `
		1000000 7E0#1014000102030405
		1000300 7E8#300000
		1001000 7E0#2106070809101112
		1002000 7E0#0122
		1003000 7E0#2306070809101112`),
		"7E0 13 of 20 in 1ms: BS 0 STmin 00; gaps 0s to 0s; 0 early by 0s, late 0s to 0s; answers 300µs; wire 0s a new message in mid-message",
		"7E0 1 of 1 in 0s: BS 0 STmin 00; gaps 0s to 0s; 0 early by 0s, late 0s to 0s; answers 0s; wire 0s")
	if s := m.Sums()[0]; s.Messages != 1 || s.GivenUp != 1 || s.Bytes != 14 || s.Busy != time.Millisecond || s.Asked[Request{0, 0}] != 1 {
		t.Errorf("in all %+v", s)
	}
}

func TestSumsAreByDirection(t *testing.T) {
	m := new(Meter)
	measure(t, m, "1000000 7E0#0122\n1000100 7E8#0162\n1000200 7E0#023E00\n2000200 7E1#0122")
	var got []string
	for _, s := range m.Sums() {
		got = append(got, fmt.Sprintf("%v: %d messages, %d bytes in %v", s.Sender(), s.Messages, s.Bytes, s.Last-s.Begin))
	}
	want(t, got, "7E0: 2 messages, 3 bytes in 200µs", "7E8: 1 messages, 1 bytes in 0s", "7E1: 1 messages, 1 bytes in 0s")
}

// A log of which each message has other gaps and another flow control does not fill the memory.
func TestMeterIsBounded(t *testing.T) {
	m := new(Meter)
	m.room.used = maxBuckets - 4
	var log strings.Builder
	for i := range 3 * maxAsked {
		at := 1_000_000 * (i + 1)
		fmt.Fprintf(&log, "%d 7E0#1014000102030405\n%d 7E8#3000%02X\n%d 7E0#2106070809101112\n%d 7E0#2213141516171819\n", at, at+100, i%128, at+200, at+300+i*i)
	}
	measure(t, m, log.String())
	s := m.Sums()[0]
	if s.Messages != 3*maxAsked || len(s.Asked) != maxAsked || s.AskedOthers != 64 || s.Gaps.LeftOut == 0 || m.LeftOut() < s.Gaps.LeftOut || m.room.used > maxBuckets {
		t.Errorf("%d messages, %d kinds of CTS and %d others; %d of %d gaps left out, %d buckets", s.Messages, len(s.Asked), s.AskedOthers, s.Gaps.LeftOut, s.Gaps.Count, m.room.used)
	}
}
