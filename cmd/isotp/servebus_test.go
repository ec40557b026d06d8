package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

// serveBus runs the command until the function returned is called, which returns its exit
// status. served is what it says that it serves.
func serveBus(t *testing.T, served string, args ...string) (address string, interrupt func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"serve-bus", "--listen", "127.0.0.1:0", "--no-beacon"}, args...), nil, w, io.Discard)
		w.Close()
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	address, found := strings.CutPrefix(line, "serving "+served+" on ")
	if err != nil || !found {
		cancel()
		t.Fatalf("it says %q, %v", line, err)
	}
	return strings.TrimSpace(address), func() int { cancel(); return <-done }
}

func TestServeBusServesUntilInterrupted(t *testing.T) {
	address, interrupt := serveBus(t, "virtual:servebus", "virtual:servebus")
	// The name is that of the network that the server is on.
	tap, err := virtual.Open("servebus")
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	b, err := canbus.Open(t.Context(), "socketcand:"+address+"/virtual:servebus")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.WriteFrames([]canbus.Frame{{ID: 0x7E0, Len: 1}}); err != nil {
		t.Fatal(err)
	}
	var got [1]canbus.Frame
	if _, err := tap.ReadFrames(got[:]); err != nil || got[0].ID != 0x7E0 {
		t.Errorf("read %v, %v", got[0], err)
	}
	if status := interrupt(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
}

// Two programs use one bus, under a name that a bus with slashes needs.
func TestServeBusSharesABusUnderAName(t *testing.T) {
	bus := "virtual:/dev/ttyACM0@500000"
	address, interrupt := serveBus(t, "adapter="+bus, "adapter="+bus)
	defer interrupt()
	// In one process the same name is the same connection to the server.
	_, port, _ := net.SplitHostPort(address)
	other := "localhost:" + port
	recv := make(chan result, 1)
	go func() {
		recv <- isotp(t.Context(), nil, "recv", "--count", "1", "--timeout", "60s", "socketcand:"+address+"/adapter/7E8:7E0")
	}()
	// The First Frame needs a receiver: it is sent until recv answers.
	for {
		r := isotp(t.Context(), strings.NewReader("twenty bytes of data"), "send", "--flow-control-timeout", "100ms", "socketcand:"+other+"/adapter/7E0:7E8")
		if r.status == exitOK {
			break
		}
	}
	if r := <-recv; r.status != exitOK || r.stdout != "twenty bytes of data" {
		t.Errorf("recv: %+v", r)
	}
}

// The server ends the connection after three of a message's frames.
func TestSendFailsWhenTheServerEndsTheConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		io.WriteString(conn, "< hi >")
		for frames := 0; ; {
			say := "< ok >"
			element, err := r.ReadString('>')
			switch {
			case err != nil || frames == 3:
				return
			case element == "< echo >":
				say = element
			case strings.HasPrefix(element, "< send "):
				if say = ""; frames == 0 {
					say = "< frame 7E8 1.000000 300000 >"
				}
				frames++
			}
			io.WriteString(conn, say)
		}
	}()
	isotp(t.Context(), strings.NewReader(strings.Repeat("x", 200)), "send", fmt.Sprintf("socketcand:%s/can0/7E0:7E8", ln.Addr())).
		want(t, exitFailure, "may not have been sent")
}
