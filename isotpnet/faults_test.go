package isotpnet_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

// faults are what can go wrong on a bus, each with a probability.
var faults = []struct {
	name string
	make func(p float64) virtual.Faults
}{
	{"Lose", func(p float64) virtual.Faults { return virtual.Faults{Lose: p} }},
	{"Duplicate", func(p float64) virtual.Faults { return virtual.Faults{Duplicate: p} }},
	{"Delay", func(p float64) virtual.Faults { return virtual.Faults{Delay: p, MaxDelay: 200 * time.Millisecond} }},
	{"Reorder", func(p float64) virtual.Faults { return virtual.Faults{Reorder: p} }},
	{"ErrorFrame", func(p float64) virtual.Faults { return virtual.Faults{ErrorFrame: p} }},
	{"ShortBusOff", func(p float64) virtual.Faults {
		return virtual.Faults{BusOff: p, BusOffTime: 100 * time.Millisecond}
	}},
	{"LongBusOff", func(p float64) virtual.Faults {
		return virtual.Faults{BusOff: p, BusOffTime: 3 * time.Second}
	}},
	{"All", func(p float64) virtual.Faults {
		return virtual.Faults{Lose: p / 4, Duplicate: p / 4, Delay: p / 4, Reorder: p / 4,
			ErrorFrame: p / 4, BusOff: p / 4, BusOffTime: 100 * time.Millisecond}
	}},
}

// Whatever the bus does to the frames, each message arrives whole and as it was sent, or
// not at all. Every sender and receiver comes to an end, and nothing is left.
func TestFaultsLoseMessagesButNeverChangeThem(t *testing.T) {
	for _, fault := range faults {
		for _, p := range []float64{0.01, 0.2} {
			for _, mode := range []struct {
				name   string
				config isotpnet.Config
			}{
				{"Classic", isotpnet.Config{}},
				{"FD", isotpnet.Config{FD: true, BRS: true}},
				{"Blocks", isotpnet.Config{BlockSize: 5, STmin: 200 * time.Microsecond}},
			} {
				t.Run(fmt.Sprintf("%s/%v%%/%s", fault.name, 100*p, mode.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						testFaults(t, virtual.Options{
							Bitrate: 500_000, DataBitrate: 2_000_000, Faults: fault.make(p), Seed: 1,
						}, mode.config)
					})
				})
			}
		}
	}
}

// testFaults sends messages in both directions at once.
func testFaults(t *testing.T, o virtual.Options, config isotpnet.Config) {
	messages := scale.Down(150, 50)
	n := newNetwork(t, o)
	c1, c2 := newPair(t, n, config, config)
	done := make(chan struct{})
	got := make(chan int)
	for i, c := range []*isotpnet.Conn{c1, c2} {
		go func() {
			defer func() { done <- struct{}{} }()
			rng := rand.New(rand.NewPCG(o.Seed, uint64(i)))
			for range messages {
				sendThroughFaults(t, c, rng)
			}
		}()
		go func() {
			count := 0
			defer func() { got <- count }()
			buf := make([]byte, 5000)
			for {
				k, err := c.Read(buf)
				switch {
				case errors.Is(err, net.ErrClosed):
					return
				case err != nil:
					t.Errorf("Read: %v", err)
					return
				}
				wantSealed(t, buf[:k])
				count++
			}
		}()
	}
	<-done
	<-done
	c1.Close()
	c2.Close()
	if total := <-got + <-got; total < messages/10 {
		t.Errorf("only %d messages of %d have arrived", total, 2*messages)
	}
}

// sendThroughFaults sends a message of any size, and waits until no frame of it
// is on its way: ISO-TP cannot tell a late one from one of the next message.
func sendThroughFaults(t *testing.T, c *isotpnet.Conn, rng *rand.Rand) {
	before := c.Stats()
	p := sealed(rng, 1+rng.IntN(1<<rng.IntN(12)))
	n, err := c.Write(p)
	switch {
	case err == nil && n != len(p), err != nil && n != 0:
		t.Errorf("Write: %d, %v", n, err)
	case err == nil:
	default:
		if _, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok {
			t.Errorf("Write: %v (%T)", err, err)
		}
	}
	if after := c.Stats(); (err == nil) != (after.MessagesSent == before.MessagesSent+1) {
		t.Errorf("Write: %v, but %d messages were sent", err, after.MessagesSent-before.MessagesSent)
	}
	time.Sleep(time.Second)
}

// sealed returns a message of that size, at least 1, which holds a sum of
// itself as far as there is room.
func sealed(rng *rand.Rand, size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	seal(p)
	return p
}

const sealSize = 8

func seal(p []byte) {
	at := max(len(p)-sealSize, (len(p)+1)/2)
	sum := sha256.Sum256(append([]byte{byte(len(p)), byte(len(p) >> 8)}, p[:at]...))
	copy(p[at:], sum[:])
}

// wantSealed checks that a message is as sealed has made it.
func wantSealed(t *testing.T, p []byte) {
	t.Helper()
	want := bytes.Clone(p)
	seal(want)
	if len(p) == 0 || !bytes.Equal(p, want) {
		t.Errorf("read %d bytes that were not written: %.40x", len(p), p)
	}
}

// Whichever frame is lost before the last flow control, the sender learns of the loss, or
// its message arrives.
func TestLossThatTheProtocolSeesIsAnErrorOfWrite(t *testing.T) {
	const size = 6 + 7*20 // 21 frames, a flow control after the first and each 4 more
	for lost := range 21 + 5 {
		t.Run(fmt.Sprintf("frame %d", lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				count := 0
				n := newNetwork(t, virtual.Options{Intercept: func(f *canbus.Frame) virtual.Verdict {
					count++
					if count == lost+1 {
						return virtual.Lose
					}
					return virtual.Deliver
				}})
				tester, ecu := newPair(t, n, isotpnet.Config{}, isotpnet.Config{BlockSize: 4})
				_, err := tester.Write([]byte(payload(size)))
				// FF, CTS, then blocks of 4 and a CTS each, the last without.
				if last := 2 + 4*5; lost < last {
					if err == nil {
						t.Fatal("Write knows nothing of the loss")
					}
					wantCode(t, err, "write", tester, isotpnet.CodeTimeoutBs)
				} else if err != nil {
					t.Errorf("Write: %v", err)
				}
				time.Sleep(5 * time.Second)
				ecu.SetReadDeadline(time.Now().Add(time.Second))
				_, err = ecu.Read(make([]byte, 1000))
				wantErr(t, err, "read", ecu, os.ErrDeadlineExceeded)
				ecu.SetReadDeadline(time.Time{})
				// And both are ready for the next one.
				wantWrite(t, tester, payload(size))
				wantRead(t, ecu, payload(size))
			})
		})
	}
}

// Frames whose N_PCI or length is not what was sent: nothing panics, and every
// byte that is read is one that a frame has brought, in its place.
func TestCorruptedFramesYieldNoBytesThatNobodySent(t *testing.T) {
	for _, mode := range []struct {
		name   string
		config isotpnet.Config
	}{
		{"Classic", isotpnet.Config{}},
		{"FD", isotpnet.Config{FD: true}},
		{"Blocks", isotpnet.Config{BlockSize: 2}},
	} {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%s/%d", mode.name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testCorrupted(t, seed, mode.config) })
			})
		}
	}
}

func testCorrupted(t *testing.T, seed uint64, config isotpnet.Config) {
	const messages = 100
	rng := rand.New(rand.NewPCG(seed, 0))
	var arrived []canbus.Frame // from the tester, as corrupted
	n := newNetwork(t, virtual.Options{Intercept: func(f *canbus.Frame) virtual.Verdict {
		if rng.IntN(4) == 0 {
			f.Data[rng.IntN(2)] ^= 1 << rng.IntN(8)
		}
		if rng.IntN(8) == 0 {
			f.Len = uint8(rng.IntN(70))
		}
		if f.ID == 0x7E0 {
			arrived = append(arrived, *f)
		}
		return virtual.Deliver
	}})
	tester, ecu := newPair(t, n, config, config)
	var got [][]byte
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			buf := make([]byte, 70_000)
			k, err := ecu.Read(buf)
			if err != nil {
				return
			}
			got = append(got, buf[:k])
		}
	}()
	sizes := rand.New(rand.NewPCG(seed, 1))
	for range messages {
		p := make([]byte, 1+sizes.IntN(1<<sizes.IntN(10)))
		for i := range p {
			p[i] = byte(sizes.Uint32())
		}
		tester.Write(p)
	}
	ecu.Close()
	<-ended
	if len(got) < 5 {
		t.Errorf("only %d messages have arrived", len(got))
	}
	for _, m := range got {
		if !assembled(m, arrived) {
			t.Errorf("read %d bytes that no frames have brought: %.40x", len(m), m)
		}
	}
}

// assembled reports whether a message is the data of one frame, or of a first
// frame and others after it, without gaps.
func assembled(m []byte, frames []canbus.Frame) bool {
	for i := range frames {
		for _, head := range []int{1, 2, 6} { // bytes of N_PCI
			data := frames[i].Payload()
			if len(data) <= head {
				continue
			}
			data = data[head:]
			if len(m) <= len(data) {
				if bytes.HasPrefix(data, m) {
					return true
				}
				continue
			}
			if bytes.HasPrefix(m, data) && continued(m[len(data):], frames[i+1:]) {
				return true
			}
		}
	}
	return false
}

func continued(m []byte, frames []canbus.Frame) bool {
	for i := range frames {
		data := frames[i].Payload()
		if len(data) < 2 || data[0]>>4 != 2 {
			continue
		}
		data = data[1:]
		if len(m) <= len(data) && bytes.HasPrefix(data, m) {
			return true
		}
		if len(m) > len(data) && bytes.HasPrefix(m, data) && continued(m[len(data):], frames[i+1:]) {
			return true
		}
	}
	return false
}

// Frames of any content, at any time, to connections that read and write.
func TestNoiseOnTheBus(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 2))
				n := newNetwork(t, virtual.Options{})
				noise := newTap(t, n)
				c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{BlockSize: int(seed), ReadBuffer: 1000, MaxMessageSize: 3000})
				go func() {
					for range 200 {
						c.Write(make([]byte, 1+rng.IntN(50)))
					}
				}()
				go func() {
					for i := 0; ; i++ {
						var err error
						if i%10 == 0 {
							_, _, err = c.NextReader()
						} else {
							_, err = c.Read(make([]byte, 100))
						}
						if errors.Is(err, net.ErrClosed) {
							return
						}
					}
				}()
				own := rand.New(rand.NewPCG(seed, 3))
				for range 5000 {
					f := canbus.Frame{ID: 0x7E8, Len: uint8(own.IntN(9))}
					if own.IntN(4) == 0 {
						f.Flags, f.Len = canbus.FD, uint8(canbus.PadLen(own.IntN(65)))
					}
					for i := range f.Data {
						f.Data[i] = byte(own.Uint32())
					}
					f.Data[0] &= 0x3F
					writeFrames(noise, f)
					if own.IntN(20) == 0 {
						time.Sleep(time.Duration(own.IntN(300)) * time.Millisecond)
					}
				}
				c.Close()
			})
		})
	}
}
