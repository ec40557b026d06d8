package isotpnet

import (
	"fmt"
	"strings"
	"testing"
)

// endpointList is the text of a list of n endpoints, each made of a number.
func endpointList(n int, endpoint func(i int) string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = endpoint(i)
	}
	return "/" + strings.Join(list, ",")
}

// BenchmarkLists says what an endpoint costs in a list: as much in a long one as in a
// short one. Groups are heard by one pair.
func BenchmarkLists(b *testing.B) {
	for _, n := range []int{100, 1000, 10000, 100000} {
		pairs := endpointList(n, func(i int) string { return fmt.Sprintf("%08X:%08X", 0x10000000+i, 0x11000000+i) })
		groups := endpointList(n, func(i int) string {
			if i == 0 {
				return "7E8:7E0"
			}
			return fmt.Sprintf(":%08X", 0x10000000+i)
		})
		list := func(text string) []Addr {
			addrs, err := ParseAddrs(text)
			if err != nil {
				b.Fatal(err)
			}
			return addrs
		}
		listen := func(addrs []Addr) *listenAddrs {
			if err := checkAddrs(addrs); err != nil {
				b.Fatal(err)
			}
			l, err := newListenAddrs(addrs, nil, false)
			if err != nil {
				b.Fatal(err)
			}
			return l
		}
		for _, one := range []struct {
			name string
			do   func()
		}{
			{"ParseAddrs", func() { list(pairs) }},
			{"pairs", func() {
				l := listen(list(pairs))
				release, err := claimAddrs(l.addrs(), nil)
				if err != nil {
					b.Fatal(err)
				}
				release()
			}},
			{"groups", func() { listen(list(groups)).hearGroupsOnce() }},
		} {
			b.Run(fmt.Sprintf("%s/n=%d", one.name, n), func(b *testing.B) {
				for b.Loop() {
					one.do()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/endpoint")
			})
		}
	}
}
