package isotpnet_test

import (
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

// liveHeap is how many bytes are in use. Two collections empty the pools, too.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// dialMany opens n pairs of connections between two taps of one bus.
func dialMany(t testing.TB, n int) (clients, servers []*isotpnet.Conn) {
	t.Helper()
	bus, err := virtual.New(virtual.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dial := func(count int, addr func(i int) string) []*isotpnet.Conn {
		tap, err := bus.Tap()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tap.Close() })
		d := isotpnet.Dialer{Bus: tap, Config: patient}
		conns := make([]*isotpnet.Conn, count)
		for i := range conns {
			c, err := d.DialAddr(t.Context(), "isotp:user", isotpnet.MustParseAddr(addr(i)))
			if err != nil {
				t.Fatal(err)
			}
			conns[i] = c
		}
		t.Cleanup(func() {
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

// transfer sends p from one end to the other, and reads it there.
func transfer(t testing.TB, from, to *isotpnet.Conn, p []byte, read func(*isotpnet.Conn) (int, error)) {
	t.Helper()
	limit := time.Now().Add(time.Minute)
	from.SetDeadline(limit)
	to.SetDeadline(limit)
	done := make(chan error, 1)
	go func() {
		_, err := from.Write(p)
		done <- err
	}()
	if n, err := read(to); n != len(p) || err != nil {
		t.Fatalf("read %d bytes, want %d: %v", n, len(p), err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestIdleConnsAreSmallAfterAMessage(t *testing.T) {
	const most = 2000
	conns := scale.Down(10000, 2000)
	before := liveHeap()
	clients, servers := dialMany(t, conns/2)
	message, buf := make([]byte, 4095), make([]byte, 4096)
	all := append(clients, servers...)
	for _, c := range all {
		if _, err := c.Write(message); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range all { // now each has one
		c.SetDeadline(time.Now().Add(time.Hour))
		if n, err := c.Read(buf); n != len(message) || err != nil {
			t.Fatal(n, err)
		}
		c.SetDeadline(time.Time{})
	}
	if each := (liveHeap() - before) / float64(conns); each > most {
		t.Errorf("an idle connection holds %.0f bytes, want at most %d", each, most)
	}
	runtime.KeepAlive(all)
}

// The longest message leaves nothing behind, however it was read.
func TestIdleConnsHoldNothingOfALongMessage(t *testing.T) {
	size := scale.Down(16<<20, 2<<20)
	message, buf := make([]byte, size), make([]byte, size)
	for name, read := range map[string]func(*isotpnet.Conn) (int, error){
		"ReadMessage": func(c *isotpnet.Conn) (int, error) {
			n, _, err := c.ReadMessage(buf)
			return n, err
		},
		"ReadMessage in parts": func(c *isotpnet.Conn) (n int, err error) {
			for n < size && err == nil {
				var k int
				k, _, err = c.ReadMessage(buf[n:min(n+100000, size)])
				n += k
			}
			return n, err
		},
		"NextReader": func(c *isotpnet.Conn) (int, error) {
			r, _, err := c.NextReader()
			if err != nil {
				return 0, err
			}
			n, err := io.Copy(io.Discard, r)
			return int(n), err
		},
		"Drain": func(c *isotpnet.Conn) (int, error) {
			if info, err := c.AwaitMessage(); err != nil || int(info.Size) != size {
				return int(info.Size), err
			}
			_, err := c.Drain()
			return size, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c1, c2 := newPipe(t, nil)
			transfer(t, c1, c2, message[:4095], func(c *isotpnet.Conn) (int, error) { return c.Read(buf) })
			before := liveHeap()
			transfer(t, c1, c2, message, read)
			// What other tests of the process have left may come and go meanwhile.
			if more := liveHeap() - before; more > 256<<10 {
				t.Errorf("%.0f bytes more than before", more)
			}
			runtime.KeepAlive(message)
			runtime.KeepAlive(buf)
		})
	}
}
