package bench

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"example.com/isotp/isotpnet"
)

// dialMany opens n pairs of connections between two taps of one network.
func dialMany(b *testing.B, n int) (testers, ecus []net.Conn) {
	bus := newNetwork(b)
	tester := isotpnet.Dialer{Bus: newTap(b, bus), Config: patient(isotpnet.Config{})}
	ecu := isotpnet.Dialer{Bus: newTap(b, bus), Config: tester.Config}
	for i := range n {
		there, back := pairAddrs(i)
		c1, err := tester.Dial("isotp", "/"+there)
		must(b, err)
		c2, err := ecu.Dial("isotp", "/"+back)
		must(b, err)
		testers, ecus = append(testers, c1), append(ecus, c2)
	}
	b.Cleanup(func() {
		for i := range n {
			testers[i].Close()
			ecus[i].Close()
		}
	})
	return testers, ecus
}

// pairAddrs are the two ends of pair i, without a bus.
func pairAddrs(i int) (tester, ecu string) {
	a, b := 0x10000000+i, 0x11000000+i
	return fmt.Sprintf("%08X:%08X", a, b), fmt.Sprintf("%08X:%08X", b, a)
}

// BenchmarkMany transfers a message on each of many connections of one bus, on all at once. Each
// connection has a goroutine that writes, and its other end one that reads.
func BenchmarkMany(b *testing.B) {
	for _, conns := range []int{10, 10000} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			testers, ecus := dialMany(b, conns)
			var received sync.WaitGroup
			for _, c := range ecus {
				go readMessages(c, make([]byte, size), received.Done)
			}
			message := make([]byte, size)
			begin := make([]chan struct{}, conns)
			for i, c := range testers {
				begin[i] = make(chan struct{}, 1)
				go func() {
					for range begin[i] {
						if _, err := c.Write(message); err != nil {
							b.Error(err)
							received.Done()
						}
					}
				}()
			}
			run(b, conns*framesClassic, "frame", func() {
				received.Add(conns)
				for _, ch := range begin {
					ch <- struct{}{}
				}
				received.Wait()
			})
			for _, ch := range begin {
				close(ch)
			}
		})
	}
}

// BenchmarkPeers transfers a message to each of many peers of one PacketConn, to all at
// once.
func BenchmarkPeers(b *testing.B) {
	for _, peers := range []int{1, 1000} {
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			from, to, addrs := manyPeers(b, peers)
			message, buf := make([]byte, size), make([]byte, size)
			run(b, peers*framesClassic, "frame", func() {
				var writers sync.WaitGroup
				for _, addr := range addrs {
					writers.Go(func() {
						if _, err := from.WriteTo(message, addr); err != nil {
							b.Error(err)
						}
					})
				}
				for range addrs {
					if n, _, err := to.ReadFrom(buf); n != size || err != nil {
						b.Fatal(n, err)
					}
				}
				writers.Wait()
			})
		})
	}
}

// manyPeers opens two PacketConns that are each other's peers over n pairs of identifiers,
// and returns the addresses that the first one writes to.
func manyPeers(b *testing.B, n int) (from, to net.PacketConn, addrs []isotpnet.Addr) {
	bus := newNetwork(b)
	var there, back []string
	for i := range n {
		tester, ecu := pairAddrs(i)
		there, back = append(there, tester), append(back, ecu)
		addrs = append(addrs, isotpnet.MustParseAddr("/"+tester))
	}
	listen := func(addrs []string) net.PacketConn {
		lc := isotpnet.ListenConfig{Bus: newTap(b, bus), Config: patient(isotpnet.Config{})}
		pc, err := lc.ListenPacket(context.Background(), "isotp", "/"+strings.Join(addrs, ","))
		must(b, err)
		closeAtEnd(b, pc)
		return pc
	}
	return listen(there), listen(back), addrs
}

// BenchmarkIdle says what a connection holds while it does nothing: one that was dialled,
// and one that has also carried a message each way.
func BenchmarkIdle(b *testing.B) {
	const pairs = 5000
	for _, bc := range []struct {
		name string
		use  func(b *testing.B, from, to []net.Conn)
	}{
		{"dialled", func(*testing.B, []net.Conn, []net.Conn) {}},
		{"used", transferEach},
	} {
		b.Run(bc.name, func(b *testing.B) {
			bytes, goroutines := 0.0, 0
			for b.Loop() {
				heap, before := liveHeap(), runtime.NumGoroutine()
				testers, ecus := dialMany(b, pairs)
				bc.use(b, testers, ecus)
				bc.use(b, ecus, testers)
				bytes += liveHeap() - heap
				goroutines += runtime.NumGoroutine() - before
				runtime.KeepAlive(testers)
				runtime.KeepAlive(ecus)
			}
			conns := 2 * pairs * float64(b.N)
			b.ReportMetric(bytes/conns, "B/conn")
			b.ReportMetric(float64(goroutines)/conns, "goroutines/conn")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// transferEach sends a message on each connection, and reads it.
func transferEach(b *testing.B, from, to []net.Conn) {
	message, buf := make([]byte, size), make([]byte, size+1)
	for i := range from {
		_, err := from[i].Write(message)
		must(b, err)
		if n, err := to[i].Read(buf); n != size || err != nil {
			b.Fatal(n, err)
		}
	}
}
