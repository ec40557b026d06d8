package isotpnet_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest/wiretest"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// newAdapters returns two buses, each behind an adapter, on one wire of 500 kbit/s.
func newAdapters(t testing.TB, o1, o2 wiretest.Options) (a, b canbus.Bus) {
	t.Helper()
	wire, err := wiretest.New(virtual.Options{Bitrate: 500_000, QueueLen: 16})
	if err != nil {
		t.Fatal(err)
	}
	var buses [2]canbus.Bus
	for i, o := range []wiretest.Options{o1, o2} {
		if buses[i], err = wire.Adapter(o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { buses[i].Close() })
	}
	return buses[0], buses[1]
}

// refuseSome refuses that share of frames.
func refuseSome(share float64) func(*canbus.Frame) bool {
	dice := rand.New(rand.NewPCG(1, 1))
	return func(*canbus.Frame) bool { return dice.Float64() < share }
}

// TestNoMessageWithARefusedFrameIsSent has adapters refuse frames of data and of flow
// control. What Write calls sent must arrive.
func TestNoMessageWithARefusedFrameIsSent(t *testing.T) {
	for _, echo := range []wiretest.Echo{wiretest.EchoAtHandover, wiretest.EchoOnWire} {
		for _, share := range []float64{0.01, 0.1, 1} {
			t.Run(fmt.Sprintf("echo %d, %v refused", echo, share), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := newAdapters(t,
						wiretest.Options{Echo: echo, Refuse: refuseSome(share)},
						wiretest.Options{Echo: echo, Refuse: refuseSome(share)})
					config := isotpnet.Config{BlockSize: 8}
					tester, ecu := dialOn(t, a, testerAddr, config), dialOn(t, b, ecuAddr, config)
					var got []uint32
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						p := make([]byte, 4095)
						for {
							if _, err := ecu.Read(p); err != nil {
								return
							}
							got = append(got, binary.BigEndian.Uint32(p))
						}
					}()
					var sent []uint32
					refused := 0
					for i := range uint32(300) {
						p := make([]byte, 4+rand.IntN(200))
						binary.BigEndian.PutUint32(p, i)
						_, err := tester.Write(p)
						switch _, isRefusal := errors.AsType[*canbus.RefusedError](err); {
						case err == nil:
							sent = append(sent, i)
						case isotpnet.Final(err):
							t.Fatalf("%v is final", err)
						case isRefusal:
							refused++
						}
					}
					time.Sleep(time.Second)
					ecu.Close()
					<-ended
					for len(sent) > 0 && len(got) > 0 {
						if sent[0] == got[0] {
							sent = sent[1:]
						}
						got = got[1:]
					}
					if len(sent) > 0 {
						t.Errorf("%d messages have not come although Write returned nil, the first is %d", len(sent), sent[0])
					}
					if refused == 0 {
						t.Error("no Write says that a frame was refused")
					}
					if n := tester.Stats().Errors[isotpnet.CodeRefused]; n < uint64(refused) {
						t.Errorf("%d counted, of %d refused", n, refused)
					}
				})
			})
		}
	}
}

func TestRefusedFrameIsNamedByTheError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newAdapters(t, wiretest.Options{Echo: wiretest.EchoAtHandover, Refuse: refuseSome(1)}, wiretest.Options{})
		c := dialOn(t, a, testerAddr, isotpnet.Config{Padding: isotpnet.NoPadding()})
		_, err := c.Write([]byte{0x3E, 0x00})
		if err == nil || !strings.Contains(err.Error(), "refused frame 7E0#023E00") {
			t.Errorf("Write: %v", err)
		}
	})
}

func TestRefusedFramesFailPacketsAndStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newAdapters(t, wiretest.Options{Echo: wiretest.EchoAtHandover, Refuse: refuseSome(1)}, wiretest.Options{})
		pc, err := (&isotpnet.ListenConfig{Bus: a}).ListenPacket(t.Context(), "isotp", "/7E1:7E9")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		_, err = pc.WriteTo([]byte{1}, isotpnet.MustParseAddr("/7E1:7E9"))
		if _, ok := errors.AsType[*canbus.RefusedError](err); !ok {
			t.Errorf("WriteTo: %v", err)
		}
		d := isotpnet.Dialer{Bus: a}
		if _, err = d.DialContext(context.Background(), "isotp-stream", testerAddr); err == nil {
			t.Error("a stream was opened")
		}
		t.Log(err)
	})
}

func TestStreamEndsWithTheRefusalOfItsData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refuse atomic.Bool
		a, b := newAdapters(t, wiretest.Options{Echo: wiretest.EchoAtHandover, Refuse: func(*canbus.Frame) bool { return refuse.Load() }}, wiretest.Options{})
		dialled, accepted := newStream(t, tapEnd(a, testerAddr, isotpnet.Config{}), tapEnd(b, ecuAddr, isotpnet.Config{}))
		wantWrite(t, dialled, "hello")
		buf := make([]byte, 5)
		if _, err := io.ReadFull(accepted, buf); err != nil {
			t.Fatal(err)
		}
		refuse.Store(true)
		_, err := dialled.Write(make([]byte, 1000))
		if _, ok := errors.AsType[*canbus.RefusedError](err); !ok || !isotpnet.Final(err) {
			t.Errorf("Write: %v", err)
		}
		refuse.Store(false)
	})
}
