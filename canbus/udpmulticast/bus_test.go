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
