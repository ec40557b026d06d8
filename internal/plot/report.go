package plot

import (
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"example.com/isotp/internal/perf"
	"example.com/isotp/sniff"
)

var (
	//go:embed report.html
	page string
	//go:embed report.css
	style string
	//go:embed report.js
	script string
)

var pageTemplate = template.Must(template.New("report").Parse(page))

// WriteReport writes the report. title is its heading, as the name of the log.
func (c *Collector) WriteReport(w io.Writer, title string) error {
	c.sortLanes()
	data, err := json.Marshal(c.data())
	if err != nil {
		return err
	}
	return pageTemplate.Execute(w, struct {
		Title, Subtitle string
		Style           template.CSS
		Data, Script    template.JS
		Lanes           []laneTable
	}{title, c.subtitle(), template.CSS(style), template.JS(data), template.JS(script), c.tables()})
}

func (c *Collector) subtitle() string {
	text := fmt.Sprintf("%d ISO-TP messages of %d frames", len(c.messages), c.frames)
	if len(c.messages) > 0 {
		if at := time.Unix(0, c.begin()).UTC(); at.Year() > 1980 { // logs may begin at 0
			text += at.Format(", from 2006-01-02 15:04:05.000 UTC on")
		}
	}
	if c.leftOut > 0 {
		text += fmt.Sprintf("; %d more messages of the log are left out", c.leftOut)
	}
	if c.cut > 0 {
		text += fmt.Sprintf("; %d more frames of these messages are not drawn", c.cut)
	}
	return text
}

// reportData is what the script reads. Columns have a number for each message or frame, least
// significant byte first.
type reportData struct {
	Lanes    []laneData     `json:"lanes"`
	Texts    []string       `json:"texts"`
	Messages messageColumns `json:"messages"`
	Frames   frameColumns   `json:"frames"`
}

type laneData struct {
	Sides [2]string `json:"sides"` // the addresses that send; the second is "" if it is not known
}

type messageColumns struct {
	Lane   []byte `json:"lane"`   // uint32
	Way    []byte `json:"way"`    // uint8: which of the lane's sides has sent it
	Begin  []byte `json:"begin"`  // float64, seconds after the first frame
	End    []byte `json:"end"`    // float64
	Size   []byte `json:"size"`   // uint32
	Got    []byte `json:"got"`    // uint32: how many bytes came
	Frames []byte `json:"frames"` // uint32: how many there are, with flow control
	Why    []byte `json:"why"`    // uint32: the text that says why it was given up; 0: it was not
	What   []byte `json:"what"`   // uint32: the text that describes it
}

type frameColumns struct {
	At       []byte `json:"at"`       // uint32, microseconds after the message's begin
	Kind     []byte `json:"kind"`     // uint8
	Controls []byte `json:"controls"` // uint8: BS and STmin of each flow control
}

func (c *Collector) data() *reportData {
	d := &reportData{Lanes: make([]laneData, len(c.order)), Texts: c.textList}
	several := slices.ContainsFunc(c.order, func(other *sniff.Conversation) bool { return other.Interface != c.order[0].Interface })
	for i, conversation := range c.order {
		d.Lanes[i].Sides = sides(conversation, several)
	}
	begin, order := c.begin(), binary.LittleEndian
	seconds := func(column []byte, at int64) []byte {
		return order.AppendUint64(column, math.Float64bits(float64(at-begin)/1e9))
	}
	m, f := &d.Messages, &d.Frames
	for _, msg := range c.sorted() {
		m.Lane = order.AppendUint32(m.Lane, uint32(msg.lane))
		m.Way = append(m.Way, wayOf(msg.fromB))
		m.Begin = seconds(m.Begin, msg.begin)
		m.End = seconds(m.End, msg.end)
		m.Size = order.AppendUint32(m.Size, msg.size)
		m.Got = order.AppendUint32(m.Got, msg.got)
		m.Frames = order.AppendUint32(m.Frames, uint32(len(msg.frames)))
		m.Why = order.AppendUint32(m.Why, msg.why)
		m.What = order.AppendUint32(m.What, msg.what)
		for _, one := range msg.frames {
			after := time.Duration(one.at - msg.begin).Round(time.Microsecond).Microseconds()
			f.At = order.AppendUint32(f.At, uint32(min(max(after, 0), math.MaxUint32)))
			f.Kind = append(f.Kind, byte(one.kind))
		}
		f.Controls = append(f.Controls, msg.controls...)
	}
	return d
}

func wayOf(fromB bool) byte {
	if fromB {
		return 1
	}
	return 0
}

// sides returns the names of a conversation's sides, with the interface if there are several.
func sides(c *sniff.Conversation, withInterface bool) [2]string {
	prefix := ""
	if withInterface {
		prefix = c.Interface + " "
	}
	names := [2]string{prefix + c.Pair.A.String()}
	if !c.Pair.Alone {
		names[1] = prefix + c.Pair.B.String()
	}
	return names
}

// A laneTable is what the table of pairs says of a lane.
type laneTable struct {
	Name string
	Ways []wayTable
}

type wayTable struct {
	Sender                         string
	Messages, GivenUp, Bytes, Gaps uint64
	Busy, Speed, MedianGap, Early  string
}

func (c *Collector) tables() []laneTable {
	tables := make([]laneTable, len(c.order))
	for i, conversation := range c.order {
		tables[i].Name = nameOf(conversation)
	}
	for _, sum := range c.meter.Sums() {
		if sum.Messages+sum.GivenUp == 0 {
			continue
		}
		t := &tables[c.lanes[sum.Conversation]]
		t.Ways = append(t.Ways, wayTableOf(sum))
	}
	return tables
}

func wayTableOf(sum *perf.Sum) wayTable {
	w := wayTable{
		Sender: sum.Sender().String(), Messages: sum.Messages, GivenUp: sum.GivenUp, Bytes: sum.Bytes,
		Gaps: sum.Gaps.Count, Busy: fmt.Sprintf("%.6f s", sum.Busy.Seconds()),
	}
	if speed := sum.Speed(sum.Bytes); speed > 0 {
		w.Speed = strconv.FormatFloat(speed, 'f', 0, 64)
	}
	if sum.Gaps.Count > 0 {
		w.MedianGap = fmt.Sprintf("%.6f s", sum.Gaps.Quantile(0.5).Seconds())
		w.Early = fmt.Sprint(sum.Early)
	}
	return w
}
