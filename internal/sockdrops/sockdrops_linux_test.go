package sockdrops

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A countingConn counts what is asked of it.
type countingConn struct {
	syscall.RawConn
	asked int
}

func (c *countingConn) Control(f func(fd uintptr)) error {
	c.asked++
	return c.RawConn.Control(f)
}

// A socket is one that receives what is sent to it, into a buffer of the system's
// smallest size for it.
type socket struct {
	t    *testing.T
	conn *net.UDPConn
	raw  *countingConn
	peer *net.UDPConn
	Counter
}

func newSocket(t *testing.T) *socket {
	t.Helper()
	s := &socket{t: t}
	var err error
	if s.conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	if s.peer, err = net.DialUDP("udp4", nil, s.conn.LocalAddr().(*net.UDPAddr)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.peer.Close() })
	raw, err := s.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.conn.SetReadBuffer(100_000); err != nil {
		t.Fatal(err)
	}
	s.raw = &countingConn{RawConn: raw}
	s.Init(s.raw)
	s.raw.asked = 0
	return s
}

func (s *socket) send(n int) {
	s.t.Helper()
	for range n {
		if _, err := s.peer.Write(make([]byte, 20)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// read reads one datagram, and reports whether there was one.
func (s *socket) read() (ok bool) {
	s.raw.RawConn.Control(func(fd uintptr) {
		n, err := unix.Read(int(fd), make([]byte, 100))
		if ok = err == nil; ok {
			s.Read(1, n)
		}
	})
	return ok
}

func TestDropsBehindTheLastDatagramAreKnownOnceItIsRead(t *testing.T) {
	s := newSocket(t)
	const sent = 3000
	s.send(sent)
	read, before := 0, uint64(0)
	for s.read() {
		read++
		n := s.Dropped()
		if n < before {
			t.Fatalf("Dropped fell from %d to %d", before, n)
		}
		before = n
	}
	if before == 0 || read+int(before) != sent {
		t.Errorf("%d sent, %d read, %d dropped", sent, read, before)
	}
}

func TestDropsAreKnownAgainAfterMoreOfThem(t *testing.T) {
	s := newSocket(t)
	const sent = 1000
	total, read := 0, 0
	for range 5 {
		s.send(sent)
		total += sent
		for s.read() {
			read++
			s.fresh.Store(false) // no caller asks
		}
		s.fresh.Store(true)
		if n := s.Dropped(); read+int(n) != total {
			t.Fatalf("%d sent, %d read, %d dropped", total, read, n)
		}
	}
}

func TestAskingIsForFew(t *testing.T) {
	s := newSocket(t)
	const reads = 1000
	for range reads {
		s.send(1)
		for !s.read() {
		}
		s.Dropped()
	}
	if s.raw.asked > reads/20 {
		t.Errorf("the socket was asked %d times for %d reads", s.raw.asked, reads)
	}
}

func TestDropsAreKnownWithoutARead(t *testing.T) {
	s := newSocket(t)
	s.send(3000)
	first := s.Dropped()
	s.send(10)
	if second := s.Dropped(); first == 0 || second != first+10 {
		t.Errorf("Dropped is %d, and %d after 10 more", first, second)
	}
}

func TestDropsStayAfterClose(t *testing.T) {
	s := newSocket(t)
	s.send(3000)
	s.read()
	s.Close()
	s.conn.Close()
	n := s.Dropped()
	if again := s.Dropped(); n == 0 || again != n {
		t.Errorf("Dropped is %d after Close, then %d", n, again)
	}
}

func TestDropsGoOnWhenTheSystemsCountBeginsAnew(t *testing.T) {
	s := newSocket(t)
	s.send(3000)
	n := s.Dropped()
	s.last = uint32(1<<32 - 5) // as if there had been so many before
	s.send(1)
	if again := s.Dropped(); again != n+5+n+1 {
		t.Errorf("Dropped is %d, want %d", again, 2*n+6)
	}
}
