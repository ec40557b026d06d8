package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/hextext"
	"example.com/isotp/isotpnet"
)

func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"help":           "Exit status:",
		"help addresses": "An address is BUS/ENDPOINT",
		"help buses":     "ISOTP_BUS",
		"help hex":       "0x22, 0xF1, 0x90",
		"help send":      "--functional",
		"help link up":   "--bitrate",
		"help tun":       "interface; %d stands for the",
	} {
		r := isotp(t.Context(), nil, words(args)...)
		r.want(t, exitOK, "")
		if !strings.Contains(r.stdout, want) || r.stderr != "" {
			t.Errorf("isotp %s says %q %q, want %q", args, r.stdout, r.stderr, want)
		}
	}
}

// examplesIn are the examples of a topic: what its lines begin with.
func examplesIn(text string) (list []string) {
	for line := range strings.Lines(text) {
		if example, ok := strings.CutPrefix(line, "\t"); ok && example[0] != ' ' {
			example, _, _ = strings.Cut(strings.TrimSpace(example), "   ")
			list = append(list, words(example)...)
		}
	}
	return list
}

func TestHelpOfAddressesIsTrue(t *testing.T) {
	for _, endpoint := range examplesIn(addressHelp) {
		if _, err := isotpnet.ParseAddrs("can0/" + endpoint); err != nil {
			t.Error(err)
		}
	}
	if n := len(examplesIn(addressHelp)); n != 16 {
		t.Errorf("%d addresses", n)
	}
}

// Each kind of bus that there is has its example.
func TestHelpOfBusesIsTrue(t *testing.T) {
	_, list, _ := strings.Cut(busHelp, "\nBUS:\n")
	list, _, _ = strings.Cut(list, "\nA serial")
	schemes := make(map[string]bool)
	for _, bus := range examplesIn(list) {
		if addr, err := isotpnet.ParseAddr(bus + "/7E0:7E8"); err != nil || addr.Bus() != bus {
			t.Errorf("bus %q: %v, %v", bus, addr, err)
		}
		scheme, _ := canbus.SplitName(bus)
		schemes[scheme] = true
	}
	_, err := canbus.Open(t.Context(), "nosuch:x")
	unknown, _ := errors.AsType[*canbus.UnknownBusError](err)
	for _, scheme := range unknown.Schemes {
		if !schemes[scheme] && scheme != "fake" { // which a test has registered
			t.Errorf("no example of %q", scheme)
		}
	}
}

// With a flag before it, help is a command as others are, of topics only.
func TestHelpBehindAFlag(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.log")
	for _, topic := range []string{"", "nothing", "link up"} {
		isotp(t.Context(), nil, append([]string{"--capture", file, "help"}, words(topic)...)...).want(t, exitUsage, "is no topic: want addresses, buses or hex")
	}
}

func TestHelpOfHexIsTrue(t *testing.T) {
	examples := 0
	for line := range strings.Lines(hexHelp) {
		if text, ok := strings.CutPrefix(line, "\t"); ok {
			examples++
			if p, err := hextext.Parse(text); string(p) != "\x22\xF1\x90" {
				t.Errorf("%q: % X, %v", text, p, err)
			}
		}
	}
	if examples != 9 {
		t.Errorf("%d examples", examples)
	}
}

func TestHelpNamesTheTopics(t *testing.T) {
	for _, command := range []string{"", "send", "link", "link up"} {
		r := isotp(t.Context(), nil, append(words(command), "--help")...)
		if !strings.HasSuffix(r.stdout, "\nMore: isotp help addresses, isotp help buses, isotp help hex.\n") {
			t.Errorf("isotp %s --help ends otherwise:\n%s", command, r.stdout)
		}
	}
}
