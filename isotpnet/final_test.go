package isotpnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// errAdapter is net.ErrClosed to a program that uses the bus. To a program that uses
// connections it must not be net.ErrClosed before the program has seen it once.
var errAdapter error = &canbus.GoneError{Bus: "the adapter", Err: errors.New("it was taken out")}

// wantEnd wants the first call to fail with what the bus has failed with, and later
// ones with net.ErrClosed too.
func wantEnd(t testing.TB, what string, call func() error) {
	t.Helper()
	for i := range 4 {
		err := call()
		if _, ok := err.(*net.OpError); !ok || !errors.Is(err, errAdapter) || !strings.HasSuffix(err.Error(), errAdapter.Error()) {
			t.Errorf("%s %d: %v, want a *net.OpError of %v", what, i, err, errAdapter)
		}
		if closed := errors.Is(err, net.ErrClosed); closed != (i > 0) {
			t.Errorf("%s %d: %v is net.ErrClosed: %v", what, i, err, closed)
		}
		if !isotpnet.Final(err) {
			t.Errorf("%s %d: %v is not final", what, i, err)
		}
	}
}

// newFailingBus returns a bus that fails when the test says so.
func newFailingBus(t testing.TB) *endingBus {
	return &endingBus{plainBus: newPlainBus(t), end: make(chan error)}
}

func TestConnTellsOfItsBussEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFailingBus(t)
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		bus.end <- errAdapter
		wantEnd(t, "Read", func() error { _, err := c.Read(make([]byte, 1)); return err })
		wantEnd(t, "Write", func() error { _, err := c.Write(make([]byte, 1)); return err })
	})
}

// Whichever way one reads.
func TestAllWaysToReadEndWithTheBus(t *testing.T) {
	for name, read := range map[string]func(c *isotpnet.Conn) error{
		"ReadMessage":  func(c *isotpnet.Conn) error { _, _, err := c.ReadMessage(make([]byte, 1)); return err },
		"NextReader":   func(c *isotpnet.Conn) error { _, _, err := c.NextReader(); return err },
		"AwaitMessage": func(c *isotpnet.Conn) error { _, err := c.AwaitMessage(); return err },
		"WriteTo":      func(c *isotpnet.Conn) error { _, err := c.WriteTo(io.Discard); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newFailingBus(t)
				c := dialOn(t, bus, testerAddr, isotpnet.Config{})
				bus.end <- errAdapter
				wantEnd(t, name, func() error { return read(c) })
			})
		})
	}
}

func TestAllWaysToWriteEndWithTheBus(t *testing.T) {
	for name, write := range map[string]func(c *isotpnet.Conn) error{
		"WriteFunctional": func(c *isotpnet.Conn) error { _, err := c.WriteFunctional([]byte{1}); return err },
		"SendFrom":        func(c *isotpnet.Conn) error { return c.SendFrom(strings.NewReader("a"), 1) },
		"ReadFrom":        func(c *isotpnet.Conn) error { _, err := c.ReadFrom(strings.NewReader("a")); return err },
		"a split Write":   func(c *isotpnet.Conn) error { _, err := c.Write(make([]byte, 5000)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newFailingBus(t)
				c := dialWith(t, isotpnet.Dialer{Bus: bus, Functional: isotpnet.MustParseAddr("/7DF:"),
					Config: isotpnet.Config{SplitWrites: true}}, testerAddr)
				bus.end <- errAdapter
				synctest.Wait()
				wantEnd(t, name, func() error { return write(c) })
			})
		})
	}
}

func TestPacketConnTellsOfItsBussEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFailingBus(t)
		c, err := (&isotpnet.ListenConfig{Bus: bus}).ListenPacket(t.Context(), "isotp", "/7E0:7E8,7E1:7E9")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		bus.end <- errAdapter
		wantEnd(t, "ReadFrom", func() error { _, _, err := c.ReadFrom(make([]byte, 1)); return err })
		wantEnd(t, "WriteTo", func() error { _, err := c.WriteTo([]byte{1}, isotpnet.MustParseAddr(testerAddr)); return err })
	})
}

func TestListenersTellOfTheirBussEndOnce(t *testing.T) {
	for _, tc := range []struct{ network, address string }{
		{"isotp", "/7E8:7E0"},
		{"isotp", "/fixed::10,func:33"},
		{"isotp-stream", "/7E8:7E0"},
		{"isotp-stream", "/fixed::10"},
	} {
		t.Run(tc.network+" "+tc.address[1:], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newFailingBus(t)
				ln, err := (&isotpnet.ListenConfig{Bus: bus}).Listen(t.Context(), tc.network, tc.address)
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				bus.end <- errAdapter
				wantEnd(t, "Accept", func() error { _, err := ln.Accept(); return err })
			})
		})
	}
}

func TestStreamConnTellsOfItsBussEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialEndedStream(t)
		wantEnd(t, "Read", func() error { _, err := c.Read(make([]byte, 1)); return err })
		wantEnd(t, "Write", func() error { _, err := c.Write(make([]byte, 1)); return err })
	})
}

// A program may end its direction before it reads the last answer.
func TestCloseWriteLeavesTheBussEndToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialEndedStream(t)
		wantEnd(t, "CloseWrite", c.CloseWrite)
		wantEnd(t, "Read", func() error { _, err := c.Read(make([]byte, 1)); return err })
		wantEnd(t, "Write", func() error { _, err := c.Write(make([]byte, 1)); return err })
	})
}

// dialEndedStream returns a connection whose bus has failed.
func dialEndedStream(t *testing.T) *isotpnet.StreamConn {
	n := newNetwork(t, virtual.Options{})
	bus := &endingTap{Tap: newTap(t, n), end: make(chan error)}
	ln, err := (&isotpnet.ListenConfig{Bus: newTap(t, n)}).Listen(t.Context(), "isotp-stream", ecuAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	c, err := (&isotpnet.Dialer{Bus: bus}).Dial("isotp-stream", testerAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	close(bus.end)
	newNode(t, n).send("7E8#300000") // the bus reads once more
	synctest.Wait()
	return c.(*isotpnet.StreamConn)
}

// An endingTap fails to read once end is closed.
type endingTap struct {
	*virtual.Tap
	end chan error
}

func (b *endingTap) ReadFrames(frames []canbus.Frame) (int, error) {
	select {
	case <-b.end:
		return 0, errAdapter
	default:
	}
	n, err := b.Tap.ReadFrames(frames)
	return n, err
}

// The usual loop, in two goroutines that read one Conn. Only one of them learns why.
func TestUsualLoopsEndWithTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFailingBus(t)
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		var logged []error
		var mu sync.Mutex
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for {
					_, err := c.Read(make([]byte, 1))
					if errors.Is(err, net.ErrClosed) {
						return
					}
					mu.Lock()
					logged = append(logged, err)
					mu.Unlock()
				}
			})
		}
		synctest.Wait()
		bus.end <- errAdapter
		readers.Wait()
		if len(logged) != 1 || !errors.Is(logged[0], errAdapter) {
			t.Errorf("logged %v, want what the bus has failed with, once", logged)
		}
	})
}

// A log that ends is a bus that has failed.
func TestUsualLoopEndsWithALog(t *testing.T) {
	noLeaks(t)
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("(1.000000) can0 7E8#0178\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := isotpnet.Dialer{Config: isotpnet.Config{ListenOnly: true}}
	c, err := d.Dial("isotp", "candump:"+filepath.ToSlash(file)+",fast/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantRead(t, c, "x")
	_, err = c.Read(make([]byte, 1))
	if !errors.Is(err, candump.ErrEnd) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || !isotpnet.Final(err) {
		t.Errorf("the first Read after the last message: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, candump.ErrEnd) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second: %v", err)
	}
}

// What a bus says of one frame concerns that message only.
func TestRefusedFrameIsNotFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		bus.write = func([]canbus.Frame) (int, error) { return 0, syscall.ENODEV }
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		for range 3 {
			_, err := c.Write([]byte{1})
			wantErr(t, err, "write", c, syscall.ENODEV)
			if isotpnet.Final(err) || errors.Is(err, net.ErrClosed) {
				t.Errorf("%v is final", err)
			}
		}
	})
}

func TestFinal(t *testing.T) {
	op := func(op, network string, err error) error { return &net.OpError{Op: op, Net: network, Err: err} }
	protocol := &isotpnet.ProtocolError{Code: isotpnet.CodeTimeoutBs}
	sourceFailed := func(err error) error {
		return &isotpnet.ProtocolError{Code: isotpnet.CodeSourceFailed, Err: err}
	}
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{io.EOF, true},
		{fmt.Errorf("reading: %w", io.EOF), true},
		{op("read", "isotp", net.ErrClosed), true},
		{op("accept", "isotp", net.ErrClosed), true},
		{op("write", "isotp", io.ErrClosedPipe), true},
		{op("read", "isotp", isotpnet.ErrSendOnly), true},
		{op("write", "isotp", isotpnet.ErrListenOnly), true},
		{op("write", "isotp", isotpnet.ErrNoFunctional), true},
		{op("read", "isotp", os.ErrDeadlineExceeded), false},
		{op("accept", "isotp-stream", os.ErrDeadlineExceeded), false},
		{op("read", "isotp", isotpnet.ErrOverrun), false},
		{op("read", "isotp", protocol), false},
		{op("write", "isotp:user", protocol), false},
		{op("write", "isotp", sourceFailed(io.EOF)), false},
		{op("write", "isotp", sourceFailed(net.ErrClosed)), false},
		{op("write", "isotp:kernel", sourceFailed(errAdapter)), false},
		{op("write", "isotp-stream", sourceFailed(net.ErrClosed)), true},
		{op("write", "isotp", isotpnet.ErrMessageTooLong), false},
		{op("write", "isotp", isotpnet.ErrTooManyPeers), false},
		{op("read", "isotp", &isotpnet.ShortBufferError{Size: 9}), false},
		{op("read", "isotp:kernel", os.NewSyscallError("read", syscall.ENETDOWN)), false},
		{op("write", "isotp", os.NewSyscallError("write", syscall.ENETDOWN)), false},
		{op("read", "isotp-stream", os.ErrDeadlineExceeded), false},
		{op("read", "isotp-stream", &isotpnet.StreamError{Errno: syscall.ECONNRESET}), true},
		{op("write", "isotp-stream:user", protocol), true},
		{op("write", "isotp-stream", os.NewSyscallError("write", syscall.EPIPE)), true},
		{op("dial", "isotp-stream", &isotpnet.StreamError{Errno: syscall.ECONNREFUSED}), false},
		{op("dial", "isotp", syscall.ENODEV), false},
		{op("dial", "isotp", net.ErrClosed), true}, // the Dialer's Bus was closed
		{op("listen", "isotp", syscall.EADDRINUSE), false},
		{context.DeadlineExceeded, false},
	} {
		if got := isotpnet.Final(tc.err); got != tc.want {
			t.Errorf("Final(%v) is %v", tc.err, got)
		}
	}
}

func TestFinalOfAPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		c1.SetReadDeadline(time.Now())
		if _, err := c1.Read(make([]byte, 1)); isotpnet.Final(err) {
			t.Errorf("%v is final", err)
		}
		c1.SetReadDeadline(time.Time{})
		c2.Close()
		if _, err := c1.Read(make([]byte, 1)); err != io.EOF || !isotpnet.Final(err) {
			t.Errorf("Read: %v, want io.EOF, which is final", err)
		}
		if _, err := c1.Write([]byte{1}); !isotpnet.Final(err) {
			t.Errorf("Write: %v is not final", err)
		}
		c1.Close()
		if _, err := c1.Read(make([]byte, 1)); !isotpnet.Final(err) {
			t.Errorf("Read: %v is not final", err)
		}
	})
}
