package sniff

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
)

func frame(t testing.TB, text string) canbus.Frame {
	t.Helper()
	f, err := canbus.ParseFrame(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// heap returns how much memory is in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestWhatFirstFramesAnnounceTakesNoMemory(t *testing.T) {
	s, err := New(Options{Message: func(*Message) {}})
	if err != nil {
		t.Fatal(err)
	}
	f := frame(t, "18DA00F1#1000FFFFFFFF0000")
	before := heap()
	for id := range uint32(1000) {
		f.ID = 0x18DA00F1 | id<<8&0xFF00 // 256 ECUs, again and again
		s.Frame(&f, "can0")
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("it takes %d bytes", grown)
	}
	runtime.KeepAlive(s)
}

func TestMoreThanMaxDataIsCounted(t *testing.T) {
	var got []string
	s, err := New(Options{MaxData: 10, Message: func(m *Message) { got = append(got, fmt.Sprint(m.Result, m.Size, m.Received, len(m.Data))) }})
	if err != nil {
		t.Fatal(err)
	}
	frames, _ := script(t, "0 7E0#1014111111111111\n1 7E8#300000\n2 7E0#2122222222222222\n3 7E0#2222222222222222")
	for i := range frames {
		s.Frame(&frames[i], "")
	}
	if want := "[complete 20 20 10]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestBuffersOfAllMessagesHaveALimit(t *testing.T) {
	const most = 1 << 10
	s, err := New(Options{MaxData: most, Message: func(*Message) {}})
	if err != nil {
		t.Fatal(err)
	}
	first, next := frame(t, "18DA00F1#1000FFFFFFFF0000"), frame(t, "18DA00F1#2111111111111111")
	for ecu := range uint32(64) {
		f, cf := first, next
		f.ID |= ecu << 8
		cf.ID = f.ID
		s.Frame(&f, "")
		for sn := range byte(160) {
			cf.Data[0] = 0x20 | (sn+1)&0xF
			s.Frame(&cf, "")
		}
	}
	if s.buffered > 6*most {
		t.Errorf("%d bytes are buffered", s.buffered)
	}
}

func TestMoreIdentifiersThanAreRememberedAreToldOf(t *testing.T) {
	told := 0
	s, err := New(Options{Frame: func(*FrameEvent) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	const n = 3 * maxUnknown
	f := frame(t, "00000000#023E00")
	for id := range uint32(n) {
		f.ID = id
		s.Frame(&f, "can0")
	}
	if stats := s.Stats(); len(s.ids) > maxUnknown || stats.Forgotten != 2 || told != 2*maxUnknown {
		t.Errorf("%d identifiers are remembered, %d frames were told: %+v", len(s.ids), told, stats)
	}
	s.Close()
	if stats := s.Stats(); told != n || stats.Unassigned != n {
		t.Errorf("%d frames were told: %+v", told, stats)
	}
}

func TestInterfacesAreTheirOwnBuses(t *testing.T) {
	_, got := sniffed(t, Options{}, `
		0 can0 7E0#1008111111111111
		1 can1 7E8#300000
		2 can1 7E0#2122222222222222
		3 can0 7E0#2133333333333333`)
	want := []string{"7E0>22222222222222 begun before the first frame here", "7E0>1111111111113333 2 frames"}
	if strings.Join(got, "\n") != want[1]+"\n"+want[0] {
		t.Errorf("%q, want %q", got, want)
	}
	s, err := New(Options{Message: func(*Message) {}})
	if err != nil {
		t.Fatal(err)
	}
	f := frame(t, "7E0#023E00")
	for i := range maxInterfaces + 7 {
		s.Frame(&f, fmt.Sprint(i))
	}
	if stats := s.Stats(); stats.Forgotten != 7 || stats.Messages != maxInterfaces {
		t.Errorf("%+v", stats)
	}
}

func TestAdvanceEndsMessagesOfAQuietBus(t *testing.T) {
	var got []string
	s, err := New(Options{NBs: 2 * time.Second, Message: func(m *Message) { got = append(got, told(m)+m.End.UTC().Format(" 05.000")) }})
	if err != nil {
		t.Fatal(err)
	}
	s.Advance(time.Unix(5, 0)) // before the first frame it says nothing
	frames, _ := script(t, "1000 7E0#1008111111111111\n1100 7E8#023E00")
	for i := range frames {
		s.Frame(&frames[i], "")
	}
	s.Advance(time.Unix(2, 999e6))
	if len(got) != 1 {
		t.Errorf("too soon: %q", got)
	}
	s.Advance(time.Unix(3, 1e6))
	if want := "7E0>111111111111 no flow control in time 03.000"; len(got) != 2 || got[1] != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFramesAreToldWithTheirMessages(t *testing.T) {
	var got []string
	o := Options{
		Pairs: []Pair{{A: Address{ID: 0x7E0}, B: Address{ID: 0x7E8}}},
		Frame: func(ev *FrameEvent) {
			got = append(got, fmt.Sprint(ev.PCI.Type, " ", ev.FromB, ev.Part, ev.Message))
		},
		Message: func(m *Message) { got = append(got, fmt.Sprint("message ", m.Number, m.Result)) },
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	frames, _ := script(t, vin+"4 7E8#2244\n5 7E0#0A\n6 123#023E00\n7 7E0#300000\n8 7E0#R\n9 7E8#100A111111111111\n10 7E8#023E00")
	for i := range frames {
		s.Frame(&frames[i], "can0")
	}
	refused := frame(t, "7E0#023E00")
	refused.Flags |= canbus.Echo | canbus.Refused
	s.Frame(&refused, "can0")
	want := []string{
		fmt.Sprint("SF ", false, InMessage, 1), "message 1 complete",
		fmt.Sprint("FF ", true, InMessage, 2),
		fmt.Sprint("FC ", false, Answer, 2),
		fmt.Sprint("CF ", true, InMessage, 2), "message 2 complete",
		fmt.Sprint("CF ", true, Stray, 0),
		fmt.Sprint("SF ", false, Ignored, 0),
		fmt.Sprint("SF ", false, NoPart, 0),
		fmt.Sprint("FC ", false, Stray, 0),
		fmt.Sprint("?? ", false, NoPart, 0),
		fmt.Sprint("FF ", true, InMessage, 3),
		"message 3 a new message in mid-message",
		fmt.Sprint("SF ", true, InMessage, 4), "message 4 complete",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("it tells\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	c := s.Conversations()[0]
	if a, b := (Sent{Frames: 4, Messages: 1, Bytes: 3, Ignored: 2}), (Sent{Frames: 5, Messages: 2, Bytes: 12, GivenUp: 1, Ignored: 1}); c.A != a || c.B != b {
		t.Errorf("counted %+v, %+v, want %+v, %+v", c.A, c.B, a, b)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	tell := func(*Message) {}
	for want, o := range map[string]Options{
		"neither Options.Message nor Options.Frame": {},
		"NBs -1ns is negative":                      {Message: tell, NBs: -1},
		"NCr -1ns is negative":                      {Message: tell, NCr: -1},
		"MaxData -1 is negative":                    {Message: tell, MaxData: -1},
		"identifier 800 is above 7FF":               {Message: tell, Pairs: []Pair{{A: Address{ID: 0x800}, Alone: true}}},
		"identifier 20000000 is above 1FFFFFFF":     {Message: tell, Pairs: []Pair{{B: Address{ID: 0x20000000, Extended: true}}}},
		"7E0 and 7E0 are the same address":          {Message: tell, Pairs: []Pair{{A: Address{ID: 0x7E0}, B: Address{ID: 0x7E0}}}},
		"the pair 7DF: is there twice":              {Message: tell, Pairs: []Pair{{A: obdFunctional, Alone: true}, {A: obdFunctional, Alone: true}}},
		"123 has 11 bits, and no priority":          {Message: tell, Pairs: []Pair{{A: Address{ID: 0x123, AnyPriority: true}, Alone: true}}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestStandardPairsAndTheirModes(t *testing.T) {
	for text, want := range map[string]string{
		"7E3#00":        "7E3:7EB normal, true",
		"7EB#00":        "7E3:7EB normal, true",
		"7DF#00":        "7DF: functional, true",
		"7DE#00":        ": , false",
		"18DAF110#00":   "18DA10F1:18DAF110 normal fixed, or normal, true",
		"0CDA10F1#00":   "18DA10F1:18DAF110 normal fixed, or normal, true",
		"18DA1020#00":   "18DA1020:18DA2010 normal fixed, or normal, true",
		"18DA2010#00":   "18DA1020:18DA2010 normal fixed, or normal, true",
		"18DA1010#00":   ": , false",
		"18DB33F1#00":   "18DB33F1: normal fixed, functional, true",
		"18CE10F1#9900": "18CE10F1#99:18CEF110#99 mixed, true",
		"18CD33F1#9900": "18CD33F1#99: mixed, functional, true",
		"18DC10F1#00":   ": , false",
	} {
		f := frame(t, text)
		p, ok := Standard(&f)
		mode, pair := "", ":"
		if ok {
			mode, pair = p.Mode(), p.String()
		}
		if got := fmt.Sprintf("%s %s, %v", pair, mode, ok); got != want {
			t.Errorf("%s is of %s, want %s", text, got, want)
		}
	}
	side := func(id uint32, b int) Address { return Address{ID: id, HasByte: b >= 0, Byte: byte(b)} }
	for want, p := range map[string]Pair{
		"normal":                      {A: side(1, -1), B: side(2, -1)},
		"extended":                    {A: side(1, 1), B: side(2, 2)},
		"mixed":                       {A: side(1, 1), B: side(2, 1)},
		"extended, or mixed":          {A: side(1, 1), Alone: true},
		"different in each direction": {A: side(1, 1), B: side(2, -1)},
	} {
		if got := p.Mode(); got != want {
			t.Errorf("%v: %s, want %s", p, got, want)
		}
	}
}
