// Package ecutest gives tests the simulated ECU.
package ecutest

import (
	"strings"
	"sync"
	"testing"

	"example.com/isotp/internal/ecu"
	"example.com/isotp/isotpnet"
)

// Serve serves an ECU until the test ends. Its VIN is WVWZZZ1JZXW000001. addrs is as for
// [isotpnet.ParseAddrs], responses as for [ecu.ParseResponses].
func Serve(t *testing.T, addrs, name, responses string) {
	t.Helper()
	e := &ecu.ECU{VIN: "WVWZZZ1JZXW000001", Name: name}
	var err error
	if e.Responses, err = ecu.ParseResponses(strings.NewReader(responses)); err != nil {
		t.Fatal(err)
	}
	list, err := isotpnet.ParseAddrs(addrs)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := new(isotpnet.ListenConfig).ListenAddr(t.Context(), "isotp", list...)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := e.Serve(ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { ln.Close(); serving.Wait() })
}
