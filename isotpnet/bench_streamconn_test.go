package isotpnet_test

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// A link is a connection of the network "isotp" and one of "isotp-stream", each on
// a bus of its own of the same kind, to be compared.
type link struct{ tester, ecu net.Conn }

func newLinks(b *testing.B, o virtual.Options, c isotpnet.Config) (plain, stream link) {
	b.Helper()
	tester, ecu := newPair(b, newNetwork(b, o), c, c)
	n := newNetwork(b, o)
	ln := listenStream(b, newTap(b, n), c)
	dialled, err := dialStream(newTap(b, n), c)
	if err != nil {
		b.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeAll(dialled, accepted, ln) })
	return link{tester, ecu}, link{dialled, accepted}
}

// compare calls plain and stream in turn, each for about half of the time, and
// reports the median of how long the one takes in terms of the other. So both have
// the same share of whatever else the machine does.
func compare(b *testing.B, plain, stream func()) (plainTime, streamTime time.Duration) {
	var plains, streams []time.Duration
	plain()
	stream()
	for b.Loop() {
		start := time.Now()
		plain()
		between := time.Now()
		stream()
		plains = append(plains, between.Sub(start))
		streams = append(streams, time.Since(between))
	}
	slices.Sort(plains)
	slices.Sort(streams)
	return plains[len(plains)/2], streams[len(streams)/2]
}

// BenchmarkStreamThroughput sends bytes from end to end, on isotp as messages of 4095
// bytes and on isotp-stream, and says how much of the one's speed the other has. A
// stream's messages have 4088 bytes of the user; so a Write of 4095 is a message and
// a short one, and "bulk" has longer Writes.
func BenchmarkStreamThroughput(b *testing.B) {
	for _, bc := range []struct {
		name   string
		bus    virtual.Options
		config isotpnet.Config
		write  int // bytes, on the stream
		size   int // bytes at a time
	}{
		{"memory", virtual.Options{}, isotpnet.Config{}, 4095, 256 * 4095},
		{"memory/bulk", virtual.Options{}, isotpnet.Config{}, 16 * 4095, 256 * 4095},
		{"memory/FD", virtual.Options{}, isotpnet.Config{FD: true}, 4095, 1024 * 4095},
		{"memory/FD/bulk", virtual.Options{}, isotpnet.Config{FD: true}, 16 * 4095, 1024 * 4095},
		{"500kbit", virtual.Options{Bitrate: 500_000}, isotpnet.Config{}, 4095, 16 * 4095},
		{"500kbit/bulk", virtual.Options{Bitrate: 500_000}, isotpnet.Config{}, 16 * 4095, 16 * 4095},
	} {
		b.Run(bc.name, func(b *testing.B) {
			plain, stream := newLinks(b, bc.bus, bc.config)
			send := func(l link, write int) func() {
				p, in := make([]byte, write), make([]byte, 64<<10)
				return func() {
					done := make(chan error, 1)
					go func() {
						_, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{io.LimitReader(l.ecu, int64(bc.size))}, in)
						done <- err
					}()
					for range bc.size / write {
						if _, err := l.tester.Write(p); err != nil {
							b.Fatal(err)
						}
					}
					if err := <-done; err != nil {
						b.Fatal(err)
					}
				}
			}
			plainTime, streamTime := compare(b, send(plain, 4095), send(stream, bc.write))
			rate := func(d time.Duration) float64 { return float64(bc.size) / d.Seconds() / 1e6 }
			b.ReportMetric(rate(plainTime), "plain-MB/s")
			b.ReportMetric(rate(streamTime), "stream-MB/s")
			b.ReportMetric(100*plainTime.Seconds()/streamTime.Seconds(), "%-of-plain")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// BenchmarkStreamRoundTrip sends a request of 6 bytes and an answer of 2, each in a
// Single Frame of CAN FD, on isotp and on isotp-stream.
func BenchmarkStreamRoundTrip(b *testing.B) {
	const rounds = 1000
	plain, stream := newLinks(b, virtual.Options{}, isotpnet.Config{FD: true})
	ask := func(l link) func() {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			request := make([]byte, 64)
			for {
				n, err := l.ecu.Read(request)
				if err != nil {
					return
				}
				if _, err := l.ecu.Write(request[:n/3]); err != nil {
					return
				}
			}
		}()
		b.Cleanup(func() { l.ecu.Close(); <-answered })
		request, answer := make([]byte, 6), make([]byte, 64)
		return func() {
			for range rounds {
				if _, err := l.tester.Write(request); err != nil {
					b.Fatal(err)
				}
				if _, err := l.tester.Read(answer); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	plainTime, streamTime := compare(b, ask(plain), ask(stream))
	us := func(d time.Duration) float64 { return d.Seconds() * 1e6 / rounds }
	b.ReportMetric(us(plainTime), "plain-us")
	b.ReportMetric(us(streamTime), "stream-us")
	b.ReportMetric(us(streamTime-plainTime), "more-us")
	b.ReportMetric(0, "ns/op")
}
