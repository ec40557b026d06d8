package isotpnet_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// manyPeers opens two PacketConns that are each other's peers over n pairs of
// identifiers, and returns the addresses that the first one writes to.
func manyPeers(tb testing.TB, n int, c isotpnet.Config) (from, to *isotpnet.PacketConn, addrs []isotpnet.Addr) {
	tb.Helper()
	bus := newNetwork(tb, virtual.Options{})
	var there, back []string
	for i := range n {
		there = append(there, fmt.Sprintf("%08X:%08X", 0x10000000+i, 0x11000000+i))
		back = append(back, fmt.Sprintf("%08X:%08X", 0x11000000+i, 0x10000000+i))
		addrs = append(addrs, isotpnet.MustParseAddr("/"+there[i]))
	}
	from = listenPacketOn(tb, newTap(tb, bus), "/"+strings.Join(there, ","), c)
	to = listenPacketOn(tb, newTap(tb, bus), "/"+strings.Join(back, ","), c)
	return from, to, addrs
}

// numbered is a message of that size for peer i.
func numbered(i, size int) []byte {
	p := bytes.Repeat([]byte{byte(i), byte(i >> 8), 0x5A}, (size+2)/3)
	return p[:size]
}

func TestAThousandPeersAtOnce(t *testing.T) {
	noLeaks(t)
	const peers, size = 1000, 600
	before := runtime.NumGoroutine()
	from, to, addrs := manyPeers(t, peers, patient)
	opened := runtime.NumGoroutine() - before
	var writers sync.WaitGroup
	for i := range peers {
		writers.Go(func() {
			if _, err := from.WriteTo(numbered(i, size), addrs[i]); err != nil {
				t.Error(err)
			}
		})
	}
	seen := map[isotpnet.Addr]bool{}
	for range peers {
		message, _, addr, err := to.ReadMessageFrom(nil)
		if err != nil {
			t.Fatal(err)
		}
		var i int
		fmt.Sscanf(addr.String(), "/11%06X:", &i)
		if !bytes.Equal(message, numbered(i, size)) || seen[addr] {
			t.Errorf("the message from %v is not its own", addr)
		}
		seen[addr] = true
	}
	writers.Wait()
	if s := to.Stats(); s.Peers != peers || s.MessagesReceived != peers || len(s.Errors) > 0 {
		t.Errorf("%+v", s)
	}
	// A bus may have a goroutine that writes, and the package one that waits for
	// the time.
	if n := runtime.NumGoroutine() - before; n > opened+6 {
		t.Errorf("%d goroutines for %d peers, %d before the first message", n, peers, opened)
	}
	from.Close()
	to.Close()
}
