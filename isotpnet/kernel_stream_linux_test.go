package isotpnet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/isotp/isotpnet"
	"example.com/isotp/test/vm/cantest"
	"golang.org/x/net/nettest"
)

var kernelLinks atomic.Uint32

// newKernelLink makes an interface that is up, until the test's end.
func newKernelLink(t testing.TB) string {
	t.Helper()
	cantest.Need(t)
	name := fmt.Sprintf("stest%d", kernelLinks.Add(1))
	if err := errors.Join(cantest.AddLink(name), cantest.SetLink(name, true)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cantest.DeleteLink(name) }) // a test may have done so
	return name
}

// TestKernelStreamIsANetConn runs the tests of package nettest, on the connections
// as they are.
func TestKernelStreamIsANetConn(t *testing.T) {
	cantest.Need(t)
	for _, mode := range []struct {
		name   string
		config isotpnet.Config
	}{
		{"classic", isotpnet.Config{}},
		{"FD", isotpnet.Config{FD: true}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				tester, ecu := newKernelEnds(t, mode.config)
				ln := ecu.listen(t)
				c1, err := tester.tryDial(context.Background())
				if err != nil {
					return nil, nil, nil, err
				}
				c2, err := ln.Accept()
				if err != nil {
					return nil, nil, nil, err
				}
				return c1, c2, func() { closeAll(c1, c2, ln) }, nil
			})
		})
	}
}

// quick has a silent peer noticed soon.
var quick = net.KeepAliveConfig{Enable: true, Idle: 200 * time.Millisecond, Interval: 200 * time.Millisecond, Count: 3}

// A stream between the engine and the kernel, either way.
func TestStreamBetweenBackends(t *testing.T) {
	for _, networks := range [][2]string{
		{"isotp-stream:kernel", "isotp-stream:user"},
		{"isotp-stream:user", "isotp-stream:kernel"},
		{"isotp-stream", "isotp-stream"},
	} {
		t.Run(networks[0], func(t *testing.T) {
			tester, ecu := newKernelEnds(t, isotpnet.Config{})
			tester.network, ecu.network = networks[0], networks[1]
			dialled, accepted := newStream(t, tester, ecu)
			if networks[0] == "isotp-stream" && dialled.Backend() != "kernel" {
				t.Errorf("the backend is %s", dialled.Backend())
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				io.Copy(accepted, accepted)
				accepted.Close()
			})
			wg.Go(func() {
				wantWrite(t, dialled, payload(100_000))
				dialled.CloseWrite()
			})
			wantReadAll(t, dialled, payload(100_000))
			wg.Wait()
		})
	}
}

// The interface goes down and up again: all calls end at once, and the listener
// lives on.
func TestStreamsOfAnInterfaceThatGoesDown(t *testing.T) {
	tester, ecu := newKernelEnds(t, isotpnet.Config{})
	name := isotpnet.MustParseAddr(ecu.address).Bus()
	ln := ecu.listen(t)
	c, accepted := tester.dial(t), acceptStream(t, ln)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := io.Copy(c, randomBytes(0))
		if !errors.Is(err, syscall.ENETDOWN) && !errors.Is(err, syscall.ECONNRESET) && !isTimeout(err) {
			t.Error("Write:", err)
		}
	})
	wg.Go(func() {
		_, err := io.Copy(io.Discard, accepted)
		wantStreamErr(t, err, "read", syscall.ENETDOWN)
	})
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	mustLink(t, cantest.SetLink(name, false))
	wg.Wait()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the calls have taken %v to end", took)
	}
	tester.dialer.Timeout = 300 * time.Millisecond
	if _, err := tester.tryDial(t.Context()); err == nil || !isTimeout(err) && !errors.Is(err, syscall.ENETDOWN) {
		t.Error("Dial:", err)
	}
	tester.dialer.Timeout = 0
	mustLink(t, cantest.SetLink(name, true))
	wantWorking(t, tester, ln)
}

// An adapter that is unplugged and plugged in again.
func TestStreamListenerOfAnInterfaceThatIsDeleted(t *testing.T) {
	for _, tt := range []struct{ name, network, listen, dial string }{
		{"pair:kernel", "isotp-stream:kernel", ecuAddr, testerAddr},
		{"pair:user", "isotp-stream:user", ecuAddr, testerAddr},
		{"node", "isotp-stream", "/fixed::10", "/fixed:10:F1"},
		{"list", "isotp-stream", "/7E8:7E0,7E9:7E1", "/7E1:7E9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := newKernelLink(t)
			tester := streamEnd{network: tt.network, address: name + tt.dial}
			addrs, err := isotpnet.ParseAddrs(name + tt.listen)
			if err != nil {
				t.Fatal(err)
			}
			ln, err := new(isotpnet.ListenConfig).ListenStream(t.Context(), tt.network, addrs...)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			c, accepted := tester.dial(t), acceptStream(t, ln)
			mustLink(t, cantest.DeleteLink(name))
			for _, c := range []net.Conn{c, accepted} {
				if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
					t.Error("Read:", err)
				}
			}
			_, err = ln.Accept()
			if !isTemporary(err) {
				t.Errorf("Accept: %v is not temporary", err)
			}
			if _, err := ln.Accept(); err == nil {
				t.Error("Accept without an interface")
			}
			mustLink(t, errors.Join(cantest.AddLink(name), cantest.SetLink(name, true)))
			done := make(chan error, 1)
			go func() {
				c, err := ln.Accept()
				if err == nil {
					c.Close()
				}
				done <- err
			}()
			_, err = tester.tryDial(t.Context())
			if err != nil {
				t.Error("Dial:", err)
			}
			if err := <-done; err != nil {
				t.Error("Accept:", err)
			}
		})
	}
}

func mustLink(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

const helperAddress = "ISOTPNET_STREAM_HELPER"

// TestStreamHelper is no test: it is the program that the tests below kill. Without an
// address it does nothing.
func TestStreamHelper(t *testing.T) {
	address := os.Getenv(helperAddress)
	if address == "" {
		return
	}
	end := streamEnd{network: "isotp-stream:kernel", address: address[1:]}
	if address[0] == 'd' {
		c := end.dial(t)
		wantWrite(t, c, "hello")
		io.Copy(io.Discard, c)
		return
	}
	ln := end.listen(t)
	os.Stdout.WriteString("listening\n")
	for {
		go io.Copy(io.Discard, acceptStream(t, ln))
	}
}

// A program is another process, which opens a stream to an address, or listens on
// it, and waits to be killed.
type program struct{ cmd *exec.Cmd }

func startProgram(t *testing.T, what byte, end streamEnd) *program {
	t.Helper()
	p := &program{exec.Command(os.Args[0], "-test.run=^TestStreamHelper$", "-test.v")}
	p.cmd.Env = append(os.Environ(), helperAddress+"="+string(what)+end.address)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if what == 'l' {
		told := bufio.NewReader(out)
		for line := ""; line != "listening\n"; {
			if line, err = told.ReadString('\n'); err != nil {
				t.Fatalf("the program ends: %q, %v", line, err)
			}
		}
	}
	return p
}

func (p *program) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

func TestClientProcessKilledAndRestarted(t *testing.T) {
	tester, ecu := newKernelEnds(t, isotpnet.Config{})
	ecu.dialer.KeepAliveConfig = quick
	ln := ecu.listen(t)

	p := startProgram(t, 'd', tester)
	c := acceptStream(t, ln)
	wantRead(t, c, "hello")
	p.kill()
	start := time.Now()
	_, err := c.Read(make([]byte, 1)) // the peer is gone
	wantStreamErr(t, err, "read", syscall.ETIMEDOUT)
	t.Logf("after %v: %v", time.Since(start), err)

	ecu.dialer.KeepAliveConfig = net.KeepAliveConfig{}
	p = startProgram(t, 'd', tester)
	c = acceptStream(t, ln)
	c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 60})
	wantRead(t, c, "hello")
	p.kill()
	p = startProgram(t, 'd', tester)
	defer p.kill()
	next := acceptStream(t, ln)
	wantRead(t, next, "hello")
	start = time.Now()
	_, err = c.Read(make([]byte, 1)) // another program is there
	wantStreamErr(t, err, "read", syscall.ECONNRESET)
	t.Logf("after %v: %v", time.Since(start), err)
	wantWrite(t, next, "still here?")
}

func TestServerProcessKilledAndRestarted(t *testing.T) {
	tester, ecu := newKernelEnds(t, isotpnet.Config{})
	p := startProgram(t, 'l', ecu)
	c, reader := tester.dial(t), tester.dial(t)
	wantWrite(t, c, "hello")
	p.kill()
	start := time.Now()
	_, err := c.Write([]byte(payload(100)))
	if pe, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || pe.Code != isotpnet.CodeTimeoutBs {
		t.Errorf("Write: %v, want N_TIMEOUT_Bs", err)
	}
	t.Logf("after %v: %v", time.Since(start), err)
	start = time.Now()
	_, err = tester.tryDial(t.Context())
	wantStreamErr(t, err, "dial", context.DeadlineExceeded)
	t.Logf("after %v: %v", time.Since(start), err)

	p = startProgram(t, 'l', ecu)
	defer p.kill()
	wantWrite(t, reader, "hello")
	_, err = reader.Read(make([]byte, 1))
	wantStreamErr(t, err, "read", syscall.ECONNRESET)
	wantWrite(t, tester.dial(t), "hello")
}
