package main

import (
	"strings"
	"testing"
	"testing/synctest"

	"example.com/isotp/internal/ecu"
	"example.com/isotp/isotpnet"
)

func TestRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		responses, err := ecu.ParseResponses(strings.NewReader("31* : 7F3178 | 7F3178 | 7101AB"))
		if err != nil {
			t.Fatal(err)
		}
		ln, err := isotpnet.Listen("isotp", "virtual:uds/7E8:7E0,7DF")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() {
			served <- (&ecu.ECU{VIN: "WVWZZZ1JZXW000001", Responses: responses}).Serve(ln.(*isotpnet.Listener))
		}()
		c, err := isotpnet.Dial("isotp", "virtual:uds/7E0:7E8")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, tc := range []struct {
			service   byte
			data      string
			want, err string
		}{
			{0x22, "\xF1\x90", "\xF1\x90WVWZZZ1JZXW000001", ""},
			{0x22, "\xF1\x91", "", "the ECU refuses service 22: code 31"},
			{0x31, "\x01", "\x01\xAB", ""}, // pending twice
			{0x3E, "\x00", "\x00", ""},
		} {
			got, err := request(c, tc.service, []byte(tc.data)...)
			if string(got) != tc.want || (tc.err != "") != (err != nil) || err != nil && err.Error() != tc.err {
				t.Errorf("service %02X: % X, %v; want % X, %s", tc.service, got, err, tc.want, tc.err)
			}
		}
		ln.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
