package socketcand

import (
	"encoding/xml"
	"net"
	"os"
	"strconv"
	"testing"
	"time"
)

// The beacon is read as python-can's client does.
func TestBeacon(t *testing.T) {
	heard, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	defer func(port int) { beaconPort = port }(beaconPort)
	beaconPort = heard.LocalAddr().(*net.UDPAddr).Port

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Buses: []string{"can0=slcan:/dev/ttyACM0@500000", `virtual:a&"b"`}, Beacon: true}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	defer func() {
		s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	heard.SetReadDeadline(time.Now().Add(time.Minute))
	text := make([]byte, 2048)
	n, from, err := heard.ReadFrom(text)
	if err != nil {
		t.Fatal(err)
	}
	var beacon struct {
		XMLName xml.Name
		Name    string `xml:"name,attr"`
		Type    string `xml:"type,attr"`
		URL     string
		Bus     []struct {
			Name string `xml:"name,attr"`
		}
	}
	if err := xml.Unmarshal(text[:n], &beacon); err != nil {
		t.Fatalf("%s: %v", text[:n], err)
	}
	host, _ := os.Hostname()
	url := "can://127.0.0.1:" + strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	if beacon.XMLName.Local != "CANBeacon" || beacon.Name != host || beacon.Type != "SocketCAN" || beacon.URL != url {
		t.Errorf("the beacon is %s", text[:n])
	}
	if len(beacon.Bus) != 2 || beacon.Bus[0].Name != "can0" || beacon.Bus[1].Name != `virtual:a&"b"` {
		t.Errorf("the buses are %v", beacon.Bus)
	}
	if ip := from.(*net.UDPAddr).IP; !ip.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("it comes from %v", ip)
	}
}

func TestBroadcastAddresses(t *testing.T) {
	for network, want := range map[string]string{
		"127.0.0.1/8":     "127.255.255.255",
		"192.168.1.17/24": "192.168.1.255",
		"10.1.2.3/30":     "10.1.2.3",
		"10.1.2.3/31":     "<nil>",
		"10.1.2.3/32":     "<nil>",
		"fe80::1/64":      "<nil>",
	} {
		ip, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		n.IP = ip
		if got := broadcast(n).String(); got != want {
			t.Errorf("%s: %s, want %s", network, got, want)
		}
	}
}
