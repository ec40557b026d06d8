package isotpnet_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest/wiretest"
	"example.com/isotp/isotpnet"
)

// TestDropsOfABusReachItsReaders has a hook keep the bus's frames waiting, in a bus that
// has room for a few.
func TestDropsOfABusReachItsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newAdapters(t, wiretest.Options{}, wiretest.Options{ReceiveLen: 100})
		stopped := make(chan struct{})
		sender := dialOn(t, a, testerAddr, isotpnet.Config{})
		slow := isotpnet.Config{Trace: &isotpnet.Trace{FrameReceived: func(isotpnet.TraceEvent) { <-stopped }}}
		receivers := []*isotpnet.Conn{
			dialOn(t, b, ecuAddr, slow),
			dialOn(t, b, "/123:456", isotpnet.Config{}),
		}
		onlySends := dialOn(t, b, "/7DF:", isotpnet.Config{})
		const sent = 1000
		for range sent {
			wantWrite(t, sender, "hello")
		}
		close(stopped)
		synctest.Wait()
		lost := b.(canbus.DropCounter).Dropped()
		if lost == 0 {
			t.Fatal("nothing was dropped")
		}
		for i, c := range receivers {
			c.SetReadDeadline(time.Now().Add(time.Second))
			_, err := c.Read(make([]byte, 100))
			if overrun, ok := errors.AsType[*isotpnet.OverrunError](err); !ok || !overrun.Bus || overrun.Frames != lost {
				t.Errorf("Conn %d: %v; %d were dropped", i, err, lost)
			}
			wantErr(t, err, "read", c, isotpnet.ErrOverrun)
			if isotpnet.Final(err) {
				t.Errorf("%v is final", err)
			}
			read := uint64(0)
			for {
				if _, err = c.Read(make([]byte, 100)); err != nil {
					break
				}
				read++
			}
			if errors.Is(err, isotpnet.ErrOverrun) {
				t.Errorf("Conn %d is told twice", i)
			}
			if i == 0 && read+lost != sent {
				t.Errorf("%d sent, %d read, %d dropped", sent, read, lost)
			}
			if n := c.Stats().BusDropped; n != lost {
				t.Errorf("Conn %d: Stats.BusDropped is %d, want %d", i, n, lost)
			}
		}
		wantWrite(t, onlySends, "x")
	})
}

func TestPacketConnIsToldOfDropsOnceForAllItsPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newAdapters(t, wiretest.Options{}, wiretest.Options{ReceiveLen: 10})
		stopped := make(chan struct{})
		lc := isotpnet.ListenConfig{Bus: b, Config: isotpnet.Config{
			Trace: &isotpnet.Trace{FrameReceived: func(isotpnet.TraceEvent) { <-stopped }},
		}}
		pc, err := lc.ListenPacket(t.Context(), "isotp", "/7E8:7E0,7E9:7E1")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		for _, address := range []string{"/7E0:7E8", "/7E1:7E9"} {
			c := dialOn(t, a, address, isotpnet.Config{})
			for range 100 {
				wantWrite(t, c, "hello")
			}
		}
		close(stopped)
		synctest.Wait()
		pc.SetReadDeadline(time.Now().Add(time.Second))
		overruns, read := uint64(0), uint64(0)
		for {
			_, _, err := pc.ReadFrom(make([]byte, 100))
			if overrun, ok := errors.AsType[*isotpnet.OverrunError](err); ok {
				overruns++
				if overrun.Frames+read == 0 {
					t.Error(err)
				}
			} else if err != nil {
				break
			} else {
				read++
			}
		}
		lost := b.(canbus.DropCounter).Dropped()
		if overruns != 1 || read+lost != 200 {
			t.Errorf("%d errors, %d read, %d dropped of 200", overruns, read, lost)
		}
		if n := pc.(*isotpnet.PacketConn).Stats().BusDropped; n != lost {
			t.Errorf("Stats.BusDropped is %d, want %d", n, lost)
		}
	})
}

func TestTimeoutsThatFollowDropsSaySo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newAdapters(t, wiretest.Options{}, wiretest.Options{ReceiveLen: 1})
		stopped := make(chan struct{})
		noise := dialOn(t, a, "/7E0:7E8", isotpnet.Config{})
		dialOn(t, b, ecuAddr, isotpnet.Config{Trace: &isotpnet.Trace{FrameReceived: func(isotpnet.TraceEvent) { <-stopped }}})
		c := dialOn(t, b, "/701:709", isotpnet.Config{})
		result := make(chan error)
		go func() {
			_, err := c.Write(make([]byte, 100))
			result <- err
		}()
		synctest.Wait()
		for range 10 {
			wantWrite(t, noise, "x")
		}
		time.Sleep(100 * time.Millisecond) // for all to arrive
		close(stopped)
		err := <-result
		wantCode(t, err, "write", c, isotpnet.CodeTimeoutBs)
		if p, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || p.BusDropped == 0 || !strings.Contains(err.Error(), "meanwhile the bus has dropped") {
			t.Errorf("Write: %v", err)
		}
	})
}

func TestStreamsAreNotToldOfDropsThatDoNotConcernThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newAdapters(t, wiretest.Options{}, wiretest.Options{ReceiveLen: 10})
		stopped := make(chan struct{})
		dialled, accepted := newStream(t, tapEnd(a, testerAddr, isotpnet.Config{}), tapEnd(b, ecuAddr, isotpnet.Config{}))
		noise := dialOn(t, a, "/701:709", isotpnet.Config{})
		dialOn(t, b, "/709:701", isotpnet.Config{Trace: &isotpnet.Trace{FrameReceived: func(isotpnet.TraceEvent) { <-stopped }}})
		for range 50 {
			wantWrite(t, noise, "x")
		}
		close(stopped)
		synctest.Wait()
		if b.(canbus.DropCounter).Dropped() == 0 {
			t.Fatal("nothing was dropped")
		}
		wantWrite(t, dialled, "hello")
		buf := make([]byte, 5)
		if _, err := io.ReadFull(accepted, buf); err != nil || string(buf) != "hello" {
			t.Errorf("read %q, %v", buf, err)
		}
	})
}
