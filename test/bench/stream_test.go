package bench

import (
	"io"
	"testing"

	"example.com/isotp/isotpnet"
)

// BenchmarkBytes sends bytes from end to end: in messages of 4095 bytes, and on a stream in
// Writes as io.Copy makes them and in Writes of 4095 bytes. A stream's messages of 4095 bytes
// have 4084 of the user. So the former Writes are 15 messages, the latter one and a short one.
func BenchmarkBytes(b *testing.B) {
	const kB = 480
	for _, bus := range []struct {
		name   string
		config isotpnet.Config
	}{
		{"classic", isotpnet.Config{}},
		{"FD", isotpnet.Config{FD: true}},
	} {
		for _, bc := range []struct {
			name  string
			place place
			write int // bytes
		}{
			{"messages", twoTaps, size},
			{"stream", stream, 15 * (size - 11)},
			{"stream-WritesOf4095", stream, size},
		} {
			b.Run(bus.name+"/"+bc.name, func(b *testing.B) {
				tester, ecu := bc.place.pair(b, bus.config)
				read := make(chan error)
				out, in := make([]byte, bc.write), make([]byte, 64<<10)
				run(b, kB, "kB", func() {
					go func() { read <- readBytes(ecu, in, kB*1000) }()
					for left := kB * 1000; left > 0; {
						n, err := tester.Write(out[:min(left, len(out))])
						must(b, err)
						left -= n
					}
					must(b, <-read)
				})
			})
		}
	}
}

// readBytes reads n bytes.
func readBytes(r io.Reader, buf []byte, n int) error {
	for n > 0 {
		k, err := r.Read(buf)
		if err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// BenchmarkSendFrom sends one message of 64 MiB from a reader to a reader, and says by how
// much the live heap grows at most meanwhile.
func BenchmarkSendFrom(b *testing.B) {
	const size = 64 << 20
	c1, c2 := pipe.pair(b, isotpnet.Config{FD: true})
	tester, ecu := c1.(*isotpnet.Conn), c2.(*isotpnet.Conn)
	most := 0.0
	for b.Loop() {
		before := liveHeap()
		sent := make(chan error, 1)
		go func() { sent <- tester.SendFrom(zeros{}, size) }()
		r, _, err := ecu.NextReader()
		for err == nil {
			_, err = io.CopyN(io.Discard, r, 8<<20)
			most = max(most, liveHeap()-before)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		must(b, <-sent)
	}
	b.ReportMetric(most, "B-of-heap")
	b.ReportMetric(0, "ns/op") // mostly collections
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
