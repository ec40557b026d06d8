package sniff

import (
	"bytes"
	"testing"
	"time"

	"example.com/isotp/canbus"
)

// FuzzDecode reads any frame: what has no fault says what lies in the frame.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"7E0#0322F190", "7E0#100A62F190414243", "7E0#2144", "7E0#300000", "7E0#F0", "7E0#", "7E0#R", "7E0##1003E" + "00000000000000000000"} {
		fr, err := canbus.ParseFrame(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(fr.Payload(), uint16(fr.Flags), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, flags uint16, hasByte bool) {
		fr := canbus.Frame{Flags: canbus.Flags(flags), Len: uint8(len(data))}
		copy(fr.Data[:], data)
		p := Decode(&fr, hasByte)
		if p.Fault != NoFault && (p.Data != nil || p.Length != 0) {
			t.Errorf("%v has the fault %v and %+v", fr, p.Fault, p)
		}
		if p.Fault == NoFault && (p.Type > FlowControl || len(p.Data) > len(fr.Payload()) || p.Type == SingleFrame && int(p.Length) != len(p.Data)) {
			t.Errorf("%v is %+v", fr, p)
		}
		if p.Type.String() == "" || p.Status.String() == "" || (p.Fault.String() == "") != (p.Fault == NoFault) {
			t.Errorf("%+v has no text", p)
		}
	})
}

// FuzzSniffer takes any frames of a few identifiers: every frame is told once, every message
// has one end, and what is complete has its size.
func FuzzSniffer(f *testing.F) {
	for _, tt := range []string{vin, "0 123#100A222222222222\n3 456#300000CCCCCCCCCC\n4 123#2133333333", "0 612#F1100A2222222222\n2 6F1#12300000\n3 612#F1213333333333"} {
		frames, _ := script(f, tt)
		var b []byte
		for _, fr := range frames {
			b = append(b, byte(fr.ID), 1, fr.Len)
			b = append(b, fr.Payload()...)
		}
		f.Add(b, false)
	}
	identifiers := []canbus.Frame{
		{ID: 0x7E0}, {ID: 0x7E8}, {ID: 0x7DF}, {ID: 0x123}, {ID: 0x456}, {ID: 0x612}, {ID: 0x6F1},
		{ID: 0x18DA10F1, Flags: canbus.Extended}, {ID: 0x18CE10F1, Flags: canbus.Extended}, {ID: 0x18CEF110, Flags: canbus.Extended | canbus.FD},
	}
	f.Fuzz(func(t *testing.T, text []byte, given bool) {
		var frames, told, parts int
		began := map[uint64]bool{}
		o := Options{MaxData: 40}
		if given {
			o.Pairs = []Pair{{A: Address{ID: 0x123}, B: Address{ID: 0x456}}, {A: Address{ID: 0x612, HasByte: true, Byte: 0xF1}, Alone: true}}
		}
		o.Frame = func(ev *FrameEvent) {
			told++
			if ev.Part == InMessage {
				parts++
				began[ev.Message] = true
			}
			if (ev.Conversation == nil) != (ev.Part == NoPart) || (ev.Part == InMessage || ev.Part == Answer) != (ev.Message != 0) {
				t.Errorf("%+v", ev)
			}
		}
		o.Message = func(m *Message) {
			parts -= m.Frames
			if !began[m.Number] && m.Frames > 1 {
				t.Errorf("message %d has ended, and did not begin or ended twice", m.Number)
			}
			delete(began, m.Number)
			if m.Result == Complete && (m.Received != m.Size || len(m.Data) != min(int(m.Size), o.MaxData)) {
				t.Errorf("a complete message has %d of %d bytes, %d kept", m.Received, m.Size, len(m.Data))
			}
			if (m.Why() == "") != (m.Result == Complete) {
				t.Errorf("%v because of %q", m.Result, m.Why())
			}
		}
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		now := int64(0)
		for r := bytes.NewBuffer(text); ; frames++ {
			head := r.Next(3)
			if len(head) < 3 {
				break
			}
			fr := identifiers[int(head[0])%len(identifiers)]
			now += (int64(head[1]) - 16) * int64(10*time.Millisecond)
			if head[1] > 0 {
				fr.Stamp(now)
			}
			fr.Len = uint8(copy(fr.Data[:head[2]%(canbus.MaxLen+1)], r.Next(int(head[2]%(canbus.MaxLen+1)))))
			s.Frame(&fr, "can0")
		}
		s.Close()
		if told != frames || parts != 0 || len(began) != 0 || len(s.active) != 0 || s.buffered != 0 {
			t.Errorf("of %d frames %d were told; %d parts and %d messages have no end; %d lanes are active, %d bytes buffered",
				frames, told, parts, len(began), len(s.active), s.buffered)
		}
	})
}
