package isotpnet

import (
	"errors"
	"net"
	"testing"
)

// made is what a constructor returned.
type made struct {
	addr Addr
	err  error
}

func mk(a Addr, err error) made { return made{a, err} }

func TestConstructorsMakeWhatTheTextSays(t *testing.T) {
	id11 := func(id uint32) Side { return Side{ID: id} }
	id29 := func(id uint32) Side { return Side{ID: id, Extended: true} }
	with := func(s Side, b byte) Side { s.HasByte, s.Byte = true, b; return s }
	for _, tt := range []struct {
		made
		text string
	}{
		{mk(PairAddr("can0", id11(0x7E0), id11(0x7E8))), "can0/7E0:7E8"},
		{mk(PairAddr("can0", id29(0x7E0), id29(0x18DAF110))), "can0/000007E0:18DAF110"},
		{mk(PairAddr("can0", with(id11(0x641), 0x55), with(id11(0x642), 0xF1))), "can0/641#55:642#F1"},
		{mk(PairAddr("can0", with(id29(0x641), 0), with(id29(0x642), 0xF1))), "can0/00000641#00:00000642#F1"},
		{mk(PairAddr("can0", with(id11(0x641), 0x99), with(id11(0x642), 0x99))), "can0/641#99:642#99"},
		{mk(PairAddr("can0", with(id11(0x641), 0x55), id29(0x18DAF110))), "can0/641#55:18DAF110"},
		{mk(FunctionalAddr("can0", id11(0x7DF))), "can0/7DF:"},
		{mk(FunctionalAddr("", id29(0x18DB33F1))), "/18DB33F1:"},
		{mk(FunctionalAddr("can0", with(id11(0x6F1), 0xEF))), "can0/6F1#EF:"},
		{mk(FixedAddr("can0", Fixed{Target: 0x10, Source: 0xF1})), "can0/fixed:10:F1"},
		{mk(FixedAddr("can0", Fixed{Target: 0x10, Source: 0xF1, Upper: 0x14DA})), "can0/fixed@14DA:10:F1"},
		{mk(FixedAddr("can0", Fixed{Target: 0x10, Source: 0xF1, HasExtension: true, Extension: 0x99})), "can0/mixed:10:F1#99"},
		{mk(FixedFunctionalAddr("can0", Fixed{Target: 0x33, Source: 0xF1})), "can0/func:33:F1"},
		{mk(FixedFunctionalAddr("", Fixed{Target: 0x33, Source: 0x33})), "/func:33:33"},
		{mk(FixedFunctionalAddr("can0", Fixed{Target: 0xFE, Source: 0xF1, Upper: 0x10DB})), "can0/func@10DB:FE:F1"},
		{mk(FixedFunctionalAddr("can0", Fixed{Target: 0x33, Source: 0xF1, HasExtension: true})), "can0/func:33:F1#00"},
		{mk(NodeAddr("can0", Fixed{Source: 0x10})), "can0/fixed::10"},
		{mk(NodeAddr("can0", Fixed{Source: 0x10, HasExtension: true, Extension: 0x99})), "can0/mixed::10#99"},
		{mk(GroupAddr("can0", Fixed{Target: 0x33})), "can0/func:33"},
		{mk(GroupAddr("can0", Fixed{Target: 0x33, HasExtension: true, Extension: 0x99, Upper: 0x10CD})), "can0/func@10CD:33#99"},
		{mk(OBDAddr("can0"), nil), "can0/obd"},
		{mk(OBD29Addr("can0"), nil), "can0/obd29"},
	} {
		if tt.err != nil {
			t.Errorf("%s: %v", tt.text, tt.err)
		} else if tt.addr != MustParseAddr(tt.text) {
			t.Errorf("made %v, want %s", tt.addr, tt.text)
		}
	}
}

func TestConstructorsRefuseWhatIsNoAddress(t *testing.T) {
	for _, tt := range []struct {
		made
		want string
	}{
		{mk(PairAddr("can0", Side{ID: 0x18DA10F1}, Side{ID: 0x7E8})), `address can0/18DA10F1:7E8: identifier 18DA10F1 is above 7FF, the highest of 11 bits (one of 29 bits has Side.Extended)`},
		{mk(PairAddr("can0", Side{ID: 0x7E0}, Side{ID: 0x800})), `address can0/7E0:800: identifier 800 is above 7FF, the highest of 11 bits (one of 29 bits has Side.Extended)`},
		{mk(PairAddr("can0", Side{ID: 1 << 29, Extended: true}, Side{ID: 1})), `address can0/20000000:001: identifier 20000000 is above 1FFFFFFF, the highest of 29 bits`},
		{mk(PairAddr("can0", Side{ID: 0xFFFFFFFF}, Side{ID: 1})), `address can0/FFFFFFFF:001: identifier FFFFFFFF is above 1FFFFFFF, the highest of 29 bits`},
		{mk(PairAddr("can0", Side{ID: 1, Extended: true}, Side{ID: 1, Extended: true})), `address can0/00000001:00000001: sends to 00000001 and listens on 00000001, and would hear itself: want two different addresses`},
		{mk(PairAddr("can0", Side{ID: 1, HasByte: true, Byte: 0x55}, Side{ID: 1, HasByte: true, Byte: 0x55})), `address can0/001#55:001#55: sends to 001#55 and listens on 001#55, and would hear itself: want two different addresses`},
		{mk(PairAddr("", Side{}, Side{})), `address /000:000: sends to 000 and listens on 000, and would hear itself: want two different addresses`},
		{mk(FixedAddr("can0", Fixed{Target: 0x10, Source: 0x10})), `address can0/fixed:10:10: sends to 18DA1010 and listens on 18DA1010, and would hear itself: want two different addresses`},
		{mk(FixedAddr("can0", Fixed{Target: 0x10, Source: 0x10, HasExtension: true, Extension: 1})), `address can0/mixed:10:10#01: sends to 18CE1010#01 and listens on 18CE1010#01, and would hear itself: want two different addresses`},
		{mk(FixedAddr("can0", Fixed{Target: 0x10, Upper: 0x2000})), `address can0/fixed@2000:10:00: identifier 20001000 is above 1FFFFFFF, the highest of 29 bits`},
		{mk(FunctionalAddr("can0", Side{ID: 0x800})), `address can0/800:: identifier 800 is above 7FF, the highest of 11 bits (one of 29 bits has Side.Extended)`},
		{mk(NodeAddr("can0", Fixed{Target: 0x10, Source: 0xF1})), `address can0/fixed::F1: the target is 10: want 0, since a node hears any peer; the node itself is the source`},
		{mk(GroupAddr("can0", Fixed{Target: 0x33, Source: 0xF1})), `address can0/func:33: the source is F1: want 0, since a group hears any peer; the group itself is the target`},
	} {
		if tt.err == nil || tt.addr.IsValid() {
			t.Errorf("made %v, %v, want the error %s", tt.addr, tt.err, tt.want)
			continue
		}
		if _, ok := errors.AsType[*net.AddrError](tt.err); !ok {
			t.Errorf("a %T, want a *net.AddrError", tt.err)
		}
		if tt.err.Error() != tt.want {
			t.Errorf("\n got %s\nwant %s", tt.err, tt.want)
		}
	}
}

// The numbers of an address can be read.
func TestNumbersOfAnAddr(t *testing.T) {
	for _, tt := range []struct {
		text         string
		kind         Kind
		send, listen string // of each side, if there is one
		fixed        *Fixed
	}{
		{"/7E0:7E8", KindPair, "7E0", "7E8", nil},
		{"/641#55:18DAF110", KindPair, "641#55", "18DAF110", nil},
		{"/fixed:10:F1", KindPair, "18DA10F1", "18DAF110", &Fixed{Target: 0x10, Source: 0xF1, Upper: 0x18DA}},
		{"/mixed:10:F1#00", KindPair, "18CE10F1#00", "18CEF110#00", &Fixed{Target: 0x10, Source: 0xF1, HasExtension: true, Upper: 0x18CE}},
		{"/7DF:", KindFunctional, "7DF", "", nil},
		{"/func:33:F1#99", KindFunctional, "18CD33F1#99", "", &Fixed{Target: 0x33, Source: 0xF1, HasExtension: true, Extension: 0x99, Upper: 0x18CD}},
		{"/:7E8", KindListenOnly, "", "7E8", nil},
		{"/:func:33:F1", KindListenOnly, "", "18DB33F1", &Fixed{Target: 0x33, Source: 0xF1, Upper: 0x18DB}},
		{"/fixed@14DA::10", KindNode, "", "", &Fixed{Source: 0x10, Upper: 0x14DA}},
		{"/func:33", KindGroup, "", "", &Fixed{Target: 0x33, Upper: 0x18DB}},
		{"/obd", KindOBD, "7DF", "", nil},
		{"/obd29", KindOBD, "18DB33F1", "", &Fixed{Target: 0x33, Source: 0xF1, Upper: 0x18DB}},
	} {
		a := MustParseAddr(tt.text)
		if a.Kind() != tt.kind {
			t.Errorf("%v is a %v, want a %v", a, a.Kind(), tt.kind)
		}
		if send, ok := a.Send(); ok != (tt.send != "") || ok && send.String() != tt.send {
			t.Errorf("%v sends to %v, %v, want %s", a, send, ok, tt.send)
		}
		if listen, ok := a.Listen(); ok != (tt.listen != "") || ok && listen.String() != tt.listen {
			t.Errorf("%v listens on %v, %v, want %s", a, listen, ok, tt.listen)
		}
		n, ok := a.Fixed()
		if ok != (tt.fixed != nil) || ok && n != *tt.fixed {
			t.Errorf("%v has %+v, %v, want %+v", a, n, ok, tt.fixed)
		}
	}
}

func TestKindString(t *testing.T) {
	for kind, want := range map[Kind]string{KindInvalid: "invalid", KindListenOnly: "listen-only", KindOBD: "OBD", KindOBD + 1: "Kind(7)"} {
		if got := kind.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
