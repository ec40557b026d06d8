package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
)

func TestDefaultBus(t *testing.T) {
	for _, tc := range []struct{ bus, text, want string }{
		{"vcan0", "7E0:7E8", "vcan0/7E0:7E8"},
		{"vcan0", "/7E0:7E8", "vcan0/7E0:7E8"},
		{"vcan0", "obd", "vcan0/obd"},
		{"vcan0", "can1/7E0:7E8", "can1/7E0:7E8"},
		{"slcan:/dev/ttyACM0@500000", "7E0:7E8", "slcan:/dev/ttyACM0@500000/7E0:7E8"},
		{"vcan0", "slcan:/dev/ttyACM0@500000/7E0:7E8", "slcan:/dev/ttyACM0@500000/7E0:7E8"},
	} {
		t.Setenv(busVariable, tc.bus)
		if addr, err := parseAddresses(tc.text); err != nil || addr[0].String() != tc.want {
			t.Errorf("%s on %s: %v, %v, want %s", tc.text, tc.bus, addr, err, tc.want)
		}
	}
}

// commandsOfNoBus are those of commandsOfABus without their bus.
func commandsOfNoBus() (list []string) {
	for _, c := range commandsOfABus {
		if strings.Contains(c, "x=BUS") {
			c = strings.ReplaceAll(c, " x=BUS", "")
		}
		c = strings.ReplaceAll(strings.ReplaceAll(c, "BUS/", ""), " BUS", "")
		list = append(list, c)
	}
	return list
}

func TestEveryCommandTakesTheDefaultBus(t *testing.T) {
	exits := newExits(t)
	for bus, text := range map[string]string{
		"nosuch:x":                   "there are no buses nosuch: (see isotp help buses; ISOTP_BUS is nosuch:x)",
		"slcan:/no/such/port@500000": "/no/such/port",
		"":                           "ISOTP_BUS is empty",
	} {
		t.Setenv(busVariable, bus)
		for _, command := range commandsOfNoBus() {
			if bus == "" && strings.HasPrefix(command, "demo") {
				continue // it takes what is no address for the name of a file
			}
			exits(command, exitUsage, text)
		}
	}
}

func TestRequestOnTheDefaultBus(t *testing.T) {
	t.Setenv(busVariable, "virtual:default")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ecu := start(ctx, nil, "ecu", "7EA:7E2")
		cancel()
		if r := ecu(); r.stderr != "ECU \"ECU\" listens on virtual:default/7EA:7E2\n" {
			t.Errorf("ecu says %q", r.stderr)
		}
		r := isotp(t.Context(), nil, "request", "--simulate", "1", "--raw", "7E0:7E8", "3E00")
		r.want(t, exitOK, "")
		r.wantStdout(t, "7E00\n")
	})
}

func TestSerialPortsNeedTheirDriver(t *testing.T) {
	exits := newExits(t)
	exits("record /dev/ttyACM0 DIR/a.log", exitUsage, "want for example slcan:/dev/ttyACM0@500000")
	for address, text := range map[string]string{
		"/dev/ttyACM0/7E0:7E8": "address /dev/ttyACM0/7E0:7E8: a serial port needs its driver and the bus's bit rate: want for example slcan:/dev/ttyACM0@500000/7E0:7E8",
		"COM3/7E0:7E8":         "slcan:COM3@500000/7E0:7E8",
	} {
		for _, command := range commandsOfAnAddress {
			exits(strings.ReplaceAll(command, "ADDR", address), exitUsage, text)
		}
	}
}
