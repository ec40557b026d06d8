package isotpnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

func listenStreamPeers(t testing.TB, bus canbus.Bus, address string) *isotpnet.StreamListener {
	t.Helper()
	addrs, err := isotpnet.ParseAddrs(address)
	if err != nil {
		t.Fatal(err)
	}
	lc := isotpnet.ListenConfig{Bus: bus}
	l, err := lc.ListenStream(t.Context(), "isotp-stream", addrs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dialStreamOf(bus canbus.Bus, address string) (net.Conn, error) {
	d := isotpnet.Dialer{Bus: bus}
	return d.Dial("isotp-stream", address)
}

func mustDialStreamOf(t testing.TB, bus canbus.Bus, address string) net.Conn {
	t.Helper()
	c, err := dialStreamOf(bus, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Each of the clients has an address of its own, and connects three times at once.
func TestHTTPServerOfANodeForAnyPeer(t *testing.T) {
	noLeaks(t)
	n := newNetwork(t, virtual.Options{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s from %s", body, r.RemoteAddr)
	})}
	served := make(chan error, 1)
	ln := listenStreamPeers(t, newTap(t, n), "/fixed::10")
	go func() { served <- server.Serve(ln) }()

	var wg sync.WaitGroup
	for peer := range 8 {
		peerAddr := fmt.Sprintf("/fixed:10:%02X", 0xA0+peer)
		tap := newTap(t, n)
		for i := range 3 {
			wg.Go(func() {
				transport := &http.Transport{
					DisableKeepAlives: true,
					DialContext: func(context.Context, string, string) (net.Conn, error) {
						return dialStreamOf(tap, peerAddr)
					},
				}
				ask := strings.Repeat(fmt.Sprint(peer, i), 3000)
				res, err := (&http.Client{Transport: transport}).Post("http://ecu/", "text/plain", strings.NewReader(ask))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				want := ask + " from " + isotpnet.MustParseAddr(peerAddr).Mirror().String()
				if string(got) != want || err != nil {
					t.Errorf("%s: %d bytes ...%.60s, %v; want ...%.60s", peerAddr, len(got), got[max(0, len(got)-60):], err, want[max(0, len(want)-60):])
				}
			})
		}
	}
	wg.Wait()
	server.Close()
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
}

func TestStreamsOfAListOfPairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenStreamPeers(t, newTap(t, n), "/7E8:7E0,7E9:7E1")
		tap := newTap(t, n)
		for _, address := range []string{"/7E0:7E8", "/7E1:7E9"} {
			dialled := mustDialStreamOf(t, tap, address)
			accepted, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { accepted.Close() })
			if accepted.LocalAddr() != dialled.RemoteAddr() || accepted.RemoteAddr() != dialled.LocalAddr() {
				t.Errorf("%v - %v and %v - %v", accepted.LocalAddr(), accepted.RemoteAddr(), dialled.LocalAddr(), dialled.RemoteAddr())
			}
			wantWrite(t, dialled, "there")
			wantRead(t, accepted, "there")
			wantWrite(t, accepted, "and back")
			wantRead(t, dialled, "and back")
		}
	})
}

// After the streams of a peer are over nothing is kept for it, and it can begin anew.
func TestPeerThatComesBackAfterItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		ln := listenStreamPeers(t, tap, "/fixed::10")
		other := newTap(t, n)
		for range 3 {
			dialled := mustDialStreamOf(t, other, "/fixed:10:F1")
			accepted, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			wantWrite(t, dialled, "hello")
			wantRead(t, accepted, "hello")
			dialled.Close()
			accepted.Close()
			synctest.Wait()
			// The pair is free for messages.
			c, err := (&isotpnet.Dialer{Bus: other}).Dial("isotp:user", "/fixed:10:F1")
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			time.Sleep(time.Minute)
		}
	})
}

// A message that belongs to no stream makes a pair for the time of that message.
func TestMessagesToAListenerOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenStreamPeers(t, newTap(t, n), "/fixed::10")
		peer := newNode(t, n)
		peer.send("18DA10F1#023E00CCCCCCCCCC", "18DA10F2#0102CCCCCCCCCCCC")
		synctest.Wait()
		dialled := mustDialStreamOf(t, newTap(t, n), "/fixed:10:F1")
		accepted, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		wantWrite(t, dialled, "hello")
		wantRead(t, accepted, "hello")
	})
}

func TestStreamsLiveOnWithoutTheListenerForAnyPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenStreamPeers(t, newTap(t, n), "/fixed::10")
		tap := newTap(t, n)
		dialled := mustDialStreamOf(t, tap, "/fixed:10:F1")
		accepted, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		waits := mustDialStreamOf(t, tap, "/fixed:10:F2")
		for range 2 {
			if err := ln.Close(); err != nil {
				t.Error(err)
			}
		}
		wantWrite(t, dialled, "lives on")
		wantRead(t, accepted, "lives on")
		if _, err := waits.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want %v", err, syscall.ECONNRESET)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v, want %v", err, net.ErrClosed)
		}
	})
}

// The stream is over, and what it has sent can be read.
func TestStreamOfAPeerThatIsResetBeforeAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenStreamPeers(t, newTap(t, n), "/fixed::10")
		dialled := mustDialStreamOf(t, newTap(t, n), "/fixed:10:F1").(*isotpnet.StreamConn)
		wantWrite(t, dialled, "hello")
		dialled.SetLinger(0)
		dialled.Close()
		synctest.Wait()
		accepted, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		wantRead(t, accepted, "hello")
		if _, err := accepted.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want %v", err, syscall.ECONNRESET)
		}
	})
}

func TestAcceptOfStreamsForAnyPeerHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := listenStreamPeers(t, newTap(t, newNetwork(t, virtual.Options{})), "/fixed::10")
		start := time.Now()
		ln.SetDeadline(start.Add(time.Second))
		_, err := ln.Accept()
		wantSince(t, start, time.Second)
		if err == nil || !err.(net.Error).Timeout() {
			t.Errorf("accept: %v, want a time-out", err)
		}
	})
}

// streamListens are what a StreamListener can listen on, and what a peer dials.
var streamListens = []struct{ name, listen, dial string }{
	{"pair", ecuAddr, testerAddr},
	{"list", "/7E8:7E0,7E9:7E1", "/7E1:7E9"},
	{"node", "/fixed::10", "/fixed:10:F1"},
}

func TestStreamListenerEndsWithAGivenBus(t *testing.T) {
	for _, tt := range streamListens {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tap := newTap(t, newNetwork(t, virtual.Options{}))
				ln := listenStreamPeers(t, tap, tt.listen)
				tap.Close()
				for range 2 {
					_, err := ln.Accept()
					wantStreamErr(t, err, "accept", net.ErrClosed)
					if !isotpnet.Final(err) || isTemporary(err) {
						t.Errorf("Accept: %v: Final is %t and Temporary %t", err, isotpnet.Final(err), isTemporary(err))
					}
				}
			})
		})
	}
}

// Each Accept that waits is told that the bus has failed, and so is the next one where none
// does. Then Accept opens the bus again, or says why it cannot.
func TestAcceptAfterTheBusHasFailed(t *testing.T) {
	for _, tt := range streamListens {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				putIn(n)
				defer pullOut()
				ln := listenPlug(t, tt.listen)
				told := make(chan error)
				for range 2 {
					go func() {
						_, err := ln.Accept()
						told <- err
					}()
				}
				synctest.Wait()
				pullOut()
				wantPassing(t, <-told)
				wantPassing(t, <-told)
				_, err := ln.Accept() // there is no bus to open
				wantPassing(t, err)

				putIn(n)
				go func() {
					_, err := ln.Accept()
					told <- err
				}()
				synctest.Wait()
				mustDialStreamOf(t, newTap(t, n), tt.dial)
				if err := <-told; err != nil {
					t.Error("Accept:", err)
				}
				pullOut() // while no Accept waits
				putIn(n)
				synctest.Wait()
				_, err = ln.Accept()
				wantPassing(t, err)
			})
		})
	}
}

// A stream that a peer has opened before the bus failed is not accepted after that.
func TestBusFailsWhileAStreamWaitsForAccept(t *testing.T) {
	for _, tt := range streamListens {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				putIn(n)
				defer pullOut()
				ln := listenPlug(t, tt.listen)
				wantWrite(t, mustDialStreamOf(t, newTap(t, n), tt.dial), "too late")
				synctest.Wait()
				pullOut()
				synctest.Wait()
				putIn(n)
				_, err := ln.Accept()
				wantPassing(t, err)
				ln.SetDeadline(time.Now().Add(time.Second))
				if _, err := ln.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Accept: %v, want %v", err, os.ErrDeadlineExceeded)
				}
			})
		})
	}
}

// listenPlug listens for streams on the bus "plug:".
func listenPlug(t *testing.T, address string) *isotpnet.StreamListener {
	t.Helper()
	ln, err := isotpnet.Listen("isotp-stream", "plug:"+address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*isotpnet.StreamListener)
}

// wantPassing checks that Accept has failed with its bus, and that the next may not.
func wantPassing(t *testing.T, err error) {
	t.Helper()
	wantStreamErr(t, err, "accept", errUnplugged)
	if isotpnet.Final(err) || !isTemporary(err) {
		t.Errorf("Accept: %v: Final is %t and Temporary %t", err, isotpnet.Final(err), isTemporary(err))
	}
}

func isTemporary(err error) bool {
	temporary, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && temporary.Temporary()
}

// An Accept that would open the bus again has no business there after Close.
func TestAcceptAfterCloseOpensNoBus(t *testing.T) {
	for _, tt := range streamListens {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				putIn(newNetwork(t, virtual.Options{}))
				defer pullOut()
				ln := listenPlug(t, tt.listen)
				pullOut()
				synctest.Wait()
				_, err := ln.Accept()
				wantPassing(t, err)
				ln.Close()
				putIn(newNetwork(t, virtual.Options{}))
				_, err = ln.Accept()
				wantStreamErr(t, err, "accept", net.ErrClosed)
				plug.Lock()
				defer plug.Unlock()
				if len(plug.taps) > 0 {
					t.Error("the bus was opened")
				}
			})
		})
	}
}

// A list can be one that no text names.
func TestListenStreamRefusesLists(t *testing.T) {
	pair := isotpnet.MustParseAddr("can0/7E8:7E0")
	for _, tt := range []struct {
		name  string
		addrs []isotpnet.Addr
		want  string
	}{
		{"none", nil, `listen isotp-stream: there is no address to listen on: name a pair or a node, as in can0/7E8:7E0 or can0/fixed::10`},
		{"the zero Addr", []isotpnet.Addr{pair, {}}, `the zero Addr cannot be listened on; ParseAddr makes one that can`},
		{"two buses", []isotpnet.Addr{pair, isotpnet.MustParseAddr("can1/7E9:7E1")}, `address can1/7E9:7E1: is on another bus than can0/7E8:7E0: a listener has one bus`},
		{"twice the same", []isotpnet.Addr{pair, pair}, `address can0/7E8:7E0: is in the list twice; name each address once`},
	} {
		_, err := new(isotpnet.ListenConfig).ListenStream(t.Context(), "isotp-stream", tt.addrs...)
		if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestListenersOfStreamsForAnyPeerRefuse(t *testing.T) {
	tap := newTap(t, newNetwork(t, virtual.Options{}))
	for address, want := range map[string]string{
		"/fixed::10,func:33": `listen isotp-stream /fixed::10,func:33: address /func:33: streams are listened for on pairs and on nodes, as in can0/7E0:7E8 or can0/fixed::10`,
		"/7E8:7E0,7DF":       `listen isotp-stream /7E8:7E0,:7DF: address /:7DF: streams are listened for on pairs and on nodes, as in can0/7E0:7E8 or can0/fixed::10`,
	} {
		lc := isotpnet.ListenConfig{Bus: tap}
		_, err := lc.Listen(t.Context(), "isotp-stream", address)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
	const want = `dial isotp-stream /fixed::10: address /fixed::10: a stream needs both sides of a pair, as in can0/7E0:7E8`
	if _, err := dialStreamOf(tap, "/fixed::10"); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A peer that dials at once after its last stream has ended comes while the pair is
// being shut, and is served all the same.
func TestPeerThatDialsWhileItsPairEnds(t *testing.T) {
	n := newNetwork(t, virtual.Options{})
	l := listenStreamPeers(t, newTap(t, n), "/fixed::10")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				c.Write([]byte("hello"))
				c.Close()
			}()
		}
	}()
	tester := newTap(t, n)
	for range 50 {
		c := mustDialStreamOf(t, tester, "/fixed:10:F1")
		wantReadAll(t, c, "hello")
		c.Close()
	}
}

// openFrames are the OPENs of so many sessions, each in a Single Frame, of a peer of the
// node 10.
func openFrames(peer, sessions int) (frames []string) {
	for s := range sessions {
		frames = append(frames, fmt.Sprintf("18DA10%02X#0707%04X100002FF", peer, s+1))
	}
	return frames
}

// OPENs that may be forged, and whose sessions are never confirmed, keep no honest dialer
// out: neither those of one address nor those of many.
func TestForgedDialsKeepNoDialerOut(t *testing.T) {
	for _, tt := range []struct {
		name            string
		peers, sessions int
	}{
		{"the dialer's own address", 1, 200},
		{"many addresses", 40, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				ln := listenStreamPeers(t, newTap(t, n), "/fixed::10")
				forger := newNode(t, n)
				go func() { // what it is answered
					var f [64]canbus.Frame
					for {
						if _, err := forger.tap.ReadFrames(f[:]); err != nil {
							return
						}
					}
				}()
				for peer := range tt.peers {
					for _, frame := range openFrames(0xF1-peer, tt.sessions) {
						forger.send(frame)
						synctest.Wait()
					}
				}
				start := time.Now()
				dialled := mustDialStreamOf(t, newTap(t, n), "/fixed:10:F1")
				wantSince(t, start, 0)
				wantWrite(t, dialled, "honest")
				synctest.Wait()
				for { // behind some of the others
					c, err := ln.Accept()
					if err != nil {
						t.Fatal(err)
					}
					c.SetReadDeadline(time.Now().Add(time.Nanosecond))
					p := make([]byte, 10)
					k, _ := c.Read(p)
					c.(*isotpnet.StreamConn).SetLinger(0)
					c.Close()
					if string(p[:k]) == "honest" {
						return
					}
				}
			})
		})
	}
}
