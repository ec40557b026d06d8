package isotpnet_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

// serveHTTP serves until the test's end.
func serveHTTP(t *testing.T, ln net.Listener, h http.Handler) {
	t.Helper()
	srv := &http.Server{Handler: h, ErrorLog: log.New(testWriter{t}, "http: ", 0)}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(ln) })
	t.Cleanup(func() {
		srv.Close()
		wg.Wait()
	})
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// newClient returns a client whose connections are streams.
func newClient(t *testing.T, tester streamEnd, keepAlives bool) *http.Client {
	tr := &http.Transport{
		DisableKeepAlives:   !keepAlives,
		MaxIdleConnsPerHost: 100,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return tester.dialer.DialContext(ctx, tester.network, tester.address)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// echo answers a request with its body. It reads all of that first: HTTP/1 does not
// promise more.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
})

// wantEcho posts a body and checks that it comes back.
func wantEcho(t *testing.T, c *http.Client, body string) {
	t.Helper()
	resp, err := c.Post("http://ecu/", "application/octet-stream", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || string(got) != body {
		t.Errorf("%d bytes of %d came back, %v", len(got), len(body), err)
	}
}

func TestHTTPWithANewStreamForEachRequest(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		serveHTTP(t, ecu.listen(t), echo)
		c := newClient(t, tester, false)
		for i := range scale.Down(1000, 100) {
			wantEcho(t, c, strconv.Itoa(i))
		}
	})
}

func TestHTTPClientsAtTheSameTime(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		serveHTTP(t, ecu.listen(t), echo)
		requests := scale.Down(100, 10)
		for _, keepAlives := range []bool{false, true} {
			t.Run(fmt.Sprintf("keepAlives=%v", keepAlives), func(t *testing.T) {
				var wg sync.WaitGroup
				for i := range 32 {
					wg.Go(func() {
						c := newClient(t, tester, keepAlives)
						for j := range requests {
							wantEcho(t, c, payload(requests*i+j))
						}
					})
				}
				wg.Wait()
			})
		}
	})
}

func TestHTTPBodiesOfAllSizes(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		serveHTTP(t, ecu.listen(t), echo)
		c := newClient(t, tester, true)
		for _, size := range []int{0, 1, 2, 6, 7, 4083, 4084, 4085, 65279, 65280, 65281, 1 << 20, scale.Down(4<<20, 0)} {
			wantEcho(t, c, payload(size))
		}
	})
}

func TestHTTPHandlerThatSleepsHoldsNobodyUp(t *testing.T) {
	t.Run("user", func(t *testing.T) {
		inStreamBubble(t, virtual.Options{}, testSleepingHandler)
	})
	t.Run("kernel", func(t *testing.T) {
		tester, ecu := newKernelEnds(t, isotpnet.Config{})
		testSleepingHandler(t, tester, ecu)
	})
}

func testSleepingHandler(t *testing.T, tester, ecu streamEnd) {
	const nap = 5 * time.Second
	asleep := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/", echo)
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		close(asleep)
		time.Sleep(nap)
		io.WriteString(w, "good morning")
	})
	serveHTTP(t, ecu.listen(t), mux)
	c := newClient(t, tester, true)
	answer := make(chan error)
	go func() {
		resp, err := c.Get("http://ecu/sleep")
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		answer <- err
	}()
	<-asleep
	start := time.Now()
	for i := range 40 {
		wantEcho(t, c, payload(i))
		time.Sleep(nap / 100)
	}
	if d := time.Since(start); d > nap {
		t.Errorf("the others have taken %v", d)
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

// newCertificate makes a certificate that signs itself.
func newCertificate(t testing.TB, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLSInBothDirections(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		cert, roots := newCertificate(t, "ecu")
		dialled, accepted := newStream(t, tester, ecu)
		server := tls.Server(accepted, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
		client := tls.Client(dialled, &tls.Config{RootCAs: roots, ServerName: "ecu"})
		var wg sync.WaitGroup
		for i, c := range []*tls.Conn{client, server} {
			out, in := []byte(payload(1<<20+i)), []byte(payload(1<<20+1-i))
			wg.Go(func() {
				if _, err := c.Write(out); err != nil {
					t.Error("Write:", err)
				}
				if err := c.CloseWrite(); err != nil {
					t.Error("CloseWrite:", err)
				}
			})
			wg.Go(func() {
				got, err := io.ReadAll(c)
				if err != nil || !bytes.Equal(got, in) {
					t.Errorf("read %d bytes of %d, %v", len(got), len(in), err)
				}
			})
		}
		wg.Wait()
		if v := client.ConnectionState().Version; v != tls.VersionTLS13 {
			t.Errorf("the version is %x", v)
		}
	})
}
