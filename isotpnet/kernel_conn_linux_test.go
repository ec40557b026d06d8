package isotpnet

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/isotp/test/vm/cantest"
	"golang.org/x/net/nettest"
)

// endMark is not what nettest sends in a message of one byte.
const endMark = 0xEE

// A closingConn tells its peer when it is closed, for which ISO-TP has no means
// and nettest asks: by a message of one byte, sent past the Conn, as that may be
// busy.
type closingConn struct {
	*Conn
	raw   *rawPeer
	end   string // the frame to send
	ended atomic.Bool
}

func (c *closingConn) Close() error {
	c.raw.send(c.end)
	return c.Conn.Close()
}

func (c *closingConn) Read(p []byte) (int, error) {
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

// The kernel's ISO-TP with itself, and with ours over CAN_RAW.
func TestBackendsAreAConn(t *testing.T) {
	for _, networks := range [][2]string{
		{"isotp:kernel", "isotp:kernel"}, {"isotp:kernel", "isotp:user"}, {"isotp:user", "isotp:kernel"},
	} {
		t.Run(strings.ReplaceAll(networks[0]+" "+networks[1], "isotp:", ""), func(t *testing.T) { areAConn(t, networks[0], networks[1]) })
	}
}

// Here both ends share a socket, as the conns of a process do. In package socketcan each has
// its own.
func TestUserConnsOnOneSocketAreAConn(t *testing.T) { areAConn(t, "isotp:user", "isotp:user") }

func areAConn(t *testing.T, network1, network2 string) {
	cantest.Need(t)
	for _, test := range []struct {
		name       string
		d          *Dialer
		end1, end2 string
	}{
		{"classic", &Dialer{}, "7E0#01EE", "7E8#01EE"},
		{"FD", &Dialer{Config: Config{FD: true}}, "7E0##001EE", "7E8##001EE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				name := newInterface(t)
				raw := newRawPeer(t, name)
				k1 := test.d.mustDial(t, network1, name+"/7E0:7E8")
				k2 := test.d.mustDial(t, network2, name+"/7E8:7E0")
				return &closingConn{Conn: k1, raw: raw, end: test.end1}, &closingConn{Conn: k2, raw: raw, end: test.end2},
					func() { k1.Close(); k2.Close() }, nil
			})
		})
	}
}
