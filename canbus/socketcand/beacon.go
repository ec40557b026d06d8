package socketcand

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// beaconTime is the time from one beacon to the next; the protocol allows no more.
const beaconTime = 3 * time.Second

// beaconPort is the UDP port to which beacons are sent. Tests set another one.
var beaconPort = 42000

// announce sends beacons for a listener until stop is called.
func (s *Server) announce(listener net.Addr) (stop func()) {
	addr, ok := listener.(*net.TCPAddr)
	if !ok {
		return func() {}
	}
	done := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		ticker := time.NewTicker(beaconTime)
		defer ticker.Stop()
		for {
			s.sendBeacons(addr)
			select {
			case <-ticker.C:
			case <-done:
				return
			}
		}
	})
	return func() { close(done); sending.Wait() }
}

// sendBeacons sends a beacon to each IPv4 network from which clients can reach the
// listener. It ignores errors of a network.
func (s *Server) sendBeacons(listener *net.TCPAddr) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return
	}
	for _, a := range addrs {
		network, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		to := broadcast(network)
		if to == nil || !listener.IP.IsUnspecified() && !listener.IP.Equal(network.IP) {
			continue
		}
		conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: network.IP}, &net.UDPAddr{IP: to, Port: beaconPort})
		if err != nil {
			continue
		}
		conn.Write(s.beacon(network.IP, listener.Port))
		conn.Close()
	}
}

// broadcast returns the broadcast address of a network; nil if it has none.
func broadcast(network *net.IPNet) net.IP {
	ip, mask := network.IP.To4(), network.Mask
	ones, bits := mask.Size()
	if ip == nil || bits != 8*net.IPv4len || bits-ones < 2 {
		return nil
	}
	to := make(net.IP, len(ip))
	for i := range to {
		to[i] = ip[i] | ^mask[i]
	}
	return to
}

// beacon makes the text of a beacon, as socketcand's.
func (s *Server) beacon(ip net.IP, port int) []byte {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<CANBeacon name="%s" type="SocketCAN" description="isotpnet">`, escaped(host))
	fmt.Fprintf(&b, "\n<URL>can://%s:%d</URL>", ip, port)
	for _, bus := range s.Buses {
		fmt.Fprintf(&b, `<Bus name="%s"/>`, escaped(ClientName(bus)))
	}
	b.WriteString("</CANBeacon>")
	return b.Bytes()
}

func escaped(text string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(text))
	return b.String()
}
