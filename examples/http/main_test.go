package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"strings"
	"sync"
	"testing"
)

// start starts an ECU, and returns its certificate's digest.
func start(t *testing.T, withTLS bool) (digest string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan string, 1)
	var running sync.WaitGroup
	running.Go(func() {
		if err := ecu(ctx, "virtual:http/7E8:7E0", withTLS, func(digest string) { listening <- digest }); err != nil {
			t.Error(err)
			close(listening)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return <-listening
}

func ask(t *testing.T, path string, config *tls.Config) (string, error) {
	var out bytes.Buffer
	err := get(t.Context(), &out, "virtual:http/7E0:7E8", path, config)
	return out.String(), err
}

func TestHTTP(t *testing.T) {
	start(t, false)
	if got, err := ask(t, "/temperature", nil); err != nil || got != "HTTP/1.1 200 OK\nthe engine has 91 degrees\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNoSuchPage(t *testing.T) {
	start(t, false)
	if got, err := ask(t, "/pressure", nil); err != nil || !strings.HasPrefix(got, "HTTP/1.1 404 Not Found\n") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTLS(t *testing.T) {
	digest := start(t, true)
	if got, err := ask(t, "/temperature", pinned(digest)); err != nil || got != "HTTP/2.0 200 OK\nthe engine has 91 degrees\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWrongCertificate(t *testing.T) {
	start(t, true)
	if got, err := ask(t, "/temperature", pinned("00")); err == nil || !strings.Contains(err.Error(), "not 00") {
		t.Errorf("%q, %v", got, err)
	}
}
