package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// parseAddress parses an address of the command line, which names a bus.
func parseAddress(text string) (isotpnet.Addr, error) {
	addr, err := isotpnet.ParseAddr(text)
	if err == nil && addr.Bus() == "" {
		return addr, &net.AddrError{Err: "no bus before the slash: want for example can0" + text, Addr: text}
	}
	return addr, err
}

// parseAddresses parses a list of addresses of the command line, as listeners take it.
func parseAddresses(text string) ([]isotpnet.Addr, error) {
	addrs, err := isotpnet.ParseAddrs(text)
	if err == nil && addrs[0].Bus() == "" {
		return nil, &net.AddrError{Err: "no bus before the slash: want for example can0" + text, Addr: text}
	}
	return addrs, err
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

// openBus opens the bus of that name.
func openBus(ctx context.Context, name string) (canbus.Bus, error) {
	bus, err := canbus.Open(ctx, name)
	return bus, opening(ctx, err)
}
