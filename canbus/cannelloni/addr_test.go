package cannelloni

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"example.com/isotp/canbus"
)

func TestNames(t *testing.T) {
	local := netip.MustParseAddrPort
	all := netip.AddrPortFrom(netip.Addr{}, 20000)
	udp := func(host string, port uint16) address {
		return address{transport: "udp", host: host, port: port, local: all, mtu: 1500}
	}
	with := func(a address, change func(*address)) address {
		change(&a)
		return a
	}
	for name, want := range map[string]address{
		"udp:192.168.0.2":                 udp("192.168.0.2", 20000),
		"udp:raspberrypi:12000":           udp("raspberrypi", 12000),
		"udp:[fe80::1%eth0]":              udp("fe80::1%eth0", 20000),
		"udp:[::1]:7":                     udp("::1", 7),
		"udp:h@500000":                    with(udp("h", 20000), func(a *address) { a.bitrate = 500_000 }),
		"udp:h:1@none":                    with(udp("h", 1), func(a *address) { a.bitrate = -1 }),
		"udp:h@500000,data=2000000":       with(udp("h", 20000), func(a *address) { a.bitrate, a.dataBitrate = 500_000, 2_000_000 }),
		"udp:h,local=:13000":              with(udp("h", 20000), func(a *address) { a.local = netip.AddrPortFrom(netip.Addr{}, 13000) }),
		"udp:h,local=13000":               with(udp("h", 20000), func(a *address) { a.local = netip.AddrPortFrom(netip.Addr{}, 13000) }),
		"udp:h,local=10.0.0.1:5,mtu=576":  with(udp("h", 20000), func(a *address) { a.local, a.mtu = local("10.0.0.1:5"), 576 }),
		"udp:h,local=[::ffff:10.0.0.1]:5": with(udp("h", 20000), func(a *address) { a.local = local("10.0.0.1:5") }),
		"udp:h,any":                       with(udp("h", 20000), func(a *address) { a.anySource = true }),
		"tcp:h":                           {transport: "tcp", host: "h", port: 20000, local: all, mtu: 1500},
		"tcp:[::1]:5@125000":              {transport: "tcp", host: "::1", port: 5, bitrate: 125_000, local: all, mtu: 1500},
		"tcp-listen:":                     {transport: "tcp-listen", port: 20000, local: all, mtu: 1500},
		"tcp-listen:12000":                {transport: "tcp-listen", port: 12000, local: all, mtu: 1500},
		"tcp-listen::12000":               {transport: "tcp-listen", port: 12000, local: all, mtu: 1500},
		"tcp-listen:127.0.0.1:5,from=h":   {transport: "tcp-listen", host: "127.0.0.1", port: 5, from: "h", local: all, mtu: 1500},
	} {
		if got, err := parseAddress(name); err != nil || *got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

// A bus that has two names is one bus, which has the port that the other would ask for.
func TestNamesOfOneBus(t *testing.T) {
	for name, other := range map[string]string{
		"udp:h": "udp:h:20000", "tcp-listen:": "tcp-listen::20000", "udp:h,local=13000": "udp:h:20000,local=:13000",
	} {
		if a, b := canbus.Identity("cannelloni:"+name), canbus.Identity("cannelloni:"+other); a != b {
			t.Errorf("%s is %s, and %s is %s", name, a, other, b)
		}
	}
	for name, other := range map[string]string{"udp:h": "tcp:h", "udp:h:1": "udp:h:2", "udp:h@500000": "udp:h", "bad": "worse"} {
		if a := canbus.Identity("cannelloni:" + name); a == canbus.Identity("cannelloni:"+other) {
			t.Errorf("%s and %s are both %s", name, other, a)
		}
	}
}

func TestBadNames(t *testing.T) {
	for name, want := range map[string]string{
		"":                      "udp, tcp or tcp-listen",
		"192.168.0.2:20000":     "udp, tcp or tcp-listen",
		"sctp:h":                `"sctp"`,
		"udp:":                  "no host",
		"tcp::20000":            "no host",
		"udp:h:0":               `port "0"`,
		"udp:h:65536":           `port "65536"`,
		"tcp-listen:99999":      `port "99999"`,
		"udp:fe80::1":           `"fe80::1" is not HOST:PORT`,
		"udp:h@":                `bit rate ""`,
		"udp:h@-5":              `bit rate "-5"`,
		"udp:h,data=2000000":    "without a bit rate",
		"udp:h@5,data=none":     "data=none",
		"udp:h,data=x":          `bit rate "x"`,
		"udp:h,local=there:5":   `"there" is not an address`,
		"udp:h,local=:0":        `port "0"`,
		"udp:h,mtu=122":         `mtu "122" is not from 123 to 65535`,
		"udp:h,mtu=":            `mtu ""`,
		"udp:h,from=x":          `"from=x" is not data=BITRATE, local=`,
		"tcp:h,any":             `"any" is not data=BITRATE`,
		"tcp-listen:5,from=":    "from= without",
		"tcp-listen:5,local=:5": "or from=HOST",
	} {
		bus, err := Open(t.Context(), name)
		if _, ok := errors.AsType[*canbus.NameError](err); bus != nil || !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %s", name, bus, err, want)
		}
	}
}

func TestThePeerHasTheFamilyOfTheLocalAddress(t *testing.T) {
	for _, c := range []struct{ host, local, want string }{
		{"127.0.0.1", "", "127.0.0.1:5"},
		{"::1", "", "[::1]:5"},
		{"::1", "[::1]:1", "[::1]:5"},
		{"127.0.0.1", "127.0.0.1:1", "127.0.0.1:5"},
		{"127.0.0.1", "[::1]:1", ""},
		{"::1", "127.0.0.1:1", ""},
	} {
		a := &address{host: c.host, port: 5}
		if c.local != "" {
			a.local = netip.MustParseAddrPort(c.local)
		}
		if got, err := a.resolve(t.Context()); (err != nil) != (c.want == "") || err == nil && got.String() != c.want {
			t.Errorf("%s from %q: %v, %v; want %q", c.host, c.local, got, err, c.want)
		}
	}
}
