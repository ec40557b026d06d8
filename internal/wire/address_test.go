package wire

import (
	"math/rand/v2"
	"testing"

	"example.com/isotp/canbus"
)

func TestAddressMatch(t *testing.T) {
	var (
		normal   = Address{ID: 0x7E8}
		normal29 = Address{ID: 0x18DAF110, Extended: true}
		fixed    = Address{ID: 0x18DAF110, Extended: true, Open: OpenPriority}
		extended = Address{ID: 0x642, HasByte: true, Byte: 0xF1}
		mixed29  = Address{ID: 0x18CEF110, Extended: true, Open: OpenPriority, HasByte: true, Byte: 0x99}
		zero     = Address{ID: 0x642, HasByte: true}
		node     = Address{ID: 0x18DAF100, Extended: true, Open: OpenPeer}
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
		{"node", node, "18DAF110#01AA", true, true},
		{"node, another source", node, "18DAF1FF#01AA", true, true},
		{"node, another priority", node, "0CDAF110#01AA", true, true},
		{"node, another target", node, "18DAF010#01AA", false, false},
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

// randomAddress returns one of few addresses: two of them often differ in one thing only.
func randomAddress(rng *rand.Rand) Address {
	a := Address{ID: []uint32{0x642, 0x643, 0x7E8}[rng.IntN(3)]}
	if rng.IntN(3) > 0 {
		ids := []uint32{0x642, 0x18DAF110, 0x0CDAF110, 0x18DAF111, 0x18DAF010, 0x1ADAF110}
		a = Address{ID: ids[rng.IntN(len(ids))], Extended: true, Open: Open(rng.IntN(int(NumOpen)))}
		if a.Open == OpenPeer {
			a = a.FromAny()
		}
	}
	if rng.IntN(2) == 0 {
		a.HasByte, a.Byte = true, byte(rng.IntN(2))
	}
	return a
}

// frameOf returns one of the frames that carry an address.
func frameOf(rng *rand.Rand, a Address) canbus.Frame {
	f := canbus.Frame{ID: a.ID ^ rng.Uint32()&openBits[a.Open], Len: 2}
	f.Data[0] = byte(rng.IntN(2))
	if a.Extended {
		f.Flags = canbus.Extended
	}
	if a.HasByte {
		f.Data[0] = a.Byte
	}
	return f
}

// No frame carries two addresses that do not overlap, and there is one that carries two
// that do.
func TestAddressesOverlapIfAFrameCarriesBoth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	overlapping := 0
	for range 100_000 {
		a, b := randomAddress(rng), randomAddress(rng)
		f := frameOf(rng, a)
		if !a.Match(&f) {
			t.Fatalf("%+v does not match %v", a, &f)
		}
		switch {
		case a.Overlaps(b) != b.Overlaps(a):
			t.Fatalf("%+v and %+v overlap one way only", a, b)
		case !a.Overlaps(b):
			if b.Match(&f) {
				t.Fatalf("%v carries %+v and %+v, which do not overlap", &f, a, b)
			}
			continue
		case a.Bucket() != b.Bucket():
			t.Fatalf("%+v and %+v overlap, and have the buckets %+v and %+v", a, b, a.Bucket(), b.Bucket())
		}
		overlapping++
		// Both have their say where they leave nothing open.
		f.ID = a.ID&a.Mask() | b.ID&b.Mask()
		if b.HasByte {
			f.Data[0] = b.Byte
		}
		if !a.Match(&f) || !b.Match(&f) {
			t.Fatalf("%+v and %+v overlap, and not both match %v", a, b, &f)
		}
	}
	if overlapping < 1000 {
		t.Errorf("only %d of the addresses overlap", overlapping)
	}
}

func TestNodesAndTheirPeers(t *testing.T) {
	node := Address{ID: 0x18DAF100, Extended: true, Open: OpenPeer}
	peer := Address{ID: 0x18DAF110, Extended: true, Open: OpenPriority}
	if got := node.From(0x10); got != peer {
		t.Errorf("from peer 10: %+v, want %+v", got, peer)
	}
	if got := peer.FromAny(); got != node {
		t.Errorf("from any peer: %+v, want %+v", got, node)
	}
	to := Address{ID: 0x18DA00F1, Extended: true, Open: OpenPriority}
	if got := to.To(0x10); got.ID != 0x18DA10F1 || Target(got.ID) != 0x10 || Source(got.ID) != 0xF1 {
		t.Errorf("to peer 10: %+v", got)
	}
}

func TestPrioritiesAreOneAddressWithoutThem(t *testing.T) {
	one := Address{ID: 0x0CDAF110, Extended: true}
	any := Address{ID: 0x18DAF110, Extended: true, Open: OpenPriority}
	if one.WithoutPriority() != any.WithoutPriority() {
		t.Errorf("%+v and %+v", one.WithoutPriority(), any.WithoutPriority())
	}
	if a := (Address{ID: 0x7E8}); a.WithoutPriority() != a {
		t.Errorf("an identifier of 11 bits has become %+v", a.WithoutPriority())
	}
}

func TestUpperIsThatOfPriority6(t *testing.T) {
	for id, want := range map[uint32]uint32{
		0x18DA10F1: UpperFixed, 0x00DA10F1: UpperFixed, 0x1CDB33F1: UpperFixedFunctional, 0x14CE10F1: UpperMixed,
		0x18CD33F1: UpperMixedFunctional, 0x1BDA10F1: 0x1BDA, 0x19DA10F1: 0x19DA,
	} {
		if got := Upper(id); got != want {
			t.Errorf("Upper(%08X) = %04X, want %04X", id, got, want)
		}
	}
}
