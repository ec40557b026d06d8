package main

import (
	"strings"
	"testing"

	"example.com/isotp/isotpnet"
)

func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"help":           "Exit status:",
		"help addresses": "An address is BUS/ENDPOINT",
		"help send":      "--functional",
		"help link up":   "--bitrate",
	} {
		r := isotp(t.Context(), nil, words(args)...)
		r.want(t, exitOK, "")
		if !strings.Contains(r.stdout, want) || r.stderr != "" {
			t.Errorf("isotp %s says %q %q, want %q", args, r.stdout, r.stderr, want)
		}
	}
}

// The first word of each line is an address or more, or the name of a bus.
func TestHelpOfAddressesIsTrue(t *testing.T) {
	endpoints, buses, found := strings.Cut(addressHelp, "\nBUS:\n")
	if !found {
		t.Fatal("no part BUS")
	}
	examples := func(text string) (list []string) {
		for line := range strings.Lines(text) {
			if example, ok := strings.CutPrefix(line, "\t"); ok && example[0] != ' ' {
				example, _, _ = strings.Cut(strings.TrimSpace(example), "   ")
				list = append(list, words(example)...)
			}
		}
		return list
	}
	for _, endpoint := range examples(endpoints) {
		if _, err := isotpnet.ParseAddrs("can0/" + endpoint); err != nil {
			t.Error(err)
		}
	}
	for _, bus := range examples(buses) {
		if addr, err := isotpnet.ParseAddr(bus + "/7E0:7E8"); err != nil || addr.Bus() != bus {
			t.Errorf("bus %q: %v, %v", bus, addr, err)
		}
	}
	if n, m := len(examples(endpoints)), len(examples(buses)); n < 10 || m != 6 {
		t.Errorf("%d addresses, %d buses", n, m)
	}
}

// Each command that takes an address or a bus says where they are described.
func TestHelpOfCommandsNamesTheHelpOfAddresses(t *testing.T) {
	for _, command := range []string{"demo", "send", "recv", "proxy", "ecu", "obd", "request", "record", "replay", "serve-bus", "scan"} {
		r := isotp(t.Context(), nil, command, "--help")
		if text := strings.Join(strings.Fields(r.stdout), " "); !strings.Contains(text, "isotp help addresses") {
			t.Errorf("%s --help does not", command)
		}
	}
}
