package isotpnet

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestKernelDrain(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	if n, err := c.Drain(); n != 0 || err != nil {
		t.Errorf("nothing there: %d, %v", n, err)
	}
	peer.send("7E8#0741424344454647", "7E8#0178", "7E8#0179")
	if n, err := c.Read(make([]byte, 3)); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	// The three frames came in order; when the last is there, all are.
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	for drained := 0; drained < 3; {
		n, err := c.Drain()
		if err != nil {
			t.Fatal(err)
		}
		drained += n
	}
	peer.send("7E8#0150")
	p := make([]byte, 8)
	if n, err := c.Read(p); n != 1 || p[0] != 0x50 || err != nil {
		t.Errorf("read % X, %v", p[:n], err)
	}
	if s := c.Stats(); s.MessagesReceived != 4 || s.BytesReceived != 10 {
		t.Errorf("%+v", s)
	}
	c.Close()
	if _, err := c.Drain(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestKernelAwaitMessage(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := c.AwaitMessage(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing there: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	peer.send("7E8#03414243")
	for range 2 { // it reads nothing
		info, err := c.AwaitMessage()
		if err != nil || info.Size != 3 || info.Rest != 3 {
			t.Errorf("%+v, %v", info, err)
		}
	}
	p := make([]byte, 8)
	if n, err := c.Read(p); string(p[:n]) != "ABC" || err != nil {
		t.Errorf("read %q, %v", p[:n], err)
	}
	if received, sent := c.Progress(); received != (Progress{}) || sent != (Progress{}) {
		t.Errorf("%+v, %+v", received, sent)
	}
}

// What the kernel cannot do the engine does over the same interface.
func TestPacketConnOnAnInterface(t *testing.T) {
	name := newInterface(t)
	pc, err := ListenPacket("isotp", name+"/obd")
	must(t, err)
	defer pc.Close()
	ecu := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E8:7E0")
	written := make(chan error, 1)
	go func() {
		_, err := ecu.Write(make([]byte, 200))
		written <- err
	}()
	pc.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, from, err := pc.ReadFrom(make([]byte, 300))
	if n != 200 || err != nil || from.String() != name+"/7E0:7E8" {
		t.Errorf("%d bytes from %v, %v", n, from, err)
	}
	must(t, <-written)
	// A pair that the PacketConn answers is refused on either backend, with its name.
	for _, network := range []string{"isotp:kernel", "isotp:user"} {
		c, err := Dial(network, name+"/7E1:7E9")
		if err == nil {
			c.Close()
		}
		if want := name + "/7E1:7E9 is already open in this process: both would answer its messages"; err == nil || !errorHas(err, want) {
			t.Errorf("%s: %v, want %s", network, err, want)
		}
	}
}

func errorHas(err error, text string) bool {
	var oe *net.OpError
	return errors.As(err, &oe) && strings.HasPrefix(oe.Err.Error(), text)
}
