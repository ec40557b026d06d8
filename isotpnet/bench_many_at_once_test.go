package isotpnet_test

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkManyAtOnce transfers a message of 4095 bytes on each of many connections of
// one bus, on all at the same time.
func BenchmarkManyAtOnce(b *testing.B) {
	for _, conns := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			clients, servers := dialMany(b, conns)
			const frames = 586
			p := make([]byte, 4095)
			var received sync.WaitGroup
			for _, s := range servers {
				go func() {
					var buf [4095]byte
					for {
						n, err := s.Read(buf[:])
						if err != nil {
							return // closed
						}
						if n != len(buf) {
							b.Error(n)
						}
						received.Done()
					}
				}()
			}
			round := func() {
				received.Add(conns)
				var sent sync.WaitGroup
				for _, c := range clients {
					sent.Go(func() {
						if _, err := c.Write(p); err != nil {
							b.Error(err)
							received.Done()
						}
					})
				}
				sent.Wait()
				received.Wait()
			}
			round()
			b.ReportAllocs()
			for b.Loop() {
				round()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(conns*frames), "ns/frame")
		})
	}
}
