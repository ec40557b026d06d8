package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// busVariable is the environment variable that names the bus where the command line does not.
const busVariable = "ISOTP_BUS"

// busOr returns the name of a bus of the command line, or if that is empty the default bus.
func busOr(name string) (string, error) {
	if name != "" {
		return name, nil
	}
	name, set := os.LookupEnv(busVariable)
	switch {
	case !set:
		return "", &usageError{err: errors.New("no bus: want one, as can0, or its name in " + busVariable), help: helpBuses}
	case name == "":
		return "", &usageError{err: errors.New(busVariable + " is empty: want the name of a bus, as can0"), help: helpBuses}
	}
	return name, nil
}

// onBus returns an address with its bus: one without a slash, or with nothing before it, is
// on the default bus.
func onBus(text string) (string, error) {
	endpoint := strings.TrimPrefix(text, "/")
	if text == "" || strings.Contains(endpoint, "/") {
		return text, nil
	}
	bus, set := os.LookupEnv(busVariable)
	switch {
	case bus != "":
		return bus + "/" + endpoint, nil
	case set:
		return "", &net.AddrError{Err: "no bus, and " + busVariable + " is empty: want for example can0 in it", Addr: text}
	}
	if _, err := isotpnet.ParseAddrs("/" + endpoint); err != nil && endpoint == text {
		return text, nil // it may be a bus; ParseAddr says what is missing
	}
	return "", &net.AddrError{Err: "no bus: want for example can0/" + endpoint + ", or the bus in " + busVariable, Addr: text}
}

// parseAddress parses an address of the command line.
func parseAddress(text string) (isotpnet.Addr, error) {
	text, err := onBus(text)
	if err != nil {
		return isotpnet.Addr{}, err
	}
	addr, err := isotpnet.ParseAddr(text)
	if err == nil {
		err = checkPort(addr.Bus(), text)
	}
	return addr, err
}

// parseAddresses parses a list of addresses of the command line, as listeners take it.
func parseAddresses(text string) ([]isotpnet.Addr, error) {
	text, err := onBus(text)
	if err != nil {
		return nil, err
	}
	addrs, err := isotpnet.ParseAddrs(text)
	if err == nil {
		err = checkPort(addrs[0].Bus(), text)
	}
	return addrs, err
}

// checkPort tells people with a serial adapter what is missing in the name of a bus, which
// stands in text.
func checkPort(bus, text string) error {
	if strings.HasPrefix(bus, "/") || strings.HasPrefix(bus, "COM") && !strings.Contains(bus, ":") {
		want := "slcan:" + bus + "@500000" + strings.TrimPrefix(text, bus)
		return &net.AddrError{Err: "a serial port needs its driver and the bus's bit rate: want for example " + want, Addr: text}
	}
	return nil
}

// parseEndpoint parses the value of a flag that is an address on the bus of the command's
// address: it needs no bus, and one that is there is not looked at.
func parseEndpoint(flag, text string) (isotpnet.Addr, error) {
	addr, err := isotpnet.ParseAddr("/" + text[strings.LastIndexByte(text, '/')+1:])
	if e, ok := errors.AsType[*net.AddrError](err); ok {
		err = &usageError{err: fmt.Errorf("%s %s: %s", flag, text, e.Err), help: helpAddresses}
	}
	return addr, err
}

// parseFunctional parses the value of --functional.
func parseFunctional(text string) (isotpnet.Addr, error) {
	addr, err := parseEndpoint("--functional", text)
	if err == nil && addr.Kind() != isotpnet.KindFunctional {
		err = usageErrorf("--functional %s: it must be an address that only sends, as 7DF:", text)
	}
	return addr, err
}

// openBus opens the bus of that name, see busOr.
func openBus(ctx context.Context, name string) (canbus.Bus, error) {
	if err := checkPort(name, name); err != nil {
		return nil, err
	}
	bus, err := canbus.Open(ctx, name)
	return bus, opening(ctx, err)
}
