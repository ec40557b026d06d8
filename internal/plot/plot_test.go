package plot

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/sniff"
	"golang.org/x/net/html"
)

// log has two pairs, one of which talks on two interfaces: messages of several blocks, an early
// frame, one that is refused, one that is not ended, and one to all.
const log = `
	1.000000 can0 7E0#1024000102030405
	1.000300 can0 7E8#300205
	1.001000 can0 7E0#2106070809101112
	1.001100 can1 7E0#023E00
	1.001200 can1 7E8#027E00
	1.006500 can0 7E0#2213141516171819
	1.007900 can0 7E8#310000
	1.008100 can0 7E8#300205
	1.008200 can0 7E0#2320212223242526
	1.012500 can0 7E0#2427282930313233
	1.012600 can0 7E8#300205
	1.013000 can0 7E0#2534353637
	1.020000 can0 7E8#0462F19001
	1.030000 can0 7DF#0209023C3C3C3C3C
	1.040000 can0 7E1#1010000102030405
	1.041000 can0 7E9#320000
	1.100000 can0 7E0#1014000102030405
	1.101000 can0 7E8#300000
	1.102000 can0 7E0#2106070809101112`

// collect gives the log to a Collector, and returns what the Sniffer has found.
func collect(t *testing.T, c *Collector) (messages []sniff.Message) {
	t.Helper()
	s, err := sniff.New(sniff.Options{Frame: c.Frame, Message: func(m *sniff.Message) {
		c.Message(m)
		one := *m
		one.Data = slices.Clone(m.Data)
		messages = append(messages, one)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.TrimSpace(log)) {
		var seconds float64
		var ifi, text string
		if _, err := fmt.Sscan(line, &seconds, &ifi, &text); err != nil {
			t.Fatal(err)
		}
		f, err := canbus.ParseFrame(text)
		if err != nil {
			t.Fatal(err)
		}
		f.Stamp(int64(math.Round(seconds*1e6)) * 1000)
		s.Frame(&f, ifi)
	}
	s.Close()
	slices.SortStableFunc(messages, func(a, b sniff.Message) int { return a.Start.Compare(b.Start) })
	return messages
}

func write(t *testing.T, c *Collector) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.WriteReport(&b, "<b>drive & more</b>.log"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A drawn is a message as the report's script reads it.
type drawn struct {
	Sender     string
	Begin, End float64
	Size, Got  uint32
	Why, What  string
	Frames     []drawnFrame
}

type drawnFrame struct {
	At        uint32
	Kind      frameKind
	BS, STmin byte
}

var dataPattern = regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`)

// read reads the data of a report.
func read(t *testing.T, report string) (lanes []laneData, list []drawn, byLane [][2][]drawn) {
	t.Helper()
	match := dataPattern.FindStringSubmatch(report)
	if match == nil {
		t.Fatal("the report has no data")
	}
	var d reportData
	if err := json.Unmarshal([]byte(match[1]), &d); err != nil {
		t.Fatal(err)
	}
	order := binary.LittleEndian
	u32 := func(column []byte, i int) uint32 { return order.Uint32(column[4*i:]) }
	f64 := func(column []byte, i int) float64 { return math.Float64frombits(order.Uint64(column[8*i:])) }
	byLane = make([][2][]drawn, len(d.Lanes))
	k, c := 0, 0
	for i := range d.Messages.Way {
		lane, way := u32(d.Messages.Lane, i), d.Messages.Way[i]
		m := drawn{
			Sender: d.Lanes[lane].Sides[way], Begin: f64(d.Messages.Begin, i), End: f64(d.Messages.End, i),
			Size: u32(d.Messages.Size, i), Got: u32(d.Messages.Got, i),
			Why: d.Texts[u32(d.Messages.Why, i)], What: d.Texts[u32(d.Messages.What, i)],
		}
		for range u32(d.Messages.Frames, i) {
			f := drawnFrame{At: u32(d.Frames.At, k), Kind: frameKind(d.Frames.Kind[k])}
			if f.Kind >= continueToSend {
				f.BS, f.STmin = d.Frames.Controls[c], d.Frames.Controls[c+1]
				c += 2
			}
			m.Frames = append(m.Frames, f)
			k++
		}
		list = append(list, m)
		byLane[lane][way] = append(byLane[lane][way], m)
	}
	if k != len(d.Frames.Kind) || c != len(d.Frames.Controls) {
		t.Errorf("%d frames and %d flow controls are left over", len(d.Frames.Kind)-k, (len(d.Frames.Controls)-c)/2)
	}
	return d.Lanes, list, byLane
}

func TestReportHasTheMessages(t *testing.T) {
	var c Collector
	want := collect(t, &c)
	_, got, _ := read(t, write(t, &c))
	if len(got) != len(want) || len(got) != 7 {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Sender != w.Conversation.Interface+" "+w.Sender().String() || g.Size != w.Size || g.Got != w.Received || g.Why != w.Why() ||
			math.Abs(g.Begin-(float64(w.Start.UnixNano())/1e9-1)) > 1e-9 || len(g.Frames) != w.Frames+w.FlowControls || g.What != content(w.Data) {
			t.Errorf("message %d is %+v, want %+v", i, g, w)
		}
	}
}

func TestReportHasTheFrames(t *testing.T) {
	var c Collector
	collect(t, &c)
	_, got, _ := read(t, write(t, &c))
	want := []drawnFrame{
		{0, firstFrame, 0, 0}, {300, continueToSend, 2, 5}, {1000, consecutiveFrame, 0, 0}, {6500, consecutiveFrame, 0, 0},
		{7900, waitFrame, 0, 0}, {8100, continueToSend, 2, 5}, {8200, consecutiveFrame, 0, 0}, {12500, consecutiveFrame, 0, 0},
		{12600, continueToSend, 2, 5}, {13000, consecutiveFrame, 0, 0},
	}
	if !slices.Equal(got[0].Frames, want) {
		t.Errorf("frames %+v, want %+v", got[0].Frames, want)
	}
}

// The table of pairs says what the data of the pictures do.
func TestTableSaysWhatTheDataSay(t *testing.T) {
	var c Collector
	collect(t, &c)
	report := write(t, &c)
	lanes, _, byLane := read(t, report)
	var want [][]string
	for l, ways := range byLane {
		for w, list := range ways {
			if len(list) > 0 {
				want = append(want, append([]string{lanes[l].Sides[w]}, summary(list)...))
			}
		}
	}
	var got [][]string
	for _, row := range tableRows(t, report, "lanes-table") {
		ifi, _, _ := strings.Cut(row[0], " ")
		got = append(got, append([]string{ifi + " " + row[1]}, row[2:]...))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the table says\n%v\nand the data\n%v", got, want)
	}
}

// summary is what the table says of messages, in the simplest way.
func summary(list []drawn) []string {
	var whole, given, size, early int
	var busy float64
	var gaps []time.Duration
	for _, m := range list {
		if m.Why == "" {
			whole++
		} else {
			given++
		}
		size += int(m.Got)
		var before *drawnFrame
		var stmin time.Duration
		last := uint32(0)
		for i, f := range m.Frames {
			switch {
			case f.Kind == continueToSend:
				stmin, _ = sniff.SeparationTime(f.STmin)
				before = nil
			case f.Kind > continueToSend:
				before = nil
			case f.Kind == consecutiveFrame && before != nil:
				gap := time.Duration(f.At-before.At) * time.Microsecond
				gaps = append(gaps, gap)
				if gap < stmin {
					early++
				}
				fallthrough
			case f.Kind == consecutiveFrame:
				before = &m.Frames[i]
				fallthrough
			default:
				last = f.At
			}
		}
		busy += float64(last) / 1e6
	}
	row := []string{fmt.Sprint(whole), fmt.Sprint(given), fmt.Sprint(size), fmt.Sprintf("%.6f s", busy), "", fmt.Sprint(len(gaps)), "", ""}
	if busy > 0 {
		row[4] = fmt.Sprintf("%.0f", float64(size)/busy)
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		row[6] = fmt.Sprintf("%.6f s", gaps[(len(gaps)+1)/2-1].Seconds())
		row[7] = fmt.Sprint(early)
	}
	return row
}

// tableRows returns the texts of the cells in a table's body.
func tableRows(t *testing.T, report, id string) (rows [][]string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(report))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Data != "table" || !slices.Contains(n.Attr, html.Attribute{Key: "id", Val: id}) {
			continue
		}
		for n := range n.Descendants() {
			switch {
			case n.Data == "tr" && n.Parent.Data == "tbody":
				rows = append(rows, nil)
			case (n.Data == "td" || n.Data == "th") && n.Parent.Parent.Data == "tbody":
				text := ""
				if n.FirstChild != nil {
					text = n.FirstChild.Data
				}
				rows[len(rows)-1] = append(rows[len(rows)-1], text)
			}
		}
	}
	return rows
}

func TestReportIsOneFile(t *testing.T) {
	var c Collector
	collect(t, &c)
	report := write(t, &c)
	if found := regexp.MustCompile(`(?i)(https?:|//[a-z]|\burl\(|\bimport\b|\bfetch\(|XMLHttpRequest)[^\n]{0,40}`).FindString(strings.ReplaceAll(report, "/// ", "")); found != "" {
		t.Errorf("the report asks for something: %q", found)
	}
	if strings.Contains(report, "<b>drive") {
		t.Error("the title is not escaped")
	}
}

func TestReportOfNothing(t *testing.T) {
	if report := write(t, new(Collector)); !strings.Contains(report, "no ISO-TP messages") || strings.Contains(report, "<canvas") {
		t.Error("it does not say that there is nothing")
	}
}

func TestReportIsBounded(t *testing.T) {
	for _, c := range []struct{ most, frames, cut, leftOut int }{
		{6, 10, 0, 4}, // the message that had begun is there as a whole
		{3, 6, 4, 6},  // or as far as there is memory
	} {
		k := Collector{MaxFrames: c.most}
		want := collect(t, &k)
		report := write(t, &k)
		_, list, _ := read(t, report)
		messages, cut := k.LeftOut()
		if len(list) != 7-c.leftOut || len(list[0].Frames) != c.frames || messages != c.leftOut || cut != c.cut {
			t.Fatalf("%d messages, %d and %d frames left out", len(list), messages, cut)
		}
		if m := list[0]; m.Got != want[0].Received || math.Abs(m.End-0.013) > 1e-9 {
			t.Errorf("of the message there are %d bytes until %v", m.Got, m.End)
		}
		if !strings.Contains(report, fmt.Sprintf("%d more messages of the log are left out", c.leftOut)) || strings.Contains(report, "4 more frames of these messages are not drawn") != (cut > 0) {
			t.Error("the report does not say what is left out")
		}
	}
}
