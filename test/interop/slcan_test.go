//go:build !windows

package interop

import (
	"io"
	"net"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/slcan"
	"example.com/isotp/isotpnet"
	"github.com/creack/pty"
	"golang.org/x/term"
)

// python-can is on the other end of the line: its driver speaks as ours does.
func TestScapyOverPythonCANsSlcan(t *testing.T) {
	needPython(t)
	line, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	if _, err := term.MakeRaw(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	bus, err := slcan.New(t.Context(), line, "a pty", slcan.Options{Bitrate: 500_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	startPeer(t, "7E8", "7E0", map[string]any{"bustype": "slcan", "channel": tty.Name(), "sleep_after_open": 0})
	d := isotpnet.Dialer{Bus: bus, Config: patient}
	conn, err := d.Dial("isotp", "/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	exchange(t, conn.(*isotpnet.Conn))
}

// The same line across TCP, as ser2net makes one: both ends are clients of a listener.
func TestScapyOverPythonCANsSlcanAcrossTCP(t *testing.T) {
	needPython(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	joined := make(chan error, 1)
	go func() { joined <- joinTwo(ln) }()
	t.Cleanup(func() {
		ln.Close()
		if err := <-joined; err != nil {
			t.Error(err)
		}
	})
	bus, err := canbus.Open(t.Context(), "slcan:tcp:"+ln.Addr().String()+"@500000,wait=0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	sizes := []int{7, 500} // pyserial reads a socket byte by byte
	startPeerFor(t, len(sizes), "7E8", "7E0", map[string]any{"bustype": "slcan", "channel": "socket://" + ln.Addr().String(), "sleep_after_open": 0})
	d := isotpnet.Dialer{Bus: bus, Config: patient}
	conn, err := d.Dial("isotp", "/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	exchangeOf(t, conn.(*isotpnet.Conn), sizes)
}

// joinTwo joins the first two connections, until both have ended.
func joinTwo(ln net.Listener) error {
	a, err := ln.Accept()
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := ln.Accept()
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(b, a)
		b.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(a, b)
	a.(*net.TCPConn).CloseWrite()
	<-done
	return b.Close()
}
