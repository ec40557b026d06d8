package main

import (
	"net"
	"slices"
	"strings"

	"example.com/isotp/canbus"
)

// isVirtualBus reports whether a name is that of a bus to which no device can be connected:
// one within this process or this computer, or an interface that has no controller.
func isVirtualBus(name string) bool {
	switch scheme, address := canbus.SplitName(name); scheme {
	case "virtual":
		return true
	case "udp":
		return isLoopback(address)
	case "":
		return isVirtualInterface(address)
	}
	return false
}

// isLoopback reports whether the address of a bus of UDP multicast names the interface of
// this computer alone.
func isLoopback(address string) bool {
	hostport, _, _ := strings.Cut(address, "@")
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	_, zone, _ := strings.Cut(host, "%")
	ifi, err := net.InterfaceByName(zone)
	return err == nil && ifi.Flags&net.FlagLoopback != 0
}

// isVirtualInterface reports whether a CAN interface is one of the kinds vcan and vxcan.
func isVirtualInterface(name string) bool {
	links, err := canInterfaces()
	return err == nil && slices.ContainsFunc(links, func(l interfaceInfo) bool {
		return l.Name == name && (l.Kind == "vcan" || l.Kind == "vxcan")
	})
}
