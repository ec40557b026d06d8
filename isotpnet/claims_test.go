package isotpnet

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"example.com/isotp/internal/mux"
)

func TestClaimsOfPairs(t *testing.T) {
	for _, test := range []struct {
		name, first, second string
		both                bool // can be open at once
	}{
		{"the same", "claim0/7E0:7E8", "claim0/7E0:7E8", false},
		{"another identifier to send", "claim0/7E0:7E8", "claim0/7E1:7E8", false},
		{"another identifier to hear", "claim0/7E0:7E8", "claim0/7E0:7E9", true},
		{"another interface", "claim0/7E0:7E8", "claim1/7E0:7E8", true},
		{"the other end", "claim0/7E0:7E8", "claim0/7E8:7E0", true},
		{"29 bits", "claim0/100:200", "claim0/00000100:00000200", true},
		{"another N_TA", "claim0/641#55:642#F1", "claim0/641#55:642#F2", true},
		{"with N_TA and without", "claim0/641#55:642#F1", "claim0/641:642", false},
		{"without N_TA and with", "claim0/641:642", "claim0/641#55:642#F1", false},
		{"fixed twice", "claim0/fixed:10:F1", "claim0/fixed:10:F1", false},
		{"any priority", "claim0/fixed:10:F1", "claim0/18DA10F1:0CDAF110", false},
		{"the lowest priority", "claim0/18DA10F1:1CDAF110", "claim0/fixed:10:F1", false},
		{"two priorities", "claim0/18DA10F1:18DAF110", "claim0/18DA10F1:0CDAF110", true},
		{"functional", "claim0/7E0:7E8", "claim0/7E0:", true},
		{"two nodes", "claim0/fixed::10", "claim0/fixed::11", true},
		{"a node twice", "claim0/fixed::10", "claim0/fixed::10", false},
		{"a node and its peer", "claim0/fixed::10", "claim0/fixed:F1:10", false},
		{"a peer and its node", "claim0/18DAF110:0CDA10F1", "claim0/fixed::10", false},
		{"a node and another's peer", "claim0/fixed::10", "claim0/fixed:F1:11", true},
		{"neighbours of a node", "claim0/fixed:F1:10", "claim0/fixed:F2:10", true},
		{"two extensions", "claim0/mixed::10#99", "claim0/mixed::10#98", true},
		{"mixed and its identifier", "claim0/mixed:10:F1#99", "claim0/18CE10F1:10CEF110", false},
		{"mixed and an identifier with another byte", "claim0/mixed:10:F1#99", "claim0/18CE10F1#98:10CEF110#98", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			first, second := MustParseAddr(test.first), MustParseAddr(test.second)
			before := len(claims.open) // other tests may have connections that they never close
			release, err := claimAddrs([]Addr{first}, nil)
			if err != nil {
				t.Fatal(err)
			}
			again, err := claimAddrs([]Addr{second}, nil)
			switch {
			case test.both && err != nil:
				t.Fatal(err)
			case test.both:
				again()
			case !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), test.first) || !strings.Contains(err.Error(), test.second):
				t.Errorf("%v, want EADDRINUSE that names both", err)
			}
			release()
			release()
			if again, err = claimAddrs([]Addr{second}, nil); err != nil {
				t.Fatalf("after the release: %v", err)
			}
			again()
			if n := len(claims.open) - before; n > 0 {
				t.Errorf("%d claims are left", n)
			}
		})
	}
}

func TestClaimsOfABusAreThoseOfItsMux(t *testing.T) {
	addrs := []Addr{MustParseAddr("/7E0:7E8")}
	one, other := new(mux.Mux), new(mux.Mux)
	for _, m := range []*mux.Mux{one, other} {
		release, err := claimAddrs(addrs, m)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
	}
	if _, err := claimAddrs(addrs, one); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v, want EADDRINUSE", err)
	}
}

func TestAListIsClaimedAsAWholeOrNotAtAll(t *testing.T) {
	release, err := claimAddrs([]Addr{MustParseAddr("claim0/7E1:7E9")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	list := []Addr{MustParseAddr("claim0/7E0:7E8"), MustParseAddr("claim0/7E1:7E9")}
	if _, err := claimAddrs(list, nil); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("%v, want EADDRINUSE", err)
	}
	again, err := claimAddrs(list[:1], nil)
	if err != nil {
		t.Fatalf("what stands before the one in use: %v", err)
	}
	again()
}
