package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
)

type recordCmd struct {
	Bus       string        `arg:"" optional:"" help:"Name of the bus, as can0 or udp:239.74.163.2:43113; without it the one in ISOTP_BUS. More: isotp help buses."`
	File      string        `arg:"" optional:"" help:"The log. Frames are added to a log that is there already. -: standard output."`
	Interface string        `placeholder:"NAME" help:"Name of the bus in the log (its own name, or can0 where an interface cannot have that)."`
	Rotate    byteSize      `placeholder:"SIZE" help:"Begin a new file when one would have more bytes, as 500K, 100M or 2G; full ones are FILE.000001 and so on."`
	Keep      int           `placeholder:"N" help:"Keep the N newest files and remove older ones; needs --rotate."`
	Sync      time.Duration `placeholder:"TIME" help:"Time between syncs to the disk (1s); negative: leave it to the system."`
}

func (*recordCmd) Help() string {
	return `
Writes every frame of a bus to a file, as candump -l does. It goes on until interrupted,
or until the bus ends. If frames were lost, because the bus or the disk was too slow for
them, it says how many, and fails at the end.

	isotp record can0 drive.log
	isotp record can0 drive.log --rotate 100M --keep 10
	isotp record slcan:/dev/ttyACM0@500000 - | grep 7E8#
`
}

// Examples implements exampler.
func (*recordCmd) Examples() []string {
	return []string{
		"isotp record udp:239.74.163.2:43113 -" + untilInterrupted,
		"isotp record --rotate 1M --keep 2 udp:239.74.163.2:43113 drive.log" + untilInterrupted,
	}
}

// Validate is called by the parser.
func (c *recordCmd) Validate() error {
	if c.File == "" {
		c.Bus, c.File = "", c.Bus
	}
	switch {
	case c.File == "":
		return errors.New("no file: want a bus and the log, as can0 drive.log")
	case c.Keep < 0:
		return fmt.Errorf("--keep %d: it must be above 0, or 0 for all", c.Keep)
	case c.Keep > 0 && c.Rotate == 0:
		return fmt.Errorf("--keep %d: it needs --rotate", c.Keep)
	case c.File == "-" && (c.Rotate != 0 || c.Sync != 0):
		return errors.New("--rotate and --sync are for files, not for standard output")
	}
	return nil
}

// Run records until ctx is done.
func (c *recordCmd) Run(ctx context.Context, s *streams) error {
	var err error
	if c.Bus, err = busOr(c.Bus); err != nil {
		return err
	}
	log, err := s.openNamedLog(ctx, c.Bus)
	if err != nil {
		return err
	}
	var bus canbus.Bus = log
	if log == nil {
		if bus, err = openBus(ctx, c.Bus); err != nil {
			return err
		}
	}
	defer bus.Close()
	recorder, err := c.create(s)
	if err != nil {
		return &usageError{err: err}
	}
	defer closeAfter(ctx, bus)()
	err = recorder.Listen(bus, interfaceName(c.Interface, c.Bus))
	if ctx.Err() != nil || errors.Is(err, candump.ErrEnd) {
		err = nil
	}
	lost := recorder.Close()
	stats := recorder.Stats()
	fmt.Fprintf(s.stderr, "%d frames recorded\n", stats.Recorded)
	var dropped error
	if stats.Dropped > 0 {
		dropped = fmt.Errorf("%s not recorded: %s dropped them, because they were not read in time", count(stats.Dropped, "frame"), c.Bus)
	}
	return errors.Join(err, lost, dropped, log.failed())
}

func (c *recordCmd) create(s *streams) (*candump.Recorder, error) {
	o := candump.RecorderOptions{
		MaxSize:  int64(c.Rotate),
		MaxFiles: c.Keep,
		Sync:     c.Sync,
		OnError:  s.warn,
	}
	if c.File == "-" {
		return candump.NewRecorder(s.stdout, o)
	}
	return candump.Create(c.File, o)
}

// interfaceName returns the bus's name in a log: other programs take only names that
// an interface may have there.
func interfaceName(given, bus string) string {
	const longest = 15 // IFNAMSIZ - 1
	switch {
	case given != "":
		return given
	case len(bus) > longest || strings.ContainsAny(bus, ":/ "):
		return "can0"
	}
	return bus
}

// byteSize is a number of bytes.
type byteSize int64

// UnmarshalText takes digits, and K, M or G for powers of 1024.
func (b *byteSize) UnmarshalText(text []byte) error {
	digits, shift := string(text), 0
	if i := len(digits) - 1; i >= 0 {
		if k := strings.IndexByte("KMG", digits[i]); k >= 0 {
			digits, shift = digits[:i], 10*(k+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n == 0 || n<<shift>>shift != n || int64(n<<shift) < 0 {
		return fmt.Errorf("%q is not a number of bytes above 0, as 500K, 100M or 2G", text)
	}
	*b = byteSize(n << shift)
	return nil
}
