package socketcan_test

import (
	"fmt"
	"net"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

// The figure of each benchmark is the time for one frame.

var batchSizes = []int{1, 4, 16, 64}

// rawSocket is a CAN_RAW socket without anything around it, for comparison.
func rawSocket(b *testing.B) int {
	cantest.Need(b)
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	must(b, err)
	b.Cleanup(func() { unix.Close(fd) })
	link, err := net.InterfaceByName("vcan0")
	must(b, err)
	must(b, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20))
	must(b, unix.Bind(fd, &unix.SockaddrCAN{Ifindex: link.Index}))
	return fd
}

// quiet returns a bus that hears nothing but its own echoes.
func quiet(b *testing.B) canbus.Bus {
	bus := open(b, "vcan0")
	must(b, bus.SetFilters(nil))
	return bus
}

// A frame sent, and its echo received.
func BenchmarkWrite(b *testing.B) {
	b.Run("write(2) and read(2)", func(b *testing.B) {
		fd := rawSocket(b)
		must(b, unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_RECV_OWN_MSGS, 1))
		var raw [16]byte
		raw[4] = 8
		for b.Loop() {
			if _, err := unix.Write(fd, raw[:]); err != nil {
				b.Fatal(err)
			}
			if _, err := unix.Read(fd, raw[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, size := range batchSizes {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			bus, frames, echoes := quiet(b), numbered(size), make([]canbus.Frame, size)
			write(b, bus, frames...) // sets filters
			read(b, bus, size, true)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += size {
				write(b, bus, frames...)
				for k := 0; k < size; {
					r, err := bus.ReadFrames(echoes)
					if err != nil {
						b.Fatal(err)
					}
					k += r
				}
			}
		})
	}
}

// burst is how many frames wait when reading begins: fewer than a buffer holds.
const burst = 2048

func BenchmarkRead(b *testing.B) {
	fill := func(b *testing.B, from canbus.Bus, frames []canbus.Frame) {
		b.StopTimer()
		for range burst / len(frames) {
			write(b, from, frames...)
			for k := 0; k < len(frames); {
				k += len(read(b, from, len(frames)-k, true))
			}
		}
		b.StartTimer()
	}
	frames := numbered(64)
	b.Run("read(2)", func(b *testing.B) {
		fd, from := rawSocket(b), quiet(b)
		var raw [16]byte
		b.ResetTimer()
		for n := 0; n < b.N; n += burst {
			fill(b, from, frames)
			for range burst {
				if _, err := unix.Read(fd, raw[:]); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	for _, size := range batchSizes {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			from, to := quiet(b), open(b, "vcan0")
			buf := make([]canbus.Frame, size)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += burst {
				fill(b, from, frames)
				for k := 0; k < burst; {
					r, err := to.ReadFrames(buf)
					if err != nil {
						b.Fatal(err)
					}
					k += r
				}
			}
		})
	}
}

// One frame there and back between two goroutines.
func BenchmarkRoundTrip(b *testing.B) {
	there, back := open(b, "vcan0"), open(b, "vcan0")
	must(b, there.SetFilters([]canbus.Filter{{ID: 2, Mask: canbus.MaxStandardID}}))
	must(b, back.SetFilters([]canbus.Filter{{ID: 1, Mask: canbus.MaxStandardID}}))
	go func() {
		buf := make([]canbus.Frame, 1)
		for {
			if n, err := back.ReadFrames(buf); err != nil {
				return
			} else if n == 1 && !buf[0].Has(canbus.Echo) {
				back.WriteFrames([]canbus.Frame{frame(2)})
			}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		write(b, there, frame(1))
		for got := 0; got < 1; {
			got = len(read(b, there, 1, false))
		}
	}
}

// Filters are free: the kernel finds exact ones in a table.
func BenchmarkReadWithFilters(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bus := open(b, "vcan0")
			list := make([]canbus.Filter, n)
			for i := range list {
				list[i] = canbus.Filter{ID: 0x10000 + uint32(i), Mask: canbus.MaxExtendedID, Extended: true}
			}
			must(b, bus.SetFilters(list))
			fd := rawSocket(b) // sends what the bus does not want
			var raw [16]byte
			for b.Loop() {
				if _, err := unix.Write(fd, raw[:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// transfer sends a message from c1 to c2, with a buffer for it.
func transfer(b *testing.B, c1, c2 *isotpnet.Conn, message, buf []byte) {
	done := make(chan error)
	go func() {
		_, err := c1.Write(message)
		done <- err
	}()
	if n, err := c2.Read(buf); n != len(message) || err != nil {
		b.Fatal(n, err)
	}
	must(b, <-done)
}

func BenchmarkISOTP(b *testing.B) {
	for _, size := range []int{7, 4095} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c1, c2 := dialPair(b, "vcan0")
			message, buf := make([]byte, size), make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				transfer(b, c1, c2, message, buf)
			}
		})
	}
}

// BenchmarkCallsRaw counts the system calls of both ends of a message, of the scheduler too.
func BenchmarkCallsRaw(b *testing.B) {
	const size, frames = 4095, 2 + (4095-6+6)/7 // with the flow control
	c1, c2 := dialPair(b, "vcan0")
	message, buf := make([]byte, size), make([]byte, size)
	transfer(b, c1, c2, message, buf) // sets filters
	count := cantest.CountCalls(b)
	for b.Loop() {
		transfer(b, c1, c2, message, buf)
	}
	b.ReportMetric(count()/float64(b.N)/frames, "calls/frame")
}
