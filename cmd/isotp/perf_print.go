package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/isotp/internal/perf"
	"example.com/isotp/sniff"
	"github.com/dustin/go-humanize"
)

// A perfPrinter prints what a Meter has measured. Errors of w are w's to keep.
type perfPrinter struct {
	w       io.Writer
	meter   perf.Meter
	clock   clock
	json    bool
	summary bool // not each message
	begun   bool // the columns have their names
}

// perfColumns are the columns of a message, behind its time; the first and the last are wide.
const perfColumns = "%-9s %8s %6s %8s %8s %3s %6s  %7s %7s %7s %7s %5s %7s %5s%s"

// message prints what was measured of a message that has ended.
func (p *perfPrinter) message(msg *sniff.Message) {
	t := p.meter.Message(msg)
	switch {
	case p.summary:
		return
	case p.json:
		p.line(newPerfLine(t))
		return
	}
	stamp := p.clock.append(nil, msg.Start)
	if !p.begun {
		p.begun = true
		p.columns("%*s"+perfColumns, len(stamp), "", "FROM", "BYTES", "FRAMES", "TIME", "BYTE/S", "BS", "STMIN", "MIN", "MEDIAN", "P99", "MAX", "EARLY", "LATE", "LINE", "")
	}
	why := ""
	if text := msg.Why(); text != "" {
		why = "  given up: " + text
	}
	p.columns("%s"+perfColumns, stamp, msg.Sender(), fmt.Sprint(msg.Received), fmt.Sprint(msg.Frames),
		onlyIf(t.Busy > 0, shortTime(t.Busy)), onlyIf(t.Busy > 0, speedText(t.Speed(uint64(msg.Received)), "")),
		onlyIf(t.Granted, fmt.Sprint(t.BlockSize)), onlyIf(t.Granted, separationText(t.STmin)),
		gapText(&t.Gaps, t.Gaps.Min), quantileText(&t.Gaps, 0.5), quantileText(&t.Gaps, 0.99), gapText(&t.Gaps, t.Gaps.Max),
		onlyIf(t.Late.Count+t.Early > 0, fmt.Sprint(t.Early)), gapText(&t.Late, t.Late.Max),
		onlyIf(t.Share() > 0, percent(t.Share())), why)
}

// columns prints a line without the spaces at its end.
func (p *perfPrinter) columns(format string, args ...any) {
	fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// end prints what was measured in all.
func (p *perfPrinter) end() {
	for _, sum := range p.meter.Sums() {
		if p.json {
			p.line(newPerfSumLine(sum))
			continue
		}
		if p.begun {
			fmt.Fprintln(p.w)
		}
		p.begun = true
		p.sum(sum)
	}
}

func (p *perfPrinter) sum(s *perf.Sum) {
	head := s.Sender().String()
	if s.Conversation.Interface != "" {
		head = s.Conversation.Interface + " " + head
	}
	given := ""
	if s.GivenUp > 0 {
		given = fmt.Sprintf(", %d given up", s.GivenUp)
	}
	fmt.Fprintf(p.w, "%s: %s%s, %s\n", head, count(s.Messages, "message"), given, count(s.Bytes, "byte"))
	say := func(name, format string, args ...any) {
		fmt.Fprintf(p.w, "  %-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	if all := s.Last - s.Begin; all > 0 {
		say("throughput", "%s%sB/s in all (%s)", onlyIf(s.Busy > 0, speedText(s.Speed(s.Bytes), " ")+"B/s in messages ("+shortTime(s.Busy)+"), "),
			speedText(float64(s.Bytes)/all.Seconds(), " "), shortTime(all))
	}
	for _, r := range requests(s) {
		say("asked", "BS %d, STmin %s (%s)", r.BlockSize, separationText(r.STmin), count(s.Asked[r], "message"))
	}
	if s.AskedOthers > 0 {
		say("asked", "others (%s)", count(s.AskedOthers, "message"))
	}
	if s.Gaps.Count > 0 {
		say("gaps", "%s", durationsText(&s.Gaps))
	}
	if text := keptText(&s.Figures); text != "" {
		say("STmin", "%s", text)
	}
	if s.Answers.Count > 0 {
		say("answers", "%s until flow control", durationsText(&s.Answers))
	}
	if s.Share() > 0 {
		say("line", "%s of %s", percent(s.Share()), bitratesText(p.meter.Bitrate, p.meter.DataBitrate))
	}
}

// keptText says how STmin was kept, "" if none was asked for.
func keptText(f *perf.Figures) string {
	all := f.Early + f.Late.Count
	text := fmt.Sprintf("kept in all of %s", count(all, "gap"))
	switch {
	case all == 0:
		return ""
	case f.Early > 0:
		text = fmt.Sprintf("not kept in %d of %s, by up to %s", f.Early, count(all, "gap"), shortTime(f.EarlyBy))
	}
	if f.Late.Count > 0 {
		text += fmt.Sprintf("; later by median %s, p99 %s, max %s",
			quantileText(&f.Late, 0.5), quantileText(&f.Late, 0.99), shortTime(f.Late.Max))
	}
	return text
}

// requests are the BS and STmin that were asked for, the most frequent first.
func requests(s *perf.Sum) []perf.Request {
	list := slices.Collect(maps.Keys(s.Asked))
	slices.SortFunc(list, func(a, b perf.Request) int {
		return cmp.Or(cmp.Compare(s.Asked[b], s.Asked[a]), cmp.Compare(a.BlockSize, b.BlockSize), cmp.Compare(a.STmin, b.STmin))
	})
	return list
}

func durationsText(d *perf.Durations) string {
	return fmt.Sprintf("%d: min %s, median %s, p99 %s, max %s", d.Count,
		shortTime(d.Min), quantileText(d, 0.5), quantileText(d, 0.99), shortTime(d.Max))
}

// onlyIf is the text, or "" if it means nothing.
func onlyIf(known bool, text string) string {
	if known {
		return text
	}
	return ""
}

func gapText(d *perf.Durations, one time.Duration) string { return onlyIf(d.Count > 0, shortTime(one)) }

// quantileText is "" if there are no durations, and ? if quantiles know none of them.
func quantileText(d *perf.Durations, q float64) string {
	switch d.LeftOut {
	case 0:
		return gapText(d, d.Quantile(q))
	case d.Count:
		return "?"
	}
	return shortTime(d.Quantile(q))
}

// shortTime is a duration with three digits, as 612ms.
func shortTime(d time.Duration) string {
	unit := time.Duration(1)
	for d >= 1000*unit && unit < time.Second {
		unit *= 10
	}
	return d.Round(unit).String()
}

func separationText(stmin uint8) string {
	d, known := sniff.SeparationTime(stmin)
	if !known {
		return fmt.Sprintf("%02X?", stmin)
	}
	return d.String()
}

// speedText is a number of bytes a second in three digits, as 6.69k.
func speedText(bytesPerSecond float64, space string) string {
	value, prefix := humanize.ComputeSI(bytesPerSecond)
	return strconv.FormatFloat(value, 'f', 3-len(strconv.Itoa(int(min(value, 999)))), 64) + space + prefix
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

// A perfLine is a message as --json prints it. What is not known is not there.
type perfLine struct {
	Type           string     `json:"type"` // message, or sum
	Time           *time.Time `json:"time,omitempty"`
	Interface      string     `json:"interface,omitempty"`
	From           string     `json:"from"`
	Pair           string     `json:"pair"`
	Messages       uint64     `json:"messages,omitempty"`
	GivenUp        uint64     `json:"given_up,omitempty"`
	Result         string     `json:"result,omitempty"`
	Bytes          uint64     `json:"bytes"`
	Size           uint32     `json:"size,omitempty"`   // as announced
	Frames         int        `json:"frames,omitempty"` // without flow control
	FD             bool       `json:"fd"`
	BRS            bool       `json:"brs"`
	FrameSize      int        `json:"frame_size,omitempty"`
	BlockSize      *uint8     `json:"block_size,omitempty"`
	STminMS        *float64   `json:"stmin_ms,omitempty"`
	Seconds        float64    `json:"seconds"`
	BytesPerSecond float64    `json:"bytes_per_second,omitempty"`
	Gaps           *statsLine `json:"gaps,omitempty"`
	Early          *uint64    `json:"early,omitempty"`
	EarlyByMS      float64    `json:"early_by_ms,omitempty"`
	Late           *statsLine `json:"late,omitempty"`
	Answers        *statsLine `json:"answers,omitempty"`
	Line           float64    `json:"line,omitempty"` // share of the line's time, 0 to 1
}

// A statsLine describes durations, in milliseconds.
type statsLine struct {
	Count   uint64  `json:"count"`
	Min     float64 `json:"min_ms"`
	Median  float64 `json:"median_ms"` // as the next one, of those that are not left out
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
	LeftOut uint64  `json:"left_out,omitempty"` // for want of memory
}

func newStatsLine(d *perf.Durations) *statsLine {
	if d.Count == 0 {
		return nil
	}
	return &statsLine{d.Count, milliseconds(d.Min), milliseconds(d.Quantile(0.5)), milliseconds(d.Quantile(0.99)), milliseconds(d.Max), d.LeftOut}
}

func newPerfLine(t *perf.Transfer) *perfLine {
	l := &perfLine{
		Type: "message", Interface: t.Conversation.Interface, From: t.Sender().String(), Pair: t.Conversation.Pair.String(),
		Result: t.Result.String(), Bytes: uint64(t.Received), Size: t.Size, Frames: t.Frames,
		FD: t.FD, BRS: t.BRS, FrameSize: t.FrameSize,
	}
	if !t.Start.IsZero() {
		l.Time = &t.Start
	}
	if t.Granted {
		stmin, _ := sniff.SeparationTime(t.STmin)
		ms := milliseconds(stmin)
		l.BlockSize, l.STminMS = &t.BlockSize, &ms
	}
	l.figures(&t.Figures)
	return l
}

func newPerfSumLine(s *perf.Sum) *perfLine {
	l := &perfLine{
		Type: "sum", Interface: s.Conversation.Interface, From: s.Sender().String(), Pair: s.Conversation.Pair.String(),
		Messages: s.Messages, GivenUp: s.GivenUp, Bytes: s.Bytes,
	}
	l.figures(&s.Figures)
	return l
}

func (l *perfLine) figures(f *perf.Figures) {
	l.Seconds, l.BytesPerSecond = f.Busy.Seconds(), f.Speed(l.Bytes)
	l.Gaps, l.Late, l.Answers = newStatsLine(&f.Gaps), newStatsLine(&f.Late), newStatsLine(&f.Answers)
	if f.Late.Count+f.Early > 0 {
		l.Early, l.EarlyByMS = &f.Early, milliseconds(f.EarlyBy)
	}
	l.Line = f.Share()
}

func (p *perfPrinter) line(l *perfLine) {
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // it has nothing that JSON has not
	}
	fmt.Fprintf(p.w, "%s\n", text)
}

// bitratesText names the bit rates of a bus.
func bitratesText(bitrate, dataBitrate int) string {
	rates := []string{humanize.SI(float64(bitrate), "bit/s")}
	if dataBitrate > 0 {
		rates = append(rates, humanize.SI(float64(dataBitrate), "bit/s"))
	}
	return strings.Join(rates, " and ")
}
