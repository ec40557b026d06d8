package isotpnet_test

import (
	"fmt"
	"testing"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// benchmarkPairs are the ways in which both ends can be in one process: on one bus, that of
// a Pipe or any other, whose Mux hands frames over by itself; and each with a tap of its
// own, as in two programs, where frames pass from goroutine to goroutine.
var benchmarkPairs = []struct {
	name string
	make func(b *testing.B, c isotpnet.Config) (c1, c2 *isotpnet.Conn)
}{
	{"Pipe", func(b *testing.B, c isotpnet.Config) (c1, c2 *isotpnet.Conn) { return newPipe(b, &c) }},
	{"OneBus", func(b *testing.B, c isotpnet.Config) (c1, c2 *isotpnet.Conn) {
		tap := newTap(b, newNetwork(b, virtual.Options{}))
		return dialOn(b, tap, testerAddr, c), dialOn(b, tap, ecuAddr, c)
	}},
	{"Taps", func(b *testing.B, c isotpnet.Config) (c1, c2 *isotpnet.Conn) {
		n := newNetwork(b, virtual.Options{})
		return dialOn(b, newTap(b, n), testerAddr, c), dialOn(b, newTap(b, n), ecuAddr, c)
	}},
}

// BenchmarkMessage sends messages of 4095 bytes from end to end in memory.
func BenchmarkMessage(b *testing.B) {
	for _, pair := range benchmarkPairs {
		for _, bc := range []struct {
			name   string
			config isotpnet.Config
			frames int
		}{
			{"classic/BS=0", isotpnet.Config{}, 586},
			{"classic/BS=8", isotpnet.Config{BlockSize: 8}, 586 + 73},
			{"FD/BS=0", isotpnet.Config{FD: true}, 66},
			{"FD/BS=8", isotpnet.Config{FD: true, BlockSize: 8}, 66 + 8},
		} {
			b.Run(pair.name+"/"+bc.name, func(b *testing.B) {
				c1, c2 := pair.make(b, bc.config)
				go func() {
					buf := make([]byte, 4095)
					for {
						if _, _, err := c2.ReadMessage(buf); err != nil {
							return
						}
					}
				}()
				p := make([]byte, 4095)
				b.SetBytes(4095)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c1.Write(p); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(bc.frames), "ns/frame")
			})
		}
	}
}

// BenchmarkLongMessage sends messages of 1 MiB, each received whole.
func BenchmarkLongMessage(b *testing.B) {
	for _, fd := range []bool{false, true} {
		b.Run(fmt.Sprintf("FD=%v", fd), func(b *testing.B) {
			c1, c2 := newPipe(b, &isotpnet.Config{FD: fd})
			go func() {
				buf := make([]byte, mib)
				for {
					if _, _, err := c2.ReadMessage(buf); err != nil {
						return
					}
				}
			}()
			p := make([]byte, mib)
			b.SetBytes(mib)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c1.Write(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRoundTrip sends a Single Frame there and another back.
func BenchmarkRoundTrip(b *testing.B) {
	for _, pair := range benchmarkPairs {
		for _, fd := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/FD=%v", pair.name, fd), func(b *testing.B) {
				c1, c2 := pair.make(b, isotpnet.Config{FD: fd})
				go func() {
					buf := make([]byte, 64)
					for {
						n, err := c2.Read(buf)
						if err != nil {
							return
						}
						if _, err := c2.Write(buf[:n]); err != nil {
							return
						}
					}
				}()
				p := []byte{0x22, 0xF1, 0x90}
				buf := make([]byte, 64)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c1.Write(p); err != nil {
						b.Fatal(err)
					}
					if _, err := c1.Read(buf); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
