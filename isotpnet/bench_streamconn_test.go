package isotpnet_test

import (
	"cmp"
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
// returns the pair of calls in whose times the one's relation to the other is the
// median. Both calls of a pair have the same share of whatever else the machine does.
// They come from a few calls of connect, which takes new connections: where these lie
// in memory is worth some percent.
func compare(b *testing.B, connect func() (plain, stream func())) (plainTime, streamTime time.Duration) {
	type pair struct{ plain, stream time.Duration }
	var pairs []pair
	var links [8]struct{ plain, stream func() }
	for i := range links {
		links[i].plain, links[i].stream = connect()
	}
	for i := 0; b.Loop(); i++ {
		l := &links[i%len(links)]
		start := time.Now()
		l.plain()
		between := time.Now()
		l.stream()
		pairs = append(pairs, pair{between.Sub(start), time.Since(between)})
	}
	ratio := func(p pair) float64 { return p.plain.Seconds() / p.stream.Seconds() }
	slices.SortFunc(pairs, func(p, q pair) int { return cmp.Compare(ratio(p), ratio(q)) })
	median := pairs[len(pairs)/2]
	return median.plain, median.stream
}

// BenchmarkStreamThroughput sends bytes from end to end, on isotp and on isotp-stream as
// messages of 4095 bytes, and says how much of the one's speed the other has. A stream's
// messages of 4095 bytes have 4084 of the user: its Writes are of 15 such messages, as
// io.Copy's. Writes of 4095 bytes are a message and a short one each.
func BenchmarkStreamThroughput(b *testing.B) {
	const (
		buffered = 15 * 4095 // that many bytes over and over
		copied   = 15 * 4084
	)
	for _, bc := range []struct {
		name   string
		bus    virtual.Options
		config isotpnet.Config
		write  int // bytes, on the stream
		size   int // bytes sent at a time
	}{
		{"memory", virtual.Options{}, isotpnet.Config{}, copied, 4 << 20},
		{"memory/WritesOf4095", virtual.Options{}, isotpnet.Config{}, 4095, 4 << 20},
		{"memory/FD", virtual.Options{}, isotpnet.Config{FD: true}, copied, 16 << 20},
		{"memory/FD/WritesOf4095", virtual.Options{}, isotpnet.Config{FD: true}, 4095, 16 << 20},
		{"500kbit", virtual.Options{Bitrate: 500_000}, isotpnet.Config{}, copied, 64 << 10},
		{"500kbit/WritesOf4095", virtual.Options{Bitrate: 500_000}, isotpnet.Config{}, 4095, 64 << 10},
	} {
		b.Run(bc.name, func(b *testing.B) {
			send := func(l link, write int) func() {
				p, in := make([]byte, buffered/write*write), make([]byte, 64<<10)
				return func() {
					done := make(chan error, 1)
					go func() {
						_, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{io.LimitReader(l.ecu, int64(bc.size))}, in)
						done <- err
					}()
					for left := bc.size; left > 0; {
						at := (bc.size - left) % len(p)
						n, err := l.tester.Write(p[at:min(at+write, at+left)])
						if err != nil {
							b.Fatal(err)
						}
						left -= n
					}
					if err := <-done; err != nil {
						b.Fatal(err)
					}
				}
			}
			plainTime, streamTime := compare(b, func() (plain, stream func()) {
				p, s := newLinks(b, bc.bus, bc.config)
				return send(p, 4095), send(s, bc.write)
			})
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
	plainTime, streamTime := compare(b, func() (plain, stream func()) {
		p, s := newLinks(b, virtual.Options{}, isotpnet.Config{FD: true})
		return ask(p), ask(s)
	})
	us := func(d time.Duration) float64 { return d.Seconds() * 1e6 / rounds }
	b.ReportMetric(us(plainTime), "plain-us")
	b.ReportMetric(us(streamTime), "stream-us")
	b.ReportMetric(us(streamTime-plainTime), "more-us")
	b.ReportMetric(0, "ns/op")
}
