package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
)

// logScheme is that of buses that are logs.
const logScheme = "candump:"

// A playedLog is a log that a command reads. What is wrong with it is told on standard
// error while it is read, in the same words by every command, and at the end by failed.
type playedLog struct {
	*candump.Bus
	s      *streams
	file   string
	choose string // how to choose an interface; "": one is chosen, or the choice was told
}

// openLog opens a log. choose is how the command line chooses an interface.
func (s *streams) openLog(ctx context.Context, file string, o candump.Options, choose string) (*playedLog, error) {
	l := &playedLog{s: s, file: file, choose: choose}
	if o.Interface != "" {
		l.choose = ""
	}
	var err error
	if file == "-" {
		l.file = "standard input"
		l.Bus, err = candump.New(s.input(ctx), l.file, o)
	} else {
		l.Bus, err = candump.Open(ctx, file, o)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// openNamedLog opens the bus of that name if it is a log; it returns nil if not.
func (s *streams) openNamedLog(ctx context.Context, bus string) (*playedLog, error) {
	name, is := strings.CutPrefix(bus, logScheme)
	if !is {
		return nil, nil
	}
	file, o, err := candump.ParseName(name)
	if err != nil {
		return nil, &usageError{err}
	}
	return s.openLog(ctx, file, o, ",interface=%s behind the file's name")
}

// ReadFrames is that of the log, but that it goes on behind lines that are no frames.
func (l *playedLog) ReadFrames(frames []canbus.Frame) (int, error) {
	for {
		n, err := l.Bus.ReadFrames(frames)
		l.tellInterfaces()
		if !errors.Is(err, canbus.ErrTemporary) {
			return n, err
		}
		warn(l.s, err)
		if n > 0 {
			return n, nil
		}
	}
}

// tellInterfaces tells, once, that there are several.
func (l *playedLog) tellInterfaces() {
	if l.choose == "" {
		return
	}
	if there := l.Interfaces(); len(there) > 1 {
		warn(l.s, fmt.Errorf("%s has the frames of several interfaces, %s, and they are taken as those of one bus (to choose one: %s)",
			l.file, strings.Join(there, " and "), fmt.Sprintf(l.choose, there[0])))
		l.choose = ""
	}
}

// failed says how many lines were no frames; nil: none, or there is no log.
func (l *playedLog) failed() error {
	if l == nil || l.Malformed() == 0 {
		return nil
	}
	return fmt.Errorf("%s of %s %s", count(l.Malformed(), "line"), l.file, plural(l.Malformed(), "was no frame", "were no frames"))
}

func plural(n uint64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// count is a number of things.
func count(n uint64, what string) string {
	return fmt.Sprintf("%d %s", n, plural(n, what, what+"s"))
}
