package sniff_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/sniff"
)

// A heard message is what a Sniffer or the reference says of one.
type heard struct {
	from   string
	data   string
	result sniff.Result
	frames int
	waits  int
	flow   string // BS and STmin
	start  int64
}

// A reference puts the messages of one direction together, one frame after the other and in
// the simplest way: it keeps all that came since the message began.
type reference struct {
	from     string
	overhead int

	busy, begun bool // a message is under way; one has ever begun
	answer      bool // it waits for flow control
	granted     bool // a block is under way: flow control is not wanted
	nothing     bool // its beginning was not seen
	want        int
	size        byte // of the First Frame
	block       int
	wait        time.Time // when it began to wait
	m           heard
	messages    []heard
}

func (r *reference) end(why sniff.Result) {
	if r.busy {
		if r.nothing {
			why = sniff.NoBeginning
		}
		r.m.result = why
		r.messages = append(r.messages, r.m)
	}
	r.busy = false
}

func (r *reference) late(now time.Time) {
	if r.busy && now.Sub(r.wait) >= time.Second {
		why := sniff.TimeoutCr
		if r.answer {
			why = sniff.TimeoutBs
		}
		r.end(why)
	}
}

func (r *reference) begin(f *canbus.Frame) {
	r.m = heard{from: r.from, frames: 1, start: f.Timestamp}
	r.busy, r.begun, r.granted, r.nothing, r.wait = true, true, false, false, f.Time()
}

// data takes a frame that this direction's address has sent.
func (r *reference) data(f *canbus.Frame) {
	p := f.Payload()[r.overhead:]
	switch p[0] >> 4 {
	case 0:
		n, from := int(p[0]), 1
		if f.Len > 8 {
			n, from = int(p[1]), 2
		}
		r.end(sniff.Interrupted)
		r.begin(f)
		r.m.data = string(p[from : from+n])
		r.end(sniff.Complete)
	case 1:
		r.end(sniff.Interrupted)
		r.begin(f)
		r.want = int(binary.BigEndian.Uint16(p)) & 0xFFF
		p = p[2:]
		if r.want == 0 {
			r.want = int(binary.BigEndian.Uint32(p))
			p = p[4:]
		}
		r.m.data, r.size, r.answer, r.block = string(p), f.Len, true, 0
	case 2:
		r.consecutive(f, p)
	}
}

func (r *reference) consecutive(f *canbus.Frame, p []byte) {
	if !r.busy && !r.begun {
		r.begin(f)
		r.m.frames, r.nothing = 0, true
	}
	if !r.busy {
		return
	}
	rest := r.want - len(r.m.data)
	if !r.nothing {
		if f.Len > r.size || f.Len < r.size && len(p)-1 < rest {
			return // the length has changed
		}
		if p[0]&0xF != byte(r.m.frames)&0xF {
			r.end(sniff.WrongSN)
			return
		}
	}
	r.m.frames++
	r.answer, r.wait = false, f.Time()
	if r.nothing {
		rest = len(p)
	}
	r.m.data += string(p[1:][:min(rest, len(p)-1)])
	if r.block--; r.block == 0 {
		r.answer, r.granted = true, false
	}
	if !r.nothing && len(r.m.data) == r.want {
		r.end(sniff.Complete)
	}
}

// flow takes flow control for this direction.
func (r *reference) flow(f *canbus.Frame, overhead int) {
	if !r.busy || r.granted {
		return
	}
	p := f.Payload()[overhead:]
	switch p[0] {
	case 0x30:
		if r.m.flow == "" {
			r.m.flow = fmt.Sprintf("%02X %02X", p[1], p[2])
		}
		if !r.nothing {
			r.answer, r.granted, r.block, r.wait = false, true, int(p[1]), f.Time()
		}
	case 0x31:
		r.m.waits++
		if !r.nothing {
			r.answer, r.wait = true, f.Time()
		}
	case 0x32:
		if !r.nothing {
			r.end(sniff.Refused)
		}
	}
}

// referenceOf returns the messages of a pair, those of each direction in order.
func referenceOf(log []canbus.Frame, p sniff.Pair) []heard {
	sides := [2]*reference{}
	for i, a := range []sniff.Address{p.A, p.B} {
		sides[i] = &reference{from: a.String()}
		if a.HasByte {
			sides[i].overhead = 1
		}
	}
	for i := range log {
		f := &log[i]
		fromB, ok := p.Match(f)
		if !ok {
			continue
		}
		from, to := sides[0], sides[1]
		if fromB {
			from, to = to, from
		}
		from.late(f.Time())
		to.late(f.Time())
		if f.Data[from.overhead]>>4 == 3 {
			to.flow(f, from.overhead)
		} else {
			from.data(f)
		}
	}
	last := log[len(log)-1].Time()
	for _, r := range sides {
		r.late(last)
		r.end(sniff.Unfinished)
	}
	return slices.Concat(sides[0].messages, sides[1].messages)
}

func TestSniffedMessagesEqualAReference(t *testing.T) {
	results := map[sniff.Result]int{}
	for seed := range uint64(6) {
		w := newTraffic(seed)
		w.run(200)
		log := w.log
		if seed%2 == 1 { // what records them loses frames, too, and begins in mid-message
			log = slices.DeleteFunc(log[w.rng.IntN(len(log)/4):], func(canbus.Frame) bool { return w.rng.IntN(100) == 0 })
		}
		got := map[string][]heard{} // by pair and side
		note := func(m *sniff.Message) {
			h := heard{from: m.Sender().String(), data: string(m.Data), result: m.Result, frames: m.Frames, waits: m.Waits, start: m.Start.UnixNano()}
			if m.Granted {
				h.flow = fmt.Sprintf("%02X %02X", m.BlockSize, m.STmin)
			}
			key := fmt.Sprint(m.Conversation.Pair, m.FromB)
			got[key] = append(got[key], h)
			results[m.Result]++
		}
		s, err := sniff.New(sniff.Options{Pairs: w.pairs, Message: note})
		if err != nil {
			t.Fatal(err)
		}
		for i := range log {
			s.Frame(&log[i], "can0")
		}
		s.Close()
		for _, p := range w.pairs {
			want := referenceOf(log, p)
			if got := slices.Concat(got[fmt.Sprint(p, false)], got[fmt.Sprint(p, true)]); !slices.Equal(got, want) {
				t.Fatalf("seed %d, pair %v: %s", seed, p, difference(got, want))
			}
		}
	}
	for _, r := range []sniff.Result{sniff.Complete, sniff.WrongSN, sniff.TimeoutBs, sniff.TimeoutCr, sniff.Refused, sniff.NoBeginning} {
		if results[r] == 0 {
			t.Errorf("no message ended with %v: %v", r, results)
		}
	}
}

func difference(got, want []heard) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("message %d is\n%+v, want\n%+v", i, got[i].show(), want[i].show())
		}
	}
	return fmt.Sprintf("%d messages, want %d", len(got), len(want))
}

// Where the log has all frames, each pair is found, and no message of it is missing.
func TestEveryPairIsFoundInTheTraffic(t *testing.T) {
	for seed := range uint64(3) {
		w := newTraffic(seed)
		w.loss = 0
		w.run(200)
		var got []heard
		s, err := sniff.New(sniff.Options{Message: func(m *sniff.Message) {
			got = append(got, heard{from: m.Sender().String(), data: string(m.Data), result: m.Result, start: m.Start.UnixNano()})
		}})
		if err != nil {
			t.Fatal(err)
		}
		for i := range w.log {
			s.Frame(&w.log[i], "can0")
		}
		s.Close()
		var want []heard
		for _, p := range w.pairs {
			for _, m := range referenceOf(w.log, p) {
				want = append(want, heard{from: m.from, data: m.data, result: m.result, start: m.start})
			}
		}
		order := func(a, b heard) int { return int(a.start - b.start) }
		slices.SortFunc(got, order)
		slices.SortFunc(want, order)
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: %s", seed, difference(got, want))
		}
	}
}

// show returns the message with its data in digits.
func (h heard) show() heard {
	h.data = fmt.Sprintf("%d bytes %.60X", len(h.data), h.data)
	return h
}
