package isotpnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// A streamEnd is one end of a pair of addresses, from which streams can be opened
// or accepted.
type streamEnd struct {
	dialer           isotpnet.Dialer
	network, address string
}

// newStreamEnds returns both ends of a pair on two taps of a bus.
func newStreamEnds(t testing.TB, n *virtual.Network, c isotpnet.Config) (tester, ecu streamEnd) {
	t.Helper()
	return tapEnd(newTap(t, n), testerAddr, c), tapEnd(newTap(t, n), ecuAddr, c)
}

func tapEnd(bus canbus.Bus, address string, c isotpnet.Config) streamEnd {
	return streamEnd{isotpnet.Dialer{Config: c, Bus: bus}, "isotp-stream:user", address}
}

// onBackends runs a test on each backend; on the kernel's where there is one.
func onBackends(t *testing.T, test func(t *testing.T, tester, ecu streamEnd)) {
	for _, mode := range []struct {
		name   string
		config isotpnet.Config
	}{
		{"user", patient},
		{"userFD", patientFD},
	} {
		t.Run(mode.name, func(t *testing.T) {
			noLeaks(t)
			tester, ecu := newStreamEnds(t, newNetwork(t, virtual.Options{}), mode.config)
			test(t, tester, ecu)
		})
	}
	t.Run("kernel", func(t *testing.T) {
		tester, ecu := newKernelEnds(t, isotpnet.Config{})
		test(t, tester, ecu)
	})
}

func newKernelEnds(t testing.TB, c isotpnet.Config) (tester, ecu streamEnd) {
	t.Helper()
	name := newKernelLink(t)
	end := func(address string) streamEnd {
		return streamEnd{isotpnet.Dialer{Config: c}, "isotp-stream:kernel", name + address}
	}
	return end(testerAddr), end(ecuAddr)
}

func (e streamEnd) tryDial(ctx context.Context) (*isotpnet.StreamConn, error) {
	return e.dialer.DialStream(ctx, e.network, isotpnet.MustParseAddr(e.address))
}

// dial opens a stream until the test's end.
func (e streamEnd) dial(t testing.TB) *isotpnet.StreamConn {
	t.Helper()
	c, err := e.tryDial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (e streamEnd) tryListen() (*isotpnet.StreamListener, error) {
	lc := isotpnet.ListenConfig{
		Config: e.dialer.Config, Bus: e.dialer.Bus,
		KeepAlive: e.dialer.KeepAlive, KeepAliveConfig: e.dialer.KeepAliveConfig,
	}
	return lc.ListenStream(context.Background(), e.network, isotpnet.MustParseAddr(e.address))
}

// listen accepts streams until the test's end.
func (e streamEnd) listen(t testing.TB) *isotpnet.StreamListener {
	t.Helper()
	ln, err := e.tryListen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// newStream returns both ends of a stream.
func newStream(t testing.TB, tester, ecu streamEnd) (dialled, accepted *isotpnet.StreamConn) {
	t.Helper()
	ln := ecu.listen(t)
	dialled = tester.dial(t)
	return dialled, acceptStream(t, ln)
}

func acceptStream(t testing.TB, ln *isotpnet.StreamListener) *isotpnet.StreamConn {
	t.Helper()
	c, err := ln.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// wantStreamErr checks that err is a *net.OpError, and what is in it.
func wantStreamErr(t testing.TB, err error, op string, target error) {
	t.Helper()
	oe, ok := err.(*net.OpError)
	if !ok {
		t.Errorf("%s: error is %v (%T), want a *net.OpError of %v", op, err, err, target)
		return
	}
	if oe.Op != op {
		t.Errorf("Op is %q, want %q: %v", oe.Op, op, err)
	}
	if _, twice := errors.AsType[*net.OpError](oe.Err); twice {
		t.Errorf("%v: a *net.OpError within another", err)
	}
	if !errors.Is(err, target) {
		t.Errorf("%s: error is %v, want %v", op, err, target)
	}
}

// wantReadAll reads to the end and checks what.
func wantReadAll(t testing.TB, c io.Reader, want string) {
	t.Helper()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != want {
		t.Errorf("read %d bytes %.40x, %v; want %d bytes %.40x and the end", len(got), got, err, len(want), want)
	}
}
