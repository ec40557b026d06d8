// Package conntest runs the tests of package nettest over connections on any pair
// of buses, which package canbus/bustest has found to be good. Drivers of other modules may
// use it, too, but it may change with every version.
package conntest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/isotpnet"
	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

// flowControlTimeout is how long a flow control may be owed. The flow control of a message
// that nettest aborts may never come, because a Single Frame behind the message ends its
// reception. Then the next message waits for that long; nettest waits for a minute at most.
const flowControlTimeout = 10 * time.Second

// Patient returns c with longer time-outs of the protocol where they are 0: on a machine with
// too much to do a second can pass between two frames.
func Patient(c isotpnet.Config) isotpnet.Config {
	c.TransmitTimeout = cmp.Or(c.TransmitTimeout, time.Minute)
	c.FlowControlTimeout = cmp.Or(c.FlowControlTimeout, flowControlTimeout)
	c.ConsecutiveFrameTimeout = cmp.Or(c.ConsecutiveFrameTimeout, time.Minute)
	return c
}

// Run runs nettest.TestConn on connections over the engine, on pairs of buses, with the
// time-outs of [Patient]. Short runs (go test -short) do no more than
// Exchange.
func Run(t *testing.T, newPair bustest.MakePair, c isotpnet.Config) {
	there := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, there) })
	c = Patient(c)
	if testing.Short() {
		c1, c2, stop, err := Dial(newPair, c)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		Exchange(t, c1, c2)
		return
	}
	made := 0
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		c1, c2, stop, err := Dial(newPair, c)
		if err != nil {
			return nil, nil, nil, err
		}
		// The first two tests end when a Read returns io.EOF, but ISO-TP has no
		// close: their connections say goodbye to each other.
		const needEOF = 2
		if made++; made <= needEOF {
			return &politeConn{Conn: c1}, &politeConn{Conn: c2}, stop, nil
		}
		return c1, c2, stop, nil
	})
}

// Dial makes two connections that lead to each other, on a pair of buses, and a function
// that closes all of it.
func Dial(newPair bustest.MakePair, c isotpnet.Config) (c1, c2 *isotpnet.Conn, stop func(), err error) {
	a, b, stopPair, err := newPair()
	if err != nil {
		return nil, nil, nil, err
	}
	stop = func() {
		for _, closer := range []io.Closer{c1, c2, a, b} {
			closer.Close()
		}
		if stopPair != nil {
			stopPair()
		}
	}
	dial := func(bus canbus.Bus, address string) *isotpnet.Conn {
		d := isotpnet.Dialer{Bus: bus, Config: c}
		conn, dialErr := d.DialAddr(context.Background(), "isotp:user", isotpnet.MustParseAddr(address))
		err = errors.Join(err, dialErr)
		return conn
	}
	c1, c2 = dial(a, "/7E0:7E8"), dial(b, "/7E8:7E0")
	if err != nil {
		return nil, nil, nil, err
	}
	return c1, c2, stop, nil
}

// Exchange sends messages of some sizes from each of two connections to the other.
func Exchange(t *testing.T, c1, c2 net.Conn) {
	t.Helper()
	for _, size := range []int{1, 7, 8, 100, 4095} {
		message := bytes.Repeat([]byte{0xA5, byte(size)}, size)[:size]
		for _, way := range [][2]net.Conn{{c1, c2}, {c2, c1}} {
			sent := make(chan error, 1)
			go func() {
				_, err := way[0].Write(message)
				sent <- err
			}()
			got := make([]byte, 4095)
			if n, err := way[1].Read(got); err != nil || !bytes.Equal(got[:n], message) {
				t.Errorf("%d bytes: %d arrive, %v", size, n, err)
			}
			if err := <-sent; err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
}

// A politeConn sends a message to say that it is about to be closed, which the
// other end's Read takes for the end of the data.
type politeConn struct {
	*isotpnet.Conn
	bye sync.Once
}

var goodbye = []byte("goodbye")

func (c *politeConn) Read(p []byte) (int, error) {
	n, info, err := c.ReadMessage(p)
	if err == nil && info.Size == int64(len(goodbye)) && bytes.Equal(p[:n], goodbye) {
		return 0, io.EOF
	}
	return n, err
}

func (c *politeConn) Close() error {
	c.bye.Do(func() { c.Write(goodbye) })
	return c.Conn.Close()
}
