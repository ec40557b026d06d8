package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"github.com/dustin/go-humanize"
)

type demoCmd struct {
	Address     string `arg:"" optional:"" help:"The bus, as in vcan0/7E0:7E8, and the sender's identifiers on it; without it, a virtual bus of the demo's own. More: isotp help addresses."`
	File        string `arg:"" optional:"" help:"The file to send; without one, this program itself."`
	Network     string `default:"isotp" enum:"isotp,isotp:user,isotp:kernel" placeholder:"NET" help:"On a bus that is named: isotp, isotp:user or isotp:kernel (${default})."`
	Size        int64  `placeholder:"BYTES" help:"Send at most BYTES bytes of it; 0: as many as take some ${demoSeconds} s."`
	Bitrate     int    `placeholder:"BITS" help:"Bit rate of the bus, such as 500000; 0: as fast as can be."`
	DataBitrate int    `placeholder:"BITS" help:"Bit rate of the data of CAN FD frames, such as 2000000; implies --brs."`
	Stats       bool   `help:"Print what both ends have counted on standard error."`

	configFlags `embed:""`
}

func (*demoCmd) Help() string {
	return `
Two connections on a CAN bus: one sends a file as ISO-TP messages of up to 4095 bytes, the
other receives it. The SHA-256 of what was sent and of what was received must be the same.
--trace shows the frames as the sender sees them.

	isotp demo
	isotp demo firmware.bin
	isotp demo vcan0/7E0:7E8 firmware.bin
	isotp demo --bitrate 500000
`
}

// Examples implements exampler.
func (*demoCmd) Examples() []string {
	return []string{
		"isotp demo --size 100000",
		"isotp demo --fd --bitrate 500000 --data-bitrate 2000000 --size 20000",
	}
}

// Validate is called by the parser.
func (c *demoCmd) Validate() error {
	if c.File == "" && !isAddress(c.Address) {
		c.Address, c.File = "", c.Address
	}
	switch {
	case c.Address != "" && !isAddress(c.Address):
		return fmt.Errorf("%s: of two arguments the first is the address, such as vcan0/7E0:7E8", c.Address)
	case c.Address != "" && c.Bitrate > 0:
		return fmt.Errorf("--bitrate %d: it is for the demo's own bus; %s has the bit rate that its bus has", c.Bitrate, c.Address)
	case c.Size < 0:
		return fmt.Errorf("--size %d: it must be above 0, or 0 for the default", c.Size)
	case c.Bitrate < 0:
		return fmt.Errorf("--bitrate %d: it must be above 0, or 0 for as fast as can be", c.Bitrate)
	case c.DataBitrate < 0:
		return fmt.Errorf("--data-bitrate %d: it must be above 0, or 0 for the same as --bitrate", c.DataBitrate)
	case c.DataBitrate > 0 && (c.Bitrate == 0 || !c.FD):
		return fmt.Errorf("--data-bitrate %d: it needs --bitrate and --fd", c.DataBitrate)
	}
	return nil
}

// isAddress tells an address from the name of a file.
func isAddress(text string) bool {
	if _, err := os.Stat(text); err == nil {
		return false
	}
	_, err := parseAddress(text)
	return err == nil
}

// Run sends the file and tells how it went.
func (c *demoCmd) Run(ctx context.Context, s *streams) error {
	c.BRS = c.BRS || c.DataBitrate > 0
	file, fileSize, err := c.open()
	if err != nil {
		return err
	}
	defer file.Close()
	if c.Address != "" {
		return interrupted(ctx, c.demo(ctx, s, nil, file, fileSize))
	}
	bus, err := newDemoBus(virtual.Options{Bitrate: c.Bitrate, DataBitrate: c.DataBitrate})
	if err != nil {
		return err
	}
	defer bus.Close()
	return interrupted(ctx, c.demo(ctx, s, bus, file, fileSize))
}

// demo sends the file over the bus, or if it is nil over the one of the address.
func (c *demoCmd) demo(ctx context.Context, s *streams, bus *demoBus, file *os.File, fileSize int64) error {
	t, err := c.newTransfer(ctx, s, bus)
	if err != nil {
		return err
	}
	limit := c.Size
	if limit == 0 {
		limit = c.affordable()
	}
	t.size = min(fileSize, limit)
	err = c.transfer(ctx, s, t, file)
	if c.Stats {
		fmt.Fprintln(s.stderr, "sender:")
		printStats(s.stderr, t.sender.Stats())
		fmt.Fprintln(s.stderr, "receiver:")
		printStats(s.stderr, t.receiver.Stats())
	}
	if err != nil {
		return err
	}
	if err := c.summarize(s.stdout, file.Name(), fileSize, t, bus); err != nil {
		return err
	}
	return t.verify()
}

// transfer sends the file and tells how far it is, where that is no terminal in lines.
func (c *demoCmd) transfer(ctx context.Context, s *streams, t *transfer, file io.Reader) error {
	if !s.terminal {
		return t.run(ctx, file, &progressLines{w: s.stderr, total: t.size})
	}
	progress := s.progress(bytesText, t.size, nil)
	defer progress.end()
	return t.run(ctx, file, progress)
}

// open opens the file, whose size must be known: the receiver of an ISO-TP message
// cannot see that it was the last.
func (c *demoCmd) open() (*os.File, int64, error) {
	name := c.File
	if name == "" {
		var err error
		if name, err = os.Executable(); err != nil {
			return nil, 0, err
		}
	}
	// Before it is opened, as opening a named pipe would wait for its writer.
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, 0, &usageError{err: err}
	case !info.Mode().IsRegular():
		return nil, 0, usageErrorf("%s is not a regular file", name)
	case info.Size() == 0:
		return nil, 0, usageErrorf("%s is empty: there is nothing to send", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, &usageError{err: err}
	}
	return file, info.Size(), nil
}

// newTransfer opens the two ends, as two programs on the two sides of a bus would.
func (c *demoCmd) newTransfer(ctx context.Context, s *streams, bus *demoBus) (*transfer, error) {
	out, in := isotpnet.Dialer{Config: c.config()}, isotpnet.Dialer{Config: c.config()}
	addr, name, network := isotpnet.MustParseAddr("/7E0:7E8"), "demo", "isotp"
	if bus != nil {
		out.Bus, in.Bus = bus.tester, bus.ecu
	} else {
		var err error
		if addr, err = parseAddress(c.Address); err != nil {
			return nil, err
		}
		name, network = addr.Bus(), c.Network
	}
	trace := newTracer(&c.configFlags, &out.Config, s.stderr, name)
	sender, err := out.DialAddr(ctx, network, addr)
	if err != nil {
		return nil, opening(ctx, err)
	}
	// Only one end has the trace, which would have each frame twice.
	receiver, err := in.DialAddr(ctx, network, addr.Mirror())
	if err != nil {
		sender.Close()
		return nil, err
	}
	return newTransfer(sender, receiver, trace), nil
}

var errMismatch = errors.New("what was received is not what was sent: the digests differ")

func (c *demoCmd) summarize(w io.Writer, name string, fileSize int64, t *transfer, bus *demoBus) error {
	size := fmt.Sprintf("%d bytes (%s)", t.size, humanize.Bytes(uint64(t.size)))
	if t.size < fileSize {
		size = fmt.Sprintf("%d bytes, the first of %d (--size for more)", t.size, fileSize)
	}
	match := "yes"
	if t.verify() != nil {
		match = "no"
	}
	out, in := t.sender.Stats(), t.receiver.Stats()
	frames := fmt.Sprintf("%d: %d of data, %d of flow control", out.FramesSent+in.FramesSent, out.FramesSent, in.FramesSent)
	if out.FramesSent+in.FramesSent == 0 {
		frames = "the kernel does not tell"
	}
	seconds := max(t.elapsed.Seconds(), 1e-9)
	speed, prefix := humanize.ComputeSI(float64(t.size) / seconds)

	lines := [][2]string{
		{"file", name},
		{"size", size},
		{"sent", fmt.Sprintf("SHA-256 %x", t.sent.Sum(nil))},
		{"received", fmt.Sprintf("SHA-256 %x", t.received.Sum(nil))},
		{"match", match},
		{"messages", fmt.Sprint(in.MessagesReceived)},
		{"frames", frames},
		{"time", fmt.Sprintf("%.3f s", seconds)},
		{"speed", fmt.Sprintf("%.1f %sB/s", speed, prefix)},
	}
	if c.Bitrate > 0 {
		busy := bus.busy().Seconds()
		lines = append(lines, [2]string{"line rate", fmt.Sprintf("%.1f %% of %s: frames were on the wire for %.3f s",
			100*busy/seconds, c.rates(), busy)})
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(w, "%-10s %s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	return nil
}

func (c *demoCmd) rates() string {
	text := humanize.SI(float64(c.Bitrate), "bit/s")
	if c.DataBitrate > 0 {
		text += " and " + humanize.SI(float64(c.DataBitrate), "bit/s")
	}
	return text
}
