package main

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"testing"

	"example.com/isotp/isotpnet"
	"example.com/isotp/test/ecutest"
)

func TestGateway(t *testing.T) {
	log.SetOutput(io.Discard)
	ecutest.Serve(t, "virtual:gateway/7E8:7E0", "", "")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(ln, isotpnet.MustParseAddr("virtual:gateway/7E0:7E8")) }()
	for range 2 { // clients, one after another
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for request, want := range map[string]string{
			"\x22\xF1\x90": "\x62\xF1\x90WVWZZZ1JZXW000001",
			"\x3E\x00":     "\x7E\x00",
		} {
			if got := exchange(t, client, request); got != want {
				t.Errorf("% X: % X, want % X", request, got, want)
			}
		}
		client.Close()
	}
	ln.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// exchange sends a message as the gateway takes it, and reads one.
func exchange(t *testing.T, client net.Conn, request string) string {
	t.Helper()
	if _, err := client.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(request))), request...)); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(client, head); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, binary.BigEndian.Uint16(head))
	if _, err := io.ReadFull(client, answer); err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
