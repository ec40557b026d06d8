package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/isotpnet"
)

func TestStreamOfAFile(t *testing.T) {
	for _, flags := range []string{"", "--fd", "--network isotp:user", "--network isotp-stream", "--max-send-size 100"} {
		t.Run(flags, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recv := start(t.Context(), nil, append([]string{"recv", "--stream", ecuAddr}, words(flags)...)...)
				input := randomBytes(300_000)
				send := append([]string{"send", "--stream", testerAddr}, words(flags)...)
				isotp(t.Context(), &slowReader{strings.NewReader(input)}, send...).want(t, exitOK, "")
				r := recv()
				r.want(t, exitOK, "")
				r.wantStdout(t, input)
			})
		})
	}
}

// Unlike a message a stream may be empty.
func TestStreamOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--stream", ecuAddr)
		isotp(t.Context(), strings.NewReader(""), "send", "--stream", testerAddr).want(t, exitOK, "")
		recv().want(t, exitOK, "")
	})
}

func TestStreamWhoseInputFailsIsNotComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--stream", ecuAddr)
		input := io.MultiReader(strings.NewReader("some"), brokenReader{})
		isotp(t.Context(), input, "send", "--stream", testerAddr).want(t, exitFailure, "broken")
		r := recv()
		r.want(t, exitFailure, "connection reset")
		r.wantStdout(t, "some")
	})
}

func TestInterruptedStreamIsNotComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--stream", ecuAddr)
		ctx, cancel := context.WithCancel(t.Context())
		in, w := io.Pipe()
		send := start(ctx, in, "send", "--stream", testerAddr)
		io.WriteString(w, "some")
		synctest.Wait()
		cancel()
		send().want(t, exitFailure, "interrupted")
		w.Close()
		recv().want(t, exitFailure, "connection reset")
	})
}

func TestStreamWithoutAPeerTimesOut(t *testing.T) {
	for _, args := range []string{
		"send --stream " + testerAddr,
		"send --stream --timeout 500ms " + testerAddr,
		"recv --stream --timeout 500ms " + ecuAddr,
	} {
		t.Run(args, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				isotp(t.Context(), strings.NewReader("x"), words(args)...).want(t, exitTimeout, "timeout")
			})
		})
	}
}

func TestStreamStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--stream", "--stats", ecuAddr)
		isotp(t.Context(), strings.NewReader("abc"), "send", "--stream", testerAddr).want(t, exitOK, "")
		// OPEN, DATA and END; ACCEPT and END.
		if r := recv(); !strings.Contains(r.stderr, "messages   2 sent, 3 received\n") {
			t.Errorf("standard error: %s", r.stderr)
		}
	})
}

// startProxy runs a proxy from a TCP port of its choice, or an address, and returns
// where it listens.
func startProxy(t *testing.T, from, to string) (address string) {
	t.Helper()
	address, stderr := startProxyWith(t, from, to)
	go io.Copy(io.Discard, stderr)
	return address
}

// startProxyWith runs a proxy with those arguments, and returns its standard error too.
func startProxyWith(t *testing.T, args ...string) (address string, stderr *bufio.Reader) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan int)
	go func() {
		done <- run(ctx, append([]string{"proxy"}, args...), nil, io.Discard, w)
		w.Close()
	}()
	stderr = bufio.NewReader(r)
	line, err := stderr.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		go io.Copy(io.Discard, r)
		if status := <-done; status != exitOK {
			t.Errorf("the proxy ends with %d", status)
		}
	})
	_, address, _ = strings.Cut(strings.TrimSpace(line), "listening on tcp:")
	return address, stderr
}

// From a TCP client over two proxies to a TCP server, which answers when it has
// heard all of the question.
func TestProxyPassesConnectionsBothWays(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			question, err := io.ReadAll(c)
			if err == nil {
				c.Write(append(question, question...))
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { server.Close(); <-served })
	startProxy(t, "virtual:proxy/7E8:7E0", "tcp:"+server.Addr().String())
	address := startProxy(t, "tcp:127.0.0.1:0", "virtual:proxy/7E0:7E8")

	for _, size := range []int{0, 1, 300_000} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		question := randomBytes(size)
		io.WriteString(c, question)
		c.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(c)
		if err != nil || string(got) != question+question {
			t.Errorf("read %d bytes, %v; want %d", len(got), err, 2*size)
		}
		c.Close()
	}
}

// What is cut off on one side is an error on the other.
func TestProxyPassesResets(t *testing.T) {
	server, err := isotpnet.Listen("isotp-stream", "virtual:resets/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	address := startProxy(t, "tcp:127.0.0.1:0", "virtual:resets/7E0:7E8")
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "not all")
	accepted, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if _, err := io.ReadFull(accepted, make([]byte, len("not all"))); err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	accepted.SetDeadline(time.Now().Add(time.Minute))
	if _, err := accepted.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("Read: %v, want a reset", err)
	}
}

// When no program listens on the bus, the client's connection is reset, and the proxy goes
// on.
func TestProxyWithoutAPeer(t *testing.T) {
	bus := "virtual:nobody"
	ln, err := isotpnet.Listen("isotp-stream", bus+"/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	address := startProxy(t, "tcp:127.0.0.1:0", bus+"/7E0:7E8")
	first, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	ln.Close()
	second, err := net.Dial("tcp", address)
	if err == nil { // the reset may have been quicker
		defer second.Close()
		_, err = second.Read(make([]byte, 1))
	}
	if err == nil || err == io.EOF && runtime.GOOS != "windows" { // Wine makes an end of a reset
		t.Errorf("%v, want a reset", err)
	}
	io.WriteString(accepted, "the first")
	if _, err := io.ReadFull(first, make([]byte, len("the first"))); err != nil {
		t.Error("the first:", err)
	}
}
