package isotpnet_test

import (
	"io"
	"testing"

	"example.com/isotp/isotpnet"
)

// BenchmarkStream64MiB sends one message of 64 MiB from a reader to a reader, and
// says by how much the live heap grows at most meanwhile.
func BenchmarkStream64MiB(b *testing.B) {
	const size = 64 * mib
	for _, bc := range []struct {
		name   string
		config isotpnet.Config
	}{
		{"classic", isotpnet.Config{}},
		{"classic/BS=8", isotpnet.Config{BlockSize: 8}},
		{"FD", isotpnet.Config{FD: true}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			c1, c2 := newPipe(b, &bc.config)
			growth := 0.0
			b.SetBytes(size)
			for b.Loop() {
				before := liveHeap()
				sent := make(chan error, 1)
				go func() { sent <- c1.SendFrom(randomBytes(0), size) }()
				r, _, err := c2.NextReader()
				for err == nil {
					_, err = io.CopyN(io.Discard, r, 4*mib)
					growth = max(growth, liveHeap()-before)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				if err := <-sent; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(growth/kib, "KiB-growth")
			b.ReportMetric(0, "ns/op") // a message is a second or so, which says little
		})
	}
}
