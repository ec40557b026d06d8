package errno

import (
	"net"
	"syscall"
	"testing"
)

func TestPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := net.Listen("tcp", l.Addr().String())
	if err == nil {
		other.Close()
	}
	if !Is(err, syscall.ENOBUFS, syscall.EADDRINUSE) || Is(err, syscall.ENOBUFS) {
		t.Errorf("%v", err)
	}
}

func TestPortWithoutAListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err == nil {
		conn.Close()
	}
	if !Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
}

func TestNoError(t *testing.T) {
	if Is(nil, syscall.ENOBUFS) {
		t.Error("no error is one")
	}
}
