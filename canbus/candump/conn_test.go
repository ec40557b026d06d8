package candump_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// dialLog listens to a log with that text.
func dialLog(t *testing.T, text, options, endpoint string) *isotpnet.Conn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.log")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return dialFile(t, path, options, endpoint)
}

func dialFile(t *testing.T, path, options, endpoint string) *isotpnet.Conn {
	t.Helper()
	d := isotpnet.Dialer{Config: isotpnet.Config{ListenOnly: true}}
	c, err := d.Dial("isotp", "candump:"+filepath.ToSlash(path)+options+"/"+endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*isotpnet.Conn)
}

const anHour = "(0.0) can0 7E8#0101\n(3600.0) can0 7E8#0102\n"

func TestDeadlineInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialLog(t, anHour, "", ":7E8")
		buf := make([]byte, 8)
		if n, err := c.Read(buf); n != 1 || buf[0] != 1 || err != nil {
			t.Fatalf("% X, %v", buf[:n], err)
		}
		start := time.Now()
		c.SetReadDeadline(start.Add(time.Minute))
		if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		c.SetReadDeadline(time.Time{})
		if n, err := c.Read(buf); n != 1 || buf[0] != 2 || err != nil || time.Since(start) != time.Hour {
			t.Errorf("% X, %v after %v", buf[:n], err, time.Since(start))
		}
		c.Close()
	})
}

// With the last connection the log is closed, in the middle of a pause.
func TestCloseInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialLog(t, anHour, "", ":7E8")
		start := time.Now()
		time.AfterFunc(time.Minute, func() { c.Close() })
		for err := error(nil); err == nil; {
			if _, err = c.Read(make([]byte, 8)); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		synctest.Wait()
		if took := time.Since(start); took != time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// A message that the log has not to its end is not taken for the end either.
func TestEndOfALogIsNotThePeersClose(t *testing.T) {
	for name, text := range map[string]string{
		"behind a message":           "(0.0) can0 7E8#0101\n",
		"in the middle of a message": "(0.0) can0 7E8#0101\n(0.0) can0 7E8#1014626F90574155\n",
		"in the middle of a line":    "(0.0) can0 7E8#0101\n(0.0) can0 7E8#01",
	} {
		t.Run(name, func(t *testing.T) {
			c := dialLog(t, text, "", ":7E8")
			got, err := io.ReadAll(c)
			if !bytes.Equal(got, []byte{1}) || !errors.Is(err, candump.ErrEnd) || errors.Is(err, io.EOF) {
				t.Errorf("% X, %v", got, err)
			}
			if _, ok := err.(*net.OpError); !ok {
				t.Errorf("%v is not a *net.OpError", err)
			}
		})
	}
}

// What was said both ways on a bus is in its log, in an order that can be decoded.
func TestConversationIsInTheLog(t *testing.T) {
	for name, o := range map[string]virtual.Options{
		"ideal":  {},
		"echoes": {Echo: true},
		"wire":   {Bitrate: 1_000_000},
	} {
		for _, fd := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, FD %v", name, fd), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "test.log")
				requests, answers := converse(t, path, o, isotpnet.Config{FD: fd, BlockSize: 8})
				for endpoint, want := range map[string][][]byte{"7E8:7E0": requests, "7E0:7E8": answers} {
					c := dialFile(t, path, ",fast", endpoint)
					for i, want := range want {
						got := make([]byte, 5000)
						n, err := c.Read(got)
						if err != nil || !bytes.Equal(got[:n], want) {
							t.Fatalf("%s, message %d: %d bytes of %d, or others: %v", endpoint, i, n, len(want), err)
						}
					}
					if _, err := c.Read(make([]byte, 1)); !errors.Is(err, candump.ErrEnd) {
						t.Error(err)
					}
				}
			})
		}
	}
}

// converse records a conversation on the tester's side.
func converse(t *testing.T, path string, o virtual.Options, config isotpnet.Config) (requests, answers [][]byte) {
	t.Helper()
	r, err := candump.Create(path, candump.RecorderOptions{OnError: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	network, err := virtual.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	var conns [2]*isotpnet.Conn
	var buses [2]canbus.Bus
	for i, address := range []string{"/7E0:7E8", "/7E8:7E0"} {
		tap, err := network.Tap()
		if err != nil {
			t.Fatal(err)
		}
		defer tap.Close()
		buses[i] = tap
		if i == 0 {
			buses[i] = r.Wrap(tap, "can0")
		}
		config.FlowControlTimeout, config.ConsecutiveFrameTimeout, config.TransmitTimeout = time.Minute, time.Minute, time.Minute
		c, err := (&isotpnet.Dialer{Bus: buses[i], Config: config}).Dial("isotp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c.(*isotpnet.Conn)
	}
	for _, size := range []int{1, 7, 8, 100, 4095} {
		requests = append(requests, bytes.Repeat([]byte{byte(size)}, size))
		answers = append(answers, bytes.Repeat([]byte{^byte(size)}, size))
	}
	var ecu sync.WaitGroup
	ecu.Go(func() {
		buf := make([]byte, 5000)
		for i := range requests {
			if n, err := conns[1].Read(buf); err != nil || n != len(requests[i]) {
				t.Errorf("request %d: %d bytes, %v", i, n, err)
			}
			if _, err := conns[1].Write(answers[i]); err != nil {
				t.Errorf("answer %d: %v", i, err)
			}
		}
	})
	buf := make([]byte, 5000)
	for i := range requests {
		if _, err := conns[0].Write(requests[i]); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
		if n, err := conns[0].Read(buf); err != nil || n != len(answers[i]) {
			t.Errorf("answer %d: %d bytes, %v", i, n, err)
		}
	}
	ecu.Wait()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	return requests, answers
}
