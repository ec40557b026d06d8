package slcan

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/isotp/canbus/internal/line"
)

// Options of an adapter.
type Options struct {
	// Bitrate is in bits per second. All adapters have 10000, 20000, 50000, 100000,
	// 125000, 250000, 500000 and 1000000; some have 83300, 750000 or 800000, see Family.
	// It is 0 if Registers has the timing.
	Bitrate int
	// Registers are the digits of the command s, for other bit rates.
	Registers string
	// DataBitrate opens the channel for CAN FD. It is the bit rate of the data phase of
	// frames with BRS: 1000000, 2000000, 4000000 or 5000000. 0: classic CAN.
	DataBitrate int
	// ListenOnly: the adapter sends nothing.
	ListenOnly bool
	// Baud is the speed of the serial line; 0: 115200.
	Baud int
	// Family is what the adapter's commands mean where adapters differ: FamilyLawicel,
	// FamilyCANable or FamilyCANable25; "": what its version tells.
	Family string
	// Wait is how long Open asks an adapter that does not answer again, before it takes
	// the adapter for one that never answers. An adapter that restarts when its port is
	// opened, as an Arduino does, needs 2 s. 0: 3 s. Negative: Open asks once.
	Wait time.Duration
	// Flush is how much longer Close and Flush wait than the frames take on the wire. 0:
	// 20 ms. Negative: no longer.
	Flush time.Duration
	// Logger is warned of an adapter that never answers, of frames that it refuses, and
	// of frames that may not have been sent at Close. nil: slog.Default().
	Logger *slog.Logger
}

// The families of adapters.
const (
	FamilyLawicel   = "lawicel"    // CAN232, CANUSB, and most others: S7 is 800000
	FamilyCANable   = "canable"    // CANable 1 and 2: S7 is 750000
	FamilyCANable25 = "canable2.5" // CANable with ElmueSoft's firmware: S7 is 800000
)

const (
	defaultBaud  = 115200
	defaultWait  = 3 * time.Second
	defaultFlush = 20 * time.Millisecond
)

// bitrates are the commands that set bit rates. S7 and S9 set other ones on some adapters.
var bitrates = map[int]string{
	10_000: "S0", 20_000: "S1", 50_000: "S2", 100_000: "S3", 125_000: "S4", 250_000: "S5", 500_000: "S6",
	750_000: "S7", 800_000: "S7", 1_000_000: "S8", 83_300: "S9",
}

// dataBitrates likewise, with the families that may not know them.
var dataBitrates = map[int]string{1_000_000: "Y1", 2_000_000: "Y2", 4_000_000: "Y4", 5_000_000: "Y5"}

// check returns an error for options that are wrong for every adapter.
func (o *Options) check() error {
	if o.Registers != "" {
		if _, err := strconv.ParseUint(o.Registers, 16, 64); err != nil || o.Bitrate != 0 {
			return fmt.Errorf("slcan: timing registers %q, bit rate %d (one of them; the registers in hexadecimal digits, as 031C)", o.Registers, o.Bitrate)
		}
	} else if bitrates[o.Bitrate] == "" {
		return fmt.Errorf("slcan: bit rate %d is none of the commands S0 to S9 (10000, 20000, 50000, 83300, 100000, 125000, 250000, 500000, 750000, 800000 or 1000000; others by timing registers, as @s031C)", o.Bitrate)
	}
	if o.DataBitrate != 0 && dataBitrates[o.DataBitrate] == "" {
		return fmt.Errorf("slcan: data bit rate %d is not 1000000, 2000000, 4000000 or 5000000", o.DataBitrate)
	}
	if o.Baud < 0 {
		return fmt.Errorf("slcan: baud %d is not above 0", o.Baud)
	}
	if families := []string{"", FamilyLawicel, FamilyCANable, FamilyCANable25}; !slices.Contains(families, o.Family) {
		return fmt.Errorf("slcan: family %q is not %s, %s or %s", o.Family, FamilyLawicel, FamilyCANable, FamilyCANable25)
	}
	return nil
}

// wireRate returns the bit rate of the wire, 0 if it is not known. Registers of four digits
// are those of an SJA1000, as Lawicel's adapters have it.
func (o *Options) wireRate() int {
	if o.Registers == "" || len(o.Registers) != 4 {
		return o.Bitrate
	}
	r, _ := strconv.ParseUint(o.Registers, 16, 16)
	return line.SJA1000(uint16(r))
}

func (o *Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

// orDefault returns the standard for 0, and 0 for a negative time.
func orDefault(d, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return max(d, 0)
}

// parseAddress parses PORT@BITRATE and what may follow.
func parseAddress(s string) (port string, o Options, err error) {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 {
		return "", o, fmt.Errorf("slcan: %q is not PORT@BITRATE, as /dev/ttyACM0@500000 or tcp:HOST:PORT@500000", s)
	}
	port = s[:at]
	for i, field := range strings.Split(s[at+1:], ",") {
		if err := o.parse(i, field); err != nil {
			return "", o, fmt.Errorf("slcan: %q: %w", s, err)
		}
	}
	if address, isTCP := strings.CutPrefix(port, tcpScheme); isTCP {
		if host, number, err := net.SplitHostPort(address); err != nil || host == "" || number == "" {
			return "", o, fmt.Errorf("slcan: %q: %q is not HOST:PORT, as adapter.local:3333 or [fe80::1%%eth0]:3333", s, address)
		}
		if o.Baud != 0 {
			return "", o, fmt.Errorf("slcan: %q: baud=%d is the other computer's to set", s, o.Baud)
		}
	}
	return port, o, o.check()
}

// parse parses what stands behind the @, field by field.
func (o *Options) parse(i int, field string) (err error) {
	key, value, _ := strings.Cut(field, "=")
	switch {
	case i == 0 && strings.HasPrefix(field, "s"):
		if o.Registers = field[1:]; o.Registers == "" {
			err = fmt.Errorf("s without the digits of timing registers, as @s031C")
		}
	case i == 0:
		o.Bitrate, err = parseNumber(field)
	case key == "data":
		o.DataBitrate, err = parseNumber(value)
	case key == "baud":
		o.Baud, err = parseNumber(value)
	case key == "wait":
		o.Wait, err = parseTime(value)
	case key == "flush":
		o.Flush, err = parseTime(value)
	case key == "family":
		if o.Family = value; value == "" {
			err = fmt.Errorf("family= without %s, %s or %s", FamilyLawicel, FamilyCANable, FamilyCANable25)
		}
	case field == "listen":
		o.ListenOnly = true
	default:
		err = fmt.Errorf("%q is not data=BITRATE, baud=BAUD, wait=TIME, flush=TIME, family=FAMILY or listen", field)
	}
	return err
}

func parseNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a number above 0", s)
	}
	return int(n), nil
}

// parseTime parses a time for an option whose 0 means something else.
func parseTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil || d < 0 || d > time.Hour:
		return 0, fmt.Errorf("%q is not a time, as 5s or 50ms, of 1h at most", s)
	case d == 0:
		return -1, nil
	}
	return d, nil
}
