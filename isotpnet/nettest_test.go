package isotpnet_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"golang.org/x/net/nettest"
)

// pairs are the ways to get two connections that lead to each other.
var pairs = []struct {
	name string
	make func(t *testing.T, c isotpnet.Config) (c1, c2 *isotpnet.Conn, stop func(), err error)
	// ends: a Close is seen by the peer. ISO-TP itself does not know that.
	ends bool
}{
	{"Pipe", makePipe, true},
	{"BusName", makeOnBusName, false},
	{"Taps", makeOnTaps, false},
	{"OneTap", makeOnOneTap, false},
	{"EchoingTaps", makeOnEchoingTaps, false},
	{"Listener", makeByListener, false},
	{"NodeListener", makeByNodeListener, false},
}

// TestConnIsANetConn runs the tests of package nettest. Run it with -cpu 1,2,8.
//
// The first two of them, BasicIO and PingPong, end when a Read returns io.EOF.
// Where a Close is not seen, those two, and no others, get connections that say
// goodbye to each other. Short runs take CAN FD alone, but for the first pair.
func TestConnIsANetConn(t *testing.T) {
	noLeaks(t)
	const needEOF = 2
	for i, pair := range pairs {
		for _, mode := range []struct {
			name   string
			config isotpnet.Config
		}{
			{"Classic", patient},
			{"FD", patientFD},
		} {
			if testing.Short() && i > 0 && !mode.config.FD {
				continue
			}
			t.Run(pair.name+"/"+mode.name, func(t *testing.T) {
				t.Parallel() // FutureTimeout waits for N_Bs: see OwedError
				made := 0
				nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
					c1, c2, stop, err := pair.make(t, mode.config)
					if err != nil {
						return nil, nil, nil, err
					}
					if made++; made <= needEOF && !pair.ends {
						return &politeConn{Conn: c1}, &politeConn{Conn: c2}, stop, nil
					}
					return c1, c2, stop, nil
				})
			})
		}
	}
}

// On a machine with too much to do a second can pass between two frames. Here
// that is not an error.
var (
	patient = isotpnet.Config{
		TransmitTimeout:         time.Minute,
		FlowControlTimeout:      5 * time.Second,
		ConsecutiveFrameTimeout: time.Minute,
	}
	patientFD = func() isotpnet.Config {
		c := patient
		c.FD, c.BRS = true, true
		return c
	}()
)

func makePipe(t *testing.T, c isotpnet.Config) (c1, c2 *isotpnet.Conn, stop func(), err error) {
	c1, c2, err = isotpnet.Pipe(&c)
	return c1, c2, func() { closeAll(c1, c2) }, err
}

// makeOnBusName dials twice, as a program does that knows only the name of the bus.
func makeOnBusName(t *testing.T, c isotpnet.Config) (c1, c2 *isotpnet.Conn, stop func(), err error) {
	d := isotpnet.Dialer{Config: c}
	bus := "virtual:" + t.Name()
	n1, err := d.Dial("isotp:user", bus+testerAddr)
	if err != nil {
		return nil, nil, nil, err
	}
	n2, err := d.Dial("isotp:user", bus+ecuAddr)
	if err != nil {
		n1.Close()
		return nil, nil, nil, err
	}
	return n1.(*isotpnet.Conn), n2.(*isotpnet.Conn), func() { closeAll(n1, n2) }, nil
}

func makeOnTaps(t *testing.T, c isotpnet.Config) (c1, c2 *isotpnet.Conn, stop func(), err error) {
	return makeOnNetwork(t, c, virtual.Options{})
}

func makeOnEchoingTaps(t *testing.T, c isotpnet.Config) (c1, c2 *isotpnet.Conn, stop func(), err error) {
	return makeOnNetwork(t, c, virtual.Options{Echo: true})
}

func makeOnNetwork(t *testing.T, c isotpnet.Config, o virtual.Options) (c1, c2 *isotpnet.Conn, stop func(), err error) {
	n := newNetwork(t, o)
	tap1, tap2 := newTap(t, n), newTap(t, n)
	c1, c2 = dialOn(t, tap1, testerAddr, c), dialOn(t, tap2, ecuAddr, c)
	return c1, c2, func() { closeAll(c1, c2, tap1, tap2) }, nil
}

// makeOnOneTap has both ends share a reader, which hands what the one sends to
// the other.
func makeOnOneTap(t *testing.T, c isotpnet.Config) (c1, c2 *isotpnet.Conn, stop func(), err error) {
	tap := newTap(t, newNetwork(t, virtual.Options{}))
	c1, c2 = dialOn(t, tap, testerAddr, c), dialOn(t, tap, ecuAddr, c)
	return c1, c2, func() { closeAll(c1, c2, tap) }, nil
}

// makeByListener accepts the connection that a first message makes.
func makeByListener(t *testing.T, c isotpnet.Config) (c1, c2 *isotpnet.Conn, stop func(), err error) {
	n := newNetwork(t, virtual.Options{})
	tap1, tap2 := newTap(t, n), newTap(t, n)
	ln := listenOn(t, tap2, ecuAddr, c)
	c1 = dialOn(t, tap1, testerAddr, c)
	if _, err := c1.Write([]byte("hello")); err != nil {
		return nil, nil, nil, err
	}
	if c2, err = ln.AcceptConn(); err != nil {
		return nil, nil, nil, err
	}
	wantRead(t, c2, "hello")
	return c1, c2, func() { closeAll(c1, c2, ln, tap1, tap2) }, nil
}

// makeByNodeListener accepts the connection of one of several peers.
func makeByNodeListener(t *testing.T, c isotpnet.Config) (c1, c2 *isotpnet.Conn, stop func(), err error) {
	n := newNetwork(t, virtual.Options{})
	tap1, tap2 := newTap(t, n), newTap(t, n)
	ln := listenOn(t, tap2, "/fixed::10,func:33", c)
	other := dialOn(t, tap1, "/fixed:10:F2", c)
	c1 = dialOn(t, tap1, "/fixed:10:F1", c)
	if _, err := other.Write([]byte("other")); err != nil {
		return nil, nil, nil, err
	}
	if _, err := c1.Write([]byte("hello")); err != nil {
		return nil, nil, nil, err
	}
	o2, err := ln.AcceptConn()
	if err != nil {
		return nil, nil, nil, err
	}
	if c2, err = ln.AcceptConn(); err != nil {
		return nil, nil, nil, err
	}
	wantRead(t, o2, "other")
	wantRead(t, c2, "hello")
	return c1, c2, func() { closeAll(c1, c2, other, o2, ln, tap1, tap2) }, nil
}

func closeAll(cs ...io.Closer) {
	for _, c := range cs {
		c.Close()
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
