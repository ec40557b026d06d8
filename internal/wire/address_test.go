package wire

import (
	"testing"

	"example.com/isotp/canbus"
)

func TestAddressMatch(t *testing.T) {
	var (
		normal   = Address{ID: 0x7E8}
		normal29 = Address{ID: 0x18DAF110, Extended: true}
		fixed    = Address{ID: 0x18DAF110, Extended: true, AnyPriority: true}
		extended = Address{ID: 0x642, HasByte: true, Byte: 0xF1}
		mixed29  = Address{ID: 0x18CEF110, Extended: true, AnyPriority: true, HasByte: true, Byte: 0x99}
		zero     = Address{ID: 0x642, HasByte: true}
	)
	for _, row := range []struct {
		name   string
		addr   Address
		frame  string
		match  bool // by the address
		filter bool // by its filter
	}{
		{"normal", normal, "7E8#01AA", true, true},
		{"normal, another", normal, "7E9#01AA", false, false},
		{"normal, CAN FD", normal, "7E8##101AA", true, true},
		{"normal, the same number of 29 bits", normal, "000007E8#01AA", false, false},
		{"29 bit", normal29, "18DAF110#01AA", true, true},
		{"29 bit, another priority", normal29, "14DAF110#01AA", false, false},
		{"29 bit, another source", normal29, "18DAF111#01AA", false, false},
		{"fixed", fixed, "18DAF110#01AA", true, true},
		{"fixed, priority 0", fixed, "00DAF110#01AA", true, true},
		{"fixed, priority 7", fixed, "1CDAF110#01AA", true, true},
		{"fixed, the bit below the priority", fixed, "1ADAF110#01AA", false, false},
		{"fixed, another target", fixed, "18DAF210#01AA", false, false},
		{"extended", extended, "642#F101AA", true, true},
		{"extended, another N_TA", extended, "642#F201AA", false, true},
		{"extended, no data", extended, "642#", false, true},
		{"extended, N_TA 0 and no data", zero, "642#", false, true},
		{"extended, N_TA 0", zero, "642#0001AA", true, true},
		{"mixed 29 bit", mixed29, "00CEF110#9901AA", true, true},
		{"mixed 29 bit, another N_AE", mixed29, "18CEF110#9801AA", false, true},
		{"mixed 29 bit, no data", mixed29, "18CEF110#", false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			f, err := canbus.ParseFrame(row.frame)
			if err != nil {
				t.Fatal(err)
			}
			if got := row.addr.Match(&f); got != row.match {
				t.Errorf("Match is %v, want %v", got, row.match)
			}
			if got := row.addr.Filter().Match(&f); got != row.filter {
				t.Errorf("the filter lets it pass: %v, want %v", got, row.filter)
			}
		})
	}
}

func TestAddressOverhead(t *testing.T) {
	if n := (Address{Byte: 1}).Overhead(); n != 0 {
		t.Errorf("without an address byte it is %d", n)
	}
	if n := (Address{HasByte: true}).Overhead(); n != 1 {
		t.Errorf("with an address byte it is %d", n)
	}
}
