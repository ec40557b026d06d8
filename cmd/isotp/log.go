package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
)

// logScheme begins the names of buses that are logs.
const logScheme = "candump:"

// A playedLog is a log that a command reads. It warns on standard error of what is wrong
// with the log while that is read, in the same words for every command; failed sums up.
type playedLog struct {
	*candump.Bus
	s      *streams
	file   string
	choose string // how the command line chooses an interface; "": no warning is due
}

// openLog opens a log. choose is how the command line chooses an interface, with a %s for
// its name. That the file cannot be opened, or is no log, is the command line's error.
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
	_, isLog := errors.AsType[*candump.LineError](err)
	switch {
	case isLog: // the error is as when the first lines are good
		return nil, err
	case err != nil && ctx.Err() == nil:
		return nil, &usageError{err: err}
	}
	return l, interrupted(ctx, err)
}

// openNamedLog opens the bus of that name if it is a log; it returns nil if not.
func (s *streams) openNamedLog(ctx context.Context, bus string) (*playedLog, error) {
	name, is := strings.CutPrefix(bus, logScheme)
	if !is {
		return nil, nil
	}
	file, o, err := candump.ParseName(name)
	if err != nil {
		return nil, &usageError{err: err, help: helpBuses}
	}
	return s.openLog(ctx, file, o, ",interface=%s behind the file's name")
}

// ReadFrames is that of the log, but it goes on behind lines that are no frames.
func (l *playedLog) ReadFrames(frames []canbus.Frame) (int, error) {
	return l.ReadFramesOf(frames, nil)
}

// ReadFramesOf is ReadFrames that also tells the frames' interfaces.
func (l *playedLog) ReadFramesOf(frames []canbus.Frame, interfaces []string) (int, error) {
	for {
		n, err := l.Bus.ReadFramesOf(frames, interfaces)
		l.tellInterfaces()
		if !errors.Is(err, canbus.ErrTemporary) {
			return n, err
		}
		l.s.warn(err)
		if n > 0 {
			return n, nil
		}
	}
}

// tellInterfaces warns, once, that the log has the frames of several interfaces.
func (l *playedLog) tellInterfaces() {
	if l.choose == "" {
		return
	}
	if there := l.Interfaces(); len(there) > 1 {
		l.s.warn(fmt.Errorf("%s has the frames of several interfaces, %s, which are read as frames of one bus (to choose one: %s)",
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
