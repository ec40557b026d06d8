package scan

import (
	"fmt"
	"testing"

	"example.com/isotp/canbus"
)

func TestWhatTheWireCannotTellApart(t *testing.T) {
	for _, c := range []struct{ to, from, modes, address string }{
		{"7E0", "7E8", "[normal]", "7E0:7E8"},
		{"7E0", "18DAF110", "[normal]", "7E0:18DAF110"},
		{"18DA10F1", "18DAF110", "[fixed normal 29]", "fixed:10:F1"},
		{"14DA10F1", "14DAF110", "[fixed normal 29]", "14DA10F1:14DAF110"},
		{"18DA10F1", "18DAF111", "[normal 29]", "18DA10F1:18DAF111"},
		{"18DB33F1", "18DAF111", "[fixed normal 29] functional", "18DB33F1:18DAF111"},
		{"18DB33F1", "18DAF211", "[normal 29]", "18DB33F1:18DAF211"},
		{"0ABCDEF0", "18DAF110", "[normal 29]", "0ABCDEF0:18DAF110"},
		{"6F1#10", "610#F1", "[extended]", "6F1#10:610#F1"},
		{"7E0#99", "7E8#99", "[mixed extended]", "7E0#99:7E8#99"},
		{"18CE10F1#99", "18CEF110#99", "[mixed 29 extended 29]", "mixed:10:F1#99"},
		{"18CE10F1#99", "18CEF110#98", "[extended 29]", "18CE10F1#99:18CEF110#98"},
		{"18CD33F1#99", "18CEF110#99", "[mixed 29 extended 29] functional", "18CD33F1#99:18CEF110#99"},
		{"7DF", "7E8", "[normal] functional", "7DF:7E8"},
	} {
		e := &Endpoint{To: addr(c.to), Answer: Answer{From: addr(c.from)}}
		modes := fmt.Sprint(e.Modes())
		if e.Functional() {
			modes += " functional"
		}
		if modes != c.modes || e.Address() != c.address {
			t.Errorf("%s answered by %s: %s %s, want %s %s", c.to, c.from, modes, e.Address(), c.modes, c.address)
		}
	}
}

func TestWhatIsAnAnswer(t *testing.T) {
	for _, c := range []struct {
		frame    string
		probe    Probe
		overhead int
		want     string // "" if it is none
	}{
		{"7E8#300814", FirstFrame, 0, "7E8 8 20 0 -1"},
		{"7E8#300814AAAAAAAAAA", FirstFrame, 0, "7E8 8 20 0 170"},
		{"7E8#300814AAAAAAAA00", FirstFrame, 0, "7E8 8 20 0 -2"},
		{"7E8#310000", FirstFrame, 0, "7E8 0 0 1 -1"},
		{"7E8#320000", FirstFrame, 0, "7E8 0 0 2 -1"},
		{"7E8#330000", FirstFrame, 0, ""},
		{"7E8#3000", FirstFrame, 0, ""},
		{"7E8#R3", FirstFrame, 0, ""},
		{"7E8#027E00", FirstFrame, 0, ""},
		{"610#F1300814", FirstFrame, 1, "610#F1 8 20 0 -1"},
		{"610#F1300814", FirstFrame, 0, ""},
		{"18DAF110##0300000CCCCCCCCCC", FirstFrame, 0, "18DAF110 0 0 0 204"},
		{"7E8#027E00", TesterPresent, 0, "7E8 0 0 0 -1"},
		{"7E8#027E005555555555", TesterPresent, 0, "7E8 0 0 0 85"},
		{"7E8##000027E00CCCCCCCCCCCCCCCC", TesterPresent, 0, "7E8 0 0 0 204"},
		{"610#F1027E00CCCC", TesterPresent, 1, "610#F1 0 0 0 204"},
		{"7E8#037F3E11", TesterPresent, 0, "7E8 0 0 0 -1 code 11"},
		{"7E8#037F3E00", TesterPresent, 0, ""},
		{"7E8#037F1011", TesterPresent, 0, ""},
		{"7E8#027E01", TesterPresent, 0, ""},
		{"7E8#037E0000", TesterPresent, 0, ""},
		{"7E8#300814", TesterPresent, 0, ""},
		{"610#F1027E00", TesterPresent, 1, "610#F1 0 0 0 -1"},
		{"7E8#", TesterPresent, 0, ""},
	} {
		f, err := canbus.ParseFrame(c.frame)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if a, ok := c.probe.parse(&f, c.overhead); ok {
			got = fmt.Sprintf("%s %d %d %d %d", a.From.String(), a.BlockSize, a.STmin, a.Status, a.Padding)
			if a.Code != 0 {
				got += fmt.Sprintf(" code %02X", a.Code)
			}
		}
		if got != c.want {
			t.Errorf("%s after probe %d: %q, want %q", c.frame, c.probe, got, c.want)
		}
	}
}
