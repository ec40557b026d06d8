package udpmulticast

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/test/netns"
)

const (
	group4 = "239.74.163.2:43113"
	group6 = "[ff15:7079:7468:6f6e:6465:6d6f:6d63:6173]:43113"
)

func openTest(t testing.TB, name string) *Bus {
	t.Helper()
	netns.Need(t)
	b, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func frame(id uint32, data ...byte) canbus.Frame {
	f := canbus.Frame{ID: id, Len: uint8(len(data))}
	copy(f.Data[:], data)
	return f
}

func write(t testing.TB, b canbus.Bus, frames ...canbus.Frame) {
	t.Helper()
	for len(frames) > 0 {
		n, err := b.WriteFrames(frames)
		if err != nil {
			t.Fatal(err)
		}
		frames = frames[n:]
	}
}

// wantNext reads the next frame and checks it.
func wantNext(t testing.TB, b canbus.Bus, want canbus.Frame) {
	t.Helper()
	var got [1]canbus.Frame
	if _, err := b.ReadFrames(got[:]); err != nil {
		t.Fatal(err)
	}
	got[0].Timestamp = 0
	got[0].Flags &^= canbus.Timed
	if got[0] != want {
		t.Errorf("read %v, want %v", got[0], want)
	}
}

// sendRaw sends a datagram as a peer does.
func sendRaw(t testing.TB, to string, datagrams ...[]byte) {
	t.Helper()
	c, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, d := range datagrams {
		if _, err := c.Write(d); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBusConforms(t *testing.T) {
	netns.Need(t)
	for name, address := range map[string]string{
		"IPv4":      group4,
		"IPv6":      group6,
		"NoBitrate": group4 + "@none",
		"Interface": "239.74.163.2%lo:43113",
	} {
		t.Run(name, func(t *testing.T) {
			bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
				if a, err = Open(address); err != nil {
					return nil, nil, nil, err
				}
				b, err = Open(address)
				return a, b, nil, err
			}, bustest.Options{
				Lossy: true,
				Report: func(canbus.Bus) error {
					to, _, _ := strings.Cut(strings.Replace(address, "%lo", "", 1), "@")
					c, err := net.Dial("udp", to)
					if err != nil {
						return err
					}
					defer c.Close()
					_, err = c.Write(appendMessage(nil, &canbus.Frame{ID: 4, Flags: canbus.ErrorFrame, Len: 8}, time.Now()))
					return err
				},
			})
		})
	}
}

// Three members of a group in one process: each hears the two others, and not
// itself, however alike their frames are.
func TestEachMemberHearsTheOthersOnly(t *testing.T) {
	for _, group := range []string{group4, group6} {
		var buses [3]*Bus
		for i := range buses {
			buses[i] = openTest(t, group)
		}
		for i, b := range buses {
			write(t, b, frame(0x100, 7), frame(0x101, byte(i)))
			for j, other := range buses {
				if j != i {
					wantNext(t, other, frame(0x100, 7))
					wantNext(t, other, frame(0x101, byte(i)))
				}
			}
		}
		for _, b := range buses {
			b.Close()
		}
	}
}

func TestAnotherGroupOnThePortIsAnotherBus(t *testing.T) {
	b := openTest(t, group4)
	other, sender := openTest(t, "239.74.163.3:43113"), openTest(t, "239.74.163.3:43113")
	write(t, sender, frame(0x666, 6))
	wantNext(t, other, frame(0x666, 6)) // it is there for all
	write(t, openTest(t, group4), frame(0x100, 1))
	wantNext(t, b, frame(0x100, 1))
}

func TestUnicastIsNotTheBus(t *testing.T) {
	b := openTest(t, group4)
	f := frame(0x666, 6)
	sendRaw(t, "127.0.0.1:43113", appendMessage(nil, &f, time.Now()))
	write(t, openTest(t, group4), frame(0x100, 1))
	wantNext(t, b, frame(0x100, 1))
}

func TestGarbageIsLeftOutAndCounted(t *testing.T) {
	b := openTest(t, group4)
	good := frame(0x100, 1)
	message := appendMessage(nil, &good, time.Now())
	sendRaw(t, group4,
		nil, []byte("garbage"), message[:len(message)-1], append(message[:len(message):len(message)], 0),
		make([]byte, 60000), []byte{0x80 /* an empty map: a frame as python-can has it */}, message)
	wantNext(t, b, canbus.Frame{Flags: canbus.Extended})
	wantNext(t, b, good)
	if n := b.Malformed(); n != 5 {
		t.Errorf("Malformed is %d, want 5", n)
	}
}

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

func TestReaderAndWriterEndTogether(t *testing.T) {
	b := openTest(t, group4+"@10000")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := b.ReadFrames(make([]canbus.Frame, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	wg.Go(func() {
		for {
			if _, err := b.WriteFrames(make([]canbus.Frame, 10)); err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			b.Close()
		}
	})
	wg.Wait()
}
