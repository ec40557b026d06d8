package interop

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/isotp/test/netns"
)

const (
	udp4 = "udp:239.74.163.2:43113"
	udp6 = "udp:[ff15:7079:7468:6f6e:6465:6d6f:6d63:6173]:43113"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
	r.Read(b)
	return b
}

// joined waits until a process has bound python-can's port.
func joined(t *testing.T, p *process) {
	t.Helper()
	port := fmt.Sprintf(":%04X ", 43113)
	for {
		for _, file := range []string{"udp", "udp6"} {
			sockets, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", p.cmd.Process.Pid, file))
			if err != nil {
				t.Fatalf("%v\n%s", err, p.stderr.String())
			}
			for line := range strings.Lines(string(sockets)) {
				if fields := strings.Fields(line); len(fields) > 1 && strings.HasSuffix(fields[1]+" ", port) {
					return
				}
			}
		}
		if p.cmd.ProcessState != nil || t.Context().Err() != nil {
			t.Fatalf("recv has ended: %s", p.stderr.String())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// The example of README.md: two processes, a bus of UDP multicast.
func TestSendAndRecvAreTwoProcesses(t *testing.T) {
	netns.Need(t)
	isotp := build(t)
	for _, c := range []struct {
		name, bus string
		size      int
		flags     []string
	}{
		{"IPv4", udp4, 20000, nil},
		{"IPv6", udp6, 20000, nil},
		{"FD", udp4, 100000, []string{"--fd", "--brs"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := randomBytes(c.size)
			count := (c.size + 4094) / 4095
			recv := start(t, nil, isotp, append([]string{"recv", "--count", fmt.Sprint(count), "--timeout", "60s", c.bus + "/7E8:7E0"}, c.flags...)...)
			joined(t, recv)
			start(t, bytes.NewReader(data), isotp, append([]string{"send", c.bus + "/7E0:7E8"}, c.flags...)...).wait(t)
			if got := recv.wait(t); !bytes.Equal(got, data) {
				t.Errorf("received %d bytes, which are not the %d sent", len(got), len(data))
			}
		})
	}
}
