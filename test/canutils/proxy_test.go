//go:build linux

package canutils

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"example.com/isotp/isotpnet"
	"example.com/isotp/test/vm/cantest"
)

// Clients write the same to isotpserver and to isotp proxy --hex, and an ECU behind them
// answers. They read the same.
func TestProxyHexIsToClientsAsIsotpserver(t *testing.T) {
	need(t, "isotp")
	need(t, "isotpserver")
	if err := cantest.SetLink("lo", true); err != nil {
		t.Fatal(err)
	}
	// What is no message is dropped by both. Behind it, each client asks once more.
	requests := []string{
		"<3E00>", "<3e00>\r\n", "  <22F190>\n", "<" + strings.Repeat("A5", 62) + ">", fmt.Sprintf("<%X>", message(4000)),
		"noise<01>", "<><02>", "<030><04>", "<>>\n<05>", "<" + strings.Repeat("00", 70000) + "><06>", "a>b<07>",
	}
	want := talk(t, requests, func(name string) {
		start(t, "isotpserver", "-l", "15766", "-s", "7E0", "-d", "7E8", "-p", "CC", name)
	}, "127.0.0.1:15766")
	for i, network := range backends {
		port := fmt.Sprintf("127.0.0.1:%d", 15767+i)
		got := talk(t, requests, func(name string) {
			start(t, "isotp", "proxy", "--hex", "--network", network, "tcp:"+port, name+"/7E0:7E8")
		}, port)
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: to %.30q, client %d reads %.30q and of isotpserver %.30q", network, requests[i/2], i%2, got[i], want[i])
			}
		}
	}
}

// talk starts a server between TCP and ISO-TP, and returns what its two clients have read,
// which ask by turns, and both hear all answers. The ECU answers with the request and one byte
// more.
func talk(t *testing.T, requests []string, serve func(name string), address string) []string {
	t.Helper()
	name := newInterface(t)
	serve(name)
	var clients [2]lineConn
	for i := range clients {
		tcp := dialTCP(t, address)
		clients[i] = lineConn{tcp, bufio.NewReader(tcp)}
	}
	go answer(dial(t, "isotp:user", name+"/7E8:7E0", isotpnet.Config{}))

	// A client whose request is answered hears all that comes from then on.
	for i, c := range clients {
		fmt.Fprintf(c, "<F%d>", i)
		for c.next(t) != fmt.Sprintf("<F%d77>\n", i) {
		}
	}
	for clients[0].next(t) != "<F177>\n" {
	}

	var answers []string
	for i, request := range requests {
		io.WriteString(clients[i%2], request)
		for _, c := range clients {
			answers = append(answers, c.next(t))
		}
	}
	return answers
}

// A lineConn is a connection that is read line by line.
type lineConn struct {
	net.Conn
	lines *bufio.Reader
}

func (c lineConn) next(t *testing.T) string {
	t.Helper()
	line, err := c.lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// answer answers each message with it and one byte more, until the connection ends.
func answer(ecu *isotpnet.Conn) {
	p := make([]byte, 5000)
	for {
		n, err := ecu.Read(p)
		if err != nil {
			return
		}
		if _, err := ecu.Write(append(p[:n], 0x77)); err != nil {
			return
		}
	}
}
