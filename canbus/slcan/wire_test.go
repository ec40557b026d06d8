package slcan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

var quietly = slog.New(slog.DiscardHandler)

// eachFirmware runs a test with each firmware, in a bubble.
func eachFirmware(t *testing.T, test func(t *testing.T, of string)) {
	for of := range firmwares {
		t.Run(of, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, of) })
		})
	}
}

// openSim opens a Bus with an adapter.
func openSim(t *testing.T, s *sim, o Options) *Bus {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quietly
	}
	b, err := New(t.Context(), s.plug(), "a port in memory", o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// record reads all that a tap hears.
func record(t *testing.T, wire *virtual.Network) (heard func() []canbus.Frame) {
	t.Helper()
	tap, err := wire.Tap()
	if err != nil {
		t.Fatal(err)
	}
	list := make(chan []canbus.Frame, 1)
	go func() {
		var frames []canbus.Frame
		buf := make([]canbus.Frame, 64)
		for {
			n, err := tap.ReadFrames(buf)
			frames = append(frames, buf[:n]...)
			if err != nil {
				list <- frames
				return
			}
		}
	}()
	return func() []canbus.Frame {
		tap.Close()
		return <-list
	}
}

// echoes reads all that a bus says of its own frames.
func echoes(b *Bus) <-chan []canbus.Frame {
	list := make(chan []canbus.Frame, 1)
	go func() {
		var frames []canbus.Frame
		buf := make([]canbus.Frame, 64)
		for {
			n, err := b.ReadFrames(buf)
			for _, f := range buf[:n] {
				if f.Has(canbus.Echo) {
					frames = append(frames, f)
				}
			}
			if err != nil {
				list <- frames
				return
			}
		}
	}()
	return list
}

func write(t *testing.T, b canbus.Bus, frames []canbus.Frame) {
	t.Helper()
	for len(frames) > 0 {
		n, err := b.WriteFrames(frames)
		if err != nil {
			t.Fatal(err)
		}
		frames = frames[n:]
	}
}

// numbered returns frames that are all different.
func numbered(count int) []canbus.Frame {
	frames := make([]canbus.Frame, count)
	for i := range frames {
		frames[i] = canbus.Frame{ID: 0x100, Len: 8, Data: [64]byte{byte(i), byte(i >> 8), byte(i >> 16), 7: byte(i)}}
	}
	return frames
}

// number returns which frame of numbered it is.
func number(f *canbus.Frame) int { return int(f.Data[0]) | int(f.Data[1])<<8 | int(f.Data[2])<<16 }

// Each frame comes back once, in order, and all are on the wire when Close returns: as a
// replay needs it.
func TestFramesAreOnTheWireWhenCloseReturns(t *testing.T) {
	eachFirmware(t, func(t *testing.T, of string) {
		for _, bitrate := range []int{10_000, 125_000, 500_000, 1_000_000} {
			wire := newWire(t, bitrate, 0)
			heard := record(t, wire)
			s := newSim(wire, of)
			b := openSim(t, s, Options{Bitrate: bitrate})
			back := echoes(b)
			sent := numbered(300)
			write(t, b, sent)
			b.Close()
			s.unplug()
			if got := heard(); len(got) != len(sent) {
				t.Errorf("%d bit/s: %d of %d frames on the wire", bitrate, len(got), len(sent))
			}
			list := <-back
			for i := range list {
				if number(&list[i]) != i || list[i].Has(canbus.Refused) {
					t.Fatalf("%d bit/s: echo %d is %v", bitrate, i, list[i])
				}
			}
			if len(list) != len(sent) {
				t.Errorf("%d bit/s: %d echoes of %d", bitrate, len(list), len(sent))
			}
		}
	})
}

// Two adapters that send all they can share the wire: neither loses a frame.
func TestBothWaysAtOnce(t *testing.T) {
	count := scale.Down(1000, 300)
	eachFirmware(t, func(t *testing.T, of string) {
		wire := newWire(t, 500_000, 0)
		heard := record(t, wire)
		var sims [2]*sim
		var buses [2]*Bus
		for i := range sims {
			sims[i] = newSim(wire, of)
			buses[i] = openSim(t, sims[i], Options{Bitrate: 500_000})
			echoes(buses[i])
		}
		written := make(chan error, 2)
		for i, b := range buses {
			go func() {
				frames := numbered(count)
				for j := range frames {
					frames[j].ID += uint32(i)
				}
				for len(frames) > 0 {
					n, err := b.WriteFrames(frames)
					if err != nil {
						written <- err
						return
					}
					frames = frames[n:]
				}
				written <- nil
			}()
		}
		for range buses {
			if err := <-written; err != nil {
				t.Error(err)
			}
		}
		for i := range buses {
			buses[i].Close()
			sims[i].unplug()
		}
		if got := len(heard()); got != 2*count {
			t.Errorf("%d of %d frames on the wire", got, 2*count)
		}
	})
}

// A frame that the adapter refuses comes back as refused, and no other.
func TestRefusedFramesComeBack(t *testing.T) {
	for of, fw := range firmwares {
		if fw.sent == "" {
			continue // answers no frames
		}
		for _, percent := range []int{1, 10, 100} {
			t.Run(fmt.Sprint(of, percent), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					wire := newWire(t, 500_000, 0)
					heard := record(t, wire)
					s := newSim(wire, of)
					dice := rand.New(rand.NewPCG(1, 2))
					refusals := 0
					s.refuse = func(*canbus.Frame) bool {
						no := dice.IntN(100) < percent
						if no {
							refusals++
						}
						return no
					}
					b := openSim(t, s, Options{Bitrate: 500_000})
					back := echoes(b)
					count := scale.Down(2000, 500)
					write(t, b, numbered(count))
					b.Close()
					s.unplug()
					checkFates(t, heard(), <-back, count)
					if b.Refused() != uint64(refusals) {
						t.Errorf("Refused is %d after %d", b.Refused(), refusals)
					}
				})
			})
		}
	}
}

// checkFates checks that each frame came back, and was refused or is on the wire.
func checkFates(t *testing.T, heard, back []canbus.Frame, count int) {
	t.Helper()
	onWire := make(map[int]bool)
	for i := range heard {
		onWire[number(&heard[i])] = true
	}
	if len(back) != count {
		t.Errorf("%d of %d frames came back", len(back), count)
	}
	for i := range back {
		if f := &back[i]; number(f) != i || f.Has(canbus.Refused) == onWire[i] {
			t.Fatalf("frame %d came back as %d, refused: %v; on the wire: %v", i, number(f), f.Has(canbus.Refused), onWire[i])
		}
	}
}

// Without a pause no one of the frames around a lost answer is known to be good. What
// comes after it is.
func TestLostAnswers(t *testing.T) {
	for name, lose := range map[string]func(s *sim, which func() bool){
		"Answer": func(s *sim, which func() bool) { s.lose = which },
		"Frame":  func(s *sim, which func() bool) { s.drop = which },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := newWire(t, 500_000, 0)
				heard := record(t, wire)
				s := newSim(wire, "Lawicel")
				n := 0
				lose(s, func() bool { n++; return n == 30 })
				b := openSim(t, s, Options{Bitrate: 500_000})
				back := echoes(b)
				sent := numbered(200)
				write(t, b, sent[:100])
				time.Sleep(time.Second)
				write(t, b, sent[100:])
				b.Close()
				s.unplug()
				heard()
				list := <-back
				if len(list) != len(sent) {
					t.Fatalf("%d of %d frames came back", len(list), len(sent))
				}
				for i := range list {
					if refused := list[i].Has(canbus.Refused); number(&list[i]) != i || refused != (i == 99) {
						t.Errorf("frame %d came back as %d, refused: %v", i, number(&list[i]), refused)
					}
				}
			})
		})
	}
}

// An answer too many is found before it is taken for that of a frame.
func TestAnswersTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := newWire(t, 500_000, 0)
		heard := record(t, wire)
		s := newSim(wire, "Lawicel")
		b := openSim(t, s, Options{Bitrate: 500_000})
		back := echoes(b)
		sent := numbered(40)
		write(t, b, sent[:20])
		time.Sleep(time.Second)
		s.mu.Lock()
		s.say("\r")
		s.refuse = func(*canbus.Frame) bool { return true }
		s.mu.Unlock()
		synctest.Wait()
		write(t, b, sent[20:])
		b.Close()
		s.unplug()
		checkFates(t, heard(), <-back, len(sent))
	})
}

// An adapter that takes frames and dies silently: they fail after a second and a half.
func TestAdapterThatStopsToAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := newWire(t, 500_000, 0)
		s := newSim(wire, "Lawicel")
		b := openSim(t, s, Options{Bitrate: 500_000})
		back := echoes(b)
		sent := numbered(30)
		write(t, b, sent[:10])
		time.Sleep(time.Second)
		s.mu.Lock()
		s.boots = time.Hour // deaf
		s.mu.Unlock()
		write(t, b, sent[10:])
		began := time.Now()
		if err := b.Flush(t.Context()); err != nil {
			var doubt *DoubtError
			if !errors.As(err, &doubt) || doubt.Frames != 20 {
				t.Errorf("Flush: %v", err)
			}
		}
		if d := time.Since(began); d > 1500*time.Millisecond {
			t.Errorf("Flush took %v", d)
		}
		time.Sleep(time.Second)
		b.Close()
		s.unplug()
		list := <-back
		for i := range list {
			if list[i].Has(canbus.Refused) != (i >= 10) {
				t.Errorf("frame %d: %v", i, list[i])
			}
		}
		if len(list) != len(sent) {
			t.Errorf("%d of %d frames came back", len(list), len(sent))
		}
	})
}

// What is sent on a bus that is closed right behind it arrives.
func TestMessagesOnBusesClosedAtOnce(t *testing.T) {
	for _, c := range []struct {
		of      string
		bitrate int
		count   int
	}{
		{"Lawicel", 500_000, 1000}, {"Lawicel", 125_000, 100},
		{"CANable2", 500_000, 100}, {"CANable2", 125_000, 1000},
		{"CANable25", 500_000, 100}, {"CANableThatAnswers", 500_000, 100}, {"CANable", 500_000, 100},
		{"Arduino", 500_000, 20}, {"Mute", 500_000, 20},
	} {
		c.count = min(c.count, scale.Down(c.count, 10))
		t.Run(fmt.Sprintf("%s%d", c.of, c.bitrate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := newWire(t, c.bitrate, 0)
				sims := [2]*sim{newSim(wire, c.of), newSim(wire, c.of)}
				for way := range sims {
					sendAndClose(t, sims[way], sims[1-way], c.bitrate, c.count)
				}
			})
		})
	}
}

func sendAndClose(t *testing.T, from, to *sim, bitrate, count int) {
	bus := openSim(t, to, Options{Bitrate: bitrate})
	d := isotpnet.Dialer{Bus: bus}
	c, err := d.DialContext(t.Context(), "isotp:user", "/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	peer := c.(*isotpnet.Conn)
	dice := rand.New(rand.NewPCG(3, 4))
	for i := range count {
		message := make([]byte, 1+dice.IntN(1+dice.IntN(1+dice.IntN(4095))))
		if i == 0 {
			message = make([]byte, 4095)
		}
		for j := range message {
			message[j] = byte(i + j)
		}
		sender := openSim(t, from, Options{Bitrate: bitrate})
		d := isotpnet.Dialer{Bus: sender}
		c, err := d.DialContext(t.Context(), "isotp:user", "/7E0:7E8")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(message); err != nil {
			t.Fatalf("message %d of %d bytes: %v", i, len(message), err)
		}
		c.Close()
		sender.Close()
		from.unplug()
		peer.SetReadDeadline(time.Now().Add(time.Second))
		got := make([]byte, 4096)
		n, err := peer.Read(got)
		got = got[:n]
		if err != nil || !bytes.Equal(got, message) {
			t.Fatalf("message %d of %d bytes: %d bytes, %v", i, len(message), len(got), err)
		}
	}
	peer.Close()
	bus.Close()
	to.unplug()
}

// Whatever the adapter refuses: no Write returns nil for a message that is not whole on
// the wire. Messages of several connections are under way at once.
func TestWritesWhoseFramesAreRefused(t *testing.T) {
	for of, fw := range firmwares {
		if fw.sent == "" {
			continue // answers no frames
		}
		for _, percent := range []int{1, 10, 100} {
			t.Run(fmt.Sprint(of, percent), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { writesRefused(t, of, percent) })
			})
		}
	}
}

func writesRefused(t *testing.T, of string, percent int) {
	wire := newWire(t, 500_000, 0)
	sims := [2]*sim{newSim(wire, of), newSim(wire, of)}
	dice := rand.New(rand.NewPCG(5, 6))
	refused := false
	sims[0].refuse = func(*canbus.Frame) bool {
		no := dice.IntN(100) < percent
		refused = refused || no
		return no
	}
	buses := [2]*Bus{openSim(t, sims[0], Options{Bitrate: 500_000}), openSim(t, sims[1], Options{Bitrate: 500_000})}
	const pairs, count = 3, 30
	var ends sync.WaitGroup
	var good, bad atomic.Int32
	for i := range pairs {
		ends.Go(func() {
			dial := func(bus canbus.Bus, address string) *isotpnet.Conn {
				d := isotpnet.Dialer{Bus: bus}
				c, err := d.DialContext(t.Context(), "isotp:user", fmt.Sprintf(address, i, i))
				if err != nil {
					t.Error(err)
				}
				return c.(*isotpnet.Conn)
			}
			sender, peer := dial(buses[0], "/7E%d:7F%d"), dial(buses[1], "/7F%d:7E%d")
			defer sender.Close()
			defer peer.Close()
			got := make(chan string, 1000)
			go func() {
				buf := make([]byte, 4096)
				for {
					n, err := peer.Read(buf)
					if isotpnet.Final(err) {
						return
					}
					got <- string(buf[:n])
				}
			}()
			for j := range count {
				message := bytes.Repeat([]byte{byte(i), byte(j), 7}, 1+j*j)
				if _, err := sender.Write(message); err != nil {
					bad.Add(1)
					continue
				}
				good.Add(1)
				arrived := false
				for timer := time.After(time.Second); !arrived; {
					select {
					case m := <-got:
						arrived = m == string(message)
						continue
					case <-timer:
					}
					break
				}
				if !arrived {
					t.Errorf("Write of message %d on pair %d: nil, and it is not there", j, i)
				}
			}
		})
	}
	ends.Wait()
	for i := range buses {
		buses[i].Close()
		sims[i].unplug()
	}
	switch {
	case refused != (bad.Load() > 0):
		t.Errorf("frames refused: %v; %d Writes failed", refused, bad.Load())
	case percent == 1 && good.Load() == 0, percent == 100 && good.Load() > 0:
		t.Errorf("%d Writes returned nil", good.Load())
	}
}

// A stream that is closed behind a long Write is whole.
func TestStreamClosedAtOnce(t *testing.T) {
	for _, of := range []string{"Lawicel", "CANable2"} {
		t.Run(of, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := newWire(t, 500_000, 0)
				sims := [2]*sim{newSim(wire, of), newSim(wire, of)}
				buses := [2]*Bus{openSim(t, sims[0], Options{Bitrate: 500_000}), openSim(t, sims[1], Options{Bitrate: 500_000})}
				listen := isotpnet.ListenConfig{Bus: buses[1]}
				ln, err := listen.Listen(t.Context(), "isotp-stream:user", "/7E8:7E0")
				if err != nil {
					t.Fatal(err)
				}
				sent := make([]byte, scale.Down(1<<20, 40<<10))
				for i := range sent {
					sent[i] = byte(i * 7 >> 3)
				}
				got := make(chan [32]byte, 1)
				go func() {
					c, err := ln.Accept()
					if err != nil {
						t.Error(err)
						got <- [32]byte{}
						return
					}
					b, err := io.ReadAll(c)
					if err != nil {
						t.Error(err)
					}
					c.Close()
					got <- sha256.Sum256(b)
				}()
				d := isotpnet.Dialer{Bus: buses[0]}
				c, err := d.DialContext(t.Context(), "isotp-stream:user", "/7E0:7E8")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Write(sent); err != nil {
					t.Fatal(err)
				}
				c.Close()
				buses[0].Close()
				if <-got != sha256.Sum256(sent) {
					t.Error("the stream is not whole")
				}
				ln.Close()
				buses[1].Close()
				for _, s := range sims {
					s.unplug()
				}
			})
		})
	}
}

// Close and Flush need not wait for what is long gone.
func TestFlushOfNothing(t *testing.T) {
	eachFirmware(t, func(t *testing.T, of string) {
		wire := newWire(t, 500_000, 0)
		s := newSim(wire, of)
		b := openSim(t, s, Options{Bitrate: 500_000})
		echoes(b)
		write(t, b, numbered(10))
		time.Sleep(2 * time.Second)
		began := time.Now()
		if err := b.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("Flush took %v", d)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		write(t, b, numbered(10))
		if err := b.Flush(canceled); !errors.Is(err, context.Canceled) {
			t.Errorf("Flush with a context that is over: %v", err)
		}
		b.Close()
		s.unplug()
		if err := b.Flush(t.Context()); err == nil {
			t.Error("Flush after Close: nil")
		}
	})
}

// The margin is what Options say.
func TestFlushWaitsForTheWireAndAMargin(t *testing.T) {
	for _, c := range []struct{ option, margin time.Duration }{{0, 20 * time.Millisecond}, {-1, 0}, {50 * time.Millisecond, 50 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			wire := newWire(t, 125_000, 0)
			s := newSim(wire, "Lawicel")
			b := openSim(t, s, Options{Bitrate: 125_000, Flush: c.option})
			echoes(b)
			began := time.Now()
			frames := numbered(8)
			write(t, b, frames)
			if err := b.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			want := c.margin
			for i := range frames {
				want += canbus.WireTime(&frames[i], 125_000, 0)
			}
			if d := time.Since(began); d < want || d > want+5*time.Millisecond {
				t.Errorf("Flush returned after %v, want %v", d, want)
			}
			b.Close()
			s.unplug()
		})
	}
}

// While no caller reads, frames can be written all the same.
func TestNobodyReads(t *testing.T) {
	eachFirmware(t, func(t *testing.T, of string) {
		wire := newWire(t, 500_000, 0)
		heard := record(t, wire)
		s := newSim(wire, of)
		b := openSim(t, s, Options{Bitrate: 500_000})
		sent := numbered(6000)
		write(t, b, sent)
		b.Close()
		s.unplug()
		if got := len(heard()); got != len(sent) {
			t.Errorf("%d of %d frames on the wire", got, len(sent))
		}
		if b.Dropped() == 0 {
			t.Error("nothing dropped")
		}
	})
}
