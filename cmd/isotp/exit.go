package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"regexp"
	"strings"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// The exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitTimeout = 3
)

// A usageError is an error that only another command line can mend.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

var errInterrupted = errors.New("interrupted")

// report prints an error, if there is one, and returns the exit status.
func (s *streams) report(err error) int {
	if err == nil {
		return exitOK
	}
	status := exitStatus(err)
	hint := ""
	if status == exitUsage {
		hint = " (see isotp --help)"
	}
	line := strings.ReplaceAll(errorText(err), "\n", "; ")
	fmt.Fprintf(s.stderr, "isotp: %s%s\n", line, hint)
	return status
}

func exitStatus(err error) int {
	var (
		usage    *usageError
		config   *isotpnet.ConfigError
		address  *net.AddrError
		network  net.UnknownNetworkError
		bus      *canbus.UnknownBusError
		netError net.Error
	)
	switch {
	case errors.As(err, &usage), errors.As(err, &config), errors.As(err, &address),
		errors.As(err, &network), errors.As(err, &bus),
		errors.Is(err, isotpnet.ErrListenOnly), errors.Is(err, isotpnet.ErrSendOnly):
		return exitUsage
	case errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &netError) && netError.Timeout():
		return exitTimeout
	}
	return exitFailure
}

var (
	configField = regexp.MustCompile(`\bConfig\.(\w+)`)
	word        = regexp.MustCompile(`\w+`)
)

// errorText tells an error in terms of flags, where the library speaks of
// Config's fields.
func errorText(err error) string {
	var config *isotpnet.ConfigError
	if errors.As(err, &config) {
		field := config.Field[strings.LastIndexByte(config.Field, '.')+1:]
		want := word.ReplaceAllStringFunc(config.Want, flagOf)
		if on, ok := config.Value.(bool); ok && on {
			return fmt.Sprintf("%s: %s", flagOf(field), want)
		}
		return fmt.Sprintf("%s %v: %s", flagOf(field), config.Value, want)
	}
	return configField.ReplaceAllStringFunc(err.Error(), func(s string) string {
		return flagOf(strings.TrimPrefix(s, "Config."))
	})
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
