// Http is a web server in an ECU, and a client for it, with TLS or without. On isotp-stream
// there are connections as TCP's, any number over one pair of addresses.
//
//	go run ./examples/http ecu can0/7E8:7E0
//	go run ./examples/http tester can0/7E0:7E8
//
// Without hardware both are on a bus of multicast datagrams. With TLS the ECU makes itself a
// certificate, and prints the digest by which the tester knows it:
//
//	go run ./examples/http -tls ecu               (in another terminal)
//	go run ./examples/http -tls -pin DIGEST tester
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	_ "example.com/isotp/canbus/all" // the user names the bus
	"example.com/isotp/isotpnet"
)

// serve serves connections that a listener accepts, until ctx ends.
func serve(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /temperature", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "the engine has 91 degrees")
	})
	server := &http.Server{Handler: mux}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// get writes what an ECU says at a path. config is for TLS; nil: without.
func get(ctx context.Context, w io.Writer, address, path string, config *tls.Config) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(isotpnet.Dialer).DialContext(ctx, "isotp-stream", address)
	}
	transport := &http.Transport{DialContext: dial, TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	scheme := "http"
	if config != nil {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, "GET", scheme+"://ecu"+path, nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	fmt.Fprintln(w, response.Proto, response.Status)
	_, err = io.Copy(w, response.Body)
	return err
}

// certificate makes a certificate, and returns the digest by which pinned knows it.
func certificate() (config *tls.Config, digest string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"ecu"}, NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(der)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"h2", "http/1.1"},
	}, hex.EncodeToString(sum[:]), nil
}

// pinned returns a Config that trusts the certificate with that digest, and no other.
func pinned(digest string) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it: no authority has signed the certificate
		VerifyConnection: func(state tls.ConnectionState) error {
			if sum := sha256.Sum256(state.PeerCertificates[0].Raw); hex.EncodeToString(sum[:]) != digest {
				return fmt.Errorf("the certificate's digest is %x, not %s", sum, digest)
			}
			return nil
		},
	}
}

// ecu serves at an address until ctx ends. It calls ready with the digest of its
// certificate, "" without TLS, once it listens.
func ecu(ctx context.Context, address string, withTLS bool, ready func(digest string)) error {
	ln, err := new(isotpnet.ListenConfig).Listen(ctx, "isotp-stream", address)
	if err != nil {
		return err
	}
	defer ln.Close()
	var digest string
	if withTLS {
		var config *tls.Config
		if config, digest, err = certificate(); err != nil {
			return err
		}
		ln = tls.NewListener(ln, config)
	}
	ready(digest)
	return serve(ctx, ln)
}

func main() {
	withTLS := flag.Bool("tls", false, "with TLS")
	pin := flag.String("pin", "", "the `digest` that the ECU prints, for the tester")
	flag.Parse()
	address := map[string]string{"ecu": "udp:239.74.163.2:43113/7E8:7E0", "tester": "udp:239.74.163.2:43113/7E0:7E8"}[flag.Arg(0)]
	if address == "" {
		log.Fatal("usage: http [-tls] [-pin DIGEST] ecu|tester [BUS/SEND:LISTEN], as in ecu can0/7E8:7E0")
	}
	if flag.NArg() > 1 {
		address = flag.Arg(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case flag.Arg(0) == "ecu":
		err = ecu(ctx, address, *withTLS, func(digest string) { fmt.Println("listening on", address, digest) })
	case *withTLS:
		err = get(ctx, os.Stdout, address, "/temperature", pinned(*pin))
	default:
		err = get(ctx, os.Stdout, address, "/temperature", nil)
	}
	if err != nil {
		log.Fatal(err)
	}
}
