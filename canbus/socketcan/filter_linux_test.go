package socketcan

import (
	"math/rand/v2"
	"testing"

	"example.com/isotp/canbus"
	"golang.org/x/sys/unix"
)

// A filter in the kernel's table costs nothing, one in its list a comparison for
// every frame on the bus.
func TestExactFiltersAreInTheKernelsTable(t *testing.T) {
	set := newFilterSet([]canbus.Filter{
		{ID: 0x7E8, Mask: canbus.MaxStandardID},
		{ID: 0x7E9, Mask: ^uint32(0)},
		{ID: 0x18DAF110, Mask: canbus.MaxExtendedID, Extended: true},
	})
	want := []unix.CanFilter{
		{Id: 0x7E8, Mask: 0xC00007FF},
		{Id: 0x7E9, Mask: 0xC00007FF},
		{Id: 0x98DAF110, Mask: 0xDFFFFFFF},
	}
	if len(set.kernel) != len(want) {
		t.Fatalf("filters %+v, want %+v", set.kernel, want)
	}
	for i := range want {
		if set.kernel[i] != want[i] {
			t.Errorf("filter %d is %+v, want %+v", i, set.kernel[i], want[i])
		}
	}
}

// passes is what the kernel does with its filters.
func passes(list []unix.CanFilter, f *canbus.Frame) bool {
	id := rawID(f)
	if f.Has(canbus.Remote) {
		id |= unix.CAN_RTR_FLAG
	}
	for _, k := range list {
		if id&k.Mask == k.Id&k.Mask {
			return true
		}
	}
	return false
}

func TestFilterSetsLetPassWhatTheirFiltersDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	// Few bits, so that many match.
	id := func() uint32 { return rng.Uint32N(16) | rng.Uint32N(2)*0x800 | rng.Uint32N(2)*0x20000000 }
	masks := []uint32{0, 0xF, 0xE, canbus.MaxStandardID, canbus.MaxExtendedID, ^uint32(0)}
	for range 20000 {
		list := make([]canbus.Filter, rng.IntN(3))
		for i := range list {
			list[i] = canbus.Filter{ID: id(), Mask: masks[rng.IntN(len(masks))], Extended: rng.IntN(2) == 0}
		}
		f := canbus.Frame{ID: id() & 0xF}
		if rng.IntN(2) == 0 {
			f.Flags |= canbus.Extended
			f.ID = id() & canbus.MaxExtendedID
		}
		if rng.IntN(4) == 0 {
			f.Flags |= canbus.Remote
		}
		want := false
		for _, l := range list {
			want = want || l.Match(&f)
		}
		set := newFilterSet(list)
		if got := set.match(&f); got != want {
			t.Fatalf("filters %+v, frame %v: match = %v", list, f, got)
		}
		if want && !passes(append(set.kernel, remoteFrames), &f) {
			t.Fatalf("filters %+v, frame %v: the kernel's %+v keep it out", list, f, set.kernel)
		}
	}
}
