package kvaser

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"example.com/isotp/canbus"
)

func init() {
	canbus.Register("kvaser", func(ctx context.Context, address string) (canbus.Bus, error) {
		channel, o, err := parseAddress(address)
		if err != nil {
			return nil, &canbus.NameError{Err: err}
		}
		b, err := Open(ctx, channel, o)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
	canbus.RegisterIdentity("kvaser", identity)
}

// Options of a channel.
type Options struct {
	// Bitrate is in bits per second: 1000000, 500000, 250000, 125000, 100000, 83333, 62500,
	// 50000 and 10000 have the sample points that CANlib gives them. Others are made of a
	// clock of 8 MHz and sampled at 75 to 80 %; with DataBitrate of one of 80 MHz.
	Bitrate int
	// DataBitrate opens the channel for CAN FD (ISO). It is the bit rate of the data phase of
	// frames with BRS: 500000, 1000000, 2000000 and 4000000 are sampled at 80 %, 8000000 at
	// 60 %; others are made of a clock of 80 MHz. 0: classic CAN.
	DataBitrate int
	// ListenOnly: the channel sends nothing, no acknowledgement either.
	ListenOnly bool
	// Logger is told of frames that may not have been sent at Close. nil: slog.Default().
	Logger *slog.Logger
}

// timings returns the timing of either phase, or an error for options that no adapter has.
// That of the data phase has no meaning for classic CAN.
func (o *Options) timings() (nominal, data timing, err error) {
	q := &classic
	if o.DataBitrate != 0 {
		q = &arbitration
	}
	if nominal, err = q.timing(o.Bitrate); err != nil {
		return nominal, data, fmt.Errorf("kvaser: %w (bits per second, as 500000)", err)
	}
	if o.DataBitrate == 0 {
		return nominal, data, nil
	}
	if o.DataBitrate < o.Bitrate {
		return nominal, data, fmt.Errorf("kvaser: data bit rate %d is below the bit rate %d", o.DataBitrate, o.Bitrate)
	}
	if data, err = dataPhase.timing(o.DataBitrate); err != nil {
		return nominal, data, fmt.Errorf("kvaser: data %w", err)
	}
	return nominal, data, nil
}

func (o *Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

// parseAddress parses CHANNEL@BITRATE and what may follow.
func parseAddress(s string) (channel int, o Options, err error) {
	number, rest, found := strings.Cut(s, "@")
	if !found {
		return 0, o, fmt.Errorf("kvaser: %q is not CHANNEL@BITRATE, as 0@500000", s)
	}
	if channel, err = parseChannel(number); err != nil {
		return 0, o, fmt.Errorf("kvaser: %q: %w", s, err)
	}
	for i, field := range strings.Split(rest, ",") {
		key, value, _ := strings.Cut(field, "=")
		switch {
		case i == 0:
			o.Bitrate, err = parseNumber(field)
		case key == "data":
			o.DataBitrate, err = parseNumber(value)
		case field == "listen":
			o.ListenOnly = true
		default:
			err = fmt.Errorf("%q is not data=BITRATE or listen", field)
		}
		if err != nil {
			return 0, o, fmt.Errorf("kvaser: %q: %w", s, err)
		}
	}
	_, _, err = o.timings()
	return channel, o, err
}

// parseChannel parses the number of a channel. 16 bits are more than there are channels.
func parseChannel(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 15)
	if err != nil {
		return 0, fmt.Errorf("channel %q is not a number from 0", s)
	}
	return int(n), nil
}

func parseNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a number above 0", s)
	}
	return int(n), nil
}

// identity is the channel with its options: a caller that asks for others must not get these
// unawares.
func identity(address string) string {
	channel, o, err := parseAddress(address)
	if err != nil {
		return "kvaser:" + address
	}
	return fmt.Sprintf("kvaser:%d %+v", channel, o)
}
