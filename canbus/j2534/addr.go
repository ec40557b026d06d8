package j2534

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"example.com/isotp/canbus"
)

func init() {
	canbus.Register("j2534", func(ctx context.Context, address string) (canbus.Bus, error) {
		name, o, err := parseAddress(address)
		if err != nil {
			return nil, &canbus.NameError{Err: fmt.Errorf("j2534: %w", err)}
		}
		b, err := Open(ctx, name, o)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
	canbus.RegisterIdentity("j2534", identity)
}

// identity is the library, as an adapter has many names, with the options: a caller that asks for
// others must not get these unawares.
func identity(address string) string {
	name, o, err := parseAddress(address)
	if err != nil {
		return "j2534:" + address
	}
	if list, err := installed(); err == nil {
		if a, err := find(list, name); err == nil {
			name = a.Library
		}
	}
	return fmt.Sprintf("j2534:%s %+v", strings.ToLower(name), o)
}

// Options of an adapter.
type Options struct {
	// Bitrate is in bits per second, up to 1000000. Every adapter has 125000, 250000 and
	// 500000.
	Bitrate int
	// NoEcho: the Bus does not ask for echoes, for adapters that say that they have them
	// and send none: every write would wait for its echo in vain.
	NoEcho bool
	// Logger is warned of frames that were thrown away, or that may not have been sent at
	// Close. nil: slog.Default().
	Logger *slog.Logger
}

const maxBitrate = 1_000_000 // of classic CAN

func (o *Options) check() error {
	if o.Bitrate < 1 || o.Bitrate > maxBitrate {
		return fmt.Errorf("bit rate %d is not from 1 to %d", o.Bitrate, maxBitrate)
	}
	return nil
}

func (o *Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

// parseAddress parses NAME@BITRATE and what may follow. The name may have an @, too.
func parseAddress(s string) (name string, o Options, err error) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", o, fmt.Errorf("%q is not NAME@BITRATE, as openport@500000, or @500000 if one adapter is installed", s)
	}
	for i, field := range strings.Split(s[at+1:], ",") {
		switch {
		case i == 0:
			if o.Bitrate, err = strconv.Atoi(field); err != nil {
				err = fmt.Errorf("bit rate %q is not a number", field)
			}
		case field == "noecho":
			o.NoEcho = true
		default:
			err = fmt.Errorf("%q is not noecho", field)
		}
		if err != nil {
			return "", o, fmt.Errorf("%q: %w", s, err)
		}
	}
	if err := o.check(); err != nil {
		return "", o, fmt.Errorf("%q: %w", s, err)
	}
	return s[:at], o, nil
}
