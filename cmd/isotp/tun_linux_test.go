package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/isotp/isotpnet"
	"example.com/isotp/test/netns"
)

// needTun skips the test where no interface can be made.
func needTun(t *testing.T) {
	t.Helper()
	netns.Need(t)
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	f.Close()
}

// startTun starts the tunnel, and returns once it has its interface: how to end it, and what
// it says.
func startTun(t *testing.T, args string) (interrupt func() result, output func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var told lockedBuffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, append([]string{"tun"}, words(args)...), nil, &told, &told) }()
	for !strings.Contains(told.String(), "interface ") {
		select {
		case status := <-ended:
			t.Fatalf("it ends with status %d: %s", status, told.String())
		case <-time.After(time.Millisecond):
		}
	}
	return func() result {
		cancel()
		return result{status: <-ended, stderr: told.String()}
	}, told.String
}

// The peer sends each packet of UDP back, after a message that is no packet.
func TestTunPassesPackets(t *testing.T) {
	needTun(t)
	for _, family := range []struct {
		ip, to       string
		header, size int
	}{
		{"192.0.2.1/30", "192.0.2.2:13400", 20, 1400},
		{"fd09::1/64", "[fd09::2]:13400", 40, 1400},
	} {
		peer, err := isotpnet.Dial("isotp", "virtual:tun/7E8:7E0")
		if err != nil {
			t.Fatal(err)
		}
		go reflectUDP(peer, family.header)
		interrupt, _ := startTun(t, "--name otun0 --ip "+family.ip+" virtual:tun/7E0:7E8")
		udp, err := net.Dial("udp", family.to)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, family.size} {
			exchangeUDP(t, udp, randomBytes(size))
		}
		udp.Close()
		peer.Close()
		r := interrupt()
		r.want(t, exitOK, "")
		if !strings.Contains(r.stderr, ", 0 packets not sent, ") || strings.Contains(r.stderr, " 0 messages not taken") {
			t.Errorf("it says %s", r.stderr)
		}
		if _, err := net.InterfaceByName("otun0"); err == nil {
			t.Error("the interface is still there")
		}
	}
}

// exchangeUDP sends a datagram until it comes back: with IPv6 an interface is not ready at
// once.
func exchangeUDP(t *testing.T, udp net.Conn, want string) {
	t.Helper()
	got := make([]byte, 2000)
	for giveUp := time.Now().Add(30 * time.Second); time.Now().Before(giveUp); {
		if _, err := udp.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		udp.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		for n, err := udp.Read(got); err == nil; n, err = udp.Read(got) {
			if string(got[:n]) == want {
				return
			}
		}
	}
	t.Fatalf("%d bytes did not come back", len(want))
}

// reflectUDP sends each packet of UDP back to its sender behind a message that is no packet,
// until the connection is closed. Checksums stay as they are if both sides are swapped.
func reflectUDP(conn net.Conn, header int) {
	const udp = 17
	protocol, addresses := 9, 12 // where they are in a header of IPv4
	if header == 40 {
		protocol, addresses = 6, 8
	}
	packet := make([]byte, 2000)
	for {
		n, err := conn.Read(packet)
		if err != nil {
			return
		}
		if n < header+8 || packet[protocol] != udp {
			continue // the system looks for routers and the like
		}
		length := (header - addresses) / 2
		swap(packet[addresses:][:length], packet[header-length:][:length])
		swap(packet[header:][:2], packet[header+2:][:2])
		conn.Write([]byte{0xFF})
		conn.Write(packet[:n])
	}
}

func swap(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

func TestTunGoesOnWithoutAPeer(t *testing.T) {
	needTun(t)
	interrupt, output := startTun(t, "--name otun0 --ip 192.0.2.1/30 --flow-control-timeout 1ms virtual:nobody/7E0:7E8")
	udp, err := net.Dial("udp", "192.0.2.2:13400")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	packet := []byte(randomBytes(100))
	for !strings.Contains(output(), "packets are not sent") {
		if _, err := udp.Write(packet); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	r := interrupt()
	r.want(t, exitOK, "")
	if strings.Count(r.stderr, "packets are not sent") != 1 || !strings.Contains(r.stderr, " 0 packets received,") {
		t.Errorf("it says %s", r.stderr)
	}
}

func TestTunNames(t *testing.T) {
	needTun(t)
	for name, want := range map[string]string{
		"1234567890123456": `--name "1234567890123456": it must have 1 to 15 characters`,
		"a/b":              "--name a/b: it is not a name for an interface, as ctun0 or ctun%d",
		"lo":               "--name lo: it is not a name for an interface",
	} {
		isotp(t.Context(), nil, "tun", "--name", name, "virtual:names/7E0:7E8").want(t, exitUsage, want)
	}
	for i, address := range []string{"7E0:7E8", "7E1:7E9"} {
		want := fmt.Sprintf("interface ctun%d\n", i)
		if _, output := startTun(t, "virtual:names/"+address); output() != want {
			t.Errorf("it says %s, want %s", output(), want)
		}
	}
}
