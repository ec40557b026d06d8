package isotpnet_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/isotp/isotpnet"
)

// Connections over CAN: the listener is an ECU, the dialler a tester.
func Example_stream() {
	ln, err := isotpnet.Listen("isotp-stream", "virtual:stream/7E8:7E0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, "220 ready\n") // a server may speak first
				io.Copy(c, c)
			}()
		}
	}()

	c, err := isotpnet.Dial("isotp-stream", "virtual:stream/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "any number of bytes")
	c.(*isotpnet.StreamConn).CloseWrite() // the echo ends too, then
	text, err := io.ReadAll(c)
	fmt.Printf("%s %v\n", text, err)
	// Output:
	// 220 ready
	// any number of bytes <nil>
}

// An ECU with a web server, and a client for it.
func Example_http() {
	ln, err := isotpnet.Listen("isotp-stream", "virtual:http/7E8:7E0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s says: engine at 91 degrees", r.Host)
	})}
	go server.Serve(ln)
	defer server.Close()

	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d isotpnet.Dialer
			return d.DialContext(ctx, "isotp-stream", "virtual:http/7E0:7E8")
		},
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://ecu/temperature")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Printf("%s: %s %v\n", resp.Status, body, err)
	// Output: 200 OK: ecu says: engine at 91 degrees <nil>
}

// TLS, with a certificate that the ECU has made itself and the tester knows.
func Example_tls() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"ecu"},
		NotAfter:     time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}

	ln, err := isotpnet.Listen("isotp-stream", "virtual:tls/7E8:7E0")
	if err != nil {
		log.Fatal(err)
	}
	ln = tls.NewListener(ln, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "nobody else on the bus can read this")
	}()

	raw, err := isotpnet.Dial("isotp-stream", "virtual:tls/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	c := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "ecu"})
	defer c.Close()
	text, err := io.ReadAll(c)
	fmt.Printf("%s: %s %v\n", tls.VersionName(c.ConnectionState().Version), text, err)
	// Output: TLS 1.3: nobody else on the bus can read this <nil>
}

// Go values in both directions.
func Example_gob() {
	type request struct{ A, B int }
	type answer struct{ Sum int }

	ln, err := isotpnet.Listen("isotp-stream", "virtual:gob/7E8:7E0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in, out := gob.NewDecoder(c), gob.NewEncoder(c)
		for {
			var r request
			if err := in.Decode(&r); err != nil {
				return // io.EOF: the tester has closed
			}
			out.Encode(answer{r.A + r.B})
		}
	}()

	c, err := isotpnet.Dial("isotp-stream", "virtual:gob/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	out, in := gob.NewEncoder(c), gob.NewDecoder(c)
	for i := range 3 {
		if err := out.Encode(request{i, 40}); err != nil {
			log.Fatal(err)
		}
		var a answer
		if err := in.Decode(&a); err != nil {
			log.Fatal(err)
		}
		fmt.Println(a.Sum)
	}
	// Output:
	// 40
	// 41
	// 42
}

// A gateway: what connects to a TCP port talks to an ECU on the bus. Each direction
// ends by itself, so protocols that half-close work through it.
func Example_gateway() {
	// The ECU answers when it has heard all of the question.
	ecu, err := isotpnet.Listen("isotp-stream", "virtual:gateway/7E8:7E0")
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	go func() {
		c, err := ecu.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		question, _ := io.ReadAll(c)
		fmt.Fprintf(c, "%d bytes: %s", len(question), strings.ToUpper(string(question)))
	}()

	// The gateway.
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer tcp.Close()
	go func() {
		for {
			in, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := isotpnet.Dial("isotp-stream", "virtual:gateway/7E0:7E8")
				if err != nil {
					return
				}
				defer out.Close()
				relay(in, out)
			}()
		}
	}()

	// A TCP client, which knows nothing of CAN.
	c, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "who is there?")
	c.(*net.TCPConn).CloseWrite()
	text, err := io.ReadAll(c)
	fmt.Printf("%s %v\n", text, err)
	// Output: 13 bytes: WHO IS THERE? <nil>
}

// relay copies in both directions, until both have ended.
func relay(a, b net.Conn) {
	var wg sync.WaitGroup
	for _, way := range [2][2]net.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			from, to := way[0], way[1]
			_, err := io.Copy(to, from)
			if err == nil {
				err = to.(interface{ CloseWrite() error }).CloseWrite()
			}
			if err != nil { // the other direction is of no use either
				a.Close()
				b.Close()
			}
		})
	}
	wg.Wait()
}

// No program listens at the other end.
func ExampleStreamError() {
	// A program that uses the pair, but does not listen.
	ln, err := isotpnet.Listen("isotp-stream", "virtual:refused/7E8:7E0")
	if err != nil {
		log.Fatal(err)
	}
	c, err := isotpnet.Dial("isotp-stream", "virtual:refused/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	accepted, err := ln.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer accepted.Close()
	ln.Close()

	_, err = isotpnet.Dial("isotp-stream", "virtual:refused/7E0:7E8")
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
	var e *isotpnet.StreamError
	if errors.As(err, &e) {
		fmt.Println(e.Reason)
	}
	// Output:
	// true
	// reset by the peer: it has no listener
}
