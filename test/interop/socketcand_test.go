package interop

import (
	"bufio"
	"context"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/socketcand"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/netns"
)

// python-can's client on our server, and our engine on the bus that it serves.
// python-can 4.1 takes all identifiers it receives for 29-bit ones.
func TestScapyOverPythonCANsSocketcand(t *testing.T) {
	needPython(t)
	n, err := virtual.New(virtual.Options{Bitrate: 500_000})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &socketcand.Server{Buses: []string{"can0"}, Open: func(context.Context, string) (canbus.Bus, error) { return n.Tap() }}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	startPeer(t, "18DA10F1", "18DAF110", map[string]any{
		"bustype": "socketcand", "host": "127.0.0.1", "port": ln.Addr().(*net.TCPAddr).Port, "channel": "can0",
	})
	tap, err := n.Tap()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	d := isotpnet.Dialer{Bus: tap, Config: patient}
	conn, err := d.DialContext(context.Background(), "isotp", "/18DAF110:18DA10F1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	exchange(t, conn.(*isotpnet.Conn))
}

// The command serves a bus, and recv and send reach it across TCP.
func TestServeBusServes(t *testing.T) {
	netns.Need(t)
	isotp := build(t)
	const served = "udp:239.74.163.2:43113"
	cmd := exec.Command(isotp, "serve-bus", "--listen", "127.0.0.1:0", served)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	address, found := strings.CutPrefix(line, "serving "+served+" on ")
	if err != nil || !found {
		t.Fatalf("serve-bus says %q, %v", line, err)
	}
	bus := "socketcand:" + strings.TrimSpace(address) + "/" + served
	c := dial(t, bus+"/7E0:7E8", patient)
	peer := dial(t, served+"/7E8:7E0", patient)
	data := randomBytes(4095)
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5000)
	if k, _, err := peer.ReadMessage(got); err != nil || string(got[:k]) != string(data) {
		t.Errorf("%s bytes came, %v", strconv.Itoa(k), err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve-bus, interrupted: %v", err)
	}
}
