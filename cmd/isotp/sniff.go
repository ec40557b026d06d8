package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"example.com/isotp/internal/uds"
	"example.com/isotp/sniff"
)

type sniffCmd struct {
	sourceFlags `embed:""`
	pairFlags   `embed:""`
	showFlags   `embed:""`

	Format string        `short:"f" default:"both" enum:"hex,ascii,both" placeholder:"HOW" help:"The data in hexadecimal digits, as text, or both: hex, ascii, both (${default})."`
	Head   int           `placeholder:"N" help:"Show only the first N bytes of each message; 0: all."`
	JSON   bool          `name:"json" help:"Write a line of JSON for each message, and for each pair at the end."`
	Errors bool          `help:"Show only messages that were given up."`
	NBs    time.Duration `name:"n-bs" placeholder:"TIME" help:"How long flow control may take before the message is given up (1s)."`
	NCr    time.Duration `name:"n-cr" placeholder:"TIME" help:"How long the next Consecutive Frame may take (1s)."`
	Stats  bool          `help:"Print on standard error at the end which pairs there were, in which addressing mode, and what was counted of each."`
}

func (*sniffCmd) Help() string {
	return `
Shows the messages on a bus or in a log, in both directions, when they are complete or given
up: the time of the first frame, the interface, the identifier, the length, the data, and of
messages of several frames how many they were, how long they took, and the block size and
separation time that the receiver has asked for. It sends nothing.

Without --id it shows every pair that the traffic shows: the identifiers of OBD-II and of
normal fixed and mixed addressing with 29 bits, and any whose First Frame another one answers
with flow control, or that begin each frame with an address byte and are answered so. What
the frames do not tell --stats says, as "extended, or mixed".

A message that is given up stands there with what came of it, and why: a wrong sequence
number, a time-out (by the frames' own times), a new message in mid-message, OVFLW, or the
beginning or end of what was recorded.

	isotp sniff can0
	isotp sniff --id 641#55:642#F1 --format hex --time delta drive.asc
	isotp sniff --json drive.pcapng.gz | jq 'select(.result != "complete")'
`
}

// Examples implements exampler.
func (*sniffCmd) Examples() []string {
	return []string{
		"isotp obd --simulate 2 --trace virtual:demo/obd 2> obd.log; isotp sniff --uds --stats obd.log",
		"printf '(0.1) can0 7E0#0322F190\\n(0.2) can0 7E8#0462F19041\\n' | isotp sniff --json -",
	}
}

// Validate is called by the parser.
func (c *sniffCmd) Validate() error {
	switch {
	case c.Head < 0:
		return fmt.Errorf("--head %d: it must be above 0, or 0 for all", c.Head)
	case c.NBs < 0:
		return fmt.Errorf("--n-bs %v: it must be above 0, or 0 for 1s", c.NBs)
	case c.NCr < 0:
		return fmt.Errorf("--n-cr %v: it must be above 0, or 0 for 1s", c.NCr)
	}
	return nil
}

// Run shows messages until ctx is done, or the log ends.
func (c *sniffCmd) Run(ctx context.Context, s *streams) error {
	pairs, err := c.pairs()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(s.stdout, 64<<10)
	p := &messagePrinter{cmd: c, out: out, clock: clock{how: c.Time}, colors: c.colors(s.stdout)}
	sniffer, err := sniff.New(sniff.Options{Pairs: pairs, NBs: c.NBs, NCr: c.NCr, Message: p.print})
	if err != nil {
		return &usageError{err: err}
	}
	src, err := s.openSource(ctx, c.sourceFlags)
	if err != nil {
		return err
	}
	defer src.Close()
	err = src.sniff(ctx, sniffer, new(progress), out.Flush)
	p.printPairs(s, sniffer)
	return errors.Join(err, out.Flush())
}

// A messagePrinter writes a line of each message.
type messagePrinter struct {
	cmd    *sniffCmd
	out    *bufio.Writer // its Flush returns the error of writing
	clock  clock
	colors bool
	buf    []byte
}

func (p *messagePrinter) print(m *sniff.Message) {
	switch {
	case p.cmd.Errors && m.Result == sniff.Complete:
	case p.cmd.JSON:
		json.NewEncoder(p.out).Encode(p.jsonOf(m))
	default:
		p.buf = append(p.appendLine(p.buf[:0], m), '\n')
		p.out.Write(p.buf)
	}
}

func (p *messagePrinter) appendLine(b []byte, m *sniff.Message) []byte {
	if p.colors {
		b = append(b, colorOf(m.Conversation.Pair, m.FromB)...)
	}
	b = p.clock.append(b, m.Start)
	size := m.Size
	if m.Result == sniff.NoBeginning {
		size = m.Received
	}
	b = fmt.Appendf(b, " %s  %v  [%d]  ", m.Conversation.Interface, m.Sender(), size)
	b = p.appendData(b, m)
	if p.cmd.UDS && m.Result != sniff.NoBeginning {
		b = fmt.Appendf(b, "  %s", service(m.Data))
	}
	b = appendTransfer(b, m)
	if why := m.Why(); why != "" {
		b = fmt.Appendf(b, "  given up: %s (%d bytes came)", why, m.Received)
	}
	if p.colors {
		b = append(b, colorEnd...)
	}
	return b
}

// appendData appends the bytes of a message, and ... if there are more.
func (p *messagePrinter) appendData(b []byte, m *sniff.Message) []byte {
	data := m.Data
	if p.cmd.Head > 0 {
		data = data[:min(p.cmd.Head, len(data))]
	}
	if p.cmd.Format != "ascii" {
		b = fmt.Appendf(b, "% X", data)
	}
	if p.cmd.Format == "both" {
		b = append(b, "  - "...)
	}
	if p.cmd.Format != "hex" {
		b = appendText(b, data)
	}
	if uint32(len(data)) < m.Received {
		b = append(b, " ..."...)
	}
	return b
}

// appendTransfer appends how a message of several frames came here.
func appendTransfer(b []byte, m *sniff.Message) []byte {
	if m.Frames <= 1 && m.Result == sniff.Complete {
		return b
	}
	b = fmt.Appendf(b, "  %s", count(uint64(m.Frames), "frame"))
	if !m.Start.IsZero() {
		b = fmt.Appendf(b, ", %v", took(m))
	}
	switch {
	case m.Granted:
		b = fmt.Appendf(b, ", BS %d, STmin %s", m.BlockSize, stminText(m.STmin))
	case m.FlowControls == 0 && m.Result == sniff.Complete:
		b = append(b, ", no flow control seen"...)
	}
	if m.Waits > 0 {
		b = fmt.Appendf(b, ", %s", count(uint64(m.Waits), "WAIT"))
	}
	return b
}

// took is how long a message took, to the microsecond.
func took(m *sniff.Message) time.Duration {
	return max(m.End.Sub(m.Start), 0).Round(time.Microsecond)
}

// A messageLine is a line of --json.
type messageLine struct {
	Type      string     `json:"type"` // "message"
	Time      *time.Time `json:"time"` // of the first frame, null if it is not known
	Seconds   float64    `json:"seconds"`
	Interface string     `json:"interface"`
	Pair      string     `json:"pair"`
	From      string     `json:"from"`
	Result    string     `json:"result"` // "complete", or why it was given up
	Size      uint32     `json:"size"`
	Received  uint32     `json:"received"`
	Data      string     `json:"data"` // of --head bytes, if that is given
	Name      string     `json:"name,omitempty"`
	Frames    int        `json:"frames"`
	Flow      *flowLine  `json:"flow_control"` // null if none was seen
}

type flowLine struct {
	Count     int     `json:"count"`
	Waits     int     `json:"waits"`
	Granted   bool    `json:"granted"` // there was a CTS, of which the other fields are
	BlockSize uint8   `json:"block_size"`
	STminMS   float64 `json:"stmin_ms"`
}

func (p *messagePrinter) jsonOf(m *sniff.Message) *messageLine {
	l := &messageLine{
		Type: "message", Seconds: took(m).Seconds(),
		Interface: m.Conversation.Interface, Pair: m.Conversation.Pair.String(), From: m.Sender().String(),
		Result: m.Result.String(), Size: m.Size, Received: m.Received, Frames: m.Frames,
	}
	if why := m.Why(); why != "" {
		l.Result = why
	}
	if !m.Start.IsZero() {
		start := m.Start.UTC()
		l.Time = &start
	}
	data := m.Data
	if p.cmd.Head > 0 {
		data = data[:min(p.cmd.Head, len(data))]
	}
	l.Data = fmt.Sprintf("%X", data)
	if m.Result != sniff.NoBeginning {
		l.Name = uds.Parse(m.Data).Name()
	}
	if m.FlowControls > 0 {
		stmin, _ := sniff.SeparationTime(m.STmin)
		l.Flow = &flowLine{m.FlowControls, m.Waits, m.Granted, m.BlockSize, float64(stmin.Microseconds()) / 1e3}
	}
	return l
}

// A conversationLine is a line of --json at the end.
type conversationLine struct {
	Type      string   `json:"type"` // "pair"
	Interface string   `json:"interface"`
	Pair      string   `json:"pair"`
	Mode      string   `json:"mode"`
	OneSided  bool     `json:"one_sided"` // nothing of one side was seen
	A         sideLine `json:"a"`
	B         sideLine `json:"b"`
	Forgotten uint64   `json:"forgotten_frames"` // those before the pair was found, which were not kept
}

type sideLine struct {
	Frames   uint64 `json:"frames"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	GivenUp  uint64 `json:"given_up"`
	Ignored  uint64 `json:"ignored_frames"`
}

// printPairs says which pairs there were, in --json or with --stats, and always of which
// something is missing.
func (p *messagePrinter) printPairs(s *streams, sniffer *sniff.Sniffer) {
	for _, c := range sniffer.Conversations() {
		switch {
		case p.cmd.JSON:
			json.NewEncoder(p.out).Encode(&conversationLine{
				Type: "pair", Interface: c.Interface, Pair: c.Pair.String(), Mode: c.Pair.Mode(), OneSided: c.OneSided(),
				A: sideLine(c.A), B: sideLine(c.B), Forgotten: c.Forgotten,
			})
		case p.cmd.Stats:
			fmt.Fprintf(s.stderr, "%s  %v  %s: %s\n", c.Interface, c.Pair, c.Pair.Mode(), sentText(c))
		}
		if c.OneSided() && !p.cmd.JSON {
			fmt.Fprintf(s.stderr, "%s: of the pair %v only one side was seen\n", c.Interface, c.Pair)
		}
		if c.Forgotten > 0 && !p.cmd.JSON {
			fmt.Fprintf(s.stderr, "%s: %s of the pair %v are not shown: they came too long before it was found (--id shows them)\n",
				c.Interface, count(c.Forgotten, "frame"), c.Pair)
		}
	}
	stats := sniffer.Stats()
	if p.cmd.Stats {
		fmt.Fprintf(s.stderr, "%s, %d of no pair; %s, %d given up\n",
			count(stats.Frames, "frame"), stats.Unassigned, count(stats.Messages, "message"), stats.GivenUp)
	}
	if stats.Forgotten > 0 {
		s.warn(errors.New("there are more identifiers than can be remembered: pairs may be missing (--id names those to show)"))
	}
}

func sentText(c *sniff.Conversation) string {
	text := sideText(c.Pair.A, c.A)
	if !c.Pair.Alone {
		text += "; " + sideText(c.Pair.B, c.B)
	}
	return text
}

func sideText(a sniff.Address, n sniff.Sent) string {
	text := fmt.Sprintf("%v: %s, %s, %s", a, count(n.Frames, "frame"), count(n.Messages, "message"), count(n.Bytes, "byte"))
	if n.GivenUp > 0 {
		text += fmt.Sprintf(", %d given up", n.GivenUp)
	}
	if n.Ignored > 0 {
		text += fmt.Sprintf(", %s ignored", count(n.Ignored, "frame"))
	}
	return text
}
