package engine

import (
	"testing"
	"time"

	"example.com/isotp/internal/wire"
)

func TestObserve(t *testing.T) {
	s := newScript(t, func(c *Config) { c.BlockSize, c.STmin, c.MaxMessageSize = 8, 0xF1, 20 })
	var got []Observation
	s.e.Observe = func(o Observation) { got = append(got, o) }
	s.reading(ReadMessages)
	s.send(8).sends("10 08 01 02 03 04 05 06").hears("30 03 04").sends("21 07 08 CC CC CC CC CC").done(OK)
	s.at(1 * ms).hears("10 08 01 02 03 04 05 06").sends("30 08 F1 CC CC CC CC CC").hears("21 07 08")
	s.at(2 * ms).hears("10 14 01 02 03 04 05 06").sends("30 08 F1 CC CC CC CC CC").hears("22 07 08 09 0A 0B 0C 0D")
	s.at(3 * ms).hears("10 15 01 02 03 04 05 06").sends(ovflw)
	s.at(4 * ms).hearsFunctional("01 AA").hears("45")
	s.at(5 * ms).send(9).sends("10 09 01 02 03 04 05 06").hears("32 00 00").done(BufferOverflow)
	at := func(n int) Time { return start.Add(time.Duration(n) * ms) }
	want := []Observation{
		{Kind: MessageSending, At: at(0), Size: 8, Done: 6},
		{Kind: FlowControlReceived, At: at(0), BlockSize: 3, STmin: 4},
		{Kind: MessageSent, At: at(0), Size: 8},
		{Kind: MessageStarted, At: at(1), Size: 8},
		{Kind: FlowControlSent, At: at(1), BlockSize: 8, STmin: 0xF1},
		{Kind: MessageReceived, At: at(1), Size: 8},
		{Kind: MessageStarted, At: at(2), Size: 20},
		{Kind: FlowControlSent, At: at(2), BlockSize: 8, STmin: 0xF1},
		{Kind: ReceptionAborted, At: at(2), Code: WrongSN, Size: 6},
		{Kind: ReceptionAborted, At: at(3), Code: MessageTooLong, Size: 21},
		{Kind: FlowControlSent, At: at(3), Status: uint8(wire.Overflow)},
		{Kind: MessageReceived, At: at(4), Size: 1, Functional: true},
		{Kind: FrameIgnored, At: at(4), Code: InvalidFrame},
		{Kind: MessageSending, At: at(5), Size: 9, Done: 6},
		{Kind: FlowControlReceived, At: at(5), Status: uint8(wire.Overflow)},
		{Kind: SendAborted, At: at(5), Code: BufferOverflow, Size: 6},
	}
	if len(got) != len(want) {
		t.Fatalf("%d steps were observed, want %d:\n%+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("step %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	st := s.e.Stats()
	if st.MessagesSent != 1 || st.BytesSent != 8 || st.SendsAborted != 1 ||
		st.MessagesReceived != 2 || st.BytesReceived != 9 || st.ReceivesAborted != 1 ||
		st.FramesSent != 6 || st.FramesReceived != 9 {
		t.Errorf("Stats are %+v", st)
	}
}

func TestStatsOfSeveralEngines(t *testing.T) {
	short := Stats{commonStats{FramesSent: 1, MessagesReceived: 2}, rareStats{Gaps: 2, GapSum: 5 * ms, GapMin: 2 * ms, GapMax: 3 * ms}}
	short.Errors[WrongSN] = 1
	long := Stats{commonStats{FramesSent: 10, MessagesReceived: 20}, rareStats{Gaps: 1, GapSum: 4 * ms, GapMin: 4 * ms, GapMax: 4 * ms}}
	long.Errors[WrongSN] = 2
	want := Stats{commonStats{FramesSent: 11, MessagesReceived: 22}, rareStats{Gaps: 3, GapSum: 9 * ms, GapMin: 2 * ms, GapMax: 4 * ms}}
	want.Errors[WrongSN] = 3
	for _, order := range [][]Stats{{short, long, {}}, {long, short, {}}, {{}, short, long}} {
		var sum Stats
		for _, s := range order {
			sum.Add(&s)
		}
		if sum != want {
			t.Errorf("%+v, want %+v", sum, want)
		}
	}
}

func TestShortestAndLongestGap(t *testing.T) {
	var s rareStats
	for _, d := range []time.Duration{3 * ms, 2 * ms, 4 * ms} {
		s.gap(d)
	}
	if want := (rareStats{Gaps: 3, GapSum: 9 * ms, GapMin: 2 * ms, GapMax: 4 * ms}); s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}
