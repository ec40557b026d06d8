package main

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
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

// A client that leaves makes room for the next one, although the ECU puts its message off with WAITs.
func TestAnECUThatWaitsForEver(t *testing.T) {
	log.SetOutput(io.Discard)
	synctest.Test(t, func(t *testing.T) {
		conn, err := new(isotpnet.Dialer).DialAddr(t.Context(), "isotp", isotpnet.MustParseAddr("virtual:waits/7E0:7E8"))
		if err != nil {
			t.Fatal(err)
		}
		ecu, err := canbus.Open(t.Context(), "virtual:waits")
		if err != nil {
			t.Fatal(err)
		}
		var waits sync.WaitGroup
		waits.Go(func() {
			for err := error(nil); err == nil; time.Sleep(500 * time.Millisecond) {
				_, err = ecu.WriteFrames([]canbus.Frame{{ID: 0x7E8, Len: 3, Data: [64]byte{0x31}}})
			}
		})
		defer waits.Wait()
		defer ecu.Close()
		client, end := net.Pipe()
		go func() {
			client.Write(append([]byte{0, 100}, make([]byte, 100)...))
			client.Close()
		}()
		start := time.Now()
		if err := join(end, conn); err != io.EOF || time.Since(start) != patience {
			t.Errorf("%v, after %v", err, time.Since(start))
		}
	})
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
