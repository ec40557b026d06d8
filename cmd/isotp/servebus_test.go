package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

func TestServeBusServesUntilInterrupted(t *testing.T) {
	// A network that the test holds: those who open the name meet on it.
	n, err := virtual.Create("servebus", virtual.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	tap, err := virtual.Open("servebus")
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()

	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	r, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, words("serve-bus --listen 127.0.0.1:0 virtual:servebus"), nil, w, io.Discard)
	}()
	line := make([]byte, 200)
	k, err := r.Read(line)
	address, found := strings.CutPrefix(string(line[:k]), "serving virtual:servebus on ")
	if err != nil || !found {
		t.Fatalf("it says %q, %v", line[:k], err)
	}
	b, err := canbus.Open("socketcand:" + strings.TrimSpace(address) + "/virtual:servebus")
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
	interrupt()
	if status := <-done; status != exitOK {
		t.Errorf("exit status %d", status)
	}
}

func TestServeBusThatCannotBeOpened(t *testing.T) {
	isotp(t.Context(), nil, "serve-bus", "nosuchscheme:x").want(t, exitUsage, "nosuchscheme")
	isotp(t.Context(), nil, "serve-bus", "a@b").want(t, exitUsage, `"a@b"`)
	isotp(t.Context(), nil, "serve-bus", "--listen", "nowhere", "virtual:x").want(t, exitUsage, "nowhere")
}
