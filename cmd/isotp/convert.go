package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/canlog"
)

type convertCmd struct {
	In        string            `arg:"" help:"The log; its format is found by content, also of what gzip has compressed. -: standard input."`
	Out       string            `arg:"" help:"The log to write, in the format that its name ends in: .log (as candump -l), .txt (as candump), .asc, .trc, .blf, .pcap, .pcapng; compressed with .gz behind that. -: standard output."`
	Format    canlog.Format     `placeholder:"FORMAT" help:"Format of OUT: candump, screen, asc, trc, blf, pcap or pcapng (what its name ends in; candump on standard output)."`
	Interface []string          `placeholder:"NAME" sep:"none" help:"Only the frames of this interface of IN; may be repeated."`
	Rename    map[string]string `placeholder:"OLD=NEW" mapsep:"," help:"Names in OUT of interfaces of IN, as 1=can0. Without it a number N of IN becomes the name can(N-1), and the other way round."`
	Force     bool              `help:"Replace OUT if it is there."`
}

func (*convertCmd) Help() string {
	return `
Converts a log of CAN frames from one format to another, and says what the new one cannot
say. Lines and records of IN that are no frames are told and left out; then it fails at the
end. Times of day in ASC, TRC and BLF are those of the local time zone (TZ sets it).

	isotp convert drive.blf drive.pcapng
	isotp convert --interface can1 --rename can1=can0 drive.log.gz drive.asc
	candump -L can0 | isotp convert --format pcapng - - | tshark -r -
`
}

// Examples implements exampler.
func (*convertCmd) Examples() []string {
	return []string{
		"echo '(1.5) can0 7E0#0322F190' | isotp convert --format asc - -",
		"echo '(1.5) can0 7E0#0322F190' | isotp convert --format pcapng - - | isotp convert - -",
	}
}

// Run converts until IN ends.
func (c *convertCmd) Run(ctx context.Context, s *streams) error {
	format := c.Format
	if c.Out == "-" && format == 0 {
		format = canlog.Candump
	}
	format, err := logFormat(format, c.Out)
	if err != nil {
		return err
	}
	in, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer in.Close()
	log, err := canlog.NewReader(in)
	if err != nil {
		in.end()
		return interrupted(ctx, inLog(c.inName(), err))
	}
	out, err := s.createLog(c.Out, format, c.Force)
	if errors.Is(err, fs.ErrExist) {
		err = usageErrorf("%s is there already (--force replaces it)", c.Out)
	}
	if err != nil {
		in.end()
		return err
	}
	k := &conversion{convertCmd: c, s: s, in: log, out: out, interfaces: interfaceChoice{wanted: c.Interface}}
	err = k.run(ctx)
	in.end()
	err = errors.Join(interrupted(ctx, err), out.Close())
	k.tell()
	return errors.Join(err, out.failed(), k.failed())
}

func (c *convertCmd) inName() string {
	if c.In == "-" {
		return "standard input"
	}
	return c.In
}

// An inputFile is a file, or standard input, that is read with its progress shown.
type inputFile struct {
	io.Reader
	io.Closer
	p *progress
}

func (i *inputFile) end() { i.p.end() }

func (c *convertCmd) open(ctx context.Context, s *streams) (*inputFile, error) {
	if c.In == "-" {
		in, p := s.input(ctx), s.progress(bytesText, 0, nil)
		return &inputFile{io.TeeReader(in, p), in, p}, nil
	}
	f, err := os.Open(c.In)
	if err != nil {
		return nil, &usageError{err: err}
	}
	size := int64(0)
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	if there, statErr := os.Stat(c.Out); err == nil && statErr == nil && os.SameFile(info, there) {
		f.Close()
		return nil, usageErrorf("%s and %s are the same file", c.In, c.Out)
	}
	p := s.progress(bytesText, size, nil)
	return &inputFile{io.TeeReader(f, p), f, p}, nil
}

// A conversion is a log on its way.
type conversion struct {
	*convertCmd
	s   *streams
	in  *canlog.Reader
	out *logWriter

	interfaces interfaceChoice
	wrong      uint64 // lines or records that were no frames
}

func (k *conversion) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if !k.in.Ready() {
			if err := k.out.Flush(); err != nil { // a reader of OUT sees what IN has until now
				return err
			}
		}
		var f canbus.Frame
		bus, err := k.in.ReadFrame(&f)
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, canbus.ErrTemporary):
			k.wrong++
			k.s.warn(inLog(k.inName(), err))
			continue
		case err != nil:
			return inLog(k.inName(), err)
		}
		if !k.interfaces.wants(bus) {
			continue
		}
		if err := k.out.write(&f, k.nameOf(&f, bus)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// nameOf returns the name that the interface of a frame has in OUT.
func (k *conversion) nameOf(f *canbus.Frame, bus string) string {
	if name, ok := k.Rename[bus]; ok {
		return name
	}
	if f.Channel > 0 && k.out.format.HasNames() && bus == strconv.Itoa(int(f.Channel)) {
		return fmt.Sprintf("can%d", f.Channel-1)
	}
	return bus
}

// tell says what was converted, and what was lost.
func (k *conversion) tell() {
	fmt.Fprintf(k.s.stderr, "%s converted, from %v to %v\n", count(k.out.written, "frame"), k.in.Format(), k.out.format)
	k.out.tell(k.s.stderr)
}

// failed says how many lines or records were no frames, and that there were none of an interface
// asked for.
func (k *conversion) failed() error {
	var wrong error
	if k.wrong > 0 {
		what := "line"
		if k.in.Format() == canlog.BLF || k.in.Format() == canlog.PCAP || k.in.Format() == canlog.PCAPNG {
			what = "record"
		}
		wrong = fmt.Errorf("%s of %s %s", count(k.wrong, what), k.inName(), plural(k.wrong, "was no frame", "were no frames"))
	}
	return errors.Join(wrong, k.interfaces.missing(k.inName()))
}
