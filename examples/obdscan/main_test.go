package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/isotp/test/ecutest"
)

func TestScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for i := range 3 {
			ecutest.Serve(t, fmt.Sprintf("virtual:scan/fixed::%02X,func:33", 0x10+i), fmt.Sprint("ECU ", i), "")
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
	})
}
