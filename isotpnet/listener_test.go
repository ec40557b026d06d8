package isotpnet_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

func accept(t *testing.T, ln *isotpnet.Listener) *isotpnet.Conn {
	t.Helper()
	c, err := ln.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestFirstMessageMakesTheConnAndIsKept(t *testing.T) {
	for _, size := range []int{1, 7, 8, 4095} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, virtual.Options{})
			ln := listenOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
			tester := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
			wantWrite(t, tester, payload(size)) // no caller accepts yet
			wantWrite(t, tester, "the second")
			ecu := accept(t, ln)
			wantRead(t, ecu, payload(size))
			wantRead(t, ecu, "the second")
		})
	}
}

// Accept returns when a message has begun, so that a NextReader can take one of
// any length.
func TestAcceptDoesNotWaitForTheMessagesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
		tester := newNode(t, n)
		tester.send("7E0#1014010203040506")
		ecu := accept(t, ln)
		tester.hear("7E8#300000CCCCCCCCCC")
		tester.send("7E0#210708090A0B0C0D", "7E0#220E0F1011121314")
		wantRead(t, ecu, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F\x10\x11\x12\x13\x14")
	})
}

func TestOnlyAMessagesBeginMakesAConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenWith(t, isotpnet.ListenConfig{
			Bus: newTap(t, n), Functional: []isotpnet.Addr{isotpnet.MustParseAddr("/7DF:")},
		}, ecuAddr)
		rec := record(t, n)
		frames := []string{
			"7E0#", "7E0#00", "7E0#0801", "7E0#0201", // no messages
			"7E0#2101020304050607", "7E0#300000", // not the begin of one
			"7E0#1007010203040506", "7E0#10140102030405", // wrong First Frames
			"7DF#1014010203040506", // functional
			"7E1#0101", "7E0##00101", "000007E0#0101", "7E0#R",
		}
		newNode(t, n).send(frames[:10]...)
		newNode(t, n).send(frames[11:]...)
		ln.SetDeadline(time.Now().Add(time.Minute))
		_, err := ln.Accept()
		wantErr(t, err, "accept", nil, os.ErrDeadlineExceeded)
		if got := len(rec.taken()); got != len(frames)-1 {
			t.Errorf("%d frames on the bus, want the %d sent to it", got, len(frames)-1)
		}
	})
}

func TestOneLiveConnAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
		tester := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		wantWrite(t, tester, "one")
		wantWrite(t, tester, "two")
		first := accept(t, ln)
		ln.SetDeadline(time.Now().Add(time.Second))
		_, err := ln.Accept()
		wantErr(t, err, "accept", nil, os.ErrDeadlineExceeded)
		ln.SetDeadline(time.Time{})
		wantRead(t, first, "one")
		wantRead(t, first, "two")
		first.Close()
		for _, m := range []string{"three", "four"} {
			wantWrite(t, tester, m)
			c := accept(t, ln)
			wantRead(t, c, m)
			wantWrite(t, c, m)
			wantRead(t, tester, m)
			c.Close()
		}
	})
}

// A message that is under way when the conn is closed does not make another.
func TestRestOfAMessageAfterCloseMakesNoConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
		tester := newNode(t, n)
		tester.send("7E0#1014010203040506")
		accept(t, ln).Close()
		tester.send("7E0#210708090A0B0C0D", "7E0#220E0F1011121314")
		ln.SetDeadline(time.Now().Add(time.Second))
		_, err := ln.Accept()
		wantErr(t, err, "accept", nil, os.ErrDeadlineExceeded)
	})
}

func TestListenerCloseLeavesAcceptedConnsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		ln := listenOn(t, tap, ecuAddr, isotpnet.Config{})
		tester := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		wantWrite(t, tester, "hello")
		ecu := accept(t, ln)
		for range 2 {
			if err := ln.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		wantRead(t, ecu, "hello")
		beginWrite(t, ecu, payload(1000))
		wantRead(t, tester, payload(1000))
		beginWrite(t, tester, payload(2000))
		wantRead(t, ecu, payload(2000))

		// The pair is taken until the conn is closed too.
		d := isotpnet.Dialer{Bus: tap}
		if c, err := d.Dial("isotp:user", ecuAddr); err == nil {
			c.Close()
			t.Error("the pair can be dialled although an accepted conn has it")
		}
		ecu.Close()
		wantWrite(t, tester, "unread")
		dialOn(t, tap, ecuAddr, isotpnet.Config{})
	})
}

func TestListenerCloseEndsWhatWasNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		ln := listenOn(t, tap, ecuAddr, isotpnet.Config{})
		tester := newNode(t, n)
		rec := record(t, n)
		tester.send("7E0#0101")
		synctest.Wait()
		ln.Close()
		_, err := ln.Accept()
		wantErr(t, err, "accept", nil, net.ErrClosed)
		tester.send("7E0#1014010203040506")
		if frames := rec.taken(); len(frames) != 2 {
			t.Errorf("on the bus: %v; want no answer", frames)
		}
		dialOn(t, tap, ecuAddr, isotpnet.Config{}) // the pair is free
	})
}

func TestListenerCloseEndsAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := listenOn(t, newTap(t, newNetwork(t, virtual.Options{})), ecuAddr, isotpnet.Config{})
		const calls = 3
		done := make(chan error, calls)
		for range calls {
			go func() {
				_, err := ln.Accept()
				done <- err
			}()
		}
		synctest.Wait()
		ln.Close()
		for range calls {
			err := <-done
			wantErr(t, err, "accept", nil, net.ErrClosed)
			if want := "accept isotp:user /7E0:7E8: use of closed network connection"; err.Error() != want {
				t.Errorf("error is %q, want %q", err, want)
			}
		}
		err := ln.SetDeadline(time.Now())
		wantErr(t, err, "set", nil, net.ErrClosed)
	})
}

func TestListenerDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
		for _, d := range []time.Duration{-time.Hour, 0, time.Millisecond, time.Hour} {
			start := time.Now()
			ln.SetDeadline(start.Add(d))
			_, err := ln.Accept()
			wantErr(t, err, "accept", nil, os.ErrDeadlineExceeded)
			wantSince(t, start, max(d, 0))
			if !err.(net.Error).Timeout() {
				t.Error("it is no time-out")
			}
		}
		newNode(t, n).send("7E0#0101")
		synctest.Wait()
		_, err := ln.Accept() // the deadline is still past
		wantErr(t, err, "accept", nil, os.ErrDeadlineExceeded)
		ln.SetDeadline(time.Time{})
		wantRead(t, accept(t, ln), "\x01")
	})
}

// One Accept may be waiting for each message to come.
func TestAcceptsWaitingTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
		tester := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		const calls = 5
		accepted := make(chan *isotpnet.Conn, calls)
		for range calls {
			go func() {
				if c, err := ln.AcceptConn(); err == nil {
					accepted <- c
				}
			}()
		}
		for i := range calls {
			m := string([]byte{byte(i)})
			wantWrite(t, tester, m)
			c := <-accepted
			wantRead(t, c, m)
			c.Close()
		}
	})
}

// A conn that was closed before it was accepted, by the bus's failure, and the
// listener's Close in any order.
func TestListenerOnABusThatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		ln := listenOn(t, tap, ecuAddr, isotpnet.Config{})
		newNode(t, n).send("7E0#02ABCD")
		synctest.Wait()
		tap.Close()
		synctest.Wait()
		c := accept(t, ln) // was there already
		wantRead(t, c, "\xAB\xCD")
		_, err := c.Read(make([]byte, 1))
		wantErr(t, err, "read", c, net.ErrClosed)
		for range 2 {
			_, err = ln.Accept()
			wantErr(t, err, "accept", nil, net.ErrClosed)
		}
		c.Close()
		ln.Close()
	})
}

func TestListenerAndDialOnOneNamedBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, err := isotpnet.Listen("isotp:user", "virtual:together/7E8:7E0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if _, err := isotpnet.Listen("isotp:user", "virtual:together/7E8:7E0"); err == nil {
			t.Error("two listeners for one pair")
		}
		tester, err := isotpnet.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tester.Close() })
		beginWrite(t, tester, payload(500))
		ecu, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ecu.Close() })
		wantRead(t, ecu, payload(500))
		beginWrite(t, ecu, payload(600))
		wantRead(t, tester, payload(600))
	})
}

// An ECU that hears a group has one peer all the same.
func TestAddressOfAPairWithAGroupCanBeDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, err := isotpnet.Listen("isotp", "virtual:group/7E8:7E0,7DF")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		tester, err := isotpnet.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer tester.Close()
		wantWrite(t, tester, "x")
		ecu, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer ecu.Close()
		if ecu.LocalAddr() != ln.Addr() || tester.RemoteAddr() != ln.Addr() {
			t.Errorf("%v, %v and %v", ln.Addr(), ecu.LocalAddr(), tester.RemoteAddr())
		}
	})
}

// The commonest mistake: the peer's address is the mirror of ours.
func TestDialOfTheAddressThatIsListenedOnNamesTheMirror(t *testing.T) {
	for _, tc := range []struct {
		network, listen string
		wait            time.Duration
	}{
		{"isotp", "virtual:own/7E8:7E0", 0},
		{"isotp", "virtual:own/7E8:7E0,7DF", 0},
		{"isotp-stream", "virtual:own/7E8:7E0", 3 * time.Second}, // the peer might listen, too
		{"isotp-stream", "virtual:own/7E8:7E0,7E9:7E1", 0},
	} {
		t.Run(tc.network+" "+tc.listen, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln, err := isotpnet.Listen(tc.network, tc.listen)
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				start := time.Now()
				_, err = isotpnet.Dial(tc.network, "virtual:own/7E8:7E0")
				wantSince(t, start, tc.wait)
				if _, ok := err.(*net.OpError); !ok || !errors.Is(err, syscall.EADDRINUSE) || !strings.HasSuffix(err.Error(), "dial its mirror, virtual:own/7E0:7E8") {
					t.Errorf("%v (%T), want a *net.OpError of EADDRINUSE that names the mirror", err, err)
				}
			})
		})
	}
}
