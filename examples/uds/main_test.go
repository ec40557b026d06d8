package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/internal/ecu"
	"example.com/isotp/isotpnet"
)

// dial dials a simulated ECU with more responses, in the test's bubble.
func dial(t *testing.T, responses string) net.Conn {
	t.Helper()
	parsed, err := ecu.ParseResponses(strings.NewReader(responses))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := new(isotpnet.ListenConfig).ListenAddr(t.Context(), "isotp", isotpnet.MustParseAddr("virtual:uds/7E8:7E0"))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := (&ecu.ECU{VIN: "WVWZZZ1JZXW000001", Responses: parsed}).Serve(ln); err != nil {
			t.Error(err)
		}
	})
	c, err := isotpnet.Dial("isotp", "virtual:uds/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); ln.Close(); serving.Wait() })
	return c
}

func TestRequest(t *testing.T) {
	for _, tc := range []struct {
		service         byte
		data, want, err string
	}{
		{0x22, "\xF1\x90", "\xF1\x90WVWZZZ1JZXW000001", "<nil>"},
		{0x22, "\xF1\x91", "", "the ECU refuses service 22: code 31"},
		{0x31, "\x01", "\x01\xAB", "<nil>"}, // pending twice
		{0x3E, "\x00", "\x00", "<nil>"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t, "31* : 7F3178 | 7F3178 | 7101AB")
			got, err := request(c, tc.service, []byte(tc.data)...)
			if string(got) != tc.want || fmt.Sprint(err) != tc.err {
				t.Errorf("service %02X: % X, %v; want % X, %s", tc.service, got, err, tc.want, tc.err)
			}
		})
	}
}

func TestReadByIdentifier(t *testing.T) {
	for answer, want := range map[string]string{
		"62 F190 41 42": "AB <nil>",
		"62 F190":       " <nil>",
		"62":            " the ECU answers , which is not the record F190",
		"62 F1":         " the ECU answers F1, which is not the record F190",
		"62 F191 41":    " the ECU answers F1 91 41, which is not the record F190",
		"7F 22 33":      " the ECU refuses service 22: code 33",
	} {
		synctest.Test(t, func(t *testing.T) {
			record, err := readByIdentifier(dial(t, "22* : "+answer), 0xF1, 0x90)
			if got := fmt.Sprintf("%s %v", record, err); got != want {
				t.Errorf("%s: %q, want %q", answer, got, want)
			}
		})
	}
}

// Each time that the ECU says so it may take longer, but not for ever.
func TestAnswerThatIsPendingForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ecu, tester, err := isotpnet.Pipe(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tester.Close()
		var answering sync.WaitGroup
		answering.Go(func() {
			for err := error(nil); err == nil; time.Sleep(p2 / 2) {
				_, err = ecu.Write([]byte{negativeResponse, 0x31, responsePending})
			}
		})
		defer answering.Wait()
		defer ecu.Close()
		start := time.Now()
		if _, err := request(tester, 0x31); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != patience {
			t.Errorf("after %v, want %v", took, patience)
		}
	})
}
