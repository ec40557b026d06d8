package isotpnet_test

import (
	"fmt"
	"testing"

	"example.com/isotp/isotpnet"
)

// BenchmarkMessage sends messages of 4095 bytes from end to end in memory: two
// engines, two muxes and a virtual bus between them.
func BenchmarkMessage(b *testing.B) {
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
		b.Run(bc.name, func(b *testing.B) {
			c1, c2, err := isotpnet.Pipe(&bc.config)
			if err != nil {
				b.Fatal(err)
			}
			defer c1.Close()
			defer c2.Close()
			done := make(chan error, 1)
			go func() {
				buf := make([]byte, 4095)
				for {
					if _, _, err := c2.ReadMessage(buf); err != nil {
						done <- err
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

// BenchmarkRoundTrip sends a Single Frame there and another back.
func BenchmarkRoundTrip(b *testing.B) {
	for _, fd := range []bool{false, true} {
		b.Run(fmt.Sprintf("FD=%v", fd), func(b *testing.B) {
			c1, c2, err := isotpnet.Pipe(&isotpnet.Config{FD: fd})
			if err != nil {
				b.Fatal(err)
			}
			defer c1.Close()
			defer c2.Close()
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
