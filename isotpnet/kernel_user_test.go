//go:build linux

package isotpnet

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"example.com/isotp/test/kernel/cantest"
	"golang.org/x/net/nettest"
)

// The kernel's ISO-TP and ours over CAN_RAW, both ways and each with itself.
func TestBackendsTogetherAreAConn(t *testing.T) {
	cantest.Need(t)
	for _, networks := range [][2]string{
		{"isotp:kernel", "isotp:user"}, {"isotp:user", "isotp:kernel"}, {"isotp:user", "isotp:user"},
	} {
		for _, test := range []struct {
			name       string
			d          *Dialer
			end1, end2 string
		}{
			{"classic", &Dialer{}, "7E0#01EE", "7E8#01EE"},
			{"FD", &Dialer{Config: Config{FD: true}}, "7E0##001EE", "7E8##001EE"},
		} {
			t.Run(strings.ReplaceAll(networks[0]+" "+networks[1]+" "+test.name, "isotp:", ""), func(t *testing.T) {
				nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
					name := newInterface(t)
					raw := newRawPeer(t, name)
					k1 := test.d.mustDial(t, networks[0], name+"/7E0:7E8")
					k2 := test.d.mustDial(t, networks[1], name+"/7E8:7E0")
					return &closingConn{Conn: k1, raw: raw, end: test.end1}, &closingConn{Conn: k2, raw: raw, end: test.end2},
						func() { k1.Close(); k2.Close() }, nil
				})
			})
		}
	}
}

func TestPairInUseByTheOtherBackend(t *testing.T) {
	for _, networks := range [][2]string{{"isotp:kernel", "isotp:user"}, {"isotp:user", "isotp:kernel"}} {
		name := newInterface(t)
		c := new(Dialer).mustDial(t, networks[0], name+"/7E0:7E8")
		_, err := Dial(networks[1], name+"/7E1:7E8")
		wantError(t, err, syscall.EADDRINUSE)
		_, err = Listen(networks[1], name+"/7E0:7E8")
		wantError(t, err, syscall.EADDRINUSE)
		c.Close()
		l, err := Listen(networks[1], name+"/7E0:7E8")
		if err != nil {
			t.Fatal(err)
		}
		_, err = Dial(networks[0], name+"/7E0:7E8")
		wantError(t, err, syscall.EADDRINUSE)
		l.Close()
		new(Dialer).mustDial(t, networks[0], name+"/7E0:7E8")
	}
}

func TestIsotpOnAnInterfaceChoosesByTheConfig(t *testing.T) {
	name := newInterface(t)
	for _, test := range []struct {
		config Config
		addr   string
		want   string
	}{
		{Config{}, "7E0:7E8", "kernel"},
		{Config{FD: true, BlockSize: 8}, "7E0:7E8", "kernel"},
		{Config{MaxWaitFrames: 3}, "7E0:7E8", "user"},
		{Config{}, "fixed:10:F1", "user"},
		{Config{}, "func:33:F1", "kernel"},
	} {
		c := (&Dialer{Config: test.config}).mustDial(t, "isotp", name+"/"+test.addr)
		if got := c.Backend(); got != test.want {
			t.Errorf("%s: %s, want %s", test.addr, got, test.want)
		}
		c.Close()
	}
}
