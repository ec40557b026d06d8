package pcan

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"example.com/isotp/canbus/internal/line"
)

// Options of a channel. One of Bitrate, Registers and Timing is set.
type Options struct {
	// Bitrate is in bits per second. For classic CAN it is one of 5000, 10000, 20000,
	// 33333, 47619, 50000, 83333, 95238, 100000, 125000, 250000, 500000, 800000 and
	// 1000000.
	Bitrate int
	// DataBitrate opens the channel for CAN FD. It is the bit rate of the data phase of
	// frames with BRS, in bits per second; 0: classic CAN, unless Timing is set.
	DataBitrate int
	// Registers are BTR0 and BTR1 of an SJA1000 at 16 MHz, for other bit rates of classic
	// CAN: 0x001C are 500 kbit/s. 0: none.
	Registers uint16
	// Timing opens the channel for CAN FD with the text that CAN_InitializeFD takes, for
	// other bit rates and sample points:
	// f_clock=80000000,nom_brp=2,nom_tseg1=63,nom_tseg2=16,nom_sjw=16,data_brp=2,data_tseg1=15,data_tseg2=4,data_sjw=4
	Timing string
	// ListenOnly: the adapter sends nothing, no acknowledgement either.
	ListenOnly bool
	// NoEcho: the Bus does not ask for echoes, for hardware that says that it has them and
	// sends none: every write would wait for its echo in vain.
	NoEcho bool
	// Logger is warned of frames that were thrown away at bus-off, or that may not have
	// been sent at Close. nil: slog.Default().
	Logger *slog.Logger
}

// A setting is what Options come to.
type setting struct {
	fd                   bool
	registers            uint16
	timing               string
	bitrate, dataBitrate int // of the wire
}

// setting returns an error for options that no channel can have.
func (o *Options) setting() (s setting, err error) {
	given := 0
	for _, is := range []bool{o.Bitrate != 0, o.Registers != 0, o.Timing != ""} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		err = fmt.Errorf("bit rate %d, registers %#04x, timing %q: want one of them", o.Bitrate, o.Registers, o.Timing)
	case o.DataBitrate != 0 && o.Bitrate == 0:
		err = fmt.Errorf("data bit rate %d without a bit rate", o.DataBitrate)
	case o.Bitrate < 0 || o.Bitrate > 1_000_000:
		err = fmt.Errorf("bit rate %d is not up to 1000000", o.Bitrate)
	case o.DataBitrate != 0 && (o.DataBitrate < o.Bitrate || o.DataBitrate > 12_000_000):
		err = fmt.Errorf("data bit rate %d is not from the bit rate, %d, to 12000000", o.DataBitrate, o.Bitrate)
	case o.Timing != "":
		s.fd, s.timing = true, o.Timing
		s.bitrate, s.dataBitrate, err = parseTiming(o.Timing)
	case o.DataBitrate != 0:
		s.fd, s.bitrate, s.dataBitrate = true, o.Bitrate, o.DataBitrate
		s.timing, err = timingOf(o.Bitrate, o.DataBitrate)
	case o.Registers != 0:
		s.registers, s.bitrate = o.Registers, line.SJA1000(o.Registers)
	default:
		s.registers, s.bitrate = registers[o.Bitrate], o.Bitrate
		if s.registers == 0 {
			rates := slices.Sorted(maps.Keys(registers))
			err = fmt.Errorf("bit rate %d is not one of %v (others by the registers BTR0 and BTR1, as @s001C)", o.Bitrate, rates)
		}
	}
	return s, err
}

func (o *Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

// parseAddress parses CHANNEL@BITRATE and what may follow.
func parseAddress(s string) (channel string, o Options, err error) {
	channel, rest, ok := strings.Cut(s, "@")
	if !ok {
		return "", o, fmt.Errorf("%q is not CHANNEL@BITRATE, as USB1@500000", s)
	}
	if _, channel, err = parseChannel(channel); err != nil {
		return "", o, err
	}
	for i, field := range strings.Split(rest, ",") {
		if err := o.parse(i, field); err != nil {
			return "", o, fmt.Errorf("%q: %w", s, err)
		}
	}
	_, err = o.setting()
	return channel, o, err
}

// parse parses what stands behind the @, field by field.
func (o *Options) parse(i int, field string) (err error) {
	key, value, _ := strings.Cut(field, "=")
	_, isTiming := timingKeys[key]
	switch {
	case isTiming && i == 0:
		o.Timing = field
	case isTiming && o.Timing != "":
		o.Timing += "," + field
	case i == 0 && strings.HasPrefix(field, "s"):
		n, err := strconv.ParseUint(field[1:], 16, 16)
		if err != nil || n == 0 || len(field) != 5 {
			return fmt.Errorf("%q is not s and four hexadecimal digits, BTR0 and BTR1, as s001C", field)
		}
		o.Registers = uint16(n)
	case i == 0:
		o.Bitrate, err = parseRate(field)
	case key == "data":
		o.DataBitrate, err = parseRate(value)
	case field == "listen":
		o.ListenOnly = true
	case field == "noecho":
		o.NoEcho = true
	default:
		err = fmt.Errorf("%q is not data=BITRATE, listen or noecho", field)
	}
	return err
}

func parseRate(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("bit rate %q is not a number above 0", s)
	}
	return int(n), nil
}
