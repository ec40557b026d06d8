//go:build linux

package isotpnet

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkKernelThroughput is 4095 bytes from one socket to another, with the
// gap that we leave before each Consecutive Frame and with Linux's own.
func BenchmarkKernelThroughput(b *testing.B) {
	for _, fd := range []bool{false, true} {
		for _, gap := range []time.Duration{0, 50 * time.Microsecond} {
			b.Run(fmt.Sprintf("FD=%v/FrameTxTime=%v", fd, gap), func(b *testing.B) {
				c1, c2 := kernelPair(b, &Dialer{Config: Config{FD: fd, Kernel: KernelOptions{FrameTxTime: gap}}})
				p := make([]byte, 4095)
				buf := make([]byte, 8192)
				b.SetBytes(int64(len(p)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c1.Write(p); err != nil {
						b.Fatal(err)
					}
					if n, err := c2.Read(buf); n != len(p) || err != nil {
						b.Fatal(n, err)
					}
				}
			})
		}
	}
}

// BenchmarkKernelRoundTrip is a Single Frame and its answer.
func BenchmarkKernelRoundTrip(b *testing.B) {
	c1, c2 := kernelPair(b, &Dialer{})
	go func() {
		buf := make([]byte, 8)
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
	p := []byte{1, 2, 3}
	buf := make([]byte, 8)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c1.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := c1.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
