package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"reflect"
	"regexp"
	"strings"
	"syscall"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// The exit statuses, of every command.
const (
	exitOK       = 0
	exitFailure  = 1
	exitUsage    = 2
	exitTimeout  = 3
	exitNegative = 4
)

const exitStatuses = `
Exit status:

	0  done; proxy, tun, ecu, serve-bus, record, dump, sniff, perf and plot of a bus, replay
	   --loop forever, and without --count recv and send --generate, also when interrupted
	1  failed, on the bus or with the data: a transfer, a bus that cannot be opened,
	   something lost, input that cannot be sent, digests that differ; interrupted
	2  the command line is wrong: a flag, a value, an address, the name of a bus; or a file
	   that it names cannot be opened, an interface, serial port or host is not there
	3  timed out: --timeout, or a time-out of the protocol; no ECU has answered a request,
	   or a scan
	4  the ECU has answered a request, but has refused it: a negative response
`

// A usageError is an error that only another command line can mend.
type usageError struct {
	err  error
	help string // the command that says more; "": err says all
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

var errInterrupted = errors.New("interrupted")

// interrupted makes an error that a signal has led to errInterrupted.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// opening is for the error of opening what the command line names: it is the command
// line's if that is not there.
func opening(ctx context.Context, err error) error {
	switch {
	case err == nil || ctx.Err() != nil:
		return interrupted(ctx, err)
	case isMissing(err):
		return &usageError{err: err}
	}
	return err
}

// isMissing reports whether an error says that an interface, a port or a host is not there.
func isMissing(err error) bool {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || isDNS && dns.IsNotFound
}

// report prints an error, if there is one, and returns the exit status.
func (s *streams) report(err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(s.stderr, "isotp: %s%s\n", oneLine(err), hint(err))
	return exitStatus(err)
}

// hint is what helps with an error, in parentheses.
func hint(err error) string {
	var hints []string
	if help := helpWith(err); help != "" {
		hints = append(hints, "see "+help)
	}
	if bus := os.Getenv(busVariable); bus != "" && (isWrongBus(err) || isMissing(err)) && strings.Contains(err.Error(), bus) {
		hints = append(hints, busVariable+" is "+bus)
	}
	if hints == nil {
		return ""
	}
	return " (" + strings.Join(hints, "; ") + ")"
}

func exitStatus(err error) int {
	var (
		usage    *usageError
		config   *isotpnet.ConfigError
		netError net.Error
	)
	switch {
	case errors.As(err, &usage), errors.As(err, &config), isWrongAddress(err), isWrongBus(err),
		errors.Is(err, isotpnet.ErrListenOnly), errors.Is(err, isotpnet.ErrSendOnly):
		return exitUsage
	case isNegative(err):
		return exitNegative
	case errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &netError) && netError.Timeout():
		return exitTimeout
	}
	return exitFailure
}

// isWrongAddress reports whether an address is wrong, in form.
func isWrongAddress(err error) bool {
	_, is := errors.AsType[*net.AddrError](err)
	return is
}

// isWrongBus reports whether the name of a bus is wrong: there can be no such bus.
func isWrongBus(err error) bool {
	var (
		bus  *canbus.UnknownBusError
		name *canbus.NameError
	)
	return errors.As(err, &bus) || errors.As(err, &name)
}

// helpWith returns the command that says more of what an error is about, "" if none does.
func helpWith(err error) string {
	if usage, ok := errors.AsType[*usageError](err); ok && usage.help != "" {
		return usage.help
	}
	switch {
	case isWrongBus(err):
		return helpBuses
	case isWrongAddress(err):
		return helpAddresses
	}
	return ""
}

// phrases are what the library says to those who write Go, and what it is for those who
// write command lines.
var phrases = strings.NewReplacer(
	"several of a Write", "several of one",
	"NextReader", "recv --long",
	"and there is a Bus in the Dialer or ListenConfig", "and a log is none",
	": see ListenConfig.MaxPeers", "",
	"Write waits without it, and heeds its deadline", "each message is waited for without it",
)

var (
	configField = regexp.MustCompile(`\bConfig\.(\w+)`)
	word        = regexp.MustCompile(`\w+`)
)

// errorText says in terms of the command line what the library says in those of Go.
func errorText(err error) string {
	var (
		config *isotpnet.ConfigError
		bus    *canbus.UnknownBusError
	)
	switch {
	case errors.As(err, &config):
		return phrases.Replace(configText(config))
	case errors.As(err, &bus):
		scheme, _, _ := strings.Cut(bus.Name, ":")
		return fmt.Sprintf("bus %q: there are no buses %s:", bus.Name, scheme)
	}
	return configField.ReplaceAllStringFunc(phrases.Replace(err.Error()), func(s string) string {
		return flagOf(strings.TrimPrefix(s, "Config."))
	})
}

func configText(e *isotpnet.ConfigError) string {
	field := e.Field[strings.LastIndexByte(e.Field, '.')+1:]
	if field == "Kernel" {
		return "--kernel-flags, --frame-tx-time, --rx-stmin, --rx-padding: " + e.Want
	}
	want := word.ReplaceAllStringFunc(e.Want, flagOf)
	if on, ok := e.Value.(bool); ok && on {
		return fmt.Sprintf("%s: %s", flagOf(field), want)
	}
	return fmt.Sprintf("%s %v: %s", flagOf(field), e.Value, want)
}

// flagOf returns the flag that sets a field of Config, and other words as they
// are.
func flagOf(field string) string {
	switch field {
	case "BitsPerSecond":
		field = "RateLimit"
	case "Flags":
		field = "KernelFlags"
	case "NoPadding":
		return "--padding none"
	}
	if f, ok := reflect.TypeFor[configFlags]().FieldByName(field); ok {
		return "--" + f.Tag.Get("name")
	}
	return field
}
