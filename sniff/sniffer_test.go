package sniff

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
)

// A script is lines "MILLISECONDS FRAME", or "MILLISECONDS INTERFACE FRAME".
func script(t testing.TB, text string) (frames []canbus.Frame, interfaces []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		var ms float64
		if _, err := fmt.Sscan(words[0], &ms); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		f, err := canbus.ParseFrame(words[len(words)-1])
		if err != nil {
			t.Fatal(err)
		}
		f.Stamp(int64(ms * 1e6))
		name := "can0"
		if len(words) == 3 {
			name = words[1]
		}
		frames, interfaces = append(frames, f), append(interfaces, name)
	}
	return frames, interfaces
}

// told is what a Sniffer says of a message: "7E0>22F190", and what else there is to say.
func told(m *Message) string {
	text := fmt.Sprintf("%v>%X", m.Sender(), m.Data)
	if m.Frames > 1 {
		text += fmt.Sprintf(" %d frames", m.Frames)
	}
	if m.Granted {
		text += fmt.Sprintf(" BS %d STmin %02X", m.BlockSize, m.STmin)
	}
	if m.Waits > 0 {
		text += fmt.Sprintf(" WAITs %d", m.Waits)
	}
	if why := m.Why(); why != "" {
		text += " " + why
	}
	return text
}

func sniffed(t testing.TB, o Options, text string) (s *Sniffer, messages []string) {
	t.Helper()
	o.Message = func(m *Message) { messages = append(messages, told(m)) }
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	frames, interfaces := script(t, text)
	for i := range frames {
		s.Frame(&frames[i], interfaces[i])
	}
	s.Close()
	return s, messages
}

const vin = `
	0 7E0#0322F190
	1 7E8#100A62F190414243
	2 7E0#300802
	3 7E8#2144454647
`

func TestMessagesAreFound(t *testing.T) {
	for name, tt := range map[string]struct {
		frames string
		want   string // lines
	}{
		"OBD": {vin, `
			7E0>22F190
			7E8>62F19041424344454647 2 frames BS 8 STmin 02`},
		"functional": {"0 7DF#020902", "7DF>0902"},
		"normal fixed, priorities that differ": {"0 18DA10F1#023E00\n1 14DAF110#027E00", `
			18DA10F1>3E00
			18DAF110>7E00`},
		"mixed, 29 bits": {"0 18CE10F1#99023E00\n1 18CD33F1#99023E80", `
			18CE10F1#99>3E00
			18CD33F1#99>3E80`},
		"normal, with messages before it shows": {`
			0 123#023E00
			1 456#027E00
			2 123#100A222222222222
			3 456#300000CCCCCCCCCC
			4 123#2133333333`, `
			123>3E00
			456>7E00
			123>22222222222233333333 2 frames BS 0 STmin 00`},
		"extended": {`
			0 6F1#12023E00
			1 612#F1100A2222222222
			2 6F1#12300000
			3 612#F1213333333333`, `
			6F1#12>3E00
			612#F1>22222222223333333333 2 frames BS 0 STmin 00`},
		"two of one identifier, extended": {`
			0 612#F1100A2222222222
			2 6F1#12300000
			3 612#F1213333333333
			4 640#F1100A4444444444
			5 6F1#40300000
			6 640#F1215555555555`, `
			612#F1>22222222223333333333 2 frames BS 0 STmin 00
			640#F1>44444444445555555555 2 frames BS 0 STmin 00`},
		"one side only": {`
			0 123#1010111111111111
			1 123#2122222222222222
			2 123#22333333`, "123>11111111111122222222222222333333 3 frames"},
		"the other side comes later": {`
			0 123#1014111111111111
			1 123#2122222222222222
			2 123#2233333333333333
			3 123#100A111111111111
			4 456#30000A
			5 123#2122222222`, `
			123>1111111111112222222222222233333333333333 3 frames
			123>11111111111122222222 2 frames BS 0 STmin 0A`},
		"two at once, extended: the address bytes tell them apart": {`
			0 6F1#12100A2222222222
			1 6F1#30100A4444444444
			2 612#F1300000
			3 630#F1300000
			4 6F1#1221333333333300
			5 6F1#3021555555555500
			6 612#F1027E00`, `
			6F1#12>22222222223333333333 2 frames BS 0 STmin 00
			6F1#30>44444444445555555555 2 frames BS 0 STmin 00
			612#F1>7E00`},
		"two at once, whose identifiers are 8 apart": {`
			0 700#100A222222222222
			1 710#100A444444444444
			2 718#300000
			3 708#300000
			4 700#2133333333
			5 710#2155555555`, `
			700>22222222222233333333 2 frames BS 0 STmin 00
			710>44444444444455555555 2 frames BS 0 STmin 00`},
		"a periodic frame that looks like flow control": {`
			0 300#3000000000000000
			1 123#100A222222222222
			2 300#3000000000000000
			3 456#300000
			4 123#2133333333`, "123>22222222222233333333 2 frames BS 0 STmin 00"},
		"two at once, which a later First Frame tells apart": {`
			0 101#1014111111111111
			1 102#1014222222222222
			2 201#300000
			3 202#300000
			4 101#2111111111111111
			5 102#2122222222222222
			6 101#2211111111111111
			7 102#2222222222222222
			8 101#100A111111111111
			9 201#300000
			10 101#2111111111
			11 102#100A222222222222
			12 202#300000
			13 102#2122222222
			14 201#023E00`, `
			101>1111111111111111111111111111111111111111 3 frames
			102>2222222222222222222222222222222222222222 3 frames
			101>11111111111111111111 2 frames BS 0 STmin 00
			102>22222222222222222222 2 frames BS 0 STmin 00
			201>3E00`},
		"WAITs": {`
			0 7E0#100A111111111111
			900 7E8#310000
			1800 7E8#310000
			2700 7E8#30017F
			3600 7E0#2122222222`, "7E0>11111111111122222222 2 frames BS 1 STmin 7F WAITs 2"},
		"both at once": {`
			0 7E0#100A111111111111
			1 7E8#100A333333333333
			2 7E0#300000
			3 7E8#300100
			4 7E8#2144444444
			5 7E0#2122222222`, `
			7E8>33333333333344444444 2 frames BS 0 STmin 00
			7E0>11111111111122222222 2 frames BS 1 STmin 00`},
		"32 bits of FF_DL, FD": {
			"0 7E0##11000000010000000" + strings.Repeat("11", 56) + "\n1 7E8#300000\n2 7E0##121" + strings.Repeat("22", 63),
			"7E0>" + "0000" + strings.Repeat("11", 56) + strings.Repeat("22", 63) + " 2 frames BS 0 STmin 00 not ended with the last frame here"},
		"wrong SN": {`
			0 7E0#1020111111111111
			1 7E8#300000
			2 7E0#2122222222222222
			3 7E0#2322222222222222
			4 7E0#2422222222222222`, "7E0>11111111111122222222222222 2 frames BS 0 STmin 00 wrong sequence number: 3, want 2"},
		"N_Bs": {"0 7E0#100A111111111111\n1000 7E8#300000\n1001 7E0#2122222222", "7E0>111111111111 no flow control in time"},
		"N_Cr": {"0 7E0#100A111111111111\n999 7E8#300000\n1999 7E0#2122222222", "7E0>111111111111 BS 0 STmin 00 no Consecutive Frame in time"},
		"N_Bs by others": {"0 7E0#100A111111111111\n1 7E8#023E00\n1100 100#01", `
			7E8>3E00
			7E0>111111111111 no flow control in time`},
		"refused":     {"0 7E0#100A111111111111\n1 7E8#320000\n2 7E0#2122222222", "7E0>111111111111 refused with OVFLW"},
		"reserved":    {"0 7E0#100A111111111111\n1 7E8#350000", "7E0>111111111111 a flow control with a reserved status"},
		"interrupted": {"0 7E0#100A111111111111\n1 7E0#023E00", "7E0>111111111111 a new message in mid-message\n7E0>3E00"},
		"no beginning": {"0 7E8#2577777777777777\n1 7E8#2678787878787878\n2 7E8#027E00", `
			7E8>7777777777777778787878787878 2 frames begun before the first frame here
			7E8>7E00`},
		"time goes back": {"5000 7E0#100A111111111111\n3000 7E8#300000", "7E0>111111111111 the time went back"},
		"flow control in mid-block is ignored": {`
			0 7E0#1021111111111111
			1 7E8#300200
			2 7E0#2122222222222222
			3 7E8#320000
			4 7E8#310000
			5 7E8#300500
			6 7E0#2233333333333333
			7 7E8#300000
			8 7E0#2344444444444444
			9 7E8#350000
			10 7E0#2455555555555555`, "7E0>111111111111222222222222223333333333333344444444444444555555555555 5 frames BS 2 STmin 00"},
		"flow control of a block whose beginning was missed": {`
			0 7E0#101B111111111111
			1 7E0#2122222222222222
			2 7E8#310000
			3 7E8#300105
			4 7E0#2233333333333333
			5 7E8#320000`, "7E0>1111111111112222222222222233333333333333 3 frames BS 1 STmin 05 WAITs 1 refused with OVFLW"},
		"a short frame is ignored": {`
			0 7E0#1014111111111111
			1 7E8#300000
			2 7E0#212222
			3 7E0#2122222222222222
			4 7E0#2233333333333333`, "7E0>1111111111112222222222222233333333333333 3 frames BS 0 STmin 00"},
		"no ISO-TP": {`
			0 123#FF0A111111111111
			1 123#EE0A111111111111
			2 123#100A111111111111
			3 456#300000
			4 123#2122222222222222`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := sniffed(t, Options{}, tt.frames)
			want := strings.FieldsFunc(tt.want, func(r rune) bool { return r == '\n' })
			for i := range want {
				want[i] = strings.TrimSpace(want[i])
			}
			want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
			if !slices.Equal(got, want) {
				t.Errorf("it says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// A Sniffer that was closed takes no more, and says what it said.
func TestNothingComesAfterClose(t *testing.T) {
	s, messages := sniffed(t, Options{}, "1 7E0#1014000102030405\n2 7E8#300000")
	s.Close()
	stats, conversations := s.Stats(), len(s.Conversations())
	var told int
	s.o.Message = func(*Message) { told++ }
	frames, interfaces := script(t, "3 7E0#2106070809101112\n4 7E1#0122\n5 7E2#1014000102030405")
	for i := range frames {
		s.Frame(&frames[i], interfaces[i])
	}
	s.Advance(time.Unix(100, 0))
	s.Close()
	if told != 0 || s.Stats() != stats || len(s.Conversations()) != conversations || len(messages) != 1 {
		t.Errorf("%d messages after Close, %+v and %d pairs; want none, %+v and %d pairs", told, s.Stats(), len(s.Conversations()), stats, conversations)
	}
}
