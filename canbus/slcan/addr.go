package slcan

import (
	"fmt"
	"strconv"
	"strings"
)

// Options of an adapter.
type Options struct {
	// Bitrate is one of 10000, 20000, 50000, 100000, 125000, 250000, 500000, 800000
	// and 1000000, in bits per second; 0 if Registers has the timing.
	Bitrate int
	// Registers are the digits of the command s, for other bit rates.
	Registers string
	// DataBitrate makes it CAN FD: the bit rate of the data phase of frames with
	// BRS, 1000000, 2000000, 4000000 or 5000000; 0: classic CAN.
	DataBitrate int
	// ListenOnly: the adapter sends nothing.
	ListenOnly bool
	// Baud is the speed of the serial line; 0: 115200.
	Baud int
}

const defaultBaud = 115200

// bitrates in the order of the commands S0 to S8.
var bitrates = []int{10_000, 20_000, 50_000, 100_000, 125_000, 250_000, 500_000, 800_000, 1_000_000}

// commands returns what sets the adapter up, one command after the other. The last
// one opens the channel.
func (o *Options) commands() ([]string, error) {
	var list []string
	switch {
	case o.Registers != "":
		if _, err := strconv.ParseUint(o.Registers, 16, 64); err != nil || o.Bitrate != 0 {
			return nil, fmt.Errorf("slcan: timing registers %q, bit rate %d (one of them; the registers in hexadecimal digits, as 031C)", o.Registers, o.Bitrate)
		}
		list = append(list, "s"+o.Registers)
	default:
		for i, rate := range bitrates {
			if rate == o.Bitrate {
				list = append(list, fmt.Sprintf("S%d", i))
			}
		}
		if list == nil {
			return nil, fmt.Errorf("slcan: bit rate %d is none of the commands S0 to S8 (%v; others by timing registers, as @s031C)", o.Bitrate, bitrates)
		}
	}
	switch o.DataBitrate {
	case 0:
	case 1_000_000, 2_000_000, 4_000_000, 5_000_000:
		list = append(list, fmt.Sprintf("Y%d", o.DataBitrate/1_000_000))
	default:
		return nil, fmt.Errorf("slcan: data bit rate %d is not 1000000, 2000000, 4000000 or 5000000", o.DataBitrate)
	}
	if o.Baud < 0 {
		return nil, fmt.Errorf("slcan: baud %d is not above 0", o.Baud)
	}
	if o.ListenOnly {
		return append(list, "L"), nil
	}
	return append(list, "O"), nil
}

// parseAddress parses PORT@BITRATE and what may follow.
func parseAddress(s string) (port string, o Options, err error) {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 {
		return "", o, fmt.Errorf("slcan: %q is not PORT@BITRATE, as /dev/ttyACM0@500000", s)
	}
	for i, field := range strings.Split(s[at+1:], ",") {
		key, value, _ := strings.Cut(field, "=")
		var into *int
		switch {
		case i == 0 && strings.HasPrefix(field, "s"):
			o.Registers = field[1:]
			if o.Registers == "" {
				return "", o, fmt.Errorf("slcan: %q: s without the digits of timing registers, as @s031C", s)
			}
			continue
		case i == 0:
			into, value = &o.Bitrate, field
		case key == "data":
			into = &o.DataBitrate
		case key == "baud":
			into = &o.Baud
		case field == "listen":
			o.ListenOnly = true
			continue
		default:
			return "", o, fmt.Errorf("slcan: %q: %q is not data=BITRATE, baud=BAUD or listen", s, field)
		}
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil || n == 0 {
			return "", o, fmt.Errorf("slcan: %q: %q is not a number above 0", s, value)
		}
		*into = int(n)
	}
	_, err = o.commands()
	return s[:at], o, err
}
