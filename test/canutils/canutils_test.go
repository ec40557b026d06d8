//go:build linux

package canutils

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/isotp/isotpnet"
	"example.com/isotp/test/vm/cantest"
)

// The sizes at which something changes: what a Single Frame holds, in classic CAN
// and in CAN FD, the longest with 12 bits of FF_DL, and the most a kernel takes.
var sizes = []int{1, 7, 8, 62, 63, 4095, 4096, 8300}

// variants are what both sides are told, each in its own way. isotprecv's BS and
// STmin are the ones that we have to heed; ours are those that isotpsend has to.
var variants = []struct {
	name           string
	config         isotpnet.Config
	ours           string // the addresses
	options        string // of both programs
	receiveOptions string // of isotprecv
}{
	{name: "BS 0, STmin 0", ours: "7E0:7E8", options: "-p CC:CC"},
	{name: "BS 1, STmin 300 us", ours: "7E0:7E8", options: "-p CC:CC", receiveOptions: "-b 1 -m F3",
		config: isotpnet.Config{BlockSize: 1, STmin: 300 * time.Microsecond}},
	{name: "BS 8, STmin 10 ms", ours: "7E0:7E8", options: "-p CC:CC", receiveOptions: "-b 8 -m 0A",
		config: isotpnet.Config{BlockSize: 8, STmin: 10 * time.Millisecond}},
	{name: "padding is checked", ours: "7E0:7E8", options: "-p 55:55 -P a",
		config: isotpnet.Config{Padding: isotpnet.PadWith(0x55)}},
	{name: "no padding", ours: "7E0:7E8", config: isotpnet.Config{Padding: isotpnet.NoPadding()}},
	{name: "extended addressing", ours: "7E0#55:7E8#F1", options: "-p CC:CC -x F1:55"},
	{name: "FD, 64 bytes", ours: "7E0:7E8", options: "-L 72:64:0", config: isotpnet.Config{FD: true, Padding: isotpnet.NoPadding()}},
}

func TestIsotprecvReceivesWhatWeSend(t *testing.T) {
	need(t, "isotprecv")
	for _, v := range variants {
		for _, network := range backends {
			t.Run(v.name+", "+network, func(t *testing.T) {
				name := newInterface(t)
				conn := dial(t, network, name+"/"+v.ours, v.config)
				for _, size := range sizes {
					args := strings.Fields(v.options + " " + v.receiveOptions + " -s 7E8 -d 7E0 " + name)
					recv := start(t, "isotprecv", args...)
					awaitReceiver(t, name, "7e0", "isotp")
					want := message(size)
					if _, err := conn.Write(want); err != nil {
						t.Fatalf("%d bytes: %v", size, err)
					}
					if got := unhex(t, recv.rest()); !bytes.Equal(got, want) {
						t.Fatalf("%d bytes came of %d, or others", len(got), size)
					}
				}
			})
		}
	}
}

func TestWeReceiveWhatIsotpsendSends(t *testing.T) {
	need(t, "isotpsend")
	for _, v := range variants {
		for _, network := range backends {
			t.Run(v.name+", "+network, func(t *testing.T) {
				name := newInterface(t)
				conn := dial(t, network, name+"/"+v.ours, v.config)
				got := make([]byte, 10000)
				for _, size := range sizes {
					want := message(size)
					args := strings.Fields(v.options + " -b -s 7E8 -d 7E0 " + name)
					if err := run(t, strings.NewReader(fmt.Sprintf("% X\n", want)), "isotpsend", args...); err != nil {
						t.Fatalf("%d bytes: %v", size, err)
					}
					n, info, err := conn.ReadMessage(got)
					if err != nil || info.Rest != 0 || !bytes.Equal(got[:n], want) {
						t.Fatalf("%d bytes came of %d, or others: %v", n, size, err)
					}
				}
			})
		}
	}
}

func TestIsotpdumpShowsOurFrames(t *testing.T) {
	for _, networks := range [][2]string{{"isotp:kernel", "isotp:user"}, {"isotp:user", "isotp:kernel"}} {
		name := newInterface(t)
		dump := start(t, "isotpdump", "-s", "7E0", "-d", "7E8", name)
		awaitReceiver(t, name, "7e8", "raw")
		exchange(t, name, networks[0], networks[1], 20)
		for _, want := range []string{
			"7E0  [8]  [FF] ln: 20   data: 00 01 02 03 04 05",
			"7E8  [8]  [FC] FC: 0 = CTS # BS: 1 # STmin: 0x05 = 5 ms",
			"7E0  [8]  [CF] sn: 1    data: 06 07 08 09 0A 0B 0C",
			"7E8  [8]  [FC] FC: 0 = CTS # BS: 1 # STmin: 0x05 = 5 ms",
			"7E0  [8]  [CF] sn: 2    data: 0D 0E 0F 10 11 12 13",
		} {
			if got := dump.next(); !strings.Contains(got, want) {
				t.Errorf("%v: %q, want %q", networks, got, want)
			}
		}
	}
}

func TestIsotpsnifferShowsOurMessages(t *testing.T) {
	for _, networks := range [][2]string{{"isotp:kernel", "isotp:user"}, {"isotp:user", "isotp:kernel"}} {
		name := newInterface(t)
		sniffer := start(t, "isotpsniffer", "-s", "7E0", "-d", "7E8", "-f", "1", name)
		awaitReceiver(t, name, "7e0", "isotp")
		awaitReceiver(t, name, "7e8", "isotp")
		exchange(t, name, networks[0], networks[1], 20)
		want := fmt.Sprintf("% X", message(20))
		if got := sniffer.next(); !strings.Contains(got, "7E0") || !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", networks, got, want)
		}
	}
}

func TestIsotpperfSeesOurMessages(t *testing.T) {
	for _, networks := range [][2]string{{"isotp:kernel", "isotp:user"}, {"isotp:user", "isotp:kernel"}} {
		name := newInterface(t)
		perf := start(t, "isotpperf", "-s", "7E0", "-d", "7E8", name)
		awaitReceiver(t, name, "7e8", "raw")
		exchange(t, name, networks[0], networks[1], 4095)
		got := perf.next()
		if !strings.Contains(got, "100%") || !strings.Contains(got, "(BS: 1 # STmin:  5 msec) : 4095 byte in ") {
			t.Errorf("%v: %q", networks, got[max(0, len(got)-200):])
		}
	}
}

// exchange sends a message from 7E0 to 7E8.
func exchange(t *testing.T, name, from, to string, size int) {
	t.Helper()
	c1 := dial(t, from, name+"/7E0:7E8", isotpnet.Config{})
	c2 := dial(t, to, name+"/7E8:7E0", isotpnet.Config{BlockSize: 1, STmin: 5 * time.Millisecond})
	if _, err := c1.Write(message(size)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, size)
	if n, err := c2.Read(got); err != nil || !bytes.Equal(got[:n], message(size)) {
		t.Fatalf("%d bytes came: %v", n, err)
	}
}

// A gateway between TCP and ISO-TP, where messages are <hexadecimal digits>.
func TestIsotpserverBridgesToUs(t *testing.T) {
	for _, network := range backends {
		t.Run(network, func(t *testing.T) {
			need(t, "isotpserver")
			name := newInterface(t)
			if err := cantest.SetLink("lo", true); err != nil {
				t.Fatal(err)
			}
			start(t, "isotpserver", "-l", "15765", "-s", "7E8", "-d", "7E0", "-b", "8", name)
			tcp := dialTCP(t, "127.0.0.1:15765")
			text := bufio.NewReader(tcp)
			awaitReceiver(t, name, "7e0", "isotp")
			conn := dial(t, network, name+"/7E0:7E8", isotpnet.Config{})
			for _, size := range []int{1, 7, 8, 63, 4095} {
				want := message(size)
				if _, err := conn.Write(want); err != nil {
					t.Fatal(err)
				}
				got, err := text.ReadString('>')
				if err != nil || strings.TrimSpace(got) != fmt.Sprintf("<%X>", want) {
					t.Fatalf("from ISO-TP: %.20q..., %v", got, err)
				}
				fmt.Fprintf(tcp, "<%X>", want)
				back := make([]byte, size+1)
				if n, err := conn.Read(back); err != nil || !bytes.Equal(back[:n], want) {
					t.Fatalf("to ISO-TP: %d bytes, %v", n, err)
				}
			}
		})
	}
}

func dialTCP(t *testing.T, address string) net.Conn {
	t.Helper()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(patience))
			return c
		}
		if time.Since(start) > patience {
			t.Fatal(err)
		}
	}
}

// A network interface whose packets are messages: one sends a datagram to us, and
// we send it back.
func TestIsotptunTunnelsToUs(t *testing.T) {
	for _, network := range backends {
		t.Run(network, func(t *testing.T) {
			need(t, "isotptun")
			need(t, "ip")
			name := newInterface(t)
			tun := "t" + name
			start(t, "isotptun", "-s", "7E8", "-d", "7E0", "-n", tun, name)
			awaitReceiver(t, name, "7e0", "isotp")
			// isotptun ends if no program takes the packets that come with the interface.
			conn := dial(t, network, name+"/7E0:7E8", isotpnet.Config{})
			for _, args := range [][]string{
				{"addr", "add", "192.0.2.1", "peer", "192.0.2.2", "dev", tun}, {"link", "set", tun, "up"},
			} {
				awaitRun(t, "ip", args...)
			}
			udp, err := net.Dial("udp", "192.0.2.2:13400")
			if err != nil {
				t.Fatal(err)
			}
			defer udp.Close()
			udp.SetDeadline(time.Now().Add(patience))
			for _, size := range []int{1, 1400} {
				want := message(size)
				if _, err := udp.Write(want); err != nil {
					t.Fatal(err)
				}
				if err := reflect(conn); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, size+1)
				if n, err := udp.Read(got); err != nil || !bytes.Equal(got[:n], want) {
					t.Fatalf("%d bytes came back: %v", n, err)
				}
			}
		})
	}
}

// Their tunnel's interface is in a namespace of its own: between two of one namespace no packet
// would leave the kernel.
func TestOurTunnelPingsThroughIsotptun(t *testing.T) {
	for _, network := range backends {
		t.Run(network, func(t *testing.T) {
			need(t, "isotptun")
			need(t, "isotp")
			need(t, "ip")
			need(t, "ping")
			name := newInterface(t)
			ours, theirs := "o"+name, "t"+name
			start(t, "isotp", "tun", "--network", network, "--name", ours, "--ip", "192.0.2.1/30", "--mtu", "1500", name+"/7E0:7E8")
			// Packets come with the interface, and isotptun ends if no program takes them.
			awaitRun(t, "ip", "link", "show", "dev", ours, "up")
			start(t, "isotptun", "-s", "7E8", "-d", "7E0", "-n", theirs, name)
			other := exec.Command("sleep", "3600")
			other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
			if err := other.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { other.Process.Kill(); other.Wait() })
			pid := strconv.Itoa(other.Process.Pid)
			awaitRun(t, "ip", "link", "set", theirs, "netns", pid)
			awaitRun(t, "nsenter", "-t", pid, "-n", "ip", "addr", "add", "192.0.2.2/30", "dev", theirs)
			awaitRun(t, "nsenter", "-t", pid, "-n", "ip", "link", "set", theirs, "up")
			for _, size := range []string{"1", "7", "56", "500", "1400"} {
				out, err := exec.Command("ping", "-c", "1", "-W", "10", "-s", size, "192.0.2.2").CombinedOutput()
				if err != nil || !strings.Contains(string(out), " 0% packet loss") {
					t.Fatalf("pings of %s bytes: %v\n%s", size, err, out)
				}
			}
		})
	}
}

// reflect sends the next UDP packet of IPv4 back to its sender. Neither checksum
// changes as source and destination do.
func reflect(conn *isotpnet.Conn) error {
	p := make([]byte, 2000)
	for {
		n, err := conn.Read(p)
		if err != nil {
			return err
		}
		const udp = 17
		if n < 28 || p[0] != 0x45 || p[9] != udp {
			continue // the kernel looks for routers and the like
		}
		swap(p[12:16], p[16:20])
		swap(p[20:22], p[22:24])
		_, err = conn.Write(p[:n])
		return err
	}
}

func swap(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

// awaitRun runs a program until it succeeds.
func awaitRun(t *testing.T, name string, args ...string) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err == nil {
			return
		}
		if time.Since(start) > patience {
			t.Fatal(errors.Join(err, errors.New(string(out))))
		}
	}
}

// message returns so many bytes.
func message(size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i)
	}
	return p
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	p, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return p
}
