package udpmulticast

import (
	"errors"
	"net"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/test/netns"
)

// What a flood loses is counted, and what is read is in order.
func TestFloodIsCountedWhereItIsLost(t *testing.T) {
	const count = 20000
	b, peer := openTest(t, group4), openTest(t, group4+"@none")
	sent := make([]canbus.Frame, count)
	for i := range sent {
		sent[i] = frame(0x100, byte(i), byte(i>>8))
	}
	write(t, peer, sent...)
	lost := b.Dropped()
	if lost == 0 || lost >= count {
		t.Fatalf("Dropped is %d of %d", lost, count)
	}
	buf := make([]canbus.Frame, 100)
	for n, last := 0, -1; n < count-int(lost); {
		k, err := b.ReadFrames(buf)
		if err != nil {
			t.Fatal(err)
		}
		n += k
		for _, f := range buf[:k] {
			i := int(f.Data[0]) | int(f.Data[1])<<8
			if i <= last {
				t.Fatalf("frame %d after %d", i, last)
			}
			last = i
		}
	}
	b.Close()
	if n := b.Dropped(); n != lost {
		t.Errorf("Dropped is %d after Close, %d before", n, lost)
	}
}

// A reader that was stopped learns how many frames it has missed, those behind the last
// one that it reads too: after that there is nothing that could tell.
func TestReaderThatWasStoppedMissesNothingUncounted(t *testing.T) {
	const count = 20000
	b, peer := openTest(t, group4), openTest(t, group4+"@none")
	write(t, peer, make([]canbus.Frame, count)...)
	buf := make([]canbus.Frame, 100)
	for read, dropped := 0, uint64(0); read+int(dropped) < count; {
		n, err := b.ReadFrames(buf)
		if err != nil {
			t.Fatal(err)
		}
		read += n
		before := dropped
		if dropped = b.Dropped(); dropped < before || read+int(dropped) > count {
			t.Fatalf("%d frames sent, %d read, %d dropped and before %d", count, read, dropped, before)
		}
	}
}

// While the network is gone, a writer gets an error and a reader waits. When it is back, both
// go on.
func TestNetworkThatGoesAndComesBack(t *testing.T) {
	b, peer := openTest(t, group4+"@none"), openTest(t, group4+"@none")
	if err := netns.SetLoopback(false); err != nil {
		t.Fatal(err)
	}
	n, err := b.WriteFrames([]canbus.Frame{frame(0x100, 1)})
	up := errors.Join(netns.SetLoopback(true), netns.AddRoutes())
	if up != nil {
		t.Fatal(up)
	}
	if n != 0 || err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteFrames without a network: %d, %v", n, err)
	}
	write(t, b, frame(0x100, 2))
	wantNext(t, peer, frame(0x100, 2))
}
