package socketcan_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/socketcan"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
	"example.com/isotp/test/vm/cantest"
	"golang.org/x/net/nettest"
)

// endMark is what no message of one byte has in nettest.
const endMark = 0xEE

// An endingConn tells its peer that it is closed, as nettest wants and ISO-TP
// cannot: with a message from a bus of its own, as the Conn may be busy.
type endingConn struct {
	*isotpnet.Conn
	bus   *socketcan.Bus
	end   canbus.Frame
	ended atomic.Bool
}

func (c *endingConn) Close() error {
	c.bus.WriteFrames([]canbus.Frame{c.end})
	return c.Conn.Close()
}

func (c *endingConn) Read(p []byte) (int, error) {
	if c.ended.Load() {
		return 0, io.EOF
	}
	n, info, err := c.ReadMessage(p)
	if err == nil && info.Size == 1 && p[0] == endMark {
		c.ended.Store(true)
		return 0, io.EOF
	}
	return n, err
}

// Each end has a socket of its own. In package isotpnet they share one, as the
// conns of a process do.
func TestISOTPIsAConn(t *testing.T) {
	cantest.Need(t)
	for _, c := range []struct {
		name   string
		config isotpnet.Config
		flags  canbus.Flags
	}{
		{name: "classic"},
		{name: "FD", config: isotpnet.Config{FD: true}, flags: canbus.FD},
	} {
		t.Run(c.name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				end := func(id uint32) canbus.Frame {
					return canbus.Frame{ID: id, Flags: c.flags, Len: 2, Data: [64]byte{1, endMark}}
				}
				end1, end2 := open(t, "vcan0"), open(t, "vcan0")
				config := conntest.Patient(c.config)
				d1, d2 := &isotpnet.Dialer{Config: config}, &isotpnet.Dialer{Config: config}
				d1.Bus, d2.Bus = open(t, "vcan0"), open(t, "vcan0")
				p1, p2 := dial(t, d1, "/7E0:7E8"), dial(t, d2, "/7E8:7E0")
				return &endingConn{Conn: p1, bus: end1, end: end(0x7E0)}, &endingConn{Conn: p2, bus: end2, end: end(0x7E8)},
					func() {
						p1.Close()
						p2.Close()
						end1.Close()
						end2.Close()
						d1.Bus.Close()
						d2.Bus.Close()
					}, nil
			})
		})
	}
}

func dial(t testing.TB, d *isotpnet.Dialer, address string) *isotpnet.Conn {
	t.Helper()
	c, err := d.Dial("isotp:user", address)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*isotpnet.Conn)
}

// dialPair returns both ends of a connection, each with a socket of its own.
func dialPair(t testing.TB, name string) (c1, c2 *isotpnet.Conn) {
	t.Helper()
	c1 = dial(t, &isotpnet.Dialer{Bus: open(t, name)}, "/7E0:7E8")
	t.Cleanup(func() { c1.Close() })
	c2 = dial(t, &isotpnet.Dialer{Bus: open(t, name)}, "/7E8:7E0")
	t.Cleanup(func() { c2.Close() })
	return c1, c2
}
