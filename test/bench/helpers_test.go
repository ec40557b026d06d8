package bench

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

const (
	testerAddr = "/7E0:7E8"
	ecuAddr    = "/7E8:7E0"

	size = 4095 // of a message, if nothing else is said

	// How many frames such a message is. With a block size of 8 its flow controls count too.
	framesClassic    = 586
	framesClassicBS8 = framesClassic + 73
	framesFD         = 66
	framesFDBS8      = framesFD + 8
)

// run runs op again and again, and reports what each of its n units takes.
func run(b *testing.B, n int, unit string, op func()) {
	b.Helper()
	op() // makes what connections keep
	runtime.GC()
	b.ReportAllocs()
	work := processorTime()
	for b.Loop() {
		op()
	}
	work = processorTime() - work
	units := float64(b.N) * float64(n)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/units, "ns/"+unit)
	if work > 0 {
		b.ReportMetric(float64(work.Nanoseconds())/units, "cpu-ns/"+unit)
	}
	b.ReportMetric(0, "ns/op")
}

// liveHeap is how many bytes are in use. Two collections empty the pools, too.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// patient returns c with time-outs that no machine is too slow for.
func patient(c isotpnet.Config) isotpnet.Config {
	c.TransmitTimeout = time.Minute
	c.FlowControlTimeout = time.Minute
	c.ConsecutiveFrameTimeout = time.Minute
	return c
}

func must(tb testing.TB, err error) {
	if err != nil {
		tb.Helper() // only now: it looks at the stack, for a fifth of the time of a round trip
		tb.Fatal(err)
	}
}

func closeAtEnd(b *testing.B, c io.Closer) { b.Cleanup(func() { c.Close() }) }

func newNetwork(b *testing.B) *virtual.Network {
	n, err := virtual.New(virtual.Options{})
	must(b, err)
	closeAtEnd(b, n)
	return n
}

func newTap(b *testing.B, n *virtual.Network) *virtual.Tap {
	tap, err := n.Tap()
	must(b, err)
	closeAtEnd(b, tap)
	return tap
}

func dial(b *testing.B, tap *virtual.Tap, network, address string, c isotpnet.Config) net.Conn {
	d := isotpnet.Dialer{Bus: tap, Config: patient(c)}
	conn, err := d.Dial(network, address)
	must(b, err)
	closeAtEnd(b, conn)
	return conn
}

// A place is a way in which both ends of a connection are in one process.
type place struct {
	name string
	pair func(b *testing.B, c isotpnet.Config) (tester, ecu net.Conn)
}

var (
	// Both ends are on one bus, which exists for them alone.
	pipe = place{"Pipe", func(b *testing.B, c isotpnet.Config) (tester, ecu net.Conn) {
		c = patient(c)
		c1, c2, err := isotpnet.Pipe(&c)
		must(b, err)
		closeAtEnd(b, c1)
		closeAtEnd(b, c2)
		return c1, c2
	}}
	// Both ends are on one bus, with what else there may be.
	twoDials = place{"TwoDials", func(b *testing.B, c isotpnet.Config) (tester, ecu net.Conn) {
		tap := newTap(b, newNetwork(b))
		return dial(b, tap, "isotp", testerAddr, c), dial(b, tap, "isotp", ecuAddr, c)
	}}
	// Each end has a tap of its own, as in two programs: frames pass from goroutine to
	// goroutine.
	twoTaps = place{"TwoTaps", func(b *testing.B, c isotpnet.Config) (tester, ecu net.Conn) {
		n := newNetwork(b)
		return dial(b, newTap(b, n), "isotp", testerAddr, c), dial(b, newTap(b, n), "isotp", ecuAddr, c)
	}}
	// The ends of a stream, each with a tap of its own.
	stream = place{"Stream", func(b *testing.B, c isotpnet.Config) (tester, ecu net.Conn) {
		n := newNetwork(b)
		lc := isotpnet.ListenConfig{Bus: newTap(b, n), Config: patient(c)}
		ln, err := lc.Listen(context.Background(), "isotp-stream", ecuAddr)
		must(b, err)
		closeAtEnd(b, ln)
		tester = dial(b, newTap(b, n), "isotp-stream", testerAddr, c)
		ecu, err = ln.Accept()
		must(b, err)
		closeAtEnd(b, ecu)
		return tester, ecu
	}}
)

// readMessages reads messages until the connection is closed, and tells read of each.
func readMessages(c net.Conn, buf []byte, read func()) {
	for {
		if _, _, err := c.(*isotpnet.Conn).ReadMessage(buf); err != nil {
			return
		}
		read()
	}
}
