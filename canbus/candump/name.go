package candump

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"example.com/isotp/canbus"
)

func init() {
	canbus.Register("candump", func(ctx context.Context, name string) (canbus.Bus, error) {
		file, o, err := ParseName(name)
		if err != nil {
			return nil, &canbus.NameError{Err: err}
		}
		b, err := Open(ctx, file, o)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
}

// ParseName parses what stands behind "candump:" in a bus's name: FILE and the options that
// may follow. A comma that no option follows belongs to the file's name.
func ParseName(s string) (file string, o Options, err error) {
	rest := s
	for {
		i := strings.LastIndexByte(rest, ',')
		if i < 0 {
			break
		}
		key, value, valued := strings.Cut(rest[i+1:], "=")
		switch {
		case key == "fast" && !valued:
			o.Fast = true
		case key == "speed" && valued:
			o.Speed, err = strconv.ParseFloat(value, 64)
			if err != nil || !validSpeed(o.Speed) || o.Speed == 0 {
				return "", o, fmt.Errorf("candump: %q: speed %q is not a number above 0, as 0.5 or 10", s, value)
			}
		case key == "interface" && valued:
			if o.Interface = value; value == "" {
				return "", o, fmt.Errorf("candump: %q: interface= without a name, as can0", s)
			}
		case key == "gap" && valued:
			o.Gap, err = time.ParseDuration(value)
			if err != nil || o.Gap <= 0 {
				return "", o, fmt.Errorf("candump: %q: gap %q is not a time above 0, as 10ms", s, value)
			}
		case key == "maxpause" && valued:
			o.MaxPause, err = time.ParseDuration(value)
			if err != nil || o.MaxPause <= 0 {
				return "", o, fmt.Errorf("candump: %q: maxpause %q is not a time above 0, as 500ms or 5s", s, value)
			}
		default:
			return checkName(rest, o)
		}
		rest = rest[:i]
	}
	return checkName(rest, o)
}

func checkName(file string, o Options) (string, Options, error) {
	if file == "" {
		return "", o, fmt.Errorf("candump: a bus needs the name of a log file, as candump:drive.log, or - for standard input")
	}
	return file, o, o.check()
}

// validSpeed reports whether a speed is 0, the default, or above.
func validSpeed(speed float64) bool { return speed >= 0 && !math.IsInf(speed, 1) }
