package isotpnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

func listenPacketOn(t testing.TB, bus canbus.Bus, address string, c isotpnet.Config) *isotpnet.PacketConn {
	t.Helper()
	return listenPacketWith(t, isotpnet.ListenConfig{Bus: bus, Config: c}, address)
}

func listenPacketWith(t testing.TB, lc isotpnet.ListenConfig, address string) *isotpnet.PacketConn {
	t.Helper()
	pc, err := lc.ListenPacket(context.Background(), "isotp:user", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc.(*isotpnet.PacketConn)
}

func wantReadFrom(t testing.TB, pc net.PacketConn, want, from string) {
	t.Helper()
	buf := make([]byte, 8192)
	n, addr, err := pc.ReadFrom(buf)
	if err != nil || string(buf[:n]) != want || addr != isotpnet.MustParseAddr(from) {
		t.Errorf("read % X from %v, %v; want % X from %s", buf[:n], addr, err, want, from)
	}
}

func wantWriteTo(t testing.TB, pc net.PacketConn, p, to string) {
	t.Helper()
	if n, err := pc.WriteTo([]byte(p), isotpnet.MustParseAddr(to)); n != len(p) || err != nil {
		t.Errorf("WriteTo %s: %d, %v", to, n, err)
	}
}

// goWrite is wantWrite in a goroutine, which has ended when the channel is closed.
func goWrite(t testing.TB, c net.Conn, p string) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if n, err := c.Write([]byte(p)); n != len(p) || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
	}()
	return done
}

// wantPacketErr checks that err is a *net.OpError of that operation.
func wantPacketErr(t testing.TB, err error, op string, target error) {
	t.Helper()
	oe, ok := err.(*net.OpError)
	if !ok || oe.Op != op || !errors.Is(err, target) {
		t.Errorf("error is %v (%T), want a *net.OpError of %s with %v", err, err, op, target)
	}
}

// As one does with package net.
func TestPacketConnsWriteToEachOthersLocalAddr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		c1 := listenPacketOn(t, newTap(t, n), testerAddr, noPadding)
		c2 := listenPacketOn(t, newTap(t, n), ecuAddr, noPadding)
		if _, err := c1.WriteTo([]byte("hello"), c2.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 10)
		k, from, err := c2.ReadFrom(p)
		if err != nil || string(p[:k]) != "hello" || from != c1.LocalAddr() {
			t.Errorf("%q of %v, %v; want hello of %v", p[:k], from, err, c1.LocalAddr())
		}
	})
}

// noPadding makes short texts of frames.
var noPadding = isotpnet.Config{Padding: isotpnet.NoPadding()}

func TestPacketConnKnowsWhoSpeaks(t *testing.T) {
	for _, tc := range []struct{ address, from, answer, peer string }{
		{"/fixed::F1", "18DAF110#0101", "18DA10F1#0150", "/fixed:10:F1"},
		{"/fixed::F1", "0CDAF110#0101", "18DA10F1#0150", "/fixed:10:F1"}, // any priority
		{"/fixed@14DA::F1", "14DAF110#0101", "14DA10F1#0150", "/fixed@14DA:10:F1"},
		{"/mixed::F1#99", "18CEF110#990101", "18CE10F1#990150", "/mixed:10:F1#99"},
		{"/7E0:7E8,7E1:7E9", "7E9#0101", "7E1#0150", "/7E1:7E9"},
		{"/641#55:642#F1", "642#F10101", "641#550150", "/641#55:642#F1"},
		{"/obd29", "18DAF110#0101", "18DA10F1#0150CCCCCCCCCCCC", "/fixed:10:F1"},
		{"/obd", "7EF#0101", "7E7#0150CCCCCCCCCCCC", "/7E7:7EF"},
	} {
		t.Run(strings.ReplaceAll(tc.address[1:], ":", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				c := noPadding
				if strings.Contains(tc.address, "obd") {
					c = isotpnet.Config{}
				}
				pc := listenPacketOn(t, newTap(t, n), tc.address, c)
				want := tc.address
				if a, err := isotpnet.ParseAddr(want); err == nil && a.Kind() == isotpnet.KindPair {
					want = a.Mirror().String()
				}
				if pc.LocalAddr().String() != want || pc.Backend() != "user" {
					t.Errorf("LocalAddr is %v, Backend %s", pc.LocalAddr(), pc.Backend())
				}
				peer := newNode(t, n)
				peer.send(tc.from)
				wantReadFrom(t, pc, "\x01", tc.peer)
				wantWriteTo(t, pc, "\x50", tc.peer)
				peer.hear(tc.answer)
			})
		})
	}
}

// The PacketConn writes to a peer before it has heard it. The engine that sent that message
// also sends the flow control for the peer's answer.
func TestPacketConnSpeaksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/fixed::F1", isotpnet.Config{})
		ecu := dialOn(t, newTap(t, n), "/fixed:F1:10", isotpnet.Config{})
		wantWriteTo(t, pc, payload(300), "/fixed:10:F1")
		wantRead(t, ecu, payload(300))
		written := goWrite(t, ecu, payload(400))
		wantReadFrom(t, pc, payload(400), "/fixed:10:F1")
		<-written
		if s := pc.Stats(); s.Peers != 1 || s.PeersMade != 1 || s.MessagesReceived != 1 || s.MessagesSent != 1 || s.BytesReceived != 400 {
			t.Errorf("%+v", s)
		}
	})
}

func TestPacketConnReassemblesManyPeersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/fixed::F1", isotpnet.Config{})
		tap := newTap(t, n)
		var writers sync.WaitGroup
		const peers, messages = 50, 4
		for i := range peers {
			c := dialOn(t, tap, fmt.Sprintf("/fixed:F1:%02X", i), isotpnet.Config{})
			writers.Go(func() {
				for k := range messages {
					wantWrite(t, c, payload(100*k+i+1))
				}
			})
		}
		next := map[isotpnet.Addr]int{}
		for range peers * messages {
			message, info, from, err := pc.ReadMessageFrom(nil)
			var i int
			fmt.Sscanf(from.String(), "/fixed:%02X:F1", &i)
			want := payload(100*next[from] + i + 1)
			if err != nil || string(message) != want || info.Size != int64(len(want)) || info.Last.Before(info.First) {
				t.Fatalf("message %d of %v: %d bytes, %+v, %v", next[from], from, len(message), info, err)
			}
			next[from]++
		}
		writers.Wait()
		if s := pc.Stats(); s.Peers != peers || s.MessagesReceived != peers*messages {
			t.Errorf("%+v", s)
		}
	})
}

func TestFunctionalRequestAndItsAnswers(t *testing.T) {
	for _, tc := range []struct {
		address, to, request string
		answers, peers       []string
	}{
		{"/fixed::F1", "/func:33:F1", "18DB33F1#020902", []string{"18DAF110#0101", "18DAF1FF#0101"}, []string{"/fixed:10:F1", "/fixed:FF:F1"}},
		{"/fixed::F1", "/7DF:", "7DF#020902", []string{"18DAF110#0101"}, []string{"/fixed:10:F1"}},
		{"/mixed::F1#99", "/func:33:F1#99", "18CD33F1#99020902", []string{"18CEF110#990101"}, []string{"/mixed:10:F1#99"}},
		{"/7E0:7E8,7E1:7E9", "/7DF:", "7DF#020902", []string{"7E9#0101", "7E8#0101"}, []string{"/7E1:7E9", "/7E0:7E8"}},
		{"/obd", "/7DF:", "7DF#020902CCCCCCCCCC", []string{"7E8#0101"}, []string{"/7E0:7E8"}},
		{"/obd", "/obd", "7DF#020902CCCCCCCCCC", []string{"7E8#0101", "7EF#0101"}, []string{"/7E0:7E8", "/7E7:7EF"}},
		{"/obd29", "/obd29", "18DB33F1#020902CCCCCCCCCC", []string{"18DAF110#0101"}, []string{"/fixed:10:F1"}},
	} {
		t.Run(strings.ReplaceAll(tc.address[1:]+" to "+tc.to[1:], ":", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				c := noPadding
				if strings.Contains(tc.address, "obd") {
					c = isotpnet.Config{}
				}
				pc := listenPacketOn(t, newTap(t, n), tc.address, c)
				ecus := newNode(t, n)
				wantWriteTo(t, pc, "\x09\x02", tc.to)
				ecus.hear(tc.request)
				ecus.send(tc.answers...)
				for _, peer := range tc.peers {
					wantReadFrom(t, pc, "\x01", peer)
				}
			})
		})
	}
}

func TestPacketConnOfAnECUTellsFunctionalRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/fixed::10,func:33", isotpnet.Config{})
		newNode(t, n).send("18DA10F1#0101", "18DB33F2#0102", "18DB33F1#0103")
		for _, want := range []struct {
			from, message string
			functional    bool
		}{{"/fixed:F1:10", "\x01", false}, {"/fixed:F2:10", "\x02", true}, {"/fixed:F1:10", "\x03", true}} {
			message, info, from, err := pc.ReadMessageFrom(nil)
			if string(message) != want.message || info.Functional != want.functional || from.String() != want.from || err != nil {
				t.Errorf("read % X, functional %v, from %v, %v; want %+v", message, info.Functional, from, err, want)
			}
		}
	})
}

func TestReadFromWithAShortBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		ecu := dialOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
		for _, size := range []int{0, 1, 19} {
			wantWrite(t, ecu, payload(20))
			buf := make([]byte, size)
			k, addr, err := pc.ReadFrom(buf)
			wantPacketErr(t, err, "read", io.ErrShortBuffer)
			short, ok := errors.AsType[*isotpnet.ShortBufferError](err)
			if !ok || short.Size != 20 || k != size || string(buf) != payload(20)[:size] || addr != isotpnet.MustParseAddr(testerAddr) {
				t.Errorf("read %d bytes from %v: %v", k, addr, err)
			}
		}
		// Nothing of it comes later, and ReadMessageFrom cuts nothing.
		wantWrite(t, ecu, payload(30))
		buf := make([]byte, 8)
		message, info, _, err := pc.ReadMessageFrom(buf)
		if string(message) != payload(30) || info.Rest != 0 || err != nil {
			t.Errorf("read % X, %+v, %v", message, info, err)
		}
		wantWrite(t, ecu, payload(5))
		message, _, _, err = pc.ReadMessageFrom(buf)
		if string(message) != payload(5) || &message[0] != &buf[0] || err != nil {
			t.Errorf("read % X, %v; in another buffer: %v", message, err, &message[0] != &buf[0])
		}
	})
}

func TestWriteToWhomItCannot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/fixed::F1", isotpnet.Config{})
		rec := record(t, n)
		addr := isotpnet.MustParseAddr
		for _, tc := range []struct {
			to   net.Addr
			want string
		}{
			{nil, "no address to send to"},
			{&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, "127.0.0.1:1 is no isotpnet.Addr"},
			{isotpnet.Addr{}, "invalid Addr is no address to send to: want a peer's, or a functional one as can0/7DF:"},
			{addr("can0/fixed:10:F1"), "can0/fixed:10:F1 is on another bus than /fixed::F1"},
			{addr("/fixed:10:F2"), "/fixed:10:F2 is no peer of /fixed::F1"},
			{addr("/fixed:F1:F2"), "/fixed:F1:F2 is no peer of /fixed::F1"},
			{addr("/18DA10F1:18DAF111"), "/18DA10F1:18DAF111 is no peer of /fixed::F1"},
			{addr("/7E0:7E8"), "/7E0:7E8 is no peer of /fixed::F1"},
			{addr("/:7E8"), "/:7E8 is no address to send to: want a peer's, or a functional one as can0/7DF:"},
			{addr("/fixed::F1"), "/fixed::F1 is no address to send to: want a peer's, or a functional one as can0/7DF:"},
			{addr("/obd"), "/obd is no address to send to: want a peer's, or a functional one as can0/7DF:"},
		} {
			_, err := pc.WriteTo([]byte{1}, tc.to)
			wantPacketErr(t, err, "write", syscall.EINVAL)
			if err == nil || !strings.HasSuffix(err.Error(), tc.want) {
				t.Errorf("%v: error is %q, want ...%q", tc.to, err, tc.want)
			}
		}
		_, err := pc.WriteTo(make([]byte, 8), addr("/func:33:F1"))
		wantPacketErr(t, err, "write", isotpnet.ErrMessageTooLong)
		if frames := rec.taken(); len(frames) != 0 {
			t.Errorf("on the bus: %v", frames)
		}
		if s := pc.Stats(); s.Peers != 0 {
			t.Errorf("%d peers", s.Peers)
		}
		if n, err := pc.WriteTo(nil, addr("/fixed:10:F1")); n != 0 || err != nil {
			t.Errorf("an empty message: %d, %v", n, err)
		}
	})
}

func TestListenPacketRefuses(t *testing.T) {
	for _, tc := range []struct {
		network, address string
		lc               isotpnet.ListenConfig
		want             string
	}{
		{"isotp:kernel", "virtual:x/fixed::F1", isotpnet.ListenConfig{}, "listen isotp:kernel virtual:x/fixed::F1: the kernel backend cannot: a socket of the kernel has one peer, and a PacketConn any number"},
		{"isotp-stream", "virtual:x/fixed::F1", isotpnet.ListenConfig{}, "listen isotp-stream virtual:x/fixed::F1: network isotp-stream carries connections as TCP's, which have no packets: use Listen, or isotp"},
		{"udp", "virtual:x/fixed::F1", isotpnet.ListenConfig{}, "listen udp: unknown network udp"},
		{"isotp", "virtual:x/7DF:", isotpnet.ListenConfig{}, "listen isotp virtual:x/7DF:: address virtual:x/7DF:: to listen name both sides: where to answer, and where the peer sends, as in can0/7E8:7E0 or for any peer can0/fixed::10"},
		{"isotp", "virtual:x/obd,7E0:7E8", isotpnet.ListenConfig{}, "listen isotp virtual:x/obd,7E0:7E8: address virtual:x/obd,7E0:7E8: a tester's address stands alone"},
		{"isotp", "virtual:x/obd", isotpnet.ListenConfig{Config: isotpnet.Config{BlockSize: 8}}, "listen isotp virtual:x/obd: Config.BlockSize is 8: on an obd address ISO 15765-4 decides; leave it zero"},
		{"isotp", "virtual:x/obd29", isotpnet.ListenConfig{Config: isotpnet.Config{Padding: isotpnet.NoPadding()}}, "listen isotp virtual:x/obd29: Config.Padding is none: on an obd address ISO 15765-4 decides; leave it zero"},
	} {
		t.Run(tc.network+" "+strings.ReplaceAll(tc.address, "/", " "), func(t *testing.T) {
			_, err := tc.lc.ListenPacket(t.Context(), tc.network, tc.address)
			wantRefused(t, err, "listen", tc.network, tc.want)
		})
	}
}

// The kernel lets two sockets answer the same messages, which is a trap. Within one process
// the package refuses the second of them.
func TestPairsThatBothAnswerAreRefused(t *testing.T) {
	open := map[string]func(bus canbus.Bus, address string) (io.Closer, error){
		"Dial": func(bus canbus.Bus, address string) (io.Closer, error) {
			return (&isotpnet.Dialer{Bus: bus}).Dial("isotp", address)
		},
		"Listen": func(bus canbus.Bus, address string) (io.Closer, error) {
			return (&isotpnet.ListenConfig{Bus: bus}).Listen(context.Background(), "isotp", address)
		},
		"ListenPacket": func(bus canbus.Bus, address string) (io.Closer, error) {
			return (&isotpnet.ListenConfig{Bus: bus}).ListenPacket(context.Background(), "isotp", address)
		},
	}
	for _, tc := range []struct{ how1, addr1, how2, addr2, name1, name2 string }{
		{"Dial", "/7E0:7E8", "ListenPacket", "/7E0:7E8,7E1:7E9", "/7E0:7E8", "/7E0:7E8"},
		{"ListenPacket", "/7E1:7E9,7E0:7E8", "Dial", "/7E0:7E8", "/7E0:7E8", "/7E0:7E8"},
		{"ListenPacket", "/obd", "Dial", "/7E3:7EB", "/7E3:7EB", "/7E3:7EB"},
		{"Dial", "/7E3:7EB", "ListenPacket", "/obd", "/7E3:7EB", "/7E3:7EB"},
		{"ListenPacket", "/fixed::F1", "Dial", "/fixed:10:F1", "/fixed::F1", "/fixed:10:F1"},
		{"Dial", "/fixed:10:F1", "ListenPacket", "/fixed::F1", "/fixed:10:F1", "/fixed::F1"},
		{"Dial", "/18DA10F1:0CDAF110", "ListenPacket", "/fixed::F1", "/18DA10F1:0CDAF110", "/fixed::F1"},
		{"ListenPacket", "/obd29", "Listen", "/fixed::F1", "/fixed::F1", "/fixed::F1"},
		{"Listen", "/mixed::F1#99", "ListenPacket", "/mixed::F1#99", "/mixed::F1#99", "/mixed::F1#99"},
	} {
		t.Run(strings.ReplaceAll(tc.how1+tc.addr1+" "+tc.how2+tc.addr2, "/", " "), func(t *testing.T) {
			noLeaks(t)
			tap := newTap(t, newNetwork(t, virtual.Options{}))
			defer tap.Close()
			first, err := open[tc.how1](tap, tc.addr1)
			if err != nil {
				t.Fatal(err)
			}
			_, err = open[tc.how2](tap, tc.addr2)
			if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), tc.name1+" ") || !strings.Contains(err.Error(), tc.name2+" ") {
				t.Errorf("error is %v, want EADDRINUSE with %s and %s", err, tc.name1, tc.name2)
			}
			first.Close()
			second, err := open[tc.how2](tap, tc.addr2)
			if err != nil {
				t.Fatalf("after the first was closed: %v", err)
			}
			second.Close()
		})
	}
}

func TestOBDTimersAndFlowControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/obd", isotpnet.Config{ReportAborted: true})
		ecu := newNode(t, n)
		ecu.send("7EC#1008010203040506")
		ecu.hear("7E4#300000CCCCCCCCCC")
		start := time.Now()
		_, from, err := pc.ReadFrom(make([]byte, 8))
		if e, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || e.Code != isotpnet.CodeTimeoutCr {
			t.Errorf("%v", err)
		}
		if from != isotpnet.MustParseAddr("/7E4:7EC") {
			t.Errorf("given up: that of %v", from)
		}
		wantSince(t, start, 150*time.Millisecond)
		start = time.Now()
		_, err = pc.WriteTo(make([]byte, 8), isotpnet.MustParseAddr("/7E4:7EC"))
		if e, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || e.Code != isotpnet.CodeTimeoutBs {
			t.Errorf("%v", err)
		}
		wantSince(t, start, 75*time.Millisecond)
	})
}

func TestPeersAreReapedWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/fixed::F1", isotpnet.Config{})
		peers := newNode(t, n)
		wantWriteTo(t, pc, "\x3E", "/func:33:F1")
		peers.send("18DAF110#0101", "18DAF111#0102", "18DAF112#1008010203040506")
		wantReadFrom(t, pc, "\x01", "/fixed:10:F1")
		check := func(peers int, reaped uint64) {
			t.Helper()
			synctest.Wait()
			if s := pc.Stats(); s.Peers != peers || s.PeersReaped != reaped {
				t.Errorf("%d peers and %d reaped, want %d and %d", s.Peers, s.PeersReaped, peers, reaped)
			}
		}
		check(4, 0)
		time.Sleep(9 * time.Second)
		peers.send("18DAF110#0103")
		check(4, 0)
		wantReadFrom(t, pc, "\x02", "/fixed:11:F1")
		wantReadFrom(t, pc, "\x03", "/fixed:10:F1")
		time.Sleep(5 * time.Second)
		check(1, 3) // the one heard again
		time.Sleep(time.Minute)
		check(0, 4)
		// Stats still has the counts of the peers that were reaped, and a peer that comes
		// back is heard.
		peers.send("18DAF110#0104")
		wantReadFrom(t, pc, "\x04", "/fixed:10:F1")
		if s := pc.Stats(); s.MessagesReceived != 4 || s.ReceptionsAborted != 1 || s.Errors[isotpnet.CodeTimeoutCr] != 1 || s.PeersMade != 5 {
			t.Errorf("%+v", s)
		}
	})
}

func TestMaxPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketWith(t, isotpnet.ListenConfig{Bus: newTap(t, n), MaxPeers: 2}, "/fixed::F1")
		peers := newNode(t, n)
		peers.send("18DAF101#0101", "18DAF102#0102", "18DAF103#0103") // the third is one too many
		synctest.Wait()
		_, err := pc.WriteTo([]byte{1}, isotpnet.MustParseAddr("/fixed:04:F1"))
		wantPacketErr(t, err, "write", isotpnet.ErrTooManyPeers)
		synctest.Wait()
		if s := pc.Stats(); s.Peers != 2 || s.PeersRefused != 1 {
			t.Errorf("%+v", s)
		}
		wantReadFrom(t, pc, "\x01", "/fixed:01:F1") // makes a place
		peers.send("18DAF103#0104")
		wantReadFrom(t, pc, "\x02", "/fixed:02:F1")
		wantReadFrom(t, pc, "\x04", "/fixed:03:F1")
		// A peer that only begins messages gives way to others.
		peers.send("18DAF105#1008010203040506", "18DAF106#1008010203040506", "18DAF107#1008010203040506")
		peers.send("18DAF107#210708")
		wantReadFrom(t, pc, "\x01\x02\x03\x04\x05\x06\x07\x08", "/fixed:07:F1")
		wantWriteTo(t, pc, "\x50", "/fixed:01:F1")
		if s := pc.Stats(); s.Peers > 2 || s.PeersEvicted != 1 || s.Errors[isotpnet.CodeAborted] != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAFloodingPeerStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/fixed::F1", isotpnet.Config{})
		peers := newNode(t, n)
		for range 1000 {
			peers.send("18DAF101#0101")
		}
		peers.send("18DAF102#0102", "18DAF103#0103", "18DAF102#0104")
		synctest.Wait()
		for _, want := range []struct{ message, from string }{
			{"\x01", "/fixed:01:F1"}, {"\x02", "/fixed:02:F1"}, {"\x03", "/fixed:03:F1"},
			{"\x01", "/fixed:01:F1"}, {"\x04", "/fixed:02:F1"}, {"\x01", "/fixed:01:F1"}, {"\x01", "/fixed:01:F1"},
		} {
			wantReadFrom(t, pc, want.message, want.from)
		}
	})
}

// What is lost of one peer is reported, with its address, and concerns no other.
func TestPacketConnReportsOverruns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/fixed::F1", isotpnet.Config{ReadBuffer: 64})
		peers := newNode(t, n)
		for range 10 {
			peers.send("18DAF101#0101")
		}
		peers.send("18DAF102#0102")
		synctest.Wait()
		wantReadFrom(t, pc, "\x01", "/fixed:01:F1")
		wantReadFrom(t, pc, "\x02", "/fixed:02:F1")
		wantReadFrom(t, pc, "\x01", "/fixed:01:F1")
		wantReadFrom(t, pc, "\x01", "/fixed:01:F1")
		_, from, err := pc.ReadFrom(make([]byte, 8))
		wantPacketErr(t, err, "read", isotpnet.ErrOverrun)
		if from != isotpnet.MustParseAddr("/fixed:01:F1") {
			t.Errorf("from %v", from)
		}
		if s := pc.Stats(); s.Errors[isotpnet.CodeReceiverFull] != 7 {
			t.Errorf("%+v", s)
		}
	})
}

func TestPacketConnTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := newNetwork(t, virtual.Options{})
		trace := &isotpnet.Trace{MessageReceived: func(ev isotpnet.TraceEvent) {
			fmt.Fprintln(&log, ev.Conn == nil, ev.PacketConn != nil, ev.Peer, ev.Size)
		}}
		listenPacketOn(t, newTap(t, n), "/fixed::F1", isotpnet.Config{Trace: trace})
		newNode(t, n).send("18DAF101#0101", "18DAF102#020102")
		synctest.Wait()
		if want := "true true /fixed:01:F1 1\ntrue true /fixed:02:F1 2\n"; log.String() != want {
			t.Errorf("told %q, want %q", log.String(), want)
		}
	})
}

func TestPacketConnThatOnlyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		pc := listenPacketOn(t, newTap(t, n), "/7E0:7E8", isotpnet.Config{ListenOnly: true})
		tester, ecu := dialOn(t, tap, testerAddr, isotpnet.Config{}), dialOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
		written := goWrite(t, ecu, payload(100))
		wantRead(t, tester, payload(100))
		<-written
		wantReadFrom(t, pc, payload(100), "/7E0:7E8")
		_, err := pc.WriteTo([]byte{1}, isotpnet.MustParseAddr("/7E0:7E8"))
		wantPacketErr(t, err, "write", isotpnet.ErrListenOnly)
	})
}

func TestPacketConnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/fixed::F1", isotpnet.Config{})
		peer := isotpnet.MustParseAddr("/fixed:10:F1")
		buf := make([]byte, 8)
		for _, d := range []time.Duration{-time.Hour, 0, time.Millisecond, 500 * time.Millisecond} {
			start := time.Now()
			pc.SetDeadline(start.Add(d))
			_, _, err := pc.ReadFrom(buf)
			wantPacketErr(t, err, "read", os.ErrDeadlineExceeded)
			if !err.(net.Error).Timeout() {
				t.Error("no time-out")
			}
			_, err = pc.WriteTo(make([]byte, 100), peer) // no peer answers
			wantPacketErr(t, err, "write", os.ErrDeadlineExceeded)
			wantSince(t, start, max(d, 0))
		}
		// What is there is not read after the deadline, and is not lost.
		newNode(t, n).send("18DAF110#0101")
		_, _, err := pc.ReadFrom(buf)
		wantPacketErr(t, err, "read", os.ErrDeadlineExceeded)
		pc.SetDeadline(time.Time{})
		wantReadFrom(t, pc, "\x01", "/fixed:10:F1")
		wantWriteTo(t, pc, "\x02", "/fixed:10:F1")
		// A deadline set meanwhile holds for calls under way.
		done := make(chan error, 2)
		go func() { _, _, err := pc.ReadFrom(buf); done <- err }()
		go func() { _, err := pc.WriteTo(make([]byte, 100), peer); done <- err }()
		synctest.Wait()
		pc.SetDeadline(time.Now())
		for range 2 {
			if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
		}
	})
}

func TestPacketConnClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/fixed::F1", isotpnet.Config{})
		peer := isotpnet.MustParseAddr("/fixed:10:F1")
		done := make(chan error, 8)
		for range 4 {
			go func() { _, _, err := pc.ReadFrom(make([]byte, 8)); done <- err }()
			go func() { _, err := pc.WriteTo(make([]byte, 100), peer); done <- err }()
		}
		synctest.Wait()
		for range 2 {
			if err := pc.Close(); err != nil {
				t.Error(err)
			}
		}
		for range cap(done) {
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		rec := record(t, n)
		newNode(t, n).send("18DAF110#1008010203040506")
		_, _, err := pc.ReadFrom(make([]byte, 8))
		wantPacketErr(t, err, "read", net.ErrClosed)
		_, _, _, err = pc.ReadMessageFrom(nil)
		wantPacketErr(t, err, "read", net.ErrClosed)
		_, err = pc.WriteTo([]byte{1}, peer)
		wantPacketErr(t, err, "write", net.ErrClosed)
		wantPacketErr(t, pc.SetDeadline(time.Now()), "set", net.ErrClosed)
		wantPacketErr(t, pc.SetReadDeadline(time.Time{}), "set", net.ErrClosed)
		wantPacketErr(t, pc.SetWriteDeadline(time.Time{}), "set", net.ErrClosed)
		if frames := rec.taken(); len(frames) != 1 {
			t.Errorf("on the bus: %v", frames)
		}
	})
}

func TestPacketConnOnABusThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tap := newTap(t, n)
		pc := listenPacketOn(t, tap, "/fixed::F1", isotpnet.Config{})
		newNode(t, n).send("18DAF110#0101")
		synctest.Wait()
		tap.Close()
		synctest.Wait()
		wantReadFrom(t, pc, "\x01", "/fixed:10:F1")
		for range 2 {
			_, _, err := pc.ReadFrom(make([]byte, 8))
			wantPacketErr(t, err, "read", net.ErrClosed)
		}
		_, err := pc.WriteTo([]byte{1}, isotpnet.MustParseAddr("/fixed:10:F1"))
		wantPacketErr(t, err, "write", net.ErrClosed)
	})
}

// Every method at the same time, for the race detector.
func TestPacketConnConcurrently(t *testing.T) {
	noLeaks(t)
	n := newNetwork(t, virtual.Options{})
	tap1, tap2 := newTap(t, n), newTap(t, n)
	a := listenPacketOn(t, tap1, "/fixed::F1", patient)
	b := listenPacketOn(t, tap2, "/fixed::10,func:33", patient)
	var others sync.WaitGroup
	stop := make(chan struct{})
	echo := func(pc *isotpnet.PacketConn, grow bool) {
		buf := make([]byte, 1000)
		for {
			message, addr, err := buf, net.Addr(nil), error(nil)
			if grow {
				message, _, addr, err = pc.ReadMessageFrom(buf)
			} else {
				var k int
				k, addr, err = pc.ReadFrom(buf)
				message = buf[:k]
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil && len(message) > 1 && message[0] == 1 {
				message[0] = 2
				pc.WriteTo(message, addr)
			}
		}
	}
	for i := range 4 {
		others.Go(func() { echo(a, i%2 == 0) })
		others.Go(func() { echo(b, i%2 == 0) })
	}
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			a.Stats()
			a.SetReadDeadline(time.Time{})
			a.SetWriteDeadline(time.Now().Add(time.Hour))
			a.LocalAddr()
			a.WriteTo([]byte{3}, isotpnet.MustParseAddr("/func:33:F1"))
		}
	})
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for size := range 50 {
				p := []byte(payload(10*size + 2))
				p[0] = 1
				if _, err := a.WriteTo(p, isotpnet.MustParseAddr("/fixed:10:F1")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	a.Close()
	b.Close()
	others.Wait()
	closeAll(tap1, tap2)
}

func TestListenPacketOnANamedBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tester, err := isotpnet.ListenPacket("isotp", "virtual:packets/fixed::F1")
		if err != nil {
			t.Fatal(err)
		}
		defer tester.Close()
		ecu, err := isotpnet.Listen("isotp", "virtual:packets/fixed::10,func:33")
		if err != nil {
			t.Fatal(err)
		}
		defer ecu.Close()
		wantWriteTo(t, tester, "\x3E", "virtual:packets/func:33:F1")
		wantWriteTo(t, tester, "\x3F", "/fixed:10:F1") // the bus may be left out
		c, err := ecu.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		wantRead(t, c, "\x3E")
		wantRead(t, c, "\x3F")
		written := goWrite(t, c, payload(300))
		wantReadFrom(t, tester, payload(300), "virtual:packets/fixed:10:F1")
		<-written
		tester.Close()
		d, err := isotpnet.Dial("isotp", c.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
	})
}
