package isotpnet_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

func TestWriteIsOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		for _, n := range []int{1, 7, 8, 4095, 4096, 65535} {
			beginWrite(t, c1, payload(n))
			p := make([]byte, 70_000)
			k, info, err := c2.ReadMessage(p)
			if string(p[:k]) != payload(n) || info.Size != int64(n) || info.Rest != 0 || err != nil {
				t.Errorf("%d bytes, %+v, %v; want %d", k, info, err, n)
			}
		}
	})
}

func TestEmptyWriteSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		rec := record(t, n)
		c := dialWith(t, isotpnet.Dialer{Bus: newTap(t, n), Functional: isotpnet.MustParseAddr("/7DF:")}, testerAddr)
		for name, write := range map[string]func([]byte) (int, error){"Write": c.Write, "WriteFunctional": c.WriteFunctional} {
			for _, p := range [][]byte{nil, {}} {
				if n, err := write(p); n != 0 || err != nil {
					t.Errorf("%s: %d, %v; want 0, nil", name, n, err)
				}
			}
		}
		if err := c.SendFrom(errReader{io.ErrNoProgress}, 0); err != nil {
			t.Errorf("SendFrom: %v", err)
		}
		rec.want(t)
	})
}

func TestEmptyReadReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		for range 2 {
			if n, err := c2.Read(nil); n != 0 || err != nil {
				t.Errorf("%d, %v; want 0, nil", n, err)
			}
			wantWrite(t, c1, "hello") // stays
		}
		wantRead(t, c2, "hello")
		wantRead(t, c2, "hello")
	})
}

func TestShortReadKeepsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		beside(t, func() {
			wantWrite(t, c1, "0123456789")
			wantWrite(t, c1, "abc")
		})
		p := make([]byte, 4)
		for _, want := range []struct {
			bytes string
			size  int64
			rest  int
		}{{"0123", 10, 6}, {"4567", 10, 2}, {"89", 10, 0}, {"abc", 3, 0}} {
			n, info, err := c2.ReadMessage(p)
			if string(p[:n]) != want.bytes || info.Size != want.size || info.Rest != want.rest || err != nil {
				t.Errorf("%q %+v %v, want %+v", p[:n], info, err, want)
			}
		}
	})
}

func TestMessageInfoHasTheTimesOfItsFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		start := time.Now()
		go func() {
			time.Sleep(time.Second)
			ecu.send("7E8#1008010203040506")
			ecu.next()
			time.Sleep(200 * time.Millisecond)
			ecu.send("7E8#210708")
		}()
		_, info, err := c.ReadMessage(make([]byte, 100))
		if err != nil || info.First.Sub(start) != time.Second || info.Last.Sub(start) != 1200*time.Millisecond {
			t.Errorf("%+v, %v; want 1s and 1.2s after %v", info, err, start)
		}
		go ecu.send("7E8#1008010203040506")
		r, info, err := c.NextReader()
		if err != nil || info.First.Sub(start) != 1200*time.Millisecond || !info.Last.IsZero() || info.Size != 8 || info.Rest != 6 {
			t.Errorf("%+v, %v; want one that is not complete", info, err)
		}
		go ecu.send("7E8#210708")
		io.ReadAll(r)
	})
}

func TestFunctionalRequest(t *testing.T) {
	for _, tc := range []struct{ name, dial, functional, listen, group string }{
		{"11 bit", "/7E0:7E8", "/7DF:", "/7E8:7E0", "/7DF:"},
		{"as it is heard", "/7E0:7E8", "/7DF:", "/7E8:7E0", "/:7DF"},
		{"extended", "/641#55:642#F1", "/641#EF:", "/642#F1:641#55", "/641#EF:"},
		{"normal fixed", "/fixed:10:F1", "/func:33:F1", "/fixed:F1:10", "/func:33:F1"},
		{"mixed", "/mixed:10:F1#99", "/func:33:F1#99", "/mixed:F1:10#99", "/func:33:F1#99"},
		{"29 bit", "/18DA10F1:18DAF110", "/18DB33F1:", "/18DAF110:18DA10F1", "/18DB33F1:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				ln := listenWith(t, isotpnet.ListenConfig{
					Bus: newTap(t, n), Functional: []isotpnet.Addr{isotpnet.MustParseAddr(tc.group)},
				}, tc.listen)
				tap := newTap(t, n)
				tester := dialWith(t, isotpnet.Dialer{Bus: tap, Functional: isotpnet.MustParseAddr(tc.functional)}, tc.dial)
				if n, err := tester.WriteFunctional([]byte("\x3E\x80")); n != 2 || err != nil {
					t.Fatal(n, err)
				}
				ecu, err := ln.AcceptConn()
				if err != nil {
					t.Fatal(err)
				}
				p := make([]byte, 100)
				if k, info, err := ecu.ReadMessage(p); string(p[:k]) != "\x3E\x80" || !info.Functional || err != nil {
					t.Errorf("%x %+v %v; want a functional message", p[:k], info, err)
				}
				wantWrite(t, ecu, "\x7E\x00")
				wantRead(t, tester, "\x7E\x00")
				wantWrite(t, tester, "physical")
				if _, info, err := ecu.ReadMessage(p); info.Functional || err != nil {
					t.Errorf("%+v %v; want a physical message", info, err)
				}
				// The same by a functional address that was dialled.
				group := dialOn(t, tap, tc.functional, isotpnet.Config{})
				wantWrite(t, group, "\x3E\x80")
				if _, info, err := ecu.ReadMessage(p); !info.Functional || err != nil {
					t.Errorf("%+v %v; want a functional message", info, err)
				}
			})
		})
	}
}

// A TesterPresent to all ECUs does not end a transfer.
func TestFunctionalRequestStandsBesideATransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := listenWith(t, isotpnet.ListenConfig{
			Bus: newTap(t, n), Functional: []isotpnet.Addr{isotpnet.MustParseAddr("/7DF:")},
		}, ecuAddr)
		tester := newNode(t, n)
		tester.send("7E0#100A010203040506")
		tester.hear("7E8#300000CCCCCCCCCC")
		tester.send("7DF#023E80", "7DF#1064010203040506", "7E0#210708090A")
		c, err := ecu.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		wantRead(t, c, "\x3E\x80")
		wantRead(t, c, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A")
		if got := c.Stats().Errors[isotpnet.CodeFunctionalFirstFrame]; got != 1 {
			t.Errorf("%d functional First Frames counted, want 1", got)
		}
	})
}

// Single frames have no flow control. What had to be dropped is reported where
// it is missing, after what came before.
func TestErrOverrunStandsWhereMessagesWereLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cost, room = 2 + 64, 4 * 660 // four times ReadBuffer
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{ReadBuffer: room / 4})
		for i := range 100 {
			ecu.send(fmt.Sprintf("7E8#02AA%02X", i))
		}
		synctest.Wait()
		kept := room / cost
		for i := range kept {
			wantRead(t, c, "\xAA"+string([]byte{byte(i)}))
		}
		ecu.send("7E8#02BBBB")
		_, err := c.Read(make([]byte, 10))
		wantErr(t, err, "read", c, isotpnet.ErrOverrun)
		wantRead(t, c, "\xBB\xBB")
		if got := c.Stats().Errors[isotpnet.CodeReceiverFull]; got != uint64(100-kept) {
			t.Errorf("%d losses counted, want %d", got, 100-kept)
		}
		// NextReader reports it too, once.
		for range 100 {
			ecu.send("7E8#02AABB")
		}
		synctest.Wait()
		for range kept {
			if _, _, err := c.NextReader(); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err = c.NextReader()
		wantErr(t, err, "read", c, isotpnet.ErrOverrun)
		ecu.send("7E8#02CCCC")
		wantRead(t, c, "\xCC\xCC")
	})
}

func TestPendingCallsEndWithClose(t *testing.T) {
	for _, tc := range []struct {
		name, op string
		call     func(c *isotpnet.Conn) error
	}{
		{"Read", "read", func(c *isotpnet.Conn) error { _, err := c.Read(make([]byte, 1)); return err }},
		{"ReadMessage", "read", func(c *isotpnet.Conn) error { _, _, err := c.ReadMessage(make([]byte, 1)); return err }},
		{"NextReader", "read", func(c *isotpnet.Conn) error { _, _, err := c.NextReader(); return err }},
		{"WriteTo", "read", func(c *isotpnet.Conn) error { _, err := c.WriteTo(io.Discard); return err }},
		{"Write", "write", func(c *isotpnet.Conn) error { _, err := c.Write(make([]byte, 100)); return err }},
		{"ReadFrom", "write", func(c *isotpnet.Conn) error { _, err := c.ReadFrom(randomBytes(0)); return err }},
		{"SendFrom", "write", func(c *isotpnet.Conn) error { return c.SendFrom(randomBytes(0), 100_000) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				rec := record(t, n)
				c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{FlowControlTimeout: time.Hour})
				const calls = 3
				done := make(chan error, calls)
				for range calls {
					go func() { done <- tc.call(c) }()
				}
				synctest.Wait()
				sent := len(rec.taken())
				for range 2 {
					if err := c.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				}
				start := time.Now()
				for range calls {
					wantErr(t, <-done, tc.op, c, net.ErrClosed)
				}
				wantErr(t, tc.call(c), tc.op, c, net.ErrClosed) // and for ever after
				wantSince(t, start, 0)
				time.Sleep(time.Minute)
				if got := len(rec.taken()); got != sent {
					t.Errorf("Close has put %d frames on the bus", got-sent)
				}
			})
		})
	}
}

// A message of which a part was read ends with Close as well.
func TestReaderOfAMessageEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		ecu.send("7E8#1064010203040506")
		r, _, err := c.NextReader()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(100 * time.Millisecond)
			c.Close()
		}()
		_, err = io.ReadAll(r)
		wantErr(t, err, "read", c, net.ErrClosed)
	})
}

func TestCloseWhileReceivingIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		rec := record(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{ReadBuffer: 1})
		ecu.send("7E8#02ABCD", "7E8#1064010203040506") // a CTS is held back
		synctest.Wait()
		c.Close()
		ecu.send("7E8#1064010203040506")
		time.Sleep(time.Minute)
		if frames := rec.taken(); len(frames) != 3 {
			t.Errorf("on the bus: %v", frames)
		}
	})
}

func TestClosedConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newPipe(t, nil)
		c.Close()
		now := time.Now()
		for name, err := range map[string]error{
			"SetDeadline": c.SetDeadline(now), "SetReadDeadline": c.SetReadDeadline(now), "SetWriteDeadline": c.SetWriteDeadline(time.Time{}),
		} {
			wantErr(t, err, "set", c, net.ErrClosed)
			if want := "set isotp /7E8:7E0->/7E0:7E8: use of closed network connection"; err.Error() != want {
				t.Errorf("%s: %q, want %q", name, err, want)
			}
		}
		if c.LocalAddr().String() != "/7E8:7E0" || c.RemoteAddr().String() != "/7E0:7E8" {
			t.Errorf("the addresses are %v and %v", c.LocalAddr(), c.RemoteAddr())
		}
		c.Stats()
	})
}

// A deadline set while others close must not come after the close and let a
// waiting call wait for it.
func TestDeadlinesSetWhileClosing(t *testing.T) {
	noLeaks(t)
	n := newNetwork(t, virtual.Options{})
	tap := newTap(t, n)
	for range 200 {
		c := dialOn(t, tap, testerAddr, isotpnet.Config{})
		var calls, setting sync.WaitGroup
		for range 3 {
			calls.Go(func() { c.Read(make([]byte, 1)) })
			calls.Go(func() { c.Write(make([]byte, 100)) })
			setting.Go(func() {
				for c.SetDeadline(time.Now().Add(time.Hour)) == nil {
				}
			})
		}
		c.Close()
		setting.Wait()
		calls.Wait()
	}
}

func TestDeadlineCanBeResetForAWaitingCall(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(c *isotpnet.Conn, at time.Time) error
		call func(c *isotpnet.Conn) error
	}{
		{"Read", (*isotpnet.Conn).SetReadDeadline, func(c *isotpnet.Conn) error { _, err := c.Read(make([]byte, 1)); return err }},
		{"Write", (*isotpnet.Conn).SetWriteDeadline, func(c *isotpnet.Conn) error { _, err := c.Write(make([]byte, 100)); return err }},
		{"SendFrom", (*isotpnet.Conn).SetWriteDeadline, func(c *isotpnet.Conn) error { return c.SendFrom(randomBytes(0), 1e6) }},
		{"both", (*isotpnet.Conn).SetDeadline, func(c *isotpnet.Conn) error { _, err := c.Read(make([]byte, 1)); return err }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{FlowControlTimeout: time.Hour})
				start := time.Now()
				tc.set(c, start.Add(10*time.Second))
				done := make(chan error, 1)
				go func() { done <- tc.call(c) }()
				time.Sleep(5 * time.Second)
				tc.set(c, time.Time{}) // none
				time.Sleep(10 * time.Second)
				tc.set(c, start.Add(time.Minute)) // later
				time.Sleep(time.Second)
				tc.set(c, start.Add(30*time.Second)) // earlier
				err := <-done
				wantSince(t, start, 30*time.Second)
				if !errors.Is(err, os.ErrDeadlineExceeded) || !err.(net.Error).Timeout() {
					t.Errorf("error is %v", err)
				}
				go func() {
					time.Sleep(time.Second)
					tc.set(c, time.Now()) // now
				}()
				tc.set(c, time.Time{})
				err = tc.call(c)
				wantSince(t, start, 31*time.Second)
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

// The deadlines of one direction are not those of the other.
func TestReadDeadlineDoesNotConcernWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		c1.SetReadDeadline(time.Unix(1, 0))
		wantWrite(t, c1, payload(100))
		wantRead(t, c2, payload(100))
		c2.SetWriteDeadline(time.Unix(1, 0))
		wantWrite(t, c1, payload(100))
		wantRead(t, c2, payload(100))
	})
}

// With a past deadline even what is there is not read, as with TCP.
func TestPastReadDeadlineComesBeforeData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		wantWrite(t, c1, "hello")
		synctest.Wait()
		c2.SetReadDeadline(time.Unix(1, 0))
		_, err := c2.Read(make([]byte, 10))
		wantErr(t, err, "read", c2, os.ErrDeadlineExceeded)
		c2.SetReadDeadline(time.Time{})
		wantRead(t, c2, "hello")
	})
}

func TestAddressesAreMirrored(t *testing.T) {
	for _, tc := range []struct{ dial, peer string }{
		{"/7E0:7E8", "/7E8:7E0"},
		{"/18DA10F1:18DAF110", "/18DAF110:18DA10F1"},
		{"/641#55:642#F1", "/642#F1:641#55"},
		{"/fixed:10:F1", "/fixed:F1:10"},
		{"/mixed:10:F1#99", "/mixed:F1:10#99"},
		{"/7e0:0x7e8", "/7E8:7E0"},
	} {
		t.Run(tc.dial, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				ln := listenOn(t, newTap(t, n), tc.peer, isotpnet.Config{})
				c1 := dialOn(t, newTap(t, n), tc.dial, isotpnet.Config{})
				wantWrite(t, c1, "hello")
				c2, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if c1.RemoteAddr() != isotpnet.MustParseAddr(tc.dial) || c2.RemoteAddr() != isotpnet.MustParseAddr(tc.peer) {
					t.Errorf("RemoteAddr is %v and %v, want %v and %v", c1.RemoteAddr(), c2.RemoteAddr(), tc.dial, tc.peer)
				}
				if ln.Addr() != c1.RemoteAddr() || ln.Addr() != c2.LocalAddr() {
					t.Errorf("Addr is %v, want what was dialled, %v, and where it was accepted, %v", ln.Addr(), c1.RemoteAddr(), c2.LocalAddr())
				}
				if c1.LocalAddr() != c2.RemoteAddr() || c2.LocalAddr() != c1.RemoteAddr() {
					t.Errorf("%v->%v and %v->%v are no mirrors", c1.LocalAddr(), c1.RemoteAddr(), c2.LocalAddr(), c2.RemoteAddr())
				}
				wantRead(t, c2, "hello")
				wantWrite(t, c2, payload(100))
				wantRead(t, c1, payload(100))
			})
		})
	}
}

func TestListenOnlyHearsAndSendsNothing(t *testing.T) {
	for _, address := range []string{"/7E8:7E0", "/:7E0"} {
		t.Run(address, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				tap := newTap(t, n)
				tester, ecu := newPair(t, n, isotpnet.Config{}, isotpnet.Config{BlockSize: 3, STmin: 100 * time.Millisecond})
				listeners := []*isotpnet.Conn{
					dialOn(t, tap, address, isotpnet.Config{ListenOnly: true}),
					dialOn(t, tap, address, isotpnet.Config{ListenOnly: true, MaxMessageSize: 10}),
				}
				beginRead(t, ecu, payload(100))
				wantWrite(t, tester, payload(100))
				wantWrite(t, tester, "short")
				wantRead(t, ecu, "short")
				wantRead(t, listeners[0], payload(100))
				wantRead(t, listeners[0], "short")
				wantRead(t, listeners[1], "short") // the other is too long for it
				for _, c := range listeners {
					if sent := c.Stats().FramesSent; sent != 0 {
						t.Errorf("%d frames sent", sent)
					}
					_, err := c.Write([]byte("x"))
					wantErr(t, err, "write", c, isotpnet.ErrListenOnly)
					_, err = c.WriteFunctional([]byte("x"))
					wantErr(t, err, "write", c, isotpnet.ErrListenOnly)
					wantErr(t, c.SendFrom(randomBytes(0), 100), "write", c, isotpnet.ErrListenOnly)
					_, err = c.ReadFrom(randomBytes(0))
					wantErr(t, err, "write", c, isotpnet.ErrListenOnly)
				}
			})
		})
	}
}

// Nothing of what is heard has an answer, not even a refusal.
func TestListenOnlyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		rec := record(t, n)
		dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{ListenOnly: true, ReadBuffer: 1, MaxMessageSize: 50, FlowControlHold: -1})
		ecu.send("7E8#02ABCD", "7E8#1064010203040506", "7E8#1008010203040506", "7E8#31")
		time.Sleep(time.Minute)
		if frames := rec.taken(); len(frames) != 4 {
			t.Errorf("on the bus: %v", frames)
		}
	})
}

// Beside a conn in the same process: on the same tap, where what one sends does
// not come back from the bus.
func TestListenOnlyBesideAConnOnOneBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		tester, ecu := dialOn(t, tap, testerAddr, isotpnet.Config{}), dialOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
		same := dialOn(t, tap, testerAddr, isotpnet.Config{ListenOnly: true})
		other := dialOn(t, tap, ecuAddr, isotpnet.Config{ListenOnly: true})
		beginRead(t, ecu, payload(100))
		wantWrite(t, tester, payload(100))
		wantRead(t, other, payload(100))
		beginWrite(t, ecu, payload(200))
		wantRead(t, tester, payload(200))
		wantRead(t, same, payload(200))
	})
}

func TestPipeEndsWithTheOtherEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		wantWrite(t, c1, "the last words")
		c1.Close()
		wantRead(t, c2, "the last words")
		for range 2 {
			if n, err := c2.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("Read: %d, %v; want a bare io.EOF", n, err)
			}
			if _, _, err := c2.NextReader(); err != io.EOF {
				t.Errorf("NextReader: %v; want a bare io.EOF", err)
			}
			_, err := c2.Write([]byte("x"))
			wantErr(t, err, "write", c2, io.ErrClosedPipe)
			_, err = c2.Write(make([]byte, 100))
			wantErr(t, err, "write", c2, io.ErrClosedPipe)
			wantErr(t, c2.SendFrom(randomBytes(0), 100), "write", c2, io.ErrClosedPipe)
		}
		c2.SetReadDeadline(time.Unix(1, 0))
		_, err := c2.Read(make([]byte, 1))
		wantErr(t, err, "read", c2, os.ErrDeadlineExceeded)
		if err := c2.Close(); err != nil {
			t.Error(err)
		}
		_, err = c2.Read(make([]byte, 1))
		wantErr(t, err, "read", c2, net.ErrClosed)
	})
}

func TestPipeWriteUnderWayEndsWithTheOtherEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, &isotpnet.Config{ReadBuffer: 1, FlowControlTimeout: time.Hour})
		wantWrite(t, c1, "x")
		done := make(chan error, 1)
		go func() {
			_, err := c1.Write(make([]byte, 100))
			done <- err
		}()
		synctest.Wait()
		c2.Close()
		wantErr(t, <-done, "write", c1, io.ErrClosedPipe)
	})
}

// Nothing that was read on one end has failed on the other.
func TestPipeWriteThatWasReadHasNotFailed(t *testing.T) {
	noLeaks(t)
	for range 500 {
		c1, c2 := newPipe(t, nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			wantWrite(t, c1, "hello")
		}()
		wantRead(t, c2, "hello")
		c2.Close()
		<-done
	}
}

func TestPipeHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		if c1.LocalAddr() != c2.RemoteAddr() || c1.RemoteAddr() != c2.LocalAddr() {
			t.Error("the addresses are no mirrors")
		}
		if c1.Backend() != "user" {
			t.Errorf("Backend is %q", c1.Backend())
		}
		if c1.LocalAddr().Network() != "isotp" {
			t.Errorf("Network is %q", c1.LocalAddr().Network())
		}
	})
}

func TestFullDuplex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{Bitrate: 500_000})
		c1, c2 := newPair(t, n, isotpnet.Config{BlockSize: 4}, isotpnet.Config{STmin: time.Millisecond})
		var wg sync.WaitGroup
		for i, c := range []*isotpnet.Conn{c1, c2} {
			wg.Go(func() {
				for size := range 50 {
					wantWrite(t, c, payload(size*20+1+i))
				}
			})
			wg.Go(func() {
				for size := range 50 {
					wantRead(t, c, payload(size*20+2-i))
				}
			})
		}
		wg.Wait()
	})
}

// Writes take turns: messages never mix.
func TestConcurrentWritesAreWholeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers, each = 10, 20
		c1, c2 := newPipe(t, nil)
		for i := range writers {
			beside(t, func() {
				for range each {
					if i%2 == 0 {
						wantWrite(t, c1, strings.Repeat(string(rune('a'+i)), 50+i))
					} else if err := c1.SendFrom(strings.NewReader(strings.Repeat(string(rune('a'+i)), 50+i)), int64(50+i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		p := make([]byte, 100)
		for range writers * each {
			n, err := c2.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			if i := int(p[0] - 'a'); n != 50+i || bytes.Count(p[:n], p[:1]) != n {
				t.Errorf("read %q", p[:n])
			}
		}
	})
}

func TestConcurrentReadsTakeWholeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const readers, messages = 10, 200
		c1, c2 := newPipe(t, nil)
		got := make(chan string, messages)
		for range readers {
			go func() {
				p := make([]byte, 100)
				for {
					n, err := c2.Read(p)
					if err != nil {
						return
					}
					got <- string(p[:n])
				}
			}()
		}
		for i := range messages {
			wantWrite(t, c1, fmt.Sprintf("message number %d", i))
		}
		seen := make(map[string]bool)
		for range messages {
			seen[<-got] = true
		}
		for i := range messages {
			if m := fmt.Sprintf("message number %d", i); !seen[m] {
				t.Errorf("%q is missing", m)
			}
		}
		c2.Close()
	})
}

func TestTwoConnsOfOnePair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		first := dialOn(t, tap, "/7E0:7E8", isotpnet.Config{})
		for _, tc := range []struct{ address, want string }{
			{"/7E0:7E8", "/7E0:7E8 is already open in this process: both would answer its messages; to be the other end dial its mirror, /7E8:7E0"},
			{"/7E1:7E8", "/7E1:7E8 cannot be open beside /7E0:7E8 in one process: both would answer the same messages"},
			{"/7E0#11:7E8#22", "/7E0#11:7E8#22 cannot be open beside /7E0:7E8 in one process: both would answer the same messages"},
		} {
			d := isotpnet.Dialer{Bus: tap}
			_, err := d.Dial("isotp:user", tc.address)
			if want := "dial isotp:user " + tc.address + ": " + tc.want; err == nil || err.Error() != want {
				t.Errorf("Dial: %v\nwant %s", err, want)
			}
			wantErr(t, err, "dial", nil, syscall.EADDRINUSE)
			lc := isotpnet.ListenConfig{Bus: tap}
			_, err = lc.Listen(t.Context(), "isotp:user", tc.address)
			answer, _, _ := strings.Cut(tc.want, "; to be") // a listener wants to be this end
			if want := "listen isotp:user " + tc.address + ": " + answer; err == nil || err.Error() != want {
				t.Errorf("Listen: %v\nwant %s", err, want)
			}
			wantErr(t, err, "listen", nil, syscall.EADDRINUSE)
		}
		first.Close()
		dialOn(t, tap, "/7E0:7E8", isotpnet.Config{})
	})
}

// Messages that are longer than MaxMessageSize, and fit in the window of one that is read as a
// stream, wait in ReadBuffer as others do: a peer cannot send more than that to a caller who
// does not read.
func TestStreamedMessagesThatAreNotReadHoldTheirSenderUp(t *testing.T) {
	for name, fd := range map[string]bool{"classic": false, "FD": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size, room = 5000, 20_000
				c1, c2 := newPipe(t, &isotpnet.Config{FD: fd, MaxMessageSize: 100, ReadBuffer: room, MaxWaitFramesSent: 1000})
				next := func() { // a stream is read, so that all are
					t.Helper()
					r, info, err := c2.NextReader()
					if err != nil || info.Size != size {
						t.Fatalf("a message of %d bytes, %v", info.Size, err)
					}
					if n, err := io.Copy(io.Discard, r); n != size || err != nil {
						t.Fatalf("read %d bytes, %v", n, err)
					}
				}
				var sent atomic.Int32
				done := make(chan error, 1)
				const messages = 30
				go func() {
					for range messages {
						if _, err := c1.Write(make([]byte, size)); err != nil {
							done <- err
							return
						}
						sent.Add(1)
					}
					done <- nil
				}()
				next()
				time.Sleep(10 * time.Second)
				if n := sent.Load(); n < room/size || n > room/size+2 {
					t.Errorf("%d messages are sent, one of them read", n)
				}
				for range messages - 1 {
					next()
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
