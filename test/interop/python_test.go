package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	_ "example.com/isotp/canbus/udpmulticast"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/netns"
)

// python is Debian's, for which test/setup installs packages.
const python = "/usr/bin/python3"

// needPython skips the test where Debian's packages are not installed.
func needPython(t *testing.T) {
	t.Helper()
	netns.Need(t)
	out, err := exec.Command(python, "-c", "import can, msgpack, serial, scapy").CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("ISOTPNET_NO_SKIP") != "":
		t.Fatalf("%s: %v\n%s", python, err, out)
	default:
		t.Skipf("%s has no packages can and scapy (test/setup installs them): %v", python, err)
	}
}

// sizes of the messages that go both ways.
var sizes = []int{1, 7, 8, 100, 4095}

// startPeer starts peer.py on a bus of python-can.
func startPeer(t *testing.T, tx, rx string, bus map[string]any) {
	t.Helper()
	startPeerFor(t, len(sizes), tx, rx, bus)
}

// startPeerFor is startPeer for so many messages.
func startPeerFor(t *testing.T, messages int, tx, rx string, bus map[string]any) {
	t.Helper()
	args, err := json.Marshal(bus)
	if err != nil {
		t.Fatal(err)
	}
	startPython(t, "peer.py", strconv.Itoa(messages), tx, rx, string(args))
}

// startPython starts a script and returns once it is ready.
func startPython(t *testing.T, script string, args ...string) {
	t.Helper()
	cmd := exec.Command(python, append([]string{script}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if t.Failed() {
			cmd.Process.Kill()
		}
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%s: %v\n%s", script, err, stderr.String())
		}
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%s is not ready: %q, %v", script, line, err)
	}
	go io.Copy(io.Discard, stdout)
}

// exchange sends a message of each size, and wants it back reversed.
func exchange(t *testing.T, c *isotpnet.Conn) {
	t.Helper()
	exchangeOf(t, c, sizes)
}

// exchangeOf is exchange with messages of these sizes.
func exchangeOf(t *testing.T, c *isotpnet.Conn, sizes []int) {
	t.Helper()
	for _, size := range sizes {
		c.SetDeadline(time.Now().Add(time.Minute))
		sent := randomBytes(size)
		if _, err := c.Write(sent); err != nil {
			t.Fatalf("a message of %d bytes: %v", size, err)
		}
		got := make([]byte, 5000)
		n, _, err := c.ReadMessage(got)
		if err != nil {
			t.Fatalf("the answer of %d bytes: %v (%+v)", size, err, c.Stats())
		}
		slices.Reverse(got[:n])
		if !bytes.Equal(got[:n], sent) {
			t.Fatalf("%d bytes came back for %d, and are not the same", n, size)
		}
	}
}

// patient is for machines with much to do. A UDP socket has room for some 250 frames
// that Python has had no time for: a block is shorter.
var patient = isotpnet.Config{
	BlockSize:               32,
	TransmitTimeout:         time.Minute,
	FlowControlTimeout:      time.Minute,
	ConsecutiveFrameTimeout: time.Minute,
}

func dial(t *testing.T, address string, c isotpnet.Config) *isotpnet.Conn {
	t.Helper()
	d := isotpnet.Dialer{Config: c}
	conn, err := d.Dial("isotp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*isotpnet.Conn)
}

// What Go writes into one group python-can reads, and writes into the other, CAN FD
// frames too.
func TestPythonCANRelaysBetweenGroups(t *testing.T) {
	needPython(t)
	startPython(t, "relay.py", "239.74.163.2", "ff15:7079:7468:6f6e:6465:6d6f:6d63:6173")
	for _, mode := range []struct {
		name    string
		fd, brs bool
	}{
		{"Classic", false, false},
		{"FD", true, false},
		{"FDBRS", true, true},
	} {
		t.Run(mode.name, func(t *testing.T) {
			c := patient
			c.FD, c.BRS = mode.fd, mode.brs
			c1, c2 := dial(t, udp4+"/7E0:7E8", c), dial(t, udp6+"/7E8:7E0", c)
			for _, size := range sizes {
				sent := randomBytes(size)
				for _, way := range [][2]*isotpnet.Conn{{c1, c2}, {c2, c1}} {
					way[0].SetDeadline(time.Now().Add(time.Minute))
					way[1].SetDeadline(time.Now().Add(time.Minute))
					if _, err := way[0].Write(sent); err != nil {
						t.Fatalf("a message of %d bytes: %v", size, err)
					}
					got := make([]byte, 5000)
					n, _, err := way[1].ReadMessage(got)
					if err != nil || !bytes.Equal(got[:n], sent) {
						t.Fatalf("%d bytes came for %d: %v", n, size, err)
					}
				}
			}
		})
	}
}

func TestScapyOverPythonCANsMulticast(t *testing.T) {
	needPython(t)
	for name, c := range map[string]struct{ bus, channel string }{
		"IPv4": {udp4, "239.74.163.2"},
		"IPv6": {udp6, "ff15:7079:7468:6f6e:6465:6d6f:6d63:6173"},
	} {
		t.Run(name, func(t *testing.T) {
			startPeer(t, "7E8", "7E0", map[string]any{"bustype": "udp_multicast", "channel": c.channel})
			exchange(t, dial(t, c.bus+"/7E0:7E8", patient))
		})
	}
}
