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
			var sent sync.WaitGroup
			begin := make([]chan struct{}, conns)
			for i, c := range clients {
				begin[i] = make(chan struct{}, 1)
				go func() {
					for range begin[i] {
						if _, err := c.Write(p); err != nil {
							b.Error(err)
							received.Done()
						}
						sent.Done()
					}
				}()
			}
			round := func() {
				received.Add(conns)
				sent.Add(conns)
				for _, writer := range begin {
					writer <- struct{}{}
				}
				sent.Wait()
				received.Wait()
			}
			round()
			b.ReportAllocs()
			for b.Loop() {
				round()
			}
			for _, writer := range begin {
				close(writer)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(conns*frames), "ns/frame")
		})
	}
}
