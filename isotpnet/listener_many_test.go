package isotpnet_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

func TestListenerMakesAConnForEachPeer(t *testing.T) {
	for _, tc := range []struct {
		address string
		ask     []string // one request of each peer
		remote  []string
		answers []string // on the bus, to 50 from each
	}{
		{"/fixed::10",
			[]string{"18DA10F1#0101", "18DA10F2#0102", "0CDA1000#0103"},
			[]string{"/fixed:F1:10", "/fixed:F2:10", "/fixed:00:10"},
			[]string{"18DAF110#0150", "18DAF210#0150", "18DA0010#0150"}},
		{"/fixed@14DA::10",
			[]string{"14DA10F1#0101", "14DA10F2#0102"},
			[]string{"/fixed@14DA:F1:10", "/fixed@14DA:F2:10"},
			[]string{"14DAF110#0150", "14DAF210#0150"}},
		{"/mixed::10#99",
			[]string{"18CE10F1#990101", "18CE10F2#990102"},
			[]string{"/mixed:F1:10#99", "/mixed:F2:10#99"},
			[]string{"18CEF110#990150", "18CEF210#990150"}},
		{"/7E8:7E0,7E9:7E1",
			[]string{"7E1#0101", "7E0#0102"},
			[]string{"/7E9:7E1", "/7E8:7E0"},
			[]string{"7E9#0150", "7E8#0150"}},
		{"/fixed::10,mixed::10#99,7E8:7E0",
			[]string{"18CE10F1#990101", "18DA10F1#0102", "7E0#0103"},
			[]string{"/mixed:F1:10#99", "/fixed:F1:10", "/7E8:7E0"},
			[]string{"18CEF110#990150", "18DAF110#0150", "7E8#0150"}},
	} {
		t.Run(strings.ReplaceAll(tc.address[1:], ":", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				ln := listenOn(t, newTap(t, n), tc.address, isotpnet.Config{Padding: isotpnet.NoPadding()})
				if ln.Addr().String() != tc.address || ln.Backend() != "user" {
					t.Errorf("listens on %v, backend %s", ln.Addr(), ln.Backend())
				}
				peers := newNode(t, n)
				peers.send(tc.ask...)
				for i, remote := range tc.remote {
					c := accept(t, ln)
					if got := c.RemoteAddr(); got != isotpnet.MustParseAddr(remote) {
						t.Errorf("the peer is %v, want %s", got, remote)
					}
					wantRead(t, c, string([]byte{byte(i + 1)}))
					wantWrite(t, c, "\x50")
					peers.hear(tc.answers[i])
				}
			})
		})
	}
}

// First Frames of many peers at once: each message is whole, and on its own conn.
func TestListenerReassemblesManyPeersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), "/fixed::10", isotpnet.Config{})
		peers := newNode(t, n)
		const count = 255 // all but the node's own address
		for sa := range 256 {
			if sa != 0x10 {
				peers.send("18DA10" + hex2(sa) + "#1008" + hex2(sa) + "0203040506")
			}
		}
		for sa := range 256 {
			if sa != 0x10 {
				peers.send("18DA10" + hex2(sa) + "#210708")
			}
		}
		seen := map[string]bool{}
		for range count {
			c := accept(t, ln)
			sa := c.RemoteAddr().String()[len("/fixed:"):][:2]
			seen[sa] = true
			buf := make([]byte, 16)
			k, err := c.Read(buf)
			if got := string(buf[:k]); err != nil || k != 8 || hex2(int(got[0])) != sa || got[1:] != "\x02\x03\x04\x05\x06\x07\x08" {
				t.Errorf("%s: read % X, %v", sa, got, err)
			}
		}
		if len(seen) != count {
			t.Errorf("%d peers, want %d", len(seen), count)
		}
		if s := ln.Stats(); s != (isotpnet.ListenerStats{Made: count}) {
			t.Errorf("%+v", s)
		}
	})
}

func hex2(n int) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{digits[n>>4], digits[n&0xF]})
}

func TestFunctionalRequestsComeToTheConnOfTheirSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), "/fixed::10,func:33", isotpnet.Config{})
		newNode(t, n).send("18DA10F1#0101", "18DB33F2#0102", "18DB33F1#0103", "18DA10F2#0104",
			"18DB34F1#0105", "18DB33F1#1008010203040506") // another group; not a Single Frame
		type message struct {
			first      string
			functional bool
		}
		want := map[string][]message{
			"/fixed:F1:10": {{"\x01", false}, {"\x03", true}},
			"/fixed:F2:10": {{"\x02", true}, {"\x04", false}},
		}
		for range want {
			c := accept(t, ln)
			for _, w := range want[c.RemoteAddr().String()] {
				buf := make([]byte, 8)
				k, info, err := c.ReadMessage(buf)
				if got := (message{string(buf[:k]), info.Functional}); err != nil || got != w {
					t.Errorf("%v: read %v, %v; want %v", c.RemoteAddr(), got, err, w)
				}
			}
			c.SetReadDeadline(time.Now())
			if k, err := c.Read(make([]byte, 8)); err == nil {
				t.Errorf("%v: %d more bytes", c.RemoteAddr(), k)
			}
		}
	})
}

// A functional request with an 11-bit identifier does not say which tester has sent it: the
// ECU makes a connection for each of its pairs of addresses.
func TestFunctionalRequestsOf11BitsComeToEachPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), "/7E8:7E0,7E9:7E1,7DF", isotpnet.Config{Padding: isotpnet.NoPadding()})
		tester := newNode(t, n)
		tester.send("7DF#020902")
		var remotes []string
		for range 2 {
			c := accept(t, ln)
			remotes = append(remotes, c.RemoteAddr().String())
			buf := make([]byte, 8)
			k, info, err := c.ReadMessage(buf)
			if string(buf[:k]) != "\x09\x02" || !info.Functional || err != nil {
				t.Errorf("read % X, %+v, %v", buf[:k], info, err)
			}
			wantWrite(t, c, "\x49")
		}
		if want := []string{"/7E8:7E0", "/7E9:7E1"}; !slices.Equal(remotes, want) {
			t.Errorf("conns with %v, want %v", remotes, want)
		}
		tester.hear("7E8#0149", "7E9#0149")
	})
}

func TestOnlyTheBeginOfAMessageMakesAConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), "/fixed::10,func:33", isotpnet.Config{})
		rec := record(t, n)
		newNode(t, n).send("18DA10F1#2101", "18DA10F1#300000", "18DA10F1#", "18DA10F1#0F", "18DB33F1#1008010203040506",
			"18DA1010#0101", "18DB3310#0101", // in our own name
			"18DA11F1#0101") // not to us
		ln.SetDeadline(time.Now().Add(time.Second))
		if c, err := ln.Accept(); err == nil {
			t.Errorf("a conn with %v", c.RemoteAddr())
		}
		if s := ln.Stats(); s != (isotpnet.ListenerStats{Stray: 5}) {
			t.Errorf("%+v", s)
		}
		if frames := rec.taken(); len(frames) != 8 {
			t.Errorf("%d frames on the bus: something was answered", len(frames))
		}
	})
}

func TestBacklogIsBoundedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenWith(t, isotpnet.ListenConfig{Bus: newTap(t, n), Backlog: 2}, "/fixed::10")
		peers := newNode(t, n)
		peers.send("18DA10F1#0101", "18DA10F2#0101", "18DA10F3#0101", "18DA10F4#1008010203040506", "18DA10F1#0102")
		synctest.Wait()
		if s := ln.Stats(); s != (isotpnet.ListenerStats{Made: 2, Refused: 2}) {
			t.Errorf("%+v", s)
		}
		wantRead(t, accept(t, ln), "\x01") // F1: its second message is not lost, nor the others' place taken
		peers.send("18DA10F3#0103")
		synctest.Wait()
		accept(t, ln)
		if c := accept(t, ln); c.RemoteAddr().String() != "/fixed:F3:10" {
			t.Errorf("%v", c.RemoteAddr())
		}
		if s := ln.Stats(); s != (isotpnet.ListenerStats{Made: 3, Refused: 2}) {
			t.Errorf("%+v", s)
		}
	})
}

// A peer that begins a message and leaves it at that makes no connection, if it
// has given up before Accept gets to it.
func TestMessageGivenUpBeforeAcceptIsNoConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), "/fixed::10", isotpnet.Config{})
		peers := newNode(t, n)
		peers.send("18DA10F1#1008010203040506", "18DA10F2#1008010203040506")
		time.Sleep(500 * time.Millisecond)
		peers.send("18DA10F2#210708")
		time.Sleep(2 * time.Second)
		if c := accept(t, ln); c.RemoteAddr().String() != "/fixed:F2:10" {
			t.Errorf("a conn with %v", c.RemoteAddr())
		}
		peers.send("18DA10F1#0105") // its place is free again
		c := accept(t, ln)
		wantRead(t, c, "\x05")
	})
}

func TestListenerOfManyIsFreeAfterTheLastConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		ln := listenOn(t, tap, "/fixed::10", isotpnet.Config{})
		newNode(t, n).send("18DA10F1#0101", "18DA10F2#0101")
		c1, c2 := accept(t, ln), accept(t, ln)
		ln.Close()
		d := isotpnet.Dialer{Bus: tap}
		for _, c := range []*isotpnet.Conn{c1, c2} {
			if again, err := d.Dial("isotp:user", "/fixed:F3:10"); err == nil {
				again.Close()
				t.Error("a peer of the node can be dialled although a conn of it is open")
			}
			c.Close()
		}
		dialOn(t, tap, "/fixed:F3:10", isotpnet.Config{})
	})
}

// A limit of 0 or less is the default, which is not reached.
func TestNegativeLimitsAreTheDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		lc := isotpnet.ListenConfig{Bus: newTap(t, n), Backlog: -1, MaxPeers: -1}
		ln := listenWith(t, lc, "/fixed::10")
		pc, err := lc.ListenPacketAddr(t.Context(), "isotp", isotpnet.MustParseAddr("/fixed::11"))
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		newNode(t, n).send("18DA10F1#0101", "18DA10F2#0101", "18DA11F1#0101")
		for range 2 {
			accept(t, ln)
		}
		if _, _, err := pc.ReadFrom(make([]byte, 8)); err != nil {
			t.Error(err)
		}
		if ln.Stats().Refused != 0 || pc.Stats().PeersRefused != 0 {
			t.Errorf("%+v, %+v: none was to be refused", ln.Stats(), pc.Stats())
		}
	})
}

// What is parsed is listened on as its text is.
func TestListenAddrIsListen(t *testing.T) {
	addrs, err := isotpnet.ParseAddrs("/7E8:7E0,7E9:7E1,7DF")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		lc := isotpnet.ListenConfig{Bus: newTap(t, n), Config: isotpnet.Config{Padding: isotpnet.NoPadding()}}
		ln, err := lc.ListenAddr(t.Context(), "isotp:user", addrs...)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		peers := newNode(t, n)
		peers.send("7E1#0101")
		c, err := ln.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		wantRead(t, c, "\x01")
		if ln.Addr().String() != "/7E8:7E0,7E9:7E1,:7DF" || c.RemoteAddr().String() != "/7E9:7E1" {
			t.Errorf("listens on %v, has accepted %v", ln.Addr(), c.RemoteAddr())
		}
	})
}

func TestListenPacketAddrIsListenPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		lc := isotpnet.ListenConfig{Bus: newTap(t, n)}
		pc, err := lc.ListenPacketAddr(t.Context(), "isotp", isotpnet.MustParseAddr("/7E0:7E8"), isotpnet.MustParseAddr("/7E1:7E9"))
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		newNode(t, n).send("7E9#0101")
		message, _, from, err := pc.ReadMessageFrom(nil)
		if string(message) != "\x01" || from.String() != "/7E1:7E9" || err != nil {
			t.Errorf("got %x from %v, %v", message, from, err)
		}
	})
}

// A list of Addrs can be one that no text names, and the network one of streams.
func TestListsOfAddrsAreRefused(t *testing.T) {
	pair := isotpnet.MustParseAddr("can0/7E8:7E0")
	for _, tt := range []struct {
		network string
		addrs   []isotpnet.Addr
		want    string
	}{
		{"isotp", nil, `listen isotp: there is no address to listen on: name a pair or a node, as in can0/7E8:7E0 or can0/fixed::10`},
		{"isotp", []isotpnet.Addr{pair, {}}, `the zero Addr cannot be listened on; ParseAddr makes one that can`},
		{"isotp:user", []isotpnet.Addr{pair, isotpnet.MustParseAddr("can1/7E9:7E1")}, `address can1/7E9:7E1: is on another bus than can0/7E8:7E0: a listener has one bus`},
		{"isotp:kernel", []isotpnet.Addr{pair, pair}, `address can0/7E8:7E0: is in the list twice; name each address once`},
		{"isotp-stream", []isotpnet.Addr{pair}, `network isotp-stream carries connections as TCP's`},
	} {
		lc := new(isotpnet.ListenConfig)
		_, listen := lc.ListenAddr(t.Context(), tt.network, tt.addrs...)
		_, packets := lc.ListenPacketAddr(t.Context(), tt.network, tt.addrs...)
		for _, err := range []error{listen, packets} {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s %v: %v, want %s", tt.network, tt.addrs, err, tt.want)
			}
		}
	}
}
