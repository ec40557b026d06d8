package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/isotp/internal/ecu"
	"example.com/isotp/isotpnet"
)

func TestScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ecus sync.WaitGroup
		var listeners []*isotpnet.Listener
		for i := range 3 {
			addrs, err := isotpnet.ParseAddrs(fmt.Sprintf("virtual:scan/fixed::%02X,func:33", 0x10+i))
			if err != nil {
				t.Fatal(err)
			}
			ln, err := new(isotpnet.ListenConfig).ListenAddr(t.Context(), "isotp", addrs...)
			if err != nil {
				t.Fatal(err)
			}
			listeners = append(listeners, ln)
			e := &ecu.ECU{VIN: "WVWZZZ1JZXW000001", Name: fmt.Sprint("ECU ", i)}
			ecus.Go(func() { e.Serve(ln) })
		}
		var out bytes.Buffer
		if err := run(&out, "virtual:scan/obd29"); err != nil {
			t.Error(err)
		}
		var want []string
		for i := range 3 {
			addr := fmt.Sprintf("virtual:scan/fixed:%02X:F1", 0x10+i)
			want = append(want, addr+"  VIN   WVWZZZ1JZXW000001", fmt.Sprint(addr, "  name  ECU ", i))
		}
		got := strings.Split(strings.TrimSpace(out.String()), "\n")
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		for _, ln := range listeners {
			ln.Close()
		}
		ecus.Wait()
	})
}
