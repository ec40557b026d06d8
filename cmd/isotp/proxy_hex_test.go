package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/isotp/isotpnet"
)

func TestHexMessagesOfAClient(t *testing.T) {
	const text = "<22F190>\n<3e00><3E>x y<01><>\n<0>\n<0G>\n<00112233445566>\n<77>\r\n \t<010203040506" // at most 6 bytes
	want := []string{
		"22 F1 90", "3E 00", "3E",
		"2 bytes between messages dropped", "01",
		`"<>" is dropped`, `"<0>" is dropped`, `"<0G>" is dropped`,
		"a message of more than 6 bytes, from <001122334455 on, is dropped", "2 bytes between messages dropped", "77",
		"unexpected EOF", "EOF",
	}
	r := bufio.NewReader(strings.NewReader(text))
	for _, want := range want {
		p, err := readHexMessage(r, 6)
		got := fmt.Sprintf("% X", p)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzHexMessages(f *testing.F) {
	f.Add("<22F190>\n<>x<0G><")
	f.Fuzz(func(t *testing.T, text string) {
		r := bufio.NewReader(strings.NewReader(text))
		for range len(text) + 1 {
			p, err := readHexMessage(r, 10)
			_, isText := errors.AsType[*hexTextError](err)
			switch {
			case err == io.EOF || err == io.ErrUnexpectedEOF:
				return
			case err == nil && (len(p) == 0 || len(p) > 10 || !strings.Contains(strings.ToUpper(text), fmt.Sprintf("<%X>", p))):
				t.Fatalf("%q has the message % X", text, p)
			case err != nil && !isText:
				t.Fatal(err)
			}
		}
		t.Fatal("it does not end")
	})
}

// A tcpClient is a connection that is read line by line.
type tcpClient struct {
	net.Conn
	lines *bufio.Reader
}

func (c tcpClient) want(t *testing.T, want string) {
	t.Helper()
	if got, err := c.lines.ReadString('\n'); got != want {
		t.Fatalf("%.20q %v, want %.20q", got, err, want)
	}
}

// hexClients runs a proxy --hex, an ECU behind it, and so many clients.
func hexClients(t *testing.T, bus string, n int, flags ...string) (peer *isotpnet.Conn, stderr *bufio.Reader, clients []tcpClient) {
	t.Helper()
	c, err := isotpnet.Dial("isotp", bus+"/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	address, stderr := startProxyWith(t, append(flags, "--hex", "tcp:127.0.0.1:0", bus+"/7E0:7E8")...)
	for range n {
		client, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		clients = append(clients, tcpClient{client, bufio.NewReader(client)})
	}
	return c.(*isotpnet.Conn), stderr, clients
}

// echo sends so many messages of a connection back.
func echo(t *testing.T, conn *isotpnet.Conn, n int) {
	p := make([]byte, 10000)
	for range n {
		n, err := conn.Read(p)
		if err == nil {
			_, err = conn.Write(p[:n])
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

func TestProxyHexPassesMessagesBothWays(t *testing.T) {
	peer, _, clients := hexClients(t, "virtual:hex", 2)
	long := strings.Repeat("0123456789ABCDEF", 500)
	go echo(t, peer, 5)
	// The first client hears nothing of that if it is accepted after it.
	io.WriteString(clients[1], "<00>")
	clients[1].want(t, "<00>\n")
	io.WriteString(clients[0], "<01>")
	for line := ""; line != "<01>\n"; {
		line, _ = clients[0].lines.ReadString('\n')
	}
	clients[1].want(t, "<01>\n")
	for i, text := range []string{"<3e00>", "<22F190>\r\n", "<" + long + ">\n"} {
		io.WriteString(clients[i%2], text)
		for _, c := range clients { // all hear it
			c.want(t, "<"+strings.ToUpper(strings.Trim(text, "<>\r\n"))+">\n")
		}
	}
}

func TestProxyHexTellsWhatItDrops(t *testing.T) {
	peer, stderr, clients := hexClients(t, "virtual:hexdrops", 1, "--flow-control-timeout", "1ms", "--max-send-size", "9")
	peer.Close() // nothing answers a First Frame
	// What is too long ends with its first digit too many, and 9> is between messages then.
	io.WriteString(clients[0], "hello<22F19G><00112233445566778899><0011223344556677>")
	for _, want := range []string{
		": 5 bytes between messages dropped", `: "<22F19G>" is dropped`,
		": a message of more than 9 bytes", ": 2 bytes between", "N_TIMEOUT_Bs",
	} {
		line, err := stderr.ReadString('\n')
		if !strings.HasPrefix(line, "client 127.0.0.1:") || !strings.Contains(line, want) {
			t.Errorf("%q %v, want %q", line, err, want)
		}
	}
}

func TestProxyHexTellsMessagesThatNoClientHears(t *testing.T) {
	peer, stderr, _ := hexClients(t, "virtual:hexalone", 0)
	peer.Write([]byte("four"))
	if line, err := stderr.ReadString('\n'); line != "a message of 4 bytes is dropped: there is no client\n" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestProxyHexPutsOutAClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr strings.Builder
		b := &hexBridge{s: newStreams(nil, nil, &stderr), limit: hexLimit, clients: make(map[*hexClient]bool)}
		far, near := net.Pipe()
		served := make(chan error)
		go func() { served <- b.serve(t.Context(), near) }()
		synctest.Wait()
		for range hexBacklog + 2 { // one more is being written
			b.deliver("<3E00>\n")
			synctest.Wait()
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if want := "client pipe is put out: it has not read the last 1000 messages\n"; stderr.String() != want {
			t.Errorf("it says %q, want %q", stderr.String(), want)
		}
		far.Close()
	})
}

func TestProxyHexEndsWithItsBus(t *testing.T) {
	log := writeFile(t, "(1.0) can0 7E8#0441424344\n")
	r := isotp(t.Context(), nil, "proxy", "--hex", "tcp:127.0.0.1:0", "candump:"+log+",fast/7E0:7E8")
	r.want(t, exitFailure, "the log has ended")
}
