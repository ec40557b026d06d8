package isotpnet_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

// inStreamBubble runs a test with both ends of a pair, on a clock of its own. At
// the end it gives streams the time that they linger.
func inStreamBubble(t *testing.T, o virtual.Options, test func(t *testing.T, tester, ecu streamEnd)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tester, ecu := newStreamEnds(t, newNetwork(t, o), isotpnet.Config{})
		test(t, tester, ecu)
	})
}

func TestEitherSideSpeaksFirst(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		wantWrite(t, accepted, "220 ready")
		wantRead(t, dialled, "220 ready")
		wantWrite(t, dialled, "HELO")
		wantRead(t, accepted, "HELO")
	})
}

func TestOneDirectionEndsBeforeTheOther(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		wantWrite(t, dialled, "the question")
		if err := dialled.CloseWrite(); err != nil {
			t.Error(err)
		}
		wantReadAll(t, accepted, "the question")
		wantWrite(t, accepted, payload(10_000))
		accepted.Close()
		wantReadAll(t, dialled, payload(10_000))
		_, err := dialled.Write([]byte("more"))
		wantStreamErr(t, err, "write", syscall.EPIPE)
	})
}

func TestReadOfAClosedStreamEnds(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		wantWrite(t, dialled, "bye")
		dialled.Close()
		wantReadAll(t, accepted, "bye")
	})
}

// As with TCP the first Write may succeed, and its answer is a reset.
func TestWriteToAClosedStreamIsReset(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		accepted.Close()
		wantReadAll(t, dialled, "")
		wantWrite(t, dialled, "anybody there?")
		var err error
		for err == nil {
			_, err = dialled.Write([]byte("?"))
		}
		wantStreamErr(t, err, "write", syscall.ECONNRESET)
		_, err = dialled.Write([]byte("?"))
		wantStreamErr(t, err, "write", syscall.ECONNRESET)
	})
}

func TestCloseWithUnreadDataResets(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		wantWrite(t, dialled, "two parts")
		if _, err := io.ReadFull(accepted, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		accepted.Close()
		for range 2 {
			_, err := dialled.Read(make([]byte, 1))
			wantStreamErr(t, err, "read", syscall.ECONNRESET)
		}
	})
}

func TestLingerOfZeroResets(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		wantWrite(t, dialled, "not all")
		wantRead(t, accepted, "not all")
		dialled.SetLinger(0)
		dialled.Close()
		_, err := accepted.Read(make([]byte, 1))
		wantStreamErr(t, err, "read", syscall.ECONNRESET)
		_, err = dialled.Read(make([]byte, 1))
		wantStreamErr(t, err, "read", net.ErrClosed)
		wantStreamErr(t, dialled.SetLinger(-1), "set", net.ErrClosed)
	})
}

func TestCallsOnAClosedStream(t *testing.T) {
	noLeaks(t)
	tester, ecu := newStreamEnds(t, newNetwork(t, virtual.Options{}), patient)
	c, _ := newStream(t, tester, ecu)
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error("Close:", err)
		}
	}
	_, err := c.Read(make([]byte, 1))
	wantStreamErr(t, err, "read", net.ErrClosed)
	_, err = c.Write([]byte{1})
	wantStreamErr(t, err, "write", net.ErrClosed)
	wantStreamErr(t, c.CloseWrite(), "close", net.ErrClosed)
	for _, set := range []func(time.Time) error{c.SetDeadline, c.SetReadDeadline, c.SetWriteDeadline} {
		wantStreamErr(t, set(time.Now()), "set", net.ErrClosed)
	}
	wantStreamErr(t, c.SetKeepAlive(true), "set", net.ErrClosed)
}

// What comes while a Read waits is written to its buffer at once; behind that there may
// be more.
func TestReadThatWaitsGetsWhatFits(t *testing.T) {
	inStreamBubble(t, virtual.Options{}, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		read := make(chan string)
		go func() {
			p := make([]byte, 3)
			n, err := accepted.Read(p)
			if err != nil {
				t.Error(err)
			}
			read <- string(p[:n])
		}()
		synctest.Wait()
		wantWrite(t, dialled, "first, rest")
		if got := <-read; got != "fir" {
			t.Errorf("read %q, want %q", got, "fir")
		}
		wantRead(t, accepted, "st, rest")
	})
}

func TestReadLeavesItsBufferAloneAfterTheDeadline(t *testing.T) {
	inStreamBubble(t, virtual.Options{}, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		p := make([]byte, 8)
		accepted.SetReadDeadline(time.Now().Add(time.Second))
		_, err := accepted.Read(p)
		wantStreamErr(t, err, "read", os.ErrDeadlineExceeded)
		wantWrite(t, dialled, "too late")
		synctest.Wait()
		if !bytes.Equal(p, make([]byte, len(p))) {
			t.Errorf("%q was written to the buffer of a Read that had returned", p)
		}
		accepted.SetReadDeadline(time.Time{})
		wantRead(t, accepted, "too late")
	})
}

// Every byte whose message was handed over counts, and writing goes on with the
// others.
func TestWriteDeadlineWithAFullWindow(t *testing.T) {
	inStreamBubble(t, virtual.Options{}, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		want := payload(200_000)
		start := time.Now()
		dialled.SetWriteDeadline(start.Add(time.Second))
		n, err := dialled.Write([]byte(want))
		wantStreamErr(t, err, "write", os.ErrDeadlineExceeded)
		wantSince(t, start, time.Second)
		if n != 65280 {
			t.Errorf("%d bytes were written, want as many as the window has", n)
		}
		dialled.SetWriteDeadline(time.Time{})
		go func() {
			dialled.Write([]byte(want[n:]))
			dialled.CloseWrite()
		}()
		wantReadAll(t, accepted, want)
	})
}

// A message whose first frame has left is sent to its end after the deadline, and
// counts; what comes after it is sent with the next Write.
func TestWriteDeadlineWithinAMessage(t *testing.T) {
	inStreamBubble(t, virtual.Options{Bitrate: 500_000}, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		want := payload(150_000) // some 5 s
		late := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for rest := want; len(rest) > 0; {
				dialled.SetWriteDeadline(time.Now().Add(1234 * time.Millisecond))
				n, err := dialled.Write([]byte(rest))
				if err != nil {
					wantStreamErr(t, err, "write", os.ErrDeadlineExceeded)
					late++
				}
				if n%4084 != 0 && n != len(rest) {
					t.Errorf("%d bytes were written, want whole messages", n)
				}
				rest = rest[n:]
			}
			dialled.CloseWrite()
		}()
		wantReadAll(t, accepted, want)
		if <-done; late < 3 {
			t.Errorf("%d deadlines have come", late)
		}
	})
}

// A deadline that is set during a Write ends that at once; the message under way is sent
// to its end, and what is left of the Write does not hold up other streams.
func TestWriteDeadlineSetMeanwhile(t *testing.T) {
	inStreamBubble(t, virtual.Options{Bitrate: 500_000}, func(t *testing.T, tester, ecu streamEnd) {
		ln := ecu.listen(t)
		c := tester.dial(t)
		acceptStream(t, ln)
		other, accepted := tester.dial(t), acceptStream(t, ln)
		written := make(chan error)
		go func() {
			_, err := c.Write([]byte(payload(50_000)))
			written <- err
		}()
		time.Sleep(time.Second)
		start := time.Now()
		c.SetWriteDeadline(start)
		wantStreamErr(t, <-written, "write", os.ErrDeadlineExceeded)
		wantSince(t, start, 0)
		go func() {
			other.Write([]byte(payload(20_000)))
			other.CloseWrite()
		}()
		wantReadAll(t, accepted, payload(20_000))
	})
}

// The message under way is another stream's, which goes on.
func TestWriteDeadlineWhileAnotherStreamSends(t *testing.T) {
	inStreamBubble(t, virtual.Options{Bitrate: 500_000}, func(t *testing.T, tester, ecu streamEnd) {
		ln := ecu.listen(t)
		c, accepted := tester.dial(t), acceptStream(t, ln)
		other := tester.dial(t)
		go func() {
			c.Write([]byte(payload(4000))) // one message, some 150 ms
			c.CloseWrite()
		}()
		time.Sleep(50 * time.Millisecond)
		start := time.Now()
		other.SetWriteDeadline(start.Add(50 * time.Millisecond))
		n, err := other.Write([]byte(payload(4000)))
		wantStreamErr(t, err, "write", os.ErrDeadlineExceeded)
		wantSince(t, start, 50*time.Millisecond)
		if n != 0 {
			t.Errorf("%d bytes were written", n)
		}
		wantReadAll(t, accepted, payload(4000))
		if aborted := c.Stats().SendsAborted; aborted != 0 {
			t.Errorf("%d messages were aborted", aborted)
		}
	})
}

// The message under way runs on, and the peer hears of the end right after it.
func TestCloseWhileAMessageIsSent(t *testing.T) {
	inStreamBubble(t, virtual.Options{Bitrate: 500_000}, func(t *testing.T, tester, ecu streamEnd) {
		dialled, accepted := newStream(t, tester, ecu)
		want := payload(150_000) // some 5 s
		var n int
		written := make(chan error)
		go func() {
			var err error
			n, err = dialled.Write([]byte(want))
			written <- err
		}()
		got := make(chan string)
		go func() {
			p, err := io.ReadAll(accepted)
			if err != nil {
				t.Error(err)
			}
			got <- string(p)
		}()
		time.Sleep(1570 * time.Millisecond) // in the middle of a message
		start := time.Now()
		dialled.Close()
		wantStreamErr(t, <-written, "write", net.ErrClosed)
		if took := time.Since(start); took > 150*time.Millisecond {
			t.Errorf("Close took %v", took)
		}
		if p := <-got; len(p) < 30_000 || len(p) != n || len(p)%4084 != 0 || !strings.HasPrefix(want, p) {
			t.Errorf("read %d bytes, want the %d written, of whole messages", len(p), n)
		}
	})
}

// Where a byte of each frame is the address's, a Single Frame has room for 6 bytes.
func TestStreamsWithAnAddressByte(t *testing.T) {
	for _, address := range []string{"/641#55:642#F1", "/641#55:642", "/mixed:10:F1#99"} {
		for _, config := range []isotpnet.Config{{}, {MaxSendSize: 11}, {FD: true}} {
			t.Run(fmt.Sprint(address, config.MaxSendSize, config.FD), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNetwork(t, virtual.Options{})
					tester := tapEnd(newTap(t, n), address, config)
					ecu := tapEnd(newTap(t, n), isotpnet.MustParseAddr(address).Mirror().String(), config)
					dialled, accepted := newStream(t, tester, ecu)
					var wg sync.WaitGroup
					for i, c := range []*isotpnet.StreamConn{dialled, accepted} {
						wg.Go(func() {
							wantWrite(t, c, payload(9_000+i))
							c.CloseWrite()
						})
					}
					wantReadAll(t, accepted, payload(9_000))
					wantReadAll(t, dialled, payload(9_001))
					wg.Wait()
				})
			})
		}
	}
}

func TestDialIsRefusedWhereNobodyListens(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		ln := ecu.listen(t)
		dialled := tester.dial(t)
		acceptStream(t, ln)
		ln.Close()
		_, err := tester.tryDial(t.Context())
		wantStreamErr(t, err, "dial", syscall.ECONNREFUSED)
		wantWrite(t, dialled, "others live on")
	})
}

func TestDialWithoutAnAnswerTimesOut(t *testing.T) {
	inStreamBubble(t, virtual.Options{}, func(t *testing.T, tester, _ streamEnd) {
		for _, timeout := range []time.Duration{0, 100 * time.Millisecond, time.Minute} {
			start := time.Now()
			tester.dialer.Timeout = timeout
			_, err := tester.tryDial(t.Context())
			wantStreamErr(t, err, "dial", context.DeadlineExceeded)
			if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
				t.Errorf("%v is no time-out", err)
			}
			if timeout == 0 {
				timeout = 3 * time.Second
			}
			wantSince(t, start, timeout)
		}
	})
}

func TestDialEndsWithItsContext(t *testing.T) {
	inStreamBubble(t, virtual.Options{}, func(t *testing.T, tester, _ streamEnd) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := tester.tryDial(ctx)
		wantStreamErr(t, err, "dial", context.Canceled)
		wantSince(t, start, time.Second)
	})
}

// A dialler may be there before the listener.
func TestDialIsRepeatedUntilSomebodyListens(t *testing.T) {
	inStreamBubble(t, virtual.Options{}, func(t *testing.T, tester, ecu streamEnd) {
		time.AfterFunc(time.Second, func() { ecu.listen(t) })
		tester.dial(t)
	})
}

func TestBothSidesDialAtOnce(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		ln1, ln2 := tester.listen(t), ecu.listen(t)
		const each = 50
		done := make(chan error)
		for range each {
			for _, end := range []streamEnd{tester, ecu} {
				go func() {
					c, err := end.tryDial(context.Background())
					if err == nil {
						_, err = io.Copy(io.Discard, c)
						c.Close()
					}
					done <- err
				}()
			}
		}
		for range each {
			for _, ln := range []*isotpnet.StreamListener{ln1, ln2} {
				c, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
			}
		}
		for range 2 * each {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestOnePairHasOneListenerAndOneConfig(t *testing.T) {
	onBackends(t, func(t *testing.T, _, ecu streamEnd) {
		ln := ecu.listen(t)
		_, err := ecu.tryListen()
		wantStreamErr(t, err, "listen", syscall.EADDRINUSE)

		other := ecu
		other.dialer.Config.BlockSize = 8
		_, err = other.tryDial(t.Context())
		wantStreamErr(t, err, "dial", syscall.EADDRINUSE)

		ln.Close()
		ecu.listen(t)
	})
}

func TestErrorOfAPairThatIsOpenNamesTheDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ecu := tapEnd(newTap(t, newNetwork(t, virtual.Options{})), ecuAddr, isotpnet.Config{BlockSize: 4, Trace: new(isotpnet.Trace)})
		ecu.listen(t)
		for _, tt := range []struct {
			change func(c *isotpnet.Config)
			want   string
		}{
			{func(c *isotpnet.Config) { c.BlockSize = 8 }, "Config.BlockSize 4, not 8;"},
			{func(c *isotpnet.Config) { c.FD = true }, "Config.FD false, not true;"},
			{func(c *isotpnet.Config) { c.STmin = time.Millisecond }, "Config.STmin 0s, not 1ms;"},
			{func(c *isotpnet.Config) { c.Trace = nil }, "another Config.Trace;"},
		} {
			other := ecu
			tt.change(&other.dialer.Config)
			_, err := other.tryDial(t.Context())
			if want := "/7E8:7E0 is already open in this process with " + tt.want; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
	})
}

func TestStreamsAndMessagesDoNotShareAPair(t *testing.T) {
	onBackends(t, func(t *testing.T, _, ecu streamEnd) {
		messages := "isotp" + ecu.network[len("isotp-stream"):]
		ln := ecu.listen(t)
		_, err := ecu.dialer.DialContext(t.Context(), messages, ecu.address)
		wantStreamErr(t, err, "dial", syscall.EADDRINUSE)
		ln.Close()
		c, err := ecu.dialer.DialContext(t.Context(), messages, ecu.address)
		if err != nil {
			t.Fatal("the pair is not free after Close:", err)
		}
		defer c.Close()
		_, err = ecu.tryListen()
		wantStreamErr(t, err, "listen", syscall.EADDRINUSE)
	})
}

func TestAcceptHasADeadline(t *testing.T) {
	inStreamBubble(t, virtual.Options{}, func(t *testing.T, _, ecu streamEnd) {
		ln := ecu.listen(t)
		ln.SetDeadline(time.Now().Add(time.Second))
		_, err := ln.Accept()
		wantStreamErr(t, err, "accept", os.ErrDeadlineExceeded)
	})
}

func TestCloseEndsEveryAccept(t *testing.T) {
	onBackends(t, func(t *testing.T, _, ecu streamEnd) {
		ln := ecu.listen(t)
		done := make(chan error)
		for range 3 {
			go func() {
				_, err := ln.Accept()
				done <- err
			}()
		}
		ln.Close()
		for range 3 {
			wantStreamErr(t, <-done, "accept", net.ErrClosed)
		}
	})
}

func TestClosedListenerResetsWhoWaits(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		ln := ecu.listen(t)
		c := tester.dial(t)
		ln.Close()
		_, err := c.Read(make([]byte, 1))
		wantStreamErr(t, err, "read", syscall.ECONNRESET)
	})
}

// The peer is there no more, and no message says so.
func TestSilentPeerTimesOut(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config net.KeepAliveConfig
		want   time.Duration
	}{
		{"by default", net.KeepAliveConfig{}, (15 + 9*15) * time.Second},
		{"as configured", net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cable wire
			inStreamBubble(t, cable.options(virtual.Options{}), func(t *testing.T, tester, ecu streamEnd) {
				tester.dialer.KeepAliveConfig = tt.config
				c, _ := newStream(t, tester, ecu)
				time.Sleep(time.Minute) // the peer does answer
				cable.cut.Store(true)
				start := time.Now()
				_, err := c.Read(make([]byte, 1))
				wantStreamErr(t, err, "read", syscall.ETIMEDOUT)
				if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
					t.Errorf("%v is no time-out", err)
				}
				if took := time.Since(start); took > tt.want || took < tt.want-tt.want/2 {
					t.Errorf("it took %v, want up to %v", took, tt.want)
				}
			})
		})
	}
}

// Each way to say how soon a silent peer is noticed.
func TestKeepAliveOfAStream(t *testing.T) {
	for _, tt := range []struct {
		name   string
		dialer func(d *isotpnet.Dialer)
		set    func(c *isotpnet.StreamConn) error
		want   time.Duration // 0: never
	}{
		{"Dialer.KeepAlive", func(d *isotpnet.Dialer) { d.KeepAlive = time.Second }, nil, 10 * time.Second},
		{"Dialer.KeepAlive off", func(d *isotpnet.Dialer) { d.KeepAlive = -1 }, nil, 0},
		{"Dialer.KeepAliveConfig", func(d *isotpnet.Dialer) {
			d.KeepAlive = -1
			d.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: 3 * time.Second, Count: 4}
		}, nil, 14 * time.Second},
		{"SetKeepAlive", nil, func(c *isotpnet.StreamConn) error { return c.SetKeepAlive(false) }, 0},
		{"SetKeepAlivePeriod", nil, func(c *isotpnet.StreamConn) error { return c.SetKeepAlivePeriod(2 * time.Second) }, 20 * time.Second},
		{"SetKeepAlivePeriod too short", nil, func(c *isotpnet.StreamConn) error { return c.SetKeepAlivePeriod(1) }, 100 * time.Millisecond},
		{"SetKeepAlivePeriod 0", nil, func(c *isotpnet.StreamConn) error { return c.SetKeepAlivePeriod(0) }, 150 * time.Second},
		{"SetKeepAliveConfig", nil, func(c *isotpnet.StreamConn) error {
			return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: -1, Interval: time.Second, Count: 1})
		}, 16 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cable wire
			inStreamBubble(t, cable.options(virtual.Options{}), func(t *testing.T, tester, ecu streamEnd) {
				if tt.dialer != nil {
					tt.dialer(&tester.dialer)
				}
				c, accepted := newStream(t, tester, ecu)
				wantWrite(t, accepted, "to be heard last")
				wantRead(t, c, "to be heard last")
				cable.cut.Store(true)
				start := time.Now()
				if tt.set != nil {
					if err := tt.set(c); err != nil {
						t.Error(err)
					}
				}
				c.SetReadDeadline(start.Add(24 * time.Hour))
				_, err := c.Read(make([]byte, 1))
				if tt.want == 0 {
					wantStreamErr(t, err, "read", os.ErrDeadlineExceeded)
					return
				}
				wantStreamErr(t, err, "read", syscall.ETIMEDOUT)
				wantSince(t, start, tt.want)
			})
		})
	}
}

func TestStreamsCostNoGoroutines(t *testing.T) {
	noLeaks(t)
	tester, ecu := newStreamEnds(t, newNetwork(t, virtual.Options{}), patient)
	newStream(t, tester, ecu)
	before := runtime.NumGoroutine()
	for range 100 {
		tester.dial(t)
	}
	// What has sent the last messages may not have ended yet.
	if more := runtime.NumGoroutine() - before; more > 4 {
		t.Errorf("100 streams have %d goroutines", more)
	}
}

func TestTooManyStreams(t *testing.T) {
	noLeaks(t)
	tester, ecu := newStreamEnds(t, newNetwork(t, virtual.Options{}), patient)
	ln := ecu.listen(t)
	for range 1024 {
		tester.dial(t)
		acceptStream(t, ln)
	}
	_, err := tester.tryDial(t.Context())
	wantStreamErr(t, err, "dial", syscall.EADDRNOTAVAIL)
}

func TestStreamsOfWhatCannotBe(t *testing.T) {
	tap := newTap(t, newNetwork(t, virtual.Options{Classic: true}))
	for _, tt := range []struct {
		name, network, address string
		dialer                 isotpnet.Dialer
	}{
		{"functional", "isotp-stream:user", "/7DF:", isotpnet.Dialer{}},
		{"pattern", "isotp-stream:user", "/obd", isotpnet.Dialer{}},
		{"listen only", "isotp-stream:user", "/7E0:7E8", isotpnet.Dialer{Config: isotpnet.Config{ListenOnly: true}}},
		{"messages too short", "isotp-stream:user", "/7E0:7E8", isotpnet.Dialer{Config: isotpnet.Config{MaxSendSize: 6}}},
		{"messages too short with an address byte", "isotp-stream:user", "/641#55:642#F1", isotpnet.Dialer{Config: isotpnet.Config{MaxSendSize: 10}}},
		{"Functional", "isotp-stream:user", "/7E0:7E8", isotpnet.Dialer{Functional: isotpnet.MustParseAddr("/7DF:")}},
		{"Config", "isotp-stream:user", "/7E0:7E8", isotpnet.Dialer{Config: isotpnet.Config{BlockSize: 300}}},
		{"FD on a classic bus", "isotp-stream:user", "/7E0:7E8", isotpnet.Dialer{Config: isotpnet.Config{FD: true}}},
		{"bus twice", "isotp-stream:user", "vcan0/7E0:7E8", isotpnet.Dialer{}},
		{"network", "isotp-stream:quantum", "/7E0:7E8", isotpnet.Dialer{}},
		{"kernel", "isotp-stream:kernel", "/7E0:7E8", isotpnet.Dialer{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.dialer.Bus = tap
			_, err := tt.dialer.Dial(tt.network, tt.address)
			oe, ok := err.(*net.OpError)
			if !ok || oe.Op != "dial" || oe.Net != tt.network {
				t.Errorf("Dial: %v (%T)", err, err)
			}
			t.Log(err)
			lc := isotpnet.ListenConfig{Config: tt.dialer.Config, Bus: tap}
			if tt.dialer.Functional.IsValid() {
				lc.Functional = []isotpnet.Addr{tt.dialer.Functional}
			}
			_, err = lc.Listen(t.Context(), tt.network, tt.address)
			if oe, ok := err.(*net.OpError); !ok || oe.Op != "listen" || oe.Net != tt.network {
				t.Errorf("Listen: %v (%T)", err, err)
			}
		})
	}
}

// On a bus as slow as a real one streams are as fast as messages. The bubble's clock
// makes that exact.
func TestStreamsUseTheLineAsMessagesDo(t *testing.T) {
	size := int64(scale.Down(64, 32)) * 4095
	transfer := func(t *testing.T, from, to net.Conn, write int) time.Duration {
		start := time.Now()
		go func() {
			for range size / int64(write) {
				from.Write(make([]byte, write))
			}
		}()
		if _, err := io.CopyN(io.Discard, to, size); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	for _, mode := range []struct {
		name   string
		config isotpnet.Config
	}{
		{"classic", isotpnet.Config{}},
		{"FD", isotpnet.Config{FD: true, BRS: true}},
		{"blocks", isotpnet.Config{BlockSize: 8}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := virtual.Options{Bitrate: 500_000, DataBitrate: 2_000_000}
				c1, c2 := newPair(t, newNetwork(t, o), mode.config, mode.config)
				messages := transfer(t, c1, c2, 4095)
				tester, ecu := newStreamEnds(t, newNetwork(t, o), mode.config)
				dialled, accepted := newStream(t, tester, ecu)
				for _, write := range []int{4095, 16 * 4095} {
					stream := transfer(t, dialled, accepted, write)
					share := 100 * messages.Seconds() / stream.Seconds()
					t.Logf("writes of %d bytes: %v, messages %v: %.2f %%", write, stream, messages, share)
					if share < 97 {
						t.Errorf("writes of %d bytes: a stream has %.2f %% of the speed of messages", write, share)
					}
				}
			})
		})
	}
}

// Hooks may call the listener whose Close they are part of.
func TestHookCallsTheListenerThatCloses(t *testing.T) {
	n := newNetwork(t, virtual.Options{})
	var ln *isotpnet.StreamListener
	var closing atomic.Bool
	lc := isotpnet.ListenConfig{Bus: newTap(t, n), Config: isotpnet.Config{
		Trace: &isotpnet.Trace{FrameSent: func(isotpnet.TraceEvent) {
			if closing.Load() {
				ln.SetDeadline(time.Time{})
			}
		}},
	}}
	ln, err := lc.ListenStream(t.Context(), "isotp-stream", isotpnet.MustParseAddr(ecuAddr))
	if err != nil {
		t.Fatal(err)
	}
	c, err := dialStream(newTap(t, n), isotpnet.Config{}) // no Accept takes it
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	closing.Store(true)
	ln.Close()
	_, err = c.Read(make([]byte, 1))
	wantStreamErr(t, err, "read", syscall.ECONNRESET)
}

// Hooks may call the other streams of their pair, also where a message is answered
// within the call that brings it.
func TestHookClosesAnotherStream(t *testing.T) {
	for _, name := range []string{"MessageReceived", "MessageSent"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var other atomic.Pointer[isotpnet.StreamConn]
				hook := func(isotpnet.TraceEvent) {
					if c := other.Swap(nil); c != nil {
						start := time.Now()
						c.Close()
						wantSince(t, start, 0)
					}
				}
				trace := &isotpnet.Trace{MessageReceived: hook}
				if name == "MessageSent" {
					trace = &isotpnet.Trace{MessageSent: hook}
				}
				n := newNetwork(t, virtual.Options{})
				tester := tapEnd(newTap(t, n), testerAddr, isotpnet.Config{})
				ecu := tapEnd(newTap(t, n), ecuAddr, isotpnet.Config{Trace: trace})
				ln := ecu.listen(t)
				dialled := tester.dial(t)
				accepted := acceptStream(t, ln)
				synctest.Wait()
				other.Store(accepted)
				tester.dial(t)
				if _, err := dialled.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("Read: %v, want io.EOF", err)
				}
			})
		})
	}
}
