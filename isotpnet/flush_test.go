package isotpnet_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest/wiretest"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

// adapterWire is the wire that each opening of the bus "adapter:" makes an adapter on.
var adapterWire atomic.Pointer[wiretest.Wire]

func init() {
	canbus.Register("adapter", func(context.Context, string) (canbus.Bus, error) {
		return adapterWire.Load().Adapter(wiretest.Options{Echo: wiretest.EchoAtHandover})
	})
}

// TestBusThatIsClosedAfterEachWriteLosesNothing has an adapter closed right after each
// message, as a program does that sends one and ends.
func TestBusThatIsClosedAfterEachWriteLosesNothing(t *testing.T) {
	for _, bitrate := range []int{125_000, 500_000} {
		synctest.Test(t, func(t *testing.T) {
			wire, err := wiretest.New(virtual.Options{Bitrate: bitrate, QueueLen: 32})
			if err != nil {
				t.Fatal(err)
			}
			adapterWire.Store(wire)
			b, err := wire.Adapter(wiretest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			ecu := dialOn(t, b, ecuAddr, isotpnet.Config{})
			messages := uint32(scale.Down(200, 40))
			buf := make([]byte, 4096)
			for i := range messages {
				p := make([]byte, 4+rand.IntN(4092))
				if i%3 == 0 {
					p = p[:4]
				}
				binary.BigEndian.PutUint32(p, i)
				c, err := isotpnet.Dial("isotp", "adapter:"+testerAddr)
				if err != nil {
					t.Fatal(err)
				}
				wantWrite(t, c, string(p))
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				ecu.SetReadDeadline(time.Now().Add(time.Millisecond))
				if n, err := ecu.Read(buf); err != nil || !bytes.Equal(buf[:n], p) {
					t.Fatalf("message %d of %d bytes: read %d bytes, %v", i, len(p), n, err)
				}
			}
		})
	}
}

func TestStreamsThatAreClosedAtOnceAreWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire, err := wiretest.New(virtual.Options{Bitrate: 500_000, QueueLen: 32})
		if err != nil {
			t.Fatal(err)
		}
		adapterWire.Store(wire)
		b, err := wire.Adapter(wiretest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		ln := tapEnd(b, ecuAddr, isotpnet.Config{}).listen(t)
		c, err := isotpnet.Dial("isotp-stream", "adapter:"+testerAddr)
		if err != nil {
			t.Fatal(err)
		}
		data := payload(100_000)
		beside(t, func() {
			wantWrite(t, c, data)
			c.Close()
		})
		wantReadAll(t, acceptStream(t, ln), data)
		time.Sleep(10 * time.Second) // for the pair to be let go
	})
}
