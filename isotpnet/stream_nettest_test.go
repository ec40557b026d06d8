package isotpnet_test

import (
	"context"
	"net"
	"testing"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"golang.org/x/net/nettest"
)

// TestStreamConnIsANetConn runs the tests of package nettest, on the connections as
// they are. Run it with -cpu 1,2,8.
func TestStreamConnIsANetConn(t *testing.T) {
	noLeaks(t)
	for _, mode := range []struct {
		name   string
		config isotpnet.Config
	}{
		{"Classic", patient},
		{"FD", patientFD},
	} {
		t.Run(mode.name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				n := newNetwork(t, virtual.Options{})
				tap1, tap2 := newTap(t, n), newTap(t, n)
				ln := listenStream(t, tap2, mode.config)
				c1, err := dialStream(tap1, mode.config)
				if err != nil {
					return nil, nil, nil, err
				}
				c2, err := ln.Accept()
				if err != nil {
					return nil, nil, nil, err
				}
				return c1, c2, func() { closeAll(c1, c2, ln, tap1, tap2) }, nil
			})
		})
	}
}

func listenStream(t testing.TB, bus *virtual.Tap, c isotpnet.Config) *isotpnet.StreamListener {
	t.Helper()
	lc := isotpnet.ListenConfig{Bus: bus, Config: c}
	ln, err := lc.ListenStream(context.Background(), "isotp-stream:user", isotpnet.MustParseAddr(ecuAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func dialStream(bus *virtual.Tap, c isotpnet.Config) (*isotpnet.StreamConn, error) {
	d := isotpnet.Dialer{Bus: bus, Config: c}
	return d.DialStream(context.Background(), "isotp-stream:user", isotpnet.MustParseAddr(testerAddr))
}
