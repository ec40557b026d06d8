package cannelloni

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// openNamed opens a bus by the name of a server.
func openNamed(t testing.TB, name string) (*TCP, error) {
	t.Helper()
	b, err := Open(t.Context(), name)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { b.Close() })
	return b.(*TCP), nil
}

// connect connects two ends, the first of which is the client.
func connect(t testing.TB) (a, b *TCP, err error) {
	ln := listen(t)
	accepted := make(chan error, 1)
	go func() {
		var err error
		b, err = accept(t.Context(), ln, &address{}, nil)
		accepted <- err
	}()
	a, err = openNamed(t, "tcp:"+ln.Addr().String())
	return a, b, errors.Join(err, <-accepted)
}

// openTCP opens a bus whose other end a test plays.
func openTCP(t testing.TB) (*TCP, *net.TCPConn) {
	t.Helper()
	return openTCPAt(t, listen(t))
}

// openTCPAt is openTCP with the other end's listener.
func openTCPAt(t testing.TB, ln *net.TCPListener) (*TCP, *net.TCPConn) {
	t.Helper()
	t.Cleanup(func() { ln.Close() })
	peer := make(chan *net.TCPConn, 1)
	go func() {
		conn, err := ln.AcceptTCP()
		if err == nil {
			_, err = conn.Write([]byte("CANNELLONIv1"))
		}
		if err != nil {
			t.Error(err)
		}
		peer <- conn
	}()
	b, err := openNamed(t, "tcp:"+ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := <-peer
	t.Cleanup(func() { conn.Close() })
	if got := hear(t, conn, len(greeting)); string(got) != "CANNELLONIv1" {
		t.Errorf("it begins with %q", got)
	}
	return b, conn
}

// hear reads so many bytes.
func hear(t testing.TB, conn net.Conn, n int) []byte {
	t.Helper()
	got := make([]byte, n)
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Fatal(err)
	}
	return got
}

func say(t testing.TB, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

// throughReferences returns two buses, each of which reaches a virtual bus through a tunnel of its
// own, and the other ends of the tunnels. The first bus is a client, the second a server.
func throughReferences(t *testing.T) (buses [2]*TCP, refs [2]*reference, stop func(), err error) {
	var conns [2]net.Conn
	buses[0], conns[0] = openTCP(t)
	ln := listen(t)
	if conns[1], err = net.Dial("tcp", ln.Addr().String()); err != nil {
		return buses, refs, nil, err
	}
	say(t, conns[1], []byte("CANNELLONIv1"))
	if buses[1], err = accept(t.Context(), ln, &address{}, nil); err != nil {
		return buses, refs, nil, err
	}
	hear(t, conns[1], len(greeting))
	network, err := virtual.New(virtual.Options{})
	if err != nil {
		return buses, refs, nil, err
	}
	var serving sync.WaitGroup
	for i := range refs {
		tap, err := network.Tap()
		if err != nil {
			return buses, refs, nil, err
		}
		refs[i] = &reference{conns[i], tap}
		serving.Go(refs[i].serve)
		buses[i].linger = 50 * time.Millisecond // some tests let frames lie
	}
	return buses, refs, serving.Wait, nil
}

func TestTCPConforms(t *testing.T) {
	far := map[canbus.Bus]*reference{}
	bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
		buses, refs, stop, err := throughReferences(t)
		far[buses[0]] = refs[0]
		return buses[0], buses[1], stop, err
	}, bustest.Options{Report: func(a canbus.Bus) error {
		_, err := far[a].conn.Write(referenceFrame(&canbus.Frame{ID: 4, Flags: canbus.ErrorFrame, Len: 8}))
		return err
	}})
}

func TestTCPConnIsANetConn(t *testing.T) {
	conntest.Run(t, func() (canbus.Bus, canbus.Bus, func(), error) {
		a, b, err := connect(t)
		return a, b, nil, err
	}, isotpnet.Config{FD: true, BRS: true})
}

// Frames are the same wherever the stream is cut.
func TestAStreamOfBytes(t *testing.T) {
	b, peer := openTCP(t)
	var stream []byte
	for _, v := range vectors {
		stream = append(stream, unhex(t, v.hex)...)
	}
	go func() {
		for i := range stream {
			if _, err := peer.Write(stream[i : i+1]); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for _, v := range vectors {
		wantNext(t, b, v.frame)
	}
	for _, v := range vectors {
		if v.frame.Has(canbus.ErrorFrame) {
			continue // it cannot be written
		}
		write(t, b, v.frame)
		if got := hear(t, peer, len(v.hex)/2); !bytes.Equal(got, unhex(t, v.hex)) {
			t.Errorf("%v becomes %x, want %s", v.frame, got, v.hex)
		}
	}
}

func TestFramesThatAreWrongAreLeftOut(t *testing.T) {
	b, peer := openTCP(t)
	say(t, peer, unhex(t, "00000fff"+"00"+"000007e0"+"89"+"00"+"000102030405060708"+"00000001"+"00"))
	wantNext(t, b, frame(1))
	if b.Malformed() != 2 {
		t.Errorf("%d of 2 are malformed", b.Malformed())
	}
}

// The end of such a frame cannot be known, nor the beginning of the next one.
func TestAPeerThatDoesNotSpeakTheProtocol(t *testing.T) {
	b, peer := openTCP(t)
	say(t, peer, unhex(t, "00000001"+"00"+"000007e0"+"e5"))
	wantNext(t, b, frame(1))
	_, err := b.ReadFrames(make([]canbus.Frame, 4))
	if gone, ok := errors.AsType[*canbus.GoneError](err); !ok || !strings.Contains(gone.Error(), "does not speak the protocol") {
		t.Error(err)
	}
}

func TestAPeerThatEndsTheConnection(t *testing.T) {
	b, peer := openTCP(t)
	say(t, peer, unhex(t, "00000001"+"00"+"000007e0")) // a part of a frame, too
	peer.CloseWrite()
	wantNext(t, b, frame(1))
	for range 2 {
		_, err := b.ReadFrames(make([]canbus.Frame, 4))
		gone, ok := errors.AsType[*canbus.GoneError](err)
		if !ok || !errors.Is(err, net.ErrClosed) || gone.Err != io.ErrUnexpectedEOF || gone.InDoubt != 0 {
			t.Error(err)
		}
	}
	if _, err := b.WriteFrames([]canbus.Frame{frame(1)}); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := b.Flush(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// The peer's last frames are read although a write fails before.
func TestTheLastFramesOfAPeerThatEndsTheConnection(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows throws away at a reset what has come before")
	}
	b, peer := openTCP(t)
	say(t, peer, unhex(t, "00000001"+"00"+"00000002"+"00"))
	peer.Close()
	var wrong error
	for wrong == nil {
		_, wrong = b.WriteFrames([]canbus.Frame{frame(3)})
	}
	if err := b.Flush(t.Context()); err != wrong {
		t.Errorf("%v, want %v", err, wrong)
	}
	wantNext(t, b, frame(1))
	wantNext(t, b, frame(2))
	if _, err := b.ReadFrames(make([]canbus.Frame, 4)); err != wrong || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want %v", err, wrong)
	}
}

// What the peer has not read when Close begins is read, although frames come meanwhile.
func TestCloseWaitsForThePeer(t *testing.T) {
	b, peer := openTCP(t)
	const count = 1000
	for range count {
		write(t, b, frame(0x123, 1, 2, 3, 4, 5, 6, 7, 8))
	}
	say(t, peer, unhex(t, "00000001"+"00"))
	closed := make(chan error)
	go func() { closed <- b.Close() }()
	if got, err := io.ReadAll(peer); err != nil || len(got) != count*(baseLen+8) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	peer.Close()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestServersThatDoNotGreet(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(*net.TCPConn)
		want  string
	}{
		"is full":     {func(c *net.TCPConn) { io.CopyN(io.Discard, c, 1) }, "one client at a time"},
		"ends":        {func(c *net.TCPConn) { io.CopyN(io.Discard, c, 12) }, "one client at a time"},
		"another":     {func(c *net.TCPConn) { io.WriteString(c, "SSH-2.0-OpenSSH_9.2p1") }, `begins with "SSH-2.0-Open"`},
		"breaks off":  {func(c *net.TCPConn) { io.CopyN(c, strings.NewReader("CANNEL"), 6); io.CopyN(io.Discard, c, 12) }, `begins with "CANNEL"`},
		"new version": {func(c *net.TCPConn) { io.WriteString(c, "CANNELLONIv2") }, `"CANNELLONIv2"`},
	} {
		t.Run(name, func(t *testing.T) {
			ln := listen(t)
			served := make(chan struct{})
			go func() {
				defer close(served)
				if conn, err := ln.AcceptTCP(); err == nil {
					c.serve(conn)
					conn.Close()
				}
			}()
			b, err := openNamed(t, "tcp:"+ln.Addr().String())
			<-served
			if b != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// A server passes over clients that do not greet, or are not from there.
func TestAServerWaitsForTheRightClient(t *testing.T) {
	ln := listen(t)
	bad, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	io.WriteString(bad, "GET / HTTP/1.1\r\n\r\n")
	opened := make(chan *TCP)
	go func() {
		b, err := accept(t.Context(), ln, &address{}, []netip.Addr{netip.MustParseAddr("127.0.0.1")})
		if err != nil {
			t.Error(err)
		}
		opened <- b
	}()
	client, err := openNamed(t, "tcp:"+ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server := <-opened
	server.linger = 0
	defer server.Close()
	write(t, server, frame(5))
	wantNext(t, client, frame(5))
}

func TestClientsFromElsewhere(t *testing.T) {
	ln := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := accept(ctx, ln, &address{}, []netip.Addr{netip.MustParseAddr("192.0.2.1")})
		failed <- err
	}()
	if _, err := openNamed(t, "tcp:"+ln.Addr().String()); err == nil {
		t.Error("it is taken")
	}
	cancel()
	if <-failed == nil {
		t.Error("another one is taken")
	}
}

func TestAContextEndsTheWaitForAClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := open(ctx, &address{transport: transportListen, host: "127.0.0.1"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestAnAccountOfFrames(t *testing.T) {
	a := new(account)
	if n := a.last(100); n != 0 {
		t.Errorf("%d of no frames", n)
	}
	a.add([]canbus.Frame{frame(1), frame(2, 1, 2), frame(3, 1)}) // 5, 7 and 6 bytes
	a.taken = a.bytes
	for bytes, want := range map[int]int{0: 0, 1: 1, 6: 1, 7: 2, 13: 2, 14: 3, 18: 3, 100: 3} {
		if n := a.last(bytes); n != want {
			t.Errorf("the last %d bytes are of %d frames, want %d", bytes, n, want)
		}
	}
	a.taken -= 2
	if n := a.last(5); n != 2 {
		t.Errorf("%d frames, want 2", n)
	}
}
