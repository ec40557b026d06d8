package isotpnet

import (
	"slices"
	"strings"
	"testing"
)

// addrSeeds are texts with something of every form, good and bad.
var addrSeeds = []string{
	"vcan0/0x7E0:0X7e8", "can0/18DAF110:18DA10F1", "can0/641#55:642#F1", "/641#5:18DAF110", "/0:00000000",
	"can0/fixed:10:F1", "can0/mixed:1:f#99", "can0/fixed@14DA:10:F1", "can0/mixed@1FFF:10:F1#0", "/fixed@18DA:10:F1",
	"can0/7DF:", "can0/6F1#EF:", "can0/18DB33F1:", "can0/func:33:F1", "can0/func:33:F1#99", "can0/func@10DB:FE:F1",
	"can0/:7E8", "can0/:642#F1", "can0/:18DAF110", "can0/:func:33:F1", "can0/:func@18CD:33:F1#99",
	"can0/fixed::10", "can0/mixed::F1#99", "can0/func:33", "can0/func:33#99", "can0/obd", "can0/obd29",
	"slcan:/dev/ttyACM0@500000/7E0:7E8", "socketcand:HOST:29536/can0/7E0:7E8", "udp:[ff02::1]:43113/7E0:7E8",
	"virtual:NAME/7E8:7E0,7DF", "can0/fixed::10,func:33", "/F1#12:612#F1,6F1#EF,obd",
	"", "/", "//", "can0", "can0/:", "can0/7E00:7E8", "can0/7E0:7E0", "can0/641#:#", "can0/fixed@:::#", "can0/obd:",
	"\xff/7E0:7E8", "can0/é:٧", "can0/,,", "can0/fixed#1@2:3", "can0/func::", "can0/:func:33", "can0/0x0x7:0x",
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range addrSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddr(s)
		if err != nil {
			if a.IsValid() {
				t.Errorf("%v beside the error %v", a, err)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		checkAddr(t, a)
		if a.Bus() != s[:strings.LastIndexByte(s, '/')] {
			t.Errorf("Bus() = %q", a.Bus())
		}
	})
}

func FuzzParseAddrs(f *testing.F) {
	for _, s := range addrSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addrs, err := ParseAddrs(s)
		if err != nil {
			if len(addrs) > 0 || len(err.Error()) > 1000 {
				t.Errorf("%v beside the error %v", addrs, err)
			}
			return
		}
		if len(addrs) == 0 {
			t.Error("an empty list without an error")
			return
		}
		// The list of canonical texts is the same list.
		var texts []string
		for _, a := range addrs {
			checkAddr(t, a)
			text := a.String()
			texts = append(texts, text[strings.LastIndexByte(text, '/')+1:])
		}
		canonical := addrs[0].Bus() + "/" + strings.Join(texts, ",")
		if again, err := ParseAddrs(canonical); !slices.Equal(again, addrs) {
			t.Errorf("%q parses to %v, its canonical form %q to %v, %v", s, addrs, canonical, again, err)
		}
	})
}

// checkAddr checks what is true of every parsed address.
func checkAddr(t *testing.T, a Addr) {
	t.Helper()
	text := a.String()
	again, err := ParseAddr(text)
	if err != nil || again != a {
		t.Errorf("%q parses to %v, %v", text, again, err)
	}
	if again.String() != text {
		t.Errorf("%q parses to what prints as %q", text, again)
	}
	if err := a.check(); err != nil {
		t.Errorf("%v: %v", a, err)
	}
	checkNumbers(t, a)
	m := a.Mirror()
	if m.IsValid() == a.isPattern() {
		t.Errorf("%v has the mirror %v", a, m)
	}
	if !m.IsValid() {
		return
	}
	if m.Mirror() != a || m == a {
		t.Errorf("%v has the mirror %v, which has the mirror %v", a, m, m.Mirror())
	}
	if parsed, err := ParseAddr(m.String()); err != nil || parsed != m {
		t.Errorf("the mirror %v parses to %v, %v", m, parsed, err)
	}
	send, sends := a.send()
	listen, listens := m.listen()
	if send != listen || sends != listens {
		t.Errorf("%v sends to %+v, its mirror listens on %+v", a, send, listen)
	}
}

// checkNumbers makes the address again of its numbers.
func checkNumbers(t *testing.T, a Addr) {
	t.Helper()
	again, err := Addr{}, error(nil)
	n, fixed := a.Fixed()
	if fixed && n.Upper == 0 {
		return // 0 stands for the standard's
	}
	send, sends := a.Send()
	listen, listens := a.Listen()
	if sides := a.Kind() == KindPair || a.Kind() == KindFunctional || a.Kind() == KindOBD; sends != sides {
		t.Errorf("%v sends: %v", a, sends)
	}
	switch kind := a.Kind(); {
	case kind == KindOBD && fixed:
		again = OBD29Addr(a.Bus())
	case kind == KindOBD:
		again = OBDAddr(a.Bus())
	case kind == KindNode:
		again, err = NodeAddr(a.Bus(), n)
	case kind == KindGroup:
		again, err = GroupAddr(a.Bus(), n)
	case kind == KindPair && fixed:
		again, err = FixedAddr(a.Bus(), n)
	case fixed:
		again, err = FixedFunctionalAddr(a.Bus(), n)
	case sends && listens:
		again, err = PairAddr(a.Bus(), send, listen)
	case sends:
		again, err = FunctionalAddr(a.Bus(), send)
	default:
		again, err = FunctionalAddr(a.Bus(), listen)
	}
	if a.Kind() == KindListenOnly {
		again = again.Mirror()
	}
	if err != nil || again != a {
		t.Errorf("the numbers of %v make %v, %v", a, again, err)
	}
}
