package isotpnet_test

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// What users read when they did something wrong, word by word.

func TestBadNetworks(t *testing.T) {
	n := newNetwork(t, virtual.Options{})
	tap := newTap(t, n)
	for _, tc := range []struct{ network, want string }{
		{"", `: unknown network `},
		{"tcp", ` tcp: unknown network tcp`},
		{"isotp:", ` isotp:: unknown network isotp:`},
		{"isotp:kernal", ` isotp:kernal: unknown network isotp:kernal`},
		{"ISOTP", ` ISOTP: unknown network ISOTP`},
		{"isotp:user:x", ` isotp:user:x: unknown network isotp:user:x`},
		{"isotp:kernel", ` isotp:kernel /7E0:7E8: the kernel backend cannot: it needs a network interface of Linux, and there is a Bus in the Dialer or ListenConfig`},
	} {
		t.Run(tc.network, func(t *testing.T) {
			d := isotpnet.Dialer{Bus: tap}
			_, err := d.Dial(tc.network, testerAddr)
			wantRefused(t, err, "dial", tc.network, "dial"+tc.want)
			lc := isotpnet.ListenConfig{Bus: tap}
			_, err = lc.Listen(t.Context(), tc.network, testerAddr)
			wantRefused(t, err, "listen", tc.network, "listen"+tc.want)
		})
	}
}

// The network says what its addresses look like, so it is looked at first.
func TestUnknownNetworkComesBeforeTheAddress(t *testing.T) {
	lc := new(isotpnet.ListenConfig)
	for _, network := range []string{"tcp", "isotp:kernal", "isotp-stream:tcp"} {
		for name, call := range map[string]func(network, address string) error{
			"Dial":   func(network, address string) error { _, err := isotpnet.Dial(network, address); return err },
			"Listen": func(network, address string) error { _, err := isotpnet.Listen(network, address); return err },
			"ListenPacket": func(network, address string) error {
				_, err := lc.ListenPacket(t.Context(), network, address)
				return err
			},
		} {
			for _, address := range []string{"localhost:80", "", "virtual:x/7E0:7E8"} {
				if err := call(network, address); !isUnknownNetwork(err) {
					t.Errorf("%s(%q, %q): %v is no net.UnknownNetworkError", name, network, address, err)
				}
			}
		}
	}
}

func isUnknownNetwork(err error) bool {
	_, ok := errors.AsType[net.UnknownNetworkError](err)
	return ok
}

// wantRefused checks a *net.OpError of Dial or Listen.
func wantRefused(t *testing.T, err error, op, network, want string) {
	t.Helper()
	oe, ok := err.(*net.OpError)
	if !ok {
		t.Fatalf("error is %v (%T), want a *net.OpError", err, err)
	}
	if oe.Op != op || oe.Net != network {
		t.Errorf("Op is %q and Net %q, want %q and %q", oe.Op, oe.Net, op, network)
	}
	if oe.Timeout() {
		t.Errorf("%v is a time-out", err)
	}
	if err.Error() != want {
		t.Errorf("error is\n\t%s\nwant\n\t%s", err, want)
	}
}

func TestBadAddresses(t *testing.T) {
	for _, tc := range []struct{ address, want string }{
		{"", `isotp:user: empty address: want a bus and an endpoint, such as can0/7E0:7E8`},
		{"/", `isotp:user: address /: no endpoint after the last slash: want for example can0/7E0:7E8`},
		{"x", `isotp:user: address x: no slash between bus and endpoint: want for example can0/7E0:7E8`},
		{"virtual:x/", `isotp:user: address virtual:x/: no endpoint after the last slash: want for example can0/7E0:7E8`},
		{"virtual:x/7E0", `isotp:user: address virtual:x/7E0: no colon in "7E0": want SEND:LISTEN, such as 7E0:7E8`},
		{"virtual:x/:", `isotp:user: address virtual:x/:: nothing on either side of the colon: want SEND:LISTEN, such as 7E0:7E8`},
		{"virtual:x/7E0:7E8:7E9", `isotp:user: address virtual:x/7E0:7E8:7E9: more than one colon in "7E0:7E8:7E9": want SEND:LISTEN, such as 7E0:7E8`},
		{"virtual:x/7E0:7E0", `isotp:user: address virtual:x/7E0:7E0: sends to 7E0 and listens on 7E0, and would hear itself: want two different addresses`},
		{"virtual:x/7G0:7E8", `isotp:user: address virtual:x/7G0:7E8: identifier "7G0" is not a hexadecimal number`},
		{"virtual:x/800:7E8", `isotp:user: address virtual:x/800:7E8: identifier 800 is above 7FF, the highest of 11 bits (one of 29 bits is 00000800)`},
		{"virtual:x/7E0:18DAF11", `isotp:user: address virtual:x/7E0:18DAF11: identifier "18DAF11" has 7 digits: want 1 to 3 for 11 bits, or 8 for 29 bits`},
		{"virtual:x/7E0:20000000", `isotp:user: address virtual:x/7E0:20000000: identifier 20000000 is above 1FFFFFFF, the highest of 29 bits`},
		{"virtual:x/7E0#:7E8", `isotp:user: address virtual:x/7E0#:7E8: address byte "" has no digits`},
		{"virtual:x/7E0#123:7E8", `isotp:user: address virtual:x/7E0#123:7E8: address byte "123" has 3 digits: want 1 or 2`},
		{"virtual:x/fixed:10", `isotp:user: address virtual:x/fixed:10: "fixed:10" has no source address: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer`},
		{"virtual:x/fixed:10:F1#99", `isotp:user: address virtual:x/fixed:10:F1#99: "fixed:10:F1#99" has a #, but normal fixed addressing has no address byte: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer`},
		{"virtual:x/fix:10:F1", `isotp:user: address virtual:x/fix:10:F1: "fix" is no addressing mode: want fixed, mixed, func, or SEND:LISTEN, such as 7E0:7E8`},
		{"virtual:x/mixed:10:F1", `isotp:user: address virtual:x/mixed:10:F1: "mixed:10:F1" has no address extension, which mixed addressing puts after a #: want for example mixed:10:F1#99, or mixed::10#99 for the node 10 and any peer`},
		{"virtual:x/func:", `isotp:user: address virtual:x/func:: "func:" has no target address: want for example func:33:F1 or func:33:F1#99, or func:33 for a group that is heard`},
		{"virtual:x/obd:1", `isotp:user: address virtual:x/obd:1: "obd:1" has something after obd, which stands alone`},
		{"virtual:x/7E0:7E8\n", `isotp:user: address virtual:x/7E0:7E8\n: identifier "7E8\n" is not a hexadecimal number`},
		{"virtual:/7E0:7E8", `isotp:user virtual:/7E0:7E8: virtual: a bus needs a name, as in "virtual:demo"`},
		{"/7E0:7E8", `isotp:user /7E0:7E8: address /7E0:7E8: names no bus, as in can0/7E0:7E8, and there is none in the Dialer or ListenConfig`},
	} {
		t.Run(tc.address, func(t *testing.T) {
			_, err := isotpnet.Dial("isotp:user", tc.address)
			wantRefused(t, err, "dial", "isotp:user", "dial "+tc.want)
			_, err = isotpnet.Listen("isotp:user", tc.address)
			wantRefused(t, err, "listen", "isotp:user", "listen "+tc.want)
		})
	}
}

func TestUnknownBus(t *testing.T) {
	_, err := isotpnet.Dial("isotp:user", "nosuch:x/7E0:7E8")
	if unknown, ok := errors.AsType[*canbus.UnknownBusError](err); !ok || unknown.Name != "nosuch:x" {
		t.Fatalf("error is %v (%T)", err, err)
	}
	const want = `dial isotp:user nosuch:x/7E0:7E8: canbus: no driver for bus "nosuch:x" (known: `
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error is %v, want %s...", err, want)
	}
}

func TestAddressesThatCannotBeDialled(t *testing.T) {
	for _, tc := range []struct{ address, want string }{
		{"virtual:x/:7E8", `dial isotp:user virtual:x/:7E8: address virtual:x/:7E8: an address that only listens needs Config.ListenOnly; to be able to answer name both sides, as in can0/7E0:7E8`},
		{"virtual:x/:func:33:F1", `dial isotp:user virtual:x/:func:33:F1: address virtual:x/:func:33:F1: an address that only listens needs Config.ListenOnly; to be able to answer name both sides, as in can0/7E0:7E8`},
		{"virtual:x/fixed::10", `dial isotp:user virtual:x/fixed::10: address virtual:x/fixed::10: this is a pattern for listeners; to dial name both sides, as in can0/7E0:7E8 or can0/fixed:10:F1`},
		{"virtual:x/mixed::10#99", `dial isotp:user virtual:x/mixed::10#99: address virtual:x/mixed::10#99: this is a pattern for listeners; to dial name both sides, as in can0/7E0:7E8 or can0/fixed:10:F1`},
		{"virtual:x/func:33", `dial isotp:user virtual:x/func:33: address virtual:x/func:33: this is a pattern for listeners; to dial name both sides, as in can0/7E0:7E8 or can0/fixed:10:F1`},
		{"virtual:x/obd", `dial isotp:user virtual:x/obd: address virtual:x/obd: this is a pattern for listeners; to dial name both sides, as in can0/7E0:7E8 or can0/fixed:10:F1`},
		{"virtual:x/obd29", `dial isotp:user virtual:x/obd29: address virtual:x/obd29: this is a pattern for listeners; to dial name both sides, as in can0/7E0:7E8 or can0/fixed:10:F1`},
	} {
		t.Run(tc.address, func(t *testing.T) {
			_, err := isotpnet.Dial("isotp:user", tc.address)
			wantRefused(t, err, "dial", "isotp:user", tc.want)
		})
	}
	t.Run("a list", func(t *testing.T) {
		_, err := isotpnet.Dial("isotp:user", "virtual:x/7E8:7E0,7DF")
		wantRefused(t, err, "dial", "isotp:user", `dial isotp:user: address virtual:x/7E8:7E0,7DF: "7E8:7E0,7DF" is a list, which only listeners take: want one endpoint`)
	})
	t.Run("zero", func(t *testing.T) {
		_, err := new(isotpnet.Dialer).DialAddr(t.Context(), "isotp:user", isotpnet.Addr{})
		wantRefused(t, err, "dial", "isotp:user", `dial isotp:user invalid Addr: the zero Addr cannot be dialled; ParseAddr makes one that can`)
	})
}

func TestAddressesThatCannotBeListenedOn(t *testing.T) {
	for _, tc := range []struct{ address, want string }{
		{"virtual:x/7DF:", `listen isotp:user virtual:x/7DF:: address virtual:x/7DF:: to listen name both sides: where to answer, and where the peer sends, as in can0/7E8:7E0 or for any peer can0/fixed::10`},
		{"virtual:x/:7E8", `listen isotp:user virtual:x/:7E8: address virtual:x/:7E8: to listen name both sides: where to answer, and where the peer sends, as in can0/7E8:7E0 or for any peer can0/fixed::10`},
		{"virtual:x/7E8:7E0,7E1:", `listen isotp:user virtual:x/7E8:7E0,7E1:: address virtual:x/7E1:: to listen name both sides: where to answer, and where the peer sends, as in can0/7E8:7E0 or for any peer can0/fixed::10`},
		{"virtual:x/obd", `listen isotp:user virtual:x/obd: address virtual:x/obd: a tester's address is for ListenPacket; to be an ECU listen on a pair and a group, as in can0/7E8:7E0,7DF`},
		{"virtual:x/fixed::10,:7DF", `listen isotp:user virtual:x/fixed::10,:7DF: address virtual:x/:7DF: virtual:x/fixed::10 hears any peer: name the group without a sender, as func:33`},
		{"virtual:x/7E8:7E0,func:33", `listen isotp:user virtual:x/7E8:7E0,func:33: address virtual:x/func:33: a group of any sender needs a node, as fixed::10, and virtual:x/7E8:7E0 is none`},
		{"virtual:x/fixed::10,func:33#99", `listen isotp:user virtual:x/fixed::10,func:33#99: address virtual:x/func:33#99: ListenConfig.Functional must have an address byte if, and only if, virtual:x/fixed::10 listens with one`},
		{"virtual:x/mixed::10#98,func:33#99", `listen isotp:user virtual:x/mixed::10#98,func:33#99: address virtual:x/func:33#99: a group is heard with the address extension of the node, and that of virtual:x/mixed::10#98 is another`},
		{"virtual:x/fixed::10,fixed:F1:10", `listen isotp:user virtual:x/fixed::10,fixed:F1:10: virtual:x/fixed:F1:10 cannot be open beside virtual:x/fixed::10 in one process: both would answer the same messages`},
		{"virtual:x/func:33:F1", `listen isotp:user virtual:x/func:33:F1: address virtual:x/func:33:F1: to listen name both sides: where to answer, and where the peer sends, as in can0/7E8:7E0 or for any peer can0/fixed::10`},
	} {
		t.Run(tc.address, func(t *testing.T) {
			_, err := isotpnet.Listen("isotp:user", tc.address)
			wantRefused(t, err, "listen", "isotp:user", tc.want)
		})
	}
}

// What cannot be compared cannot be found again: the conns on one bus share it.
type (
	incomparableBus struct {
		canbus.Bus
		_ []int
	}
	hidingBus struct {
		canbus.Bus
		any
	}
)

func TestBadDialers(t *testing.T) {
	n := newNetwork(t, virtual.Options{})
	tap := newTap(t, n)
	addr := isotpnet.MustParseAddr
	for _, tc := range []struct {
		name    string
		dialer  isotpnet.Dialer
		address string
		want    string
	}{
		{"no bus", isotpnet.Dialer{}, "/7E0:7E8", `dial isotp:user /7E0:7E8: address /7E0:7E8: names no bus, as in can0/7E0:7E8, and there is none in the Dialer or ListenConfig`},
		{"two buses", isotpnet.Dialer{Bus: tap}, "can0/7E0:7E8", `dial isotp:user can0/7E0:7E8: address can0/7E0:7E8: names a bus although there is one in the Dialer or ListenConfig; leave the part before the slash empty`},
		{"incomparable bus", isotpnet.Dialer{Bus: incomparableBus{Bus: tap}}, "/7E0:7E8", `dial isotp:user /7E0:7E8: a isotpnet_test.incomparableBus cannot be compared with other buses; use a pointer`},
		{"incomparable within", isotpnet.Dialer{Bus: hidingBus{tap, []int{}}}, "/7E0:7E8", `dial isotp:user /7E0:7E8: a isotpnet_test.hidingBus cannot be compared with other buses; use a pointer`},
		{"functional and listen-only", isotpnet.Dialer{Bus: tap, Config: isotpnet.Config{ListenOnly: true}}, "/7DF:", `dial isotp:user /7DF:: address /7DF:: a functional address only sends, and Config.ListenOnly sends nothing`},
		{"a pair for a group", isotpnet.Dialer{Bus: tap, Functional: addr("/7E0:7E8")}, "/7E0:7E8", `dial isotp:user /7E0:7E8: address /7E0:7E8: Dialer.Functional must be an address that only sends, as can0/7DF:`},
		{"a listening group", isotpnet.Dialer{Bus: tap, Functional: addr("/:7DF")}, "/7E0:7E8", `dial isotp:user /7E0:7E8: address /:7DF: Dialer.Functional must be an address that only sends, as can0/7DF:`},
		{"a group of no tester", isotpnet.Dialer{Bus: tap, Functional: addr("/func:33")}, "/7E0:7E8", `dial isotp:user /7E0:7E8: address /func:33: Dialer.Functional must be an address that only sends, as can0/7DF:`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := tc.dialer.Dial("isotp:user", tc.address)
			wantRefused(t, err, "dial", "isotp:user", tc.want)
		})
	}
}

func TestBadListenConfigs(t *testing.T) {
	n := newNetwork(t, virtual.Options{})
	tap := newTap(t, n)
	addr := isotpnet.MustParseAddr
	for _, tc := range []struct {
		name    string
		config  isotpnet.ListenConfig
		address string
		want    string
	}{
		{"no bus", isotpnet.ListenConfig{}, "/7E0:7E8", `listen isotp:user /7E0:7E8: address /7E0:7E8: names no bus, as in can0/7E0:7E8, and there is none in the Dialer or ListenConfig`},
		{"two buses", isotpnet.ListenConfig{Bus: tap}, "can0/7E0:7E8", `listen isotp:user can0/7E0:7E8: address can0/7E0:7E8: names a bus although there is one in the Dialer or ListenConfig; leave the part before the slash empty`},
		{"incomparable bus", isotpnet.ListenConfig{Bus: incomparableBus{Bus: tap}}, "/7E0:7E8", `listen isotp:user /7E0:7E8: a isotpnet_test.incomparableBus cannot be compared with other buses; use a pointer`},
		{"a pair for a group", isotpnet.ListenConfig{Bus: tap, Functional: []isotpnet.Addr{addr("/7E0:7E8")}}, "/7E0:7E8", `listen isotp:user /7E0:7E8: address /7E0:7E8: ListenConfig.Functional must name functional addresses, as /7DF:`},
		{"the zero group", isotpnet.ListenConfig{Bus: tap, Functional: []isotpnet.Addr{{}}}, "/7E0:7E8", `listen isotp:user /7E0:7E8: address invalid Addr: ListenConfig.Functional must name functional addresses, as /7DF:`},
		{"a node for a group", isotpnet.ListenConfig{Bus: tap, Functional: []isotpnet.Addr{addr("/fixed::10")}}, "/7E0:7E8", `listen isotp:user /7E0:7E8: address /fixed::10: ListenConfig.Functional must name functional addresses, as /7DF:`},
		{"a node that only listens", isotpnet.ListenConfig{Bus: tap, Config: isotpnet.Config{ListenOnly: true}}, "/fixed::10", `listen isotp:user /fixed::10: address /fixed::10: with Config.ListenOnly name both sides, as in can0/fixed:10:F1: what is sent to any peer cannot be overheard`},
		{"OBD for a group", isotpnet.ListenConfig{Bus: tap, Functional: []isotpnet.Addr{addr("/obd")}}, "/7E0:7E8", `listen isotp:user /7E0:7E8: address /obd: ListenConfig.Functional must name functional addresses, as /7DF:`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := tc.config.Listen(t.Context(), "isotp:user", tc.address)
			wantRefused(t, err, "listen", "isotp:user", tc.want)
		})
	}
}

func TestBadConfigs(t *testing.T) {
	n := newNetwork(t, virtual.Options{})
	tap := newTap(t, n)
	type badConfig struct {
		config isotpnet.Config
		want   string
	}
	bad := []badConfig{
		{isotpnet.Config{STmin: -1}, `Config.STmin is -1ns: it must be from 0 to 127ms`},
		{isotpnet.Config{STmin: 1}, `Config.STmin is 1ns: a flow control can say 100µs to 900µs in steps of 100µs and 1ms to 127ms in steps of 1ms; the next is 100µs`},
		{isotpnet.Config{STmin: 150 * time.Microsecond}, `Config.STmin is 150µs: a flow control can say 100µs to 900µs in steps of 100µs and 1ms to 127ms in steps of 1ms; the next is 200µs`},
		{isotpnet.Config{STmin: 950 * time.Microsecond}, `Config.STmin is 950µs: a flow control can say 100µs to 900µs in steps of 100µs and 1ms to 127ms in steps of 1ms; the next is 1ms`},
		{isotpnet.Config{STmin: 1500 * time.Microsecond}, `Config.STmin is 1.5ms: a flow control can say 100µs to 900µs in steps of 100µs and 1ms to 127ms in steps of 1ms; the next is 2ms`},
		{isotpnet.Config{STmin: 128 * time.Millisecond}, `Config.STmin is 128ms: it must be from 0 to 127ms`},
		{isotpnet.Config{TransmitTimeout: -1}, `Config.TransmitTimeout is -1ns: it must be above 0, or 0 for the default`},
		{isotpnet.Config{FlowControlTimeout: -1}, `Config.FlowControlTimeout is -1ns: it must be above 0, or 0 for the default`},
		{isotpnet.Config{ConsecutiveFrameTimeout: -1}, `Config.ConsecutiveFrameTimeout is -1ns: it must be above 0, or 0 for the default`},
		{isotpnet.Config{FlowControlHold: time.Second}, `Config.FlowControlHold is 1s: it must be below FlowControlTimeout (1s), or the peer gives up`},
		{isotpnet.Config{FlowControlHold: 75 * time.Millisecond, FlowControlTimeout: 75 * time.Millisecond}, `Config.FlowControlHold is 75ms: it must be below FlowControlTimeout (75ms), or the peer gives up`},
		{isotpnet.Config{BlockSize: -1}, `Config.BlockSize is -1: it must be from 0 to 255`},
		{isotpnet.Config{BlockSize: 256}, `Config.BlockSize is 256: it must be from 0 to 255`},
		{isotpnet.Config{FrameSize: -1}, `Config.FrameSize is -1: it must be one of [8 12 16 20 24 32 48 64], or 0 for the default`},
		{isotpnet.Config{FrameSize: 7}, `Config.FrameSize is 7: it must be one of [8 12 16 20 24 32 48 64], or 0 for the default`},
		{isotpnet.Config{FrameSize: 9, FD: true}, `Config.FrameSize is 9: it must be one of [8 12 16 20 24 32 48 64], or 0 for the default`},
		{isotpnet.Config{FrameSize: 65, FD: true}, `Config.FrameSize is 65: it must be one of [8 12 16 20 24 32 48 64], or 0 for the default`},
		{isotpnet.Config{FrameSize: 12}, `Config.FrameSize is 12: above 8 it needs FD`},
		{isotpnet.Config{MinFrameSize: -1}, `Config.MinFrameSize is -1: it must be from 0 to 8, or with FD one of [8 12 16 20 24 32 48 64]`},
		{isotpnet.Config{MinFrameSize: 9}, `Config.MinFrameSize is 9: it must be from 0 to 8, or with FD one of [8 12 16 20 24 32 48 64]`},
		{isotpnet.Config{MinFrameSize: 12}, `Config.MinFrameSize is 12: it must be from 0 to 8, or with FD one of [8 12 16 20 24 32 48 64]`},
		{isotpnet.Config{MinFrameSize: 9, FD: true}, `Config.MinFrameSize is 9: it must be from 0 to 8, or with FD one of [8 12 16 20 24 32 48 64]`},
		{isotpnet.Config{MinFrameSize: 65, FD: true}, `Config.MinFrameSize is 65: it must be from 0 to 8, or with FD one of [8 12 16 20 24 32 48 64]`},
		{isotpnet.Config{MinFrameSize: 64, FrameSize: 32, FD: true}, `Config.MinFrameSize is 64: it must not be above FrameSize (32)`},
		{isotpnet.Config{MinFrameSize: 4, Padding: isotpnet.NoPadding()}, `Config.MinFrameSize is 4: it must be 0 with NoPadding`},
		{isotpnet.Config{MaxSendSize: -1}, `Config.MaxSendSize is -1: it must be from 1 to 4294967295, or 0 for the default`},
		{isotpnet.Config{ReadBuffer: -1}, `Config.ReadBuffer is -1: it must be from 1 to 2147483647, or 0 for the default`},
		{isotpnet.Config{BRS: true}, `Config.BRS is true: it needs FD`},
		{isotpnet.Config{Pacing: 2}, `Config.Pacing is 2: it must be PaceExact or PaceSpin`},
		{isotpnet.Config{RateLimit: isotpnet.RateLimit{BitsPerSecond: -1}}, `Config.RateLimit.BitsPerSecond is -1: it must be from 1 to 2147483647, or 0 for the default`},
		{isotpnet.Config{RateLimit: isotpnet.RateLimit{Window: -1}}, `Config.RateLimit.Window is -1ns: it must be above 0, or 0 for the default`},
		{isotpnet.Config{RateLimit: isotpnet.RateLimit{Window: time.Second}}, `Config.RateLimit.Window is 1s: it needs BitsPerSecond`},
		{isotpnet.Config{RateLimit: isotpnet.RateLimit{BitsPerSecond: 100}}, `Config.RateLimit is 100: with a Window of 200ms it lets 20 bits pass at once; a frame has 64`},
		{isotpnet.Config{RateLimit: isotpnet.RateLimit{BitsPerSecond: 1000, Window: 500 * time.Millisecond}, FD: true}, `Config.RateLimit is 1000: with a Window of 500ms it lets 500 bits pass at once; a frame has 512`},
	}
	if strconv.IntSize > 32 { // an int of 32 bits is not above these limits
		bad = append(bad,
			badConfig{isotpnet.Config{MaxMessageSize: math.MaxInt}, `Config.MaxMessageSize is 9223372036854775807: it must be at most 4294967295`},
			badConfig{isotpnet.Config{MaxSendSize: math.MaxInt}, `Config.MaxSendSize is 9223372036854775807: it must be from 1 to 4294967295, or 0 for the default`},
			badConfig{isotpnet.Config{ReadBuffer: math.MaxInt}, `Config.ReadBuffer is 9223372036854775807: it must be from 1 to 2147483647, or 0 for the default`},
		)
	}
	for _, tc := range bad {
		t.Run(tc.want, func(t *testing.T) {
			d := isotpnet.Dialer{Bus: tap, Config: tc.config}
			_, err := d.Dial("isotp:user", testerAddr)
			wantRefused(t, err, "dial", "isotp:user", "dial isotp:user /7E0:7E8: "+tc.want)
			if _, ok := errors.AsType[*isotpnet.ConfigError](err); !ok {
				t.Errorf("%v is no *ConfigError", err)
			}
			lc := isotpnet.ListenConfig{Bus: tap, Config: tc.config}
			_, err = lc.Listen(t.Context(), "isotp:user", ecuAddr)
			wantRefused(t, err, "listen", "isotp:user", "listen isotp:user /7E8:7E0: "+tc.want)
			_, _, err = isotpnet.Pipe(&tc.config)
			wantRefused(t, err, "dial", "isotp", "dial isotp /7E0:7E8: "+tc.want)
		})
	}
	t.Run("FD", func(t *testing.T) {
		classic := newTap(t, newNetwork(t, virtual.Options{Classic: true}))
		d := isotpnet.Dialer{Bus: classic, Config: isotpnet.Config{FD: true}}
		_, err := d.Dial("isotp:user", testerAddr)
		wantRefused(t, err, "dial", "isotp:user", `dial isotp:user /7E0:7E8: Config.FD is true: the bus carries classic CAN only`)
	})
}

// Extreme values that are not wrong must work.
func TestExtremeConfigs(t *testing.T) {
	const longest = time.Duration(math.MaxInt64)
	for name, c := range map[string]isotpnet.Config{
		"endless time-outs":       {TransmitTimeout: longest, FlowControlTimeout: longest, ConsecutiveFrameTimeout: longest},
		"endless hold":            {FlowControlTimeout: longest, FlowControlHold: longest - 1},
		"shortest time-outs":      {FlowControlHold: math.MinInt64, MaxWaitFramesReceived: math.MinInt, MaxWaitFramesSent: math.MinInt},
		"as many WAITs as can be": {MaxWaitFramesReceived: math.MaxInt, MaxWaitFramesSent: math.MaxInt},
		"unlimited messages":      {MaxMessageSize: math.MinInt, MaxSendSize: min(math.MaxUint32, math.MaxInt), ReadBuffer: math.MaxInt32},
		"smallest messages":       {MaxMessageSize: 1, ReadBuffer: 1},
		"endless rate window":     {RateLimit: isotpnet.RateLimit{BitsPerSecond: math.MaxInt32, Window: longest}},
		"shortest rate window":    {RateLimit: isotpnet.RateLimit{BitsPerSecond: math.MaxInt32, Window: 1 * time.Microsecond}},
		"no STmin":                {STmin: 127 * time.Millisecond, OverrideSTmin: math.MinInt64},
		"block size 255":          {BlockSize: 255},
		"no padding":              {Padding: isotpnet.NoPadding()},
		"smallest frames":         {MinFrameSize: 1, FrameSize: 8, FD: true},
		"largest frames":          {MinFrameSize: 64, FrameSize: 64, FD: true, BRS: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c1, c2 := newPipe(t, &c)
				sizes := []int{1, 7, 62, 63, 4095, 5000}
				if c.MaxMessageSize == 1 {
					sizes = []int{1, 7}
				}
				for _, n := range sizes {
					beginWrite(t, c1, payload(n))
					wantRead(t, c2, payload(n))
				}
			})
		})
	}
}

func TestBadCalls(t *testing.T) {
	n := newNetwork(t, virtual.Options{})
	tap := newTap(t, n)
	functional := isotpnet.MustParseAddr("/7DF:")
	pair := dialWith(t, isotpnet.Dialer{Bus: tap, Functional: functional, Config: isotpnet.Config{MaxSendSize: 100}}, testerAddr)
	without := dialOn(t, tap, "/7E1:7E9", isotpnet.Config{})
	fixed := dialWith(t, isotpnet.Dialer{Bus: tap, Functional: isotpnet.MustParseAddr("/6F1#EF:")}, "/641#55:642#F1")
	fd := dialWith(t, isotpnet.Dialer{Bus: tap, Functional: functional, Config: isotpnet.Config{FD: true}}, "/7E2:7EA")
	group := dialOn(t, tap, "/7DF:", isotpnet.Config{})
	listening := dialOn(t, tap, testerAddr, isotpnet.Config{ListenOnly: true})
	read := func(c *isotpnet.Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	write := func(n int) func(c *isotpnet.Conn) error {
		return func(c *isotpnet.Conn) error { _, err := c.Write(make([]byte, n)); return err }
	}
	toGroup := func(n int) func(c *isotpnet.Conn) error {
		return func(c *isotpnet.Conn) error { _, err := c.WriteFunctional(make([]byte, n)); return err }
	}
	sendFrom := func(n int64) func(c *isotpnet.Conn) error {
		return func(c *isotpnet.Conn) error { return c.SendFrom(randomBytes(0), n) }
	}
	for _, tc := range []struct {
		name   string
		conn   *isotpnet.Conn
		call   func(c *isotpnet.Conn) error
		op     string
		target error
		want   string
	}{
		{"read a group", group, read, "read", isotpnet.ErrSendOnly, `read isotp:user /:7DF->/7DF:: a functional address only sends; each ECU answers on its own physical address`},
		{"next of a group", group, func(c *isotpnet.Conn) error { _, _, err := c.NextReader(); return err }, "read", isotpnet.ErrSendOnly, `read isotp:user /:7DF->/7DF:: a functional address only sends; each ECU answers on its own physical address`},
		{"long to a group", group, write(8), "write", isotpnet.ErrMessageTooLong, `write isotp:user /:7DF->/7DF:: message too long: 8 bytes, at most 7 can be sent: a functional request is a single frame, longer ones go to one ECU each`},
		{"stream to a group", group, sendFrom(8), "write", isotpnet.ErrMessageTooLong, `write isotp:user /:7DF->/7DF:: message too long: 8 bytes, at most 7 can be sent: a functional request is a single frame, longer ones go to one ECU each`},
		{"write listening", listening, write(1), "write", isotpnet.ErrListenOnly, `write isotp:user /7E8:7E0->/7E0:7E8: Config.ListenOnly: nothing can be sent`},
		{"too long", pair, write(101), "write", syscall.EMSGSIZE, `write isotp:user /7E8:7E0->/7E0:7E8: message too long: 101 bytes, at most 100 can be sent: Config.MaxSendSize; for bytes of any number there are Config.SplitWrites and isotp-stream`},
		{"too long a stream", pair, sendFrom(101), "write", syscall.EMSGSIZE, `write isotp:user /7E8:7E0->/7E0:7E8: message too long: 101 bytes, at most 100 can be sent: Config.MaxSendSize`},
		{"negative stream", pair, sendFrom(-1), "write", isotpnet.ErrMessageTooLong, `write isotp:user /7E8:7E0->/7E0:7E8: a message cannot have -1 bytes: the size must be from 0 to 100`},
		{"stream over 32 bits", without, sendFrom(math.MaxUint32 + 1), "write", syscall.EMSGSIZE, `write isotp:user /7E9:7E1->/7E1:7E9: message too long: 4294967296 bytes, at most 4294967295 can be sent: ISO-TP has no longer messages`},
		{"long to the group", pair, toGroup(8), "write", isotpnet.ErrMessageTooLong, `write isotp:user /7E8:7E0->/7E0:7E8: message too long: 8 bytes, at most 7 can be sent: a functional request is a single frame, longer ones go to one ECU each`},
		{"too long to the group", pair, toGroup(101), "write", isotpnet.ErrMessageTooLong, `write isotp:user /7E8:7E0->/7E0:7E8: message too long: 101 bytes, at most 100 can be sent: Config.MaxSendSize`},
		{"long to the extended group", fixed, toGroup(7), "write", isotpnet.ErrMessageTooLong, `write isotp:user /642#F1:641#55->/641#55:642#F1: message too long: 7 bytes, at most 6 can be sent: a functional request is a single frame, longer ones go to one ECU each`},
		{"long to the FD group", fd, toGroup(63), "write", isotpnet.ErrMessageTooLong, `write isotp:user /7EA:7E2->/7E2:7EA: message too long: 63 bytes, at most 62 can be sent: a functional request is a single frame, longer ones go to one ECU each`},
		{"no group", without, toGroup(1), "write", nil, `write isotp:user /7E9:7E1->/7E1:7E9: there is no functional address to write to: set Dialer.Functional`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := tc.conn.Stats().FramesSent
			err := tc.call(tc.conn)
			if err == nil {
				t.Fatal("no error")
			}
			if err.Error() != tc.want {
				t.Errorf("error is\n\t%s\nwant\n\t%s", err, tc.want)
			}
			if tc.target != nil {
				wantErr(t, err, tc.op, tc.conn, tc.target)
			}
			if err.(net.Error).Timeout() {
				t.Error("it is a time-out")
			}
			if tc.conn.Stats().FramesSent != before {
				t.Error("something was sent")
			}
		})
	}
	if n, err := group.Write(make([]byte, 7)); n != 7 || err != nil {
		t.Errorf("what fits: %d, %v", n, err)
	}
	if n, err := fd.WriteFunctional(make([]byte, 62)); n != 62 || err != nil {
		t.Errorf("what fits: %d, %v", n, err)
	}
	if n, err := fixed.WriteFunctional(make([]byte, 6)); n != 6 || err != nil {
		t.Errorf("what fits: %d, %v", n, err)
	}
}

func TestTextsOfErrorsOfAConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		_, timeoutBs := c.Write(make([]byte, 100))
		c.SetDeadline(time.Unix(1, 0))
		_, deadline := c.Read(make([]byte, 1))
		_, writeDeadline := c.Write(make([]byte, 1))
		c.Close()
		_, closed := c.Read(make([]byte, 1))
		_, _, next := c.NextReader()
		for _, tc := range []struct {
			err  error
			want string
		}{
			{timeoutBs, `write isotp:user /7E8:7E0->/7E0:7E8: N_TIMEOUT_Bs: no flow control came in time`},
			{deadline, `read isotp:user /7E8:7E0->/7E0:7E8: i/o timeout`},
			{writeDeadline, `write isotp:user /7E8:7E0->/7E0:7E8: i/o timeout`},
			{closed, `read isotp:user /7E8:7E0->/7E0:7E8: use of closed network connection`},
			{next, `read isotp:user /7E8:7E0->/7E0:7E8: use of closed network connection`},
		} {
			if tc.err.Error() != tc.want {
				t.Errorf("error is\n\t%s\nwant\n\t%s", tc.err, tc.want)
			}
		}
		if errors.Is(timeoutBs, os.ErrDeadlineExceeded) {
			t.Error("a protocol time-out is taken for a deadline")
		}
	})
}

func TestDialWithACancelledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := new(isotpnet.Dialer).DialContext(ctx, "isotp:user", "virtual:cancelled/7E0:7E8")
	wantRefused(t, err, "dial", "isotp:user", `dial isotp:user virtual:cancelled/7E0:7E8: context canceled`)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
	lc := new(isotpnet.ListenConfig)
	_, err = lc.Listen(ctx, "isotp:user", "virtual:cancelled/7E0:7E8")
	wantRefused(t, err, "listen", "isotp:user", `listen isotp:user virtual:cancelled/7E0:7E8: context canceled`)
}

// slowBuses are opened when the test says so, by "slow:" and the test's name.
var slowBuses = make(chan func() (canbus.Bus, error), 1)

func init() {
	canbus.Register("slow", func(context.Context, string) (canbus.Bus, error) { return (<-slowBuses)() })
}

func TestDialerTimeout(t *testing.T) {
	for _, tc := range []struct {
		name string
		open func(d isotpnet.Dialer, ctx context.Context) error
	}{
		{"Dialer.Timeout", func(d isotpnet.Dialer, ctx context.Context) error {
			d.Timeout = 3 * time.Second
			_, err := d.DialContext(ctx, "isotp:user", "slow:x/7E0:7E8")
			return err
		}},
		{"context", func(d isotpnet.Dialer, ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			_, err := d.DialContext(ctx, "isotp:user", "slow:x/7E0:7E8")
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opening := make(chan struct{})
				bus := newPlainBus(t)
				slowBuses <- func() (canbus.Bus, error) {
					<-opening
					return bus, nil
				}
				start := time.Now()
				err := tc.open(isotpnet.Dialer{}, t.Context())
				wantSince(t, start, 3*time.Second)
				if want := "dial isotp:user slow:x/7E0:7E8: i/o timeout"; err == nil || err.Error() != want {
					t.Errorf("error is %v, want %s", err, want)
				}
				wantErr(t, err, "dial", nil, context.DeadlineExceeded)
				if !err.(net.Error).Timeout() {
					t.Error("it is no time-out")
				}
				// The bus that comes too late is closed.
				close(opening)
				<-bus.closed
			})
		})
	}
}

// One that gives up does not take the opening away from the others.
func TestDialsOfASlowBusShareItsOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opening := make(chan struct{})
		bus := newPlainBus(t)
		slowBuses <- func() (canbus.Bus, error) { // there is no second one
			<-opening
			return bus, nil
		}
		d := isotpnet.Dialer{Timeout: 20 * time.Millisecond}
		first := make(chan error)
		go func() {
			_, err := d.Dial("isotp:user", "slow:x/7E0:7E8")
			first <- err
		}()
		synctest.Wait()
		beside(t, func() {
			c, err := isotpnet.Dial("isotp:user", "slow:x/7E0:7E8")
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
		synctest.Wait()
		wantErr(t, <-first, "dial", nil, context.DeadlineExceeded)
		close(opening)
		<-bus.closed
	})
}

func TestNegativeDialerTimeoutHasPassed(t *testing.T) {
	d := isotpnet.Dialer{Timeout: -1}
	_, err := d.Dial("isotp:user", "virtual:negative/7E0:7E8")
	wantErr(t, err, "dial", nil, context.DeadlineExceeded)
	if err == nil || !err.(net.Error).Timeout() {
		t.Errorf("error is %v, want a time-out", err)
	}
}

func TestDriversErrorIsDialsError(t *testing.T) {
	for range 2 { // a failure is not remembered
		slowBuses <- func() (canbus.Bus, error) { return nil, syscall.ENODEV }
		_, err := isotpnet.Dial("isotp:user", "slow:x/7E0:7E8")
		wantErr(t, err, "dial", nil, syscall.ENODEV)
	}
}

// A network that is known but cannot do what is asked of it is told apart from one that
// is not known.
func TestNetworkOfAnotherKind(t *testing.T) {
	addr := isotpnet.MustParseAddr("virtual:kind/7E0:7E8")
	_, stream := new(isotpnet.Dialer).DialStream(t.Context(), "isotp:user", addr)
	_, messages := new(isotpnet.Dialer).DialAddr(t.Context(), "isotp-stream", addr)
	_, packets := isotpnet.ListenPacket("isotp-stream:user", "virtual:kind/fixed::F1")
	for _, c := range []struct {
		err  error
		want string
	}{
		{stream, "network isotp:user carries messages; connections as TCP's are on isotp-stream"},
		{messages, "network isotp-stream carries connections as TCP's: use Dial"},
		{packets, "network isotp-stream:user carries connections as TCP's, which have no packets"},
	} {
		if _, ok := errors.AsType[net.UnknownNetworkError](c.err); !ok || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("the error is %v, want %q", c.err, c.want)
		}
	}
}
