package sniff_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/canlog"
	"example.com/isotp/sniff"
)

// busyLog is a log as those of a car: transfers of several pairs, one after the other, among
// as many frames that are no ISO-TP, of twenty identifiers.
func busyLog(lines int) []byte {
	var b []byte
	random := rand.New(rand.NewPCG(1, 2))
	at := int64(1_700_000_000_000_000)
	line := func(format string, args ...any) {
		if lines == 0 {
			return
		}
		lines--
		at += 250
		b = fmt.Appendf(b, "(%d.%06d) can0 ", at/1e6, at%1e6)
		b = fmt.Appendf(b, format, args...)
		b = append(b, '\n')
	}
	noise := func() { line("%03X#%016X", 0x100+random.IntN(20), random.Uint64()|0xF000000000000000) }
	for lines > 0 {
		ecu := random.IntN(8)
		line("%03X#0322F190CCCCCCCC", 0x7E0+ecu)
		line("%03X#10C862F190111111", 0x7E8+ecu)
		line("%03X#300000CCCCCCCCCC", 0x7E0+ecu)
		for n := range 28 {
			line("%03X#2%X%014X", 0x7E8+ecu, (n+1)%16, random.Uint64()>>8)
			noise()
		}
	}
	return b
}

// An endless reader gives a log again and again.
type endless struct {
	log  []byte
	rest []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = e.log
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// BenchmarkCandump reads the text of candump -l and sniffs it: per frame.
func BenchmarkCandump(b *testing.B) {
	log := busyLog(100_000)
	r, err := canlog.NewReader(&endless{log: log})
	if err != nil {
		b.Fatal(err)
	}
	messages := 0
	s, err := sniff.New(sniff.Options{Message: func(m *sniff.Message) { messages += len(m.Data) }})
	if err != nil {
		b.Fatal(err)
	}
	var f canbus.Frame
	sniffNext := func() {
		ifi, err := r.ReadFrame(&f)
		if err != nil {
			b.Fatal(err)
		}
		s.Frame(&f, ifi)
	}
	for range 20_000 { // the pairs are found, the buffers are there
		sniffNext()
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(log) / 100_000))
	for b.Loop() {
		sniffNext()
	}
	if messages == 0 {
		b.Error("no messages")
	}
}

// BenchmarkFrame is the Sniffer alone.
func BenchmarkFrame(b *testing.B) {
	var frames []canbus.Frame
	for r, _ := canlog.NewReader(bytes.NewReader(busyLog(10_000))); ; {
		var f canbus.Frame
		if _, err := r.ReadFrame(&f); err == io.EOF {
			break
		} else if err != nil {
			b.Fatal(err)
		}
		frames = append(frames, f)
	}
	s, err := sniff.New(sniff.Options{Message: func(*sniff.Message) {}, Frame: func(*sniff.FrameEvent) {}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Frame(&frames[i%len(frames)], "can0")
	}
}

func TestSniffingAFrameAllocatesNothing(t *testing.T) {
	r, err := canlog.NewReader(&endless{log: busyLog(10_000)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sniff.New(sniff.Options{Message: func(*sniff.Message) {}, Frame: func(*sniff.FrameEvent) {}})
	if err != nil {
		t.Fatal(err)
	}
	var f canbus.Frame
	sniffSome := func() {
		for range 5000 {
			ifi, err := r.ReadFrame(&f)
			if err != nil {
				t.Fatal(err)
			}
			s.Frame(&f, ifi)
		}
	}
	sniffSome()
	sniffSome()
	if n := testing.AllocsPerRun(3, sniffSome); n > 0 {
		t.Errorf("%v allocations in 5000 frames", n)
	}
}
