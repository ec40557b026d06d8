package isotpnet

import (
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"example.com/isotp/internal/wire"
)

func id11(id uint32) wire.Address { return wire.Address{ID: id} }
func id29(id uint32) wire.Address { return wire.Address{ID: id, Extended: true} }
func fixed29(id uint32) wire.Address {
	return wire.Address{ID: id, Extended: true, Open: wire.OpenPriority}
}

func TestParseAddrGivesWhatIsOnTheWire(t *testing.T) {
	none := wire.Address{}
	tests := []struct {
		text, canonical string
		kind            Kind
		send, listen    wire.Address
	}{
		// Normal addressing.
		{"vcan0/0x7E0:0x7E8", "vcan0/7E0:7E8", KindPair, id11(0x7E0), id11(0x7E8)},
		{"can0/7e0:0X7e8", "can0/7E0:7E8", KindPair, id11(0x7E0), id11(0x7E8)},
		{"can0/1:0x23", "can0/001:023", KindPair, id11(1), id11(0x23)},
		{"can0/0:7FF", "can0/000:7FF", KindPair, id11(0), id11(0x7FF)},
		{"can0/18DAF110:18da10f1", "can0/18DAF110:18DA10F1", KindPair, id29(0x18DAF110), id29(0x18DA10F1)},
		{"can0/0x00000123:123", "can0/00000123:123", KindPair, id29(0x123), id11(0x123)},
		{"can0/1FFFFFFF:00000000", "can0/1FFFFFFF:00000000", KindPair, id29(0x1FFFFFFF), id29(0)},
		// Extended addressing, and mixed with 11 bits.
		{"can0/641#55:642#F1", "can0/641#55:642#F1", KindPair,
			withByte(id11(0x641), 0x55), withByte(id11(0x642), 0xF1)},
		{"can0/0x641#0x5:642#f1", "can0/641#05:642#F1", KindPair,
			withByte(id11(0x641), 0x05), withByte(id11(0x642), 0xF1)},
		{"can0/18DA0001#0:18DA0002#FF", "can0/18DA0001#00:18DA0002#FF", KindPair,
			withByte(id29(0x18DA0001), 0), withByte(id29(0x18DA0002), 0xFF)},
		{"can0/641#99:642#99", "can0/641#99:642#99", KindPair,
			withByte(id11(0x641), 0x99), withByte(id11(0x642), 0x99)},
		{"can0/641#1:641#2", "can0/641#01:641#02", KindPair,
			withByte(id11(0x641), 1), withByte(id11(0x641), 2)},
		// Asymmetric pairs.
		{"can0/641#55:642", "can0/641#55:642", KindPair, withByte(id11(0x641), 0x55), id11(0x642)},
		{"can0/641#55:18DAF110", "can0/641#55:18DAF110", KindPair,
			withByte(id11(0x641), 0x55), id29(0x18DAF110)},
		// Normal fixed and mixed addressing with 29 bits.
		{"can0/fixed:10:F1", "can0/fixed:10:F1", KindPair, fixed29(0x18DA10F1), fixed29(0x18DAF110)},
		{"can0/fixed:0x1:0Xf", "can0/fixed:01:0F", KindPair, fixed29(0x18DA010F), fixed29(0x18DA0F01)},
		{"can0/mixed:10:F1#99", "can0/mixed:10:F1#99", KindPair,
			withByte(fixed29(0x18CE10F1), 0x99), withByte(fixed29(0x18CEF110), 0x99)},
		{"can0/fixed@14DA:10:F1", "can0/fixed@14DA:10:F1", KindPair, fixed29(0x14DA10F1), fixed29(0x14DAF110)},
		{"can0/fixed@0x00ef:10:F1", "can0/fixed@00EF:10:F1", KindPair, fixed29(0xEF10F1), fixed29(0xEFF110)},
		{"can0/fixed@18DA:10:F1", "can0/fixed:10:F1", KindPair, fixed29(0x18DA10F1), fixed29(0x18DAF110)},
		{"can0/mixed@1FFF:10:F1#0", "can0/mixed@1FFF:10:F1#00", KindPair,
			withByte(fixed29(0x1FFF10F1), 0), withByte(fixed29(0x1FFFF110), 0)},
		// Functional addresses.
		{"can0/7DF:", "can0/7DF:", KindFunctional, id11(0x7DF), none},
		{"can0/6F1#EF:", "can0/6F1#EF:", KindFunctional, withByte(id11(0x6F1), 0xEF), none},
		{"can0/18DB33F1:", "can0/18DB33F1:", KindFunctional, id29(0x18DB33F1), none},
		{"can0/func:33:F1", "can0/func:33:F1", KindFunctional, fixed29(0x18DB33F1), none},
		{"can0/func:33:F1#99", "can0/func:33:F1#99", KindFunctional, withByte(fixed29(0x18CD33F1), 0x99), none},
		{"can0/func@10DB:FE:F1", "can0/func@10DB:FE:F1", KindFunctional, fixed29(0x10DBFEF1), none},
		{"can0/func@18CD:33:F1#99", "can0/func:33:F1#99", KindFunctional, withByte(fixed29(0x18CD33F1), 0x99), none},
		{"can0/func@18CD:33:F1", "can0/func@18CD:33:F1", KindFunctional, fixed29(0x18CD33F1), none},
		// Listening only.
		{"can0/:7E8", "can0/:7E8", KindListenOnly, none, id11(0x7E8)},
		{"can0/:642#f1", "can0/:642#F1", KindListenOnly, none, withByte(id11(0x642), 0xF1)},
		{"can0/:18DAF110", "can0/:18DAF110", KindListenOnly, none, id29(0x18DAF110)},
		{"can0/:func:33:F1", "can0/:func:33:F1", KindListenOnly, none, fixed29(0x18DB33F1)},
		{"can0/:func@10DB:33:F1#1", "can0/:func@10DB:33:F1#01", KindListenOnly, none,
			withByte(fixed29(0x10DB33F1), 1)},
		// Patterns, which have no one address to listen on.
		{"can0/fixed::10", "can0/fixed::10", KindNode, none, none},
		{"can0/fixed@14DA::10", "can0/fixed@14DA::10", KindNode, none, none},
		{"can0/mixed::F1#99", "can0/mixed::F1#99", KindNode, none, none},
		{"can0/func:33", "can0/func:33", KindGroup, none, none},
		{"can0/func:33#99", "can0/func:33#99", KindGroup, none, none},
		{"can0/func@10DB:FE", "can0/func@10DB:FE", KindGroup, none, none},
		{"can0/obd", "can0/obd", KindOBD, id11(0x7DF), none},
		{"can0/obd29", "can0/obd29", KindOBD, fixed29(0x18DB33F1), none},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			a, err := ParseAddr(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.String(); got != tt.canonical {
				t.Errorf("String() = %q, want %q", got, tt.canonical)
			}
			if a.kind != tt.kind {
				t.Errorf("kind = %d, want %d", a.kind, tt.kind)
			}
			if again, err := ParseAddr(tt.canonical); again != a {
				t.Errorf("the canonical text parses to %v, %v", again, err)
			}
			send, ok := a.send()
			if send != tt.send || ok != (tt.kind == KindPair || tt.kind == KindFunctional || tt.kind == KindOBD) {
				t.Errorf("send() = %+v, %v, want %+v", send, ok, tt.send)
			}
			listen, ok := a.listen()
			if listen != tt.listen || ok != (tt.kind == KindPair || tt.kind == KindListenOnly) {
				t.Errorf("listen() = %+v, %v, want %+v", listen, ok, tt.listen)
			}
		})
	}
}

func TestParseAddrSplitsAtTheLastSlash(t *testing.T) {
	for _, bus := range []string{
		"", "vcan0", "virtual:NAME", "virtual:", "udp:239.74.163.2:43113", "udp:[ff02::1]:43113",
		"slcan:/dev/ttyACM0@500000", "socketcand:HOST:29536/can0", "slcan:COM3", "a,b#c",
	} {
		a, err := ParseAddr(bus + "/7E0:7E8")
		if err != nil {
			t.Errorf("%q: %v", bus, err)
			continue
		}
		if a.Bus() != bus || a.String() != bus+"/7E0:7E8" {
			t.Errorf("%q: Bus() = %q, String() = %q", bus, a.Bus(), a)
		}
	}
}

func TestAddrErrorsSayWhatIsWrongAndWhatWouldBeRight(t *testing.T) {
	tests := []struct{ text, want string }{
		// The two parts.
		{"", `empty address: want a bus and an endpoint, such as can0/7E0:7E8`},
		{"can0", `address can0: no slash between bus and endpoint: want for example can0/7E0:7E8`},
		{"7E0:7E8", `address 7E0:7E8: no slash between bus and endpoint: want for example can0/7E0:7E8`},
		{"can0/", `address can0/: no endpoint after the last slash: want for example can0/7E0:7E8`},
		{"/", `address /: no endpoint after the last slash: want for example can0/7E0:7E8`},
		{"slcan:/dev/ttyACM0@500000", `address slcan:/dev/ttyACM0@500000: no colon in "ttyACM0@500000": want SEND:LISTEN, such as 7E0:7E8`},
		{"socketcand:HOST:1/can0", `address socketcand:HOST:1/can0: no colon in "can0": want SEND:LISTEN, such as 7E0:7E8`},
		// The colon.
		{"can0/7E0", `address can0/7E0: no colon in "7E0": want SEND:LISTEN, such as 7E0:7E8`},
		{"can0/:", `address can0/:: nothing on either side of the colon: want SEND:LISTEN, such as 7E0:7E8`},
		{"can0/7E0:7E8:7E9", `address can0/7E0:7E8:7E9: more than one colon in "7E0:7E8:7E9": want SEND:LISTEN, such as 7E0:7E8`},
		{"can0/7E0::7E8", `address can0/7E0::7E8: more than one colon in "7E0::7E8": want SEND:LISTEN, such as 7E0:7E8`},
		{"can0/:fixed:10:F1", `address can0/:fixed:10:F1: more than one colon in ":fixed:10:F1": want SEND:LISTEN, such as 7E0:7E8`},
		// Identifiers.
		{"can0/7E00:7E8", `address can0/7E00:7E8: identifier "7E00" has 4 digits: want 1 to 3 for 11 bits, or 8 for 29 bits`},
		{"can0/7E0:0x8DAF110", `address can0/7E0:0x8DAF110: identifier "0x8DAF110" has 7 digits: want 1 to 3 for 11 bits, or 8 for 29 bits`},
		{"can0/7E0:018DAF110", `address can0/7E0:018DAF110: identifier "018DAF110" has 9 digits: want 1 to 3 for 11 bits, or 8 for 29 bits`},
		{"can0/800:7E8", `address can0/800:7E8: identifier 800 is above 7FF, the highest of 11 bits (one of 29 bits is 00000800)`},
		{"can0/7E0:FFF", `address can0/7E0:FFF: identifier FFF is above 7FF, the highest of 11 bits (one of 29 bits is 00000FFF)`},
		{"can0/20000000:", `address can0/20000000:: identifier 20000000 is above 1FFFFFFF, the highest of 29 bits`},
		{"can0/:FFFFFFFF", `address can0/:FFFFFFFF: identifier FFFFFFFF is above 1FFFFFFF, the highest of 29 bits`},
		{"can0/7G0:7E8", `address can0/7G0:7E8: identifier "7G0" is not a hexadecimal number`},
		{"can0/7E0 :7E8", `address can0/7E0 :7E8: identifier "7E0 " is not a hexadecimal number`},
		{"can0/-7E:7E8", `address can0/-7E:7E8: identifier "-7E" is not a hexadecimal number`},
		{"can0/7_0:7E8", `address can0/7_0:7E8: identifier "7_0" is not a hexadecimal number`},
		{"can0/0x:7E8", `address can0/0x:7E8: identifier "0x" has no digits`},
		{"can0/0x0x7:7E8", `address can0/0x0x7:7E8: identifier "0x0x7" is not a hexadecimal number`},
		{"can0/7É0:7E8", `address can0/7É0:7E8: identifier "7É0" is not a hexadecimal number`},
		{"can0/٧:7E8", `address can0/٧:7E8: identifier "٧" is not a hexadecimal number`},
		{"can0/\x1b[1m:\xff", `address can0/\x1b[1m:\xff: identifier "\x1b[1m" is not a hexadecimal number`},
		// Bytes.
		{"can0/641#:642", `address can0/641#:642: address byte "" has no digits`},
		{"can0/641#155:642", `address can0/641#155:642: address byte "155" has 3 digits: want 1 or 2`},
		{"can0/641#G5:642", `address can0/641#G5:642: address byte "G5" is not a hexadecimal number`},
		{"can0/641#55#66:642", `address can0/641#55#66:642: address byte "55#66" is not a hexadecimal number`},
		{"can0/#55:642", `address can0/#55:642: no identifier before the # in "#55": want for example 641#55`},
		{"can0/641:#", `address can0/641:#: no identifier before the # in "#": want for example 641#55`},
		// Pairs that hear themselves.
		{"can0/7E0:7E0", `address can0/7E0:7E0: sends to 7E0 and listens on 7E0, and would hear itself: want two different addresses`},
		{"can0/7E0#1:7E0#01", `address can0/7E0#1:7E0#01: sends to 7E0#01 and listens on 7E0#01, and would hear itself: want two different addresses`},
		{"can0/7E0#1:7E0", `address can0/7E0#1:7E0: sends to 7E0#01 and listens on 7E0, and would hear itself: want two different addresses`},
		{"can0/fixed:10:10", `address can0/fixed:10:10: sends to 18DA1010 and listens on 18DA1010, and would hear itself: want two different addresses`},
		// Words.
		{"can0/foo:10:F1", `address can0/foo:10:F1: "foo" is no addressing mode: want fixed, mixed, func, or SEND:LISTEN, such as 7E0:7E8`},
		{"can0/FIXED:10:F1", `address can0/FIXED:10:F1: "FIXED" is no addressing mode: want fixed, mixed, func, or SEND:LISTEN, such as 7E0:7E8`},
		{"can0/obd:", `address can0/obd:: "obd:" has something after obd, which stands alone`},
		{"can0/obd29#55", `address can0/obd29#55: "obd29#55" has something after obd29, which stands alone`},
		{"can0/obd11", `address can0/obd11: no colon in "obd11": want SEND:LISTEN, such as 7E0:7E8`},
		// Normal fixed and mixed addressing.
		{"can0/fixed", `address can0/fixed: "fixed" has no source address: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer`},
		{"can0/fixed:10", `address can0/fixed:10: "fixed:10" has no source address: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer`},
		{"can0/fixed:10:", `address can0/fixed:10:: "fixed:10:" has no source address: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer`},
		{"can0/fixed::", `address can0/fixed::: "fixed::" has no source address: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer`},
		{"can0/fixed:10:F1:22", `address can0/fixed:10:F1:22: "fixed:10:F1:22" has something that fixed does not take: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer`},
		{"can0/fixed#1:10:F1", `address can0/fixed#1:10:F1: "fixed#1:10:F1" has something that fixed does not take: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer`},
		{"can0/fixed:10:F1#99", `address can0/fixed:10:F1#99: "fixed:10:F1#99" has a #, but normal fixed addressing has no address byte: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer`},
		{"can0/fixed:110:F1", `address can0/fixed:110:F1: target address "110" has 3 digits: want 1 or 2`},
		{"can0/fixed:10:0xF1F", `address can0/fixed:10:0xF1F: source address "0xF1F" has 3 digits: want 1 or 2`},
		{"can0/fixed:1O:F1", `address can0/fixed:1O:F1: target address "1O" is not a hexadecimal number`},
		{"can0/mixed:10:F1", `address can0/mixed:10:F1: "mixed:10:F1" has no address extension, which mixed addressing puts after a #: want for example mixed:10:F1#99, or mixed::10#99 for the node 10 and any peer`},
		{"can0/mixed:10:F1#", `address can0/mixed:10:F1#: address extension "" has no digits`},
		{"can0/mixed:10#99:F1", `address can0/mixed:10#99:F1: "mixed:10#99:F1" has no source address: want for example mixed:10:F1#99, or mixed::10#99 for the node 10 and any peer`},
		{"can0/fixed@:10:F1", `address can0/fixed@:10:F1: upper half of the identifier "" has no digits`},
		{"can0/fixed@DA:10:F1", `address can0/fixed@DA:10:F1: upper half of the identifier "DA" has 2 digits: want 4, such as 18DA`},
		{"can0/fixed@18DA0000:10:F1", `address can0/fixed@18DA0000:10:F1: upper half of the identifier "18DA0000" has 8 digits: want 4, such as 18DA`},
		{"can0/fixed@2000:10:F1", `address can0/fixed@2000:10:F1: upper half of the identifier "2000" is above 1FFF, the highest of 29 bits`},
		{"can0/fixed@18DA@18DA:10:F1", `address can0/fixed@18DA@18DA:10:F1: upper half of the identifier "18DA@18DA" is not a hexadecimal number`},
		// Functional addresses.
		{"can0/func", `address can0/func: "func" has no target address: want for example func:33:F1 or func:33:F1#99, or func:33 for a group that is heard`},
		{"can0/func::F1", `address can0/func::F1: "func::F1" has no target address: want for example func:33:F1 or func:33:F1#99, or func:33 for a group that is heard`},
		{"can0/func:33:", `address can0/func:33:: "func:33:" has no source address: want for example func:33:F1 or func:33:F1#99, or func:33 for a group that is heard`},
		{"can0/:func:33", `address can0/:func:33: ":func:33" has no source address: want for example :func:33:F1, or func:33 for any source`},
		{"can0/:func", `address can0/:func: "func" has no target address: want for example func:33:F1 or func:33:F1#99, or func:33 for a group that is heard`},
		// Lists.
		{"can0/7E8:7E0,7DF", `address can0/7E8:7E0,7DF: "7E8:7E0,7DF" is a list, which only listeners take: want one endpoint`},
		// Endless input.
		{"can0/" + strings.Repeat("7", 1<<20) + ":7E8", `address can0/` + strings.Repeat("7", 59) + `...: identifier "` + strings.Repeat("7", 64) + `..." has 1048576 digits: want 1 to 3 for 11 bits, or 8 for 29 bits`},
	}
	for _, tt := range tests {
		name := tt.text[:min(len(tt.text), 30)]
		t.Run(name, func(t *testing.T) {
			a, err := ParseAddr(tt.text)
			if err == nil {
				t.Fatalf("parsed to %v", a)
			}
			if a != (Addr{}) {
				t.Errorf("an Addr beside the error: %#v", a)
			}
			if _, ok := errors.AsType[*net.AddrError](err); !ok {
				t.Errorf("a %T, want a *net.AddrError", err)
			}
			if err.Error() != tt.want {
				t.Errorf("\n got %s\nwant %s", err, tt.want)
			}
		})
	}
}

func TestParseAddrs(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"can0/7E8:7E0", []string{"can0/7E8:7E0"}},
		{"can0/7E8:7E0,7DF", []string{"can0/7E8:7E0", "can0/:7DF"}},
		{"can0/7DF,7E8:7E0", []string{"can0/:7DF", "can0/7E8:7E0"}},
		{"can0/F1#12:612#F1,6F1#EF,18DB33F1", []string{"can0/0F1#12:612#F1", "can0/:6F1#EF", "can0/:18DB33F1"}},
		{"can0/fixed::10,func:33", []string{"can0/fixed::10", "can0/func:33"}},
		{"/mixed::10#1,mixed::10#2,func:33#1", []string{"/mixed::10#01", "/mixed::10#02", "/func:33#01"}},
		{"slcan:/dev/ttyACM0@500000/obd,obd29", []string{"slcan:/dev/ttyACM0@500000/obd", "slcan:/dev/ttyACM0@500000/obd29"}},
	}
	for _, tt := range tests {
		addrs, err := ParseAddrs(tt.text)
		if err != nil {
			t.Error(err)
			continue
		}
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestParseAddrsErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", `empty address: want a bus and an endpoint, such as can0/7E0:7E8`},
		{"can0/7DF", `address can0/7DF: no colon in "7DF": want SEND:LISTEN, such as 7E0:7E8`},
		{"can0/,", `address can0/,: nothing before or after a comma: want for example 7E8:7E0,7DF`},
		{"can0/7E8:7E0,", `address can0/7E8:7E0,: nothing before or after a comma: want for example 7E8:7E0,7DF`},
		{"can0/7E8:7E0,7e8:0x7e0", `address can0/7E8:7E0,7e8:0x7e0: "7e8:0x7e0" is in the list twice`},
		{"can0/7E8:7E0,7DF,:7DF", `address can0/7E8:7E0,7DF,:7DF: ":7DF" is in the list twice`},
		{"can0/7E8:7E0,7DFF", `address can0/7E8:7E0,7DFF: identifier "7DFF" has 4 digits: want 1 to 3 for 11 bits, or 8 for 29 bits`},
		{"can0/7E8:7E0, 7DF", `address can0/7E8:7E0, 7DF: no colon in " 7DF": want SEND:LISTEN, such as 7E0:7E8`},
		{"can0/7E8:7E0,fixed", `address can0/7E8:7E0,fixed: "fixed" has no source address: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer`},
	}
	for _, tt := range tests {
		addrs, err := ParseAddrs(tt.text)
		if err == nil || addrs != nil {
			t.Errorf("%s: parsed to %v, %v", tt.text, addrs, err)
			continue
		}
		if err.Error() != tt.want {
			t.Errorf("\n got %s\nwant %s", err, tt.want)
		}
	}
}

func TestErrorsForEndlessInputAreShort(t *testing.T) {
	const longest = 1000
	for _, part := range []string{"7", "G", "#", ":", "/", ",", "fixed:", "func@", "\x00", "\xff", "\U000E0001"} {
		endless := strings.Repeat(part, 1<<16)
		for _, text := range []string{endless, "can0/" + endless, "can0/7E0:" + endless, "can0/fixed:10:" + endless} {
			if _, err := ParseAddr(text); err == nil || len(err.Error()) > longest {
				t.Errorf("ParseAddr, %.20q: %.2000v", text, err)
			}
			if _, err := ParseAddrs(text); err == nil || len(err.Error()) > longest {
				t.Errorf("ParseAddrs, %.20q: %.2000v", text, err)
			}
		}
	}
}

func TestMirrorIsThePeersAddress(t *testing.T) {
	for _, pair := range [][2]string{
		{"can0/7E0:7E8", "can0/7E8:7E0"},
		{"can0/641#55:18DAF110", "can0/18DAF110:641#55"},
		{"can0/fixed:10:F1", "can0/fixed:F1:10"},
		{"can0/mixed@14CE:10:F1#99", "can0/mixed@14CE:F1:10#99"},
		{"can0/7DF:", "can0/:7DF"},
		{"can0/6F1#EF:", "can0/:6F1#EF"},
		{"can0/func:33:F1", "can0/:func:33:F1"},
	} {
		a, b := MustParseAddr(pair[0]), MustParseAddr(pair[1])
		if a.Mirror() != b || b.Mirror() != a {
			t.Errorf("%v and %v have the mirrors %v and %v", a, b, a.Mirror(), b.Mirror())
		}
	}
}

func TestPatternsHaveNoMirror(t *testing.T) {
	for _, text := range []string{"can0/fixed::10", "can0/mixed::10#99", "can0/func:33", "can0/obd", "can0/obd29"} {
		if m := MustParseAddr(text).Mirror(); m.IsValid() {
			t.Errorf("the mirror of %s is %v", text, m)
		}
	}
}

func TestFixedIsNotThePairOfItsIdentifiers(t *testing.T) {
	fixed, raw := MustParseAddr("can0/fixed:10:F1"), MustParseAddr("can0/18DA10F1:18DAF110")
	if fixed == raw {
		t.Error("fixed:10:F1 equals 18DA10F1:18DAF110, but hears every priority")
	}
	other := wire.Address{ID: 0x0CDAF110, Extended: true}
	if !fixed.rx.Overlaps(other) {
		t.Error("fixed:10:F1 does not hear 0CDAF110")
	}
	if raw.rx.Overlaps(other) {
		t.Error("18DA10F1:18DAF110 hears 0CDAF110")
	}
}

func TestAddrIsAMapKey(t *testing.T) {
	seen := map[net.Addr]int{}
	for _, text := range []string{"can0/7E0:7E8", "can0/0x7e0:0X7E8", "can1/7E0:7E8", "can0/7E8:7E0"} {
		seen[MustParseAddr(text)]++
	}
	if len(seen) != 3 || seen[MustParseAddr("can0/7E0:7E8")] != 2 {
		t.Errorf("%v", seen)
	}
}

func TestAddrIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Addr{}); size > 40 {
		t.Errorf("an Addr has %d bytes; there is one in each of 10,000 conns", size)
	}
}

func TestWithBus(t *testing.T) {
	a := MustParseAddr("/fixed:10:F1").WithBus("slcan:/dev/ttyACM0")
	if a != MustParseAddr("slcan:/dev/ttyACM0/fixed:10:F1") {
		t.Errorf("%v", a)
	}
	if a := (Addr{}).WithBus("can0"); a != (Addr{}) {
		t.Errorf("the zero Addr on can0 is %#v", a)
	}
}

func TestAddrAsText(t *testing.T) {
	type config struct {
		ECU   Addr
		Other Addr
		Names map[Addr]string
	}
	in := config{ECU: MustParseAddr("can0/641#5:642#f1"), Names: map[Addr]string{MustParseAddr("/7e0:7e8"): "engine"}}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"ECU":"can0/641#05:642#F1","Other":"","Names":{"/7E0:7E8":"engine"}}`; string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
	out := config{Other: MustParseAddr("can0/obd")}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	if out.ECU != in.ECU || out.Other != in.Other || out.Names[MustParseAddr("/7E0:7E8")] != "engine" {
		t.Errorf("%+v, want %+v", out, in)
	}
}

func TestUnmarshalTextKeepsTheAddrOnAnError(t *testing.T) {
	a := MustParseAddr("can0/7E0:7E8")
	if err := a.UnmarshalText([]byte("can0/7E0")); err == nil {
		t.Error("no error for can0/7E0")
	}
	if a != MustParseAddr("can0/7E0:7E8") {
		t.Errorf("the Addr became %v", a)
	}
}

func TestAddrOfNetwork(t *testing.T) {
	if got := MustParseAddr("can0/7E0:7E8").Network(); got != "isotp" {
		t.Errorf("Network() = %q", got)
	}
	if got := (Addr{}).String(); got != "invalid Addr" {
		t.Errorf("the zero Addr is %q", got)
	}
}

func TestMustParseAddrPanicsWithTheReason(t *testing.T) {
	defer func() {
		want := `isotpnet: MustParseAddr: address can0/7E0: no colon in "7E0": want SEND:LISTEN, such as 7E0:7E8`
		if got := recover(); got != want {
			t.Errorf("panic(%q), want %q", got, want)
		}
	}()
	MustParseAddr("can0/7E0")
}
