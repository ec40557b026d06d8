package main

import (
	"net"
	"testing"
)

func TestVirtualBuses(t *testing.T) {
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		want := link.Flags&net.FlagLoopback != 0
		for _, bus := range []string{"udp:239.74.163.2%" + link.Name + ":43113", "udp:[ff15::1%" + link.Name + "]:43113@none"} {
			if isVirtualBus(bus) != want {
				t.Errorf("%s is virtual: %v", bus, !want)
			}
		}
	}
	for bus, want := range map[string]bool{
		"virtual:demo": true, "udp:239.74.163.2:43113": false, "udp:": false, "udp:%:1": false,
		"nonesuch0": false, "slcan:/dev/ttyACM0@500000": false, "socketcand:localhost:29536/vcan0": false,
	} {
		if isVirtualBus(bus) != want {
			t.Errorf("%s is virtual: %v", bus, !want)
		}
	}
}
