package socketcan_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/isotp/isotpnet"
	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

// message returns n bytes, no two neighbouring blocks of them equal.
func message(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8)
	}
	return p
}

// exchange sends a message from one end to the other.
func exchange(t *testing.T, from, to *isotpnet.Conn, p []byte) {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		_, err := from.Write(p)
		result <- err
	}()
	to.SetReadDeadline(time.Now().Add(30 * time.Second))
	defer to.SetReadDeadline(time.Time{})
	buf := make([]byte, len(p)+1)
	n, _, err := to.ReadMessage(buf)
	if err != nil {
		t.Fatalf("read: %v; write: %v", err, <-result)
	}
	if !bytes.Equal(buf[:n], p) {
		t.Fatalf("%d bytes arrived of %d, or others", n, len(p))
	}
	must(t, <-result)
}

func TestAMessageCrossesAnInterfaceWhoseQueueIsOftenFull(t *testing.T) {
	name := fresh(t)
	must(t, cantest.SetQueue(name, 10, 1000))
	c1, c2 := dialPair(t, name)
	exchange(t, c1, c2, message(4095))
	exchange(t, c2, c1, message(4095))
}

func TestAQueueThatStaysFullEndsTheMessage(t *testing.T) {
	name := fresh(t)
	must(t, cantest.SetQueue(name, 3, 1e9))
	write(t, open(t, name), frame(1), frame(1), frame(1))
	c := dial(t, &isotpnet.Dialer{Config: isotpnet.Config{TransmitTimeout: 100 * time.Millisecond}}, name+"/7E0:7E8")
	defer c.Close()
	_, err := c.Write([]byte{1})
	p, ok := errors.AsType[*isotpnet.ProtocolError](err)
	if !ok || p.Code != isotpnet.CodeTimeoutA {
		t.Errorf("Write: %v, want N_TIMEOUT_A", err)
	}
	must(t, cantest.ResetQueue(name))
	bus := open(t, name)
	if _, err := c.Write([]byte{2}); err != nil {
		t.Errorf("with room in the queue: %v", err)
	}
	for f := read(t, bus, 1, true)[0]; f.ID != 0x7E0 || f.Data[1] != 2; f = read(t, bus, 1, true)[0] {
		if f.ID == 0x7E0 && f.Data[1] != 1 { // 1 was on its way to the queue at that moment
			t.Errorf("%v came", f)
		}
	}
}

func TestConnsOutliveAnInterfaceThatGoesDownAndUp(t *testing.T) {
	name := fresh(t)
	c1, c2 := dialPair(t, name)
	exchange(t, c1, c2, message(100))
	must(t, cantest.SetLink(name, false))
	for _, c := range []*isotpnet.Conn{c1, c2} { // which is told once
		if _, err := c.Read(make([]byte, 10)); !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("Read: %v, want ENETDOWN", err)
		}
	}
	_, err := c1.Write([]byte{1})
	if op, ok := err.(*net.OpError); !ok || op.Op != "write" || op.Timeout() || !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("Write: %v, want ENETDOWN", err)
	}
	must(t, cantest.SetLink(name, true))
	exchange(t, c1, c2, message(100))
}

// The peer's flow control asks for 127 ms between two frames: the interface goes
// down between them.
func TestAnInterfaceThatGoesDownEndsTheMessage(t *testing.T) {
	name := fresh(t)
	peer := open(t, name)
	c := dial(t, new(isotpnet.Dialer), name+"/7E0:7E8")
	defer c.Close()
	result := make(chan error)
	go func() {
		_, err := c.Write(message(100))
		result <- err
	}()
	read(t, peer, 1, true) // the First Frame
	write(t, peer, frame(0x7E8, 0x30, 0, 127))
	read(t, peer, 2, false) // the flow control's echo, and the first Consecutive Frame
	must(t, cantest.SetLink(name, false))
	if err := <-result; !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("Write: %v, want ENETDOWN", err)
	}
}

func TestADeletedInterfaceEndsReadAndWrite(t *testing.T) {
	name := fresh(t)
	peer := open(t, name)
	c := dial(t, new(isotpnet.Dialer), name+"/7E0:7E8")
	defer c.Close()
	results := make(chan error, 2)
	go func() {
		_, err := c.Read(make([]byte, 10))
		if errors.Is(err, unix.ENETDOWN) { // it goes down first
			_, err = c.Read(make([]byte, 10))
		}
		results <- err
	}()
	go func() {
		_, err := c.Write(message(100))
		results <- err
	}()
	read(t, peer, 1, true) // the First Frame: Write waits for a flow control
	must(t, cantest.DeleteLink(name))
	for range 2 {
		if err := <-results; !errors.Is(err, unix.ENODEV) {
			t.Errorf("%v, want ENODEV", err)
		}
	}
	if _, err := c.Write([]byte{1}); !errors.Is(err, unix.ENODEV) {
		t.Errorf("Write afterwards: %v, want ENODEV", err)
	}
	// The name is free for a new interface and new conns.
	must(t, cantest.AddLink(name))
	must(t, cantest.SetLink(name, true))
	c1, c2 := dialPair(t, name)
	exchange(t, c1, c2, message(100))
}

// However many conns a process has on an interface, it has one socket there, and
// none after the last one's Close.
func TestConnsShareASocket(t *testing.T) {
	name := fresh(t)
	peer := open(t, name)
	before := sockets(t)
	conns := make([]*isotpnet.Conn, 50)
	for i := range conns {
		conns[i] = dial(t, new(isotpnet.Dialer), fmt.Sprintf("%s/%X:%X", name, 0x600+i, 0x700+i))
	}
	if n := sockets(t) - before; n != 1 {
		t.Errorf("%d sockets for %d conns", n, len(conns))
	}
	for i, c := range conns {
		write(t, peer, frame(0x700+uint32(i), 1, byte(i)))
		buf := make([]byte, 2)
		if n, err := c.Read(buf); n != 1 || buf[0] != byte(i) || err != nil {
			t.Errorf("conn %d read %x, %v", i, buf[:n], err)
		}
	}
	for _, c := range conns {
		must(t, c.Close())
	}
	if n := sockets(t); n != before {
		t.Errorf("%d sockets before, %d after", before, n)
	}
}

// sockets counts this process's.
func sockets(t *testing.T) (n int) {
	t.Helper()
	list, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	for _, fd := range list {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}
