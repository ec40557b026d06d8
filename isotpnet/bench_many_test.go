package isotpnet_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// dialMany opens n pairs of connections between two taps of one bus.
func dialMany(b testing.TB, n int) (clients, servers []*isotpnet.Conn) {
	b.Helper()
	bus, err := virtual.New(virtual.Options{})
	if err != nil {
		b.Fatal(err)
	}
	dial := func(count int, addr func(i int) string) []*isotpnet.Conn {
		tap, err := bus.Tap()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { tap.Close() })
		d := isotpnet.Dialer{Bus: tap, Config: patient}
		conns := make([]*isotpnet.Conn, count)
		for i := range conns {
			c, err := d.DialAddr(b.Context(), "isotp:user", isotpnet.MustParseAddr(addr(i)))
			if err != nil {
				b.Fatal(err)
			}
			conns[i] = c
		}
		b.Cleanup(func() {
			for _, c := range conns {
				c.Close()
			}
		})
		return conns
	}
	clients = dial(n, func(i int) string { return fmt.Sprintf("/%08X:%08X", 0x10000000+i, 0x11000000+i) })
	servers = dial(n, func(i int) string { return fmt.Sprintf("/%08X:%08X", 0x11000000+i, 0x10000000+i) })
	return clients, servers
}

// BenchmarkMany transfers messages of 4095 bytes on many connections of one bus in
// turn, ten at a time.
func BenchmarkMany(b *testing.B) {
	for _, conns := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			clients, servers := dialMany(b, conns)
			const atOnce, frames = 10, 586
			p := make([]byte, 4095)
			var readers sync.WaitGroup
			next := 0
			b.ReportAllocs()
			for b.Loop() {
				var writers sync.WaitGroup
				for range atOnce {
					c, s := clients[next], servers[next]
					next = (next + 1) % conns
					readers.Go(func() {
						buf := make([]byte, 4095)
						if n, err := s.Read(buf); n != len(buf) || err != nil {
							b.Error(n, err)
						}
					})
					writers.Go(func() {
						if _, err := c.Write(p); err != nil {
							b.Error(err)
						}
					})
				}
				writers.Wait()
				readers.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(atOnce*frames), "ns/frame")
		})
	}
}

// BenchmarkIdleConn says what an idle connection costs.
func BenchmarkIdleConn(b *testing.B) {
	const conns = 10000
	measure := func() (bytes, goroutines float64) { return liveHeap(), float64(runtime.NumGoroutine()) }
	bytes, goroutines := 0.0, 0.0
	for b.Loop() {
		b0, g0 := measure()
		clients, servers := dialMany(b, conns)
		b1, g1 := measure()
		bytes += (b1 - b0) / (2 * conns)
		goroutines += (g1 - g0) / (2 * conns)
		runtime.KeepAlive(clients)
		runtime.KeepAlive(servers)
	}
	b.ReportMetric(bytes/float64(b.N), "B/conn")
	b.ReportMetric(goroutines/float64(b.N), "goroutines/conn")
}
