package main

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/isotpnet"
)

func TestECU(t *testing.T) {
	vin := "62f190" + hex.EncodeToString([]byte(vin))
	for _, tc := range []struct {
		to, request string
		want        string // all answers within 5 s
	}{
		{"7E0", "22F190", vin},
		{"7DF", "22F190", vin},
		{"7E0", "22F191", "7f2231"},
		{"7DF", "22F191", ""},
		{"7E0", "22F1", "7f2213"},
		{"7E0", "3E00", "7e00"},
		{"7E0", "3E80", ""},
		{"7DF", "3E80", ""},
		{"7E0", "2701", "7f2711"},
		{"7DF", "2701", ""},
		{"7E0", "31010203", "7f3178 7f3178 7f3178 7f3178 71010203"},
		{"7E0", "36" + strings.Repeat("00", 5000), ""},
	} {
		t.Run(tc.to+"/"+tc.request[:4], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				listening := make(chan struct{})
				var running sync.WaitGroup
				running.Go(func() {
					if err := run(ctx, "virtual:ecu/7E8:7E0,7DF", func() { close(listening) }); err != nil {
						t.Error(err)
					}
				})
				defer running.Wait()
				defer cancel()
				<-listening
				if got := ask(t, tc.to, tc.request); got != tc.want {
					t.Errorf("%q, want %q", got, tc.want)
				}
			})
		})
	}
}

// ask returns the answers to a request to an identifier, that come within 5 s.
func ask(t *testing.T, to, text string) string {
	t.Helper()
	d := isotpnet.Dialer{Functional: isotpnet.MustParseAddr("/7DF:")}
	conn, err := d.Dial("isotp", "virtual:ecu/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := conn.(*isotpnet.Conn)
	write := c.Write
	if to == "7DF" {
		write = c.WriteFunctional
	}
	request, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := write(request); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	var answers []string
	for buf := make([]byte, 100); ; {
		n, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return strings.Join(answers, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, hex.EncodeToString(buf[:n]))
	}
}
