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
	for _, tt := range []struct {
		made
		text string
	}{
		{mk(NormalAddr("can0", 0x7E0, 0x7E8)), "can0/7E0:7E8"},
		{mk(Normal29Addr("can0", 0x7E0, 0x18DAF110)), "can0/000007E0:18DAF110"},
		{mk(ExtendedAddr("can0", 0x641, 0x55, 0x642, 0xF1)), "can0/641#55:642#F1"},
		{mk(Extended29Addr("can0", 0x641, 0x55, 0x642, 0xF1)), "can0/00000641#55:00000642#F1"},
		{mk(MixedAddr("can0", 0x641, 0x642, 0x99)), "can0/641#99:642#99"},
		{mk(Mixed29Addr("can0", 0x10, 0xF1, 0x99)), "can0/mixed:10:F1#99"},
		{mk(FixedAddr("can0", 0x10, 0xF1)), "can0/fixed:10:F1"},
		{mk(FunctionalAddr("can0", 0x7DF)), "can0/7DF:"},
		{mk(FunctionalFixedAddr("can0", 0x33, 0xF1)), "can0/func:33:F1"},
		{mk(FunctionalMixedAddr("can0", 0x33, 0xF1, 0x99)), "can0/func:33:F1#99"},
		{mk(FunctionalFixedAddr("", 0x33, 0x33)), "/func:33:33"},
		{mk(AsymmetricAddr(MustParseAddr("can0/641#55:642#F1"), MustParseAddr("can0/18DA10F1:18DAF110"))), "can0/641#55:18DAF110"},
		{mk(AsymmetricAddr(MustParseAddr("can0/641#55:"), MustParseAddr("can0/:7E8"))), "can0/641#55:7E8"},
		{mk(AsymmetricAddr(MustParseAddr("can0/fixed:10:F1"), MustParseAddr("can0/:7E8"))), "can0/18DA10F1:7E8"},
		{mk(AsymmetricAddr(MustParseAddr("can0/7E0:"), MustParseAddr("can0/fixed:10:F1"))), "can0/7E0:18DAF110"},
		{mk(AsymmetricAddr(MustParseAddr("can0/fixed:10:F1"), MustParseAddr("can0/fixed:10:F1"))), "can0/fixed:10:F1"},
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
		{mk(NormalAddr("can0", 0x18DA10F1, 0x7E8)), `address can0/18DA10F1:7E8: identifier 18DA10F1 is above 7FF, the highest of 11 bits (one of 29 bits is 18DA10F1)`},
		{mk(NormalAddr("can0", 0x7E0, 0x800)), `address can0/7E0:800: identifier 800 is above 7FF, the highest of 11 bits (one of 29 bits is 00000800)`},
		{mk(Normal29Addr("can0", 1<<29, 1)), `address can0/20000000:00000001: identifier 20000000 is above 1FFFFFFF, the highest of 29 bits`},
		{mk(NormalAddr("can0", 0xFFFFFFFF, 1)), `address can0/FFFFFFFF:001: identifier FFFFFFFF is above 1FFFFFFF, the highest of 29 bits`},
		{mk(Normal29Addr("can0", 1, 1)), `address can0/00000001:00000001: sends to 00000001 and listens on 00000001, and would hear itself: want two different addresses`},
		{mk(ExtendedAddr("can0", 1, 0x55, 1, 0x55)), `address can0/001#55:001#55: sends to 001#55 and listens on 001#55, and would hear itself: want two different addresses`},
		{mk(FixedAddr("can0", 0x10, 0x10)), `address can0/fixed:10:10: sends to 18DA1010 and listens on 18DA1010, and would hear itself: want two different addresses`},
		{mk(Mixed29Addr("can0", 0x10, 0x10, 1)), `address can0/mixed:10:10#01: sends to 18CE1010#01 and listens on 18CE1010#01, and would hear itself: want two different addresses`},
		{mk(FunctionalAddr("can0", 0x800)), `address can0/800:: identifier 800 is above 7FF, the highest of 11 bits (one of 29 bits is 00000800)`},
		{mk(AsymmetricAddr(MustParseAddr("can0/7E0:7E8"), MustParseAddr("can1/7E0:7E8"))), `address can0/7E0:7E8: sends on bus "can0", listens on "can1": want one bus`},
		{mk(AsymmetricAddr(MustParseAddr("can0/:7E8"), MustParseAddr("can0/7E0:7E8"))), `address can0/:7E8: does not say where to send: want a pair or a functional address`},
		{mk(AsymmetricAddr(MustParseAddr("can0/obd"), MustParseAddr("can0/7E0:7E8"))), `address can0/obd: does not say where to send: want a pair or a functional address`},
		{mk(AsymmetricAddr(MustParseAddr("can0/7E0:7E8"), MustParseAddr("can0/7DF:"))), `address can0/7DF:: does not say where to listen: want a pair or a listen-only address`},
		{mk(AsymmetricAddr(MustParseAddr("can0/7E0:7E8"), MustParseAddr("can0/7E1:7E0"))), `address can0/7E0:7E0: sends to 7E0 and listens on 7E0, and would hear itself: want two different addresses`},
		{mk(AsymmetricAddr(Addr{}, Addr{})), `address invalid Addr: does not say where to send: want a pair or a functional address`},
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
