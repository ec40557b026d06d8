package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/uds"
	"example.com/isotp/sniff"
)

type dumpCmd struct {
	sourceFlags `embed:""`
	pairFlags   `embed:""`
	showFlags   `embed:""`

	ASCII    bool `short:"a" name:"ascii" help:"Show the data also as text."`
	Extended bool `short:"x" help:"Without --id: the first byte of each frame is an address, as in extended and mixed addressing."`
}

func (*dumpCmd) Help() string {
	return `
Shows each frame of a bus or a log, and what ISO-TP says in it: the time, the interface, the
identifier (with the address byte in braces), the length, and

	[SF] length 3         a Single Frame, its message's length, and what follows in the frame
	[FF] length 20        a First Frame
	[CF] SN 1             a Consecutive Frame, its sequence number
	[FC] CTS BS 8 STmin 05 = 5 ms
	                      flow control: CTS, WAIT or OVFLW, block size, separation time
	[??]                  none of these; behind what every receiver ignores stands why

With --uds, behind Single and First Frames: [SRQ] a request, [PSR] a positive response, [NRC]
a negative response, [???] none of them.

It goes on until the log ends, or until interrupted. What belongs together, isotp sniff shows.

	isotp dump can0
	isotp dump --id 7E0:7E8 --id 7DF: --uds --time zero drive.blf
`
}

// Examples implements exampler.
func (*dumpCmd) Examples() []string {
	return []string{
		"echo '(0.1) can0 7E0#0322F190' | isotp dump --uds -",
		"isotp obd --simulate 1 --trace virtual:demo/obd 2> obd.log; isotp dump --time zero --ascii obd.log",
	}
}

// Validate is called by the parser.
func (c *dumpCmd) Validate() error {
	if c.Extended && len(c.ID) > 0 {
		return errors.New("--extended is for frames of all addresses; --id says it for each, as 641#55:642#F1")
	}
	return nil
}

// Run shows frames until ctx is done, or the log ends.
func (c *dumpCmd) Run(ctx context.Context, s *streams) error {
	pairs, err := c.pairs()
	if err != nil {
		return err
	}
	src, err := s.openSource(ctx, c.sourceFlags)
	if err != nil {
		return err
	}
	defer src.Close()
	out := bufio.NewWriterSize(s.stdout, 64<<10)
	d := &dumper{cmd: c, pairs: pairs, clock: clock{how: c.Time}, colors: c.colors(s.stdout)}
	return src.Read(ctx, func(f *canbus.Frame, ifi string) {
		out.Write(d.line(f, ifi)) // Flush returns the error
	}, out.Flush)
}

// A dumper makes a line of a frame.
type dumper struct {
	cmd    *dumpCmd
	pairs  []sniff.Pair // none: all frames
	clock  clock
	colors bool
	buf    []byte
}

// line returns the line of a frame, nil if the frame is not wanted.
func (d *dumper) line(f *canbus.Frame, ifi string) []byte {
	pair, fromB, known := d.pairOf(f)
	if len(d.pairs) > 0 && !known || f.Has(canbus.Echo|canbus.Refused) {
		return nil
	}
	hasByte := d.cmd.Extended
	if known && !hasByte {
		hasByte = fromB && pair.B.HasByte || !fromB && pair.A.HasByte
	}
	b := d.buf[:0]
	color := ""
	if d.colors && known {
		color = colorOf(pair, fromB)
	}
	b = append(b, color...)
	b = d.clock.append(b, f.Time())
	b = appendHead(b, f, ifi, hasByte)
	b = d.appendPCI(b, f, hasByte)
	if color != "" {
		b = append(b, colorEnd...)
	}
	d.buf = append(b, '\n')
	return d.buf
}

// pairOf returns the pair that a frame is of: one of --id, or without these that of a standard.
func (d *dumper) pairOf(f *canbus.Frame) (p sniff.Pair, fromB, ok bool) {
	if f.Flags&(canbus.Remote|canbus.ErrorFrame) != 0 {
		return p, false, false
	}
	for _, p := range d.pairs {
		if fromB, ok := p.Match(f); ok {
			return p, fromB, true
		}
	}
	if len(d.pairs) > 0 || d.cmd.Extended {
		return p, false, false
	}
	if p, ok = sniff.Standard(f); ok {
		fromB, ok = p.Match(f)
	}
	return p, fromB, ok
}

// appendHead appends the interface, the identifier and the length.
func appendHead(b []byte, f *canbus.Frame, ifi string, hasByte bool) []byte {
	b = fmt.Appendf(b, " %s  ", ifi)
	if f.Has(canbus.Extended) {
		b = fmt.Appendf(b, "%08X", f.ID)
	} else {
		b = fmt.Appendf(b, "%03X", f.ID)
	}
	if hasByte && f.Len > 0 {
		b = fmt.Appendf(b, "{%02X}", f.Data[0])
	}
	if f.Has(canbus.FD) {
		return fmt.Appendf(b, " [%02d]  ", f.Len)
	}
	return fmt.Appendf(b, "  [%d]  ", f.Len)
}

// appendPCI appends what the frame says.
func (d *dumper) appendPCI(b []byte, f *canbus.Frame, hasByte bool) []byte {
	switch {
	case f.Has(canbus.ErrorFrame):
		return fmt.Appendf(b, "[??] an error frame: % X", f.Payload())
	case f.Has(canbus.Remote):
		return append(b, "[??] a remote frame"...)
	}
	p := sniff.Decode(f, hasByte)
	b = fmt.Appendf(b, "[%v]", p.Type)
	data := dataOf(f, &p, hasByte)
	if p.Fault == sniff.NoFault {
		b = appendFields(b, &p)
	}
	if p.Fault != sniff.NoFault {
		if len(data) > 0 {
			b = fmt.Appendf(b, " % X", data)
		}
		return fmt.Appendf(b, "  (ignored: %v)", p.Fault)
	}
	if p.Type == sniff.FlowControl {
		return b
	}
	b = fmt.Appendf(b, " % X", data)
	// What follows begins in the same column behind all classic frames.
	room := max(canbus.MaxClassicLen-1-overhead(hasByte)-len(data), 0)
	gap := 3 * room
	if d.cmd.ASCII {
		b = appendText(fmt.Appendf(b, "%*s", gap+4, "- "), data)
		gap = room
	}
	if d.cmd.UDS && p.Type != sniff.ConsecutiveFrame {
		b = fmt.Appendf(b, "%*s%s", gap+4, "- ", service(p.Data))
	}
	return b
}

func overhead(hasByte bool) int {
	if hasByte {
		return 1
	}
	return 0
}

// dataOf returns what is behind the N_PCI of a frame, filled up or not; of a frame with a
// fault, all that is behind the address.
func dataOf(f *canbus.Frame, p *sniff.PCI, hasByte bool) []byte {
	rest := f.Payload()
	rest = rest[min(overhead(hasByte), len(rest)):]
	switch {
	case p.Fault != sniff.NoFault:
		return rest
	case p.Type == sniff.FlowControl:
		return nil
	case p.Type != sniff.SingleFrame:
		return p.Data
	case f.Len > canbus.MaxClassicLen:
		return rest[2:]
	}
	return rest[1:]
}

// appendFields appends the fields of an N_PCI.
func appendFields(b []byte, p *sniff.PCI) []byte {
	switch p.Type {
	case sniff.ConsecutiveFrame:
		return fmt.Appendf(b, " SN %-9X", p.SN)
	case sniff.FlowControl:
		return fmt.Appendf(b, " %s BS %d STmin %s", statusText(p.Status), p.BlockSize, stminText(p.STmin))
	}
	return fmt.Appendf(b, " length %-5d", p.Length)
}

// statusText is a flow status, a reserved one with its number.
func statusText(s sniff.FlowStatus) string {
	if s > sniff.Overflow {
		return fmt.Sprintf("%X = reserved", uint8(s))
	}
	return s.String()
}

// stminText is a separation time as on the wire, and what it means.
func stminText(stmin uint8) string {
	d, known := sniff.SeparationTime(stmin)
	switch {
	case !known:
		return fmt.Sprintf("%02X = reserved", stmin)
	case d < time.Millisecond && d > 0:
		return fmt.Sprintf("%02X = %d us", stmin, d.Microseconds())
	}
	return fmt.Sprintf("%02X = %d ms", stmin, d.Milliseconds())
}

// service says which diagnostic message begins so, with the marks of isotpdump.
func service(p []byte) string {
	m := uds.Parse(p)
	mark := map[uds.Kind]string{uds.Request: "[SRQ]", uds.Positive: "[PSR]", uds.Negative: "[NRC]"}[m.Kind]
	if mark == "" {
		return "[???]"
	}
	return mark + " " + m.Name()
}
